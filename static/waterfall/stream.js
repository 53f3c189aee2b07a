// The one event stream of a tab: it heals by itself, with nothing missed, and says how it is.

const HIDDEN_FOR = 5_000; // milliseconds; then somebody else may have the connection
const LONGEST_WAIT = 30_000;
const IN_WORDS = {
  live: "live", connecting: "connecting", lost: "connection lost, reconnecting",
  paused: "paused while hidden", gone: "this run is gone",
};

export class Stream {
  // *onSpans* and *onReset* hear what happens, *onState* in one word and in words how the stream is.
  constructor(run, after, { onSpans, onReset, onState }) {
    Object.assign(this, { run, after, onSpans, onReset, onState });
    this.failures = 0;
    this.watchPage();
    if (document.hidden) this.say("paused");
    else this.open();
  }

  open() {
    clearTimeout(this.timer);
    this.close();
    this.say("connecting");
    // A new stream sends no Last-Event-ID; only its own attempts to reconnect do.
    const source = new EventSource(`${this.run}/events?after=${encodeURIComponent(this.after)}`);
    source.onopen = () => this.opened();
    source.onerror = () => this.failed();
    source.addEventListener("spans", (event) => this.told(event, () => this.onSpans(JSON.parse(event.data))));
    source.addEventListener("reset", (event) => this.told(event, () => this.onReset()));
    this.source = source;
  }

  opened() {
    this.failures = 0;
    this.say("live");
  }

  told(event, tell) {
    this.after = event.lastEventId;
    tell();
  }

  // An answer other than 200 ends an EventSource for good, so this one tries again itself, and asks
  // first whether there still is a run to watch.
  failed() {
    this.say("lost");
    this.close();
    clearTimeout(this.timer);
    const wait = Math.min(1_000 * 2 ** this.failures, LONGEST_WAIT) * (0.75 + 0.5 * Math.random());
    this.failures += 1;
    this.timer = setTimeout(() => this.retry(), wait);
  }

  async retry() {
    const answer = await fetch(`${this.run}.json`, { method: "HEAD" }).catch(() => null);
    if (answer?.status === 404) this.end();
    else if (answer?.ok && !document.hidden) this.open();
    else if (!document.hidden) this.failed();
  }

  end() {
    this.isOver = true;
    this.close();
    this.say("gone");
  }

  close() {
    this.source?.close();
    this.source = null;
  }

  // --- while nobody looks -----------------------------------------------------------------------

  watchPage() {
    document.addEventListener("visibilitychange", () => (document.hidden ? this.leaveSoon() : this.comeBack()));
    addEventListener("pagehide", () => this.pause());
    addEventListener("pageshow", (event) => event.persisted && this.comeBack());
    addEventListener("online", () => this.source || this.comeBack());
  }

  leaveSoon() {
    this.leaving = setTimeout(() => this.pause(), HIDDEN_FOR);
  }

  pause() {
    if (this.isOver) return;
    clearTimeout(this.timer);
    this.close();
    this.say("paused");
  }

  comeBack() {
    clearTimeout(this.leaving);
    if (!this.source && !this.isOver) this.open();
  }

  say(state) {
    if (this.state === state) return;
    this.state = state;
    this.onState(state, IN_WORDS[state]);
  }
}
