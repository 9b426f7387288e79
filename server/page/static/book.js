// A book kept from a stream of `snapshot` and `diff` events (docs/push.md): levels as the exchange writes them.

import { plain } from "./figures.js";

// Ids may have 63 bits (BitMEX's have), of which a number holds 53: they are read from the text, not from its JSON.
const SPAN = /^\{"U":(\d+),"u":(\d+),/;

export class Book {
  constructor() {
    this.id = -1n;
    this.bids = []; // [price, quantity, price as a number, quantity as a number], best first
    this.asks = [];
  }

  /** The body of a book as its venue answers it, and its id. */
  static of(body, id) {
    const book = new Book();
    book.id = BigInt(id);
    const rows = Array.isArray(body); // rows of both sides, from the highest price to the lowest
    book.bids = (rows ? side(body, "Buy") : body.bids).map(level);
    book.asks = (rows ? side(body, "Sell").reverse() : body.asks).map(level);
    return book;
  }

  /** Apply a diff, whose JSON is `text`; false where it does not follow on what is held. */
  apply(diff, text) {
    const [, first, last] = SPAN.exec(text) ?? [];
    if (first === undefined || BigInt(first) !== this.id + 1n) return false;
    this.id = BigInt(last);
    for (const [price, quantity] of diff.b) put(this.bids, level([price, quantity]), -1);
    for (const [price, quantity] of diff.a) put(this.asks, level([price, quantity]), 1);
    return true;
  }

  get middle() {
    if (!this.bids.length || !this.asks.length) return NaN;
    return (this.bids[0][2] + this.asks[0][2]) / 2;
  }
}

function side(rows, name) {
  return rows.filter((row) => row.side === name).map((row) => [row.price, row.size]);
}

function level([price, quantity]) {
  return [plain(price), plain(quantity), Number(price), Number(quantity)];
}

// Prices of one symbol have equally many digits, so as numbers they are equal where their texts are.
function put(side, one, sign) {
  let low = 0;
  let high = side.length;
  while (low < high) {
    const half = (low + high) >> 1;
    if ((side[half][2] - one[2]) * sign < 0) low = half + 1;
    else high = half;
  }
  const there = low < side.length && side[low][2] === one[2];
  if (one[3] === 0) {
    if (there) side.splice(low, 1);
  } else if (there) side[low] = one;
  else side.splice(low, 0, one);
}
