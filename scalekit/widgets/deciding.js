// The parts of a decision as it is shown on the desk.

import { element } from "./elements.js";

/**
 * @typedef {object} Card
 * @property {string} id
 * @property {string} kind
 * @property {string} about
 * @property {number} tier the tier that decides it
 * @property {string} rule why it went there
 * @property {string} actor
 * @property {string} asked
 * @property {string} due
 * @property {boolean} late
 * @property {string} expires
 * @property {string} reason
 * @property {string[]} options
 * @property {string} choice
 * @property {string[]} evidence
 * @property {Record<string, string>[]} checks what failed at a gate
 * @property {{who: string, verdict: string, reason: string, at: string}[]} votes
 * @property {{who: string, tier: number, reason: string, at: string}[]} raised
 * @property {string} status
 * @property {string} why
 * @property {string} fault why this person may not sign it
 */

const SIGNS = /** @type {Record<string, string>} */ ({
  pending: "○",
  approved: "✔",
  rejected: "✘",
  overturned: "✘",
});

/** @param {Card} card @returns {string} */
export function titleOf(card) {
  return `${card.kind}: ${card.about}`;
}

/** @param {string} at @returns {string} a time of the ledger, to the minute, as it is there */
export function when(at) {
  return `${at.slice(0, 10)} ${at.slice(11, 16)}`;
}

/** Where a decision stands, in sign and word. @param {Card} card */
export function stateOf(card) {
  const due = card.late ? `late since ${when(card.due)}` : card.due && `due ${when(card.due)}`;
  const said = card.status === "pending" ? due : card.status;
  const sign = card.late ? "▲" : (SIGNS[card.status] ?? "–");
  return element(
    "span",
    { class: "sk-state", "data-status": card.late ? "late" : card.status },
    `${sign} ${said}`,
  );
}

/** @param {Record<string, string>[]} rows */
export function tableOf(rows) {
  if (!rows.length) return "";
  const names = Object.keys(rows[0]);
  const head = element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)));
  const body = rows.map((row) =>
    element("tr", {}, ...names.map((name) => element("td", { dir: "auto" }, row[name]))),
  );
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

/** @param {string[]} links @returns {Node[]} */
export function evidenceOf(links) {
  if (!links.length) return [element("p", { class: "sk-meta" }, "No evidence is linked.")];
  const items = links.map((link) => {
    // Only what is plainly an address becomes one; what came from elsewhere must not run.
    if (!/^https?:\/\//.test(link)) return element("li", {}, link);
    const properties = { href: link, target: "_blank", rel: "noopener noreferrer" };
    return element("li", {}, element("a", properties, link));
  });
  return [element("h5", {}, "Evidence"), element("ul", {}, ...items)];
}

/** What people said of it. @param {Card} card @returns {Node[]} */
export function personsOf(card) {
  const votes = card.votes.map(({ who, verdict, reason, at }) => ({
    at,
    said: `${who} ${verdict === "approve" ? "signed" : "declined"} on ${when(at)}`,
    reason,
  }));
  const raised = card.raised.map(({ who, tier, reason, at }) => ({
    at,
    said: `${who} sent it to tier ${tier} on ${when(at)}`,
    reason,
  }));
  const every = [...votes, ...raised].sort((a, b) => a.at.localeCompare(b.at));
  if (!every.length) return [];
  const items = every.map(({ said, reason }) =>
    element("li", { dir: "auto" }, reason ? `${said}: ${reason}` : said),
  );
  return [element("h5", {}, "So far"), element("ul", {}, ...items)];
}
