// Draws more requests than can be told apart: how many ended when, the gravest on top.

import { MARKS, isProblem } from "./outcomes.js";

export function drawCrowd(canvas, axis, { begin_ns: begin, column_ns: length, columns, ends }, room, theme) {
  const sums = Array.from({ length: columns }, (_, at) =>
    MARKS.reduce((sum, mark) => sum + (ends[mark]?.[at] ?? 0), 0));
  const most = Math.max(1, ...sums);
  for (let at = 0; at < columns; at++) {
    const x = Math.round(axis.x(begin + at * length));
    const width = Math.max(Math.round(axis.x(begin + (at + 1) * length)) - x, 1);
    if (sums[at] && x >= axis.left - width && x <= axis.left + axis.width) {
      drawColumn(canvas, { x, width, at, ends, scale: (room - 12) / most }, room, theme);
    }
  }
}

// A failure is never lower than two pixels, so none is lost among thousands.
function drawColumn(canvas, { x, width, at, ends, scale }, room, theme) {
  let y = room;
  for (const mark of MARKS) {
    const count = ends[mark]?.[at] ?? 0;
    if (!count) continue;
    const h = Math.max(count * scale, isProblem(mark) ? 2 : 0.5);
    y -= h;
    canvas.fillStyle = theme.marks[mark];
    canvas.fillRect(x, y, width, h);
  }
}
