// Answers as tables. A bar decorates the number beside it, and says nothing that the text does not say.

import { make } from "./dom.js";
import { chartOf, reachOf } from "./reasons.js";
import { at, count, instant, percent, share } from "./words.js";

const TOLD = 3;
const SHOWN = 5;
const OPEN_BY_ITSELF = 3;
const ENDS = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];

const pairOf = ({ user_id: user, email_id: email }) => `${user}/${email}`;
const predictionsOf = ({ predictions, recommendations }) =>
  predictions ?? recommendations.flatMap((each) => each.candidates);

/** `user/email` → probability. */
export const risksOf = (answer) => new Map(predictionsOf(answer).map((each) => [pairOf(each), each.probability]));

/** An answer in one sentence; null where there is nothing in it. */
export function summaryOf({ recommendations, predictions }, positive) {
  const all = predictions ?? recommendations;
  if (!all.length) return null;
  if (predictions) {
    const over = predictions.filter((each) => each.prediction === positive).length;
    return `${count(all.length, "prediction")}, ${over} of them ${positive}.`;
  }
  const told = all.slice(0, TOLD).map(({ user_id: user, choice, candidates: [{ probability: risk }] }) => {
    const what = choice.decision === "send" ? `send email ${choice.email_id}` : choice.decision;
    return `User ${user}: ${what}${risk === undefined ? "" : `, ${percent(risk)}`}.`;
  });
  return told.join(" ") + (all.length > TOLD ? ` And ${count(all.length - TOLD, "more user")}.` : "");
}

/**
 * The elements that show an answer.
 *
 * @param view answer: of /predict or /recommend; before: `user/email` → the probability without what-if, or null;
 *   threshold, positive: the model's; catalog; toggled: the ids of what was opened or closed by hand; redraw: called
 *   when that changed.
 */
export function elementsOf({ answer, ...view }) {
  const all = predictionsOf(answer);
  const groups = answer.recommendations ?? [{ candidates: all }];
  const scaled = {
    ...view,
    top: scaleOf(all, view),
    reach: reachOf(all),
    openByItself: groups.length <= OPEN_BY_ITSELF,
    withRisk: all.some((each) => each.probability !== undefined),
    withReasons: all.some((each) => each.reasons),
  };
  const shown = all.length ? [legend(scaled), ...groups.map((group) => groupOf(group, scaled))] : [];
  const id = make("code", {}, answer.request_id);
  const facts = make("p", { class: "hint" }, `Answered by version ${answer.model_version} as request `, id, ".");
  return [...notesOf(answer), ...shown, facts];
}

function notesOf({ degraded, unknown_users: users, unknown_emails: emails, recommendations }) {
  const notes = [...degraded];
  const named = (ids, noun) => `Unknown ${noun}${ids.length > 1 ? "s" : ""} ${ids.join(", ")}`;
  const lack = recommendations ? "no features are known of them" : "no email that they were sent is known";
  if (users.length) notes.push(`${named(users, "user")}: ${lack}.`);
  if (emails.length) notes.push(`${named(emails, "email")}: not among those that were published.`);
  return notes.length ? [make("ul", { class: "notes" }, ...notes.map((note) => make("li", {}, note)))] : [];
}

/** Where the bars end: a round number that is not less than any probability, and more than the threshold. */
function scaleOf(predictions, { threshold, before }) {
  const risks = [...predictions.map((each) => each.probability ?? 0), ...(before?.values() ?? [])];
  const most = Math.max(...risks, 1.2 * (threshold ?? 0), 1e-6);
  const unit = 10 ** Math.floor(Math.log10(most));
  return Math.min(1, unit * ENDS.find((end) => end * unit >= most));
}

function legend({ top, threshold, before, withRisk }) {
  if (!withRisk) return make("p", { class: "hint" }, "Probabilities are off: only the classes were asked for.");
  const line = threshold === null ? "" : ` The line is the threshold, ${share(threshold)}: from there on, withhold.`;
  const was = before ? " The thin mark is the risk without what-if." : "";
  return make("p", { class: "hint" }, `Bars run from 0% to ${share(top)}.${line}${was}`);
}

/** The candidates of a user, or the last email of every user. */
function groupOf({ user_id: id, choice, candidates }, view) {
  const user = (of) => view.catalog.user(String(of));
  const email = (of) => view.catalog.email(String(of));
  if (!choice) {
    const rows = candidates.flatMap((each) => {
      const delivered = `as of its delivery, ${at(instant(each.feature_time))}`;
      const cells = [named("th", user(each.user_id)), named("td", email(each.email_id), delivered)];
      return rowsOf(each, cells, view);
    });
    return make("section", { class: "card" }, make("h3", {}, "Last email of each user"), table("User", rows, view));
  }
  const { title, note } = user(id);
  const all = `all-${id}`;
  const folded = candidates.length > SHOWN + 1 && !view.toggled.has(all);
  const rows = candidates.slice(0, folded ? SHOWN : undefined).flatMap((each, position) => {
    const badge = !position && make("span", { class: `badge ${choice.decision}` }, choice.decision);
    const offered = email(each.email_id);
    return rowsOf(each, [make("td", {}, position + 1), named("th", offered, badge, offered.note)], view, !position);
  });
  return make(
    "section",
    { class: "card" },
    make("h3", {}, `User ${id}`, make("small", {}, [title, note].filter(Boolean).join(" · "))),
    verdict(choice, candidates[0]),
    table("Rank", rows, view, `Candidates for user ${id}, the least risky first`),
    folded && button(all, view, `Show all ${candidates.length}`),
  );
}

function verdict({ email_id: email, decision }, { probability }) {
  const risk = probability === undefined ? "" : `, at ${percent(probability)}`;
  const [what, why] =
    decision === "send"
      ? [`Send email ${email}`, `: of these, it is the least likely to lose this user${risk}.`]
      : ["Withhold", `: even email ${email}, the least risky, is too likely to lose this user${risk}.`];
  return make("p", { class: `verdict ${decision}` }, make("strong", {}, what), why);
}

function table(first, rows, { withRisk }, caption = "The last email that each user was sent") {
  // The soft hyphen lets the word break where the page is narrow.
  const columns = [first, "Email", withRisk && "Risk", "Unsub\u00adscribes?"].filter(Boolean);
  const head = make("tr", {}, ...columns.map((column) => make("th", { scope: "col" }, column)));
  const unseen = make("caption", { class: "unseen" }, caption);
  return make("table", {}, unseen, make("thead", {}, head), make("tbody", {}, ...rows));
}

/** A cell that names what is in the catalog. */
function named(tag, { id, title }, ...notes) {
  const scope = tag === "th" && "row";
  return make(tag, { scope }, make("b", {}, id), ` ${title}`, make("small", {}, ...notes));
}

/** The row of a prediction and, if they are open, its reasons. */
function rowsOf(prediction, cells, view, chosen = false) {
  const { user_id: user, email_id: email, prediction: label, reasons } = prediction;
  const name = `why-${user}-${email}`;
  const open = reasons && (chosen && view.openByItself) !== view.toggled.has(name);
  const about = `: reasons for email ${email} and user ${user}`;
  const why = reasons && button(name, view, "Why?", about, open);
  if (view.withRisk) cells.push(riskCell(prediction, view));
  cells.push(make("td", { class: "label" }, make("span", { class: label === view.positive && "over" }, label), why));
  const row = make("tr", { class: chosen && "choice" }, ...cells);
  if (!open) return [row];
  return [row, make("tr", {}, make("td", { colspan: cells.length }, chartOf(reasons, view.reach)))];
}

function riskCell(prediction, { top, threshold, positive, before }) {
  const { probability: risk, prediction: label } = prediction;
  const was = before?.get(pairOf(prediction));
  const mark = (kind, value) => {
    const made = make("i", { class: kind, hidden: value === undefined || value === null });
    made.style.setProperty("--share", value / top);
    return made;
  };
  const marks = [mark(label === positive ? "fill over" : "fill", risk), mark("was", was), mark("line", threshold)];
  const bar = make("div", { class: "bar", "aria-hidden": "true" }, ...marks);
  const changed = was !== undefined && make("small", {}, `was ${percent(was)}`);
  return make("td", { class: "risk" }, make("span", { title: risk }, percent(risk)), changed, bar);
}

/** A button that opens or closes what has its id. */
function button(id, { toggled, redraw }, text, about, open) {
  const click = () => {
    if (!toggled.delete(id)) toggled.add(id);
    redraw();
  };
  const attributes = { type: "button", id, "aria-expanded": open?.toString(), click };
  return make("button", attributes, text, about && make("span", { class: "unseen" }, about));
}
