// The entities that were seen, so that ids can be shown with what they are of.

import * as api from "./api.js";
import { choice } from "./problem.js";
import { day, many } from "./words.js";

const SAMPLES = 6;
const MOST_CANDIDATES = 1000;
const MOST_LOOKED_UP = 30;
const TOLD = 3;

export class Catalog {
  /** Noun → id → row of its list, or null where it has none. */
  #rows = new Map();
  #loading = null;

  /** Entities to try things out with. */
  async samples(entity) {
    return this.#remembered(entity, await api.listed(entity, "", SAMPLES));
  }

  /** Entities to pick from, as options: those whose id starts with a text. */
  async find(entity, text) {
    if (entity === choice()) return this.#findCandidates(entity, text);
    if (entity.text === false && !/^\d{0,19}$/.test(text)) return [];
    return this.#remembered(entity, await api.listed(entity, text, 20)).map((id) => this.option(entity, id));
  }

  /** Load what a decision may choose, once. */
  async loadCandidates() {
    if (!choice()) return;
    this.#loading ??= api.listed(choice(), "", MOST_CANDIDATES);
    try {
      this.#remembered(choice(), await this.#loading);
    } catch (fault) {
      this.#loading = null;
      throw fault;
    }
  }

  /** Look up entities that were named by their ids alone; what fails here is only their description. */
  async lookUp(entity, ids) {
    const rows = this.#of(entity);
    const missing = ids.filter((id) => !rows.has(id)).slice(0, MOST_LOOKED_UP);
    missing.forEach((id) => rows.set(id, null));
    const found = await Promise.allSettled(missing.map((id) => api.listed(entity, id, 1)));
    found.forEach((each) => this.#remembered(entity, each.value ?? []));
    return missing.length > 0;
  }

  /** Other features were published: what was seen may have changed. */
  forget() {
    this.#rows.clear();
    this.#loading = null;
  }

  /** What is known of an entity, as the API lists it; undefined where nothing is. */
  row(entity, id) {
    return this.#of(entity).get(id) ?? undefined;
  }

  /** An entity as an option: `title` says what it is, `note` more. A text of its own is the best title. */
  option(entity, id) {
    const row = this.row(entity, id);
    if (!row) return { id, title: "", note: "" };
    const known = entity.columns.filter(({ name }) => row[name] !== null);
    const values = (kind) => known.filter((each) => each.kind === kind).map(({ name }) => String(row[name]));
    const text = entity.columns.find(({ kind }) => kind === "text");
    const counts = known.filter(({ kind }) => kind === "count").map(({ name, label }) => many(row[name], label));
    if (!text) return { id, title: values("fact").slice(0, TOLD).join(", "), note: counts.join(" · ") };
    const dated = values("time").slice(0, 1).map(day);
    return { id, title: row[text.name] ?? `(no ${text.label})`, note: [...values("fact").slice(0, 2), ...dated].join(" · ") };
  }

  /** Candidates that have all the words in what is shown of them, the newest first. */
  async #findCandidates(entity, text) {
    await this.loadCandidates();
    const words = text.toLowerCase().split(/\s+/);
    const options = [...this.#of(entity).keys()].map((id) => this.option(entity, id));
    const shown = ({ id, title, note }) => `${id} ${title} ${note}`.toLowerCase();
    return options.filter((option) => words.every((word) => shown(option).includes(word)));
  }

  #of({ noun }) {
    if (!this.#rows.has(noun)) this.#rows.set(noun, new Map());
    return this.#rows.get(noun);
  }

  /** The ids of rows, which are kept. */
  #remembered(entity, rows) {
    const ids = rows.map((row) => String(row[entity.id]));
    ids.forEach((id, place) => this.#of(entity).set(id, rows[place]));
    return ids;
  }
}
