// The chosen request: every field of its span, in a panel, in a tooltip, and for who listens.

import { wordsFor } from "./outcomes.js";
import { length, plural, thousands } from "./words.js";

const MOMENTS = { arrival_ns: "arrived", wait_begun_ns: "wait begun", first_byte_ns: "first byte", last_byte_ns: "last byte", end_ns: "ended" };
const NAMES = {
  id: "span", delay_ns: "planned delay", connection_request: "request on it", http_version: "HTTP",
  in_flight: "in flight on arrival", bytes_in: "bytes in", bytes_out: "bytes out",
};

// (name, words) of every field that says something, whatever fields there are.
export function fieldsInWords(span, beginUs) {
  return Object.entries(span.fields)
    .filter(([name, value]) => value !== null && name !== "method" && name !== "target")
    .map(([name, value]) => [nameOf(name), inWords(name, value, span, beginUs)]);
}

function nameOf(name) {
  return NAMES[name] ?? MOMENTS[name] ?? name.replace(/_ns$/, "").replaceAll("_", " ");
}

function inWords(name, value, span, beginUs) {
  if (name === "arrival_ns") return `${length(value)} into the run, ${clock(beginUs + value / 1e3)}`;
  if (name in MOMENTS) return `${length(value - span.begin)} after it arrived`;
  if (name.endsWith("_ns")) return length(value);
  if (name === "outcome") return wordsFor(span.mark);
  return typeof value === "number" ? thousands(value) : text(value);
}

const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
const clock = (us) => new Date(us / 1e3).toISOString().replace("T", " ").replace("Z", " UTC");

// What happened, in a sentence or two.
export function sentence(span, now) {
  const took = length(span.endBy(now) - span.begin);
  const { status, fault, attempt } = span.fields;
  const how = span.isOpen ? `in flight for ${took}` : `${wordsFor(span.mark)} after ${took}`;
  const parts = [status === null ? how : `${how}, answered ${status}`];
  if (fault) parts.push(`fault ${fault}`);
  if (span.free - span.begin > 1e6) parts.push(`queued ${length(Math.min(span.free, span.endBy(now)) - span.begin)}`);
  if (span.fields.delay_ns !== null) parts.push(`planned ${length(span.fields.delay_ns * span.fields.time_scale)}`);
  if (attempt > 1) parts.push(`attempt ${attempt}`);
  return parts.join(", ");
}

export class Details {
  constructor(root) {
    this.root = root;
    this.list = root.querySelector("[data-fields]");
    this.title = root.querySelector("[data-title]");
  }

  show(span, beginUs) {
    this.root.hidden = !span;
    if (!span) return;
    this.title.textContent = `#${span.place + 1} ${span.fields.method} ${span.fields.target}`;
    this.list.replaceChildren(...fieldsInWords(span, beginUs).map(row));
  }

  focus() {
    this.root.focus();
  }
}

function row([name, words]) {
  const element = document.createElement("div");
  for (const [tag, content] of [["dt", name], ["dd", words]]) {
    element.append(Object.assign(document.createElement(tag), { textContent: content }));
  }
  return element;
}

export class Tooltip {
  constructor(element, now) {
    this.element = element;
    this.now = now;
  }

  get isShown() {
    return !this.element.hidden;
  }

  show(span, { clientX, clientY }) {
    this.element.hidden = false;
    const [title, words] = this.element.children;
    title.textContent = `#${span.place + 1} ${span.fields.method} ${span.fields.target}`;
    words.textContent = sentence(span, this.now());
    const box = this.element.getBoundingClientRect();
    const x = clientX + 14 + box.width > innerWidth ? clientX - 14 - box.width : clientX + 14;
    const y = clientY + 18 + box.height > innerHeight ? clientY - 12 - box.height : clientY + 18;
    this.element.style.left = `${Math.max(x, 4)}px`;
    this.element.style.top = `${Math.max(y, 4)}px`;
  }

  hide() {
    this.element.hidden = true;
  }
}

// A listbox of one real option at a time. Two take turns, for a text that changes in the same
// element is often not read.
export class Option {
  constructor(listbox) {
    this.listbox = listbox;
    this.options = [...listbox.querySelectorAll("[role=option]")];
  }

  show(span, list, now) {
    const option = this.options.reverse()[0];
    for (const one of this.options) {
      one.hidden = one !== option;
      one.setAttribute("aria-selected", "false");
    }
    if (!span) {
      option.textContent = `${plural(list.length, "request")}; press the down arrow to choose one`;
      this.listbox.removeAttribute("aria-activedescendant");
      return;
    }
    const place = list.indexOf(span) + 1;
    option.textContent = `Request ${place} of ${list.length}: ${span.fields.method} ${span.fields.target}, ${sentence(span, now)}, from ${length(span.begin)}`;
    option.setAttribute("aria-posinset", Math.max(place, 1));
    option.setAttribute("aria-setsize", Math.max(list.length, 1));
    option.setAttribute("aria-selected", "true");
    this.listbox.setAttribute("aria-activedescendant", option.id);
  }
}
