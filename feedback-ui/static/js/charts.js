// Charts as SVG, drawn from the figures they are given, each with a description and a table of the same figures.

import { element } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { top: 12, right: 12, bottom: 30, left: 44 };
let count = 0;

/** An SVG element. */
export function shape(name, attributes = {}, text = null) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  return made;
}

/**
 * A chart that is drawn again when its width changes.
 * `draw(svg, width, height)` draws; `columns` and `rows` are the same figures as a table.
 */
export function chart({ title, description, height = 200, draw, columns, rows, legend = [] }) {
  const id = `chart-${++count}`;
  const box = element("div", { class: "chart-box" });
  const figure = element(
    "figure",
    { class: "chart" },
    element("figcaption", {}, element("h3", { text: title }), description ? element("p", { class: "small muted", text: description }) : null),
    legend.length ? key(legend) : null,
    box,
    element("details", { class: "small" }, element("summary", { text: "As a table", "aria-label": `${title} as a table` }), table(title, columns, rows)),
  );
  let drawn = 0;
  new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (!width || width === drawn) return;
    drawn = width;
    const svg = shape("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": `${id}-title ${id}-description` });
    svg.append(shape("title", { id: `${id}-title` }, title), shape("desc", { id: `${id}-description` }, description ?? ""));
    draw(svg, width, height);
    box.replaceChildren(svg);
  }).observe(box);
  return figure;
}

/** A table of text and numbers; numbers stand to the right. */
export function table(caption, columns, rows, captionClass = "visually-hidden") {
  const cells = (row) => row.map((cell) => (cell instanceof Node ? element("td", {}, cell) : element("td", { class: typeof cell === "number" ? "number" : null, text: cell ?? "–" })));
  const numeric = columns.map((_, i) => rows.length > 0 && rows.every((row) => typeof row[i] === "number" || row[i] === null));
  return element(
    "div",
    { class: "table-box", tabindex: "0", role: "region", "aria-label": caption },
    element(
      "table",
      {},
      element("caption", { class: captionClass, text: caption }),
      element("thead", {}, element("tr", {}, ...columns.map((text, i) => element("th", { scope: "col", class: numeric[i] ? "number" : null, text })))),
      element("tbody", {}, ...rows.map((row) => element("tr", {}, ...cells(row)))),
    ),
  );
}

const key = (names) => element("ul", { class: "legend" }, ...names.map((text, i) => element("li", { class: `series-${i + 1}`, text })));

/** Columns, one stack of parts for each label. `stacks` is a list of lists of numbers. */
export function columns(svg, width, height, labels, stacks, { format = String, high = null } = {}) {
  const most = high ?? Math.max(1, ...stacks.map((stack) => stack.reduce((sum, part) => sum + part, 0)));
  const y = axis(svg, width, height, 0, roundUp(most), format);
  const slot = (width - MARGIN.left - MARGIN.right) / labels.length;
  const thickness = Math.min(56, Math.max(2, slot * 0.7));
  stacks.forEach((stack, i) => {
    const x = MARGIN.left + slot * (i + 0.5) - thickness / 2;
    let base = 0;
    stack.forEach((part, series) => {
      if (part > 0) {
        const bar = shape("rect", { class: `fill-${series + 1}`, x, width: thickness, y: y(base + part), height: y(base) - y(base + part) });
        bar.append(shape("title", {}, `${labels[i]}: ${format(part)}`));
        svg.append(bar);
      }
      base += part;
    });
  });
  ticks(svg, width, height, labels, slot, (i) => MARGIN.left + slot * (i + 0.5));
}

/** Lines over the same labels. `series` is a list of lists of numbers (null: nothing there). */
export function lines(svg, width, height, labels, series, { low = 0, high = null, format = String } = {}) {
  const known = series.flat().filter((value) => value !== null);
  const y = axis(svg, width, height, low, high ?? Math.max(low + 1e-9, ...known), format);
  const space = width - MARGIN.left - MARGIN.right;
  const x = (i) => MARGIN.left + (labels.length === 1 ? space / 2 : (space * i) / (labels.length - 1));
  series.forEach((values, s) => {
    const known = values.map((value, i) => [i, value]).filter(([, value]) => value !== null && value !== undefined);
    svg.append(shape("polyline", { class: `stroke-${s + 1}`, points: known.map(([i, value]) => `${x(i)},${y(value)}`).join(" ") }));
    for (const [i, value] of known.length <= 60 ? known : known.slice(-1)) {
      const dot = shape("circle", { class: `fill-${s + 1}`, cx: x(i), cy: y(value), r: 3.5 });
      dot.append(shape("title", {}, `${labels[i]}: ${format(value)}`));
      svg.append(dot);
    }
  });
  ticks(svg, width, height, labels, space / Math.max(1, labels.length - 1), x);
}

/** The scale at the left with its grid; returns where a value stands. */
function axis(svg, width, height, low, high, format) {
  const space = height - MARGIN.top - MARGIN.bottom;
  const y = (value) => MARGIN.top + space * (1 - (value - low) / (high - low));
  for (const value of steps(low, high)) {
    svg.append(
      shape("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }),
      shape("text", { class: "tick", x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }, format(value)),
    );
  }
  return y;
}

/** Round values between two ends, at most five. */
export function steps(low, high) {
  const step = stepSize(low, high);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

const roundUp = (high) => Math.ceil(high / stepSize(0, high) - 1e-9) * stepSize(0, high);

/** A round distance that fits about four times between two ends; counts have no halves. */
function stepSize(low, high) {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough - 1e-12);
  return Number.isInteger(high) && high >= 2 ? Math.max(1, Math.ceil(step)) : step;
}

/** Labels below, as many as there is room for, none beyond the edge. */
function ticks(svg, width, height, labels, slot, x) {
  const half = (Math.max(...labels.map((label) => String(label).length)) * 7.5) / 2;
  const every = Math.max(1, Math.ceil((2 * half + 10) / slot));
  labels.forEach((label, i) => {
    if (i % every || x(i) + half > width + 4) return;
    svg.append(shape("text", { class: "tick", x: x(i), y: height - 8, "text-anchor": "middle" }, label));
  });
}
