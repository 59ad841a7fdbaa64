// Points in the plane: what lies where, and how they are drawn, fast enough for 100,000 of them.

import { markOf, rgb } from "./marks.js";

const WIDEST = 65535; // places come as 16 bits
const CELLS = 128; // of the grid that finds what lies under the pointer, each way
const FARTHEST = 60; // times enlarged, at most
const MARGIN = 18; // CSS pixels round the map
const BRIGHT = 0.9;
const FAINT = 0.14;
const PLAIN = 2; // CSS pixels: smaller marks are all round, no symbol would be seen

/** @typedef {{x: number, y: number}} Spot in CSS pixels of the map, or as points are given */

/** Whether the spot lies inside the polygon: an odd number of its sides lies to the right.
 * @param {number} x @param {number} y @param {Spot[]} polygon */
function inside(x, y, polygon) {
  let odd = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [a, b] = [polygon[i], polygon[j]];
    if (a.y > y !== b.y > y && x < ((b.x - a.x) * (y - a.y)) / (b.y - a.y) + a.x) odd = !odd;
  }
  return odd;
}

/** Blend a mark into an image. @param {Uint8ClampedArray} data @param {number} base its middle
 * @param {ReturnType<typeof markOf>} mark @param {number[]} ink @param {number} strength */
function stamp(data, base, { offsets, cover }, ink, strength) {
  for (let k = 0; k < offsets.length; k++) {
    const at = base + offsets[k];
    const above = strength * cover[k];
    const below = (data[at + 3] / 255) * (1 - above);
    const all = above + below;
    data[at] = (ink[0] * above + data[at] * below) / all;
    data[at + 1] = (ink[1] * above + data[at + 1] * below) / all;
    data[at + 2] = (ink[2] * above + data[at + 2] * below) / all;
    data[at + 3] = 255 * all;
  }
}

/** All points with their groups. */
export class Points {
  /** @param {DataView} data x, y, then a byte for each column @param {number} count @param {number} columns */
  constructor(data, count, columns) {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
    this.count = count;
    this.x = new Uint16Array(bytes.buffer, 0, count);
    this.y = new Uint16Array(bytes.buffer, 2 * count, count);
    this.codes = Array.from(
      { length: columns },
      (_, i) => new Uint8Array(bytes.buffer, (4 + i) * count, count),
    );
    this.#index();
  }

  /** Sort the points by the cell of the grid they lie in. */
  #index() {
    const size = (WIDEST + 1) / CELLS;
    const cell = (/** @type {number} */ i) =>
      Math.floor(this.y[i] / size) * CELLS + Math.floor(this.x[i] / size);
    this.starts = new Uint32Array(CELLS * CELLS + 1);
    for (let i = 0; i < this.count; i++) this.starts[cell(i) + 1]++;
    for (let i = 0; i < CELLS * CELLS; i++) this.starts[i + 1] += this.starts[i];
    const next = this.starts.slice();
    this.order = new Uint32Array(this.count);
    for (let i = 0; i < this.count; i++) this.order[next[cell(i)]++] = i;
  }

  /** @param {number} x @param {number} y @param {number} reach @returns {number} the nearest, or -1 */
  nearest(x, y, reach) {
    const size = (WIDEST + 1) / CELLS;
    const at = (/** @type {number} */ v) => Math.max(0, Math.min(CELLS - 1, Math.floor(v / size)));
    let [best, least] = [-1, reach * reach];
    for (let row = at(y - reach); row <= at(y + reach); row++) {
      const [from, to] = [row * CELLS + at(x - reach), row * CELLS + at(x + reach)];
      for (let k = this.starts[from]; k < this.starts[to + 1]; k++) {
        const i = this.order[k];
        const far = (this.x[i] - x) ** 2 + (this.y[i] - y) ** 2;
        if (far <= least) [best, least] = [i, far];
      }
    }
    return best;
  }

  /** @param {Spot[]} polygon in the units of the points @returns {number[]} what lies in it */
  within(polygon) {
    const [xs, ys] = [polygon.map((p) => p.x), polygon.map((p) => p.y)];
    const [left, right] = [Math.min(...xs), Math.max(...xs)];
    const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
    const found = [];
    for (let i = 0; i < this.count; i++) {
      const [x, y] = [this.x[i], this.y[i]];
      if (x < left || x > right || y < top || y > bottom) continue;
      if (inside(x, y, polygon)) found.push(i);
    }
    return found;
  }
}

/** A map on two canvases: the points, and over them the lasso and what is pointed at. */
export class MapCanvas {
  zoom = 1;
  /** The middle of what is seen, in the units of the points. */
  middle = { x: WIDEST / 2, y: WIDEST / 2 };
  /** @type {Spot[]} in CSS pixels */
  path = [];
  pointed = -1;
  /** @type {{left: number, top: number, width: number, height: number} | undefined} */
  rectangle;

  #waiting = false;
  #stale = false;
  width = 0;
  height = 0;

  /**
   * @param {Points} points
   * @param {HTMLCanvasElement} ground @param {HTMLCanvasElement} over
   * @param {() => {codes: Uint8Array, colours: string[], symbols: string[],
   *   emphasis: (Uint8Array | undefined)}} look
   *   emphasis: 1 for the points that stand out, where some do
   */
  constructor(points, ground, over, look) {
    Object.assign(this, { points, ground, over, look });
  }

  /** @param {number} width @param {number} height */
  resize(width, height) {
    if (!width || (width === this.width && height === this.height)) return;
    [this.width, this.height] = [width, height];
    const ratio = window.devicePixelRatio || 1;
    for (const canvas of [this.ground, this.over]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    this.draw();
  }

  /** CSS pixels that one unit of the points takes. */
  get scale() {
    return ((Math.min(this.width, this.height) - 2 * MARGIN) / WIDEST) * this.zoom;
  }

  /** @param {Spot} spot in CSS pixels @returns {Spot} in the units of the points */
  unit({ x, y }) {
    return {
      x: (x - this.width / 2) / this.scale + this.middle.x,
      y: (y - this.height / 2) / this.scale + this.middle.y,
    };
  }

  /** @param {number} i @returns {Spot} where a point is, in CSS pixels */
  spot(i) {
    return {
      x: (this.points.x[i] - this.middle.x) * this.scale + this.width / 2,
      y: (this.points.y[i] - this.middle.y) * this.scale + this.height / 2,
    };
  }

  /** @param {Spot} spot @returns {number} the point there, or -1 */
  under(spot) {
    const { x, y } = this.unit(spot);
    return this.points.nearest(x, y, 8 / this.scale);
  }

  /** @param {number} factor @param {Spot} [spot] what stays where it is */
  enlarge(factor, spot = { x: this.width / 2, y: this.height / 2 }) {
    const before = this.unit(spot);
    this.zoom = Math.max(1, Math.min(FARTHEST, this.zoom * factor));
    const after = this.unit(spot);
    this.move(after.x - before.x, after.y - before.y);
  }

  /** Move the points, by their own units. @param {number} across @param {number} down */
  move(across, down) {
    const hold = (/** @type {number} */ v) => Math.max(0, Math.min(WIDEST, v));
    this.middle = { x: hold(this.middle.x - across), y: hold(this.middle.y - down) };
    this.draw();
  }

  whole() {
    this.zoom = 1;
    this.middle = { x: WIDEST / 2, y: WIDEST / 2 };
    this.draw();
  }

  /** @returns {Spot[]} the rectangle's corners, in CSS pixels */
  corners() {
    const { left, top, width, height } = /** @type {any} */ (this.rectangle);
    return [
      { x: left, y: top },
      { x: left + width, y: top },
      { x: left + width, y: top + height },
      { x: left, y: top + height },
    ];
  }

  /** Draw with the next frame, whatever the number of changes until then.
   * @param {boolean} [all] the points too, not only what lies over them */
  draw(all = true) {
    this.#stale ||= all;
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      if (!this.width) return;
      if (this.#stale) this.#drawPoints();
      this.#stale = false;
      this.#drawOver();
    });
  }

  get #radius() {
    const { count } = this.points;
    const base = count < 1500 ? 3.6 : count < 8000 ? 2.6 : count < 30000 ? 1.9 : 1.2;
    return base * Math.min(2.2, this.zoom ** 0.35);
  }

  #drawPoints() {
    const context = /** @type {CanvasRenderingContext2D} */ (this.ground.getContext("2d"));
    const { width, height } = this.ground;
    const image = context.createImageData(width, height);
    const { emphasis, symbols } = this.look();
    const radius = this.#radius;
    const ratio = width / this.width;
    const marks = (/** @type {number} */ rim) =>
      symbols.map((s) => markOf(radius < PLAIN ? "circle" : s, radius * ratio, width, rim * ratio));
    // What stands out is drawn last, over the rest, and has a rim where there is room for one.
    if (emphasis) this.#paint(image, marks(0), FAINT, 0);
    this.#paint(image, marks(0), BRIGHT, 1, emphasis && radius >= PLAIN ? marks(1.3) : undefined);
    context.putImageData(image, 0, 0);
  }

  /**
   * Blend the points that stand out (1) or don't (0) into the image; without emphasis all do.
   * @param {ImageData} image @param {ReturnType<typeof markOf>[]} marks of the groups
   * @param {number} strength @param {number} kind @param {ReturnType<typeof markOf>[]} [rims]
   */
  #paint({ data, width, height }, marks, strength, kind, rims) {
    const { codes, colours, emphasis } = this.look();
    const inks = colours.map(rgb);
    const ink = getComputedStyle(this.over).color.match(/[\d.]+/g)?.map(Number) ?? [];
    const scale = this.scale * (width / this.width);
    const [left, top] = [width / 2 - this.middle.x * scale, height / 2 - this.middle.y * scale];
    const { x, y, count } = this.points;
    const widest = Math.max(...(rims ?? marks).map(({ reach }) => reach));
    for (let i = 0; i < count; i++) {
      if (emphasis && emphasis[i] !== kind) continue;
      const cx = Math.round(x[i] * scale + left);
      const cy = Math.round(y[i] * scale + top);
      if (cx < widest || cy < widest || cx >= width - widest || cy >= height - widest) continue;
      const base = 4 * (cy * width + cx);
      if (rims) stamp(data, base, rims[codes[i]], ink, strength);
      stamp(data, base, marks[codes[i]], inks[codes[i]], strength);
    }
  }

  #drawOver() {
    const context = /** @type {CanvasRenderingContext2D} */ (this.over.getContext("2d"));
    const ratio = this.over.width / this.width;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    const ink = getComputedStyle(this.over).color;
    context.strokeStyle = ink;
    context.fillStyle = ink;
    const outline = this.rectangle ? this.corners() : this.path;
    if (outline.length > 1) {
      context.beginPath();
      for (const { x, y } of outline) context.lineTo(x, y);
      context.closePath();
      context.globalAlpha = 0.08;
      context.fill();
      context.globalAlpha = 1;
      context.lineWidth = 1.5;
      context.setLineDash(this.rectangle ? [5, 4] : []);
      context.stroke();
      context.setLineDash([]);
    }
    if (this.pointed >= 0) {
      const { x, y } = this.spot(this.pointed);
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x, y, this.#radius + 4, 0, 2 * Math.PI);
      context.stroke();
    }
  }
}
