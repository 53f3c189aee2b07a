// How requests end: the mark of each end, the words for it, and which of two is graver.

// The gravest last: drawn over the others, and shown where several share a pixel.
export const MARKS = [
  "completed", "in_flight", "error_status", "rejected", "shutdown", "client_gone", "faulted", "error",
];

const WORDS = {
  completed: "completed", in_flight: "in flight", error_status: "error status",
  rejected: "rejected", shutdown: "cut by shutdown", client_gone: "client left",
  faulted: "faulted", error: "our error",
};

// A complete reply whose status says no is no outcome of its own, but looks like one.
export function markOf(fields) {
  return fields.outcome === "completed" && fields.status >= 400 ? "error_status" : fields.outcome;
}

export const gravity = (mark) => MARKS.indexOf(mark);
export const isProblem = (mark) => mark !== "completed" && mark !== "in_flight";
export const wordsFor = (mark) => WORDS[mark] ?? mark;
