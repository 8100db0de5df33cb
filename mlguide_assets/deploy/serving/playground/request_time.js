// When it is decided, and features of that instant that are set by hand.

import { byId, make, say } from "./dom.js";
import { choice, isEvent, problem } from "./problem.js";
import { at, DAYS, instant, MONTHS } from "./words.js";

const DAY = 86_400_000;
/** Where a slider of days starts while nothing is known. */
const REST = 7;
const SAID = { hour: (value) => `${value}:00`, day_of_week: (value) => DAYS[value], month: (value) => MONTHS[value - 1] };

export class RequestTime {
  #asOf = byId("as-of");
  #rows = new Map();
  #changed;

  /** @param changed called after each change. */
  constructor(changed) {
    this.#changed = changed;
    for (const feature of problem.settable) this.#rows.set(feature.name, this.#row(feature));
    byId("what-if").append(...[...this.#rows.values()].map((row) => row.element));
    byId("what-if-part").hidden = !this.#rows.size;
    byId("as-of-label").textContent = `${whenOf()}, UTC`;
    byId("request-time-needs").textContent = `The last ${problem.noun} is scored as of its own instant: choose the other question to change it.`;
    this.#asOf.addEventListener("input", changed);
    byId("request-time-reset").addEventListener("click", () => {
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

  /** The last decision about somebody has its own instant: in that mode, there is nothing to set. */
  show({ asOf, whatIf, mode }) {
    this.#asOf.value = asOf;
    for (const [name, row] of this.#rows) {
      row.on.checked = name in whatIf;
      row.set(whatIf[name]);
    }
    byId("request-time-fields").hidden = mode === "last";
    byId("request-time-needs").hidden = mode !== "last";
    if (asOf || Object.keys(whatIf).length) byId("request-time-part").open = true;
  }

  /**
   * Let the sliders that are not set start where the features are.
   *
   * @param own feature → value, of those that are known; whose: whom and what they are of, in words.
   */
  start(own, whose) {
    for (const [name, row] of this.#rows) {
      row.own = own[name];
      if (!row.on.checked) row.set();
    }
    say(byId("what-if-of"), whose);
  }

  /** Say which instants can be requested. */
  bound(service) {
    const [from, now] = [instant(service.feature_time), instant(service.now)];
    if (!from || !now) return;
    this.#asOf.min = from.toISOString().slice(0, 16);
    const earliest = `Nothing before ${at(from)}, which the features know.`;
    say(byId("as-of-hint"), `Empty means now, ${at(now)}. ${earliest}`);
  }

  #row({ name, label, least, scale, part }) {
    const on = make("input", { type: "checkbox", id: `${name}-on`, "aria-label": `Set: ${label}` });
    const slider = make("input", { type: "range", id: name, min: least, max: scale });
    const output = make("output", { for: name });
    const element = make("div", { class: "what-if" }, on, make("label", { for: name }, label), output, slider);
    const made = { element, on, slider };
    const rest = part ? Math.round((least + scale) / 2) : REST;
    const update = () => {
      const value = (SAID[part] ?? String)(Number(slider.value));
      const known = made.own !== undefined && !on.checked;
      output.textContent = on.checked ? value : known ? `${value}, as it is` : "as it is";
      slider.setAttribute("aria-valuetext", on.checked ? value : `${value}, not sent`);
      element.classList.toggle("off", !on.checked);
    };
    made.set = (value = made.own ?? rest) => {
      // What it counts from may lie before the scale begins.
      slider.max = Math.max(scale, Math.ceil(value));
      slider.value = value;
      update();
    };
    const change = () => {
      update();
      this.#changed();
    };
    on.addEventListener("change", change);
    slider.addEventListener("input", () => {
      on.checked = true;
      change();
    });
    return made;
  }
}

function whenOf() {
  if (choice()) return `When the ${problem.noun} would be made`;
  return isEvent() ? `When the ${problem.noun} happens` : "When it is decided";
}

/**
 * The features that can be set by hand as they are at an instant; those that are known.
 *
 * @param rowOf noun → the entity as the API lists it, or undefined; now: a Date.
 */
export function ownValues(rowOf, now) {
  const days = (since) => {
    const from = instant(since);
    return from && from <= now ? (now - from) / DAY : undefined;
  };
  const own = ({ name, part, noun, since }) => [name, part ? PARTS[part](now) : days(rowOf(noun)?.[since])];
  return Object.fromEntries(problem.settable.map(own));
}

const PARTS = {
  hour: (now) => now.getUTCHours(),
  day_of_week: (now) => (now.getUTCDay() + 6) % 7,
  day_of_month: (now) => now.getUTCDate(),
  month: (now) => now.getUTCMonth() + 1,
  day_of_year: (now) => Math.floor((now - Date.UTC(now.getUTCFullYear(), 0)) / DAY) + 1,
};
