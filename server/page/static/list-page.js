// The list of symbols: rows that the server made, kept up to date by what changed in them.

import { write } from "./ladder.js";
import { Stream } from "./stream.js";
import { tellLink } from "./link.js";

const RELOAD_EVERY_MS = 5000;

let stream = null;
let cells = new Map();
let reloadedAt = 0;

function begin() {
  const board = document.getElementById("board");
  cells = new Map();
  for (const row of board.querySelectorAll("tr[data-symbol]")) {
    const members = {};
    for (const cell of row.querySelectorAll("[data-m]")) members[cell.dataset.m] = cell;
    members.state = members.state.firstElementChild;
    cells.set(row.dataset.symbol, members);
  }
  stream?.close();
  stream = new Stream(`/stream/board?${board.dataset.query}`, take, tellLink);
  stream.open();
}

function take(name, rows, id) {
  const board = document.getElementById("board");
  if (!id.startsWith(board.dataset.board)) return reload(board);
  for (const [symbol, members] of Object.entries(rows)) {
    const row = cells.get(symbol);
    if (!row) continue;
    for (const [member, text] of Object.entries(members)) {
      if (member === "state") {
        row.state.dataset.state = text;
        write(row.state, text || "…");
      } else if (member === "status") row.state.title = text;
      else if (row[member]) write(row[member], text);
    }
  }
}

// Symbols came or went: the rows are the server's to make.
function reload(board) {
  const now = Date.now();
  if (now - reloadedAt < RELOAD_EVERY_MS) return;
  reloadedAt = now;
  htmx.ajax("GET", `/page/board?${board.dataset.query}`, { target: "#board", swap: "outerHTML" });
}

document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.elt.id === "board") begin();
});
document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden) event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.matches("input, select, textarea")) {
    event.preventDefault();
    document.getElementById("wanted").focus();
  }
});
begin();
