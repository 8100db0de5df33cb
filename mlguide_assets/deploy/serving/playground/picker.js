// A field that finds things by what is typed, and the list of those that were picked: ARIA's combobox pattern.

import { make, refill, say } from "./dom.js";
import { idsIn } from "./ids.js";
import { count } from "./words.js";

const TYPING = 120;

export class Picker {
  #ids = [];
  #unknown = new Set();
  #options = [];
  /** The place of the option that Enter chooses; -1: none. */
  #active = -1;
  #typing = 0;
  #search = 0;
  #settings;
  #input;
  #list;
  #hint;
  #picked;

  /**
   * @param root the element to fill; its id names what is in it.
   * @param settings entity: what is picked; label, placeholder; single: whether one takes the place of another;
   *   find(text): options to pick from, each {id, title, note}; describe(id): the option of an id; changed(): called
   *   after each change. What is wrong is said in `<root>-error`.
   */
  constructor(root, settings) {
    this.#settings = { ...settings, error: root.parentElement.querySelector(".error") };
    const { id } = root;
    const label = make("label", { for: `${id}-field` }, settings.label);
    this.#input = make("input", {
      id: `${id}-field`,
      type: "text",
      role: "combobox",
      placeholder: settings.placeholder,
      "aria-autocomplete": "list",
      "aria-controls": `${id}-list`,
      "aria-describedby": `${id}-hint ${id}-error`,
      keydown: (event) => this.#onKey(event),
      paste: (event) => this.#onPaste(event),
      input: () => this.#findSoon(),
      click: () => this.#find(),
      blur: () => this.#close(),
    });
    const roles = { role: "listbox", "aria-label": settings.label, "aria-multiselectable": String(!settings.single) };
    this.#list = make("ul", { id: `${id}-list`, ...roles });
    this.#hint = make("p", { id: `${id}-hint`, class: "hint", role: "status" });
    this.#picked = make("ul", { class: "chips", "aria-label": `Picked ${settings.entity.plural}` });
    // Without the listener, a press on the list would take the focus from the field, which closes the list.
    const popup = make("div", { class: "popup", mousedown: (event) => event.preventDefault() }, this.#hint, this.#list);
    root.append(label, make("div", { class: "field" }, this.#input, popup), this.#picked);
    this.#close();
  }

  get ids() {
    return this.#ids;
  }

  set ids(ids) {
    this.#ids = ids;
    this.showPicked();
  }

  /** Say which of the picked ones the server does not know. */
  mark(unknown) {
    this.#unknown = new Set(unknown);
    this.showPicked();
  }

  add(ids) {
    this.#change(this.#settings.single ? ids.slice(-1) : [...this.#ids, ...ids.filter((id) => !this.#ids.includes(id))]);
  }

  showPicked() {
    const { describe, entity: { noun } } = this.#settings;
    const chips = this.#ids.map((id) => {
      const unknown = this.#unknown.has(id);
      const title = unknown ? "unknown" : describe(id).title;
      const click = () => this.#remove(id);
      const remove = make("button", { type: "button", "aria-label": `Remove ${noun} ${id}`, click }, "×");
      return make("li", { class: unknown && "unknown" }, make("b", {}, id), make("small", { title }, title), remove);
    });
    refill(this.#picked, ...chips);
  }

  #change(ids) {
    this.#ids = ids;
    this.#complain("");
    this.showPicked();
    this.#settings.changed();
  }

  #complain(text) {
    this.#input.setAttribute("aria-invalid", text !== "");
    say(this.#settings.error, text);
  }

  #remove(id) {
    this.#change(this.#ids.filter((other) => other !== id));
    this.#input.focus();
  }

  #toggle(id) {
    const others = this.#ids.filter((other) => other !== id);
    const without = others.length < this.#ids.length;
    this.#change(without ? others : this.#settings.single ? [id] : [...others, id]);
    this.#input.select();
    this.#show();
  }

  /** Add the ids that are typed. */
  #addTyped() {
    const text = this.#input.value.trim();
    this.#close();
    if (!text) return;
    const { entity } = this.#settings;
    const ids = idsIn(text, entity);
    if (!ids) {
      const form = entity.text === false ? "whole numbers, such as 1, 5, 100" : "ids, with commas between them";
      this.#complain(`“${text.slice(0, 40)}” is no ${entity.noun} id: type ${form}, or choose with the arrow keys.`);
      return;
    }
    this.#input.value = "";
    this.add(ids);
  }

  #onPaste(event) {
    const ids = idsIn(event.clipboardData.getData("text"), this.#settings.entity);
    if (!ids || ids.length < 2 || this.#input.value) return;
    event.preventDefault();
    this.add(ids);
  }

  #onKey(event) {
    const { key } = event;
    if (key === "ArrowDown" || key === "ArrowUp") this.#move(key === "ArrowDown" ? 1 : -1);
    else if (key === "Enter" && this.#active >= 0) this.#toggle(this.#options[this.#active].id);
    else if (key === "Enter") this.#addTyped();
    else if (key === "Escape") this.#close();
    else return;
    event.preventDefault();
  }

  async #move(step) {
    if (this.#list.hidden || this.#typing) await this.#find();
    const places = this.#options.length;
    if (this.#list.hidden || !places) return;
    this.#active = (Math.max(this.#active, step < 0 ? 0 : -1) + step + places) % places;
    this.#show();
    this.#list.children[this.#active].scrollIntoView({ block: "nearest" });
  }

  #findSoon() {
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => this.#find(), TYPING);
  }

  async #find() {
    this.#close();
    const search = this.#search;
    try {
      const options = await this.#settings.find(this.#input.value.trim());
      if (search !== this.#search || document.activeElement !== this.#input) return;
      this.#options = options;
      this.#complain("");
      this.#show();
    } catch (fault) {
      this.#complain(fault.message);
    }
  }

  /** Show the options that were found. */
  #show() {
    const options = this.#options.map(({ id, title, note }, position) => {
      const active = position === this.#active;
      const picked = this.#ids.includes(id) ? "true" : "false";
      const attributes = { id: `${this.#list.id}-${position}`, role: "option", "aria-selected": picked };
      const parts = [make("b", {}, id), ` ${title} `, make("small", {}, note)];
      return make("li", { ...attributes, class: active && "active", click: () => this.#toggle(id) }, ...parts);
    });
    this.#list.replaceChildren(...options);
    this.#list.hidden = !options.length;
    this.#input.setAttribute("aria-expanded", options.length > 0);
    this.#input.setAttribute("aria-activedescendant", options[this.#active]?.id ?? "");
    this.#hint.textContent = this.#found();
  }

  #found() {
    const { entity } = this.#settings;
    const { noun, plural } = entity;
    const [found, ids] = [this.#options.length, idsIn(this.#input.value, entity)];
    const message = found ? `${count(found, noun, plural)} listed: arrow keys and Enter choose.` : `No ${noun} found.`;
    if (!ids || this.#active >= 0) return message;
    return `${message} Enter adds ${ids.length > 3 ? count(ids.length, noun, plural) : ids.join(", ")}.`;
  }

  /** Close the list, and drop what is still being found. */
  #close() {
    clearTimeout(this.#typing);
    this.#typing = 0;
    this.#search++;
    this.#active = -1;
    this.#list.hidden = true;
    this.#input.setAttribute("aria-expanded", "false");
    this.#input.setAttribute("aria-activedescendant", "");
    this.#hint.textContent = "";
  }
}
