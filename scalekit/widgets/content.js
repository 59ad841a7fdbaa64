// What an item looks like: text, code, a conversation, an image, or two answers side by side.
// All of it becomes text nodes: an item is untrusted, and nothing in it is read as markup.

import { element } from "./elements.js";

/** @typedef {{role: string, content: string}} Turn */
/**
 * @typedef {object} Content
 * @property {string} text
 * @property {[string, string][]} [tokens] code in pieces, each with what it is
 * @property {Turn[]} [messages]
 * @property {string} [image] a data URL
 * @property {string} [trouble] why something can't be shown
 * @property {string} [draft] where a rewriting starts
 * @property {Content[]} [sides] two to compare, as they are to be shown
 */

/** @param {Content} content @returns {(Node | string)[]} */
export function contentNodes(content) {
  const { text, tokens, messages, image, trouble, sides } = content;
  /** @type {(Node | string)[]} */
  const nodes = [];
  if (image) nodes.push(element("img", { class: "sk-image", src: image, alt: text || "the item" }));
  if (trouble) nodes.push(element("p", { class: "sk-problem" }, trouble));
  if (messages) nodes.push(element("div", { class: "sk-chat" }, ...messages.map(turnNode)));
  if (tokens) nodes.push(codeNode(tokens));
  else if (text) nodes.push(nodes.length ? element("p", {}, text) : text);
  if (sides) nodes.push(element("div", { class: "sk-sides" }, ...sides.map(sideNode)));
  return nodes;
}

/** @param {Turn} turn @returns {HTMLElement} */
export function turnNode({ role, content }) {
  const own = role === "user" ? "sk-user" : "sk-other";
  const said = element("div", { class: "sk-said", dir: "auto" }, content);
  return element("div", { class: `sk-turn ${own}` }, element("b", {}, role), said);
}

/** @param {string} text @param {string} kind */
export function token(text, kind) {
  return kind ? element("span", { class: `sk-token-${kind}` }, text) : text;
}

/** @param {[string, string][]} tokens */
function codeNode(tokens) {
  const pieces = tokens.map(([text, kind]) => token(text, kind));
  return element("code", { class: "sk-code", dir: "ltr" }, ...pieces);
}

/** @param {Content} content @param {number} place */
function sideNode(content, place) {
  const nodes = contentNodes(content);
  const body = nodes.length ? nodes : ["(no text)"];
  const name = element("b", {}, place ? "right" : "left");
  return element("section", { class: "sk-side" }, name, element("div", { dir: "auto" }, ...body));
}
