// The time slider: a moment of the past on the same ladder and charts, by the book's own address with &at=.

import { Book } from "./book.js";
import { moment } from "./figures.js";
import { write } from "./ladder.js";

const PLAY_EVERY_MS = 200;
const LATEST_MS = 2000; // nearer to now than this is now
const RETRY_MS = 30000;

export class Past {
  /** Calls `onPast({book, time})` with a moment and `onLive()` when it is over. */
  constructor(page, heatmap, onPast, onLive) {
    const part = (id) => page.querySelector(`#${id}`);
    this.path = page.dataset.past;
    this.heatmap = heatmap;
    this.onPast = onPast;
    this.onLive = onLive;
    this.slider = part("moment");
    this.text = part("moment-text");
    this.note = part("past-note");
    this.playing = part("play");
    this.speed = part("speed");
    this.goto = part("goto");
    this.back = part("go-live");
    this.controls = [this.slider, this.playing, this.speed, this.goto, this.back, part("earlier"), part("later")];
    this.spans = [...page.querySelectorAll("[data-span]")];
    this.shown = null; // the moment on the page; null: it is live
    this.at = null; // the moment that is wanted
    this.end = null; // of the view; null: it goes with the clock
    this.span = 300000;
    this.busy = false;
    this.timer = 0;
    this.usable = false;
    this.askedAt = -Infinity;
    this.slider.addEventListener("input", () => this.slide(Number(this.slider.value)));
    this.playing.addEventListener("click", () => (this.timer ? this.stop() : this.play()));
    this.back.addEventListener("click", () => this.live());
    this.goto.addEventListener("change", () => this.go(Date.parse(`${this.goto.value}Z`)));
    part("earlier").addEventListener("click", () => this.shift(-0.5));
    part("later").addEventListener("click", () => this.shift(0.5));
    for (const button of this.spans) button.addEventListener("click", () => this.choose(button));
    heatmap.onPick = (ms) => this.usable && this.slide(ms);
    heatmap.onTiles = () => this.learn();
    this.tick(Date.now());
  }

  /** A second went by. */
  tick(now) {
    this.heatmap.tiles.look(now);
    if (!this.usable && this.heatmap.tiles.hours && now - this.askedAt > RETRY_MS) this.probe(now);
    this.view(now);
  }

  view(now) {
    const end = this.end ?? now;
    const step = this.span / 300;
    // On a grid that stays where it is, or the slider would move when its ends do.
    this.slider.step = step;
    this.slider.min = Math.ceil((end - this.span) / step) * step;
    this.slider.max = Math.floor(end / step) * step;
    if (this.at === null) this.slider.value = this.slider.max;
    this.heatmap.show(end, this.span);
  }

  /** Whether there is a tape at all: where there are no tiles, one moment is asked for. */
  async probe(now) {
    this.askedAt = now;
    if (this.heatmap.tiles.firstMs !== null) return this.learn();
    try {
      const answer = await fetch(this.url(now - 120000));
      if (answer.ok) this.enable("The past of this symbol is on tape.");
      else write(this.note, "There is no tape of this symbol: the picture begins when the page was opened.");
    } catch {
      // Asked again later.
    }
  }

  learn() {
    const first = this.heatmap.tiles.firstMs;
    if (first !== null) this.enable(`The tape goes back to ${moment(first).slice(0, 16)} UTC.`);
  }

  enable(text) {
    if (!this.complaint) write(this.note, text);
    this.ground = text;
    if (this.usable) return;
    this.usable = true;
    for (const control of this.controls) control.disabled = false;
  }

  choose(button) {
    for (const each of this.spans) each.setAttribute("aria-pressed", String(each === button));
    this.span = Number(button.dataset.span);
    if (this.end !== null) this.end = this.fit(this.at + this.span / 2);
    this.view(Date.now());
  }

  /** An end of the view that is not in the future; null where that is now. */
  fit(end) {
    return end >= Date.now() - LATEST_MS ? null : end;
  }

  slide(ms) {
    const now = Date.now();
    if (this.end === null && ms >= now - Math.max(LATEST_MS, this.span / 300)) return this.live();
    this.end ??= now; // the picture stands still while one looks back
    this.seek(ms);
  }

  go(ms) {
    if (!Number.isFinite(ms)) return;
    this.end = Math.min(ms + this.span / 2, Date.now());
    this.seek(ms);
  }

  shift(part) {
    const end = (this.end ?? Date.now()) + part * this.span;
    if (end >= Date.now()) return this.live();
    this.end = end;
    this.seek(end - this.span / 2);
  }

  seek(ms) {
    this.at = Math.round(ms);
    this.slider.value = this.at;
    this.slider.setAttribute("aria-valuetext", `${moment(this.at).slice(0, 19)} UTC`);
    this.view(Date.now());
    this.heatmap.mark(this.at);
    this.fetch();
  }

  play() {
    if (this.at === null) {
      this.end = Date.now();
      this.seek(Math.max(this.end - this.span, this.heatmap.tiles.firstMs ?? 0));
    }
    write(this.playing, "Pause");
    this.timer = setInterval(() => this.step(), PLAY_EVERY_MS);
  }

  step() {
    if (document.hidden || this.busy || this.at === null) return;
    const next = this.at + PLAY_EVERY_MS * Number(this.speed.value);
    if (next >= Date.now() - LATEST_MS) return this.live();
    if (next > this.end) this.end = next + this.span / 2;
    this.seek(next);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    write(this.playing, "Replay");
  }

  live() {
    this.stop();
    this.at = this.end = this.shown = null;
    this.say("");
    write(this.text, "live");
    this.slider.setAttribute("aria-valuetext", "live");
    this.heatmap.mark(null);
    this.view(Date.now());
    this.onLive();
  }

  say(complaint) {
    this.complaint = complaint;
    write(this.note, complaint || this.ground || "");
  }

  url(at) {
    return `${this.path}&at=${at}`;
  }

  /** One request at a time, always for the moment that is wanted last. */
  async fetch() {
    if (this.busy) return;
    this.busy = true;
    const at = this.at;
    try {
      const answer = await fetch(this.url(at));
      if (this.at === null) return;
      if (answer.ok) this.take(at, answer, await answer.json());
      else this.refuse(at, await answer.json().catch(() => ({})));
    } catch {
      this.say("The server cannot be reached.");
    } finally {
      this.busy = false;
      if (this.at !== null && this.at !== at) this.fetch();
    }
  }

  take(at, answer, body) {
    if (this.at === null) return;
    this.say("");
    write(this.text, `${moment(at).slice(0, 19)} UTC`);
    const changed = Number(answer.headers.get("Depthcast-Event-Time"));
    const id = answer.headers.get("Depthcast-Version").split(":")[1];
    this.shown = { book: Book.of(body, id), at, time: moment(changed || at).slice(11) };
    this.onPast(this.shown);
  }

  refuse(at, body) {
    write(this.text, `${moment(at).slice(0, 19)} UTC`);
    const said = body.msg ?? body.message ?? body.error?.message; // as the venue spells its errors
    this.say(`Not on the tape: ${said ?? "nothing is known of this moment"}`);
  }
}
