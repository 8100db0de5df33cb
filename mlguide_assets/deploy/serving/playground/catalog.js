// The users and emails that were seen, so that ids can be shown with what they are of.

import * as api from "./api.js";
import { count, day } from "./words.js";

const SAMPLES = 6;
const MOST_EMAILS = 1000;
const MOST_LOOKED_UP = 30;

export class Catalog {
  #users = new Map();
  #emails = new Map();
  #loading = null;

  /** Users to try things out with. */
  async samples() {
    return this.#remembered(await api.users("", SAMPLES));
  }

  /** Users to pick from, as options: those whose id starts with some digits. */
  async findUsers(text) {
    if (!/^\d{0,19}$/.test(text)) return [];
    return this.#remembered(await api.users(text, 20)).map((user) => this.user(String(user.user_id)));
  }

  /** Emails to pick from, as options: those that have all the words in what is shown of them, the newest first. */
  async findEmails(text) {
    await this.loadEmails();
    const words = text.toLowerCase().split(/\s+/);
    const options = [...this.#emails.keys()].map((id) => this.email(id));
    const shown = ({ id, title, note }) => `${id} ${title} ${note}`.toLowerCase();
    return options.filter((option) => words.every((word) => shown(option).includes(word)));
  }

  /** Load the emails, once. */
  async loadEmails() {
    this.#loading ??= api.emails(MOST_EMAILS);
    try {
      this.#emails = new Map((await this.#loading).map((email) => [String(email.email_id), email]));
    } catch (fault) {
      this.#loading = null;
      throw fault;
    }
  }

  /** Look up users that were named by their ids alone; what fails here is only their description. */
  async lookUp(ids) {
    const missing = ids.filter((id) => !this.#users.has(id)).slice(0, MOST_LOOKED_UP);
    missing.forEach((id) => this.#users.set(id, null));
    const found = await Promise.allSettled(missing.map((id) => api.users(id, 1)));
    found.forEach((each) => this.#remembered(each.value ?? []));
    return missing.length > 0;
  }

  /** Other features were published: what was seen may have changed. */
  forget() {
    this.#users.clear();
    this.#loading = null;
  }

  /** What is known of a user and an email, as the API lists them; undefined where nothing is. */
  facts(user, email) {
    return [this.#users.get(user) ?? undefined, this.#emails.get(email)];
  }

  /** A user as an option: `title` says who, `note` more. */
  user(id) {
    const user = this.#users.get(id);
    if (!user) return { id, title: "", note: "" };
    const facts = [user.age, user.gender, user.country].filter((fact) => fact !== null);
    return { id, title: facts.join(", "), note: count(user.number_of_emails, "email") };
  }

  /** An email as an option. */
  email(id) {
    const email = this.#emails.get(id);
    if (!email) return { id, title: "", note: "" };
    const facts = [email.theme, email.category, day(email.created_at)].filter((fact) => fact !== null);
    return { id, title: email.subject ?? "(no subject)", note: facts.join(" · ") };
  }

  #remembered(users) {
    users.forEach((user) => this.#users.set(String(user.user_id), user));
    return users;
  }
}
