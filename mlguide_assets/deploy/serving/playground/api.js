// The server's API as functions. Every failure is a `Fault`.

import { parse } from "./ids.js";

const KEPT = "mlguide-key";
const PATIENCE = 20_000;

/** Why there is no answer: HTTP's status, or 0 where nothing answered, and a sentence for people. */
export class Fault extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }

  /** Whether the same request may be answered later. */
  get passing() {
    return [0, 429, 502, 503, 504].includes(this.status);
  }
}

/** The key that this tab sends, kept no longer than the tab. */
export const key = {
  get: () => sessionStorage.getItem(KEPT),
  set: (value) => sessionStorage.setItem(KEPT, value),
  forget: () => sessionStorage.removeItem(KEPT),
};

/** The address of a path, wherever this page lies. */
export const addressOf = (path) => new URL(path, document.baseURI).href.split("#")[0];

/** Send a body of JSON; the answer, and its text as it came. */
export async function post(path, body, signal) {
  const text = await exchange(path, { method: "POST", body, signal, headers: { "Content-Type": "application/json" } });
  return { answer: parse(text), text };
}

/** Entities to pick from: those whose id starts with a text, or some. */
export async function listed({ plural }, search, limit) {
  return parse(await exchange(`${plural}?${new URLSearchParams({ search, limit })}`));
}

/** What is decided, about what, and how it is called. */
export async function problem() {
  return parse(await exchange("problem"));
}

/** What serves; a server that cannot predict says so with status 503, and says it well. */
export async function state() {
  return parse(await exchange("readyz", {}, [503]));
}

async function exchange(path, { signal, headers, ...options } = {}, allowed = []) {
  const sent = key.get();
  const patience = AbortSignal.timeout(PATIENCE);
  let response, text;
  try {
    response = await fetch(addressOf(path), {
      ...options,
      headers: { ...headers, ...(sent ? { "X-API-Key": sent } : {}) },
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
      cache: "no-store",
    });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Fault(0, patience.aborted ? "The server took too long to answer." : "The server does not answer.");
  }
  if (response.ok || (allowed.includes(response.status) && text.includes('"status"'))) return text;
  throw new Fault(response.status, detailOf(text) ?? `The server answered with HTTP ${response.status}.`);
}

function detailOf(text) {
  try {
    return parse(text).detail;
  } catch {
    return undefined;
  }
}
