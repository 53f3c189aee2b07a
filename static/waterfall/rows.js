// What a row is: a request with its retries, a slot, or a connection.

export const GROUPINGS = ["request", "slot", "connection"];

// Rows of spans, each in order of arrival, and what stands before them.
export function rowsBy(grouping, list, isShown) {
  const rows = { request: byRequest, slot: bySlot, connection: byConnection }[grouping](list, isShown);
  rows.forEach((row, at) => row.spans.forEach((span) => { span.row = at; }));
  return rows;
}

function byRequest(list, isShown) {
  return grouped(list.filter(isShown), (span) => span.key ?? span, (span) => ({
    name: String(span.place + 1),
    words: `${span.fields.method} ${span.fields.target}`,
  }));
}

function byConnection(list, isShown) {
  return grouped(list.filter(isShown), (span) => span.fields.connection, (span) => ({
    name: String(span.fields.connection),
    words: "",
  }));
}

function grouped(list, groupOf, label) {
  const rows = new Map();
  for (const span of list) {
    const group = groupOf(span);
    if (!rows.has(group)) rows.set(group, { ...label(span), spans: [] });
    rows.get(group).spans.push(span);
  }
  return [...rows.values()];
}

// Each takes the lowest slot that is free when it arrives, so there are as many as the peak in
// flight, and a slot once taken never changes. One that ends at that very moment has left.
function bySlot(list, isShown) {
  const rows = [];
  const busy = new Heap((one, other) => one.end < other.end);
  const free = new Heap((one, other) => one < other);
  for (const span of list) {
    while (busy.size && busy.top.end <= span.begin) free.push(busy.pop().slot);
    const slot = free.size ? free.pop() : rows.push({ name: String(rows.length + 1), words: "", spans: [] }) - 1;
    busy.push({ end: span.end, slot });
    if (isShown(span)) rows[slot].spans.push(span);
  }
  return rows;
}

class Heap {
  constructor(precedes) {
    this.precedes = precedes;
    this.items = [];
  }

  get size() {
    return this.items.length;
  }

  get top() {
    return this.items[0];
  }

  push(item) {
    const { items } = this;
    let at = items.push(item) - 1;
    while (at && this.precedes(items[at], items[(at - 1) >> 1])) at = this.swap(at, (at - 1) >> 1);
  }

  pop() {
    const { items } = this;
    const top = items[0];
    const last = items.pop();
    if (items.length) {
      items[0] = last;
      this.sink(0);
    }
    return top;
  }

  sink(at) {
    const { items } = this;
    for (;;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < items.length && this.precedes(items[child], items[least])) least = child;
      }
      if (least === at) return;
      at = this.swap(at, least);
    }
  }

  swap(one, other) {
    const { items } = this;
    [items[one], items[other]] = [items[other], items[one]];
    return other;
  }
}
