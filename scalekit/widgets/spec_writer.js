// The spec writer: a form in which every edit is saved and what is wrong stands beside its field.

import { banner, claimKey, element } from "./elements.js";
import { Fields } from "./fields.js";
import { FRESH, Writing } from "./writing.js";

/** @typedef {import("./writing.js").Row} Row */
/** @typedef {keyof typeof FRESH} List */

const SECTIONS = [
  { name: "name", title: "Name", help: "" },
  {
    name: "behaviour",
    title: "Behaviour",
    help: "One sentence: who does what, on which input.",
    hint: "The model sorts an incoming message into the queue of the team that must act first.",
  },
  { name: "setting", title: "Setting", help: "Where and for whom it will be used." },
  {
    name: "categories",
    title: "Categories",
    one: "category",
    help: "The groups the data must hold. Their shares make 100 %.",
  },
  {
    name: "examples",
    title: "Examples",
    one: "example",
    help: "Written by hand: they are the first evaluation set. An edge case says why.",
  },
  {
    name: "rubric",
    title: "Rubric",
    one: "criterion",
    help: "What a good answer shows, and how deep in the model it is to be learned.",
  },
  {
    name: "metrics",
    title: "Success",
    one: "metric",
    help: "What to reach, and the loss that still counts as none.",
  },
  {
    name: "assumptions",
    title: "Assumptions",
    one: "assumption",
    help: "What all this rests on. It goes into the report.",
  },
  {
    name: "instructions",
    title: "Instructions",
    help: "What an annotator must know to decide as you would.",
  },
];

/** A view of a Writing: a form, drawn again only where rows come, go or move. */
class SpecView {
  /** @type {Record<string, HTMLElement>} the rows of each list */
  #lists = {};
  /** @type {{name: List, place: number, row: Row} | null} */
  #removed = null;

  /** @param {Writing} writing @param {HTMLElement} el @param {AbortSignal} signal */
  constructor(writing, el, signal) {
    this.writing = writing;
    this.fields = new Fields(writing, this);
    this.alarm = banner(writing.outbox, () => "Your last edits are");
    this.form = element("div", { class: "sk-form" });
    // The form is long: what can be done with it stands at both ends.
    this.bars = [this.#drawBar(), this.#drawBar()];
    this.bars[1].said.setAttribute("role", "status");
    const parts = [this.bars[0].node, this.alarm.node, this.form, this.bars[1].node];
    const named = { class: "sk-root sk-spec", role: "group", "aria-label": "Spec" };
    this.root = element("div", named, ...parts);
    this.root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      const saves = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s";
      if (!saves) return claimKey(event);
      event.preventDefault();
      event.stopPropagation();
      return writing.save();
    });
    writing.views.push(this);
    writing.outbox.wake();
    signal.addEventListener("abort", () => writing.views.splice(writing.views.indexOf(this), 1));
    el.replaceChildren(this.root);
    this.rebuild();
  }

  // --- drawing ---------------------------------------------------------------------------------

  rebuild() {
    this.fields.slots.clear();
    const loading = element("p", { class: "sk-loading" }, "Loading…");
    const sections = this.writing.opened ? SECTIONS.map((s) => this.#drawSection(s)) : [loading];
    // What has no field in this form is said above it.
    const other = this.fields.problem(this.writing.draft, "", "", this.bars[0].save);
    this.form.replaceChildren(other, ...sections);
    this.refresh();
  }

  /** @param {{name: string, title: string, help: string, hint?: string, one?: string}} section */
  #drawSection({ name, title, help, hint, one }) {
    const { draft } = this.writing;
    const head = element(
      "div",
      {},
      element("h4", {}, title),
      element("p", { class: "sk-help" }, help),
    );
    const place = { row: draft, key: name, path: name, label: title, hint };
    let parts;
    if (one) parts = this.#drawList(/** @type {List} */ (name), one);
    else parts = [name === "name" ? this.fields.text(place) : this.fields.area(place)];
    const body = element("div", { class: "sk-body" }, ...parts);
    return element("section", { class: `sk-section sk-section-${name}` }, head, body);
  }

  /** @param {List} name @param {string} one */
  #drawList(name, one) {
    const add = this.#button(`Add ${one}`, "sk-ghost sk-add", () => this.#add(name));
    const foot = element("div", { class: "sk-list-foot" }, add);
    if (name === "categories") {
      this.shares = element("span", { class: "sk-shares", "aria-hidden": "true" });
      this.total = element("span", { class: "sk-total" });
      foot.append(this.shares, this.total);
    }
    this.#lists[name] = element("div", { class: `sk-list sk-list-${name}`, "data-one": one });
    this.#drawRows(name);
    return [this.#lists[name], foot, this.fields.problem(this.writing.draft, name, name, add)];
  }

  /** @param {List} name */
  #drawRows(name) {
    this.fields.forget(name);
    const rows = this.writing.draft[name];
    const drawn = rows.map((/** @type {Row} */ row, /** @type {number} */ place) =>
      this.#drawRow(name, row, place),
    );
    this.#lists[name].replaceChildren(...drawn);
  }

  /** @param {List} name @param {Row} row @param {number} place */
  #drawRow(name, row, place) {
    const one = `${this.#lists[name].dataset.one} ${place + 1}`;
    const last = this.writing.draft[name].length - 1;
    const path = `${name}[${place}]`;
    const icon = (
      /** @type {string} */ sign,
      /** @type {string} */ does,
      /** @type {any} */ act,
      can = true,
    ) => {
      const button = this.#button(sign, "sk-icon", act);
      button.disabled = !can;
      button.title = does;
      button.dataset.key = does;
      button.setAttribute("aria-label", `${does} ${one}`);
      return button;
    };
    const actions = [
      icon("↑", "Move up", () => this.#move(name, place, -1), place > 0),
      icon("↓", "Move down", () => this.#move(name, place, 1), place < last),
      icon("✕", "Remove", () => this.#remove(name, place)),
    ];
    const fields = this.#drawFields(name, row, path);
    const own = this.fields.slots.has(path)
      ? []
      : [this.fields.problem(row, "", path, actions[2])];
    const node = element(
      "div",
      { class: "sk-row", role: "group", "aria-label": one },
      element("div", { class: "sk-fields" }, ...fields, ...own),
      element("div", { class: "sk-actions" }, ...actions),
    );
    node.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      const act = this.#rowAction(event, name, place);
      if (!act) return;
      event.preventDefault();
      event.stopPropagation();
      act();
    });
    return node;
  }

  /** @param {List} name @param {Row} row @param {string} path @returns {HTMLElement[]} */
  #drawFields(name, row, path) {
    const { fields } = this;
    const { kinds, metrics, examples } = this.writing.config;
    const at = (/** @type {string} */ key, /** @type {string} */ label, hint = "") => {
      return { row, key, path: `${path}.${key}`, label, hint };
    };
    const draw = {
      categories: () => [
        this.#watchName(row, fields.text(at("name", "Name"))),
        fields.area(at("description", "What belongs here")),
        this.#watchShare(fields.percent(at("share", "Share"))),
      ],
      examples: () => [
        fields.area(at("text", "Text", "An item as it will come in")),
        fields.select(at("category", "Category"), () => this.#categories()),
        fields.select(at("kind", "Kind"), () => examples),
        fields.area(at("note", "Why", "Why it is decided so")),
      ],
      rubric: () => [
        fields.text(at("name", "Name")),
        fields.select(at("kind", "Kind"), () => kinds),
        fields.number(at("points", "Points")),
        fields.area(at("text", "What it asks")),
        fields.area(at("pass_example", "Passes")),
        fields.area(at("fail_example", "Fails")),
        fields.depth(at("depth", "Depth")),
      ],
      metrics: () => [
        fields.select(at("name", "Metric"), () => metrics),
        fields.percent(at("target", "Target")),
        fields.percent(at("margin", "Margin")),
      ],
      assumptions: () => [fields.area({ row, key: "text", path, label: "Assumption" })],
    };
    return draw[name]();
  }

  #drawBar() {
    const state = element("span", { class: "sk-saved" });
    const said = element("span", { class: "sk-status" });
    const putBack = this.#button("Put back", "sk-ghost", () => this.#restore());
    const todo = this.#button("", "sk-ghost sk-todo", () => this.writing.showAll());
    const save = this.#button("Save version", "sk-primary", () => this.writing.save());
    save.setAttribute("aria-keyshortcuts", "Control+S");
    const left = element("div", {}, state, said, putBack);
    const node = element("div", { class: "sk-bar" }, left, todo, save);
    return { node, state, said, putBack, todo, save };
  }

  /** @param {string} name @param {string} style @param {() => void} press */
  #button(name, style, press) {
    const button = element("button", { class: style, type: "button" }, name);
    button.addEventListener("click", press);
    return button;
  }

  // --- rows ------------------------------------------------------------------------------------

  /** @param {KeyboardEvent} event @param {List} name @param {number} place */
  #rowAction(event, name, place) {
    if (event.isComposing) return undefined;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey))
      return () => this.#add(name, place + 1);
    /** @type {Record<string, () => void>} */
    const chords = {
      ArrowUp: () => this.#move(name, place, -1),
      ArrowDown: () => this.#move(name, place, 1),
      Delete: () => this.#remove(name, place),
    };
    return event.altKey ? chords[event.key] : undefined;
  }

  /** @param {List} name @param {number} [place] @param {Row} [row] */
  #add(name, place = this.writing.draft[name].length, row = FRESH[name]()) {
    this.writing.draft[name].splice(place, 0, row);
    this.#redraw(name, place);
  }

  /** @param {List} name @param {number} place */
  #remove(name, place) {
    const [row] = this.writing.draft[name].splice(place, 1);
    this.#removed = { name, place, row };
    this.#redraw(name, Math.min(place, this.writing.draft[name].length - 1));
    this.writing.say(`${this.#lists[name].dataset.one} ${place + 1} removed`);
  }

  #restore() {
    if (!this.#removed) return;
    const { name, place, row } = this.#removed;
    this.#removed = null;
    this.#add(name, Math.min(place, this.writing.draft[name].length), row);
  }

  /** @param {List} name @param {number} place @param {number} by */
  #move(name, place, by) {
    const rows = this.writing.draft[name];
    if (place + by < 0 || place + by >= rows.length) return;
    const key = /** @type {any} */ (document.activeElement)?.dataset?.key;
    rows.splice(place + by, 0, ...rows.splice(place, 1));
    this.#redraw(name, place + by, key);
  }

  /**
   * Draw a list anew and put the focus into a row.
   * @param {List} name @param {number} place @param {string} [key]
   */
  #redraw(name, place, key) {
    this.#drawRows(name);
    this.writing.edited(this.writing.draft, name, this);
    const row = this.#lists[name].children[place];
    const wanted = key && row?.querySelector(`[data-key="${key}"]:enabled`);
    const target = wanted || row?.querySelector("input, textarea, select");
    const add = this.#lists[name].parentElement?.querySelector(".sk-add");
    /** @type {HTMLElement} */ (target ?? add).focus();
  }

  #categories() {
    return this.writing.draft.categories.map((/** @type {Row} */ c) => c.name).filter(Boolean);
  }

  /**
   * Examples follow when their category gets another name.
   * @param {Row} row @param {HTMLElement} field
   */
  #watchName(row, field) {
    const control = /** @type {HTMLInputElement} */ (field.querySelector("input"));
    /** @type {Row[]} */
    let linked = [];
    control.addEventListener("focus", () => {
      const alone =
        this.#categories().filter((/** @type {string} */ n) => n === row.name).length === 1;
      const { examples } = this.writing.draft;
      linked = alone ? examples.filter((/** @type {Row} */ e) => e.category === row.name) : [];
    });
    control.addEventListener("input", () => {
      for (const example of linked) example.category = row.name;
      this.fields.refresh();
    });
    return field;
  }

  /** A share may make the sum wrong, which is a problem of the list. @param {HTMLElement} field */
  #watchShare(field) {
    const { draft } = this.writing;
    field.addEventListener("input", () => this.writing.touch(draft, "categories"));
    return field;
  }

  // --- showing ---------------------------------------------------------------------------------

  refresh() {
    const { outbox, opened, problems, said, unsaved } = this.writing;
    this.alarm.refresh();
    const state =
      outbox.trouble || outbox.refusal ? "not saved" : unsaved ? "saving…" : "draft saved";
    for (const bar of this.bars) {
      bar.state.textContent = opened ? state : "";
      bar.state.dataset.state = state;
      if (bar.said.textContent !== said) bar.said.textContent = said;
      bar.putBack.hidden = !this.#removed;
      bar.todo.hidden = !problems.length;
      bar.todo.textContent = `${problems.length} to settle`;
      bar.save.setAttribute("aria-disabled", String(problems.length > 0 || !opened));
    }
    if (!opened) return;
    this.fields.refresh();
    this.#showTotal();
  }

  jump() {
    this.fields.jump();
  }

  #showTotal() {
    const shares = this.writing.draft.categories.map(
      (/** @type {Row} */ c) => Number(c.share) || 0,
    );
    const total = shares.reduce((/** @type {number} */ a, /** @type {number} */ b) => a + b, 0);
    const bars = shares.map((/** @type {number} */ share) =>
      element("span", { style: `width: ${Math.max(0, share) * 100}%` }),
    );
    this.shares?.replaceChildren(...bars);
    const even = Math.abs(total - 1) <= 0.005;
    if (!this.total) return;
    const said = `${Number((total * 100).toPrecision(6))} %`;
    this.total.textContent = even ? `${said} ✓` : `${said} of 100 %`;
    this.total.dataset.even = String(even);
  }
}

export default () => {
  /** @type {() => Writing} */
  let start;
  /** @type {Writing | undefined} */
  let writing;
  return {
    /** @param {{model: any, signal: AbortSignal}} widget */
    initialize({ model, signal }) {
      start = () => new Writing(model, signal);
    },
    /** @param {{el: HTMLElement, signal: AbortSignal}} view */
    render({ el, signal }) {
      // Begun by the first view: a widget that is nowhere shown must not take what another left.
      writing ??= start();
      new SpecView(writing, el, signal);
    },
  };
};
