// A symbol's page: two streams of its book, one for the ladder and one for the charts, or a moment of the past.

import { Book } from "./book.js";
import { DepthChart } from "./depth-chart.js";
import { Heatmap } from "./heatmap.js";
import { Ladder, spread, write } from "./ladder.js";
import { shorten } from "./figures.js";
import { tellLink } from "./link.js";
import { Past } from "./past.js";
import { Stream } from "./stream.js";

const TELL_EVERY_MS = 30000; // so often at most a screen reader is told of prices
const CHART_EVERY_MS = 500;

const page = document.getElementById("book");
const element = (id) => document.getElementById(id);
const symbol = page.dataset.symbol;
const ladder = new Ladder(element("ladder"));
const chart = new DepthChart(element("depth"));
const heatmap = new Heatmap(element("heat"), page.dataset.venue, symbol);
const past = new Past(page, heatmap, showPast, showLive);

const live = { ladder: new Book(), chart: new Book(), state: null, changedAt: 0 };
let toldAt = 0;
let chartedAt = 0;
let chartTimer = 0;
let due = false;

function follow(limit, key, changed, link) {
  const stream = new Stream(`${page.dataset.stream}&limit=${limit}`, (name, data, id, text) => {
    if (name === "state") showState(data);
    else if (name === "snapshot") changed((live[key] = Book.of(data, id)));
    else if (live[key].apply(data, text)) changed(live[key]);
    else stream.restart();
  }, link);
  stream.open();
}

function changedLadder() {
  live.changedAt = Date.now();
  if (due || past.shown) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    if (!past.shown) showLadder(live.ladder);
  });
}

// Charts are drawn at a lower pace than books change.
function changedChart() {
  if (past.shown || chartTimer) return;
  const wait = Math.max(0, chartedAt + CHART_EVERY_MS - Date.now());
  chartTimer = setTimeout(() => {
    chartTimer = 0;
    chartedAt = Date.now();
    if (!past.shown) chart.show(live.chart);
  }, wait);
}

function showLadder(book) {
  ladder.show(book);
  const places = ladder.places[0];
  write(element("best-bid"), book.bids.length ? shorten(book.bids[0][0], places) : "–");
  write(element("best-ask"), book.asks.length ? shorten(book.asks[0][0], places) : "–");
  write(element("spread"), spread(book, places));
  write(element("update-id"), String(book.id));
}

function showState(data) {
  const news = live.state?.state !== data.state;
  live.state = data;
  const place = element("state");
  place.dataset.state = data.state;
  place.title = data.status;
  write(place, data.state);
  if (news) tell();
}

function tell() {
  const book = past.shown?.book ?? live.ladder;
  if (!book.bids.length || !book.asks.length) return;
  toldAt = Date.now();
  const places = ladder.places[0];
  const [bid, ask] = [shorten(book.bids[0][0], places), shorten(book.asks[0][0], places)];
  const when = past.shown ? "in the past" : live.state?.state ?? "";
  element("told").textContent = `${symbol}, ${when}: best bid ${bid}, best ask ${ask}.`;
}

function showPast(shown) {
  page.classList.add("past");
  write(element("when-name"), "Time, UTC");
  write(element("when"), shown.time);
  showLadder(shown.book);
  chart.show(shown.book);
}

function showLive() {
  page.classList.remove("past");
  write(element("when-name"), "Changed");
  changedLadder();
  if (live.chart.bids.length) chart.show(live.chart);
}

// What goes on by itself: the age of the last change, a word for screen readers, the heatmap's newest column.
setInterval(() => {
  if (document.hidden) return;
  const now = Date.now();
  if (!past.shown && live.changedAt) write(element("when"), `${Math.floor((now - live.changedAt) / 1000)} s ago`);
  if (now - toldAt >= TELL_EVERY_MS) tell();
  heatmap.live.take(live.chart, now);
  past.tick(now);
}, 1000);
document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden) event.preventDefault();
});

follow(page.dataset.ladder, "ladder", changedLadder, tellLink);
follow(page.dataset.chart, "chart", changedChart);
