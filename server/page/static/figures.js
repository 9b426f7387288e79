// Numbers as text: the exchange's strings without the zeros that nobody needs. The server does the same.

/** How many digits behind the point the text needs. */
export function digits(text) {
  const point = text.indexOf(".");
  if (point < 0) return 0;
  let end = text.length;
  while (text.charCodeAt(end - 1) === 48) end -= 1;
  return Math.max(0, end - point - 1);
}

/** The text with `places` digits behind the point, or as many as it needs. */
export function shorten(text, places) {
  const point = text.indexOf(".");
  const whole = point < 0 ? text : text.slice(0, point);
  const needed = Math.max(places, digits(text));
  if (!needed) return whole;
  const part = point < 0 ? "" : text.slice(point + 1, point + 1 + needed);
  return `${whole}.${part.padEnd(needed, "0")}`;
}

/** A number, or its text, as text without an exponent: 8e-7 is 0.0000008. */
export function plain(number) {
  const text = String(number);
  if (!text.includes("e")) return text;
  const [mantissa, exponent] = text.split("e");
  const [whole, part = ""] = mantissa.split(".");
  const places = part.length - Number(exponent);
  if (places <= 0) return whole + part + "0".repeat(-places);
  const digits = (whole + part).padStart(places + 1, "0");
  return `${digits.slice(0, -places)}.${digits.slice(-places)}`;
}

/** A quantity in few characters, for axes. */
export function brief(number) {
  if (number === 0) return "0";
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (number >= size) return `${+(number / size).toPrecision(3)}${unit}`;
  }
  return String(+number.toPrecision(3));
}

/** A time of day, UTC. */
export function clock(ms, seconds = true) {
  return new Date(ms).toISOString().slice(11, seconds ? 19 : 16);
}

/** A moment, UTC. */
export function moment(ms) {
  const text = new Date(ms).toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, 23)}`;
}
