// Draws what stands above the bars: the whole run in a strip, and the curve of what was in flight.

import { isProblem } from "./outcomes.js";
import { length, thousands } from "./words.js";

const STRIP = 30;
const CURVE = 84;
const AXIS = 22;
export const HEAD = STRIP + CURVE + AXIS;
const FLOOR = STRIP + CURVE;
export const isStrip = (y) => y < STRIP;

export class Head {
  constructor(canvas, axis) {
    this.canvas = canvas;
    this.axis = axis;
  }

  draw(state, theme) {
    Object.assign(this, { state, theme });
    const { canvas } = this;
    canvas.textBaseline = "alphabetic";
    this.strip();
    this.grid();
    this.curve();
    this.labels();
    this.window();
  }

  // --- the whole run ----------------------------------------------------------------------------

  stripX(moment) {
    return this.axis.left + (moment / this.axis.extent) * this.axis.width;
  }

  stripMoment(x) {
    return ((x - this.axis.left) / this.axis.width) * this.axis.extent;
  }

  strip() {
    const { canvas, axis, theme, state } = this;
    canvas.fillStyle = theme.sunk;
    canvas.fillRect(0, 0, canvas.canvas.width, STRIP);
    const tops = state.curve.flight.tops(0, axis.extent, Math.ceil(axis.width));
    const end = this.stripX(state.end);
    canvas.fillStyle = theme.ink2;
    canvas.globalAlpha = 0.45;
    tops.forEach((top, x) => {
      const h = (22 * top) / Math.max(state.curve.peak, 1);
      if (axis.left + x < end) canvas.fillRect(axis.left + x, STRIP - h, 1, h);
    });
    canvas.globalAlpha = 1;
    this.problems();
  }

  // Every failure has its tick here, whatever the zoom.
  problems() {
    const { canvas, theme, state } = this;
    for (const { mark, moment } of state.problems) {
      canvas.fillStyle = theme.marks[mark];
      canvas.fillRect(Math.round(this.stripX(moment)) - 1, 2, 2, 6);
    }
  }

  window() {
    const { canvas, axis, theme } = this;
    const [from, to] = [this.stripX(axis.from), this.stripX(axis.to)];
    canvas.fillStyle = theme.sunk;
    canvas.globalAlpha = 0.65;
    canvas.fillRect(axis.left, 0, from - axis.left, STRIP);
    canvas.fillRect(to, 0, axis.left + axis.width - to, STRIP);
    canvas.globalAlpha = 1;
    canvas.strokeStyle = theme.ink;
    canvas.lineWidth = 1;
    canvas.strokeRect(Math.round(from) + 0.5, 0.5, Math.round(to - from) - 1, STRIP - 1);
    canvas.fillStyle = theme.ink;
    canvas.fillRect(from - 1, 8, 3, STRIP - 16);
    canvas.fillRect(to - 2, 8, 3, STRIP - 16);
  }

  // Which end of the window is at x: "from", "to" or neither.
  handleAt(x) {
    if (Math.abs(x - this.stripX(this.axis.from)) < 8) return "from";
    return Math.abs(x - this.stripX(this.axis.to)) < 8 ? "to" : "";
  }

  // --- what is in view --------------------------------------------------------------------------

  grid() {
    const { canvas, axis, theme } = this;
    canvas.fillStyle = theme.line;
    for (const { moment } of axis.ticks()) canvas.fillRect(Math.round(axis.x(moment)), STRIP, 1, CURVE);
  }

  y(level) {
    return FLOOR - (level / Math.max(this.state.curve.peak, 1)) * (CURVE - 22);
  }

  curve() {
    const { canvas, theme, state, axis } = this;
    this.area(state.curve.flight);
    canvas.globalAlpha = 0.12;
    canvas.fillStyle = theme.ink;
    canvas.fill(this.path);
    canvas.globalAlpha = 1;
    canvas.lineWidth = 1.5;
    canvas.strokeStyle = theme.ink;
    canvas.stroke(this.path);
    this.area(state.curve.queue);
    canvas.fillStyle = hatch(canvas, theme.ink2);
    canvas.fill(this.path);
    canvas.fillStyle = theme.line2;
    canvas.fillRect(axis.left, FLOOR, axis.width + 12, 1);
  }

  area(level) {
    const { axis, state } = this;
    const path = (this.path = new Path2D());
    const end = Math.min(axis.x(state.end), axis.left + axis.width);
    const tops = level.tops(axis.from, axis.to, Math.ceil(axis.width));
    let before = 0;
    path.moveTo(axis.left, FLOOR);
    for (let x = 0; x < tops.length && axis.left + x < end; x++) {
      if (tops[x] === before) continue;
      path.lineTo(axis.left + x, this.y(before));
      path.lineTo(axis.left + x, this.y(tops[x]));
      before = tops[x];
    }
    path.lineTo(Math.max(end, axis.left), this.y(before));
    path.lineTo(Math.max(end, axis.left), FLOOR);
  }

  labels() {
    const { canvas, axis, theme, state } = this;
    canvas.font = theme.ui;
    canvas.fillStyle = theme.ink2;
    canvas.textAlign = "center";
    const now = state.isLive && state.now <= axis.to ? axis.x(state.now) : -Infinity;
    for (const { moment, label } of axis.ticks()) {
      const x = axis.x(moment);
      if (Math.abs(x - now) < 62 || x > axis.left + axis.width - 8) continue;
      canvas.fillText(label, Math.max(x, 14), FLOOR + 15);
    }
    canvas.fillStyle = theme.ink;
    canvas.font = theme.bold;
    if (now > axis.left) {
      canvas.fillText(`now ${length(state.now)}`, Math.min(now, axis.left + axis.width - 24), FLOOR + 15);
      canvas.fillRect(Math.round(now), STRIP, 1, CURVE);
    }
    this.peak();
    this.names();
  }

  peak() {
    const { canvas, axis, theme, state } = this;
    const { peak, peakAt, isExact } = state.curve;
    if (!peak || peakAt < axis.from || peakAt > axis.to) return;
    const x = axis.x(peakAt);
    const text = `peak ${thousands(peak)}${isExact ? ` at ${length(peakAt)}` : ""}`;
    canvas.beginPath();
    canvas.arc(x, this.y(peak), 3, 0, 2 * Math.PI);
    canvas.fill();
    canvas.font = theme.bold;
    const isFar = x + 130 > axis.left + axis.width;
    canvas.textAlign = isFar ? "right" : "left";
    canvas.fillText(text, x + (isFar ? -6 : 6), this.y(peak) - 5);
  }

  // Where the margin is wide enough, what the pictures are.
  names() {
    const { canvas, axis, theme } = this;
    if (axis.left < 120) return;
    canvas.textAlign = "left";
    canvas.font = theme.ui;
    canvas.fillStyle = theme.ink2;
    canvas.fillText("Whole run", 12, 19);
    canvas.fillText("hatched: still queued", 12, STRIP + 40);
    canvas.fillStyle = theme.ink;
    canvas.fillText("In flight", 12, STRIP + 24);
  }

  // --- under the pointer ------------------------------------------------------------------------

  crosshair(moment) {
    const { canvas, axis, theme, state } = this;
    const x = Math.round(axis.x(moment)) + 0.5;
    canvas.strokeStyle = theme.ink2;
    canvas.lineWidth = 1;
    canvas.setLineDash([2, 3]);
    canvas.beginPath();
    canvas.moveTo(x, STRIP);
    canvas.lineTo(x, HEAD);
    canvas.stroke();
    canvas.setLineDash([]);
    this.plate(`${length(moment)} · ${thousands(state.curve.flight.levelAt(moment))} in flight`, x);
  }

  measure(from, to) {
    const { canvas, axis, theme, state } = this;
    const [left, right] = [axis.x(from), axis.x(to)];
    canvas.globalAlpha = 0.14;
    canvas.fillStyle = theme.ink;
    canvas.fillRect(left, STRIP, right - left, CURVE);
    canvas.globalAlpha = 1;
    this.plate(state.measured, (left + right) / 2);
  }

  plate(text, x) {
    const { canvas, axis, theme } = this;
    canvas.font = theme.bold;
    canvas.textAlign = "center";
    const half = canvas.measureText(text).width / 2 + 7;
    const middle = Math.min(Math.max(x, half + 2), axis.left + axis.width + 10 - half);
    canvas.fillStyle = theme.ink;
    canvas.beginPath();
    canvas.roundRect(middle - half, FLOOR + 2, 2 * half, 18, 4);
    canvas.fill();
    canvas.fillStyle = theme.panel;
    canvas.fillText(text, middle, FLOOR + 15);
  }
}

// What fails and when: each is drawn in the strip.
export const problemsOf = (list) =>
  list.filter((span) => isProblem(span.mark)).map((span) => ({ mark: span.mark, gravity: span.gravity, moment: span.end }))
    .sort((one, other) => one.gravity - other.gravity);

const hatches = new Map();

function hatch(canvas, colour) {
  if (hatches.has(colour)) return hatches.get(colour);
  const tile = new OffscreenCanvas(5, 5);
  const pen = tile.getContext("2d");
  pen.strokeStyle = colour;
  pen.lineWidth = 1;
  pen.beginPath();
  for (const shift of [-5, 0, 5]) {
    pen.moveTo(shift, 5);
    pen.lineTo(shift + 5, 0);
  }
  pen.stroke();
  hatches.set(colour, canvas.createPattern(tile, "repeat"));
  return hatches.get(colour);
}
