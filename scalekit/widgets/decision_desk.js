// The decision desk: what waits for a signature on the left, all of one decision on the right.

import { evidenceOf, personsOf, stateOf, tableOf, titleOf, when } from "./deciding.js";
import { banner, claimKey, element, isTextField, keyCap, plural, reveal } from "./elements.js";
import { Outbox } from "./outbox.js";

/** @typedef {import("./deciding.js").Card} Card */
/** @typedef {"sign" | "decline" | "escalate"} Act */

/** @type {Record<Act, {key: string, name: string, done: string, ask: string}>} */
const ACTS = {
  sign: {
    key: "s",
    name: "Sign",
    done: "Sign it",
    ask: "Sign this decision with your key? A remark may go with it.",
  },
  decline: { key: "d", name: "Decline", done: "Decline it", ask: "Why not?" },
  escalate: {
    key: "e",
    name: "Escalate",
    done: "Send it up",
    ask: "Why should the next tier decide?",
  },
};

/** What all views of one widget share: the cards, and the way to Python. */
class Deciding {
  /** @type {Set<() => void>} */
  views = new Set();
  /** @type {Card[] | undefined} */
  cards;
  /** What happened last, in words. */
  said = "";
  /** @type {Map<string, string>} why an act on a decision was refused */
  refused = new Map();
  /** @type {string} the decision that is shown */
  at = "";

  /** @param {any} model @param {AbortSignal} signal */
  constructor(model, signal) {
    this.config = model.get("config");
    this.outbox = new Outbox(model, "scalekit-desk", {
      settled: (message, reply) => this.#settled(message, reply),
      changed: () => this.changed(),
      watched: () => this.views.size > 0,
    });
    signal.addEventListener("abort", () => this.outbox.stop());
    this.look();
  }

  changed() {
    for (const refresh of this.views) refresh();
  }

  /** @returns {Card[]} what waits, those that this person may sign first */
  get waiting() {
    return (this.cards ?? []).filter(({ status }) => status === "pending");
  }

  get mine() {
    return this.waiting.filter(({ fault }) => !fault);
  }

  /** @returns {Card | undefined} */
  get card() {
    return this.cards?.find(({ id }) => id === this.at);
  }

  look() {
    this.outbox.post({ kind: "cards" }, { replace: true });
  }

  /** @param {Act} act @param {string} reason */
  act(act, reason) {
    this.refused.delete(this.at);
    this.said = "";
    // Not kept for another page: a signature is given on what is seen.
    this.outbox.post({ kind: act, decision: this.at, reason });
    this.changed();
  }

  /** @param {string} id */
  turnTo(id) {
    this.at = id;
    this.changed();
  }

  /** @param {number} by */
  move(by) {
    const { cards = [] } = this;
    const place = cards.findIndex(({ id }) => id === this.at);
    const next = cards[Math.max(0, Math.min(cards.length - 1, place + by))];
    if (next) this.turnTo(next.id);
  }

  /** @param {import("./outbox.js").Message} message @param {any} reply */
  #settled(message, reply) {
    if (reply.error || !reply.cards) return;
    this.cards = reply.cards;
    if (reply.refused) {
      this.refused.set(message.decision, reply.refused);
      this.said = "Refused";
    } else if (reply.said) {
      const card = this.cards?.find(({ id }) => id === message.decision);
      this.said = card ? `${titleOf(card)}: ${reply.said}` : reply.said;
    }
    const gone = !this.card || (reply.said && this.card.status !== "pending");
    if (gone && this.at !== "" && reply.said && !this.mine.length) return;
    if (gone) this.at = this.mine[0]?.id ?? this.cards?.[0]?.id ?? "";
  }
}

class DeskView {
  /** @type {Act | ""} what the person is about to do */
  doing = "";
  /** @type {Card | undefined} the card that is drawn */
  #drawn;
  /** @type {Card[] | undefined} */
  #listed;
  #refusal = "";

  /** @param {Deciding} desk @param {HTMLElement} el @param {AbortSignal} signal */
  constructor(desk, el, signal) {
    this.desk = desk;
    this.alarm = banner(desk.outbox, () => "");
    this.where = element("span", { class: "sk-where" });
    this.saved = element("span", { class: "sk-saved" });
    this.again = this.#button("Look again", "r", () => desk.look());
    const who = element("small", {}, `signing as ${desk.config.who}`);
    const head = element("div", { class: "sk-head-line" }, this.where, who, this.again, this.saved);
    this.list = element("div", { class: "sk-waiting sk-scroll", role: "group", "aria-label": "Decisions" });
    this.detail = element("div", { class: "sk-decision", role: "region", "aria-label": "Decision" });
    this.#drawActs();
    const right = element("div", { class: "sk-open" }, this.detail, this.acts);
    const parts = element("div", { class: "sk-desk-parts" }, this.list, right);
    this.status = element("p", { class: "sk-status", role: "status" });
    this.root = element(
      "div",
      { class: "sk-root sk-desk", tabindex: "0", role: "group", "aria-label": "Decision desk" },
      ...[head, this.alarm.node, parts, this.status],
    );
    this.root.addEventListener("keydown", (/** @type {KeyboardEvent} */ e) => this.#key(e));
    el.replaceChildren(this.root);
    const refresh = () => this.refresh();
    desk.views.add(refresh);
    desk.outbox.wake();
    signal.addEventListener("abort", () => desk.views.delete(refresh));
    this.refresh();
  }

  /** @param {string} name @param {string} key @param {() => void} press */
  #button(name, key, press) {
    const said = { type: "button", class: "sk-tool", "aria-keyshortcuts": key, click: press };
    return element("button", said, name, keyCap(key));
  }

  #drawActs() {
    this.buttons = Object.fromEntries(
      Object.entries(ACTS).map(([act, { name, key }]) => {
        const button = this.#button(name, key, () => this.begin(/** @type {Act} */ (act)));
        return [act, button];
      }),
    );
    const row = element(
      "div",
      { class: "sk-act-row", role: "toolbar", "aria-label": "Settle it" },
      ...Object.values(this.buttons),
    );
    this.fault = element("p", { class: "sk-fault" });
    this.ask = element("label", { class: "sk-ask" });
    this.reason = element("textarea", { rows: 2, id: `sk-reason-${Math.random()}` });
    this.ask.htmlFor = this.reason.id;
    this.reason.addEventListener("input", () => this.refresh());
    this.count = element("small", { class: "sk-count", role: "status" });
    this.done = element("button", { type: "button", class: "sk-primary", click: () => this.finish() });
    const cancel = element(
      "button",
      { type: "button", class: "sk-ghost", click: () => this.leave() },
      "Cancel",
      keyCap("Esc"),
    );
    const last = element("div", { class: "sk-act-row" }, this.done, cancel, this.count);
    this.panel = element("div", { class: "sk-panel", hidden: true }, this.ask, this.reason, last);
    this.acts = element("div", { class: "sk-acts" }, this.fault, row, this.panel);
  }

  // --- acting ----------------------------------------------------------------------------------

  /** @param {Act} act */
  begin(act) {
    if (this.#barred(act)) return;
    this.doing = act;
    this.reason.value = "";
    this.refresh();
    if (act === "sign") this.done.focus({ preventScroll: true });
    else this.reason.focus({ preventScroll: true });
    this.panel.scrollIntoView({ block: "nearest" });
  }

  /** @param {Act} act @returns {boolean} whether this person can't do it here */
  #barred(act) {
    const { card } = this.desk;
    if (!card || card.status !== "pending") return true;
    return act === "escalate" ? card.tier > 2 : Boolean(card.fault);
  }

  /** @returns {number} how many characters the reason still needs */
  get #missing() {
    if (this.doing === "sign" || !this.doing) return 0;
    return Math.max(0, this.desk.config.reason - this.reason.value.trim().length);
  }

  finish() {
    if (!this.doing || this.#missing) {
      this.reason.focus({ preventScroll: true });
      return;
    }
    this.desk.act(this.doing, this.reason.value.trim());
    this.leave();
  }

  leave() {
    this.doing = "";
    this.root.focus({ preventScroll: true });
    this.refresh();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (!claimKey(event)) return;
    const { key } = event;
    if (key === "Escape") {
      event.preventDefault();
      this.leave();
      return;
    }
    if (key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.finish();
      return;
    }
    if (isTextField(event.target)) return;
    const act = Object.entries(ACTS).find(([, said]) => said.key === key)?.[0];
    const steps = /** @type {Record<string, number>} */ ({ j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 });
    if (act) this.begin(/** @type {Act} */ (act));
    else if (key === "r") this.desk.look();
    else if (steps[key]) this.turn(() => this.desk.move(steps[key]));
    else return;
    event.preventDefault();
  }

  /** @param {() => void} how */
  turn(how) {
    this.doing = "";
    how();
    this.root.focus({ preventScroll: true });
    reveal(this.list.querySelector("[aria-current]"), this.list);
  }

  // --- showing ---------------------------------------------------------------------------------

  refresh() {
    const { desk } = this;
    const { outbox, cards, mine, waiting } = desk;
    this.alarm.refresh();
    const state = outbox.trouble || outbox.refusal ? "not saved" : cards ? "saved" : "";
    this.saved.textContent = state;
    this.saved.dataset.state = state;
    const others = waiting.length - mine.length;
    const words = mine.length ? `${plural(mine.length, "decision")} for you` : "Nothing waits for you";
    this.where.textContent = cards ? words + (others ? `, ${others} for others` : "") : "…";
    if (this.status.textContent !== desk.said) this.status.textContent = desk.said;
    this.#showList();
    this.#showCard();
    this.#showActs();
  }

  #showList() {
    const { cards, at } = this.desk;
    if (this.#listed !== cards) {
      this.#listed = cards;
      this.list.replaceChildren(...this.#rows());
    }
    for (const row of this.list.querySelectorAll("button")) {
      if (row.dataset.id === at) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  }

  /** @returns {Node[]} */
  #rows() {
    const { mine, waiting, cards = [] } = this.desk;
    const settled = cards.filter(({ status }) => status !== "pending");
    const groups = /** @type {[string, Card[]][]} */ ([
      ["For you", mine],
      ["For others", waiting.filter(({ fault }) => fault)],
      ["Settled", settled],
    ]);
    return groups.flatMap(([title, found]) =>
      found.length ? [element("h4", {}, title), ...found.map((card) => this.#row(card))] : [],
    );
  }

  /** @param {Card} card */
  #row(card) {
    const tier = element("span", { class: "sk-tier", "data-tier": card.tier }, `tier ${card.tier}`);
    const line = element("span", { class: "sk-row-line" }, tier, stateOf(card));
    const press = () => this.turn(() => this.desk.turnTo(card.id));
    return element(
      "button",
      { type: "button", class: "sk-card", "data-id": card.id, click: press },
      element("b", {}, titleOf(card)),
      line,
    );
  }

  #showCard() {
    const { card, cards, refused } = this.desk;
    const refusal = card ? (refused.get(card.id) ?? "") : "";
    if (cards && !card) {
      const said = "Nothing waits, and nothing was decided above tier 1.";
      this.detail.replaceChildren(element("p", { class: "sk-nothing" }, said));
    }
    if (!card || (card === this.#drawn && refusal === this.#refusal)) return;
    this.#drawn = card;
    this.#refusal = refusal;
    const asked = `${card.actor} asked on ${when(card.asked)}`;
    const ends = card.expires ? `; holds until ${when(card.expires)}` : "";
    const options = card.options.map((option) => {
      const chosen = option === card.choice;
      const mark = chosen ? element("strong", {}, " asked for") : "";
      return element("li", { class: chosen ? "sk-chosen" : "" }, option, mark);
    });
    const parts = [
      element("h4", {}, titleOf(card)),
      element("p", { class: "sk-meta" }, `Tier ${card.tier}: ${card.rule}. ${asked}${ends}.`),
      element("p", { class: "sk-standing", "data-status": card.status }, stateOf(card), card.why),
      refusal && element("p", { class: "sk-refused", role: "alert" }, `Refused: ${refusal}`),
      element("p", { class: "sk-reason", dir: "auto" }, card.reason),
      tableOf(card.checks),
      element("h5", {}, "Options considered"),
      element("ul", { class: "sk-options" }, ...options),
      ...evidenceOf(card.evidence),
      ...personsOf(card),
    ];
    this.detail.replaceChildren(...parts.filter(Boolean));
  }

  #showActs() {
    const { card, outbox } = this.desk;
    const open = card?.status === "pending";
    this.acts.hidden = !open;
    if (!card || !open) {
      this.doing = "";
      return;
    }
    this.fault.textContent = card.fault ? `You can't sign this: ${card.fault}.` : "";
    for (const [act, button] of Object.entries(this.buttons ?? {})) {
      button.disabled = this.#barred(/** @type {Act} */ (act));
      button.setAttribute("aria-pressed", String(this.doing === act));
    }
    this.panel.hidden = !this.doing;
    if (!this.doing) return;
    const { ask, done } = ACTS[this.doing];
    this.ask.textContent = ask;
    this.done.replaceChildren(done, keyCap("Ctrl+Enter"));
    this.done.setAttribute("aria-disabled", String(this.#missing > 0 || Boolean(outbox.trouble)));
    this.count.textContent = this.#missing ? `${this.#missing} more characters` : "";
  }
}

export default () => {
  /** @type {Deciding} */
  let desk;
  return {
    /** @param {{model: any, signal: AbortSignal}} widget */
    initialize({ model, signal }) {
      desk = new Deciding(model, signal);
    },
    /** @param {{el: HTMLElement, signal: AbortSignal}} view */
    render({ el, signal }) {
      new DeskView(desk, el, signal);
    },
  };
};
