// The picture: which spans in which rows, where on the page, and when it is drawn anew.

import { Axis } from "./axis.js";
import { Bars } from "./bars.js";
import { drawCrowd } from "./crowd.js";
import { Counted, Curve } from "./curve.js";
import { HEAD, Head, problemsOf } from "./head.js";
import { isProblem } from "./outcomes.js";
import { rowsBy } from "./rows.js";
import { onScheme, readTheme } from "./theme.js";
import { cut, length, plural } from "./words.js";

const MANY_ROWS = 60; // beyond, a row is a slot unless somebody wants otherwise
const FARTHEST = 2; // times what happened: plans beyond it would squeeze that
const ROOM = 440; // pixels, at most, for rows
const MARGIN = 46;
const LABELS = 178;
const PHONE = 620;
const AFTER = 46; // pixels after the axis, for the last words

export class Chart {
  // *root* is the element of the waterfall; *onDraw* hears of each drawing.
  constructor(root) {
    this.root = root;
    this.scroller = root.querySelector("[data-rows]");
    this.spacer = root.querySelector("[data-spacer]");
    this.headCanvas = root.querySelector("[data-head]");
    this.barsCanvas = root.querySelector("[data-bars]");
    this.axis = new Axis();
    this.head = new Head(this.headCanvas.getContext("2d"), this.axis);
    this.bars = new Bars(this.barsCanvas.getContext("2d"), this.axis);
    this.theme = readTheme();
    this.grouping = null; // until somebody chooses
    this.hidden = new Set(); // marks that are filtered out
    this.only = null; // ids, while a finding points at some
    this.chosen = null;
    this.hovered = null;
    this.pointer = null; // a moment
    this.listeners = [];
    this.frames = 0;
    onScheme(() => this.recolour());
    new ResizeObserver(() => this.resize()).observe(this.scroller);
    this.scroller.addEventListener("scroll", () => this.redraw(), { passive: true });
  }

  // --- what is shown ----------------------------------------------------------------------------

  // Takes what the server said of the run; *whole* remembers it while a part is shown.
  show(loaded, whole = loaded) {
    this.loaded = loaded;
    this.whole = whole;
    this.chosen = this.again(this.chosen);
    this.hovered = this.again(this.hovered);
    this.update();
  }

  // The same span in what has been loaded anew.
  again(span) {
    return (span && this.loaded.spans.byId.get(span.id)) ?? null;
  }

  // Takes up that spans were added or have changed.
  update() {
    const { spans, crowd } = this.loaded;
    this.isLive = this.loaded.head.count > 0 && spans.open > 0;
    this.rowsKind = this.grouping ?? this.usualGrouping();
    this.rows = crowd ? [] : rowsBy(this.rowsKind, spans.list, (span) => this.isShown(span));
    this.curve = this.whole.curve ? new Counted(this.whole.curve) : new Curve(spans.list);
    this.problems = this.whole.crowd ? problemsOfCrowd(this.whole.crowd) : problemsOf(spans.list);
    this.reach();
    this.resize();
    this.tell("update");
  }

  usualGrouping() {
    const { list } = this.loaded.spans;
    if (this.loaded.crowd) return "slot";
    const isRetried = list.some((span) => span.fields.attempt > 1);
    if (this.scroller.clientWidth < PHONE) return "slot";
    return list.length <= MANY_ROWS || (isRetried && list.length <= 4 * MANY_ROWS) ? "request" : "slot";
  }

  isShown(span) {
    return !this.hidden.has(span.mark) && (!this.only || this.only.has(span.id));
  }

  // How far the axis goes: what happened, and what is planned as far as that makes sense.
  reach() {
    const { spans, crowd } = this.whole;
    const end = crowd ? crowd.begin_ns + crowd.columns * crowd.column_ns : this.now;
    const due = spans.list.reduce((last, span) => Math.max(last, span.due ?? 0), 0);
    const needed = Math.max(end, Math.min(due, FARTHEST * end));
    this.axis.reach(this.isLive ? needed : 1.01 * needed, this.isLive);
  }

  // The moment it is in the run; when nothing is in flight any more, its end.
  get now() {
    return this.isLive ? this.loaded.clock() : this.loaded.spans.lastEnd;
  }

  get list() {
    return this.loaded.spans.list.filter((span) => this.isShown(span));
  }

  // --- where ------------------------------------------------------------------------------------

  get isPhone() {
    return this.scroller.clientWidth < PHONE;
  }

  get labelWidth() {
    if (this.loaded.crowd || this.rowsKind !== "request") return this.isPhone ? 32 : MARGIN;
    return this.isPhone ? 10 : LABELS;
  }

  get after() {
    return this.isPhone ? 14 : AFTER;
  }

  get rowHeight() {
    if (this.rowsKind === "request") return this.isPhone ? 34 : 22;
    return Math.floor(Math.min(30, Math.max(4, (ROOM - 8) / Math.max(this.rows.length, 1))));
  }

  get room() {
    return this.loaded.crowd ? 300 : Math.min(ROOM, Math.max(this.rows.length, 1) * this.rowHeight + 1);
  }

  resize() {
    if (!this.loaded) return;
    this.scroller.style.height = `${this.room}px`;
    this.spacer.style.height = `${this.loaded.crowd ? 0 : this.rows.length * this.rowHeight}px`;
    const width = this.scroller.clientWidth;
    fit(this.headCanvas, width, HEAD);
    fit(this.barsCanvas, width, this.room);
    this.spacer.style.marginTop = `${-this.room}px`;
    this.axis.place(this.labelWidth, width - this.labelWidth - this.after);
    this.redraw();
  }

  recolour() {
    this.theme = readTheme();
    this.redraw();
  }

  // --- drawing ----------------------------------------------------------------------------------

  redraw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    if (!this.loaded) return;
    this.frames += 1;
    this.drawHead();
    this.drawBars();
    this.tell("draw");
  }

  drawHead() {
    const { head, theme } = this;
    wipe(this.headCanvas);
    const now = this.now;
    const end = this.whole.crowd ? this.axis.extent : Math.max(now, this.loaded.spans.lastEnd);
    head.draw({ curve: this.curve, problems: this.problems, end, now, isLive: this.isLive, measured: this.measuredWords }, theme);
    if (this.measured) head.measure(...this.measured);
    else if (this.pointer !== null) head.crosshair(this.pointer);
  }

  drawBars() {
    const canvas = wipe(this.barsCanvas);
    if (this.loaded.crowd) {
      drawCrowd(canvas, this.axis, this.loaded.crowd, this.room, this.theme);
      return;
    }
    this.ground(canvas);
    canvas.save();
    canvas.beginPath();
    canvas.rect(this.axis.left - 6, 0, this.axis.width + this.after + 6, this.room);
    canvas.clip();
    this.bars.draw(this.rows, this.look, this.theme);
    this.ties(canvas);
    for (const span of new Set([this.hovered, this.chosen])) if (span) this.ring(canvas, span);
    canvas.restore();
    this.labels(canvas);
  }

  get look() {
    return {
      grouping: this.rowsKind, height: this.rowHeight, top: this.scroller.scrollTop, room: this.room,
      lift: this.rowsKind === "request" && this.isPhone ? 7 : 0, now: this.now,
      after: this.after - 4, chosen: this.chosen, hovered: this.hovered,
    };
  }

  // Stripes, the lines of the axis, now and the pointer.
  ground(canvas) {
    const { axis, theme, rowHeight, scroller } = this;
    const width = scroller.clientWidth;
    canvas.fillStyle = theme.sunk;
    const first = Math.floor(scroller.scrollTop / rowHeight);
    for (let row = first; row < this.rows.length && rowHeight >= 14; row++) {
      const y = row * rowHeight - scroller.scrollTop;
      if (y > this.room) break;
      canvas.globalAlpha = row === this.hovered?.row || row === this.chosen?.row ? 1 : 0.45;
      if (row % 2 || canvas.globalAlpha === 1) canvas.fillRect(0, y, width, rowHeight);
    }
    canvas.globalAlpha = 1;
    canvas.fillStyle = theme.line;
    for (const { moment } of axis.ticks()) canvas.fillRect(Math.round(axis.x(moment)), 0, 1, this.room);
    this.upright(canvas, this.isLive && this.now <= axis.to ? this.now : null, theme.ink, []);
    this.upright(canvas, this.pointer, theme.ink2, [2, 3]);
  }

  upright(canvas, moment, colour, dashes) {
    if (moment === null || moment < this.axis.from) return;
    canvas.strokeStyle = colour;
    canvas.lineWidth = 1;
    canvas.setLineDash(dashes);
    canvas.beginPath();
    canvas.moveTo(Math.round(this.axis.x(moment)) + 0.5, 0);
    canvas.lineTo(Math.round(this.axis.x(moment)) + 0.5, this.room);
    canvas.stroke();
    canvas.setLineDash([]);
  }

  // Among slots and connections the attempts of one key are tied together on demand.
  ties(canvas) {
    const span = this.hovered ?? this.chosen;
    if (!span || this.rowsKind === "request") return;
    const attempts = this.loaded.spans.attemptsOf(span).filter((one) => this.isShown(one));
    canvas.strokeStyle = this.theme.ink;
    canvas.setLineDash([3, 3]);
    canvas.lineWidth = 1.5;
    canvas.beginPath();
    attempts.slice(1).forEach((next, at) => this.tie(canvas, attempts[at], next));
    canvas.stroke();
    canvas.setLineDash([]);
  }

  tie(canvas, span, next) {
    const [x, after] = [this.axis.x(span.endBy(this.now)), this.axis.x(next.begin)];
    canvas.moveTo(x, this.middle(span));
    canvas.lineTo(after, this.middle(span));
    canvas.lineTo(after, this.middle(next));
  }

  middle(span) {
    return (span.row + 0.5) * this.rowHeight - this.scroller.scrollTop + this.look.lift;
  }

  ring(canvas, span) {
    if (!this.isShown(span)) return;
    const h = Math.min(this.rowHeight, 20);
    const x = Math.max(this.axis.x(span.begin) - 3, this.axis.left - 4);
    const over = Math.min(this.axis.x(span.endBy(this.now)) + 6, this.axis.left + this.axis.width + 8);
    if (over < x) return;
    canvas.strokeStyle = this.theme.ink;
    canvas.lineWidth = span === this.chosen ? 2 : 1;
    canvas.beginPath();
    canvas.roundRect(x, this.middle(span) - h / 2 + 1, over - x, h - 2, 4);
    canvas.stroke();
  }

  labels(canvas) {
    if (this.rowHeight < 10) return;
    const isUnder = this.rowsKind === "request" && this.isPhone;
    const first = Math.floor(this.scroller.scrollTop / this.rowHeight);
    const last = Math.min(this.rows.length, first + Math.ceil(this.room / this.rowHeight) + 1);
    for (let at = first; at < last; at++) {
      const y = at * this.rowHeight - this.scroller.scrollTop;
      this.label(canvas, this.rows[at], isUnder ? y + 8 : y + this.rowHeight / 2 + 0.5, isUnder);
    }
  }

  label(canvas, { name, words }, y, isUnder) {
    canvas.textBaseline = "middle";
    canvas.fillStyle = this.theme.ink2;
    canvas.font = this.theme.ui;
    canvas.textAlign = isUnder ? "left" : "right";
    canvas.fillText(name, isUnder ? 8 : Math.min(this.axis.left - 9, 34), y);
    if (!words) return;
    canvas.fillStyle = this.theme.ink;
    canvas.font = this.theme.mono;
    canvas.textAlign = "left";
    canvas.fillText(cut(words, isUnder ? 46 : 19), isUnder ? 34 : 42, y);
  }

  // --- finding spans ----------------------------------------------------------------------------

  // The span at a place in the view of the rows; null where there is none.
  at(x, y) {
    const row = this.rows[Math.floor((y + this.scroller.scrollTop) / this.rowHeight)];
    let [nearest, least] = [null, 8];
    for (const span of row?.spans ?? []) {
      const [begin, end] = [this.axis.x(span.begin), this.axis.x(span.endBy(this.now))];
      const away = Math.max(begin - x, x - end, 0);
      if (away < least) [nearest, least] = [span, away];
    }
    return nearest;
  }

  hover(span, moment) {
    if (span === this.hovered && moment === this.pointer) return;
    this.hovered = span;
    this.pointer = moment;
    this.redraw();
  }

  choose(span, { scroll = true } = {}) {
    this.chosen = span;
    if (span && scroll) this.reveal(span);
    this.redraw();
    this.tell("choose");
  }

  reveal(span) {
    const y = span.row * this.rowHeight;
    const { scrollTop } = this.scroller;
    if (y < scrollTop) this.scroller.scrollTop = y;
    if (y + this.rowHeight > scrollTop + this.room) this.scroller.scrollTop = y + this.rowHeight - this.room;
    const end = Math.min(span.endBy(this.now), this.axis.extent);
    if (end < this.axis.from || span.begin > this.axis.to) {
      const half = (this.axis.to - this.axis.from) / 2;
      this.axis.show(span.begin - half / 2, span.begin + 1.5 * half);
    }
  }

  // --- what is in view --------------------------------------------------------------------------

  group(grouping) {
    this.grouping = grouping;
    this.update();
    if (this.chosen) this.reveal(this.chosen);
  }

  // Shows only these spans, and the time they took; null shows all again.
  focus(ids) {
    this.only = ids && new Set(ids);
    this.update();
    if (!ids) {
      this.axis.showWhole();
      this.redraw();
      return;
    }
    this.fit(this.list);
    this.choose(this.list[0] ?? null);
  }

  fit(list) {
    if (!list.length) return;
    const from = Math.min(...list.map((span) => span.begin));
    const to = Math.max(...list.map((span) => Math.max(span.endBy(this.now), Math.min(span.due ?? 0, this.axis.extent))));
    const edge = Math.max(0.06 * (to - from), 1e3);
    this.axis.show(from - edge, to + 2 * edge);
    this.moved();
  }

  zoom(factor, moment = this.middleOfInterest()) {
    this.axis.zoom(factor, moment);
    this.moved();
  }

  middleOfInterest() {
    const { chosen, axis } = this;
    const middle = chosen && (chosen.begin + chosen.endBy(this.now)) / 2;
    return middle > axis.from && middle < axis.to ? middle : (axis.from + axis.to) / 2;
  }

  pan(share) {
    this.axis.pan(share);
    this.moved();
  }

  showWhole() {
    this.axis.showWhole();
    this.moved();
  }

  moved() {
    this.redraw();
    this.tell("move");
  }

  measure(from, to) {
    this.measured = to > from ? [from, to] : null;
    this.measuredWords = this.measured ? this.measuring(from, to) : "";
    this.redraw();
  }

  measuring(from, to) {
    const during = this.loaded.spans.list.filter((span) => span.begin < to && span.endBy(this.now) > from);
    const peak = Math.max(...this.curve.flight.tops(from, to, 200));
    return `${length(to - from)} · ${plural(during.length, "request")} · peak ${peak}`;
  }

  // --- telling others ---------------------------------------------------------------------------

  on(name, listener) {
    this.listeners.push([name, listener]);
  }

  tell(name) {
    this.listeners.forEach(([each, listener]) => each === name && listener());
  }
}

// Sizes a canvas in device pixels; a size that is set anew wipes it, so only when it differs.
function fit(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
}

function wipe(canvas) {
  const context = canvas.getContext("2d");
  const ratio = devicePixelRatio || 1;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  return context;
}

function problemsOfCrowd({ begin_ns: begin, column_ns: length, ends }) {
  return Object.entries(ends).filter(([mark]) => isProblem(mark)).flatMap(([mark, counts]) =>
    counts.flatMap((count, at) => (count ? [{ mark, moment: begin + (at + 0.5) * length }] : [])));
}
