// Elements, tables, and numbers as text: what the evaluation's report and the pages of the feedback server share.
// Text always goes in as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "g", "line", "polyline", "rect", "circle", "text", "title", "desc", "path"]);

/** An element with attributes (on* are listeners, `text` is its text) and children; null and false are left out. */
export function el(tag, attributes = {}, ...children) {
  const node = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/**
 * A table that scrolls sideways by itself. The first cell of a row is its header; numbers stand to the right.
 * `options` are the classes of the table and of its caption.
 */
export function table(caption, head, rows, options = {}) {
  const isNumeric = head.map((_, i) => rows.length > 0 && rows.every((row) => isNumber(row[i]) || row[i] === null) && rows.some((row) => isNumber(row[i])));
  const className = (i) => (isNumeric[i] ? "number" : null);
  const text = (cell) => (cell === null || cell === undefined ? NONE : cell);
  const body = rows.map((row) =>
    el("tr", {}, row.map((cell, i) => (i ? (cell?.tagName === "TD" ? cell : el("td", { class: className(i) }, text(cell))) : el("th", { scope: "row", class: className(i) }, text(cell))))),
  );
  return el("div", { class: "table-box", tabindex: "0", role: "region", "aria-label": caption },
    el("table", { class: options.class },
      el("caption", { class: options.caption }, caption),
      el("thead", {}, el("tr", {}, head.map((cell, i) => el("th", { scope: "col", class: className(i) }, cell)))),
      el("tbody", {}, body),
    ),
  );
}

export const NONE = "–";
export const isNumber = (value) => typeof value === "number";
const minus = (text) => text.replace(/^-(0\.?0*)$/, "$1").replace("-", "−");
export const number = (value, digits = 1) => (isNumber(value) ? minus(value.toFixed(digits)) : NONE);
export const signed = (value, digits = 1) => (isNumber(value) ? (value > 0 ? "+" : "") + number(value, digits) : NONE);
export const percent = (value) => (isNumber(value) ? `${Math.round(value * 100)}%` : NONE);
export const mean = (values) => (values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null);
export const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
export const capitalised = (text) => text.charAt(0).toUpperCase() + text.slice(1).replaceAll("_", " ");
