"use strict";
// Elements, numbers as text, and access to the results.

const data = JSON.parse(document.getElementById("data").textContent);
const models = Object.keys(data.models);
const judges = Object.keys(data.judges);
const baseline = data.plan.baseline;
const rolesById = new Map(data.roles.map((role) => [role.id, role]));

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "g", "line", "rect", "circle", "text", "title", "path"]);

// An element with attributes and children; strings become text, null and false are left out.
function el(tag, attributes = {}, ...children) {
  const node = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const NONE = "–";
const isNumber = (value) => typeof value === "number";
const number = (value, digits = 1) => (isNumber(value) ? minus(value.toFixed(digits)) : NONE);
const signed = (value, digits = 1) => (isNumber(value) ? (value > 0 ? "+" : "") + number(value, digits) : NONE);
const percent = (value) => (isNumber(value) ? `${Math.round(value * 100)}%` : NONE);
const dollars = (value) => (isNumber(value) ? "$" + value.toFixed(value > 0 && value < 1 ? 4 : 2) : "unknown");
const counted = (count, noun, plural = noun + "s") => `${count.toLocaleString("en")} ${count === 1 ? noun : plural}`;
const minus = (text) => text.replace(/^-(0\.?0*)$/, "$1").replace("-", "−");
const pValue = (value) => (!isNumber(value) ? NONE : value < 0.001 ? "< 0.001" : value.toFixed(3));
const mean = (values) => (values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null);

// An estimate as "6.2" over "5.7 to 6.7".
function estimate(figure, format = number) {
  if (!figure) return NONE;
  const range = isNumber(figure.low) ? `${format(figure.low)} to ${format(figure.high)}` : `${counted(figure.roles, "role")} only`;
  return [el("strong", {}, format(figure.mean)), el("small", {}, range)];
}

const modelClass = (model) => `m${models.indexOf(model) % 6}`;

function modelName(model) {
  return el("span", { class: `model ${modelClass(model)}` }, el("i", { "aria-hidden": "true" }), model);
}

// A table that scrolls sideways by itself. `head` and `rows` are lists of cells; the first cell of a row is its header.
function table(caption, head, rows, options = {}) {
  const header = el("tr", {}, head.map((cell) => el("th", { scope: "col" }, cell)));
  const body = rows.map((row) =>
    el("tr", {}, row.map((cell, index) => (index ? (cell?.tagName === "TD" ? cell : el("td", {}, cell)) : el("th", { scope: "row" }, cell)))),
  );
  const content = el("table", { class: options.class }, el("caption", {}, caption), el("thead", {}, header), el("tbody", {}, body));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, content);
}

function details(summary, ...content) {
  return el("details", {}, el("summary", {}, summary), ...content);
}

function definitions(pairs) {
  const rows = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return el("dl", {}, rows.map(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))]));
}

// Samples of one role by one model, in order.
const samplesOf = (() => {
  const found = new Map();
  for (const sample of data.samples) {
    const key = `${sample.role_id}\n${sample.model}`;
    if (!found.has(key)) found.set(key, []);
    found.get(key).push(sample);
  }
  return (role, model) => found.get(`${role}\n${model}`) ?? [];
})();

const scoresOf = (sample, judge) => sample.judgements[judge]?.scores ?? null;

// Mean composite of a model's scored samples for a role; null if none is scored.
function roleScore(role, model, judge) {
  return mean(samplesOf(role, model).map((sample) => scoresOf(sample, judge)?.composite).filter(isNumber));
}

function roleDifference(role, model, judge) {
  const [ours, theirs] = [roleScore(role, model, judge), roleScore(role, baseline, judge)];
  return ours === null || theirs === null ? null : ours - theirs;
}
