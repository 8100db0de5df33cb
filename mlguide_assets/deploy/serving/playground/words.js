// Numbers and times as people read them. Times are UTC throughout, as the API's are.

export const MONTHS = [
  "January", "February", "March", "April", "May", "June",
  "July", "August", "September", "October", "November", "December",
];
export const DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/** A probability as a percentage of three digits. */
export function percent(probability) {
  const value = 100 * probability;
  if (value > 0 && value < 0.0001) return "< 0.0001%";
  if (value > 99.9 && value < 100) return "> 99.9%";
  return `${value < 0.01 ? value.toFixed(4) : value.toPrecision(3)}%`;
}

/** A share that somebody chose, such as a threshold, without the zeros that `percent` has. */
export const share = (value) => `${Number((100 * value).toPrecision(3))}%`;

/** How many there are of a thing: `1 user`, `2 users`. */
export const count = (number, noun, nouns = `${noun}s`) => `${number} ${number === 1 ? noun : nouns}`;

/** The same from the plural alone. */
export const many = (number, things) => count(number, things.replace(/ies\b/, "y").replace(/s\b/, ""), things);

/** A time of the API, which is UTC where it does not say otherwise; null where there is none. */
export function instant(text) {
  return text ? new Date(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`) : null;
}

/** 2026-01-01 00:00 UTC */
export const at = (time) => `${time.toISOString().slice(0, 16).replace("T", " ")} UTC`;

/** 2026-01-01 */
export const day = (text) => text.slice(0, 10);

/** Milliseconds as the largest unit that says enough. */
export function span(milliseconds) {
  const minutes = Math.max(0, Math.round(milliseconds / 60_000));
  if (minutes < 120) return count(minutes, "minute");
  if (minutes < 72 * 60) return `${Math.round(minutes / 60)} hours`;
  return `${Math.round(minutes / 1440).toLocaleString("en")} days`;
}
