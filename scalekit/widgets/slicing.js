// What is chosen on a map: one for each slicer, whatever the number of its views.

import { Points } from "./mapping.js";
import { Outbox } from "./outbox.js";

const PAUSE = 150; // ms without a change, after which Python is asked what the choice is made of
const CHUNK = 8192; // bytes turned into characters at a time

/** @typedef {{name: string, count: number, colour: string, symbol: string}} Group */
/** @typedef {{column: string, value: string, share: number, whole: number, says: string}} Row */
/** @typedef {{words: string[], rows: any[][], examples: string[]}} Look */
/** @typedef {"replace" | "add" | "remove"} Mode */

export class Slicing {
  /** @type {Set<() => void>} */
  views = new Set();
  /** @type {Mode} what the next choice does to the last */
  mode = "replace";
  /** @type {Look | undefined} what the choice is made of */
  made;
  /** What was done last, in words. */
  said = "";
  chosenCount = 0;
  /** How often the choice has changed. */
  version = 0;
  /** The slice that is shown; "" when the choice is another. */
  shownSlice = "";
  /** @type {number} the group that is pointed at in the legend, or -1 */
  pointedGroup = -1;
  /** @type {Map<number, [string, string]>} id and text of the items that were pointed at */
  texts = new Map();

  #asked = "";
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {any} model @param {AbortSignal} signal */
  constructor(model, signal) {
    this.config = model.get("config");
    this.by = this.config.by;
    this.slices = this.config.slices;
    this.points = new Points(model.get("points"), this.config.count, this.config.columns.length);
    this.chosen = new Uint8Array(this.config.count);
    this.outbox = new Outbox(model, this.config.store, {
      settled: (message, reply) => this.#settled(message, reply),
      changed: () => this.changed(),
      watched: () => this.views.size > 0,
    });
    signal.addEventListener("abort", () => this.outbox.stop());
    for (const message of this.outbox.left()) this.outbox.post(message, { keep: true });
  }

  changed() {
    for (const refresh of this.views) refresh();
  }

  /** @returns {Group[]} */
  get groups() {
    return this.config.columns[this.by].groups;
  }

  get codes() {
    return this.points.codes[this.by];
  }

  /** @returns {{codes: Uint8Array, colours: string[], symbols: string[],
   *   emphasis: Uint8Array | undefined}} */
  look() {
    const colours = this.groups.map(({ colour }) => colour);
    const symbols = this.groups.map(({ symbol }) => symbol);
    return { codes: this.codes, colours, symbols, emphasis: this.#emphasis };
  }

  /** @type {Uint8Array | undefined} */
  #emphasis;

  #emphasise() {
    const { codes, pointedGroup } = this;
    if (pointedGroup >= 0) this.#emphasis = codes.map((c) => Number(c === pointedGroup));
    else this.#emphasis = this.chosenCount ? this.chosen : undefined;
  }

  /** @param {number} column */
  colourBy(column) {
    this.by = column;
    this.point(-1);
  }

  /** @param {number} group of the legend, or -1 */
  point(group) {
    this.pointedGroup = group;
    this.#emphasise();
    this.changed();
  }

  /** @param {Iterable<number>} places @param {Mode} [mode] */
  choose(places, mode = this.mode) {
    if (mode === "replace") this.chosen.fill(0);
    for (const i of places) this.chosen[i] = mode === "remove" ? 0 : 1;
    this.#chose();
  }

  /** @param {number} group */
  chooseGroup(group) {
    const places = [];
    for (let i = 0; i < this.config.count; i++) if (this.codes[i] === group) places.push(i);
    this.pointedGroup = -1;
    this.choose(places);
  }

  clear() {
    this.chosen.fill(0);
    this.#chose();
    this.say("Nothing is chosen");
  }

  #chose() {
    this.chosenCount = this.chosen.reduce((sum, bit) => sum + bit, 0);
    this.version++;
    this.shownSlice = "";
    this.made = undefined;
    this.#emphasise();
    this.said = "";
    clearTimeout(this.#timer);
    if (this.chosenCount) this.#timer = setTimeout(() => this.#askLook(), PAUSE);
    this.changed();
  }

  #askLook() {
    const fields = { kind: "look", chosen: this.#bits() };
    this.#asked = this.outbox.post(fields, { replace: true });
  }

  /** @param {number} place */
  askText(place) {
    if (!this.texts.has(place)) this.outbox.post({ kind: "texts", places: [place] }, { replace: true });
  }

  /** @param {string} name */
  save(name) {
    this.outbox.post({ kind: "save", name, chosen: this.#bits() }, { keep: true });
  }

  /** @param {string} name a slice that was kept */
  recall(name) {
    this.outbox.post({ kind: "recall", name });
  }

  /** @param {string} said */
  say(said) {
    this.said = said;
    this.changed();
  }

  /** @returns {string} the choice, one bit for each item */
  #bits() {
    const bytes = new Uint8Array(Math.ceil(this.config.count / 8));
    this.chosen.forEach((bit, i) => (bytes[i >> 3] |= bit << (i & 7)));
    let text = "";
    for (let at = 0; at < bytes.length; at += CHUNK) {
      text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
    }
    return btoa(text);
  }

  /** @param {string} bits */
  #take(bits) {
    const bytes = atob(bits);
    for (let i = 0; i < this.config.count; i++) {
      this.chosen[i] = (bytes.charCodeAt(i >> 3) >> (i & 7)) & 1;
    }
    this.#chose();
  }

  /** @param {import("./outbox.js").Message} message @param {import("./outbox.js").Reply} reply */
  #settled(message, reply) {
    if (reply.error) return;
    if (message.kind === "look" && message.id === this.#asked) this.made = reply.look;
    if (message.kind === "save") {
      this.slices = reply.slices;
      this.shownSlice = message.chosen === this.#bits() ? message.name : "";
      this.said = `“${message.name}” is saved`;
    }
    if (message.kind === "recall") {
      this.#take(reply.chosen);
      this.shownSlice = message.name;
      this.said = `“${message.name}” is shown`;
    }
    for (const [place, text] of Object.entries(reply.texts ?? {})) {
      this.texts.set(Number(place), text);
    }
  }
}
