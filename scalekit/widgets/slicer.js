// The slicer: a map of the items; choose by lasso, rectangle or legend, and name what is chosen.

import { ChoicePanel } from "./choosing.js";
import { banner, claimKey, element, isTextField, plural } from "./elements.js";
import { MapCanvas } from "./mapping.js";
import { Slicing } from "./slicing.js";

const STEP = 16; // CSS pixels that an arrow moves
const SMALL = 6; // CSS pixels: a lasso that stays within is a click
const HIGH = 480;
const HINT = "Draw round items, or choose a group. Point at an item to read it. The wheel enlarges.";

class SlicerView {
  /** @param {Slicing} slicing @param {HTMLElement} el @param {AbortSignal} signal */
  constructor(slicing, el, signal) {
    this.slicing = slicing;
    this.tool = "lasso";
    this.alarm = banner(slicing.outbox, (count) => plural(count, "slice"));
    this.#drawHead();
    this.#drawStage();
    this.panel = new ChoicePanel(slicing, () => this.root.focus({ preventScroll: true }));
    const inside = element("div", { class: "sk-parts" }, this.stage, this.panel.node);
    this.root = element(
      "div",
      { class: "sk-root sk-slicer", tabindex: "0", role: "group", "aria-label": "Map of the items" },
      ...[this.head, this.alarm.node, inside, this.foot],
    );
    el.replaceChildren(this.root);
    this.map = new MapCanvas(slicing.points, this.ground, this.over, () => slicing.look());
    this.#listen(signal);
    this.refresh();
  }

  // --- drawing ---------------------------------------------------------------------------------

  #drawHead() {
    const { slicing } = this;
    const { count, columns } = slicing.config;
    const where = element("span", { class: "sk-where" }, plural(count, "item"));
    const names = columns.map((/** @type {any} */ { name }, /** @type {number} */ i) =>
      element("option", { value: i, selected: i === slicing.by }, name),
    );
    this.by = element("select", { class: "sk-by", "aria-label": "Colour by" }, ...names);
    this.by.addEventListener("change", () => slicing.colourBy(Number(this.by.value)));
    const by = element("label", { class: "sk-by-label" }, "Colour by ", this.by);
    this.saved = element("span", { class: "sk-saved" });
    this.head = element("div", { class: "sk-head-line" }, where, by, this.saved);
  }

  #drawStage() {
    const { slicing } = this;
    const said = "Map: what is alike lies together. L lasso, R rectangle, arrows move, plus and minus enlarge";
    this.ground = element("canvas", { class: "sk-ground", "aria-hidden": "true" });
    this.over = element("canvas", { class: "sk-over", role: "img", "aria-label": said });
    this.tip = element("div", { class: "sk-tip", hidden: true });
    this.tipText = element("p", { dir: "auto" });
    this.tipFacts = element("small");
    this.tip.append(this.tipText, this.tipFacts);
    this.tools = {
      lasso: this.#button("Lasso", "l", "Draw round items (Shift adds, Alt removes)", () => this.use("lasso")),
      move: this.#button("Move", "m", "Drag the map; arrows do the same", () => this.use("move")),
      rectangle: this.#button("Rectangle", "r", "Choose by arrows: Shift with arrows sizes, Enter chooses", () =>
        this.use("rectangle"),
      ),
    };
    const tools = element(
      "span",
      { class: "sk-set", role: "group", "aria-label": "Tool" },
      ...Object.values(this.tools),
    );
    const zoom = element(
      "span",
      { class: "sk-set sk-zoom", role: "group", "aria-label": "Size" },
      this.#button("+", "+", "Enlarge", () => this.map.enlarge(1.4)),
      this.#button("−", "-", "Make smaller", () => this.map.enlarge(1 / 1.4)),
      this.#button("All", "0", "Show all", () => this.map.whole()),
    );
    this.modes = Object.fromEntries(
      [["replace", "New"], ["add", "Add"], ["remove", "Remove"]].map(([mode, name]) => [
        mode,
        this.#button(name, "", `The next choice: ${mode}`, () => {
          slicing.mode = /** @type {import("./slicing.js").Mode} */ (mode);
          this.refresh();
        }),
      ]),
    );
    const modes = element(
      "span",
      { class: "sk-set", role: "group", "aria-label": "What the next choice does" },
      ...Object.values(this.modes),
    );
    this.clear = this.#button("Clear", "c", "Choose nothing", () => slicing.clear());
    const bar = element("div", { class: "sk-tools", role: "toolbar" }, tools, modes, this.clear);
    this.plane = element("div", { class: "sk-plane" }, this.ground, this.over, zoom, this.tip);
    this.stage = element("div", { class: "sk-stage" }, bar, this.plane);
    this.status = element("p", { class: "sk-status", role: "status" });
    this.foot = element("div", { class: "sk-foot" }, this.status);
  }

  /** @param {string} name @param {string} key @param {string} about @param {() => void} press */
  #button(name, key, about, press) {
    const said = { type: "button", class: "sk-tool", title: about, "aria-keyshortcuts": key || null };
    const button = element("button", said, name);
    if (key && /[a-z]/.test(key)) button.append(element("kbd", { "aria-hidden": "true" }, key));
    button.addEventListener("click", () => {
      this.root.focus({ preventScroll: true });
      press();
    });
    return button;
  }

  // --- listening -------------------------------------------------------------------------------

  /** @param {AbortSignal} signal */
  #listen(signal) {
    const { slicing, root, over } = this;
    const refresh = () => this.refresh();
    slicing.views.add(refresh);
    slicing.outbox.wake();
    signal.addEventListener("abort", () => slicing.views.delete(refresh));
    root.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#key(event));
    over.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => this.#down(event));
    over.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => this.#moved(event));
    over.addEventListener("pointerup", (/** @type {PointerEvent} */ event) => this.#up(event));
    over.addEventListener("pointercancel", () => this.#drop());
    over.addEventListener("pointerleave", () => this.#pointAt(-1));
    const wheel = (/** @type {WheelEvent} */ event) => this.#wheel(event);
    over.addEventListener("wheel", wheel, { passive: false });
    const sized = new ResizeObserver(([{ contentRect }]) =>
      this.map.resize(Math.round(contentRect.width), HIGH),
    );
    sized.observe(this.plane);
    signal.addEventListener("abort", () => sized.disconnect());
  }

  /** @param {PointerEvent | WheelEvent} event @returns {import("./mapping.js").Spot} */
  #spot(event) {
    const { left, top } = this.over.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (event.button !== 0) return;
    this.root.focus({ preventScroll: true });
    event.preventDefault();
    this.over.setPointerCapture(event.pointerId);
    this.#pointAt(-1);
    this.from = this.#spot(event);
    if (this.tool === "rectangle") this.use("lasso");
    if (this.tool === "lasso") this.map.path = [this.from];
  }

  /** @param {PointerEvent} event */
  #moved(event) {
    const spot = this.#spot(event);
    if (!this.from) return this.#pointAt(this.map.under(spot), spot);
    if (this.tool === "lasso") {
      this.map.path.push(spot);
      this.map.draw(false);
    } else {
      const { scale } = this.map;
      this.map.move((spot.x - this.from.x) / scale, (spot.y - this.from.y) / scale);
      this.from = spot;
    }
  }

  /** @param {PointerEvent} event */
  #up(event) {
    const { path } = this.map;
    const drawn = this.from && this.tool === "lasso";
    this.#drop();
    if (!drawn) return;
    const far = (/** @type {(s: import("./mapping.js").Spot) => number} */ side) =>
      Math.max(...path.map(side)) - Math.min(...path.map(side));
    if (Math.max(far((s) => s.x), far((s) => s.y)) < SMALL) return;
    const mode = event.shiftKey ? "add" : event.altKey ? "remove" : this.slicing.mode;
    this.slicing.choose(this.map.points.within(path.map((s) => this.map.unit(s))), mode);
  }

  #drop() {
    this.from = undefined;
    this.map.path = [];
    this.map.draw(false);
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    // Without the focus the wheel is the notebook's.
    if (!this.root.contains(document.activeElement)) return;
    event.preventDefault();
    this.map.enlarge(event.deltaY < 0 ? 1.2 : 1 / 1.2, this.#spot(event));
  }

  /** @param {string} tool */
  use(tool) {
    this.tool = tool;
    const { width, height } = this.map;
    this.map.rectangle =
      tool === "rectangle"
        ? { left: width * 0.35, top: height * 0.35, width: width * 0.3, height: height * 0.3 }
        : undefined;
    this.map.draw(false);
    if (tool === "rectangle") this.#sayRectangle();
    else this.slicing.say("");
  }

  #rectangled() {
    return this.map.points.within(this.map.corners().map((corner) => this.map.unit(corner)));
  }

  #sayRectangle() {
    const there = plural(this.#rectangled().length, "item");
    this.slicing.say(`${there} in the rectangle. Arrows move it, Shift with arrows sizes it, Enter chooses`);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (!claimKey(event) || event.isComposing) return;
    if (isTextField(event.target)) {
      if (event.target !== this.panel.name) return;
      if (event.key === "Enter") this.panel.submit();
      if (event.key === "Escape") this.root.focus({ preventScroll: true });
      return;
    }
    const onButton = event.target instanceof HTMLButtonElement;
    if (onButton && (event.key === " " || event.key === "Enter")) return;
    const act = this.#action(event);
    if (!act) return;
    event.preventDefault();
    act();
  }

  /** @param {KeyboardEvent} event @returns {(() => void) | undefined} */
  #action(event) {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    if (arrow) return () => this.#arrow(arrow[0], arrow[1], event.shiftKey);
    /** @type {Record<string, () => void>} */
    const keys = {
      l: () => this.use("lasso"),
      m: () => this.use("move"),
      r: () => this.use("rectangle"),
      c: () => this.slicing.clear(),
      n: () => this.panel.name.focus(),
      "+": () => this.map.enlarge(1.4),
      "=": () => this.map.enlarge(1.4),
      "-": () => this.map.enlarge(1 / 1.4),
      0: () => this.map.whole(),
      Enter: () => this.map.rectangle && this.slicing.choose(this.#rectangled()),
      Escape: () => this.#escape(),
    };
    return keys[key];
  }

  #escape() {
    if (this.tool === "rectangle") return this.use("lasso");
    /** @type {HTMLElement} */ (document.activeElement).blur();
  }

  /** @param {number} across @param {number} down @param {boolean} sizes */
  #arrow(across, down, sizes) {
    const { rectangle, scale } = this.map;
    if (!rectangle) return this.map.move((-across * 3 * STEP) / scale, (-down * 3 * STEP) / scale);
    if (sizes) {
      rectangle.width = Math.max(STEP, rectangle.width + across * STEP);
      rectangle.height = Math.max(STEP, rectangle.height + down * STEP);
    } else {
      rectangle.left += across * STEP;
      rectangle.top += down * STEP;
    }
    this.map.draw(false);
    this.#sayRectangle();
  }

  /** @param {number} place @param {import("./mapping.js").Spot} [spot] */
  #pointAt(place, spot) {
    if (place !== this.map.pointed) {
      this.map.pointed = place;
      this.map.draw(false);
      if (place >= 0) this.slicing.askText(place);
    }
    if (spot) this.at = spot;
    this.#showTip();
  }

  // --- showing ---------------------------------------------------------------------------------

  refresh() {
    const { slicing } = this;
    this.alarm.refresh();
    const { outbox } = slicing;
    const state = outbox.trouble || outbox.refusal ? "not saved" : outbox.unsaved ? "saving…" : "saved";
    this.saved.textContent = state;
    this.saved.dataset.state = state;
    this.status.textContent = slicing.said || HINT;
    this.by.value = String(slicing.by);
    for (const [name, button] of Object.entries(this.tools)) {
      button.setAttribute("aria-pressed", String(name === this.tool));
    }
    for (const [mode, button] of Object.entries(this.modes)) {
      button.setAttribute("aria-pressed", String(mode === slicing.mode));
    }
    this.clear.disabled = !slicing.chosenCount;
    this.panel.refresh();
    this.#showTip();
    this.#redraw();
  }

  /** Draw the points anew where a change of the choice or the colours asks for it. */
  #redraw() {
    const { by, pointedGroup, version } = this.slicing;
    const drawn = [by, pointedGroup, version].join();
    this.map.draw(drawn !== this.drawn);
    this.drawn = drawn;
  }

  #showTip() {
    const place = this.map.pointed;
    const known = this.slicing.texts.get(place);
    this.tip.hidden = !known || !this.at;
    if (!known || !this.at) return;
    const group = this.slicing.groups[this.slicing.codes[place]];
    this.tipText.textContent = known[1];
    this.tipFacts.textContent = `${group.name} · ${known[0]}`;
    const { x, y } = this.at;
    const right = x > this.map.width / 2;
    this.tip.style.left = right ? "auto" : `${x + 14}px`;
    this.tip.style.right = right ? `${this.map.width - x + 14}px` : "auto";
    this.tip.style.top = y > this.map.height / 2 ? "auto" : `${y + 14}px`;
    this.tip.style.bottom = y > this.map.height / 2 ? `${this.map.height - y + 14}px` : "auto";
  }
}

export default () => {
  /** @type {() => Slicing} */
  let start;
  /** @type {Slicing | undefined} */
  let slicing;
  return {
    /** @param {{model: any, signal: AbortSignal}} widget */
    initialize({ model, signal }) {
      start = () => new Slicing(model, signal);
    },
    /** @param {{el: HTMLElement, signal: AbortSignal}} view */
    render({ el, signal }) {
      slicing ??= start();
      new SlicerView(slicing, el, signal);
    },
  };
};
