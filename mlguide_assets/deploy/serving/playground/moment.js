// When the email would be sent, and features of that moment that are set by hand.

import { byId, make, say } from "./dom.js";
import { WHAT_IF } from "./request.js";
import { at, instant } from "./words.js";

const DAY = 86_400_000;

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
      row.set(whatIf[name]);
    }
    byId("moment-fields").hidden = mode === "last";
    byId("moment-needs").hidden = mode !== "last";
    if (asOf || Object.keys(whatIf).length) byId("moment-part").open = true;
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

  /** Say which moments can be asked for. */
  bound(service) {
    const [from, now] = [instant(service.feature_time), instant(service.now)];
    if (!from || !now) return;
    this.#asOf.min = from.toISOString().slice(0, 16);
    const earliest = `Nothing before ${at(from)}, which the features know.`;
    say(byId("as-of-hint"), `Empty means now, ${at(now)}. ${earliest}`);
  }

  #row(name, { label, most, rest, words }) {
    const on = make("input", { type: "checkbox", id: `${name}-on`, "aria-label": `Set: ${label}` });
    const slider = make("input", { type: "range", id: name, min: 0, max: most });
    const output = make("output", { for: name });
    const element = make("div", { class: "what-if" }, on, make("label", { for: name }, label), output, slider);
    const made = { element, on, slider };
    const tell = () => {
      const value = words(Number(slider.value));
      const known = made.own !== undefined && !on.checked;
      output.textContent = on.checked ? value : known ? `${value}, as it is` : "as it is";
      slider.setAttribute("aria-valuetext", on.checked ? value : `${value}, not sent`);
      element.classList.toggle("off", !on.checked);
    };
    made.set = (value = made.own ?? rest) => {
      // A user may have joined before the scale begins.
      slider.max = Math.max(most, Math.ceil(value));
      slider.value = value;
      tell();
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
    return made;
  }
}

/**
 * The features that can be set by hand as they are: of a user, an email and a moment; those that are known.
 *
 * @param user, email: as the API lists them, or undefined; moment: a Date.
 */
export function ownValues(user, email, moment) {
  const days = (since) => {
    const from = instant(since);
    return from && from <= moment ? (moment - from) / DAY : undefined;
  };
  return {
    tenure_days: days(user?.date_joined),
    email_age_days: days(email?.created_at),
    days_since_last_email: days(user?.last_delivered_at),
    day_of_week: (moment.getUTCDay() + 6) % 7,
    hour_of_day: moment.getUTCHours(),
  };
}
