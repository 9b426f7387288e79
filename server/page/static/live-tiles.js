// Tiles of the minutes that the page itself has seen: one column a second, of the book at its end.

import { UNKNOWN } from "./tiles.js";

const MINUTE_MS = 60000;
const COLUMNS = 60;
const MOST_KEPT = 65;
const PART = 0.015; // of the price, up and down
const STEP_PART = 0.0002; // of the price at most, as in the tape's tiles
const HEADROOM = 24; // two octaves above the largest quantity at the minute's beginning

export class LiveTiles {
  constructor() {
    this.kept = new Map(); // by the minute's beginning
  }

  get(startMs) {
    return this.kept.get(startMs) ?? null;
  }

  get firstMs() {
    return this.kept.keys().next().value ?? null;
  }

  /** The book as it is now, into the column of this second. */
  take(book, now) {
    if (!book.bids.length || !book.asks.length) return;
    const start = now - (now % MINUTE_MS);
    let tile = this.kept.get(start);
    if (!tile) {
      tile = empty(start, book);
      this.kept.set(start, tile);
      while (this.kept.size > MOST_KEPT) this.kept.delete(this.kept.keys().next().value);
    }
    fill(tile, Math.floor((now - start) / 1000), book);
  }
}

/** 1, 2 or 5 times a power of ten, at most so much of the price. */
export function stepOf(price) {
  const most = price * STEP_PART;
  const power = Math.floor(Math.log10(most) + 1e-9);
  const factor = [5, 2, 1].find((each) => each * 10 ** power <= most * (1 + 1e-9)) ?? 1;
  return power < 0 ? factor / 10 ** -power : factor * 10 ** power;
}

function empty(start, book) {
  const middle = book.middle;
  const step = stepOf(middle);
  const first = Math.floor((middle * (1 - PART)) / step);
  const rows = Math.ceil((middle * 2 * PART) / step);
  const largest = Math.max(...sums(book, step).values());
  return {
    start_ms: start,
    column_ms: 1000,
    columns: COLUMNS,
    step,
    first_row: first,
    rows,
    exponent: Math.ceil(12 * Math.log2(largest)) + HEADROOM - 254,
    bid: Array(COLUMNS).fill(null),
    ask: Array(COLUMNS).fill(null),
    cells: new Uint8Array(rows * COLUMNS).fill(UNKNOWN),
  };
}

function fill(tile, column, book) {
  const lowest = Math.ceil(book.bids.at(-1)[2] / tile.step) - tile.first_row;
  const highest = Math.floor(book.asks.at(-1)[2] / tile.step) - tile.first_row;
  for (let row = 0; row < tile.rows; row += 1) {
    // What lies beyond the levels that are sent is not known.
    tile.cells[row * COLUMNS + column] = row < lowest || row >= highest ? UNKNOWN : 0;
  }
  for (const [at, quantity] of sums(book, tile.step)) {
    const row = at - tile.first_row;
    if (row < Math.max(0, lowest) || row >= Math.min(tile.rows, highest)) continue;
    const size = Math.round(12 * Math.log2(quantity)) - tile.exponent;
    tile.cells[row * COLUMNS + column] = Math.min(254, Math.max(1, size));
  }
  tile.bid[column] = book.bids[0][2];
  tile.ask[column] = book.asks[0][2];
}

function sums(book, step) {
  const found = new Map();
  for (const side of [book.bids, book.asks]) {
    for (const [, , price, quantity] of side) {
      const row = Math.floor(price / step + 1e-9);
      found.set(row, (found.get(row) ?? 0) + quantity);
    }
  }
  return found;
}
