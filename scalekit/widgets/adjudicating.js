// Deciding a disputed item: its votes, the value that holds, why they differed, the rule.

import { Submit, flash } from "./answers.js";
import { element, keyCap } from "./elements.js";

/** @typedef {{value?: any, reason?: string, rule?: string, own?: any}} Decision */
/** @typedef {{annotator: string, value: any, seconds: number | null, note: string}} Vote */

const NEEDS_RULE = ["guideline gap", "edge case"];

export class AdjudicationForm {
  /** The rule written last: one rule often decides several items. */
  #lastRule = "";
  #drawn = "";

  /** @param {any} view @param {any} Form how the task itself is answered */
  constructor(view, Form) {
    this.view = view;
    this.votes = element("div", { class: "sk-votes", role: "group", "aria-label": "Votes" });
    this.inner = new Form(this.#innerView());
    this.#drawReasons();
    this.rule = element("textarea", {
      rows: 1,
      dir: "auto",
      "aria-label": "Rule for the instructions",
      placeholder: "The rule that decides it, in one sentence, for the instructions",
    });
    this.rule.addEventListener("input", () => this.#keep({ rule: this.rule.value }));
    this.same = view.button("Same rule as before", "sk-ghost", () => this.#repeat(), "=");
    this.same.append(keyCap("="));
    this.submit = new Submit(view, () => this.#submit("mouse"));
    const rule = element("div", { class: "sk-rule" }, this.rule, this.same);
    this.node = element(
      "div",
      { class: "sk-adjudication" },
      ...[this.votes, this.inner.node, this.reasons, rule, this.submit.node],
    );
    if (this.inner.content) this.content = (/** @type {any} */ entry) => this.inner.content(entry);
  }

  /** @returns {Decision} */
  get draft() {
    return this.view.draft({});
  }

  /** The view as the form of the task sees it: what it saves is chosen here, not sent. */
  #innerView() {
    const { view } = this;
    const form = this;
    return {
      labelling: view.labelling,
      button: view.button.bind(view),
      refresh: () => view.refresh(),
      get root() {
        return view.root;
      },
      get text() {
        return view.text;
      },
      draft: (/** @type {any} */ blank) => form.draft.own ?? form.draft.value ?? blank,
      keepDraft: (/** @type {any} */ own) => form.#keep({ own }),
      submit: (/** @type {any} */ value) => form.#keep({ value, own: undefined }),
    };
  }

  #drawReasons() {
    this.reasons = element("div", { class: "sk-reasons", role: "radiogroup" });
    this.reasons.setAttribute("aria-label", "Why votes differ");
    this.reasonButtons = this.view.labelling.config.reasons.map(
      (/** @type {any} */ { name, description, key }) => {
        const choose = () => this.#keep({ reason: name });
        const button = this.view.button(name, "sk-tool sk-reason", choose, `Shift+${key}`);
        button.title = description;
        button.setAttribute("role", "radio");
        button.append(keyCap(`⇧${key}`));
        this.reasons.append(button);
        return button;
      },
    );
  }

  /** @param {import("./labelling.js").Entry | undefined} entry */
  show(entry) {
    const { value, reason, rule } = entry ? this.draft : {};
    this.inner.show(entry, value);
    this.#showVotes(entry, value);
    this.view.labelling.config.reasons.forEach(
      (/** @type {any} */ { name }, /** @type {number} */ i) => {
        const button = this.reasonButtons[i];
        button.classList.toggle("sk-chosen", name === reason);
        button.setAttribute("aria-checked", String(name === reason));
        button.disabled = !entry;
      },
    );
    if (this.rule.value !== (rule ?? "")) this.rule.value = rule ?? "";
    this.rule.disabled = !entry;
    this.same.hidden = !this.#lastRule || Boolean(rule);
    this.submit.refresh(Boolean(entry), this.#missing());
  }

  /** @param {any} entry @param {any} value */
  #showVotes(entry, value) {
    const state = JSON.stringify([entry?.id, entry?.votes, value]);
    if (state === this.#drawn) return;
    this.#drawn = state;
    /** @type {Map<string, Vote[]>} */
    const groups = new Map();
    for (const vote of /** @type {Vote[]} */ (entry?.votes ?? [])) {
      const said = JSON.stringify(vote.value);
      groups.set(said, [...(groups.get(said) ?? []), vote]);
    }
    const sorted = [...groups.values()].sort((a, b) => b.length - a.length);
    this.votes.replaceChildren(...sorted.map((votes) => this.#vote(votes, value)));
  }

  /** One answer with those who gave it. @param {Vote[]} votes @param {any} chosen */
  #vote(votes, chosen) {
    const { value } = votes[0];
    const take = () => this.#keep({ value, own: undefined });
    const button = this.view.button("", "sk-vote", take);
    button.classList.toggle("sk-chosen", JSON.stringify(chosen) === JSON.stringify(value));
    button.title = "Take this answer";
    const seconds = (/** @type {Vote} */ v) => (v.seconds === null ? "" : ` ${v.seconds.toFixed(1)} s`);
    const who = votes.map((v) => `${v.annotator}${seconds(v)}`).join(", ");
    const notes = votes.filter((v) => v.note).map((v) => `${v.annotator}: “${v.note}”`);
    const count = element("span", { class: "sk-count" }, `${votes.length} ×`);
    const said = element("b", {}, this.view.labelling.answerWords(value));
    button.append(count, said, element("small", {}, who));
    if (notes.length) button.append(element("small", { class: "sk-vote-note" }, notes.join(" · ")));
    return button;
  }

  /** @returns {string} what a decision still lacks */
  #missing() {
    const { value, reason, rule } = this.draft;
    if ((value ?? null) === null && reason !== "subjective") return "choose the value that holds";
    if (!reason) return "say why the votes differ";
    if (NEEDS_RULE.includes(reason) && !rule?.trim()) return "write the rule that decides it";
    return "";
  }

  /** @param {(key: string) => boolean} is @param {KeyboardEvent} event */
  key(is, event) {
    const { reasons } = this.view.labelling.config;
    const reason = event.shiftKey && reasons.find((/** @type {any} */ r) => r.key === event.key);
    if (reason) return () => this.#keep({ reason: reason.name });
    if (is("Enter") && this.draft.own === undefined) return () => this.#enter();
    if (is("=")) return () => this.#repeat();
    return this.inner.key(is, event);
  }

  /** @param {KeyboardEvent} event a key in a text field of the form */
  fieldKey(event) {
    if (event.target !== this.rule) return this.inner.fieldKey?.(event);
    if (event.key === "Escape") return () => this.view.root.focus({ preventScroll: true });
    return event.key === "Enter" && !event.shiftKey ? () => this.#enter() : undefined;
  }

  /** Go to what is missing, or save. */
  #enter() {
    const missing = this.#missing();
    if (!missing) this.#submit("key");
    else if (missing.startsWith("write")) this.rule.focus({ preventScroll: true });
    else this.#sayAgain(this.submit.missing);
  }

  /** @param {HTMLElement} hint what stands there already: a screen reader repeats only what changes */
  #sayAgain(hint) {
    const said = hint.textContent;
    hint.textContent = "";
    setTimeout(() => {
      hint.textContent ||= said;
    });
    flash(hint);
  }

  #repeat() {
    if (this.#lastRule) this.#keep({ rule: this.#lastRule });
  }

  /** @param {Decision} change */
  #keep(change) {
    this.view.keepDraft({ ...this.draft, ...change });
  }

  /** @param {string} by */
  #submit(by) {
    if (this.#missing()) return;
    const { value, reason, rule } = this.draft;
    const words = rule?.trim() ?? "";
    this.#lastRule = words || this.#lastRule;
    this.view.root.focus({ preventScroll: true });
    this.view.submit({ value: value ?? null, reason, rule: words }, by);
  }
}
