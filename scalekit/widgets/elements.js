// Small parts that every widget is drawn from: elements, the rule for keys, the banner.

/**
 * Create an element. Texts become text nodes: nothing that comes from data is read as markup.
 * @param {string} tag
 * @param {Record<string, any>} [properties] attributes; functions become event listeners
 * @param {...(Node | string)} children
 * @returns {any}
 */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) {
      node.setAttribute(name, String(value));
    }
  }
  node.append(...children);
  return node;
}

/** @param {EventTarget | null} target */
export function isTextField(target) {
  return target instanceof HTMLElement && target.matches("input, textarea, select");
}

/**
 * Keep a key from the notebook, where a single letter inserts, cuts or deletes cells. Chords, Tab,
 * F-keys and (outside text fields) Shift+Enter are left to it.
 * @param {KeyboardEvent} event
 * @returns {boolean} whether the key is the widget's
 */
export function claimKey(event) {
  if (event.key === "Tab" || /^F\d+$/.test(event.key)) return false;
  const chord = event.ctrlKey || event.metaKey || event.altKey;
  if (isTextField(event.target)) {
    // In a text field chords are for editing: Ctrl+Z must not undo in the notebook.
    if (chord && event.key.toLowerCase() === "s") return false;
  } else if (chord || (event.key === "Enter" && event.shiftKey)) {
    return false;
  }
  event.stopPropagation();
  return true;
}

/** @param {number} count @param {string} what */
export function plural(count, what) {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}

/** The cap of a key, where there is one. @param {string} key */
export function keyCap(key) {
  return element("kbd", { hidden: !key, "aria-hidden": "true" }, key);
}

/** Scroll *within*, and nothing around it, until *node* is seen. @param {any} node @param {any} within */
export function reveal(node, within) {
  if (!node) return;
  const [inner, outer] = [node.getBoundingClientRect(), within.getBoundingClientRect()];
  if (inner.top < outer.top) within.scrollTop -= outer.top - inner.top;
  else if (inner.bottom > outer.bottom) within.scrollTop += inner.bottom - outer.bottom;
}

/**
 * The assertive banner: what was not taken, and why.
 * @param {import("./outbox.js").Outbox} outbox
 * @param {(count: number) => string} unsaved says what is kept, for a count of at least one
 * @param {string} refused the heading where something was refused; NOT SAVED where acts are stored
 * @returns {{node: HTMLElement, refresh: () => void}}
 */
export function banner(outbox, unsaved, refused = "NOT SAVED") {
  const title = element("strong");
  const words = element("span");
  const dismiss = element("button", { class: "sk-ghost", type: "button" }, "Dismiss");
  dismiss.addEventListener("click", () => outbox.dismiss());
  const box = element("div", { class: "sk-banner", hidden: true }, title, words, dismiss);
  const node = element("div", { role: "alert", "aria-live": "assertive" }, box);
  let shown = "";

  function refresh() {
    const kept = outbox.unsaved ? `${unsaved(outbox.unsaved)} kept here, retrying. ` : "";
    const trouble = outbox.trouble && `${kept}${outbox.trouble}`;
    const said = trouble || outbox.refusal;
    if (said === shown) return; // writing it again would make a screen reader say it again
    shown = said;
    title.textContent = outbox.silent && !outbox.unsaved ? "NO ANSWER" : refused;
    words.textContent = said;
    dismiss.hidden = Boolean(trouble);
    box.hidden = !said;
  }
  return { node, refresh };
}
