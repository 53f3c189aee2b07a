// The run page comes alive: loads what is drawn, follows the stream, and joins the parts.

import { readAddress, writeAddress } from "./address.js";
import { Chart } from "./chart.js";
import { Details, Option, Tooltip } from "./details.js";
import { pointAtSpans } from "./findings.js";
import { followKeys } from "./keyboard.js";
import { Legend } from "./legend.js";
import { followPointer } from "./pointer.js";
import { Refresher } from "./refresh.js";
import { load } from "./source.js";
import { Stream } from "./stream.js";
import { plural, thousands } from "./words.js";

const AGAIN = 5_000; // milliseconds until more requests than can be drawn are counted anew
const SETTLED = 250; // after the last move, what is in view is asked for
const TICKS = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1_000 : 100;

const { run } = document.querySelector("[data-run]").dataset;
const root = document.getElementById("waterfall");

class Page {
  constructor(loaded) {
    const find = (name) => root.querySelector(`[data-${name}]`);
    this.notice = find("notice");
    this.status = find("status");
    this.whole = loaded;
    this.chart = new Chart(root);
    this.legend = new Legend(find("legend"), this.chart);
    this.details = new Details(document.getElementById("chosen"));
    this.option = new Option(this.chart.scroller);
    this.tooltip = new Tooltip(find("tooltip"), () => this.chart.now);
    this.refresher = new Refresher(run, () => this.decorate());
    this.wire(find);
    this.decorate();
    const wanted = readAddress(); // which the first drawing overwrites
    this.chart.show(loaded);
    this.goTo(wanted);
    this.stream = new Stream(run, loaded.head.events_after, {
      onSpans: (records) => this.take(records),
      onReset: () => this.reload(),
      onState: (state, words) => this.sayStream(find("stream"), state, words),
    });
  }

  wire(find) {
    const { chart, details, tooltip } = this;
    followPointer(chart, tooltip);
    followKeys(chart, { help: find("help"), details, tooltip });
    chart.on("choose", () => this.showChosen());
    chart.on("choose", () => writeAddress(chart));
    chart.on("update", () => this.updated(find));
    chart.on("move", () => this.moved(find));
    find("groupings").addEventListener("change", (event) => chart.group(event.target.value));
    find("in").addEventListener("click", () => chart.zoom(0.5));
    find("out").addEventListener("click", () => chart.zoom(2));
    find("fit").addEventListener("click", () => chart.showWhole());
    find("keys").addEventListener("click", () => find("help").showModal());
    find("all").addEventListener("click", () => this.showAll());
    addEventListener("hashchange", () => this.goTo(readAddress()));
  }

  // --- what the server says ---------------------------------------------------------------------

  take(records) {
    this.refresher.soon();
    if (this.whole.crowd) {
      this.reloading ??= setTimeout(() => this.reload(), AGAIN);
      return;
    }
    this.whole.spans.addRecords(records);
    if (this.whole.spans.list.length > this.whole.head.most) this.reload();
    else this.chart.update();
  }

  // All anew: too much was missed, or there is more than can be drawn.
  async reload() {
    clearTimeout(this.reloading);
    this.reloading = null;
    this.refresher.soon();
    const loaded = await loadPatiently();
    this.whole = loaded;
    this.chart.show(loaded);
    if (loaded.crowd) this.loadPart();
  }

  // Of a crowd, the part in view: its spans, when there are few enough.
  async loadPart() {
    const { axis } = this.chart;
    if (!this.whole.crowd || this.chart.only) return;
    if (axis.isWhole) {
      this.chart.show(this.whole);
      return;
    }
    const window = { from: Math.floor(axis.from / 1e3), to: Math.ceil(axis.to / 1e3) };
    const [part, whole] = [await load(run, window), this.whole];
    if (!axis.isWhole) this.chart.show(part, whole);
  }

  // --- what a person does -----------------------------------------------------------------------

  goTo({ rows, span, window }) {
    const { chart } = this;
    if (rows in { request: 1, slot: 1, connection: 1 }) chart.group(rows);
    if (span && chart.loaded.spans.byId.has(span)) chart.choose(chart.loaded.spans.byId.get(span));
    if (window) {
      chart.axis.show(...window);
      chart.moved();
    }
  }

  async showOnly(ids) {
    if (this.whole.crowd) this.chart.show(await load(run, { ids: ids.join(",") }), this.whole);
    this.chart.focus(ids);
    this.chart.scroller.focus({ preventScroll: true });
    root.scrollIntoView({ block: "nearest" });
  }

  showAll() {
    this.chart.focus(null);
    this.chart.scroller.focus({ preventScroll: true });
  }

  // --- what is told -----------------------------------------------------------------------------

  decorate() {
    this.legend.refresh();
    pointAtSpans((ids) => this.showOnly(ids));
  }

  updated(find) {
    const { chart } = this;
    for (const radio of find("groupings").querySelectorAll("input")) radio.checked = radio.value === chart.rowsKind;
    this.note();
    this.showChosen();
    this.tick();
    this.moved(find);
  }

  moved(find) {
    const { chart } = this;
    find("fit").textContent = chart.isLive && !chart.axis.isWhole ? "Follow" : "Fit";
    writeAddress(chart);
    const view = `${chart.axis.from} ${chart.axis.to} ${chart.only === null}`;
    if (!this.whole.crowd || this.view === view) return;
    this.view = view;
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.loadPart(), SETTLED);
  }

  note() {
    const { chart, whole } = this;
    const [words, all] = this.notice.children;
    const count = whole.head.count;
    const crowded = `${plural(count, "request")}: each column counts how many ended then. Zoom in to ${thousands(whole.head.most)} or fewer to see each.`;
    if (chart.only) words.textContent = `Showing ${thousands(chart.list.length)} of ${plural(whole.crowd ? count : whole.spans.list.length, "request")}.`;
    else words.textContent = chart.loaded.crowd ? crowded : "";
    all.hidden = !chart.only;
    this.notice.hidden = !words.textContent;
  }

  showChosen() {
    const { chart } = this;
    this.details.show(chart.chosen, chart.loaded.spans.beginUs);
    this.option.show(chart.chosen, chart.list, chart.now);
  }

  // While something is in flight its bars grow.
  tick() {
    if (this.ticking || !this.chart.isLive) return;
    this.ticking = setInterval(() => {
      if (document.hidden) return;
      this.chart.reach();
      this.chart.redraw();
      if (this.chart.isLive) return;
      clearInterval(this.ticking);
      this.ticking = null;
      this.say("Nothing is in flight any more.");
    }, TICKS);
  }

  sayStream(element, state, words) {
    element.textContent = words;
    element.dataset.state = state;
    if (state === "lost" || state === "gone") this.say(words);
    if (state === "live" && this.said === "connection lost, reconnecting") this.say("live again");
  }

  // For who listens: only what matters, not every change.
  say(words) {
    this.said = words;
    this.status.textContent = words;
  }
}

// What is drawn, from a server that may be gone for a while.
async function loadPatiently(wait = 1_000) {
  try {
    return await load(run);
  } catch (error) {
    if (error.status === 404) throw error;
    await new Promise((done) => { setTimeout(done, wait); });
    return loadPatiently(Math.min(2 * wait, 30_000));
  }
}

// A page without requests has no picture yet; the first request brings it.
function awaitFirst(loaded) {
  const reload = () => location.reload();
  if (loaded.head.count) reload();
  else new Stream(run, loaded.head.events_after, { onSpans: reload, onReset: reload, onState: () => {} });
}

if (root) root.hidden = false; // before there is anything to show, so that nothing jumps
const loaded = await loadPatiently();
if (root) globalThis.waterfall = new Page(loaded); // for the console, and for tests
else awaitFirst(loaded);
