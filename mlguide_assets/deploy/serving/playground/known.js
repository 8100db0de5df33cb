// The columns of an event that are known when it happens, as fields of a form.

import { byId, make } from "./dom.js";
import { problem } from "./problem.js";

export class Known {
  #fields = new Map();

  /** @param changed called after each change. */
  constructor(changed) {
    for (const field of problem.known) this.#fields.set(field.name, controlOf(field, changed));
    const rows = problem.known.map(({ name, description }) => {
      const control = this.#fields.get(name);
      const label = make("label", { for: control.id }, name);
      const hint = description && make("small", { id: `${control.id}-hint` }, description);
      return make("div", { class: "known" }, label, control, hint);
    });
    byId("known").append(...rows);
  }

  /** Column → text; nothing where it is empty. */
  get values() {
    return Object.fromEntries([...this.#fields].map(([name, control]) => [name, control.value.trim()]));
  }

  show(values) {
    for (const [name, control] of this.#fields) control.value = values[name];
  }
}

function controlOf({ name, kind, values, description }, changed) {
  const id = `known-${problem.known.findIndex((field) => field.name === name)}`;
  const described = description ? `${id}-hint known-error` : "known-error";
  const attributes = { id, "aria-describedby": described, input: changed };
  const choices = kind === "flag" ? ["false", "true"] : values;
  if (choices.length) {
    const options = ["", ...choices].map((value) => make("option", { value }, value || "(empty)"));
    return make("select", attributes, ...options);
  }
  const mode = { number: "decimal", integer: "numeric" }[kind] ?? "text";
  return make("input", { ...attributes, type: "text", inputmode: mode });
}
