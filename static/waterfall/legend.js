// The key to the marks, which is the filter too; its counts are the server's.

export class Legend {
  constructor(element, chart) {
    this.element = element;
    this.chart = chart;
  }

  // Takes the marks, words and counts from the page as the server rendered it.
  refresh() {
    const rendered = [...document.querySelectorAll("[data-mark]")];
    const known = new Map([...this.element.children].map((item) => [item.dataset.shows, item]));
    this.element.replaceChildren(...rendered.map((source) => known.get(source.dataset.mark) ?? this.item(source)));
    rendered.forEach((source, at) => this.count(this.element.children[at], source));
  }

  item(source) {
    const item = document.createElement("li");
    const label = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
    box.addEventListener("change", () => this.toggle(source.dataset.mark, box.checked));
    item.dataset.shows = source.dataset.mark;
    label.append(box, ...[...source.childNodes].map((node) => node.cloneNode(true)));
    item.append(label);
    return item;
  }

  count(item, source) {
    item.querySelector("strong").textContent = source.querySelector("strong").textContent;
  }

  toggle(mark, isShown) {
    if (isShown) this.chart.hidden.delete(mark);
    else this.chart.hidden.add(mark);
    this.chart.update();
  }
}
