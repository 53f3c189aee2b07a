// Findings point into the picture: what has `data-spans` gets a button that shows these.

import { plural } from "./words.js";

export function pointAtSpans(show) {
  for (const element of document.querySelectorAll("[data-spans]")) {
    const ids = element.dataset.spans.split(" ").filter(Boolean);
    if (!ids.length || element.querySelector("button")) continue;
    const words = ids.length === 1 ? "Show the request" : `Show the ${plural(ids.length, "request")}`;
    const button = Object.assign(document.createElement("button"), { type: "button", className: "show", textContent: words });
    button.addEventListener("click", () => show(ids));
    element.append(button);
  }
}
