// The fields of a form over a Writing: each edits one key of one row and says what is wrong there.

import { element } from "./elements.js";

/** @typedef {import("./writing.js").Row} Row */
/**
 * @typedef {object} Slot where the problems of one field are shown
 * @property {Row} row
 * @property {string} key
 * @property {any[]} controls what has the problem; the first one gets the focus
 * @property {HTMLElement} problem
 */
/**
 * @typedef {object} Place which value a field edits
 * @property {Row} row
 * @property {string} key
 * @property {string} path its name in a spec, `examples[2].text`
 * @property {string} label
 * @property {string} [hint] said in the field while it is empty
 */

let serial = 0;

/** @param {any} share a fraction, or text that is no number @returns {string} in percent */
function percent(share) {
  return typeof share === "number" ? String(Number((share * 100).toPrecision(12))) : (share ?? "");
}

/** @param {string} typed @returns {number | string | null} text that is no number stays as it is */
function number(typed) {
  const said = typed.trim().replace(/\s*%$/, "").replace(",", ".");
  if (said === "") return null;
  return Number.isNaN(Number(said)) ? typed : Number(said);
}

/** @param {string} typed @returns {number | string | null} percent as a fraction */
function fraction(typed) {
  const value = number(typed);
  return typeof value === "number" ? Number((value / 100).toPrecision(12)) : value;
}

export class Fields {
  /** @type {Map<string, Slot>} by path */
  slots = new Map();
  /** @type {WeakMap<HTMLElement, () => string[]>} what a select offers, which may change */
  #offers = new WeakMap();

  /** @param {import("./writing.js").Writing} writing @param {object} view */
  constructor(writing, view) {
    this.writing = writing;
    this.view = view;
  }

  /** One line of text. @param {Place} place */
  text(place) {
    const control = element("input", { type: "text", autocomplete: "off" });
    return this.#typed(place, control, (value) => value ?? "", String);
  }

  /** Text of several lines, as high as what it holds. @param {Place} place */
  area(place) {
    return this.#typed(place, element("textarea", { rows: 1 }), (value) => value ?? "", String);
  }

  /** A whole number. @param {Place} place */
  number(place) {
    const control = element("input", { type: "text", inputmode: "numeric", autocomplete: "off" });
    return this.#typed(place, control, (value) => String(value ?? ""), number);
  }

  /** A fraction, typed in percent. @param {Place} place */
  percent(place) {
    const control = element("input", { type: "text", inputmode: "decimal", autocomplete: "off" });
    const shown = element("span", { class: "sk-unit" }, control, "%");
    return this.#typed(place, control, percent, fraction, shown);
  }

  /** One of several values. @param {Place} place @param {() => string[]} offers */
  select(place, offers) {
    const control = element("select");
    this.#offers.set(control, offers);
    control.addEventListener("change", () => {
      place.row[place.key] = control.value;
      this.#edited(place);
    });
    this.#fill(control, place.row[place.key]);
    return this.#field(place, control);
  }

  /** A depth: a name, or an interval in percent from input to output. @param {Place} place */
  depth(place) {
    const { row, key } = place;
    const { depths } = this.writing.config;
    const bar = element("span");
    const ends = ["from", "to"].map((end) =>
      element("input", {
        type: "text",
        inputmode: "decimal",
        "aria-label": `Depth ${end}, percent`,
      }),
    );
    const interval = element("span", { class: "sk-interval" }, ends[0], "to", ends[1], "%");
    const show = () => {
      const named = typeof row[key] === "string";
      const [low, high] = (named ? depths[row[key]] : row[key]) ?? [];
      interval.hidden = named;
      bar.style.left = `${Math.max(0, low * 100) || 0}%`;
      bar.style.width = `${Math.min(100, (high - low) * 100) || 0}%`;
      if (named) return;
      ends.forEach((end, i) => {
        if (end !== document.activeElement) end.value = percent(row[key]?.[i]);
      });
    };
    const names = [...Object.keys(depths), "interval"];
    const control = element("select");
    this.#fill(control, typeof row[key] === "string" ? row[key] : "interval", names);
    control.addEventListener("change", () => {
      row[key] = control.value === "interval" ? [...(depths[row[key]] ?? [0, 1])] : control.value;
      show();
      this.#edited(place);
    });
    ends.forEach((end, i) =>
      end.addEventListener("input", () => {
        row[key] = ends.map((_, j) => (j === i ? fraction(end.value) : (row[key]?.[j] ?? null)));
        show();
        this.#edited(place);
      }),
    );
    show();
    const track = element("span", { class: "sk-depth-track", "aria-hidden": "true" }, bar);
    const scale = element("span", { class: "sk-depth-scale" }, "input", track, "output");
    const shown = element("span", { class: "sk-depth-row" }, control, interval, scale);
    const field = this.#field(place, control, shown, ends);
    // What is wrong with a criterion as a whole is its interval.
    const whole = place.path.slice(0, place.path.lastIndexOf("."));
    field.append(this.problem(row, key, whole, ...ends));
    return field;
  }

  /**
   * A place for problems. @param {Row} row @param {string} key the field whose edit shows them
   * @param {string} path @param {...HTMLElement} controls
   */
  problem(row, key, path, ...controls) {
    const id = `sk-problem-${++serial}`;
    const problem = element("p", { class: "sk-problem", id, "aria-live": "polite" });
    this.slots.set(path, { row, key, controls, problem });
    return problem;
  }

  /** Forget the fields of a list that is drawn anew. @param {string} list */
  forget(list) {
    for (const path of this.slots.keys()) if (path.startsWith(`${list}[`)) this.slots.delete(path);
  }

  /** Show each problem at its field, and what the selects offer now. */
  refresh() {
    const found = this.#sorted();
    /** @type {Map<HTMLElement, string[]>} */
    const told = new Map();
    for (const [path, { row, key, controls, problem }] of this.slots) {
      const shown = this.writing.attempted || this.writing.isTouched(row, key);
      const reason = (shown && found.get(path)?.reason) || "";
      if (problem.textContent !== reason) problem.textContent = reason;
      for (const control of controls) {
        told.set(control, [...(told.get(control) ?? []), ...(reason ? [problem.id] : [])]);
        if (this.#offers.has(control)) this.#fill(control, row[key]);
      }
    }
    for (const [control, ids] of told) {
      control.setAttribute("aria-invalid", String(ids.length > 0));
      control.setAttribute("aria-describedby", ids.join(" "));
    }
  }

  /** Go to the first problem on the page. */
  jump() {
    const slots = [...this.slots.values()].filter(({ problem }) => problem.textContent);
    const order = (/** @type {Slot} */ a, /** @type {Slot} */ b) =>
      a.problem.compareDocumentPosition(b.problem) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1;
    slots.sort(order)[0]?.controls[0].focus({ focusVisible: true });
  }

  /** @returns {Map<string, import("./writing.js").Problem>} the problem to show, by slot */
  #sorted() {
    const found = new Map();
    for (const problem of this.writing.problems) {
      const { field, reason } = problem;
      let path = field;
      while (path && !this.slots.has(path)) path = path.replace(/(\.?[^.[\]]+|\[\d+\])$/, "");
      // Of several reasons, the one that names the field most exactly says most.
      const before = found.get(path);
      if (before && before.field.length >= field.length) continue;
      found.set(path, path ? problem : { field, reason: `${field}: ${reason}` });
    }
    return found;
  }

  /**
   * @param {Place} place @param {any} control
   * @param {(value: any) => string} show @param {(typed: string) => any} read
   * @param {HTMLElement} [shown] the control with what stands round it
   */
  #typed(place, control, show, read, shown = control) {
    control.value = show(place.row[place.key]);
    control.addEventListener("input", () => {
      place.row[place.key] = read(control.value);
      this.#edited(place);
    });
    return this.#field(place, control, shown);
  }

  /** @param {Place} place @param {any} control @param {HTMLElement} shown
   * @param {HTMLElement[]} [more] controls of the same value @returns {HTMLElement} */
  #field({ row, key, path, label, hint }, control, shown = control, more = []) {
    if (hint) control.placeholder = hint;
    control.id = `sk-field-${++serial}`;
    control.dataset.key = key;
    const name = element("label", { for: control.id }, label);
    const problem = this.problem(row, key, path, control, ...more);
    const style = `sk-field sk-field-${key}`;
    return element("div", { class: style, "data-field": path }, name, shown, problem);
  }

  /** @param {Place} place */
  #edited({ row, key }) {
    this.writing.edited(row, key, this.view);
  }

  /** @param {any} select @param {string} value @param {string[]} [offered] */
  #fill(select, value, offered = this.#offers.get(select)?.() ?? []) {
    const options = [...new Set([...offered, value ?? ""])];
    const shown = [...select.options].map((option) => option.value);
    if (JSON.stringify(shown) !== JSON.stringify(options)) {
      select.replaceChildren(
        ...options.map((o) => element("option", { value: o }, o || "choose…")),
      );
    }
    select.value = value ?? "";
  }
}
