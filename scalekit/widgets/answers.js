// The forms of the labeler: how each kind of task is answered, by key and by button.
//
// A form has a `node`, shows an entry's `draft`, and says which of its own actions a key starts. A
// choice and a preference are answered by one key; the others are put together, then Enter.

import { element, keyCap } from "./elements.js";

/** @typedef {import("./labelling.js").Entry} Entry */
/** @typedef {() => void} Action */

/** Shown at an answer that takes several keys. */
export class Submit {
  /** @param {any} view @param {Action} press @param {string} [keys] */
  constructor(view, press, keys = "Enter") {
    this.button = view.button("", "sk-primary sk-submit", press, keys);
    this.words = element("span", {}, "Save");
    this.missing = element("small", { class: "sk-missing", role: "status" });
    const cap = keyCap(keys === "Enter" ? "↵" : keys.replace("Control+Enter", "Ctrl ↵"));
    this.button.append(this.words, cap);
    this.node = element("div", { class: "sk-submit-row" }, this.button, this.missing);
  }

  /** @param {boolean} open @param {string} missing what must come first @param {string} words */
  refresh(open, missing, words = "Save") {
    this.button.disabled = !open || Boolean(missing);
    this.missing.textContent = open ? missing : "";
    this.words.textContent = words;
  }
}

/** One of several answers: the values of a choice, or the steps from left to right. */
export class OptionForm {
  /** @param {any} view */
  constructor(view) {
    this.view = view;
    const { kind, values, options } = view.labelling.config;
    const scale = kind === "pair";
    this.options = scale ? options : values.map((/** @type {any} */ v) => ({ ...v, answer: v.name }));
    const style = scale ? "sk-choices sk-scale" : "sk-choices";
    this.node = element("div", { class: style, role: "group", "aria-label": "Labels" });
    this.buttons = this.options.map((/** @type {any} */ option) => {
      const button = valueButton(view, option, () => view.submit(option.answer, "mouse"));
      this.node.append(button);
      return button;
    });
  }

  /** @param {Entry | undefined} entry @param {any} given what was answered before */
  show(entry, given) {
    const said = JSON.stringify(given);
    this.options.forEach((/** @type {any} */ { answer }, /** @type {number} */ i) => {
      this.buttons[i].classList.toggle("sk-chosen", said === JSON.stringify(answer));
      this.buttons[i].disabled = !entry;
    });
  }

  /** @param {(key: string) => boolean} is @returns {Action | undefined} */
  key(is) {
    const i = this.options.findIndex((/** @type {any} */ { key }) => key && is(key));
    if (i < 0) return undefined;
    return () => {
      this.view.submit(this.options[i].answer, "key");
      flash(this.buttons[i]);
    };
  }
}

/** Any number of the values; none is an answer too. */
export class MultiForm {
  /** @param {any} view */
  constructor(view) {
    this.view = view;
    this.values = view.labelling.config.values;
    this.choices = element("div", { class: "sk-choices", role: "group", "aria-label": "Labels" });
    this.buttons = this.values.map((/** @type {any} */ value) => {
      const button = valueButton(view, value, () => this.#toggle(value.name));
      this.choices.append(button);
      return button;
    });
    this.submit = new Submit(view, () => this.#submit("mouse"));
    this.node = element("div", {}, this.choices, this.submit.node);
  }

  /** @returns {string[]} */
  get draft() {
    return this.view.draft([]);
  }

  /** @param {Entry | undefined} entry */
  show(entry) {
    const chosen = entry ? this.draft : [];
    this.values.forEach((/** @type {any} */ { name }, /** @type {number} */ i) => {
      this.buttons[i].classList.toggle("sk-chosen", chosen.includes(name));
      this.buttons[i].setAttribute("aria-pressed", String(chosen.includes(name)));
      this.buttons[i].disabled = !entry;
    });
    const words = chosen.length ? `Save ${chosen.length}` : "Save: none of them";
    this.submit.refresh(Boolean(entry), "", words);
  }

  /** @param {(key: string) => boolean} is @returns {Action | undefined} */
  key(is) {
    if (is("Enter") || is(" ")) return () => this.#submit("key");
    const value = this.values.find((/** @type {any} */ { key }) => key && is(key));
    return value && (() => this.#toggle(value.name));
  }

  /** @param {string} name */
  #toggle(name) {
    const { draft } = this;
    const kept = draft.includes(name) ? draft.filter((n) => n !== name) : [...draft, name];
    this.view.keepDraft(kept);
  }

  /** @param {string} by */
  #submit(by) {
    this.view.submit(this.draft, by);
  }
}

/** Points for each criterion; a key gives them to the one in turn and goes to the next. */
export class RubricForm {
  at = 0;
  /** @type {Entry | undefined} */
  #entry;

  /** @param {any} view */
  constructor(view) {
    this.view = view;
    this.criteria = view.labelling.config.criteria;
    this.rows = this.criteria.map((/** @type {any} */ criterion, /** @type {number} */ row) =>
      this.#row(criterion, row),
    );
    this.submit = new Submit(view, () => this.#submit("mouse"));
    const nodes = this.rows.map((/** @type {any} */ { node }) => node);
    const table = element("div", { class: "sk-rubric", role: "group", "aria-label": "Rubric" });
    table.append(...nodes);
    this.node = element("div", {}, table, this.submit.node);
  }

  /** @param {any} criterion @param {number} row */
  #row({ name, description, points }, row) {
    const buttons = points.map((/** @type {any} */ { points: value, key }) => {
      const give = () => this.#give(row, value);
      const button = this.view.button(String(value), "sk-point", give, key);
      if (key && key !== String(value)) button.append(keyCap(key));
      button.setAttribute("role", "radio");
      return button;
    });
    const about = description && element("small", {}, description);
    const heading = element("div", { class: "sk-criterion" }, element("b", {}, name), about);
    const scale = { class: "sk-points", role: "radiogroup", "aria-label": name };
    const node = element("div", { class: "sk-rubric-row" }, heading, element("div", scale, ...buttons));
    node.dataset.criterion = name;
    return { node, buttons };
  }

  /** @param {Entry | undefined} entry */
  show(entry) {
    const scores = entry ? this.view.draft({}) : {};
    if (entry !== this.#entry) {
      this.#entry = entry;
      this.at = this.#unscored(scores)[0] ?? 0;
    }
    this.criteria.forEach((/** @type {any} */ { name, points }, /** @type {number} */ row) => {
      const { node, buttons } = this.rows[row];
      node.classList.toggle("sk-turned-to", Boolean(entry) && row === this.at);
      points.forEach((/** @type {any} */ { points: value }, /** @type {number} */ i) => {
        buttons[i].classList.toggle("sk-chosen", scores[name] === value);
        buttons[i].setAttribute("aria-checked", String(scores[name] === value));
        buttons[i].disabled = !entry;
      });
    });
    const left = this.#unscored(scores).length;
    this.submit.refresh(Boolean(entry), left ? `${left} of ${this.criteria.length} still open` : "");
  }

  /** @param {(key: string) => boolean} is @returns {Action | undefined} */
  key(is) {
    if (is("Enter")) return () => this.#submit("key");
    if (is("ArrowDown")) return () => this.#turn(this.at + 1);
    if (is("ArrowUp")) return () => this.#turn(this.at - 1);
    const { points } = this.criteria[this.at];
    const found = points.find((/** @type {any} */ { key }) => key && is(key));
    return found && (() => this.#give(this.at, found.points));
  }

  /** @param {Record<string, number>} scores @returns {number[]} */
  #unscored(scores) {
    const open = (/** @type {any} */ { name }) => scores[name] === undefined;
    return this.criteria.flatMap((/** @type {any} */ c, /** @type {number} */ i) => (open(c) ? i : []));
  }

  /** @param {number} row */
  #turn(row) {
    this.at = Math.min(Math.max(row, 0), this.criteria.length - 1);
    this.view.refresh();
  }

  /** @param {number} row @param {number} value */
  #give(row, value) {
    const scores = { ...this.view.draft({}), [this.criteria[row].name]: value };
    this.at = this.#unscored(scores).find((i) => i > row) ?? this.#unscored(scores)[0] ?? row;
    this.view.keepDraft(scores);
  }

  /** @param {string} by */
  #submit(by) {
    const scores = this.view.draft({});
    const [open] = this.#unscored(scores);
    if (open === undefined) this.view.submit(scores, by);
    else this.#turn(open);
  }
}

/** A text in the annotator's own words, or a rewriting of what stands in the draft. */
export class TextForm {
  /** @type {Entry | undefined} */
  #entry;

  /** @param {any} view */
  constructor(view) {
    this.view = view;
    const { question } = view.labelling.config;
    this.field = element("textarea", { rows: 3, dir: "auto", "aria-label": question || "Your text" });
    this.field.addEventListener("input", () => view.keepDraft(this.field.value));
    this.submit = new Submit(view, () => this.#submit("mouse"), "Control+Enter");
    const hint = element("small", {}, "Esc leaves the field for the keys below, Enter comes back");
    this.submit.node.append(hint);
    this.node = element("div", { class: "sk-writing" }, this.field, this.submit.node);
  }

  /** @param {Entry | undefined} entry */
  show(entry) {
    const text = entry ? this.view.draft(entry.content.draft ?? "") : "";
    if (this.field.value !== text) this.field.value = text;
    this.field.disabled = !entry;
    this.submit.refresh(Boolean(entry), text.trim() ? "" : "write something, or skip");
    const fresh = entry !== this.#entry;
    this.#entry = entry;
    if (fresh && entry && this.view.root?.contains(document.activeElement)) this.focus();
  }

  focus() {
    this.field.focus({ preventScroll: true });
  }

  /** @param {(key: string) => boolean} is @returns {Action | undefined} */
  key(is) {
    return is("Enter") ? () => this.focus() : undefined;
  }

  /** @param {KeyboardEvent} event a key in the field itself @returns {Action | undefined} */
  fieldKey(event) {
    if (event.key === "Escape") return () => this.view.root.focus({ preventScroll: true });
    const ends = event.key === "Enter" && (event.ctrlKey || event.metaKey);
    return ends ? () => this.#submit("key") : undefined;
  }

  /** @param {string} by */
  #submit(by) {
    if (this.field.value.trim()) this.view.submit(this.field.value, by);
  }
}

/**
 * A button for a value: its key, its name, what it means.
 * @param {any} view @param {any} value @param {Action} press
 */
export function valueButton(view, { name, description, key }, press) {
  const button = view.button("", "sk-choice", press, key);
  button.dataset.value = name;
  const about = description && element("small", {}, description);
  button.append(keyCap(key), element("span", {}, element("b", {}, name), about || ""));
  if (description) button.title = description;
  return button;
}

/** @param {HTMLElement} button show that its key was heard */
export function flash(button) {
  button.classList.add("sk-pressed");
  setTimeout(() => button.classList.remove("sk-pressed"), 200);
}
