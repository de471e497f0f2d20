// The figures and charts of the statistics page, from what /api/stats says.

import { chart, columns, lines } from "../elements/charts.js";
import { capitalised, el, number, plural, table } from "../elements/dom.js";

const VALUES = [1, 2, 3, 4, 5];

export function figures(stats) {
  if (!stats.counts.ratings) return [el("p", { class: "card muted", text: "No ratings yet in this choice. Charts appear with the first." })];
  return [counts(stats.counts), distributions(stats), overTime(stats), agreement(stats), calibration(stats), positions(stats), raters(stats), skips(stats)].filter(Boolean);
}

const section = (title, text, ...content) =>
  el("section", { class: "card stack" }, el("h2", { text: title }), text ? el("p", { class: "muted", text }) : null, ...content);

function counts({ ratings, groups, questions, raters, all_equal, skipped, pending }) {
  const named = [
    [ratings, "group ratings"],
    [questions, "questions rated"],
    [groups, "groups"],
    [raters, "raters"],
    [all_equal, "all equal"],
    [skipped, "skipped"],
    [pending, "waiting"],
  ];
  return el(
    "section",
    { class: "card", "aria-label": "Counts" },
    el("dl", { class: "figures" }, ...named.map(([value, name]) => el("div", {}, el("dt", { text: name }), el("dd", { text: String(value ?? "–") })))),
  );
}

function distributions({ criteria }) {
  const charts = Object.entries(criteria).map(([name, { mean, histogram }]) =>
    chart({
      title: capitalised(name),
      description: `Mean ${number(mean, 2)} of ${plural(histogram.reduce((sum, count) => sum + count, 0), "rating")}.`,
      height: 180,
      draw: (svg, width, height) => columns(svg, width, height, VALUES, histogram.map((count) => [count])),
      columns: ["Rating", "Count"],
      rows: VALUES.map((value, i) => [value, histogram[i]]),
    }),
  );
  return section("How questions were rated", null, el("div", { class: "chart-grid" }, ...charts));
}

function overTime({ over_time, criteria }) {
  if (!over_time.length) return null;
  const names = Object.keys(criteria);
  const labels = over_time.map(({ time }) => shortTime(time));
  return section(
    "Over time",
    null,
    el(
      "div",
      { class: "chart-grid two" },
      chart({
        title: "Ratings",
        description: "Groups rated.",
        draw: (svg, width, height) => columns(svg, width, height, labels, over_time.map(({ ratings }) => [ratings])),
        columns: ["Time", "Groups"],
        rows: over_time.map(({ time, ratings }) => [time, ratings]),
      }),
      chart({
        title: "Means",
        description: "Mean rating by criterion, 1 to 5.",
        legend: names.map(capitalised),
        draw: (svg, width, height) => lines(svg, width, height, labels, names.map((name) => over_time.map((point) => point.means[name] ?? null)), { low: 1, high: 5 }),
        columns: ["Time", ...names.map(capitalised)],
        rows: over_time.map((point) => [point.time, ...names.map((name) => round2(point.means[name]))]),
      }),
    ),
  );
}

const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" });

/** A day or an hour as the server names it, as short as a chart needs it. */
function shortTime(time) {
  const [day, hour] = time.split(" ");
  return hour ?? DAY.format(new Date(`${day}T00:00Z`));
}

const round2 = (value) => (value === null || value === undefined ? null : Number(value.toFixed(2)));

function agreement({ agreement, judges, criteria }) {
  const names = Object.keys(criteria);
  const rows = names.map((name) => [capitalised(name), round2(agreement.alpha[name]), meaning(agreement.alpha[name])]);
  const content = agreement.groups
    ? [
        table("Krippendorff's alpha (ordinal) between raters, by criterion", ["Criterion", "Alpha", "Means"], rows, { caption: "small" }),
        el("p", { text: `Raters put the questions of a group in the same order to the degree ${number(agreement.rank, 2)} (mean Kendall tau-b; 1: same order, 0: unrelated, −1: opposite).` }),
        el("p", { class: "small muted", text: `From ${plural(agreement.groups, "group")} that two or more people rated.` }),
      ]
    : [el("p", { class: "muted", text: "No group was rated by two people yet. Send groups with overlap 2 to see how far raters agree." })];
  const judged = judges.map((judge) => [judge.judge, judge.n, ...names.map((name) => round2(judge.correlation[name])), round2(judge.rank)]);
  if (judged.length) {
    content.push(
      el("h3", { text: "People and judges" }),
      table("Correlation of people's ratings with a judge's scores", ["Judge", "Questions", ...names.map(capitalised), "Order in groups"], judged, { caption: "small" }),
    );
  }
  return section("Agreement", null, ...content);
}

/** What weighing the judges by people's ratings would change. */
function calibration({ calibration: found }) {
  if (!found) return null;
  const names = found.judges.join(", ");
  const orders = found.without_scores ? ` ${plural(found.without_scores, "rating")} without scores (orders, pairs) ${found.without_scores === 1 ? "says" : "say"} nothing by criterion and ${found.without_scores === 1 ? "is" : "are"} not in it.` : "";
  if (!found.gain) {
    return section("Calibrating judges", `${plural(found.groups, "group")} have ratings and scores of ${names}; ${found.needed} are needed to say whether weighing judges by people's ratings helps.${orders}`);
  }
  const shown = ({ mean, low, high }) => `${number(mean, 2)} (${number(low, 2)} to ${number(high, 2)})`;
  const rows = [["Judges as they are", shown(found.before)], ["Weighed by ratings", shown(found.after)], ["Gain", shown(found.gain)]];
  const more = found.more === null ? "" : ` Twice as many ratings would add about ${number(found.more, 3)}.`;
  const verdict = found.helps ? "Weighing helps: export the ratings and run judge --calibrate." : "Weighing does not help beyond chance.";
  return section(
    "Calibrating judges",
    null,
    table(`Same order as people within groups (mean Kendall tau-b, cross-validated, 95% interval): ${names}`, ["", "Agreement"], rows, { caption: "small" }),
    el("p", { text: verdict + more }),
    el("p", { class: "small muted", text: `From ${plural(found.groups, "group")}.${orders}` }),
  );
}

function meaning(alpha) {
  if (alpha === null || alpha === undefined) return "no figure: too few ratings, or all alike";
  if (alpha >= 0.8) return "reliable";
  if (alpha >= 0.667) return "enough for tentative conclusions";
  return alpha > 0 ? "weak: read with care" : "no better than chance";
}

const ENOUGH = 30; // questions at a place, for its mean to say something

function positions({ position }) {
  if (position.length < 2) return null;
  const fewest = Math.min(...position.map((one) => one.n));
  if (fewest < ENOUGH) return section("Position on the page", `Whether the order sways people shows when ${ENOUGH} questions were rated at each place; at one of them it is ${fewest} so far.`);
  return section(
    "Position on the page",
    "Questions are shuffled for every rater, so each place should get the same mean. Where it does not, the order has swayed people.",
    chart({
      title: "Mean rating by place",
      description: "From the top of the page, over all criteria, 1 to 5.",
      height: 180,
      draw: (svg, width, height) => lines(svg, width, height, position.map((one) => one.position), [position.map((one) => one.mean)], { low: 1, high: 5 }),
      columns: ["Place", "Mean", "Questions"],
      rows: position.map((one) => [one.position, round2(one.mean), one.n]),
    }),
  );
}

function raters({ raters, criteria }) {
  const names = Object.keys(criteria);
  const rows = raters.map((rater) => [rater.rater, rater.ratings, ...names.map((name) => round2(rater.means[name])), rater.leniency ? round2(average(names.map((name) => rater.leniency[name]))) : null]);
  return section(
    "Raters",
    null,
    table("Ratings by rater; leniency is how far a rater lies above the others on shared groups", ["Rater", "Groups", ...names.map(capitalised), "Leniency"], rows, { caption: "small" }),
  );
}

const average = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function skips({ skips }) {
  const rows = Object.entries(skips).map(([reason, count]) => [capitalised(reason), count]);
  return rows.length ? section("Skipped", null, table("Why groups were skipped", ["Reason", "Count"], rows, { caption: "visually-hidden" })) : null;
}
