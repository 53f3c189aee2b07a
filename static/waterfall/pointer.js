// The hand: hovering, choosing, dragging, wheeling, pinching.

import { isStrip } from "./head.js";

const STILL = 4; // pixels: less is a click

export function followPointer(chart, tooltip) {
  onRows(chart, tooltip);
  onHead(chart);
  for (const element of [chart.scroller, chart.headCanvas]) {
    element.addEventListener("wheel", (event) => wheel(chart, event), { passive: false });
  }
}

// --- rows: hover, choose, drag to pan, two fingers to zoom --------------------------------------

function onRows(chart, tooltip) {
  const { scroller } = chart;
  const fingers = new Map();
  let grip = null;

  scroller.addEventListener("pointerdown", (event) => {
    if (event.button || outside(chart, event)) return;
    fingers.set(event.pointerId, event.clientX);
    grip = { x: event.clientX, from: chart.axis.from, to: chart.axis.to, isMoved: false, apart: apart(fingers) };
  });

  scroller.addEventListener("pointermove", (event) => {
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, event.clientX);
    if (grip && fingers.size === 2) pinch(chart, grip, fingers);
    else if (grip && fingers.size === 1) drag(chart, grip, event);
    if (!grip?.isMoved) hover(chart, tooltip, event);
  });

  scroller.addEventListener("pointerup", (event) => {
    if (grip && !grip.isMoved && fingers.size === 1) chart.choose(spanAt(chart, event), { scroll: false });
    release(event);
  });
  scroller.addEventListener("pointercancel", release);
  scroller.addEventListener("pointerleave", () => {
    chart.hover(null, null);
    tooltip.hide();
  });
  scroller.addEventListener("dblclick", (event) => {
    const span = spanAt(chart, event);
    if (span) chart.fit([span]);
  });

  function release(event) {
    fingers.delete(event.pointerId);
    grip = null;
  }
}

// On the scroll bar, which is the browser's.
function outside(chart, event) {
  return event.clientX - chart.scroller.getBoundingClientRect().left > chart.scroller.clientWidth;
}

function place(element, event) {
  const box = element.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

const spanAt = (chart, event) => chart.at(...place(chart.scroller, event));

function hover(chart, tooltip, event) {
  if (event.pointerType === "touch") return;
  const [x] = place(chart.scroller, event);
  const span = spanAt(chart, event);
  chart.hover(span, x >= chart.axis.left ? chart.axis.moment(x) : null);
  if (span) tooltip.show(span, event);
  else tooltip.hide();
}

function drag(chart, grip, event) {
  const away = event.clientX - grip.x;
  if (!grip.isMoved && Math.abs(away) < STILL) return;
  if (!grip.isMoved) chart.scroller.setPointerCapture(event.pointerId);
  grip.isMoved = true;
  const shift = (-away / chart.axis.width) * (grip.to - grip.from);
  chart.axis.show(grip.from + shift, grip.to + shift);
  chart.moved();
}

function apart(fingers) {
  const [one, other] = [...fingers.values()];
  return other === undefined ? 0 : Math.max(Math.abs(one - other), 1);
}

function pinch(chart, grip, fingers) {
  const factor = grip.apart / apart(fingers);
  const middle = [...fingers.values()].reduce((sum, x) => sum + x, 0) / 2;
  const x = middle - chart.scroller.getBoundingClientRect().left;
  grip.isMoved = true;
  chart.axis.show(grip.from, grip.to);
  chart.zoom(factor, chart.axis.moment(x));
}

// --- above the rows: drag in the strip to move the window, in the curve to measure --------------

function onHead(chart) {
  const { headCanvas: canvas, axis, head } = chart;
  let grip = null;

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    const [x, y] = place(canvas, event);
    canvas.setPointerCapture(event.pointerId);
    grip = { y, from: axis.from, to: axis.to, x, handle: head.handleAt(x) };
    chart.measure(0, 0);
  });

  canvas.addEventListener("pointermove", (event) => {
    const [x] = place(canvas, event);
    if (!grip) chart.hover(null, axis.moment(x));
    else if (isStrip(grip.y)) brush(chart, grip, x);
    else chart.measure(...[axis.moment(grip.x), axis.moment(x)].sort((one, other) => one - other));
  });

  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { grip = null; });
  canvas.addEventListener("pointerleave", () => chart.hover(null, null));
  canvas.addEventListener("dblclick", () => chart.showWhole());
}

function brush(chart, grip, x) {
  const { axis, head } = chart;
  const [moment, first] = [head.stripMoment(x), head.stripMoment(grip.x)];
  const isWhole = grip.to - grip.from >= axis.extent;
  if (grip.handle === "from") axis.show(Math.min(moment, grip.to), grip.to);
  else if (grip.handle === "to") axis.show(grip.from, Math.max(moment, grip.from));
  else if (isWhole) axis.show(Math.min(first, moment), Math.max(first, moment));
  else axis.show(grip.from + moment - first, grip.to + moment - first);
  chart.moved();
}

// --- the wheel: alone it scrolls the page, as everywhere ----------------------------------------

function wheel(chart, event) {
  const sideways = event.shiftKey ? event.deltaY : event.deltaX;
  if (event.ctrlKey || event.metaKey) {
    const [x] = place(chart.scroller, event);
    chart.zoom(Math.exp(event.deltaY / 300), chart.axis.moment(x));
  } else if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) {
    chart.pan(sideways / chart.axis.width);
  } else {
    return;
  }
  event.preventDefault();
}
