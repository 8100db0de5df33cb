// When the email would be sent, and features of that moment that are set by hand.

import { byId, make, say } from "./dom.js";
import { WHAT_IF } from "./request.js";
import { at, instant } from "./words.js";

export class Moment {
  #asOf = byId("as-of");
  #rows = new Map();
  #changed;

  /** @param changed called after each change. */
  constructor(changed) {
    this.#changed = changed;
    for (const [name, feature] of Object.entries(WHAT_IF)) this.#rows.set(name, this.#row(name, feature));
    byId("what-if").append(...[...this.#rows.values()].map((row) => row.element));
    this.#asOf.addEventListener("input", changed);
    byId("moment-reset").addEventListener("click", () => {
      this.show({ asOf: "", whatIf: {}, mode: "candidates" });
      changed();
    });
  }

  /** `YYYY-MM-DDTHH:MM`, UTC, or nothing for now. */
  get asOf() {
    return this.#asOf.value;
  }

  /** Feature → value, only of those that are set. */
  get whatIf() {
    const set = [...this.#rows].filter(([, row]) => row.on.checked);
    return Object.fromEntries(set.map(([name, row]) => [name, Number(row.slider.value)]));
  }

  /** The last email that somebody was sent has its own moment: in that mode, there is nothing to set. */
  show({ asOf, whatIf, mode }) {
    this.#asOf.value = asOf;
    for (const [name, row] of this.#rows) {
      row.on.checked = name in whatIf;
      row.slider.value = whatIf[name] ?? WHAT_IF[name].rest;
      row.tell();
    }
    byId("moment-fields").hidden = mode === "last";
    byId("moment-needs").hidden = mode !== "last";
    if (asOf || Object.keys(whatIf).length) byId("moment-part").open = true;
  }

  /** Say which moments can be asked for. */
  bound(service) {
    const [from, now] = [instant(service.feature_time), instant(service.now)];
    if (!from || !now) return;
    this.#asOf.min = from.toISOString().slice(0, 16);
    const earliest = `Nothing before ${at(from)}, which the features know.`;
    say(byId("as-of-hint"), `Empty means now, ${at(now)}. ${earliest}`);
  }

  #row(name, { label, most, words }) {
    const on = make("input", { type: "checkbox", id: `${name}-on`, "aria-label": `Set: ${label}` });
    const slider = make("input", { type: "range", id: name, min: 0, max: most });
    const output = make("output", { for: name });
    const element = make("div", { class: "what-if" }, on, make("label", { for: name }, label), output, slider);
    const tell = () => {
      const value = words(Number(slider.value));
      output.textContent = on.checked ? value : "as it is";
      slider.setAttribute("aria-valuetext", on.checked ? value : `${value}, not sent`);
      element.classList.toggle("off", !on.checked);
    };
    const change = () => {
      tell();
      this.#changed();
    };
    on.addEventListener("change", change);
    slider.addEventListener("input", () => {
      on.checked = true;
      change();
    });
    return { element, on, slider, tell };
  }
}
