// The depth chart: quantities added up from the best price outwards, as far as both sides reach.

import { Surface, ticks } from "./canvas.js";
import { brief, plain } from "./figures.js";

const BOTTOM = 20;
const RIGHT = 48;
const MOST_REACH = 0.01; // of the price
const LEAST_SPREADS = 2; // so many spreads at least, or a wide one would be all there is to see

export class DepthChart {
  constructor(canvas) {
    this.book = null;
    this.surface = new Surface(canvas, () => this.draw());
    this.pointer = null;
    canvas.addEventListener("pointermove", (event) => {
      this.pointer = event.offsetX;
      this.draw();
    });
    canvas.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.draw();
    });
  }

  show(book) {
    this.book = book;
    this.draw();
  }

  draw() {
    const context = this.surface.begin();
    const book = this.book;
    if (!context || !book?.bids.length || !book.asks.length) return;
    const { width, height, colours } = this.surface;
    const middle = book.middle;
    const known = Math.min(middle - book.bids.at(-1)[2], book.asks.at(-1)[2] - middle);
    const wanted = Math.max(middle * MOST_REACH, (book.asks[0][2] - book.bids[0][2]) * LEAST_SPREADS);
    const reach = Math.min(known, wanted) || middle * 0.001;
    const [low, high] = [middle - reach, middle + reach];
    const right = width - RIGHT;
    const bottom = height - BOTTOM;
    const x = (price) => ((price - low) / (high - low)) * right;
    const sides = [added(book.bids, (price) => price >= low), added(book.asks, (price) => price <= high)];
    const most = Math.max(...sides.map((side) => side.at(-1)?.[1] ?? 0)) * 1.06 || 1;
    const y = (total) => bottom - (total / most) * (bottom - 4);

    context.textBaseline = "middle";
    for (const [at, text] of ticks(0, most, 4)) {
      if (at === 0) continue;
      line(context, colours.line, [[0, y(at)], [right, y(at)]]);
      context.fillStyle = colours.dim;
      context.textAlign = "left";
      context.fillText(brief(Number(text)), right + 8, y(at));
    }
    context.textAlign = "center";
    for (const [at, text] of ticks(low, high, Math.max(3, Math.floor(right / 110)))) {
      const place = x(at);
      if (place < 24 || place > right - 24) continue;
      context.fillStyle = colours.dim;
      context.fillText(text, place, height - 8);
      line(context, colours.line, [[place, bottom], [place, bottom + 4]]);
    }
    line(context, colours.line, [[0, bottom], [right, bottom]]);
    area(context, sides[0], x, y, 0, bottom, colours.bid, colours["bid-soft"]);
    area(context, sides[1], x, y, right, bottom, colours.ask, colours["ask-soft"]);
    this.point(context, sides, low, high, x, y, right, bottom);
  }

  point(context, sides, low, high, x, y, right, bottom) {
    if (this.pointer === null || this.pointer > right) return;
    const { colours } = this.surface;
    const price = low + (this.pointer / right) * (high - low);
    const bid = price < this.book.middle;
    const reached = sides[bid ? 0 : 1].filter(([at]) => (bid ? at >= price : at <= price)).at(-1);
    if (!reached) return;
    line(context, colours.dim, [[this.pointer, 0], [this.pointer, bottom]]);
    context.fillStyle = bid ? colours.bid : colours.ask;
    context.beginPath();
    context.arc(this.pointer, y(reached[1]), 3, 0, 7);
    context.fill();
    context.fillStyle = colours.ink;
    context.textAlign = this.pointer > right / 2 ? "right" : "left";
    const aside = this.pointer + (this.pointer > right / 2 ? -8 : 8);
    context.fillText(`${brief(reached[1])} to ${plain(price.toPrecision(7))}`, aside, 10);
  }
}

function added(levels, within) {
  let total = 0;
  const points = [];
  for (const [, , price, quantity] of levels) {
    if (!within(price)) break;
    total += quantity;
    points.push([price, total]);
  }
  return points;
}

function area(context, points, x, y, edge, bottom, stroke, fill) {
  if (!points.length) return;
  context.beginPath();
  context.moveTo(x(points[0][0]), bottom);
  let last = bottom;
  for (const [price, total] of points) {
    const place = x(price);
    context.lineTo(place, last);
    last = y(total);
    context.lineTo(place, last);
  }
  context.lineTo(edge, last);
  context.strokeStyle = stroke;
  context.lineWidth = 1.5;
  context.stroke();
  context.lineTo(edge, bottom);
  context.fillStyle = fill;
  context.fill();
  context.lineWidth = 1;
}

function line(context, colour, points) {
  context.strokeStyle = colour;
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, Math.round(y) + 0.5);
  context.stroke();
}
