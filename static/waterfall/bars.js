// Draws rows of bars: what waited, what was answered, how it ended, what had been planned.

import { MARKS, isProblem } from "./outcomes.js";
import { addEnd } from "./shapes.js";
import { length } from "./words.js";

const TINT = 0.26;
const COLUMN = 1.5; // pixels: what is narrower shares its column with its neighbours
const PHASES = 3; // pixels: what is narrower is solid
const WORDS = 14; // pixels: lower rows have no words
const ENDS = 6; // and lower ones than this no ends

// One path for each style, filled once: thousands of bars cost a dozen calls.
class Ink {
  constructor() {
    this.waiting = {}; // with an edge
    this.thin = {}; // in rows that have no room for edges
    this.solid = {};
    this.ends = {};
    for (const mark of MARKS) {
      this.waiting[mark] = new Path2D();
      this.thin[mark] = new Path2D();
      this.solid[mark] = new Path2D();
      this.ends[mark] = new Path2D();
    }
    this.queues = new Path2D();
    this.barriers = new Path2D();
    this.ghosts = new Path2D();
    this.rails = new Path2D();
    this.fresh = new Path2D();
    this.late = new Path2D();
    this.texts = [];
  }

  pour(canvas, theme) {
    canvas.lineWidth = 1;
    canvas.strokeStyle = theme.line2;
    canvas.fillStyle = theme.line2;
    canvas.setLineDash([2, 2]);
    canvas.stroke(this.ghosts);
    canvas.setLineDash([4, 3]);
    canvas.lineWidth = 2;
    canvas.stroke(this.barriers);
    canvas.strokeStyle = theme.ink2;
    canvas.lineWidth = 1;
    canvas.stroke(this.rails);
    canvas.setLineDash([]);
    canvas.fill(this.queues);
    for (const mark of MARKS) this.pourMark(canvas, theme, mark);
    canvas.fillStyle = theme.ink;
    canvas.fill(this.late);
    canvas.lineWidth = 1.5;
    canvas.strokeStyle = theme.ink;
    canvas.fillStyle = theme.panel;
    canvas.fill(this.fresh);
    canvas.stroke(this.fresh);
    for (const { text, x, y, inside } of this.texts) {
      canvas.fillStyle = inside ? theme.ink : theme.ink2;
      canvas.fillText(text, x, y);
    }
  }

  pourMark(canvas, theme, mark) {
    canvas.fillStyle = theme.marks[mark];
    canvas.strokeStyle = theme.marks[mark];
    canvas.globalAlpha = TINT;
    canvas.fill(this.waiting[mark]);
    canvas.fill(this.thin[mark]);
    canvas.globalAlpha = 1;
    canvas.lineWidth = 1;
    canvas.stroke(this.waiting[mark]);
    canvas.fill(this.solid[mark]);
    canvas.lineWidth = 2;
    canvas.stroke(this.ends[mark]);
  }
}

export class Bars {
  constructor(canvas, axis) {
    this.canvas = canvas;
    this.axis = axis;
  }

  // Draws those of *rows* that are in view; *look* says how: height, scroll, grouping, now, chosen...
  draw(rows, look, theme) {
    this.look = look;
    this.ink = new Ink();
    const last = Math.min(rows.length, Math.ceil((look.top + look.room) / look.height));
    for (let at = Math.floor(look.top / look.height); at < last; at++) this.row(rows[at].spans, at);
    this.canvas.font = theme.ui;
    this.canvas.textBaseline = "middle";
    this.canvas.textAlign = "left";
    this.ink.pour(this.canvas, theme);
  }

  row(spans, at) {
    const { axis, look } = this;
    const inset = look.height >= 20 ? (look.height - 12) / 2 : look.height >= ENDS ? 1 : 0.5;
    const box = { y: at * look.height - look.top + inset + look.lift, h: look.height - 2 * inset - look.lift };
    if (look.height >= 20) box.h = 12;
    let column = null;
    for (let place = 0; place < spans.length; place++) {
      const span = spans[place];
      if (span.begin > axis.to) break;
      if (this.isBefore(span, spans[place + 1])) continue;
      const width = (span.endBy(look.now) - span.begin) / axis.perPixel;
      if (width >= COLUMN || look.height >= 20) {
        this.bar(spans, place, box, width);
        continue;
      }
      column = this.share(column, span, box);
    }
    if (column) this.fillColumn(column, box);
  }

  // Whether nothing of it, nor of what leads to the next, reaches into view.
  isBefore(span, next) {
    const { axis, look } = this;
    const isLinked = look.grouping === "request" && next && next.begin > axis.from;
    return !isLinked && Math.max(span.endBy(look.now), span.due ?? 0) < axis.from;
  }

  // Narrow bars share a pixel, and the gravest of them shows.
  share(column, span, box) {
    const x = Math.floor(this.axis.x(span.begin));
    if (column && column.x === x) {
      if (span.gravity > column.gravity) Object.assign(column, { gravity: span.gravity, mark: span.mark });
      return column;
    }
    if (column) this.fillColumn(column, box);
    return { x, gravity: span.gravity, mark: span.mark };
  }

  fillColumn({ x, mark }, { y, h }) {
    this.ink.solid[mark].rect(x, y, mark === "completed" || mark === "in_flight" ? 1 : 2, h);
  }

  bar(spans, place, box, width) {
    const span = spans[place];
    const { axis, look, ink } = this;
    const { y, h } = box;
    const left = axis.left - 4;
    const right = axis.left + axis.width + 8;
    const clip = (x) => Math.min(Math.max(x, left), right);
    const end = span.endBy(look.now);
    const [begin, free, reply, over] = [span.begin, Math.min(span.free, end), Math.min(span.reply, end), end]
      .map((moment) => clip(axis.x(moment)));
    if (width < PHASES && span.mark !== "rejected") {
      ink.solid[span.mark].rect(begin, y, Math.max(over - begin, 2), h);
    } else {
      if (free - begin > 1) this.queue(span, begin, free, y + h / 2);
      if (reply - free > 0.5) this.waiting(span, free, reply, box);
      if (over - reply > 0.5) this.reply(span, reply, over, box);
    }
    if (h >= ENDS - 2 && over < right && over > left) this.end(span, over, box);
    else if (h < ENDS - 2 && over < right) ink.solid[span.mark].rect(over - 2, y, 2, h);
    this.ghost(span, spans[place + 1], over, box, clip);
    if (look.grouping === "request") this.rail(spans[place + 1], over, y + h / 2, clip);
    if (look.grouping === "connection" && span.fields.connection_request === 1 && begin > left) {
      ink.fresh.moveTo(begin + 3, y + h / 2);
      ink.fresh.arc(begin, y + h / 2, 3, 0, 2 * Math.PI);
    }
    if (look.height >= WORDS) this.words(spans, place, free, over, box);
  }

  waiting(span, free, reply, { y, h }) {
    if (h < ENDS - 2 && isProblem(span.mark)) this.ink.solid[span.mark].rect(free, y, reply - free, h);
    else if (h < ENDS - 2) this.ink.thin[span.mark].rect(free, y, reply - free, h);
    else this.ink.waiting[span.mark].rect(free + 0.5, y + 0.5, reply - free - 1, h - 1);
  }

  queue(span, begin, free, middle) {
    this.ink.queues.rect(begin, middle - 3, 1.5, 6);
    if (!span.fields.barrier_wait_ns) {
      this.ink.queues.rect(begin, middle - 1, free - begin, 2);
      return;
    }
    this.ink.barriers.moveTo(begin, middle);
    this.ink.barriers.lineTo(free, middle);
  }

  // A body that dripped shows its drops, where there is room between them.
  reply(span, reply, over, { y, h }) {
    const drops = span.fields.drip ?? 1;
    const each = (over - reply) / drops;
    if (each < 3 || drops === 1) {
      this.ink.solid[span.mark].rect(reply, y, over - reply, h);
      return;
    }
    for (let drop = 0; drop < drops; drop++) this.ink.solid[span.mark].rect(reply + drop * each, y, each - 1, h);
  }

  end(span, x, { y, h }) {
    const { ink } = this;
    addEnd(span.mark, ink.solid[span.mark], ink.ends[span.mark], x, y, h);
    const planned = span.fields.wait_begun_ns + (span.fields.delay_ns ?? 0) * span.fields.time_scale;
    if (span.fields.drip === null && span.fields.first_byte_ns - planned > 5e6 && span.mark !== "rejected") {
      ink.late.rect(Math.round(this.axis.x(planned)), y - 1, 1, h + 2);
    }
  }

  // What had been planned but was not reached. Where others follow in the row, whole only on demand.
  ghost(span, next, over, { y, h }, clip) {
    const { axis, look, ink } = this;
    if (span.due === null || h < ENDS) return;
    const isWanted = span.isOpen || span === look.hovered || span === look.chosen;
    if (look.grouping === "slot" && !isWanted) return;
    const due = clip(axis.x(isWanted || !next ? span.due : Math.min(span.due, next.begin)));
    if (due - over < 2) return;
    ink.ghosts.moveTo(over, y + 0.5);
    ink.ghosts.lineTo(due - 0.5, y + 0.5);
    ink.ghosts.lineTo(due - 0.5, y + h - 0.5);
    ink.ghosts.lineTo(over, y + h - 0.5);
  }

  rail(next, over, middle, clip) {
    if (!next) return;
    const begin = clip(this.axis.x(next.begin));
    if (begin - over < 2) return;
    this.ink.rails.moveTo(over + 6, middle);
    this.ink.rails.lineTo(begin, middle);
  }

  // Beside the bar, or in it when it is long: by request rather beside, else rather in it.
  words(spans, place, free, over, { y, h }) {
    const { axis, look, ink } = this;
    const [span, next] = [spans[place], spans[place + 1]];
    const text = wordsBeside(span, look.now, next);
    if (!text || over < axis.left) return;
    const room = 6 * text.length + 10;
    const fits = over - free > room && free >= axis.left;
    const from = Math.max(over, span.due === null ? 0 : axis.x(span.due)) + 9;
    const until = next ? axis.x(next.begin) : axis.left + axis.width + look.after;
    const isFree = from + room < until;
    const inside = fits && (look.grouping !== "request" || (!isFree && !next));
    if (inside || isFree) ink.texts.push({ text, x: inside ? free + 6 : from, y: y + h / 2 + 0.5, inside });
  }
}

// The few words that say more than the bar.
function wordsBeside(span, now, next) {
  const { fields } = span;
  const tries = !next && fields.attempt > 1 ? ` · attempt ${fields.attempt}` : "";
  const took = length(span.endBy(now) - span.begin);
  switch (span.mark) {
    case "in_flight": return span.due === null ? "" : `due at ${length(span.due)}`;
    case "client_gone": return `left after ${took}`;
    case "faulted": return fields.fault ?? "faulted";
    case "completed": return took + tries;
    default: return (fields.status ? String(fields.status) : span.mark) + tries;
  }
}
