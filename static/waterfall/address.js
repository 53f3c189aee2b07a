// What is shown stands in the address, so that a link leads back to it: #rows=slot&t=12.4-18&span=1-59

export function readAddress(hash = location.hash) {
  const said = new URLSearchParams(hash.slice(1));
  const [from, to] = (said.get("t") ?? "").split("-").map((seconds) => 1e9 * Number(seconds));
  return { rows: said.get("rows"), span: said.get("span"), window: to > from ? [from, to] : null };
}

export function writeAddress(chart) {
  const said = new URLSearchParams();
  if (chart.grouping) said.set("rows", chart.grouping);
  if (!chart.axis.isWhole) said.set("t", [chart.axis.from, chart.axis.to].map((ns) => (ns / 1e9).toFixed(6)).join("-"));
  if (chart.chosen) said.set("span", chart.chosen.id);
  const hash = said.toString();
  if (location.hash.slice(1) !== hash) history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
}
