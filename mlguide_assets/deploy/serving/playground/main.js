// The page: controls → request → answer. Every change asks again; an answer that comes too late is dropped.

import * as api from "./api.js";
import { Catalog } from "./catalog.js";
import { byId, make, refill } from "./dom.js";
import { KeyForm } from "./key.js";
import { Moment, ownValues } from "./moment.js";
import { Outcome } from "./outcome.js";
import { Picker } from "./picker.js";
import { linkOf, requestOf, stateOf } from "./request.js";
import { risksOf } from "./results.js";
import { Service } from "./service.js";
import { instant } from "./words.js";

const PAUSE = 200;

const catalog = new Catalog();
const service = new Service(onLook);
const outcome = new Outcome({ catalog, service });
const moment = new Moment(changed);
const keyForm = new KeyForm(start);

const users = new Picker(byId("users"), {
  noun: "user",
  label: "Find by id, or paste ids",
  placeholder: "1, 5, 100",
  find: (text) => catalog.findUsers(text),
  describe: (id) => catalog.user(id),
  changed,
});
const emails = new Picker(byId("emails"), {
  noun: "email",
  label: "Candidates; none picked means the newest ones",
  placeholder: "subject, theme, category or id",
  find: (text) => catalog.findEmails(text),
  describe: (id) => catalog.email(id),
  changed,
});

/** The request in progress: aborted as soon as another takes its place. */
let asking = new AbortController();
/** The last answer without what-if: what was asked of which model, and `user/email` → probability. */
let baseline = { asked: "", risks: new Map() };
let listed = false;
let pause = 0;

function stateOfControls() {
  return {
    users: users.ids,
    mode: document.querySelector("input[name=mode]:checked").value,
    emails: emails.ids,
    probability: byId("probability").checked,
    explain: byId("explain").checked,
    asOf: moment.asOf,
    whatIf: moment.whatIf,
  };
}

function showState(state) {
  users.ids = state.users;
  emails.ids = state.emails;
  document.querySelector(`input[name=mode][value=${state.mode}]`).checked = true;
  byId("probability").checked = state.probability;
  byId("explain").checked = state.explain;
  moment.show(state);
  byId("emails-part").hidden = state.mode === "last";
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
  outcome.asked(request, state);
  if (!state.users.length) return;
  try {
    const { answer, text } = await api.post(request.path, request.body, signal);
    const before = await risksWithoutWhatIf(state, answer, signal);
    users.mark(answer.unknown_users.map(String));
    emails.mark(answer.unknown_emails.map(String));
    outcome.answered({ answer, text, before });
    describe(state.users).then(() => startSliders(state, answer));
  } catch (fault) {
    if (signal.aborted) return;
    outcome.failed(fault);
    if (fault.status === 401) keyForm.ask();
  }
}

/** `user/email` → probability without what-if; null where there is no what-if. */
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

/** Let the sliders start at what is so of the first user, with the email that is least risky, at the moment asked for. */
async function startSliders({ asOf }, { recommendations: [first] = [] }) {
  const now = instant(asOf || service.state?.now);
  if (!first || !now) return;
  const [user, email] = [first.user_id, first.choice.email_id].map(String);
  // The answer may be here before the list of emails is.
  await catalog.loadEmails().catch(() => {});
  const own = ownValues(...catalog.facts(user, email), now);
  moment.start(own, `The sliders start where user ${user} is, with email ${email}.`);
}

/** Say who the users are that were named by their ids alone. */
async function describe(ids) {
  if (!(await catalog.lookUp(ids))) return;
  users.showPicked();
  outcome.draw();
}

/** Load what there is to pick from. */
async function list() {
  try {
    const [samples] = await Promise.all([catalog.samples(), catalog.loadEmails()]);
    listed = true;
    showSamples(samples);
  } catch (fault) {
    if (fault.status === 401) keyForm.ask();
    return;
  }
  users.showPicked();
  emails.showPicked();
  outcome.draw();
}

function showSamples(samples) {
  const add = (id) => make("button", { type: "button", click: () => users.add([id]) }, `User ${id}`);
  refill(byId("samples"), byId("samples-label"), ...samples.map((user) => add(String(user.user_id))));
  byId("samples").hidden = !samples.length;
}

/** What serves was looked at: ask again what failed, and what another model or newer features answer otherwise. */
function onLook(state, before) {
  moment.bound(state);
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
