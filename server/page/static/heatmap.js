// The heatmap: time to the right, price upwards, resting quantity as colour on a logarithmic scale. The past is
// made of tiles, what came since of what the page has seen itself.

import { Surface, ticks } from "./canvas.js";
import { brief, clock, plain } from "./figures.js";
import { LiveTiles } from "./live-tiles.js";
import { Tiles, UNKNOWN, ZOOMS } from "./tiles.js";
import { write } from "./ladder.js";

const BOTTOM = 20;
const RIGHT = 64;
const OCTAVES = 7; // from the faintest colour to the strongest one
const LEAST_REACH = 0.002; // of the price, beyond the best prices that are shown
const OFFSET = 4096; // of sizes, so that they are indices
const RAMPS = {
  dark: [[20, 24, 30], [28, 44, 74], [38, 88, 122], [84, 150, 132], [214, 198, 104], [255, 246, 206]],
  light: [[255, 255, 255], [236, 233, 240], [205, 196, 216], [156, 140, 178], [98, 78, 132], [38, 22, 70]],
};

export class Heatmap {
  constructor(canvas, venue, symbol) {
    this.canvas = canvas;
    this.surface = new Surface(canvas, () => this.render());
    this.tiles = new Tiles(venue, symbol, () => this.later());
    this.live = new LiveTiles();
    this.image = document.createElement("canvas");
    this.span = 300000;
    this.end = Date.now();
    this.cursor = null;
    this.pointer = null;
    this.onPick = () => {};
    this.onTiles = () => {};
    this.readout = document.getElementById("heat-point");
    this.strongest = null;
    canvas.addEventListener("pointermove", (event) => this.point(event.offsetX, event.offsetY));
    canvas.addEventListener("pointerleave", () => this.point(null));
    canvas.addEventListener("click", (event) => {
      if (event.offsetX < this.right) this.onPick(this.timeAt(event.offsetX));
    });
  }

  get right() {
    return Math.max(1, this.surface.width - RIGHT);
  }

  get bottom() {
    return Math.max(1, this.surface.height - BOTTOM);
  }

  get zoom() {
    return ZOOMS.find(({ columnMs }) => this.span / columnMs <= 400) ?? ZOOMS.at(-1);
  }

  timeAt(x) {
    return this.end - this.span + (x / this.right) * this.span;
  }

  /** Show the `span` milliseconds before `end`. */
  show(end, span) {
    this.end = end;
    this.span = span;
    this.render();
  }

  /** Mark this moment; null: none. */
  mark(ms) {
    this.cursor = ms;
    this.paint();
  }

  /** Several tiles come together: they are drawn together. */
  later() {
    if (this.waiting) return;
    this.waiting = true;
    setTimeout(() => {
      this.waiting = false;
      this.onTiles();
      this.render();
    }, 50);
  }

  /** The tile and its column at a moment: the tape's where it knows it, or else the page's own. */
  find(ms, now) {
    const { zoom, tileMs, columnMs } = this.zoom;
    const start = Math.floor(ms / tileMs) * tileMs;
    const tile = this.tiles.get(zoom, start, now);
    if (tile) {
      const column = Math.min(tile.columns - 1, Math.floor((ms - start) / columnMs));
      if (tile.bid[column] !== null || tile.ask[column] !== null) return { tile, column };
    }
    const minute = Math.floor(ms / 60000) * 60000;
    const own = this.live.get(minute);
    if (!own) return null;
    const second = Math.floor((ms - minute) / 1000);
    return own.bid[second] === null ? null : { tile: own, column: second };
  }

  /** The columns of the view, one for each pixel. */
  columns() {
    const now = Date.now();
    const found = [];
    let last = null;
    for (let x = 0; x < this.right; x += 1) {
      const ms = this.timeAt(x + 0.5);
      const { columnMs } = this.zoom;
      const slot = Math.floor(ms / Math.min(columnMs, 1000));
      if (last?.slot !== slot) last = { slot, at: this.find(ms, now) };
      found.push(last.at);
    }
    return found;
  }

  render() {
    this.surface.fit();
    if (!this.surface.width) return;
    this.shown = this.columns();
    this.range();
    this.scale();
    const [width, height] = [Math.floor(this.right), Math.floor(this.bottom)];
    this.image.width = width;
    this.image.height = height;
    const context = this.image.getContext("2d");
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const ramp = rampOf(this.surface.dark ? RAMPS.dark : RAMPS.light);
    const [unknown, hatch] = this.surface.dark ? [0xff1d1814, 0xff312a24] : [0xfff2f4f4, 0xffdfe2e2];
    const strongest = this.strongest ?? 0;
    const weakest = strongest - OCTAVES * 12;
    let rows = null;
    let of = null;
    for (let x = 0; x < width; x += 1) {
      const at = this.shown[x];
      if (at && at.tile !== of) {
        of = at.tile;
        rows = this.rowsOf(of, height);
      }
      for (let y = 0; y < height; y += 1) {
        const cell = at ? largest(at, rows[y + 1], rows[y]) : UNKNOWN;
        let colour;
        if (cell === UNKNOWN) colour = (x + y) % 7 ? unknown : hatch;
        else if (cell === 0) colour = ramp[0];
        else {
          const part = (at.tile.exponent + cell - weakest) / (strongest - weakest);
          colour = ramp[Math.max(0, Math.min(255, Math.round(part * 255)))];
        }
        pixels[y * width + x] = colour;
      }
    }
    context.putImageData(image, 0, 0);
    this.paint();
  }

  /** Which prices are shown: all best ones of the view, and as much again on both sides. */
  range() {
    let [low, high] = [Infinity, -Infinity];
    for (const at of this.shown) {
      if (!at) continue;
      low = Math.min(low, at.tile.bid[at.column] ?? Infinity);
      high = Math.max(high, at.tile.ask[at.column] ?? -Infinity);
    }
    if (!(high >= low)) return;
    const reach = Math.max((high - low) * 0.6, high * LEAST_REACH);
    const inside = this.low !== undefined && low - reach * 0.7 > this.low && high + reach * 0.7 < this.high;
    // It stays where it is as long as it fits, so that the picture does not jump.
    if (inside && this.high - this.low < (high - low + 2 * reach) * 1.3) return;
    [this.low, this.high] = [low - reach, high + reach];
  }

  /** How strong the strongest colour is: all but few of the cells are weaker. */
  scale() {
    const counts = new Uint32Array(2 * OFFSET);
    let all = 0;
    let before = null;
    for (const at of this.shown) {
      if (!at || at === before) continue;
      before = at;
      const { tile, column } = at;
      for (let row = 0; row < tile.rows; row += 1) {
        const cell = tile.cells[row * tile.columns + column];
        if (cell === 0 || cell === UNKNOWN) continue;
        counts[tile.exponent + cell + OFFSET] += 1;
        all += 1;
      }
    }
    if (!all) return;
    let place = counts.length - 1;
    for (let above = 0; above + counts[place] <= all * 0.004; place -= 1) above += counts[place];
    const found = place - OFFSET;
    if (this.strongest === null || Math.abs(found - this.strongest) > 6) this.strongest = found;
  }

  /** For each pixel's edge, from the top: the row of the tile that the price there is in. */
  rowsOf(tile, height) {
    const rows = new Int32Array(height + 1);
    for (let y = 0; y <= height; y += 1) {
      const price = this.high - (y / height) * (this.high - this.low);
      rows[y] = Math.floor(price / tile.step + 1e-9) - tile.first_row;
    }
    return rows;
  }

  y(price) {
    return ((this.high - price) / (this.high - this.low)) * this.bottom;
  }

  paint() {
    const context = this.surface.begin();
    if (!context || !this.image.width) return;
    const { height, colours } = this.surface;
    context.drawImage(this.image, 0, 0, this.right, this.bottom);
    context.textBaseline = "middle";
    context.fillStyle = colours.dim;
    if (this.low !== undefined) {
      context.textAlign = "left";
      for (const [price, text] of ticks(this.low, this.high, 6)) {
        if (this.y(price) > 6 && this.y(price) < this.bottom - 6) context.fillText(text, this.right + 8, this.y(price));
      }
      this.best(context, "bid", colours.bid);
      this.best(context, "ask", colours.ask);
      this.legend(context, colours);
    }
    context.fillStyle = colours.dim;
    context.textAlign = "center";
    const step = [60000, 300000, 900000, 3600000, 10800000, 21600000].find((each) => this.span / each <= this.right / 70);
    for (let at = Math.ceil((this.end - this.span) / step) * step; at <= this.end; at += step) {
      const x = ((at - this.end + this.span) / this.span) * this.right;
      if (x > 18 && x < this.right - 18) context.fillText(clock(at, false), x, height - 8);
    }
    if (this.cursor !== null && this.cursor >= this.end - this.span) {
      const x = Math.round(((this.cursor - this.end + this.span) / this.span) * this.right) + 0.5;
      stroke(context, colours.ink, [[x, 0], [x, this.bottom]], 1.5);
    }
    const pointer = this.low !== undefined && this.pointer;
    write(this.readout, pointer ? this.read(pointer.x, pointer.y) : "");
    if (pointer) {
      const { x, y } = pointer;
      stroke(context, colours.dim, [[x, 0], [x, this.bottom]]);
      stroke(context, colours.dim, [[0, y], [this.right, y]]);
    }
  }

  best(context, side, colour) {
    context.beginPath();
    let drawing = false;
    this.shown.forEach((at, x) => {
      const price = at?.tile[side][at.column] ?? null;
      if (price === null) drawing = false;
      else if (drawing) context.lineTo(x + 0.5, this.y(price));
      else context.moveTo(x, this.y(price));
      drawing = price !== null;
    });
    context.lineJoin = "round";
    context.strokeStyle = this.surface.colours.panel;
    context.lineWidth = 3;
    context.stroke();
    context.strokeStyle = colour;
    context.lineWidth = 1.25;
    context.stroke();
    context.lineWidth = 1;
  }

  legend(context, colours) {
    if (this.strongest === null) return;
    const ramp = this.surface.dark ? RAMPS.dark : RAMPS.light;
    const fill = context.createLinearGradient(52, 0, 132, 0);
    ramp.forEach((colour, place) => fill.addColorStop(place / (ramp.length - 1), `rgb(${colour})`));
    context.fillStyle = colours.panel;
    context.globalAlpha = 0.82;
    context.fillRect(6, 6, 172, 18);
    context.globalAlpha = 1;
    context.fillStyle = fill;
    context.fillRect(52, 11, 80, 8);
    context.strokeStyle = colours.line;
    context.strokeRect(51.5, 10.5, 81, 9);
    context.fillStyle = colours.dim;
    context.textAlign = "right";
    context.fillText(brief(2 ** (this.strongest / 12 - OCTAVES)), 46, 15.5);
    context.textAlign = "left";
    context.fillText(brief(2 ** (this.strongest / 12)), 138, 15.5);
  }

  /** Say what is under the pointer. */
  point(x, y) {
    this.pointer = x !== null && x >= 0 && x < this.right && y >= 0 && y < this.bottom ? { x, y } : null;
    this.paint();
  }

  read(x, y) {
    const at = this.shown?.[Math.floor(x)];
    const price = this.high - (y / this.bottom) * (this.high - this.low);
    const time = clock(this.timeAt(Math.floor(x) + 0.5)); // as the column under the pointer was found
    if (!at) return `${time}  not known`;
    const { tile, column } = at;
    const row = Math.floor(price / tile.step + 1e-9) - tile.first_row;
    const cell = row < 0 || row >= tile.rows ? UNKNOWN : tile.cells[row * tile.columns + column];
    const from = plain(((row + tile.first_row) * tile.step).toPrecision(7));
    if (cell === UNKNOWN) return `${time}  ${from}  not known`;
    return `${time}  ${from}  ${cell === 0 ? "0" : brief(2 ** ((tile.exponent + cell) / 12))}`;
  }
}

function largest({ tile, column }, from, to) {
  let found = UNKNOWN;
  for (let row = Math.max(0, from); row <= Math.min(tile.rows - 1, to); row += 1) {
    const cell = tile.cells[row * tile.columns + column];
    if (cell !== UNKNOWN && (found === UNKNOWN || cell > found)) found = cell;
  }
  return found;
}

function rampOf(stops) {
  const ramp = new Uint32Array(256);
  for (let place = 0; place < 256; place += 1) {
    const at = (place / 255) * (stops.length - 1);
    const low = Math.min(stops.length - 2, Math.floor(at));
    const [r, g, b] = stops[low].map((from, part) => Math.round(from + (stops[low + 1][part] - from) * (at - low)));
    ramp[place] = (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
  }
  return ramp;
}

function stroke(context, colour, points, width = 1) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.stroke();
  context.lineWidth = 1;
}
