// The pictures of the stepper, drawn as SVG: loss by depth, and examples by depths.

// The name of a language, not an address that is asked for.
const SVG = ["http:", "", "www.w3.org", "2000", "svg"].join("/");

/** @typedef {{updates: number[], all: number[], depths: (number | null)[][]}} Losses */
/**
 * @typedef {object} Last the last update
 * @property {string[]} items
 * @property {number[][]} applied examples x depths
 * @property {number} hidden
 * @property {number[]} effective
 * @property {number[]} capped
 * @property {(number | null)[]} rank
 * @property {(number | null)[]} losses
 * @property {number} loss
 */

/** @param {string} tag @param {Record<string, any>} properties @param {...(Node | string)} children */
export function drawn(tag, properties = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(properties)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

/** @param {number | null | undefined} value @returns {string} */
export function short(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  return Math.abs(value) >= 100 || Math.abs(value) < 0.001
    ? value.toExponential(1)
    : String(Number(value.toPrecision(3)));
}

const DASHES = ["none", "7 3", "2 2.5", "9 2.5 2 2.5"];

/** How the line of a depth is drawn (-1: of all), told by dashes too, not by colour alone.
 * @param {number} depth @param {string[]} colours */
export function lineStyle(depth, colours) {
  if (depth < 0) return "stroke:currentColor;stroke-width:2.4";
  const colour = colours[depth % colours.length];
  return `stroke:${colour};stroke-width:2;stroke-dasharray:${DASHES[depth % DASHES.length]}`;
}

/** A piece of a depth's line, for the legend. @param {number} depth @param {string[]} colours */
export function legendLine(depth, colours) {
  const line = drawn("line", { x1: 0, x2: 30, y1: 5, y2: 5, style: lineStyle(depth, colours) });
  return drawn("svg", { width: 30, height: 10, "aria-hidden": "true" }, line);
}

/**
 * Lines of the loss: all in ink, each depth in its colour and dashes.
 * @param {Losses} losses @param {string[]} depths @param {string[]} colours
 */
export function lossPlot(losses, depths, colours) {
  const [wide, high, left, bottom, top] = [430, 200, 40, 22, 8];
  const lines = [
    { name: "all", values: /** @type {(number | null)[]} */ (losses.all), depth: -1 },
    ...losses.depths.map((values, depth) => ({ name: depths[depth], values, depth })),
  ].filter(({ values }) => values.some((value) => value !== null));
  const known = lines.flatMap(({ values }) => values.filter((value) => value !== null));
  const most = Math.max(...known, 1e-9) * 1.05;
  const [first, last] = [losses.updates[0] ?? 0, losses.updates.at(-1) ?? 1];
  const x = (/** @type {number} */ u) =>
    left + ((u - first) / Math.max(1, last - first)) * (wide - left - 8);
  const y = (/** @type {number} */ v) => high - bottom - (v / most) * (high - bottom - top);
  const plot = drawn("svg", {
    viewBox: `0 0 ${wide} ${high}`,
    class: "sk-plot",
    role: "img",
    "aria-label": `Loss by depth, now ${short(losses.all.at(-1))}`,
  });
  for (const share of [0, 0.5, 1]) {
    const value = (most / 1.05) * share;
    plot.append(
      drawn("line", { x1: left, x2: wide - 8, y1: y(value), y2: y(value), class: "sk-grid" }),
      drawn("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, short(value)),
    );
  }
  const ends = first === last ? [[first, "start"]] : [[first, "start"], [last, "end"]];
  for (const [at, anchor] of /** @type {[number, string][]} */ (ends)) {
    plot.append(drawn("text", { x: x(at), y: high - 6, "text-anchor": anchor }, String(at)));
  }
  for (const { values, depth } of lines) {
    const points = values
      .map((value, i) => (value === null ? "" : `${x(losses.updates[i])},${y(value)}`))
      .filter(Boolean);
    const style = lineStyle(depth, colours);
    plot.append(
      points.length > 1
        ? drawn("polyline", { points: points.join(" "), fill: "none", style })
        : drawn("circle", { cx: points[0].split(",")[0], cy: points[0].split(",")[1], r: 1.6, style }),
    );
  }
  return { plot, lines: lines.map(({ name, depth }) => ({ name, depth })) };
}

/**
 * Examples by depths: the darker, the more a depth absorbed of an example.
 * @param {Last} last @param {string[]} depths
 */
export function heatMap(last, depths) {
  const most = Math.max(...last.applied.flat(), 1e-12);
  const body = document.createElement("tbody");
  last.items.forEach((item, row) => {
    const line = document.createElement("tr");
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = item;
    line.append(name);
    depths.forEach((depth, column) => {
      const value = last.applied[row][column];
      const cell = document.createElement("td");
      // The square root shows small contributions; nothing stays empty.
      cell.style.setProperty("--sk-heat", `${Math.round(100 * Math.sqrt(value / most))}%`);
      cell.className = value === 0 ? "sk-none" : "sk-cell";
      cell.title = `${item} · ${depth}: ${short(value)}`;
      const said = document.createElement("span");
      said.textContent = short(value);
      cell.append(said);
      line.append(cell);
    });
    body.append(line);
  });
  return body;
}
