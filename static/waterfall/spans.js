// The spans of a run in order of arrival; all times in nanoseconds since its first arrival.

import { gravity, markOf } from "./outcomes.js";

const MOMENTS = ["arrival_ns", "wait_begun_ns", "first_byte_ns", "last_byte_ns", "end_ns"];

class Span {
  constructor(fields) {
    this.row = 0;
    this.read(fields);
  }

  // The phases of a bar: it is free of queue and barrier, then the reply begins, then it ends.
  read(fields) {
    this.fields = fields;
    this.id = fields.id;
    this.key = fields.key;
    this.mark = markOf(fields);
    this.gravity = gravity(this.mark);
    this.begin = fields.arrival_ns;
    this.end = fields.end_ns ?? Infinity;
    this.free = Math.min(fields.wait_begun_ns ?? this.begin + queued(fields), this.end);
    this.reply = Math.min(fields.first_byte_ns ?? this.end, this.end);
    this.due = due(fields);
  }

  get isOpen() {
    return this.end === Infinity;
  }

  endBy(now) {
    return this.end === Infinity ? Math.max(now, this.begin) : this.end;
  }
}

// A wait that goes on has no length yet, so it lasts to the end of time.
function queued(fields) {
  const ns = fields.queue_wait_ns + fields.barrier_wait_ns;
  return fields.end_ns === null && fields.delay_ns !== null && !ns ? Infinity : ns;
}

// When the byte that was still owed (with drip: the last) was meant to go out; else null.
function due(fields) {
  const owed = fields.drip === null ? fields.first_byte_ns : fields.last_byte_ns;
  if (owed !== null || fields.wait_begun_ns === null || fields.delay_ns === null) return null;
  return fields.wait_begun_ns + fields.delay_ns * fields.time_scale;
}

export class Spans {
  constructor(beginUs) {
    this.beginUs = beginUs;
    this.list = [];
    this.byId = new Map();
    this.attempts = new Map(); // key -> its spans in order of arrival
    this.open = 0;
    this.lastEnd = 0;
  }

  // Spans by columns, as the server sends many: a value that all have in common stands alone.
  addColumns(columns) {
    const names = Object.keys(columns);
    for (let place = 0; place < columns.id.length; place++) {
      const fields = {};
      for (const name of names) {
        const values = columns[name];
        fields[name] = Array.isArray(values) ? values[place] : values;
      }
      this.put(fields);
    }
    this.sort();
  }

  // Spans as events tell of them, in nanoseconds since the Unix epoch.
  addRecords(records) {
    for (const record of records) {
      const fields = { ...record };
      for (const name of MOMENTS) {
        if (fields[name] !== null) fields[name] -= this.beginUs * 1e3;
      }
      this.put(fields);
    }
    this.sort();
  }

  put(fields) {
    const known = this.byId.get(fields.id);
    if (known) {
      if (known.isOpen) known.read(fields); // news that come late change no end
      return;
    }
    const span = new Span(fields);
    this.byId.set(span.id, span);
    this.list.push(span);
    if (span.key === null) return;
    if (!this.attempts.has(span.key)) this.attempts.set(span.key, []);
    this.attempts.get(span.key).push(span);
  }

  // Puts all in order, once some have been added or have changed.
  sort() {
    const earlier = (one, other) => one.begin - other.begin;
    if (this.list.some((span, at) => at && span.begin < this.list[at - 1].begin)) {
      this.list.sort(earlier);
      this.attempts.forEach((spans) => spans.sort(earlier));
    }
    this.open = 0;
    this.lastEnd = 0;
    this.list.forEach((span, at) => {
      span.place = at;
      if (span.isOpen) this.open += 1;
      else this.lastEnd = Math.max(this.lastEnd, span.end);
    });
  }

  attemptsOf(span) {
    return span.key === null ? [span] : this.attempts.get(span.key);
  }
}
