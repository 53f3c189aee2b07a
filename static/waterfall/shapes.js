// The ends of bars, one shape an outcome, so that none is told by its colour alone.

const FILLED = {
  completed: (path, x, y, h) => path.rect(x - 3.5, y, 3.5, h),
  error_status: (path, x, y, h) => polygon(path, [[x - 1, y - 1], [x + h / 2 + 1, y + h / 2], [x - 1, y + h + 1]]),
  faulted: (path, x, y, h) => polygon(path, [
    [x - 6, y], [x, y], [x + h / 4, y + h / 4], [x, y + h / 2], [x + h / 4, y + (3 * h) / 4], [x, y + h], [x - 6, y + h],
  ]),
  rejected: (path, x, y, h) => polygon(path, [
    [x, y + h / 2 - 5], [x + 5, y + h / 2], [x, y + h / 2 + 5], [x - 5, y + h / 2],
  ]),
  error: (path, x, y, h) => path.rect(x - 5, y + h / 2 - 5, 10, 10),
  shutdown: (path, x, y, h) => [0, 1, 2].forEach((part) => path.rect(x - 3.5, y + part * (h / 3 + 0.3), 3.5, h / 4)),
};

const DRAWN = {
  client_gone: (path, x, y, h) => {
    const reach = Math.min(h / 3, 4);
    lines(path, [[x - reach, y + h / 2 - reach], [x + reach, y + h / 2 + reach]]);
    lines(path, [[x - reach, y + h / 2 + reach], [x + reach, y + h / 2 - reach]]);
  },
  in_flight: (path, x, y, h) => lines(path, [[x - 3, y + h / 2 - 4], [x + 1, y + h / 2], [x - 3, y + h / 2 + 4]]),
};

// Adds the end of a bar at (x, y), h high, to the path that is filled or to the one that is drawn.
export function addEnd(mark, filled, drawn, x, y, h) {
  if (FILLED[mark]) FILLED[mark](filled, x, y, h);
  else DRAWN[mark](drawn, x, y, h);
}

function polygon(path, points) {
  lines(path, points);
  path.closePath();
}

function lines(path, points) {
  points.forEach(([x, y], at) => (at ? path.lineTo(x, y) : path.moveTo(x, y)));
}
