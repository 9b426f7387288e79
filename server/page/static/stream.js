// One stream of server-sent events, read by fetch: so that the comments that keep it alive are heard, a refusal
// is seen for what it is, and the last id is sent as a header. Closed while nobody looks at the page.

const SILENCE_MS = 20000; // docs/push.md: who has heard nothing for so long should connect anew
const MOST_WAIT_MS = 30000;

export class Stream {
  /** Calls `onEvent(name, data, id, text)` for each event, whose JSON is the text, and `onLink(state)`: opening, open, waiting, closed. */
  constructor(url, onEvent, onLink = () => {}) {
    this.url = url;
    this.onEvent = onEvent;
    this.onLink = onLink;
    this.lastId = "";
    this.retryMs = 2000;
    this.failures = 0;
    this.wanted = false;
    this.abort = null;
    this.timer = 0;
    this.seen = () => (document.hidden ? this.pause() : this.resume());
  }

  open() {
    this.wanted = true;
    document.addEventListener("visibilitychange", this.seen);
    this.seen();
  }

  close() {
    this.wanted = false;
    document.removeEventListener("visibilitychange", this.seen);
    this.pause();
  }

  /** Forget what was given: the next connection begins anew. */
  restart() {
    this.lastId = "";
    this.pause();
    if (this.wanted && !document.hidden) this.resume();
  }

  pause() {
    clearTimeout(this.timer);
    this.abort?.abort();
    this.abort = null;
    this.onLink("closed");
  }

  resume() {
    if (this.wanted && !this.abort) this.connect();
  }

  async connect() {
    const abort = (this.abort = new AbortController());
    this.onLink("opening");
    let watch = 0;
    const heard = () => {
      clearTimeout(watch);
      watch = setTimeout(() => abort.abort(), SILENCE_MS);
    };
    try {
      heard();
      const headers = this.lastId ? { "Last-Event-ID": this.lastId } : {};
      const answer = await fetch(this.url, { headers, signal: abort.signal, cache: "no-store" });
      if (!answer.ok) throw new Error(`answered ${answer.status}`);
      this.failures = 0;
      this.onLink("open");
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        heard();
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop();
        for (const block of blocks) this.take(block);
      }
    } catch {
      this.failures += 1;
    }
    clearTimeout(watch);
    if (this.abort !== abort) return; // closed, or begun anew meanwhile
    this.abort = null;
    this.onLink("waiting");
    const wait = Math.min(this.retryMs * 2 ** Math.min(this.failures, 5), MOST_WAIT_MS);
    this.timer = setTimeout(() => this.resume(), this.failures > 1 ? wait : this.retryMs);
  }

  take(block) {
    let name = "message";
    let data = "";
    let id = null;
    for (const line of block.split("\n")) {
      const colon = line.indexOf(":");
      if (colon < 1) continue;
      const value = line.slice(colon + 1).replace(/^ /, "");
      const field = line.slice(0, colon);
      if (field === "event") name = value;
      else if (field === "data") data = value;
      else if (field === "id") id = value;
      else if (field === "retry") this.retryMs = Number(value) || this.retryMs;
    }
    if (!data) return;
    if (id !== null) this.lastId = id;
    this.onEvent(name, JSON.parse(data), id, data);
  }
}
