// The ladder: rows that stay where they are, whose texts change where the book did.

import { digits, shorten } from "./figures.js";

export class Ladder {
  constructor(table) {
    this.table = table;
    this.between = table.querySelector("#between");
    this.sides = [lines(table.tBodies[0]).reverse(), lines(table.tBodies[2])];
    this.places = [0, 0]; // digits behind the point: of prices, of quantities
  }

  show(book) {
    const depth = this.sides[0].length;
    const asks = book.asks.slice(0, depth);
    const bids = book.bids.slice(0, depth);
    for (const [price, quantity] of [...asks, ...bids]) {
      this.places[0] = Math.max(this.places[0], digits(price));
      this.places[1] = Math.max(this.places[1], digits(quantity));
    }
    const most = Math.max(sum(asks), sum(bids)) || 1;
    this.fill(this.sides[0], asks, most);
    this.fill(this.sides[1], bids, most);
    write(this.between, spread(book, this.places[0]));
    this.table.dataset.updateId = book.id;
  }

  fill(side, levels, most) {
    const [prices, quantities] = this.places;
    let total = 0;
    side.forEach((line, place) => {
      const one = levels[place];
      if (one) total += one[3];
      write(line.price, one ? shorten(one[0], prices) : "");
      write(line.quantity, one ? shorten(one[1], quantities) : "");
      write(line.total, one ? total.toFixed(quantities) : "");
      const part = one ? `${Math.round((total / most) * 100)}%` : "0%";
      if (line.part !== part) {
        line.part = part;
        line.row.style.setProperty("--part", part);
      }
    });
  }
}

/** The spread in words: as a price and in basis points. */
export function spread(book, places) {
  if (!book.bids.length || !book.asks.length) return "–";
  const [bid, ask] = [book.bids[0][2], book.asks[0][2]];
  return `${(ask - bid).toFixed(places)}  (${(((ask - bid) / book.middle) * 10000).toFixed(2)} bp)`;
}

/** Put a text into an element, if it is another one. */
export function write(element, text) {
  const node = element.firstChild;
  if (!node) element.textContent = text;
  else if (node.data !== text) node.data = text;
}

function lines(body) {
  return [...body.rows].map((row) => {
    const [price, quantity, total] = row.cells;
    return { row, price, quantity, total, part: "" };
  });
}

function sum(levels) {
  return levels.reduce((total, one) => total + one[3], 0);
}
