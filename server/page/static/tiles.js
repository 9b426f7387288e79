// The heatmap's tiles: static files by symbol, zoom and time (docs/heatmap.md). What is complete is asked for once.

export const ZOOMS = [
  { zoom: 0, tileMs: 60000, columnMs: 1000 },
  { zoom: 1, tileMs: 3600000, columnMs: 15000 },
  { zoom: 2, tileMs: 86400000, columnMs: 300000 },
];
export const UNKNOWN = 255; // a cell of which nothing is known

const HOUR_MS = 3600000;
const MOST_KEPT = 400;
const MOST_ASKED = 4; // requests at once
const AGAIN_MS = 10000;
const MANIFEST_EVERY_MS = 60000;

/** A tile from its file: gzip of a line of JSON and the cells, row after row. Null where there is none. */
export async function readTile(url) {
  const answer = await fetch(url);
  if (!answer.ok) return null;
  const plain = answer.body.pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(plain).arrayBuffer());
  const end = bytes.indexOf(10);
  return { ...JSON.parse(new TextDecoder().decode(bytes.subarray(0, end))), cells: bytes.subarray(end + 1) };
}

export class Tiles {
  /** Calls `changed()` when a tile or the manifest has come. */
  constructor(venue, symbol, changed) {
    this.folder = `/heat/venue=${venue}/symbol=${encodeURIComponent(symbol)}`;
    this.changed = changed;
    this.hours = null; // by date: which hours are there; null until it is known
    this.kept = new Map(); // by URL: {tile, due}, the latest used last
    this.asked = 0;
    this.manifestDue = 0;
  }

  url(zoom, startMs) {
    const text = new Date(startMs).toISOString();
    return `${this.folder}/zoom=${zoom}/date=${text.slice(0, 10)}/${text.slice(11, 19).replaceAll(":", "-")}.heat`;
  }

  /** When the first hour with tiles began; null where there is none. */
  get firstMs() {
    const date = Object.keys(this.hours ?? {}).sort()[0];
    if (!date) return null;
    const hour = [...Array(24).keys()].find((each) => this.mask(date) & (1 << each));
    return Date.parse(`${date}T00:00:00Z`) + (hour ?? 0) * HOUR_MS;
  }

  mask(date) {
    return parseInt(this.hours?.[date] ?? "0", 16);
  }

  /** Whether there may be tiles within this time. */
  has(fromMs, toMs) {
    for (let at = fromMs - (fromMs % HOUR_MS); at < toMs; at += HOUR_MS) {
      if (this.mask(new Date(at).toISOString().slice(0, 10)) & (1 << new Date(at).getUTCHours())) return true;
    }
    return false;
  }

  /** The tile that begins then, if it is here; asked for where it should be. */
  get(zoom, startMs, now) {
    const url = this.url(zoom, startMs);
    const entry = this.kept.get(url);
    if (entry) {
      this.kept.delete(url);
      this.kept.set(url, entry);
      if (now < entry.due) return entry.tile;
    }
    if (this.asked < MOST_ASKED && this.exists(zoom, startMs, now)) this.ask(url, startMs, now);
    return entry?.tile ?? null;
  }

  /** Whether it is worth asking for: the manifest knows the hours, the tile of an hour its minutes. */
  exists(zoom, startMs, now) {
    if (!this.has(startMs, startMs + ZOOMS[zoom].tileMs)) return false;
    if (zoom > 0) return true;
    const hour = startMs - (startMs % HOUR_MS);
    const marks = this.get(1, hour, now)?.children;
    return marks !== undefined && marks[(startMs - hour) / 60000] !== ".";
  }

  async ask(url, startMs, now) {
    const entry = this.kept.get(url) ?? { tile: null, due: 0 };
    entry.due = now + AGAIN_MS; // whatever comes of it
    this.kept.set(url, entry);
    while (this.kept.size > MOST_KEPT) this.kept.delete(this.kept.keys().next().value);
    this.asked += 1;
    try {
      const tile = await readTile(url);
      if (tile) {
        entry.tile = tile;
        if (tile.complete) entry.due = Infinity;
      } else if (now - startMs > HOUR_MS) entry.due = now + 6 * AGAIN_MS;
    } catch {
      // Asked for again when it is due.
    }
    this.asked -= 1;
    this.changed();
  }

  /** Ask which tiles there are, now and then. */
  async look(now) {
    if (now < this.manifestDue) return;
    this.manifestDue = now + MANIFEST_EVERY_MS;
    try {
      const answer = await fetch(`${this.folder}/index.json`);
      if (answer.ok) this.hours = (await answer.json()).hours;
      else if (answer.status === 404) this.hours = {};
    } catch {
      this.manifestDue = now + AGAIN_MS;
    }
    this.changed();
  }
}
