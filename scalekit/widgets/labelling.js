// What a person has labelled in this page: acts stand at once, and are sent to Python in order.

import { plural } from "./elements.js";
import { Outbox, storage } from "./outbox.js";

const REFILL = 8; // ask for more items when this many are left
const IDLE = 60_000; // ms without a sign of life that don't count as work
const HASTY = 700; // ms; a median below this over the last labels earns a gentle word
const HASTY_OVER = 10;
const PACE_OVER = 20;

/** @typedef {{id: string, kind: string, value: any}} Act */
/**
 * @typedef {object} Entry an item and what stands for it
 * @property {string} id
 * @property {import("./content.js").Content} content
 * @property {any} [draft] an answer that is being put together
 * @property {Act[]} acts labels and skips, the last one counts
 * @property {string} flag id of the act that flagged it
 * @property {string} note
 * @property {boolean} [again] skipped, and now asked for again
 */

/** @param {number[]} values @returns {number} */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** Milliseconds of work on an item: time passes only while the person shows signs of life. */
class WorkTime {
  #begun = 0;
  #last = 0;
  #active = 0;

  restart() {
    this.#begun = this.#last = performance.now();
    this.#active = 0;
  }

  /** @param {boolean} counts whether the time since the last sign was spent on the item */
  touch(counts = true) {
    const now = performance.now();
    if (counts && now - this.#last <= IDLE) this.#active += now - this.#last;
    this.#last = now;
  }

  read() {
    this.touch();
    return {
      active_ms: Math.round(this.#active),
      wall_ms: Math.round(this.#last - this.#begun),
    };
  }
}

/** One for each widget, whatever the number of its views. */
export class Labelling {
  /** @type {Entry[]} */
  entries = [];
  at = 0;
  counts = { labelled: 0, skipped: 0, open: 0 };
  /** What was done last, in words. */
  said = "";
  opened = false;
  /** Whether the cell has been run a moment ago; the view that sees it first takes it. */
  justRun = false;
  work = new WorkTime();
  /** @type {Set<() => void>} */
  views = new Set();
  /** @type {number[]} active ms of the last labels */
  pace = [];

  #asking = false;
  #again = false;
  /** @type {number | null} where Python goes on; null when there is nothing more */
  #next = 0;
  /** @type {{entry: Entry, id: string}[]} labels and skips that can be taken back */
  #history = [];
  /** @type {{kind: string, value: any, by: string}[]} answers given while items are awaited */
  #ahead = [];

  /** @param {any} model @param {AbortSignal} signal */
  constructor(model, signal) {
    this.config = model.get("config");
    this.outbox = new Outbox(model, this.config.store, {
      settled: (message, reply) => this.#settled(message, reply),
      changed: () => this.changed(),
      watched: () => this.views.size > 0,
    });
    signal.addEventListener("abort", () => this.outbox.stop());
    for (const message of this.outbox.left()) this.outbox.post(message, { keep: true });
    this.#ask({ opening: true }, false);
  }

  /** @returns {Entry | undefined} the item on the screen */
  get current() {
    return this.entries[this.at];
  }

  get waiting() {
    return !this.current && this.#asking;
  }

  get canUndo() {
    return this.#history.length > 0;
  }

  get remaining() {
    return this.config.total - this.counts.labelled - this.counts.skipped;
  }

  /** @returns {number} ms until all is labelled, at the pace so far */
  get expected() {
    return median(this.pace) * this.remaining;
  }

  get hasty() {
    return this.pace.length >= HASTY_OVER && median(this.pace.slice(-HASTY_OVER)) < HASTY;
  }

  changed() {
    for (const refresh of this.views) refresh();
  }

  /** @param {string} kind label or skip @param {any} value @param {string} by key or mouse */
  answer(kind, value, by) {
    const entry = this.current;
    if (!entry) {
      if (this.#asking) this.#ahead.push({ kind, value, by });
      return;
    }
    const time = this.work.read();
    const id = this.#post({
      kind,
      item: entry.id,
      ...(kind === "label" && { value }),
      by,
      ...time,
    });
    this.#recount(entry, () => {
      entry.acts.push({ id, kind, value });
      entry.again = false;
    });
    this.#history.push({ entry, id });
    if (kind === "label") this.pace = [...this.pace, time.active_ms].slice(-PACE_OVER);
    if (kind === "label") this.keepDraft(entry, undefined);
    this.said = kind === "label" ? `${this.described(value)} ✓` : "Skipped";
    this.#advance();
  }

  /** Take back the last label or skip. @param {string} by */
  undo(by) {
    const last = this.#history.pop();
    if (!last) return this.say("There is nothing to take back");
    const act = last.entry.acts.find(({ id }) => id === last.id);
    this.#post({ kind: "undo", item: last.entry.id, reverses: last.id, by });
    this.#recount(last.entry, () => this.#remove(last.entry, last.id));
    this.go(this.entries.indexOf(last.entry));
    this.say(`Taken back: ${act?.kind === "skip" ? "the skip" : this.described(act?.value)}`);
  }

  /** Flag the item, or take its flag off. @param {string} by */
  flag(by) {
    const entry = this.current;
    if (!entry) return;
    if (entry.flag) {
      this.#post({ kind: "undo", item: entry.id, reverses: entry.flag, by });
      entry.flag = "";
    } else {
      entry.flag = this.#post({ kind: "flag", item: entry.id, by });
    }
    this.say(entry.flag ? "Flagged" : "Flag taken off");
  }

  /** @param {Entry} entry @param {string} text */
  note(entry, text) {
    if (text === entry.note) return;
    entry.note = text;
    this.#post({ kind: "note", item: entry.id, text });
    this.say(text ? "Noted" : "Note removed");
  }

  /**
   * The answer to an item as far as it goes: what is being put together, also before this page was
   * loaded, or what was answered.
   * @param {Entry} entry @param {any} blank
   */
  draft(entry, blank) {
    if (entry.draft === undefined) {
      const kept = storage()?.getItem(this.#draftKey(entry));
      if (kept) entry.draft = JSON.parse(kept);
    }
    return entry.draft ?? entry.acts.findLast(({ kind }) => kind === "label")?.value ?? blank;
  }

  /** @param {Entry} entry @param {any} value undefined when it is given or given up */
  keepDraft(entry, value) {
    entry.draft = value;
    try {
      if (value === undefined) storage()?.removeItem(this.#draftKey(entry));
      else storage()?.setItem(this.#draftKey(entry), JSON.stringify(value));
    } catch {
      // Storage is full or forbidden: the draft is still kept in this page.
    }
  }

  /** @param {Entry} entry */
  #draftKey(entry) {
    return `scalekit/drafts/${this.config.store}/${entry.id}`;
  }

  /** What was answered, in a few words. @param {any} value @returns {string} */
  described(value) {
    if (!this.config.reasons) return this.answerWords(value);
    return value.value === null ? value.reason : `${this.answerWords(value.value)}, ${value.reason}`;
  }

  /** An answer to the task in a few words. @param {any} value @returns {string} */
  answerWords(value) {
    const { kind, options } = this.config;
    if (kind === "choice") return value;
    if (kind === "multi") return value.join(", ") || "none of them";
    if (kind === "text") return value.length > 40 ? `“${value.slice(0, 40)}…”` : `“${value}”`;
    if (kind === "span") return plural(value.length, "mark");
    if (kind === "turns") return plural(Object.keys(value).length, "turn");
    if (kind === "rubric") return Object.entries(value).map((p) => p.join(" ")).join(", ");
    const same = (/** @type {any} */ o) =>
      o.answer.preferred === value.preferred && o.answer.strength === value.strength;
    return options.find(same)?.name ?? value.preferred;
  }

  /** Show another item, without answering. @param {number} place */
  go(place) {
    if (place < 0 || place > this.entries.length) return;
    this.at = place;
    this.work.restart();
    this.changed();
  }

  /** Go on after looking back; an open item can only be answered or skipped. */
  forward() {
    if (this.current && !isOpen(this.current)) this.go(this.at + 1);
  }

  /** Ask for the skipped items once more. */
  revisit() {
    this.#again = true;
    this.#next = 0;
    this.#ask({}, false);
    this.changed();
  }

  /** @param {string} words */
  say(words) {
    this.said = words;
    this.changed();
  }

  /** @param {Record<string, any>} act @returns {string} */
  #post(act) {
    return this.outbox.post(act, { keep: true });
  }

  /**
   * Ask for the next items.
   * @param {Record<string, any>} fields
   * @param {boolean} first before the labels that wait, because the person sees the items; not
   *   where the answer depends on those labels
   */
  #ask(fields = {}, first = true) {
    this.#asking = true;
    const request = { kind: "items", from: this.#next, again: this.#again, ...fields };
    this.outbox.post(request, { first });
  }

  #advance() {
    let place = this.entries.findIndex((entry, i) => i > this.at && isOpen(entry));
    // What was refused or taken back behind us comes again at the end.
    if (place < 0 && this.#next === null) place = this.entries.findIndex(isOpen);
    this.go(place < 0 ? this.entries.length : place);
    const few = this.entries.length - this.at <= REFILL;
    if (few && this.#next !== null && !this.#asking) this.#ask();
  }

  /** @param {import("./outbox.js").Message} message @param {import("./outbox.js").Reply} reply */
  #settled(message, reply) {
    if (message.kind === "items") {
      this.#asking = false;
      if (!reply.error) this.#take(reply);
    } else if (reply.error) {
      this.#restore(message);
    }
  }

  /** @param {any} reply the next items */
  #take({ items, next, past = [], counts, just_run }) {
    const known = new Map(this.entries.map((entry) => [entry.id, entry]));
    const fresh = items.map((/** @type {Entry} */ item) => known.get(item.id) ?? item);
    for (const entry of fresh) entry.again = this.#again;
    const waiting = !this.current;
    this.entries = [...past, ...this.entries.filter((e) => !fresh.includes(e)), ...fresh];
    this.#next = next;
    if (counts) {
      this.opened = true;
      this.justRun = just_run;
      this.counts = { ...this.counts, ...counts };
      for (const entry of past) this.#history.push({ entry, id: entry.acts.at(-1).id });
    }
    if (waiting) this.go(this.#firstOpen());
    for (const { kind, value, by } of this.#ahead.splice(0)) this.answer(kind, value, by);
  }

  #firstOpen() {
    const place = this.entries.findIndex(isOpen);
    return place < 0 ? this.entries.length : place;
  }

  /** Python refused an act: show the item as it stands on disk. @param {any} message */
  #restore(message) {
    const entry = this.entries.find(({ id }) => id === message.item);
    if (!entry) return;
    this.#recount(entry, () => this.#remove(entry, message.id));
    this.#history = this.#history.filter(({ id }) => id !== message.id);
    if (entry.flag === message.id) entry.flag = "";
    if (!this.current && isOpen(entry)) this.go(this.entries.indexOf(entry));
  }

  /** @param {Entry} entry @param {string} id */
  #remove(entry, id) {
    entry.acts = entry.acts.filter((act) => act.id !== id);
  }

  /** @param {Entry} entry @param {() => void} change */
  #recount(entry, change) {
    this.counts[status(entry)] -= 1;
    change();
    this.counts[status(entry)] += 1;
  }
}

/** @param {Entry} entry @returns {"labelled" | "skipped" | "open"} */
function status(entry) {
  if (entry.acts.some((act) => act.kind === "label")) return "labelled";
  return entry.acts.length ? "skipped" : "open";
}

/** @param {Entry} entry whether it still asks for an answer */
export function isOpen(entry) {
  return entry.again || !entry.acts.length;
}
