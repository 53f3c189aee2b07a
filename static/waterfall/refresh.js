// Keeps what the server renders (sentence, figures, findings, table) as new as the picture.

const LEAST_WAIT = 1_000; // milliseconds: what changes faster can't be read

export class Refresher {
  // *onChange* hears that parts of the page are new.
  constructor(run, onChange) {
    this.address = `${run}.html`;
    this.onChange = onChange;
    this.served = new Map(parts(document).map((part) => [part.dataset.live, part.innerHTML]));
  }

  // Asks for the page anew, soon; a server to which that is much work is asked less often.
  soon() {
    this.timer ??= setTimeout(() => this.refresh(), this.wait ?? LEAST_WAIT);
  }

  async refresh() {
    const begun = performance.now();
    try {
      const answer = await fetch(this.address);
      if (answer.ok) this.take(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // no connection: the stream says so
    }
    this.wait = Math.max(LEAST_WAIT, 10 * (performance.now() - begun));
    this.timer = null;
  }

  take(fresh) {
    document.title = fresh.title;
    const changed = parts(fresh).filter((part) => this.served.get(part.dataset.live) !== part.innerHTML);
    for (const part of changed) {
      const here = document.querySelector(`[data-live="${part.dataset.live}"]`);
      if (here.contains(document.activeElement)) continue; // not under the hands of who uses it
      this.served.set(part.dataset.live, part.innerHTML);
      here.replaceChildren(...document.importNode(part, true).childNodes);
    }
    if (changed.length) this.onChange();
  }
}

const parts = (page) => [...page.querySelectorAll("[data-live]")];
