// How the page's stream fares, in the bar at the top.

import { write } from "./ladder.js";

const WORDS = { opening: "connecting", open: "connected", waiting: "cut off", closed: "paused" };
const place = document.getElementById("link");

export function tellLink(state) {
  place.dataset.link = state;
  write(place, WORDS[state]);
}
