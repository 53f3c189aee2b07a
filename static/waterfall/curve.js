// How many were in flight when, and how many of them in our queue: steps over time.

// Steps up and down at sorted moments, as levels that hold from one moment to the next.
class Level {
  constructor(ups, downs) {
    this.at = new Float64Array(ups.length + downs.length);
    this.level = new Int32Array(this.at.length);
    let [up, down, level] = [0, 0, 0];
    for (let step = 0; step < this.at.length; step++) {
      // Who ends when another arrives has left before.
      const isDown = up === ups.length || downs[down] <= ups[up];
      this.at[step] = isDown ? downs[down++] : ups[up++];
      level += isDown ? -1 : 1;
      this.level[step] = level;
    }
  }

  // The step that holds at a moment; -1 before the first.
  stepAt(moment) {
    let [low, high] = [0, this.at.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.at[middle] <= moment) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  levelAt(moment) {
    const step = this.stepAt(moment);
    return step < 0 ? 0 : this.level[step];
  }

  // The most in each of so many equal parts of a window: no peak is lost between pixels.
  tops(from, to, count) {
    const tops = new Int32Array(count);
    let step = this.stepAt(from);
    for (let part = 0; part < count; part++) {
      const until = from + ((to - from) * (part + 1)) / count;
      let most = step < 0 ? 0 : this.level[step];
      while (step + 1 < this.at.length && this.at[step + 1] < until) {
        step += 1;
        if (this.level[step] > most) most = this.level[step];
      }
      tops[part] = most;
    }
    return tops;
  }
}

export class Curve {
  constructor(list) {
    const queued = list.filter((span) => span.free > span.begin);
    this.flight = new Level(moments(list, "begin"), moments(list, "end"));
    this.queue = new Level(moments(queued, "begin"), moments(queued, "free"));
    this.peak = 0;
    this.peakAt = 0;
    this.isExact = true;
    this.flight.level.forEach((level, step) => {
      if (level > this.peak) [this.peak, this.peakAt] = [level, this.flight.at[step]];
    });
  }
}

const moments = (list, name) => Float64Array.from(list, (span) => span[name]).sort();

// The curve of more spans than the page holds, as the server counted it.
export class Counted {
  constructor({ step_ns: step, levels }) {
    this.peak = Math.max(0, ...levels);
    this.peakAt = Math.max(0, levels.indexOf(this.peak)) * step;
    this.isExact = false;
    this.flight = new Steps(step, levels);
    this.queue = new Steps(step, []);
  }
}

class Steps {
  constructor(step, levels) {
    this.step = step;
    this.levels = levels;
  }

  levelAt(moment) {
    return this.levels[Math.floor(moment / this.step)] ?? 0;
  }

  tops(from, to, count) {
    const each = (to - from) / count;
    return Int32Array.from({ length: count }, (_, part) => {
      let most = 0;
      for (let at = from + part * each; at < from + (part + 1) * each; at += this.step) {
        most = Math.max(most, this.levelAt(at));
      }
      return Math.max(most, this.levelAt(from + (part + 1) * each - 1));
    });
  }
}
