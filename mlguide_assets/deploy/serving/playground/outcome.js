// What became of the request: the answer, or why there is none, and the request itself to copy.

import { addressOf, key } from "./api.js";
import { byId, make, refill, say } from "./dom.js";
import { indented } from "./ids.js";
import { choice, isEvent, problem, unit } from "./problem.js";
import { curlOf } from "./request.js";
import { elementsOf, summaryOf } from "./results.js";


export class Outcome {
  /** Why there is no answer; null where there is one, or nothing was asked. */
  fault = null;
  #shown = null;
  /** The place beside a control where the fault is said. */
  #place = null;
  #toggled = new Set();
  #page;

  /** @param page catalog and service. */
  constructor(page) {
    this.#page = page;
    byId("curl-copy").addEventListener("click", copy);
    byId("json-part").addEventListener("toggle", () => this.#showJson());
  }

  /** The version of the model whose answer is shown. */
  get version() {
    return this.#shown?.answer.model_version;
  }

  /** A request is sent, or there is nothing to ask yet. */
  asked(request, any) {
    byId("results").setAttribute("aria-busy", String(any));
    byId("request-part").hidden = byId("again").hidden = !any;
    byId("curl").textContent = curlOf(request, addressOf(request.path), key.get() !== null);
    say(byId("curl-copied"), "");
    if (any) return;
    this.#clear();
    const steps = make("ol", {}, ...stepsOf().map((step) => make("li", {}, step)));
    byId("answer").append(make("div", { class: "card" }, `No ${unit().noun} is picked yet.`, steps));
  }

  /** @param found answer, text: as it came; before: `user/email` → the probability without what-if, or null. */
  answered(found) {
    this.#clear(found);
    this.draw();
    const nothing = "There is nothing to predict for: see what is unknown.";
    say(byId("summary"), summaryOf(found.answer, this.#page.service.state?.positive) ?? nothing);
  }

  failed(fault) {
    this.#clear();
    this.fault = fault;
    if (fault.status === 422) this.#place = placeOf(fault.message);
    if (this.#place) {
      say(this.#place, fault.message);
      say(byId("summary"), "No answer: what is wrong is said beside the field.");
    } else if (fault.status === 401) {
      say(byId("summary"), "No answer yet: the server wants its key, see above.");
    } else {
      const parts = [make("p", {}, make("strong", {}, "No answer. "), fault.message)];
      if (fault.passing) parts.push(make("p", {}, "This page tries again automatically."));
      if (fault.message.includes("to explain")) parts.push(make("p", {}, "More are answered without Reasons."));
      byId("failure").append(...parts);
    }
  }

  /** Draw the answer again: more is known of what is in it, or something was opened. */
  draw() {
    if (!this.#shown) return;
    const { catalog, service } = this.#page;
    const { threshold = null, positive } = service.state ?? {};
    const view = { ...this.#shown, threshold, positive, catalog, toggled: this.#toggled, redraw: () => this.draw() };
    refill(byId("answer"), ...elementsOf(view));
  }

  #showJson() {
    byId("json-part").hidden = !this.#shown;
    byId("json").textContent = this.#shown && byId("json-part").open ? indented(this.#shown.text) : "";
  }

  /** Show no fault, and another answer; without one, none. */
  #clear(shown = null) {
    this.fault = null;
    this.#shown = shown;
    byId("results").setAttribute("aria-busy", "false");
    byId("failure").replaceChildren();
    if (this.#place) say(this.#place, "");
    this.#place = null;
    this.#showJson();
    if (shown) return;
    byId("answer").replaceChildren();
    say(byId("summary"), "");
  }
}

function stepsOf() {
  const { plural, noun } = unit();
  const type = "click one to try, type the start of an id, or paste ids.";
  if (isEvent()) return [`Say which ${problem.noun}: click one to try, or fill in the fields.`, "Read here how risky it is, and why."];
  if (!choice()) return [`Pick ${plural}: ${type}`, `Read here how risky it is with each ${noun}, and why.`];
  const read = `Read here which ${choice().noun} is the least risky for each, how risky, and why.`;
  return [`Pick ${plural}: ${type}`, `Pick candidate ${choice().plural}, or leave it to the newest ones.`, read];
}

/** Field of a request → the place beside its control where a fault is said. */
function placesOf() {
  const named = ({ noun, id, ids, plural }) => [noun, id, ids].map((name) => [name, `${plural}-error`]);
  const pickers = problem.entities.flatMap(named);
  const columns = problem.known.map(({ name }) => [name, "known-error"]);
  return new Map([...pickers, ...columns, [problem.time, "as-of-error"], ["as_of", "as-of-error"], ["what_if", "what-if-error"]]);
}

/** The place beside the control of the first field that a fault names, if that control can be seen. */
function placeOf(message) {
  const places = placesOf();
  const names = /^([\p{L}\p{M}\p{N}_.]+):/u.exec(message)?.[1].split(".") ?? [];
  const asked = /(?:later|earlier) (\w+)\W*$/.exec(message)?.[1];
  const place = byId(places.get([...names, asked].find((name) => places.has(name))));
  if (!place || place.parentElement.closest("[hidden]")) return null;
  place.closest("details")?.setAttribute("open", "");
  return place;
}

async function copy() {
  try {
    await navigator.clipboard.writeText(byId("curl").textContent);
    say(byId("curl-copied"), "Copied.");
  } catch {
    // Without permission, or over plain HTTP: the reader copies by hand.
    getSelection().selectAllChildren(byId("curl"));
    say(byId("curl-copied"), "Selected: press Ctrl+C, or ⌘C.");
  }
}
