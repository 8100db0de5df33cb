// The state of the server, polled, so that a promotion, newer features or a server that is gone are seen.

import * as api from "./api.js";
import { byId, make, say } from "./dom.js";
import { above } from "./problem.js";
import { at, instant, share, span } from "./words.js";

const EVERY = 2_000;

export class Service {
  /** The server's last word on itself; null before the first. */
  state = null;
  #seen;

  /** @param seen called after each look that was answered, with the state and the one before. */
  constructor(seen) {
    this.#seen = seen;
  }

  /** Look now, and from then on as long as the page is seen. */
  async look() {
    try {
      const before = this.state;
      this.state = await api.state();
      show(this.state);
      this.#seen(this.state, before);
    } catch (fault) {
      if (!(fault instanceof api.Fault)) throw fault;
      const advice = "This page looks again every 2 seconds. Is 'mlguide serve' running?";
      setStatus("gone", "does not answer", [`${fault.message} ${advice}`]);
    }
    this.#lookLater();
  }

  #lookLater() {
    setTimeout(() => (document.hidden ? this.#lookLater() : this.look()), EVERY);
  }
}

function show({ status, reasons, model_version: version, trained_at, shadow_version: shadow, threshold, ...times }) {
  setStatus(status, status, reasons);
  const [trained, features, now] = [trained_at, times.feature_time, times.now].map(instant);
  const model = [`version ${version}`, trained && `trained ${at(trained)}`, shadow && `${shadow} in its shadow`];
  say(byId("state-model"), version ? model.filter(Boolean).join(", ") : "none");
  say(byId("state-features"), features && now ? `of ${at(features)}, ${span(now - features)} old` : "none");
  say(byId("state-threshold"), threshold === null ? "none" : `${above()} from ${share(threshold)} on`);
}

function setStatus(kind, text, notes) {
  const [place, list] = [byId("state-status"), byId("state-reasons")];
  place.className = `status ${kind}`;
  say(place, text);
  if (list.textContent === notes.join("")) return;
  list.replaceChildren(...notes.map((note) => make("li", {}, note)));
  list.hidden = !notes.length;
}
