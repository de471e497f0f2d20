// The results, and how the report writes what stands in them.

import { el, isNumber, mean, NONE, number, percent, plural } from "./elements/dom.js";

const data = JSON.parse(document.getElementById("data").textContent);
const models = Object.keys(data.models);
const judges = Object.keys(data.judges);
const baseline = data.plan.baseline;

const dollars = (value) => (isNumber(value) ? "$" + value.toFixed(value > 0 && value < 1 ? 4 : 2) : "unknown");
const pValue = (value) => (!isNumber(value) ? NONE : value < 0.001 ? "< 0.001" : value.toFixed(3));

// An estimate as "6.2" over "5.7 to 6.7".
function estimate(figure, format = number) {
  if (!figure) return NONE;
  const range = isNumber(figure.low) ? `${format(figure.low)} to ${format(figure.high)}` : `${plural(figure.roles, "role")} only`;
  return [el("strong", {}, format(figure.mean)), el("small", {}, range)];
}

const modelClass = (model) => `m${models.indexOf(model) % 6}`;

// Whether a judge also trained a model: then its word is no evidence that the model is better.
const hasTrained = (judge, model) => Boolean(data.figures[judge]?.[model].judge_trained_it);

// A model, and where it stands for a judge's figures whether that judge trained it.
function modelName(model, judge = null) {
  return el("span", { class: `model ${modelClass(model)}` }, el("i", { "aria-hidden": "true" }), model, hasTrained(judge, model) && el("small", {}, "trained by this judge"));
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
