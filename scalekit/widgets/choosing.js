// Beside the map: the groups by colour, the slices that are kept, and what is chosen.

import { element, plural } from "./elements.js";
import { legendMark } from "./marks.js";

/** @param {number} share */
function percent(share) {
  const value = 100 * share;
  return `${value >= 9.95 || value === 0 ? Math.round(value) : value.toPrecision(2)} %`;
}

export class ChoicePanel {
  /** @param {import("./slicing.js").Slicing} slicing @param {() => void} leave gives the focus back */
  constructor(slicing, leave) {
    this.slicing = slicing;
    this.leave = leave;
    this.legend = element("div", { class: "sk-legend sk-scroll", role: "group", "aria-label": "Choose a group" });
    this.count = element("h4");
    this.words = element("p", { class: "sk-words" });
    this.rows = element("tbody");
    const names = ["", "share", "of all"].map((n) => element("th", { scope: "col" }, n));
    this.table = element("table", {}, element("thead", {}, element("tr", {}, ...names)), this.rows);
    this.examples = element("ul", { class: "sk-examples" });
    this.name = element("input", {
      type: "text", maxlength: 80, placeholder: "name of the slice", "aria-label": "Name of the slice",
    });
    this.save = element("button", { type: "button", class: "sk-primary" }, "Save slice");
    this.save.addEventListener("click", () => this.submit());
    const naming = element("div", { class: "sk-naming" }, this.name, this.save);
    this.made = element("div", { class: "sk-made" }, naming, this.words, this.table, this.examples);
    this.kept = element("div", { class: "sk-kept sk-scroll" });
    const title = (/** @type {string} */ said) => element("h4", {}, said);
    this.legendTitle = title("");
    this.keptTitle = title("Slices");
    this.node = element(
      "div",
      { class: "sk-side sk-scroll" },
      ...[this.legendTitle, this.legend, this.keptTitle, this.kept, this.count, this.made],
    );
  }

  /** Save what is chosen under the name that is written, if there are both. */
  submit() {
    const name = this.name.value.trim();
    if (!name) return this.name.focus();
    if (!this.slicing.chosenCount) return this.slicing.say("Choose some items first");
    this.slicing.save(name);
    this.name.value = "";
    this.leave();
  }

  refresh() {
    this.#showLegend();
    this.#showKept();
    this.#showChoice();
  }

  #showLegend() {
    const { slicing } = this;
    if (this.shownBy === slicing.by) return; // a button drawn anew would lose the focus
    this.shownBy = slicing.by;
    this.legendTitle.textContent = slicing.config.columns[slicing.by].name;
    this.legend.replaceChildren(
      ...slicing.groups.map(({ name, count, colour, symbol }, group) => {
        const said = { type: "button", class: "sk-group", title: `Choose all of ${name}` };
        const button = element(
          "button",
          said,
          legendMark(symbol, colour),
          element("span", { class: "sk-name", dir: "auto" }, name),
          element("small", {}, count.toLocaleString("en")),
        );
        button.addEventListener("click", () => slicing.chooseGroup(group));
        for (const sign of ["pointerenter", "focus"]) {
          button.addEventListener(sign, () => slicing.point(group));
        }
        for (const sign of ["pointerleave", "blur"]) {
          button.addEventListener(sign, () => slicing.point(-1));
        }
        return button;
      }),
    );
  }

  #showChoice() {
    const { chosenCount, made, config } = this.slicing;
    const share = percent(chosenCount / Math.max(1, config.count));
    this.count.textContent = chosenCount
      ? `${plural(chosenCount, "item")} chosen (${share})`
      : "Nothing chosen";
    this.made.hidden = !chosenCount;
    if (!chosenCount || this.shownMade === made) return;
    this.shownMade = made;
    this.words.textContent = made
      ? made.words.length
        ? `Typical words: ${made.words.join(", ")}`
        : "No word is typical of them."
      : "…";
    this.table.hidden = !made?.rows.length;
    const cell = (/** @type {number} */ value) => element("td", {}, percent(value));
    this.rows.replaceChildren(
      ...(made?.rows ?? []).map(([column, value, own, whole, says]) => {
        const name = element("th", { scope: "row", dir: "auto", title: `${column}: ${value}` });
        name.append(element("span", { class: "sk-says" }, says === "more" ? "▲ " : "▼ "), value);
        return element("tr", {}, name, cell(own), cell(whole));
      }),
    );
    this.examples.replaceChildren(
      ...(made?.examples ?? []).map((text) => element("li", { dir: "auto" }, text)),
    );
  }

  #showKept() {
    const { slices, shownSlice } = this.slicing;
    this.keptTitle.hidden = !slices.length;
    if (this.shownSlices !== slices) {
      this.shownSlices = slices;
      this.kept.replaceChildren(...slices.map((/** @type {any} */ slice) => this.#slice(slice)));
    }
    for (const button of this.kept.children) {
      button.setAttribute("aria-pressed", String(button.dataset.slice === shownSlice));
    }
  }

  /** @param {{name: string, count: number}} slice */
  #slice({ name, count }) {
    const said = { type: "button", class: "sk-group", title: `Show ${name} on the map`, "data-slice": name };
    const label = element("span", { class: "sk-name", dir: "auto" }, name);
    const button = element("button", said, label, element("small", {}, count.toLocaleString("en")));
    button.addEventListener("click", () => {
      this.name.value = name;
      this.slicing.recall(name);
    });
    return button;
  }
}
