// The decision, its entities and their names: the words of the page. The server sends them once.

import * as api from "./api.js";

/** The words as the API has them; `learn` fills them before anything is drawn. */
export const problem = {};

export async function learn() {
  Object.assign(problem, await api.problem());
}

/** The entity that a decision is about; of an event that no policy chose, the first of its entities. */
export const unit = () => problem.entities[0];

/** What a decision chooses; null where it chooses nothing. */
export const choice = () => (problem.shape === "choice" ? problem.entities[1] : null);

/** Whether requests are about events that no policy chose. */
export const isEvent = () => problem.shape === "event";

/** What is said of a risk that is above the threshold. */
export const above = () => (choice() ? problem.leave : problem.act);

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
