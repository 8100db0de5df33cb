// Ids are 64-bit integers, and numbers of JavaScript only hold 53 bits: ids are text here, from the field to the wire.

const LEAST = -(2n ** 63n);
const MOST = 2n ** 63n - 1n;

/** The ids in a text such as `1, 5, 100` or `[1, 5]`, each once; null where it is anything else. */
export function idsIn(text) {
  const words = text.replace(/^\s*\[|\]\s*$/g, "").split(/[\s,;]+/).filter(Boolean);
  if (!words.length || !words.every((word) => /^-?\d{1,20}$/.test(word))) return null;
  const ids = words.map(BigInt);
  return ids.every((id) => id >= LEAST && id <= MOST) ? [...new Set(ids.map(String))] : null;
}

/** Read JSON; whole numbers that JavaScript would round become text. */
export function parse(text) {
  return JSON.parse(text, (_, value, source) =>
    Number.isInteger(value) && !Number.isSafeInteger(value) ? (source?.source ?? value) : value,
  );
}

/** The same JSON, indented, with every digit of its numbers. */
export function indented(text) {
  const exact = (_, value, source) => (typeof value === "number" && JSON.rawJSON ? JSON.rawJSON(source.source) : value);
  return JSON.stringify(JSON.parse(text, exact), null, 2);
}
