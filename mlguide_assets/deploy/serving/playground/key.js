// The API key: requested when the server requires one, kept by the tab alone.

import { key } from "./api.js";
import { byId, say } from "./dom.js";

export class KeyForm {
  #form = byId("key-form");

  /** @param given called once there is another key. */
  constructor(given) {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      const typed = byId("key").value.trim();
      if (!/^[\x21-\x7e]+$/.test(typed)) {
        say(byId("key-error"), typed ? "A key has no spaces and only plain characters." : "Type the key.");
        return;
      }
      key.set(typed);
      byId("key").value = "";
      this.#form.hidden = true;
      given();
    });
  }

  /** The server refused a request for want of its key. */
  ask() {
    const refused = key.get() !== null;
    if (!refused && !this.#form.hidden) return;
    key.forget();
    this.#form.hidden = false;
    say(byId("key-error"), refused ? "The server did not accept this key." : "");
    byId("key").focus();
  }
}
