// The request: from the state of the controls to its body, to a curl command and to a link.

import { idsIn, jsonOf } from "./ids.js";
import { choice, isEvent, problem, unit } from "./problem.js";

const LONGEST = 9999;

/**
 * The path and the body of the request.
 *
 * @param state picked: noun → ids as text; known: column of the event → text; mode: "candidates" or "last";
 *   probability, explain; asOf: UTC, or nothing for now; whatIf: feature → value, only of those that are set.
 */
export function requestOf(state) {
  const last = state.mode === "last";
  const options = [["probability", state.probability], ["explain", state.explain]];
  if (!isEvent() && !last && state.asOf) options.push(["as_of", `"${state.asOf}Z"`]);
  const set = Object.entries(state.whatIf);
  if (!last && set.length) options.push(["what_if", objectOf(set)]);
  if (isEvent()) {
    const event = eventOf(state);
    const body = problem.flat ? [...event, ...options] : [[problem.plural, `[${objectOf(event)}]`], ...options];
    return { path: "predict", body: objectOf(body) };
  }
  const listOf = (entity) => [entity.ids, `[${state.picked[entity.noun].map((id) => jsonOf(id, entity)).join(", ")}]`];
  const about = [listOf(unit())];
  if (choice() && !last && state.picked[choice().noun].length) about.push(listOf(choice()));
  return { path: choice() && !last ? "recommend" : "predict", body: objectOf([...about, ...options]) };
}

/** Whether there is anything to ask: of an event, each of its entities. */
export function isAsked({ picked }) {
  return isEvent() ? problem.entities.every(({ noun }) => picked[noun].length) : picked[unit().noun].length > 0;
}

/** The request as a command for a shell. A key is a variable of the shell there, never the key itself. */
export function curlOf(request, address, withKey) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const lines = [`curl -sS ${quoted(address)}`, `-H 'Content-Type: application/json'`];
  if (withKey) lines.push('-H "X-API-Key: $MLGUIDE_API_KEY"');
  return [...lines, `-d ${quoted(request.body)}`].join(" \\\n  ");
}

/** The state as the fragment of a link; what is as on an untouched page is left out. */
export function linkOf(state) {
  const parts = [];
  const [first, ...others] = problem.entities.map(({ noun, plural }) =>
    state.picked[noun].length ? [`${plural}=${state.picked[noun].map(encodeURIComponent)}`] : [],
  );
  parts.push(...first);
  if (state.mode === "last") parts.push("mode=last");
  parts.push(...others.flat());
  for (const { name, example } of problem.known) {
    if (state.known[name] !== String(example)) parts.push(`${encodeURIComponent(name)}=${encodeURIComponent(state.known[name])}`);
  }
  if (!state.probability) parts.push("probability=off");
  if (!state.explain) parts.push("reasons=off");
  if (state.asOf) parts.push(`as_of=${state.asOf}`);
  for (const [name, value] of Object.entries(state.whatIf)) parts.push(`${name}=${value}`);
  return parts.join("&");
}

/** The state that a fragment says; what cannot be read in it is as on an untouched page. */
export function stateOf(fragment) {
  const said = new URLSearchParams(fragment.replace(/^#/, ""));
  const asOf = said.get("as_of") ?? "";
  const whatIf = {};
  for (const { name, least, most } of problem.settable) {
    const value = said.get(name);
    if (value && /^\d{1,4}$/.test(value) && value >= least && value <= Math.min(most, LONGEST)) whatIf[name] = Number(value);
  }
  const picked = (entity) => [entity.noun, idsIn(said.get(entity.plural) ?? "", entity) ?? []];
  return {
    picked: Object.fromEntries(problem.entities.map(picked)),
    known: Object.fromEntries(problem.known.map(({ name, example }) => [name, said.get(name) ?? String(example)])),
    mode: said.get("mode") === "last" && choice() ? "last" : "candidates",
    probability: said.get("probability") !== "off",
    explain: said.get("reasons") !== "off",
    asOf: /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(asOf) ? asOf : "",
    whatIf,
  };
}

/** The fields of an event: its entities, what is known of it, and when it happens. */
function eventOf({ picked, known, asOf }) {
  const ids = problem.entities.map((entity) => [entity.id, jsonOf(picked[entity.noun][0] ?? "", entity)]);
  const values = problem.known.map((field) => [field.name, valueOf(field, known[field.name])]);
  return [...ids, ...values, ...(asOf ? [[problem.time, `"${asOf}Z"`]] : [])];
}

/** What is typed into a field, as JSON; what is no number is sent as it is, for the server to say so. */
function valueOf({ kind }, text) {
  if (text === "") return "null";
  const plain = kind === "flag" || (["number", "integer"].includes(kind) && /^-?\d+(\.\d+)?$/.test(text));
  return plain ? text : JSON.stringify(text);
}

const objectOf = (fields) => `{${fields.map(([name, value]) => `${JSON.stringify(name)}: ${value}`).join(", ")}}`;
