// Labelling the turns of a conversation: a key labels the turn in hand and goes to the next.

import { Submit, flash, valueButton } from "./answers.js";
import { turnNode } from "./content.js";
import { element, reveal } from "./elements.js";

export class TurnsForm {
  at = 0;
  /** @type {import("./labelling.js").Entry | undefined} */
  #entry;
  #drawn = "";

  /** @param {any} view */
  constructor(view) {
    this.view = view;
    this.values = view.labelling.config.values;
    this.chat = element("div", { class: "sk-chat" });
    this.choices = element("div", { class: "sk-choices", role: "group", "aria-label": "Labels" });
    this.buttons = this.values.map((/** @type {any} */ value) => {
      const button = valueButton(view, value, () => this.#give(value.name));
      this.choices.append(button);
      return button;
    });
    this.submit = new Submit(view, () => this.#submit("mouse"));
    const hint = "↑ ↓ go from turn to turn, Del takes a label off";
    this.submit.node.append(element("small", {}, hint));
    this.node = element("div", {}, this.choices, this.submit.node);
  }

  /** @returns {Record<string, string>} */
  get draft() {
    return this.view.draft({});
  }

  /** @returns {number[]} the places of the turns that are asked about */
  get #asked() {
    const { roles } = this.view.labelling.config;
    const turns = this.#entry?.content.messages ?? [];
    return turns.flatMap(({ role }, i) => (!roles.length || roles.includes(role) ? i : []));
  }

  /** @returns {number[]} those without a label */
  get #open() {
    return this.#asked.filter((turn) => !this.draft[turn]);
  }

  /** Draw the conversation. @param {import("./labelling.js").Entry} entry */
  content(entry) {
    if (entry !== this.#entry) {
      this.#entry = entry;
      this.at = this.#open[0] ?? this.#asked[0] ?? 0;
    }
    const { draft } = this;
    const state = JSON.stringify([entry.id, draft, this.at]);
    if (state !== this.#drawn) {
      this.#drawn = state;
      const asked = this.#asked;
      const turns = (entry.content.messages ?? []).map((turn, i) => {
        const node = turnNode(turn);
        if (draft[i]) node.append(element("span", { class: "sk-badge" }, draft[i]));
        node.classList.toggle("sk-turned-to", i === this.at);
        if (asked.includes(i)) node.addEventListener("click", () => this.#turn(i));
        else node.classList.add("sk-context");
        return node;
      });
      this.chat.replaceChildren(...turns);
      reveal(turns[this.at], this.view.text);
    }
    return [this.chat];
  }

  /** @param {import("./labelling.js").Entry | undefined} entry */
  show(entry) {
    const given = entry && this.draft[this.at];
    this.values.forEach((/** @type {any} */ { name }, /** @type {number} */ i) => {
      this.buttons[i].classList.toggle("sk-chosen", given === name);
      this.buttons[i].disabled = !entry || !this.#asked.length;
    });
    const left = this.#open.length;
    const said = `${left} of ${this.#asked.length} turns still open`;
    this.submit.refresh(Boolean(entry), left || !this.#asked.length ? said : "");
  }

  /** @param {(key: string) => boolean} is @returns {(() => void) | undefined} */
  key(is) {
    if (is("Enter")) return () => this.#submit("key");
    if (is("ArrowDown")) return () => this.#step(1);
    if (is("ArrowUp")) return () => this.#step(-1);
    if (is("Delete")) return () => this.#take();
    const i = this.values.findIndex((/** @type {any} */ { key }) => key && is(key));
    if (i < 0) return undefined;
    return () => {
      this.#give(this.values[i].name);
      flash(this.buttons[i]);
    };
  }

  /** @param {number} step */
  #step(step) {
    const asked = this.#asked;
    const next = asked[asked.indexOf(this.at) + step];
    if (next !== undefined) this.#turn(next);
  }

  /** @param {number} turn */
  #turn(turn) {
    this.at = turn;
    this.view.refresh();
  }

  /** @param {string} label */
  #give(label) {
    if (!this.#asked.includes(this.at)) return;
    const labels = { ...this.draft, [this.at]: label };
    const open = this.#asked.filter((turn) => !labels[turn]);
    this.at = open.find((turn) => turn > this.at) ?? open[0] ?? this.at;
    this.view.keepDraft(labels);
  }

  #take() {
    const { [this.at]: _, ...left } = this.draft;
    this.view.keepDraft(left);
  }

  /** @param {string} by */
  #submit(by) {
    const [open] = this.#open;
    if (open !== undefined) this.#turn(open);
    else if (this.#asked.length) this.view.submit(this.draft, by);
  }
}
