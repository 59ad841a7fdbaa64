// How alike two texts must be for one of them to go: a slider over counts that are all known.

import { banner, element } from "./elements.js";
import { Outbox } from "./outbox.js";

/** @param {{model: any, el: HTMLElement, signal: AbortSignal}} context */
function render({ model, el, signal }) {
  const { steps, counts, items, at } = model.get("config");
  const outbox = new Outbox(model, "scalekit-threshold", {
    settled: () => {},
    changed: () => alarm.refresh(),
    watched: () => !signal.aborted,
  });
  const alarm = banner(outbox, () => "");
  signal.addEventListener("abort", () => outbox.stop());
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

export default { render };
