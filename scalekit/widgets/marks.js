// The marks of a map: a group is told by its symbol too, not by its colour alone.

import { element } from "./elements.js";

const HALF = Math.SQRT1_2;
const { abs, hypot, max, min } = Math;

/** @param {number} x @param {number} y */
function cross(x, y) {
  return max(min(abs(x), abs(y)) - 0.36, max(abs(x), abs(y)) - 1.15);
}

/** @param {number} x @param {number} y */
function star(x, y) {
  const turn = (((Math.atan2(x, -y) * 5) / (2 * Math.PI)) % 1) + 1;
  return hypot(x, y) - (0.5 + 0.9 * abs(2 * (turn % 1) - 1));
}

/** @type {Record<string, (x: number, y: number) => number>} how far outside a symbol of radius 1 a
 * place lies, y downwards; below 0 inside */
const SYMBOLS = {
  circle: (x, y) => hypot(x, y) - 1,
  square: (x, y) => max(abs(x), abs(y)) - 0.88,
  diamond: (x, y) => (abs(x) + abs(y)) * HALF - 0.86,
  cross,
  x: (x, y) => cross((x + y) * HALF, (x - y) * HALF),
  "triangle-up": (x, y) => max(y - 0.8, 0.866 * abs(x) - 0.5 * y - 0.72),
  star,
};

/** @param {string} hex @returns {[number, number, number]} */
export function rgb(hex) {
  const value = parseInt(hex.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

/** A mark: where its pixels lie in an image, and how much of each it covers.
 * @param {string} symbol @param {number} radius @param {number} width of the image
 * @param {number} [rim] how much larger, all in device pixels */
export function markOf(symbol, radius, width, rim = 0) {
  const reach = Math.ceil(1.4 * radius + rim);
  const [offsets, cover] = [/** @type {number[]} */ ([]), /** @type {number[]} */ ([])];
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const outside = SYMBOLS[symbol](dx / radius, dy / radius) * radius - rim;
      if (outside >= 0.5) continue;
      offsets.push(4 * (dy * width + dx));
      cover.push(min(1, 0.5 - outside));
    }
  }
  return { offsets, cover, reach };
}

/** One mark as it is on the map, for a legend. @param {string} symbol @param {string} colour */
export function legendMark(symbol, colour) {
  const ratio = window.devicePixelRatio || 1;
  const size = 2 * Math.round(7 * ratio) + 1;
  const node = element("canvas", { class: "sk-mark", width: size, height: size, "aria-hidden": "true" });
  const context = node.getContext("2d");
  const image = context.createImageData(size, size);
  const { offsets, cover } = markOf(symbol, 4.6 * ratio, size);
  const middle = 4 * ((size >> 1) * size + (size >> 1));
  offsets.forEach((offset, k) => image.data.set([...rgb(colour), 255 * cover[k]], middle + offset));
  context.putImageData(image, 0, 0);
  return node;
}
