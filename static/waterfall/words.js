// How people are told of lengths and counts, as the server's pages tell them.

const MINUTE = 60e9;
const UNITS = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];

// Nanoseconds in the digits that matter: 5.01 s, 250 ms, 2:05 min.
export function length(ns) {
  if (ns >= 2 * MINUTE) return `${minutes(ns)} min`;
  const [unit, name] = UNITS.find(([each]) => ns >= each) ?? UNITS[0];
  return `${digits(ns / unit)} ${name}`;
}

export function minutes(ns) {
  const seconds = Math.floor(ns / 1e9);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function digits(value) {
  return value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

export const thousands = (count) => count.toLocaleString("en");
export const plural = (count, noun) => `${thousands(count)} ${noun}${count === 1 ? "" : "s"}`;

// Text from a client on one line of a picture.
export function cut(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
