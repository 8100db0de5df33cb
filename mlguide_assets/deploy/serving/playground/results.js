// Answers as tables. A bar decorates the number beside it, and says nothing that the text does not say.

import { make } from "./dom.js";
import { above, capital, choice, isEvent, problem, unit } from "./problem.js";
import { chartOf, reachOf } from "./reasons.js";
import { at, count, instant, percent, share } from "./words.js";

const MOST_SPOKEN = 3;
const SHOWN = 5;
const OPEN_BY_ITSELF = 3;
const ENDS = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];

const keyOf = (prediction) => problem.entities.map(({ id }) => prediction[id]).join("/");
const predictionsOf = ({ predictions, recommendations }) =>
  predictions ?? recommendations.flatMap((each) => each.candidates);

/** The ids of a case, joined by slashes → its probability. */
export const risksOf = (answer) => new Map(predictionsOf(answer).map((each) => [keyOf(each), each.probability]));

/** An answer in one sentence; null where there is nothing in it. */
export function summaryOf({ recommendations, predictions }, positive) {
  const all = predictions ?? recommendations;
  if (!all.length) return null;
  if (choice() && predictions) {
    const over = predictions.filter((each) => each.prediction === positive).length;
    return `${count(all.length, "prediction")}, ${over} of them ${positive}.`;
  }
  const { noun, plural, id } = unit();
  const rest = all.length - MOST_SPOKEN;
  if (isEvent()) return `${capital(problem.noun)}: ${sentence(all[0])}.`;
  return all.slice(0, MOST_SPOKEN).map((each) => `${capital(noun)} ${each[id]}: ${sentence(each)}.`).join(" ")
    + (rest > 0 ? ` And ${rest} more ${rest === 1 ? noun : plural}.` : "");
}

/** What to do with a unit, and how risky it is. */
function sentence({ choice: chosen, candidates, decision, probability }) {
  const risk = candidates ? candidates[0].probability : probability;
  const acts = chosen?.decision === problem.act;
  const what = chosen ? (acts ? `${chosen.decision} ${choice().noun} ${chosen[choice().id]}` : chosen.decision) : decision;
  return `${what}${risk === undefined ? "" : `, ${percent(risk)}`}`;
}

/**
 * The elements that show an answer.
 *
 * @param view answer: of /predict or /recommend; before: the ids of a case → its probability without what-if, or null;
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
    openByItself: (choice() ? groups : all).length <= OPEN_BY_ITSELF,
    withRisk: all.some((each) => each.probability !== undefined),
    withReasons: all.some((each) => each.reasons),
  };
  const shown = all.length ? [legend(scaled), ...groups.map((group) => groupOf(group, scaled))] : [];
  const id = make("code", {}, answer.request_id);
  const facts = make("p", { class: "hint" }, `Answered by version ${answer.model_version} as request `, id, ".");
  return [...notesOf(answer), ...shown, facts];
}

function notesOf({ degraded, recommendations, ...answer }) {
  const unknown = problem.entities.map((entity) => [entity, answer[`unknown_${entity.plural}`]]);
  const notes = unknown.filter(([, ids]) => ids.length).map(([{ noun, plural, known }, ids]) => {
    const named = `Unknown ${ids.length > 1 ? plural : noun} ${ids.join(", ")}`;
    if (choice()?.noun === noun) return `${named}: not among those that were published.`;
    if (isEvent() && !known) return `${named}: answered as without any history.`;
    const last = choice() && !recommendations;
    return `${named}: ${last ? `no ${problem.noun} to ${ids.length > 1 ? "them" : "it"} is known` : "no features are known"}.`;
  });
  for (const { noun, plural } of problem.entities) {
    const ids = answer[`left_out_${plural}`] ?? [];
    if (ids.length) notes.push(`Left out of every plan, so no model has learned from the like: ${ids.length > 1 ? plural : noun} ${ids.join(", ")}.`);
  }
  const all = [...degraded, ...notes];
  return all.length ? [make("ul", { class: "notes" }, ...all.map((note) => make("li", {}, note)))] : [];
}

/** Where the bars end: a round number that is not less than any probability, and more than the threshold. */
function scaleOf(predictions, { threshold, before }) {
  const risks = [...predictions.map((each) => each.probability ?? 0), ...(before?.values() ?? [])];
  const most = Math.max(...risks, 1.2 * (threshold ?? 0), 1e-6);
  const unit = 10 ** Math.floor(Math.log10(most));
  return Math.min(1, unit * ENDS.find((end) => end * unit >= most));
}

function legend({ top, threshold, before, withRisk }) {
  if (!withRisk) return make("p", { class: "hint" }, "Probabilities are off: only the classes were requested.");
  const line = threshold === null ? "" : ` The line is the threshold, ${share(threshold)}: from there on, ${above()}.`;
  const was = before ? " The thin mark is the risk without what-if." : "";
  return make("p", { class: "hint" }, `Bars run from 0% to ${share(top)}.${line}${was}`);
}

/** The candidates of a unit, or one case after the other. */
function groupOf(group, view) {
  const { choice: chosen, candidates } = group;
  const option = (entity, id) => view.catalog.option(entity, String(id));
  if (!chosen) return casesOf(candidates, option, view);
  const { noun, id } = unit();
  const { title, note } = option(unit(), group[id]);
  const all = `all-${group[id]}`;
  const folded = candidates.length > SHOWN + 1 && !view.toggled.has(all);
  const rows = candidates.slice(0, folded ? SHOWN : undefined).flatMap((each, position) => {
    const badge = !position && badgeOf(chosen.decision);
    const offered = option(choice(), each[choice().id]);
    const cells = [make("td", {}, position + 1), named("th", offered, badge, offered.note)];
    return rowsOf(each, cells, { ...view, chosen: !position, open: !position && view.openByItself });
  });
  return make(
    "section",
    { class: "card" },
    make("h3", {}, `${capital(noun)} ${group[id]}`, make("small", {}, [title, note].filter(Boolean).join(" · "))),
    verdict(chosen, candidates[0]),
    table(["Rank", capital(choice().noun)], rows, view, `Candidates for ${noun} ${group[id]}, the least risky first`),
    folded && button(all, view, `Show all ${candidates.length}`),
  );
}

/** Cases without a choice: events, entities, or the last decision about each unit. */
function casesOf(candidates, option, view) {
  const rows = candidates.flatMap((each) => {
    const [first, ...others] = problem.entities.map((entity) => option(entity, each[entity.id]));
    const as = choice() && `as of its own instant, ${at(instant(each.feature_time))}`;
    const cells = [named("th", first, first.note), ...others.map((other) => named("td", other, as))];
    return rowsOf(each, cells, { ...view, open: !choice() && view.openByItself });
  });
  const title = choice() ? `Last ${problem.noun} of each ${unit().noun}` : capital(isEvent() ? problem.noun : unit().plural);
  const heads = problem.entities.map(({ noun }) => capital(noun));
  return make("section", { class: "card" }, make("h3", {}, title), table(heads, rows, view, title));
}

const badgeOf = (decision) => {
  const kind = decision === above() ? "over" : "under";
  return make("span", { class: `badge ${kind}` }, decision);
};

function verdict(chosen, { probability }) {
  const { noun, id } = choice();
  const risk = probability === undefined ? "" : `, at ${percent(probability)}`;
  const acts = chosen.decision === problem.act;
  const [what, why] = acts
    ? [`${capital(problem.act)} ${noun} ${chosen[id]}`, `: of these, it is the least likely to end badly${risk}.`]
    : [capital(problem.leave), `: even ${noun} ${chosen[id]}, the least risky, is too likely to end badly${risk}.`];
  return make("p", { class: `verdict ${acts ? "under" : "over"}` }, make("strong", {}, what), why);
}

function table(first, rows, { withRisk }, caption) {
  const columns = [...first, withRisk && "Risk", `${capital(problem.outcome)}?`].filter(Boolean);
  const head = make("tr", {}, ...columns.map((column) => make("th", { scope: "col" }, column)));
  const unseen = make("caption", { class: "unseen" }, caption);
  return make("table", {}, unseen, make("thead", {}, head), make("tbody", {}, ...rows));
}

/** A cell that names what is in the catalog. */
function named(tag, { id, title }, ...notes) {
  const scope = tag === "th" && "row";
  return make(tag, { scope }, make("b", {}, id), ` ${title}`, make("small", {}, ...notes.filter(Boolean)));
}

/** The row of a prediction and, if they are open, its reasons; `chosen` is shown as such, `open` opens by itself. */
function rowsOf(prediction, cells, { chosen = false, open: byItself, ...view }) {
  const { prediction: label, reasons, decision } = prediction;
  const name = `why-${keyOf(prediction)}`;
  const open = reasons && byItself !== view.toggled.has(name);
  const about = `: reasons for ${problem.entities.map(({ noun, id }) => `${noun} ${prediction[id]}`).join(" and ")}`;
  const why = reasons && button(name, view, "Why?", about, open);
  if (view.withRisk) cells.push(riskCell(prediction, view));
  const said = make("span", { class: label === view.positive && "over" }, label);
  cells.push(make("td", { class: "label" }, said, decision && badgeOf(decision), why));
  const row = make("tr", { class: chosen && "choice" }, ...cells);
  if (!open) return [row];
  return [row, make("tr", {}, make("td", { colspan: cells.length }, chartOf(reasons, view.reach)))];
}

function riskCell(prediction, { top, threshold, positive, before }) {
  const { probability: risk, prediction: label } = prediction;
  const was = before?.get(keyOf(prediction));
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
