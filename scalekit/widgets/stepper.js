// The stepper: step a training run by button or key, and see each depth learn.

import { banner, claimKey, element, isTextField } from "./elements.js";
import { Outbox } from "./outbox.js";
import { heatMap, legendLine, lossPlot, short } from "./stepping.js";

/**
 * @typedef {object} State
 * @property {number} update
 * @property {boolean} running
 * @property {boolean} finished
 * @property {number[]} snapshots
 * @property {number | null} rate updates in a second
 * @property {string} error
 * @property {import("./stepping.js").Losses} losses
 * @property {import("./stepping.js").Last | null} last
 */

/** @param {number} seconds */
function duration(seconds) {
  if (seconds < 90) return `about ${Math.max(1, Math.round(seconds))} s left`;
  return seconds < 5400
    ? `about ${Math.round(seconds / 60)} min left`
    : `about ${(seconds / 3600).toFixed(1)} h left`;
}

/** What all views of one widget share: the state, and the way to Python. */
class Stepping {
  /** @type {Set<() => void>} */
  views = new Set();
  /** @type {State | undefined} */
  state;

  /** @param {any} model @param {AbortSignal} signal */
  constructor(model, signal) {
    this.config = model.get("config");
    this.outbox = new Outbox(model, "scalekit-stepper", {
      settled: (_, reply) => reply.state && this.#take(reply.state),
      changed: () => this.refresh(),
      watched: () => this.views.size > 0,
    });
    model.on("msg:custom", (/** @type {any} */ message) => {
      if (message?.kind === "state") this.#take(message.state);
    });
    signal.addEventListener("abort", () => this.outbox.stop());
    this.ask("state");
  }

  /** @param {string} kind @param {object} [fields] */
  ask(kind, fields = {}) {
    this.outbox.post({ kind, ...fields });
  }

  refresh() {
    for (const view of this.views) view();
  }

  /** @param {State} state */
  #take(state) {
    this.state = state;
    this.refresh();
  }
}

class StepperView {
  /** @param {Stepping} stepping @param {HTMLElement} el @param {AbortSignal} signal */
  constructor(stepping, el, signal) {
    this.stepping = stepping;
    this.alarm = banner(stepping.outbox, () => "", "NOT DONE");
    this.#drawHead();
    this.#drawControls();
    this.#drawPictures();
    this.root = element(
      "div",
      { class: "sk-root sk-stepper", tabindex: "0", role: "group", "aria-label": "Training run" },
      ...[this.head, this.alarm.node, this.stopped, this.controls, this.empty, this.pictures],
    );
    this.root.addEventListener("keydown", (/** @type {KeyboardEvent} */ e) => this.#key(e));
    el.replaceChildren(this.root);
    const refresh = () => this.refresh();
    stepping.views.add(refresh);
    signal.addEventListener("abort", () => stepping.views.delete(refresh));
    this.refresh();
  }

  #drawHead() {
    this.where = element("span", { class: "sk-where" });
    this.pace = element("span", { class: "sk-pace", "aria-live": "off" });
    this.kept = element("small", { class: "sk-kept", role: "status" });
    this.fill = element("span");
    this.bar = element(
      "div",
      { class: "sk-progress-bar", role: "progressbar", "aria-valuemin": 0, "aria-label": "updates done" },
      this.fill,
    );
    this.bar.setAttribute("aria-valuemax", this.stepping.config.total);
    const line = element("div", { class: "sk-head-line" }, this.where, this.pace, this.kept);
    this.head = element("div", { class: "sk-head" }, line, this.bar);
    this.stopped = element("p", { class: "sk-stopped", role: "alert", hidden: true });
  }

  #drawControls() {
    const { stepping } = this;
    this.many = element("input", {
      type: "number", min: 1, value: 10, "aria-label": "How many updates to run",
    });
    const tool = (
      /** @type {string} */ name,
      /** @type {string} */ key,
      /** @type {() => void} */ act,
      /** @type {string} */ about,
    ) => {
      const cap = element("kbd", { "aria-hidden": "true" }, key);
      const button = element(
        "button",
        { type: "button", class: "sk-tool", title: about, "aria-keyshortcuts": key, click: act },
        ...[name, cap],
      );
      return button;
    };
    this.step = tool("Step", "s", () => stepping.ask("step"), "Do one update (s or →)");
    this.runMany = tool("Run", "r", () => this.#runMany(), "Do this many updates");
    this.end = tool("To the end", "e", () => stepping.ask("end"), "Do all updates that are left");
    this.pause = tool("Pause", "p", () => stepping.ask("pause"), "Stop after this update (p or space)");
    this.snapshot = tool("Snapshot", "k", () => stepping.ask("snapshot"), "Keep this state");
    this.back = tool("Step back", "b", () => stepping.ask("back"), "To the snapshot before (b or ←)");
    const run = element("span", { class: "sk-run" }, this.runMany, this.many);
    this.controls = element(
      "div",
      { class: "sk-controls", role: "toolbar", "aria-label": "Run controls" },
      ...[this.step, run, this.end, this.pause, this.snapshot, this.back],
    );
  }

  #drawPictures() {
    const { depths } = this.stepping.config;
    this.empty = element("p", { class: "sk-empty" }, "Nothing stepped yet. Press s for one update.");
    this.plot = element("div", { class: "sk-lines" });
    this.legend = element("div", { class: "sk-legend" });
    const names = {
      depth: "",
      loss: "mean over the examples whose profile ends there",
      effective: "effective contributors, of the active examples",
      capped: "examples that the budget cut",
      rank: "effective rank of what leaves the depth",
    };
    const column = ([name, title]) => element("th", { scope: "col", title }, name);
    const head = element("tr", {}, ...Object.entries(names).map(column));
    this.byDepth = element("tbody");
    const numbers = element("table", { class: "sk-depths" }, element("thead", {}, head), this.byDepth);
    const columns = ["example", ...depths].map((n) => element("th", { scope: "col", title: n }, n));
    this.heat = element("tbody");
    this.heatTable = element(
      "table",
      { class: "sk-heat" },
      element("thead", {}, element("tr", {}, ...columns)),
      this.heat,
    );
    this.hidden = element("small");
    const part = (/** @type {string} */ title, /** @type {Node[]} */ ...inside) =>
      element("section", {}, element("h4", {}, title), ...inside);
    this.pictures = element(
      "div",
      { class: "sk-pictures" },
      part("Loss by depth", this.plot, this.legend),
      part("Last update by depth", numbers),
      part("What each depth absorbed of each example", this.heatTable, this.hidden),
    );
  }

  #runMany() {
    this.stepping.ask("run", { updates: Number(this.many.value) });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (!claimKey(event)) return;
    if (isTextField(event.target)) {
      if (event.key === "Enter") this.#runMany();
      if (event.key === "Escape" || event.key === "Enter") this.root.focus();
      return;
    }
    const onButton = event.target instanceof HTMLButtonElement;
    if (onButton && (event.key === " " || event.key === "Enter")) return;
    /** @type {Record<string, HTMLButtonElement>} */
    const keys = {
      s: this.step, ArrowRight: this.step, r: this.runMany, e: this.end, p: this.pause,
      " ": this.pause, k: this.snapshot, b: this.back, ArrowLeft: this.back,
    };
    const button = keys[event.key];
    if (!button) return;
    event.preventDefault();
    button.click();
  }

  refresh() {
    this.alarm.refresh();
    const { state, config } = this.stepping;
    const running = Boolean(state?.running);
    const update = state?.update ?? 0;
    this.where.textContent = state
      ? `update ${update.toLocaleString("en")} of ${config.total.toLocaleString("en")}`
      : "…";
    this.fill.style.width = `${(100 * update) / Math.max(1, config.total)}%`;
    this.bar.setAttribute("aria-valuenow", update);
    this.#showPace(state, running, update);
    this.stopped.hidden = !state?.error;
    this.stopped.textContent = state?.error ? `Stopped: ${state.error}` : "";
    const ended = !state || state.finished;
    for (const button of [this.step, this.runMany, this.end]) button.disabled = running || ended;
    this.pause.disabled = !running;
    this.snapshot.disabled = running || !state;
    const earlier = state?.snapshots.filter((u) => u < update) ?? [];
    this.back.disabled = running || !earlier.length;
    const kept = state?.snapshots.includes(update) ? ["this state is kept"] : [];
    if (earlier.length) kept.push(`back goes to ${earlier.at(-1)}`);
    this.kept.textContent = kept.join(" · ");
    const last = state?.last;
    this.empty.hidden = Boolean(last) || !state;
    this.pictures.hidden = !last;
    if (state && last) this.#showLast(state, last);
  }

  /** @param {State | undefined} state @param {boolean} running @param {number} update */
  #showPace(state, running, update) {
    const said = [];
    if (running && state?.rate) {
      said.push(`${short(state.rate)} updates/s`);
      said.push(duration((this.stepping.config.total - update) / state.rate));
    } else if (state?.finished) said.push("finished");
    else if (state && update) said.push("paused");
    this.pace.textContent = said.join(" · ");
    this.pace.dataset.running = String(running);
  }

  /** @param {State} state @param {import("./stepping.js").Last} last */
  #showLast(state, last) {
    const { depths, colours } = this.stepping.config;
    const { plot, lines } = lossPlot(state.losses, depths, colours);
    this.plot.replaceChildren(plot);
    this.legend.replaceChildren(
      ...lines.map(({ name, depth }) => element("span", {}, legendLine(depth, colours), name)),
    );
    this.byDepth.replaceChildren(
      ...depths.map((/** @type {string} */ name, /** @type {number} */ i) =>
        element(
          "tr",
          {},
          element("th", { scope: "row" }, name),
          element("td", {}, short(last.losses[i])),
          element("td", {}, this.#bar(last.effective[i])),
          element("td", {}, this.#bar(last.capped[i])),
          element("td", {}, short(last.rank[i])),
        ),
      ),
    );
    this.heat.replaceChildren(...heatMap(last, depths).children);
    this.hidden.textContent = last.hidden
      ? `and ${last.hidden} more examples in this batch, which contributed less`
      : "";
  }

  /** @param {number} share */
  #bar(share) {
    const fill = element("span");
    fill.style.width = `${Math.round(100 * share)}%`;
    const bar = element("span", { class: "sk-share", "aria-hidden": "true" }, fill);
    return element("span", { class: "sk-share-row" }, bar, `${Math.round(100 * share)} %`);
  }
}

export default () => {
  /** @type {Stepping | undefined} */
  let stepping;
  /** @type {() => Stepping} */
  let start;
  return {
    /** @param {{model: any, signal: AbortSignal}} widget */
    initialize({ model, signal }) {
      start = () => new Stepping(model, signal);
    },
    /** @param {{el: HTMLElement, signal: AbortSignal}} view */
    render({ el, signal }) {
      stepping ??= start();
      new StepperView(stepping, el, signal);
    },
  };
};
