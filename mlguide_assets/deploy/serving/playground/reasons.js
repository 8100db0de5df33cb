// Why a probability is what it is: diverging bars beside the sentences of the API.

import { make } from "./dom.js";

/** The largest contribution of some predictions: their bars share a scale, so that they compare. */
export function reachOf(predictions) {
  const sizes = predictions.flatMap((each) => (each.reasons ?? []).map((reason) => Math.abs(reason.contribution)));
  return Math.max(...sizes, Number.MIN_VALUE);
}

/** @param reach the contribution that fills one side, in log-odds. */
export function chartOf(reasons, reach) {
  const scale = `Bars: left lowers, right raises, each side to ${reach.toPrecision(2)} log-odds.`;
  const rows = reasons.map(({ text, contribution }) => {
    const bar = make("i", { class: contribution > 0 ? "raises" : "lowers" });
    bar.style.setProperty("--share", Math.abs(contribution) / reach);
    const bars = make("div", { class: "diverging", "aria-hidden": "true" }, bar, make("i", { class: "middle" }));
    return make("li", {}, text.replace("× ", "×\u00a0"), bars);
  });
  const title = make("p", { class: "hint" }, `What moves this risk most. ${scale}`);
  return make("div", { class: "reasons" }, title, make("ul", {}, ...rows));
}
