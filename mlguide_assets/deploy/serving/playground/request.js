// What is asked: from the state of the controls to the body of a request, to a curl command and to a link.

import { idsIn } from "./ids.js";
import { DAYS } from "./words.js";

const LONGEST = 9999;

/**
 * The features of the moment that can be set by hand: `most` is the end of the scale, which begins at 0, `limit` what a
 * link may set, and `rest` where the slider starts while the user's own value is not known.
 */
export const WHAT_IF = {
  tenure_days: { label: "Days since joining", most: 3650, limit: LONGEST, rest: 365, words: String },
  email_age_days: { label: "Age of the email, days", most: 365, limit: LONGEST, rest: 7, words: String },
  days_since_last_email: { label: "Days since the last email", most: 180, limit: LONGEST, rest: 7, words: String },
  day_of_week: { label: "Day of the week", most: 6, limit: 6, rest: 0, words: (value) => DAYS[value] },
  hour_of_day: { label: "Hour of the day, UTC", most: 23, limit: 23, rest: 12, words: (value) => `${value}:00` },
};

/**
 * The path and the body of the request.
 *
 * @param state users, emails: ids as text of digits; mode: "candidates" or "last"; probability, explain; asOf: UTC, or
 *   nothing for now; whatIf: feature → value, only of those that are set.
 */
export function requestOf(state) {
  const ids = (list) => `[${list.join(", ")}]`;
  const fields = [["user_ids", ids(state.users)]];
  const last = state.mode === "last";
  if (!last && state.emails.length) fields.push(["email_ids", ids(state.emails)]);
  fields.push(["probability", state.probability], ["explain", state.explain]);
  if (!last && state.asOf) fields.push(["as_of", `"${state.asOf}Z"`]);
  const set = Object.entries(state.whatIf).map(([name, value]) => `"${name}": ${value}`);
  if (!last && set.length) fields.push(["what_if", `{${set.join(", ")}}`]);
  const body = `{${fields.map(([name, value]) => `"${name}": ${value}`).join(", ")}}`;
  return { path: last ? "predict" : "recommend", body };
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
  if (state.users.length) parts.push(`users=${state.users}`);
  if (state.mode === "last") parts.push("mode=last");
  if (state.emails.length) parts.push(`emails=${state.emails}`);
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
  for (const [name, { limit }] of Object.entries(WHAT_IF)) {
    const value = said.get(name);
    if (value && /^\d{1,4}$/.test(value) && Number(value) <= limit) whatIf[name] = Number(value);
  }
  return {
    users: idsIn(said.get("users") ?? "") ?? [],
    mode: said.get("mode") === "last" ? "last" : "candidates",
    emails: idsIn(said.get("emails") ?? "") ?? [],
    probability: said.get("probability") !== "off",
    explain: said.get("reasons") !== "off",
    asOf: /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?$/.test(asOf) ? asOf : "",
    whatIf,
  };
}
