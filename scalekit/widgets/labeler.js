// The labeler: shows one item, takes a label by key or button, and moves on at once.

import { AdjudicationForm } from "./adjudicating.js";
import { MultiForm, OptionForm, RubricForm, TextForm } from "./answers.js";
import { contentNodes } from "./content.js";
import { banner, claimKey, element, isTextField, keyCap, plural } from "./elements.js";
import { Labelling, isOpen } from "./labelling.js";
import { SpanForm } from "./spans.js";
import { TurnsForm } from "./turns.js";

/** @type {Record<string, any>} how each kind of task is answered */
const FORMS = {
  choice: OptionForm,
  pair: OptionForm,
  multi: MultiForm,
  rubric: RubricForm,
  text: TextForm,
  span: SpanForm,
  turns: TurnsForm,
};

/** @param {number} ms @returns {string} */
function duration(ms) {
  const minutes = Math.max(1, Math.round(ms / 60_000));
  return minutes < 90 ? `about ${minutes} min left` : `about ${(minutes / 60).toFixed(1)} h left`;
}

/** A view of a Labelling: draws the parts once, then changes what they say. */
class LabelerView {
  /** @param {Labelling} labelling @param {HTMLElement} el @param {AbortSignal} signal */
  constructor(labelling, el, signal) {
    this.labelling = labelling;
    /** @type {import("./labelling.js").Entry | undefined} the item on the screen */
    this.shown = undefined;
    this.alarm = banner(labelling.outbox, (count) => plural(count, "act"));
    this.#drawHead();
    this.#drawItem();
    const { question, kind, reasons } = labelling.config;
    this.form = reasons ? new AdjudicationForm(this, FORMS[kind]) : new FORMS[kind](this);
    const asked = element("p", { class: "sk-question", dir: "auto" }, question);
    this.answering = element("div", { class: "sk-answering" }, asked, this.form.node);
    this.#drawTools();
    const { task, annotator } = labelling.config;
    const name = `${reasons ? "Adjudicate" : "Label"} ${task}, as ${annotator}`;
    this.root = element(
      "div",
      { class: "sk-root sk-labeler", tabindex: "0", role: "group", "aria-label": name },
      ...[this.head, this.alarm.node, this.stage, this.noteBox, this.answering, this.tools],
    );
    this.#listen(signal);
    el.replaceChildren(this.root);
    this.refresh();
  }

  // --- drawing ---------------------------------------------------------------------------------

  #drawHead() {
    this.progress = element("span", { class: "sk-where sk-progress" });
    this.saved = element("span", { class: "sk-saved" });
    this.keysOn = element("span", { class: "sk-keys-on" }, "keys active");
    const does = this.labelling.config.reasons ? "decide" : "label";
    // No button: it would be gone, and with it the focus, before the click is one.
    this.keysOff = element("span", { class: "sk-keys-off" }, `Click here to ${does} by keyboard`);
    this.fill = element("span");
    this.bar = element(
      "div",
      { class: "sk-progress-bar", role: "progressbar", "aria-valuemin": 0 },
      this.fill,
    );
    this.bar.setAttribute("aria-label", "labelled");
    const sign = element("span", { class: "sk-keys" }, this.keysOn, this.keysOff);
    const line = element("div", { class: "sk-head-line" }, this.progress, this.saved, sign);
    this.head = element("div", { class: "sk-head" }, line, this.bar);
  }

  #drawItem() {
    this.looking = element("p", { class: "sk-looking" });
    this.text = element("div", { class: "sk-text sk-scroll", dir: "auto", "aria-live": "polite" });
    this.remark = element("p", { class: "sk-remark" });
    this.revisit = this.button("", "sk-ghost sk-revisit", () => this.labelling.revisit());
    const item = [this.looking, this.text, this.remark, this.revisit];
    this.item = element("div", { class: "sk-item" }, ...item);
    this.guide = this.#drawGuide();
    this.stage = element("div", { class: "sk-stage" }, this.item, this.guide);

    this.note = element("textarea", { rows: 2, "aria-label": "Note on this item" });
    const hint = element("small", {}, "Ctrl+Enter keeps the note, Esc leaves it as it was");
    this.noteBox = element("div", { class: "sk-note", hidden: true }, this.note, hint);
  }

  #drawGuide() {
    const { guidelines, values, criteria } = this.labelling.config;
    const list = element("dl");
    for (const { name, description } of [...values, ...criteria]) {
      list.append(element("dt", {}, name), element("dd", {}, description));
    }
    const text = element("div", { class: "sk-guide-text", dir: "auto" }, guidelines);
    const title = element("h4", {}, "Guidelines");
    return element("aside", { class: "sk-guide sk-scroll", hidden: true }, title, text, list);
  }

  #drawTools() {
    const { labelling } = this;
    const tool = (
      /** @type {string} */ name,
      /** @type {string} */ key,
      /** @type {any} */ act,
    ) => {
      const button = this.button(name, "sk-tool", act, key);
      button.append(keyCap(key === "ArrowLeft" ? "←" : key));
      return button;
    };
    // Where words are marked, the arrows go from word to word.
    const before = labelling.config.kind === "span" ? "[" : "ArrowLeft";
    this.back = tool("Previous", before, () => labelling.go(labelling.at - 1));
    this.undo = tool("Undo", "u", () => labelling.undo("mouse"));
    this.skip = tool("Skip", "s", () => labelling.answer("skip", "", "mouse"));
    this.flag = tool("Flag", "f", () => labelling.flag("mouse"));
    this.noteTool = tool("Note", "n", () => this.openNote());
    this.guideTool = tool("Guidelines", "g", () => this.toggleGuide());
    const tools = [this.back, this.undo, this.skip, this.flag, this.noteTool, this.guideTool];
    this.status = element("p", { class: "sk-status", role: "status" });
    this.tools = element("div", { class: "sk-tools" }, ...tools, this.status);
  }

  /**
   * A button that gives the focus back, so that the next key is the labeler's and not its own.
   * @param {string} name @param {string} style @param {() => void} press @param {string} [key]
   */
  button(name, style, press, key) {
    const said = { class: style, type: "button", "aria-keyshortcuts": key || null };
    const button = element("button", said, name);
    button.addEventListener("click", () => {
      this.root.focus({ preventScroll: true });
      press();
    });
    return button;
  }

  // --- what a form asks of its view --------------------------------------------------------------

  /** The answer to the item on the screen, as far as it goes. @param {any} blank */
  draft(blank) {
    const entry = this.labelling.current;
    return entry ? this.labelling.draft(entry, blank) : blank;
  }

  /** @param {any} value */
  keepDraft(value) {
    if (this.labelling.current) this.labelling.keepDraft(this.labelling.current, value);
    this.labelling.changed();
  }

  /** @param {any} value @param {string} by key or mouse */
  submit(value, by) {
    this.labelling.answer("label", value, by);
  }

  // --- listening -------------------------------------------------------------------------------

  /** @param {AbortSignal} signal */
  #listen(signal) {
    const { labelling, root } = this;
    const refresh = () => this.refresh();
    labelling.views.add(refresh);
    labelling.outbox.wake();
    signal.addEventListener("abort", () => labelling.views.delete(refresh));
    root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event));
    for (const sign of ["keydown", "pointermove", "pointerdown", "wheel"]) {
      root.addEventListener(sign, () => labelling.work.touch(), { passive: true });
    }
    // The time a page was hidden is nobody's work.
    const visibility = () => labelling.work.touch(document.hidden);
    document.addEventListener("visibilitychange", visibility, { signal });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (!claimKey(event)) return;
    if (event.repeat || event.isComposing) return;
    if (event.target === this.note) return this.#noteKey(event);
    const typing = isTextField(event.target);
    const action = typing ? this.form.fieldKey(event) : this.#action(event);
    if (!action) return;
    event.preventDefault();
    action();
  }

  /** @param {KeyboardEvent} event @returns {(() => void) | undefined} what the key does */
  #action(event) {
    const { labelling } = this;
    // By place on the keyboard too: on some layouts a digit needs Shift.
    const digit = !event.shiftKey && /^Digit(\d)$/.exec(event.code)?.[1];
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const answer = this.form.key((/** @type {string} */ k) => k === key || k === digit, event);
    if (answer) return answer;
    /** @type {Record<string, () => void>} */
    const commands = {
      u: () => labelling.undo("key"),
      Backspace: () => labelling.undo("key"),
      s: () => labelling.answer("skip", "", "key"),
      f: () => labelling.flag("key"),
      n: () => this.openNote(),
      g: () => this.toggleGuide(),
      "?": () => this.toggleGuide(),
      Escape: () => this.#escape(),
      ArrowLeft: () => labelling.go(labelling.at - 1),
      ArrowRight: () => labelling.forward(),
      "[": () => labelling.go(labelling.at - 1),
      "]": () => labelling.forward(),
      PageUp: () => this.text.scrollBy(0, -0.8 * this.text.clientHeight),
      PageDown: () => this.text.scrollBy(0, 0.8 * this.text.clientHeight),
      ArrowUp: () => this.text.scrollBy(0, -80),
      ArrowDown: () => this.text.scrollBy(0, 80),
    };
    return commands[key];
  }

  #escape() {
    if (!this.guide.hidden) this.toggleGuide();
    else /** @type {HTMLElement} */ (document.activeElement).blur();
  }

  /** @param {KeyboardEvent} event */
  #noteKey(event) {
    const keep = event.key === "Enter" && (event.ctrlKey || event.metaKey);
    if (!keep && event.key !== "Escape") return;
    event.preventDefault();
    this.#closeNote(keep);
    this.root.focus({ preventScroll: true });
  }

  /** @param {boolean} keep */
  #closeNote(keep) {
    this.noteBox.hidden = true;
    if (keep && this.noted) this.labelling.note(this.noted, this.note.value.trim());
  }

  openNote() {
    this.noted = this.labelling.current;
    if (!this.noted) return;
    this.note.value = this.noted.note;
    this.noteBox.hidden = false;
    this.note.focus();
  }

  toggleGuide() {
    this.guide.hidden = !this.guide.hidden;
    this.guideTool.setAttribute("aria-expanded", String(!this.guide.hidden));
  }

  /**
   * Take the focus when the cell has just been run and the keys would be commands of the notebook,
   * where a digit turns a cell into a heading and d d deletes it. Never out of sight, and never
   * from a text that somebody writes.
   */
  #hearKeys() {
    this.labelling.justRun = false;
    const at = document.activeElement;
    const notebook = this.root.closest(".jp-Notebook");
    if (!at || !notebook?.contains(at) || at.closest(".jp-OutputArea, [contenteditable=true]")) return;
    const { left, top, width, height } = this.item.getBoundingClientRect();
    const seen = document.elementFromPoint(left + width / 2, top + height / 2);
    if (isTextField(at) || !this.root.contains(seen)) return;
    // JupyterLab is not told: Shift+Enter goes on to the next cell, as it would have.
    this.root.addEventListener("focusin", (e) => e.stopPropagation(), { once: true });
    this.root.focus({ preventScroll: true });
    this.root.scrollIntoView({ block: "nearest" }); // the labels too, not the item alone
  }

  // --- showing ---------------------------------------------------------------------------------

  refresh() {
    this.#showProgress();
    this.#showItem();
    if (this.labelling.justRun) this.#hearKeys();
    this.alarm.refresh();
    this.status.classList.toggle("sk-hasty", this.labelling.hasty);
    this.status.textContent = this.labelling.hasty
      ? "You are very fast: under 0.7 s an item. Take the time you need."
      : this.labelling.said;
  }

  #showProgress() {
    const { labelling } = this;
    const { counts, config, outbox, opened } = labelling;
    const { labelled } = counts;
    const said = [`${labelled.toLocaleString("en")} of ${config.total.toLocaleString("en")}`];
    if (labelling.pace.length >= 5 && labelling.remaining > 0) {
      said.push(duration(labelling.expected));
    }
    this.progress.textContent = opened ? said.join(" · ") : "";
    const state =
      outbox.trouble || outbox.refusal ? "not saved" : outbox.unsaved ? "saving…" : "saved";
    this.saved.textContent = opened || outbox.trouble ? state : "";
    this.saved.dataset.state = state;
    this.fill.style.width = `${config.total ? (100 * labelled) / config.total : 0}%`;
    this.bar.setAttribute("aria-valuemax", config.total);
    this.bar.setAttribute("aria-valuenow", labelled);
  }

  #showItem() {
    const { labelling } = this;
    const entry = labelling.current;
    if (!this.noteBox.hidden && entry !== this.noted) this.#closeNote(true);
    const back = entry && !isOpen(entry);
    const answer = entry?.acts.at(-1);
    const given = answer?.kind === "label" ? `You said: ${labelling.described(answer.value)}.` : "You skipped this.";
    const next = labelling.config.kind === "span" ? "]" : "→";
    const looking = `Looking back. ${given} A new answer replaces it; ${next} goes on.`;
    this.looking.textContent = back ? looking : "";
    this.#showContent(entry);
    this.item.classList.toggle("sk-empty", !this.text.firstElementChild && !entry?.content.text);
    const flagged = entry?.flag ? "⚑ flagged" : "";
    this.remark.textContent = [flagged, entry?.note].filter(Boolean).join(" · ");
    this.flag.setAttribute("aria-pressed", String(Boolean(entry?.flag)));
    this.revisit.hidden = Boolean(entry) || labelling.waiting || !labelling.counts.skipped;
    this.revisit.textContent = `Go through the ${labelling.counts.skipped} skipped`;
    this.form.show(entry, back && answer?.kind === "label" ? answer.value : undefined);
    for (const button of [this.skip, this.flag, this.noteTool]) button.disabled = !entry;
    this.back.disabled = labelling.at === 0;
    this.undo.disabled = !labelling.canUndo;
  }

  /** @param {import("./labelling.js").Entry | undefined} entry */
  #showContent(entry) {
    const said = entry ? entry.id : this.#emptyText();
    const own = entry && this.form.content?.(entry);
    // What is unchanged is left alone: a screen reader would read it once more.
    if (entry === this.shown && said === this.saying) return;
    const nodes = own ?? (entry ? contentNodes(entry.content) : [said]);
    this.text.replaceChildren(...(nodes.length ? nodes : ["(no text)"]));
    this.text.scrollTop = 0;
    this.shown = entry;
    this.saying = said;
  }

  #emptyText() {
    const { counts, config, waiting } = this.labelling;
    if (waiting) return "Loading…";
    if (!config.total) return "There are no items to label.";
    const done = plural(counts.labelled, "item");
    const verb = config.reasons ? "decided" : "labelled";
    if (counts.skipped) return `${done} ${verb}, ${counts.skipped} skipped.`;
    return `All ${done} are ${verb}. Run the next cell to see what they say.`;
  }
}

export default () => {
  /** @type {() => Labelling} */
  let start;
  /** @type {Labelling | undefined} */
  let labelling;
  return {
    /** @param {{model: any, signal: AbortSignal}} widget */
    initialize({ model, signal }) {
      start = () => new Labelling(model, signal);
    },
    /** @param {{el: HTMLElement, signal: AbortSignal}} view */
    render({ el, signal }) {
      // Begun by the first view: a widget that is nowhere shown must not take what another left.
      labelling ??= start();
      new LabelerView(labelling, el, signal);
    },
  };
};
