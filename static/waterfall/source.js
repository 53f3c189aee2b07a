// Asks the server for what is to be drawn, and hands it over piece by piece.

import { Spans } from "./spans.js";

// What the server says of a run, or of a part of it: its spans, or how too many of them ended.
export async function load(run, part = {}) {
  const answer = await fetch(`${run}/waterfall?${new URLSearchParams(part)}`);
  if (!answer.ok) throw Object.assign(new Error(`status ${answer.status}`), { status: answer.status });
  const lines = (await answer.text()).split("\n").filter(Boolean);
  const head = JSON.parse(lines.shift());
  const loaded = {
    head, clock: clockFrom(head.now_ns), spans: new Spans(head.begin_us), crowd: null, curve: null,
  };
  for (const line of lines) {
    const piece = JSON.parse(line);
    if (piece.spans) loaded.spans.addColumns(piece.spans);
    else Object.assign(loaded, piece);
  }
  return loaded;
}

// The server's clock, in nanoseconds since the run's first arrival.
function clockFrom(now) {
  const then = performance.now();
  return () => now + (performance.now() - then) * 1e6;
}
