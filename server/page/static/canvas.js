// A canvas as large as it is shown, in the theme's colours.

const NAMES = ["panel", "ink", "dim", "line", "bid", "ask", "bid-soft", "ask-soft", "accent", "unknown"];
const dark = matchMedia("(prefers-color-scheme: dark)");

export class Surface {
  /** Calls `draw()` when the size or the theme has changed. */
  constructor(canvas, draw) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.width = 0;
    this.height = 0;
    this.recolour();
    new ResizeObserver(() => {
      if (this.fit()) draw();
    }).observe(canvas);
    dark.addEventListener("change", () => {
      this.recolour();
      draw();
    });
  }

  get dark() {
    return dark.matches;
  }

  recolour() {
    const style = getComputedStyle(document.documentElement);
    this.colours = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  }

  fit() {
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height || (width === this.width && height === this.height && ratio === this.ratio)) return false;
    [this.width, this.height, this.ratio] = [width, height, ratio];
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    return true;
  }

  /** An empty canvas whose unit is a CSS pixel; null where it is not shown. */
  begin() {
    this.fit();
    if (!this.width) return null;
    const context = this.context;
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    context.font = "11px system-ui, sans-serif";
    context.lineWidth = 1;
    return context;
  }
}

/** Round numbers between two, about so many. */
export function ticks(low, high, about) {
  if (!(high > low)) return [];
  const rough = (high - low) / about;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const places = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) {
    found.push([at, at.toFixed(Math.min(places, 20))]);
  }
  return found;
}
