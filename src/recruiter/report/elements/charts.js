// Charts as SVG, drawn from the figures they are given. Every chart stands beside a table or list of the same figures.

import { el, number, plural, signed, table } from "./dom.js";

// ---- one that is drawn again when its width changes

const MARGIN = { top: 12, right: 12, bottom: 30, left: 44 };
let count = 0;

/** `draw(svg, width, height)` draws; `columns` and `rows` are the same figures as a table. */
export function chart({ title, description, height = 200, draw, columns, rows, legend = [] }) {
  const id = `chart-${++count}`;
  const box = el("div", { class: "chart-box" });
  const figure = el("figure", { class: "chart" },
    el("figcaption", {}, el("h3", {}, title), description && el("p", { class: "small muted" }, description)),
    legend.length > 0 && el("ul", { class: "legend" }, legend.map((text, i) => el("li", { class: `series-${i + 1}` }, text))),
    box,
    el("details", { class: "small" }, el("summary", { "aria-label": `${title} as a table` }, "As a table"), table(title, columns, rows, { caption: "visually-hidden" })),
  );
  let drawn = 0;
  new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (!width || width === drawn) return;
    drawn = width;
    const svg = el("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": `${id}-title ${id}-description` },
      el("title", { id: `${id}-title` }, title), el("desc", { id: `${id}-description` }, description ?? ""));
    draw(svg, width, height);
    box.replaceChildren(svg);
  }).observe(box);
  return figure;
}

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
        const place = { x, width: thickness, y: y(base + part), height: y(base) - y(base + part) };
        svg.append(el("rect", { class: `fill-${series + 1}`, ...place }, el("title", {}, `${labels[i]}: ${format(part)}`)));
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
    svg.append(el("polyline", { class: `stroke-${s + 1}`, points: known.map(([i, value]) => `${x(i)},${y(value)}`).join(" ") }));
    for (const [i, value] of known.length <= 60 ? known : known.slice(-1)) {
      svg.append(el("circle", { class: `fill-${s + 1}`, cx: x(i), cy: y(value), r: 3.5 }, el("title", {}, `${labels[i]}: ${format(value)}`)));
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
      el("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }),
      el("text", { class: "tick", x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }, format(value)),
    );
  }
  return y;
}

/** Round values between two ends, at most five. */
function steps(low, high) {
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
    svg.append(el("text", { class: "tick", x: x(i), y: height - 8, "text-anchor": "middle" }, label));
  });
}

// ---- of a fixed width, scaled by the page: named rows downwards, values across

const WIDTH = 480;
const NAMES = 120; // room for the names of the rows
const TENS = [0, 2, 4, 6, 8, 10];

export function figure(caption, ...content) {
  return el("figure", {}, el("figcaption", {}, caption), ...content);
}

function picture(height, label, ...content) {
  return el("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": label, class: "chart" }, ...content);
}

const shorten = (text, length = 14) => (text.length > length ? "…" + text.slice(1 - length) : text);

const rowName = (name, y) => el("text", { x: NAMES - 10, y, "text-anchor": "end" }, shorten(name), el("title", {}, name));

function across(low, high) {
  return (value) => NAMES + ((Math.min(Math.max(value, low), high) - low) / (high - low)) * (WIDTH - NAMES - 50);
}

function scaleBelow(place, marks, top, bottom, format) {
  return marks.map((mark) => [
    el("line", { class: mark === 0 ? "zero" : "grid", x1: place(mark), x2: place(mark), y1: top, y2: bottom }),
    el("text", { class: "tick", x: place(mark), y: bottom + 14, "text-anchor": "middle" }, format(mark)),
  ]);
}

/**
 * Means with their intervals. `rows` are {label, class, estimate: {mean, low, high}}; a null estimate is said to be missing.
 * `format` writes the means, `mark` what stands at the scale.
 */
export function intervals(label, rows, { low = 0, high = 10, marks = TENS, format = number, mark = String } = {}) {
  const place = across(low, high);
  const step = 26;
  const bottom = rows.length * step + 6;
  const drawn = rows.map(({ label: name, class: className, estimate }, index) => {
    const y = index * step + 18;
    if (!estimate) return [rowName(name, y + 4), el("text", { class: "tick", x: place(low) + 6, y: y + 4 }, "not scored")];
    const bar = typeof estimate.low === "number" && el("line", { class: "whisker", x1: place(estimate.low), x2: place(estimate.high), y1: y, y2: y });
    const value = el("text", { class: "value", x: WIDTH - 4, y: y + 4, "text-anchor": "end" }, format(estimate.mean));
    return [rowName(name, y + 4), el("g", { class: className }, bar, el("circle", { cx: place(estimate.mean), cy: y, r: 5 })), value];
  });
  const summary = rows.map((row) => `${row.label} ${row.estimate ? format(row.estimate.mean) : "not scored"}`).join(", ");
  return picture(bottom + 20, `${label}: ${summary}`, scaleBelow(place, marks, 2, bottom, mark), ...drawn);
}

/** How many of what (`noun`) have which value from 0 to 10, one row of bars each. `rows` are {label, class, values}. */
export function histograms(label, rows, noun) {
  const [bins, rowHeight, place] = [20, 64, across(0, 10)];
  const counts = rows.map(({ values }) => {
    const found = new Array(bins).fill(0);
    for (const value of values) found[Math.min(bins - 1, Math.floor((value / 10) * bins + 1e-9))] += 1;
    return found;
  });
  const most = Math.max(1, ...counts.flat());
  const bottom = rows.length * rowHeight;
  const drawn = rows.map(({ label: name, class: className }, index) => {
    const base = (index + 1) * rowHeight;
    const bars = counts[index].map((found, bin) => {
      const [left, right] = [place((bin * 10) / bins), place(((bin + 1) * 10) / bins)];
      const height = (found / most) * (rowHeight - 18);
      const range = `${number((bin * 10) / bins)} to ${number(((bin + 1) * 10) / bins)}`;
      return found > 0 && el("rect", { x: left + 0.5, y: base - height, width: right - left - 1, height }, el("title", {}, `${range}: ${plural(found, noun)}`));
    });
    return [rowName(name, base - 8), el("line", { class: "zero", x1: NAMES, x2: place(10), y1: base, y2: base }), el("g", { class: className }, bars)];
  });
  const half = (found, from) => found.slice(from, from + bins / 2).reduce((a, b) => a + b, 0);
  const summary = rows.map((row, i) => `${row.label}: ${half(counts[i], 0)} below 5, ${half(counts[i], bins / 2)} from 5 up`).join("; ");
  return picture(bottom + 22, `${label}. ${summary}`, scaleBelow(place, TENS, 4, bottom, String), ...drawn);
}

/** Differences, sorted: gains to the left, losses to the right. `found` is a list of [difference, name]; null if it is empty. */
export function waterfall(label, found) {
  if (!found.length) return null;
  const sorted = [...found].sort((one, other) => other[0] - one[0]);
  const [high, low] = [Math.max(1, sorted[0][0]), Math.min(-1, sorted.at(-1)[0])];
  const [height, left] = [130, 40];
  const y = (value) => 10 + ((high - value) / (high - low)) * (height - 20);
  const width = (WIDTH - left) / sorted.length;
  const bars = sorted.map(([difference, name], index) =>
    el("rect", { class: difference < 0 ? "loss" : "gain", x: left + index * width, width: Math.max(width - (width > 3 ? 1 : 0), 0.5), y: Math.min(y(0), y(difference)), height: Math.max(Math.abs(y(difference) - y(0)), 0.5) },
      el("title", {}, `${name}: ${signed(difference)}`)),
  );
  const marks = [high, 0, low].filter((mark) => mark === 0 || Math.abs(y(mark) - y(0)) > 14).map((mark) => [
    el("line", { class: mark ? "grid" : "zero", x1: left, x2: WIDTH, y1: y(mark), y2: y(mark) }),
    el("text", { class: "tick", x: left - 6, y: y(mark) + 4, "text-anchor": "end" }, signed(mark)),
  ]);
  const better = sorted.filter(([difference]) => difference > 0).length;
  return picture(height, `${label} sorted: ${better} higher`, ...marks, ...bars);
}
