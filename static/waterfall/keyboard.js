// The keys of the waterfall, while it has the focus.

import { GROUPINGS } from "./rows.js";
import { isProblem } from "./outcomes.js";

export function followKeys(chart, { help, details, tooltip }) {
  const isOther = (span) => span !== chart.chosen;
  const step = (by) => chart.choose(beside(chart.list, chart.chosen, by));
  const toProblem = (by) => {
    const problems = chart.list.filter((span) => isProblem(span.mark) || !isOther(span));
    chart.choose(beside(problems, chart.chosen, by));
  };
  let before = null;

  const actions = {
    ArrowDown: () => step(1),
    j: () => step(1),
    ArrowUp: () => step(-1),
    k: () => step(-1),
    Home: () => chart.choose(chart.list[0] ?? null),
    End: () => chart.choose(chart.list.at(-1) ?? null),
    n: () => toProblem(1),
    p: () => toProblem(-1),
    r: () => chart.choose(nextAttempt(chart)),
    ArrowLeft: (event) => chart.pan(event.shiftKey ? -0.5 : -0.1),
    ArrowRight: (event) => chart.pan(event.shiftKey ? 0.5 : 0.1),
    "+": () => chart.zoom(0.5),
    "=": () => chart.zoom(0.5),
    "-": () => chart.zoom(2),
    z: () => { before = zoomToChosen(chart, before); },
    0: () => chart.showWhole(),
    f: () => chart.showWhole(),
    g: () => chart.group(GROUPINGS[(GROUPINGS.indexOf(chart.rowsKind) + 1) % GROUPINGS.length]),
    Enter: () => (chart.measured ? zoomToMeasured(chart) : details.focus()),
    Escape: () => leave(chart, tooltip),
    "?": () => help.showModal(),
  };

  chart.scroller.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || !Object.hasOwn(actions, event.key)) return;
    event.preventDefault();
    actions[event.key](event);
  });
}

function beside(list, span, by) {
  if (!list.length) return null;
  const at = list.indexOf(span);
  if (at < 0) return by > 0 ? list[0] : list.at(-1);
  return list[Math.min(Math.max(at + by, 0), list.length - 1)];
}

// The attempt after the chosen one, and after the last the first.
function nextAttempt(chart) {
  if (!chart.chosen) return null;
  const attempts = chart.loaded.spans.attemptsOf(chart.chosen);
  return attempts[(attempts.indexOf(chart.chosen) + 1) % attempts.length];
}

// There, or back again.
function zoomToChosen(chart, before) {
  const { axis, chosen } = chart;
  if (!chosen) return null;
  if (before?.span === chosen) {
    axis.show(before.from, before.to);
    chart.moved();
    return null;
  }
  const here = { span: chosen, from: axis.from, to: axis.to };
  chart.fit([chosen]);
  return here;
}

function zoomToMeasured(chart) {
  chart.axis.show(...chart.measured);
  chart.measure(0, 0);
  chart.moved();
}

// One thing at a time: the tooltip, what is measured, what a finding shows, what is chosen.
function leave(chart, tooltip) {
  if (tooltip.isShown) tooltip.hide();
  else if (chart.measured) chart.measure(0, 0);
  else if (chart.only) chart.focus(null);
  else chart.choose(null);
}
