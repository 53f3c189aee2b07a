// The colours of the style sheet for the canvas, in the scheme of the moment.

import { MARKS } from "./outcomes.js";

// Outcomes that share a colour with another.
const LIKE = { in_flight: "completed", shutdown: "rejected" };
const INKS = ["panel", "sunk", "ink", "ink2", "line", "line2"];

export function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const marks = MARKS.map((mark) => [mark, colour((LIKE[mark] ?? mark).replace("_", "-"))]);
  return {
    marks: Object.fromEntries(marks),
    ui: `11px ${colour("ui")}`,
    bold: `600 11px ${colour("ui")}`,
    mono: `11px ${colour("mono")}`,
    ...Object.fromEntries(INKS.map((name) => [name, colour(name)])),
  };
}

// Calls back when the colours change.
export function onScheme(change) {
  for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
    matchMedia(query).addEventListener("change", change);
  }
}
