// The page: controls → request → answer. Every change sends a request; an answer that comes too late is dropped.

import * as api from "./api.js";
import { Catalog } from "./catalog.js";
import { byId, make, refill, say } from "./dom.js";
import { KeyForm } from "./key.js";
import { Known } from "./known.js";
import { Outcome } from "./outcome.js";
import { Picker } from "./picker.js";
import { capital, choice, isEvent, learn, problem, unit } from "./problem.js";
import { isAsked, linkOf, requestOf, stateOf } from "./request.js";
import { RequestTime, ownValues } from "./request_time.js";
import { risksOf } from "./results.js";
import { Service } from "./service.js";
import { instant } from "./words.js";

const PAUSE = 200;
const AGAIN = 2_000;

/** The words of the problem come first: all else is drawn from them. */
while (!problem.noun) {
  try {
    await learn();
  } catch (fault) {
    say(byId("summary"), `${fault.message} This page tries again every 2 seconds.`);
    await new Promise((resolve) => setTimeout(resolve, AGAIN));
  }
}
nameControls();

const catalog = new Catalog();
const service = new Service(onLook);
const outcome = new Outcome({ catalog, service });
const known = new Known(changed);
const requestTime = new RequestTime(changed);
const keyForm = new KeyForm(start);
/** Noun → picker. */
const pickers = new Map(problem.entities.map((entity) => [entity.noun, pickerOf(entity)]));

/** The request in progress: aborted as soon as another takes its place. */
let asking = new AbortController();
/** The last answer without what-if: the request and the model, and the ids of a case → its probability. */
let baseline = { asked: "", risks: new Map() };
let listed = false;
let pause = 0;

function nameControls() {
  document.title = `${problem.name} · mlguide`;
  byId("statement").textContent = problem.statement;
  showProblems();
  byId("about-title").textContent = capital(isEvent() ? problem.noun : unit().plural);
  byId("modes").hidden = !choice();
  byId("question-title").textContent = choice() ? "Question" : "Answer";
  if (!choice()) return;
  byId("mode-candidates").textContent = `Which of these ${choice().plural} is least risky?`;
  byId("mode-last").textContent = `How did, or will, the last ${problem.noun} of each ${unit().noun} end?`;
}

/** Links to all problems of the server, where there is more than one. */
function showProblems() {
  const root = location.pathname.replace(/problems\/[^/]*\/$/, "");
  const links = problem.served.map((name) =>
    name === problem.served_as
      ? make("span", { "aria-current": "page" }, name)
      : make("a", { href: `${root}problems/${name}/` }, name),
  );
  refill(byId("problems"), ...links);
  byId("problems").hidden = links.length < 2;
}

function pickerOf(entity) {
  const candidates = entity === choice();
  const place = byId(candidates ? "among" : "about");
  const root = make("div", { class: "picker", id: entity.plural });
  place.append(make("div", {}, root, make("p", { class: "error", id: `${entity.plural}-error`, role: "alert" })));
  const several = isEvent() ? capital(entity.noun) : "Find by id, or paste ids";
  return new Picker(root, {
    entity,
    label: candidates ? "Candidates (none picked: the newest)" : several,
    placeholder: candidates ? "search by words, or an id" : entity.text || isEvent() ? "an id" : "1, 5, 100",
    single: isEvent(),
    find: (text) => catalog.find(entity, text),
    describe: (id) => catalog.option(entity, id),
    changed,
  });
}

function stateOfControls() {
  return {
    picked: Object.fromEntries([...pickers].map(([noun, picker]) => [noun, picker.ids])),
    known: known.values,
    mode: document.querySelector("input[name=mode]:checked").value,
    probability: byId("probability").checked,
    explain: byId("explain").checked,
    asOf: requestTime.asOf,
    whatIf: requestTime.whatIf,
  };
}

function showState(state) {
  for (const [noun, picker] of pickers) picker.ids = state.picked[noun];
  known.show(state.known);
  document.querySelector(`input[name=mode][value=${state.mode}]`).checked = true;
  byId("probability").checked = state.probability;
  byId("explain").checked = state.explain;
  requestTime.show(state);
  byId("among").hidden = state.mode === "last";
}

function changed() {
  byId("results").setAttribute("aria-busy", "true");
  clearTimeout(pause);
  pause = setTimeout(ask, PAUSE);
}

async function ask() {
  clearTimeout(pause);
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  const state = stateOfControls();
  history.replaceState(null, "", `#${linkOf(state)}`);
  const request = requestOf(state);
  outcome.asked(request, isAsked(state));
  if (!isAsked(state)) return;
  try {
    const { answer, text } = await api.post(request.path, request.body, signal);
    const before = await risksWithoutWhatIf(state, answer, signal);
    for (const { noun, plural } of problem.entities) pickers.get(noun).mark(answer[`unknown_${plural}`].map(String));
    outcome.answered({ answer, text, before });
    describe(state.picked).then(() => startSliders(state, answer));
  } catch (fault) {
    if (signal.aborted) return;
    outcome.failed(fault);
    if (fault.status === 401) keyForm.ask();
  }
}

/** The ids of a case → its probability without what-if; null where there is no what-if. */
async function risksWithoutWhatIf(state, answer, signal) {
  if (!state.probability || state.mode === "last") return null;
  const { path, body } = requestOf({ ...state, whatIf: {}, explain: false });
  const asked = `${answer.model_version} ${body}`;
  const plain = !Object.keys(state.whatIf).length;
  if (plain) baseline = { asked, risks: risksOf(answer) };
  else if (baseline.asked !== asked) {
    baseline = { asked, risks: risksOf((await api.post(path, body, signal)).answer) };
  }
  return plain ? null : baseline.risks;
}

/** Let the sliders start at the values of the first case of the answer, at the requested instant. */
async function startSliders({ asOf, mode }, { recommendations: [best] = [], predictions: [only] = [] }) {
  const [now, first] = [instant(asOf || service.state?.now), best ?? only];
  if (!first || !now || mode === "last") return;
  // The answer may be here before the list of candidates is.
  await catalog.loadCandidates().catch(() => {});
  const idOf = ({ id }) => String(first[id] ?? first.choice[id]);
  const rowOf = (noun) => problem.entities.filter((each) => each.noun === noun).map((each) => catalog.row(each, idOf(each)))[0];
  const [whom, ...rest] = problem.entities.map((entity) => `${entity.noun} ${idOf(entity)}`);
  const beside = rest.length ? `, with ${rest.join(" and ")}` : "";
  requestTime.start(ownValues(rowOf, now), `The sliders start where ${whom} is${beside}.`);
}

/** Say what the entities are that were named by their ids alone. */
async function describe(picked) {
  const named = problem.entities.filter((entity) => entity !== choice());
  const found = await Promise.all(named.map((entity) => catalog.lookUp(entity, picked[entity.noun])));
  if (!found.some(Boolean)) return;
  named.forEach(({ noun }) => pickers.get(noun).showPicked());
  outcome.draw();
}

/** Load what there is to pick from. */
async function list() {
  const named = problem.entities.filter((entity) => entity !== choice());
  try {
    const [samples] = await Promise.all([
      Promise.all(named.map((entity) => catalog.samples(entity))),
      catalog.loadCandidates(),
    ]);
    listed = true;
    showSamples(named, samples);
  } catch (fault) {
    if (fault.status === 401) keyForm.ask();
    return;
  }
  for (const picker of pickers.values()) picker.showPicked();
  outcome.draw();
}

/** Buttons that pick a unit, or all entities of an event. */
function showSamples(entities, samples) {
  const count = Math.min(...samples.map((ids) => ids.length));
  const add = (place) => {
    const click = () => entities.forEach(({ noun }, each) => pickers.get(noun).add([samples[each][place]]));
    const names = entities.map(({ noun }, each) => `${noun} ${samples[each][place]}`);
    return make("button", { type: "button", click }, capital(names.join(", ")));
  };
  refill(byId("samples"), byId("samples-label"), ...Array.from({ length: count }, (_, place) => add(place)));
  byId("samples").hidden = !count;
}

/** What serves was looked at: ask again what failed, and what another model or newer features answer otherwise. */
function onLook(state, before) {
  requestTime.bound(state);
  const newer = before && before.feature_time !== state.feature_time;
  if (newer) {
    catalog.forget();
    baseline.asked = "";
  }
  if (newer || (before && !listed)) list();
  const replaced = outcome.version && (newer || outcome.version !== state.model_version);
  if (state.status !== "unavailable" && (outcome.fault?.passing || replaced)) ask();
}

function start() {
  list();
  ask();
}

for (const input of document.querySelectorAll("input[name=mode], #probability, #explain")) {
  input.addEventListener("change", () => {
    showState(stateOfControls());
    changed();
  });
}
byId("request").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
byId("again").addEventListener("click", ask);
addEventListener("hashchange", () => {
  showState(stateOf(location.hash));
  ask();
});

showState(stateOf(location.hash));
await service.look();
start();
