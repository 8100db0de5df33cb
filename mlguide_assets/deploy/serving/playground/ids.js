// Ids are texts, or 64-bit integers, of which numbers of JavaScript only hold 53 bits: here all are text, to the wire.

const LEAST = -(2n ** 63n);
const MOST = 2n ** 63n - 1n;
const LONGEST = 200;

/**
 * The ids in a text such as `1, 5, 100` or `[1, 5]`, each once; null where it is anything else.
 *
 * @param entity of the problem: `text` says whether its ids are texts; null: whatever they look like.
 */
export function idsIn(text, { text: areTexts }) {
  const plain = text.replace(/^\s*\[|\]\s*$/g, "");
  const words = plain.split(areTexts === false ? /[\s,;]+/ : /[\n,;]+/).map((word) => word.trim()).filter(Boolean);
  if (!words.length) return null;
  if (areTexts === false) {
    if (!words.every((word) => /^-?\d{1,20}$/.test(word))) return null;
    const ids = words.map(BigInt);
    return ids.every((id) => id >= LEAST && id <= MOST) ? [...new Set(ids.map(String))] : null;
  }
  const ids = words.map((word) => word.replace(/^"(.*)"$/, "$1"));
  return ids.every((id) => id && id.length <= LONGEST) ? [...new Set(ids)] : null;
}

/** An id as JSON. */
export const jsonOf = (id, { text }) => (text === false || (text === null && /^-?\d{1,19}$/.test(id)) ? id : JSON.stringify(id));

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
