// From moments to places and back, and the round moments between.

import { minutes } from "./words.js";

const NARROWEST = 1e3; // nanoseconds in view

export class Axis {
  constructor() {
    this.extent = 1e9; // the whole run
    this.isWhole = true; // and what is in view grows with it
    this.from = 0;
    this.to = this.extent;
    this.left = 0;
    this.width = 1;
  }

  place(left, width) {
    this.left = left;
    this.width = Math.max(width, 1);
  }

  x(moment) {
    return this.left + ((moment - this.from) / (this.to - this.from)) * this.width;
  }

  moment(x) {
    return this.from + ((x - this.left) / this.width) * (this.to - this.from);
  }

  get perPixel() {
    return (this.to - this.from) / this.width;
  }

  // How long the run is known to be. While it *grows* it does so in steps, so that bars stand still.
  reach(needed, grows) {
    const enough = Math.max(needed, NARROWEST);
    if (!grows) this.extent = enough;
    else if (enough > 0.96 * this.extent) this.extent = 1.25 * enough;
    if (this.isWhole) this.showWhole();
  }

  showWhole() {
    this.isWhole = true;
    this.from = 0;
    this.to = this.extent;
  }

  show(from, to) {
    const span = Math.min(Math.max(to - from, NARROWEST), this.extent);
    this.from = Math.min(Math.max(from, 0), this.extent - span);
    this.to = this.from + span;
    this.isWhole = span >= this.extent;
  }

  zoom(factor, moment) {
    const from = moment - (moment - this.from) * factor;
    this.show(from, from + (this.to - this.from) * factor);
  }

  pan(share) {
    const step = share * (this.to - this.from);
    this.show(this.from + step, this.to + step);
  }

  // Round moments at least *apart* pixels from each other, all in one unit.
  ticks(apart = 90) {
    const step = niceStep(this.perPixel * apart);
    const ticks = [];
    for (let at = Math.ceil(this.from / step); at * step <= this.to; at++) {
      ticks.push({ moment: at * step, label: label(at * step, step) });
    }
    return ticks;
  }
}

// 1, 2, 5 times a power of ten; minutes from a minute on.
function niceStep(least) {
  const unit = least > 50e9 ? 60e9 : 1;
  const power = 10 ** Math.floor(Math.log10(least / unit));
  return unit * power * [1, 2, 5, 10].find((digit) => unit * power * digit >= least);
}

function label(moment, step) {
  if (step >= 60e9) return minutes(moment);
  const [unit, name] = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]].find(([each]) => step >= each / 10);
  return `${Number((moment / unit).toPrecision(12)).toLocaleString("en", { maximumFractionDigits: 1 })} ${name}`;
}
