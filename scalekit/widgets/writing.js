// A spec as it is being written: its rows, what is wrong with it, and its way to disk.

import { Outbox } from "./outbox.js";

const PAUSE = 250; // ms without an edit after which the draft is saved

/** @typedef {Record<string, any>} Row */
/** @typedef {{field: string, reason: string}} Problem */

/** A new row of each list. */
export const FRESH = {
  categories: () => ({ name: "", description: "", share: null }),
  examples: () => ({ text: "", category: "", kind: "ideal", note: "" }),
  rubric: () => ({
    name: "",
    text: "",
    kind: "must",
    points: 1,
    pass_example: "",
    fail_example: "",
    depth: "middle",
  }),
  metrics: () => ({ name: "accuracy", target: null, margin: null }),
  assumptions: () => ({ text: "" }),
};

/** One for each widget, whatever the number of its views. */
export class Writing {
  /** @type {Row} the draft; assumptions are rows with a text here and plain texts on disk */
  draft = {};
  /** @type {Problem[]} */
  problems = [];
  /** What happened last, in words. */
  said = "";
  opened = false;
  /** Whether a version was asked for: from then on every problem is shown, also of empty fields. */
  attempted = false;
  /** @type {{refresh: () => void, rebuild: () => void, jump: () => void}[]} */
  views = [];

  /** @type {WeakMap<Row, Set<string>>} fields that were edited, by row */
  #touched = new WeakMap();
  /** @type {string} the draft on disk */
  #onDisk = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #pause;
  #dirty = false;

  /** @param {any} model @param {AbortSignal} signal */
  constructor(model, signal) {
    this.config = model.get("config");
    this.outbox = new Outbox(model, this.config.store, {
      settled: (message, reply) => this.#settled(message, reply),
      changed: () => this.refresh(),
      watched: () => this.views.length > 0,
    });
    this.outbox.post({ kind: "open" });
    // A page that goes away takes the pause with it.
    window.addEventListener("pagehide", () => this.flush(), { signal });
    signal.addEventListener("abort", () => this.stop());
  }

  get unsaved() {
    return this.#dirty || this.outbox.unsaved > 0;
  }

  refresh() {
    for (const view of this.views) view.refresh();
  }

  /**
   * Note an edit; the draft is sent when the person pauses.
   * @param {Row} row @param {string} key @param {any} [source] the view that shows the edit already
   */
  edited(row, key, source) {
    this.touch(row, key);
    this.said = "";
    this.#dirty = true;
    clearTimeout(this.#pause);
    this.#pause = setTimeout(() => this.flush(), PAUSE);
    for (const view of this.views) if (view !== source) view.rebuild();
    this.refresh();
  }

  /** @param {Row} row @param {string} key */
  touch(row, key) {
    if (!this.#touched.has(row)) this.#touched.set(row, new Set());
    this.#touched.get(row)?.add(key);
  }

  /** @param {Row} row @param {string} key */
  isTouched(row, key) {
    return this.#touched.get(row)?.has(key) ?? false;
  }

  /** Send the draft now, in place of an older one that still waits. */
  flush() {
    clearTimeout(this.#pause);
    if (!this.#dirty) return;
    this.#dirty = false;
    const message = { kind: "draft", draft: this.#plain(), base: this.#onDisk };
    this.outbox.post(message, { keep: true, replace: true });
  }

  /** @param {string} words */
  say(words) {
    this.said = words;
    this.refresh();
  }

  /** Show every problem, also of fields that nobody has touched yet, and go to the first. */
  showAll() {
    this.attempted = true;
    this.refresh();
    this.views.at(-1)?.jump();
  }

  /** Save a version, or go to the first thing that stands in its way. */
  save() {
    this.flush();
    if (this.problems.length && !this.outbox.unsaved) this.showAll();
    else this.outbox.post({ kind: "save", draft: this.#plain() }, { replace: true });
  }

  stop() {
    clearTimeout(this.#pause);
    this.outbox.stop();
  }

  /** @returns {Row} the draft as it is stored */
  #plain() {
    const assumptions = this.draft.assumptions.map((/** @type {Row} */ row) => row.text);
    return { ...this.draft, assumptions };
  }

  /** @param {import("./outbox.js").Message} message @param {any} reply */
  #settled(message, reply) {
    if (reply.error || message.kind === "ping") return;
    this.problems = reply.problems;
    if (message.kind === "open") return this.#open(reply.draft);
    this.#onDisk = canonical(message.draft);
    if (message.kind !== "save") return;
    this.said = reply.said ?? "";
    if (this.problems.length) this.showAll();
  }

  /** @param {Row} draft */
  #open(draft) {
    this.#onDisk = canonical(draft);
    const left = this.#left();
    const taken = left ?? draft;
    this.draft = { ...structuredClone(taken) };
    for (const [list, fresh] of Object.entries(FRESH)) {
      const rows = (taken[list] ?? []).map((/** @type {any} */ row) =>
        list === "assumptions" ? { text: row } : row,
      );
      this.draft[list] = rows.map((/** @type {Row} */ row) => ({ ...fresh(), ...row }));
    }
    this.opened = true;
    for (const view of this.views) view.rebuild();
    if (!left) return;
    this.said = "edits that were not saved are back";
    this.#dirty = true;
    this.flush();
  }

  /**
   * What an earlier page could not save, if it was written on what the disk holds. The disk may
   * hold one of the lost edits themselves: saved, but never acknowledged.
   * @returns {Row | undefined}
   */
  #left() {
    const messages = this.outbox.left();
    const mine = messages.filter(
      ({ base, draft }) => base === this.#onDisk || canonical(draft) === this.#onDisk,
    );
    for (const { id } of mine) this.outbox.forget(id);
    const last = mine.at(-1)?.draft;
    return last && canonical(last) !== this.#onDisk ? last : undefined;
  }
}

/** @param {Row} draft @returns {string} the same for the same content in any order of keys */
function canonical(draft) {
  return JSON.stringify(draft, (_, value) =>
    value && typeof value === "object" && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort())
      : value,
  );
}
