// Marking spans: words or a selection of the text, each with a value.
//
// A page counts in UTF-16 units and Python in code points; spans are kept in code points.

import { Submit, flash, valueButton } from "./answers.js";
import { token } from "./content.js";
import { element, reveal } from "./elements.js";

/** @typedef {{start: number, end: number, label: string}} Span */
/** @typedef {{start: number, end: number}} Range in UTF-16 units */

/** @param {string} text @param {number} units @returns {number} code points before it */
function points(text, units) {
  return [...text.slice(0, units)].length;
}

/** @param {string} text @param {number} count of code points @returns {number} UTF-16 units */
function units(text, count) {
  return [...text].slice(0, count).join("").length;
}

/** @param {string} text @returns {Range[]} its words, in any script */
function wordsOf(text) {
  const found = [];
  for (const part of new Intl.Segmenter(undefined, { granularity: "word" }).segment(text)) {
    const end = part.index + part.segment.length;
    if (part.isWordLike) found.push({ start: part.index, end });
  }
  return found;
}

export class SpanForm {
  /** @type {import("./labelling.js").Entry | undefined} */
  #entry;
  #drawn = "";
  /** @type {Range[]} */
  #words = [];
  /** @type {[number, number] | undefined} the words chosen: where it began, and where it ends now */
  #chosen;

  /** @param {any} view */
  constructor(view) {
    this.view = view;
    this.values = view.labelling.config.values;
    this.text = element("div", { class: "sk-marked", dir: "auto" });
    this.text.addEventListener("mouseup", () => this.#select());
    this.choices = element("div", { class: "sk-choices", role: "group", "aria-label": "Labels" });
    this.buttons = this.values.map((/** @type {any} */ value, /** @type {number} */ i) => {
      const button = valueButton(view, value, () => this.#mark(value.name));
      button.style.setProperty("--sk-hue", String(hue(i)));
      // Pressing a button must not take the selection away before it is read.
      button.addEventListener("mousedown", (/** @type {Event} */ event) => event.preventDefault());
      this.choices.append(button);
      return button;
    });
    this.list = element("ul", { class: "sk-spans", "aria-label": "What is marked" });
    this.submit = new Submit(view, () => this.#submit("mouse"));
    const hint = "Select, or → and Shift+→, then a key. Del takes a mark off.";
    this.submit.node.append(element("small", {}, hint));
    this.node = element("div", {}, this.choices, this.list, this.submit.node);
  }

  /** @returns {Span[]} */
  get draft() {
    return this.view.draft([]);
  }

  /** @returns {Range | undefined} the words chosen, from the first to the last */
  get #range() {
    if (!this.#chosen) return undefined;
    const [from, to] = [Math.min(...this.#chosen), Math.max(...this.#chosen)];
    return { start: this.#words[from].start, end: this.#words[to].end };
  }

  /** Draw the item's text with its marks. @param {import("./labelling.js").Entry} entry */
  content(entry) {
    if (entry !== this.#entry) {
      this.#entry = entry;
      this.#words = wordsOf(entry.content.text);
      this.#chosen = undefined;
    }
    const state = JSON.stringify([entry.id, this.draft, this.#chosen]);
    if (state !== this.#drawn) {
      this.#drawn = state;
      this.text.replaceChildren(...this.#segments(entry.content));
      if (this.#chosen) reveal(this.text.querySelector(".sk-cursor"), this.view.text);
    }
    return [this.text];
  }

  /** @param {import("./labelling.js").Entry | undefined} entry */
  show(entry) {
    const spans = entry ? this.draft : [];
    for (const button of this.buttons) button.disabled = !entry;
    this.list.replaceChildren(...spans.map((span) => this.#listed(span)));
    this.submit.refresh(Boolean(entry), "", spans.length ? `Save ${spans.length}` : "Save: no mark");
  }

  /** @param {(key: string) => boolean} is @param {KeyboardEvent} event */
  key(is, event) {
    if (is("Enter")) return () => this.#submit("key");
    if (is("ArrowRight")) return () => this.#move(1, event.shiftKey);
    if (is("ArrowLeft")) return () => this.#move(-1, event.shiftKey);
    if (is("Delete")) return () => this.#unmark();
    const i = this.values.findIndex((/** @type {any} */ { key }) => key && is(key));
    if (i < 0) return undefined;
    return () => {
      this.#mark(this.values[i].name);
      flash(this.buttons[i]);
    };
  }

  /** @param {number} step @param {boolean} extend */
  #move(step, extend) {
    window.getSelection()?.removeAllRanges();
    const last = this.#words.length - 1;
    if (last < 0) return;
    const within = (/** @type {number} */ i) => Math.min(Math.max(i, 0), last);
    if (!this.#chosen) this.#chosen = step > 0 ? [0, 0] : [last, last];
    else {
      const to = within(this.#chosen[1] + step);
      this.#chosen = extend ? [this.#chosen[0], to] : [to, to];
    }
    this.view.refresh();
  }

  /** Take the words under the mouse, where it only clicked on a mark: that mark. */
  #select() {
    if (this.#selected() || !this.#entry) return;
    const { text } = this.#entry.content;
    const at = this.#offset(window.getSelection()?.anchorNode, window.getSelection()?.anchorOffset);
    const hit = this.draft.find(({ start, end }) =>
      units(text, start) <= at && at < units(text, end));
    const [start, end] = hit ? [units(text, hit.start), units(text, hit.end)] : [at, at];
    const inside = this.#words.flatMap((word, i) => (word.end > start && word.start <= end ? i : []));
    if (inside.length) this.#chosen = [inside[0], /** @type {number} */ (inside.at(-1))];
    this.view.refresh();
  }

  /** @param {any} node @param {number | undefined} offset @returns {number} place in the text */
  #offset(node, offset) {
    if (!node || !this.text.contains(node)) return -1;
    const before = document.createRange();
    before.selectNodeContents(this.text);
    before.setEnd(node, offset ?? 0);
    return before.toString().length;
  }

  /** @returns {Range | undefined} what the mouse selected, without the space round it */
  #selected() {
    const selection = window.getSelection();
    if (!selection?.rangeCount || selection.isCollapsed || !this.#entry) return undefined;
    const range = selection.getRangeAt(0);
    const start = this.#offset(range.startContainer, range.startOffset);
    const end = this.#offset(range.endContainer, range.endOffset);
    if (start < 0 || end < 0) return undefined;
    const said = this.#entry.content.text.slice(start, end);
    if (!said.trim()) return undefined;
    const [lead, tail] = [said.length - said.trimStart().length, said.trimEnd().length];
    return { start: start + lead, end: start + tail };
  }

  /** @param {string} label */
  #mark(label) {
    const range = this.#selected() ?? this.#range;
    if (!this.#entry || !range) return this.view.labelling.say("Select a word first");
    const { text } = this.#entry.content;
    const span = { start: points(text, range.start), end: points(text, range.end), label };
    const others = this.draft.filter((s) => s.start !== span.start || s.end !== span.end);
    const spans = [...others, span].sort((a, b) => a.start - b.start || a.end - b.end);
    window.getSelection()?.removeAllRanges();
    this.view.keepDraft(spans);
  }

  #unmark() {
    const range = this.#selected() ?? this.#range;
    if (!this.#entry || !range) return this.view.labelling.say("Select a mark first");
    const { text } = this.#entry.content;
    const [start, end] = [points(text, range.start), points(text, range.end)];
    this.view.keepDraft(this.draft.filter((s) => s.end <= start || s.start >= end));
  }

  /** @param {Span} span */
  #listed(span) {
    const said = [...(this.#entry?.content.text ?? "")].slice(span.start, span.end).join("");
    const take = () => this.view.keepDraft(this.draft.filter((s) => s !== span));
    const remove = this.view.button("×", "sk-ghost", take);
    remove.setAttribute("aria-label", `Take off: ${span.label}, ${said}`);
    const line = element("li", {}, element("b", {}, span.label), ` ${said} `, remove);
    line.style.setProperty("--sk-hue", String(this.#hue(span.label)));
    return line;
  }

  /** @param {string} label */
  #hue(label) {
    return hue(this.values.findIndex((/** @type {any} */ { name }) => name === label));
  }

  /** @param {import("./content.js").Content} content @returns {(Node | string)[]} */
  #segments({ text, tokens }) {
    const spans = this.draft.map((s) => ({
      ...s,
      start: units(text, s.start),
      end: units(text, s.end),
    }));
    const range = this.#range;
    const pieces = (tokens ?? [[text, ""]]).map(([said, kind]) => ({ said, kind, start: 0 }));
    let at = 0;
    for (const piece of pieces) {
      piece.start = at;
      at += piece.said.length;
    }
    const edges = [...spans, ...(range ? [range] : [])].flatMap(({ start, end }) => [start, end]);
    const cuts = [...new Set([...edges, ...pieces.map(({ start }) => start), text.length])];
    cuts.sort((a, b) => a - b);
    const nodes = [];
    let piece = 0;
    for (let i = 0; i + 1 < cuts.length; i++) {
      const [start, end] = [cuts[i], cuts[i + 1]];
      while (piece + 1 < pieces.length && pieces[piece + 1].start <= start) piece++;
      const inside = token(text.slice(start, end), pieces[piece].kind);
      const over = spans.filter((s) => s.start <= start && end <= s.end);
      const chosen = range && range.start <= start && end <= range.end;
      nodes.push(over.length || chosen ? this.#piece(inside, over, Boolean(chosen), end) : inside);
    }
    return nodes;
  }

  /** @param {Node | string} inside @param {Span[]} over @param {boolean} chosen @param {number} end */
  #piece(inside, over, chosen, end) {
    const style = [over.length ? "sk-mark" : "", chosen ? "sk-cursor" : ""].join(" ").trim();
    const node = element("span", { class: style }, inside);
    if (!over.length) return node;
    node.style.setProperty("--sk-hue", String(this.#hue(over[0].label)));
    node.title = over.map(({ label }) => label).join(", ");
    // Named where it ends, by the style sheet: the text itself must stay as it is.
    const ending = over.filter((s) => s.end === end).map(({ label }) => label);
    if (ending.length) node.dataset.label = ending.join(", ");
    return node;
  }

  /** @param {string} by */
  #submit(by) {
    this.view.submit(this.draft, by);
  }
}

/** Hues as far apart as a row of any length allows. @param {number} i */
function hue(i) {
  return Math.round((i * 137.5 + 210) % 360);
}
