// How alike two texts must be for one of them to go: a slider over counts that are all known.

import { banner, element } from "./elements.js";
import { Outbox } from "./outbox.js";

/**
 * @param {{model: any, el: HTMLElement, signal: AbortSignal}} context
 * @param {Outbox} outbox
 * @param {Set<() => void>} views
 */
function render({ model, el, signal }, outbox, views) {
  const { steps, counts, items, at } = model.get("config");
  const alarm = banner(outbox, () => "", "NOT DONE");
  views.add(alarm.refresh);
  signal.addEventListener("abort", () => views.delete(alarm.refresh));
  const place = () => Number(slider.value);
  const slider = element("input", {
    type: "range",
    min: 0,
    max: steps.length - 1,
    value: steps.indexOf(at),
    class: "sk-threshold-range",
    "aria-label": "Similarity from which a text goes",
  });
  const told = element("output", { class: "sk-where", "aria-live": "polite" });
  const say = () => {
    const count = counts[place()];
    const share = items ? (100 * count) / items : 0;
    const words = `${count.toLocaleString("en")} of ${items.toLocaleString("en")} texts go`;
    told.textContent = `from ${steps[place()].toFixed(2)}: ${words} (${share.toFixed(1)} %)`;
    slider.setAttribute("aria-valuetext", told.textContent);
  };
  slider.addEventListener("input", () => {
    say();
    outbox.post({ kind: "at", step: place() }, { replace: true });
  });
  // Keys stay here: an arrow must not go to the next cell.
  slider.addEventListener("keydown", (event) => event.stopPropagation());
  const label = element("label", { class: "sk-threshold-label" }, "Similarity ", slider);
  const line = element("div", { class: "sk-head-line" }, label, told);
  el.replaceChildren(element("div", { class: "sk-root sk-threshold" }, line, alarm.node));
  say();
}

export default () => {
  /** @type {Set<() => void>} */
  const views = new Set();
  /** @type {Outbox} */
  let outbox;
  return {
    /** @param {{model: any, signal: AbortSignal}} context */
    initialize({ model, signal }) {
      outbox = new Outbox(model, "scalekit-threshold", {
        settled: () => {},
        changed: () => views.forEach((refresh) => refresh()),
        watched: () => views.size > 0,
      });
      signal.addEventListener("abort", () => outbox.stop());
    },
    /** @param {{model: any, el: HTMLElement, signal: AbortSignal}} context */
    render: (context) => render(context, outbox, views),
  };
};
