// The page of training runs: where a run stands, its rewards, its groups, and what it waits for.

import { get, persistently } from "./api.js";
import { chart, columns, lines } from "../elements/charts.js";
import { el, number, plural, table } from "../elements/dom.js";
import { byId, duration, setText, show, when } from "./page.js";

const EVERY_SECONDS = 5;
const SILENT_SECONDS = 120;
const STATES = { training: "training", waiting: "waiting for ratings", sampling: "writing questions", done: "finished" };

let drawn = ""; // what is on the page, as JSON: charts are redrawn only when something changed
const choice = byId("run");

async function refresh() {
  const { runs } = await persistently(() => get("/api/runs"), away);
  show("notice", false);
  if (!runs.length) return byId("runs").replaceChildren(byId("no-runs").content.cloneNode(true));
  fillChoice(runs);
  const run = runs.find((one) => one.run === choice.value) ?? runs[0];
  const { queue } = await persistently(() => get("/api/rate/progress"), away);
  draw(run, queue);
}

function away() {
  setText("notice-text", "The server does not answer; trying again …");
  show("notice");
}

function fillChoice(runs) {
  const names = runs.map((one) => one.run);
  const shown = [...choice.options].map((option) => option.value);
  if (JSON.stringify(names) !== JSON.stringify(shown)) {
    const chosen = choice.value || new URLSearchParams(location.search).get("run");
    choice.replaceChildren(...names.map((text) => el("option", { value: text, text, selected: text === chosen })));
  }
  show("choice", runs.length > 1);
}

function draw(run, queue) {
  const silent = run.state !== "done" && run.seconds_since_report > SILENT_SECONDS;
  const now = JSON.stringify([run.run, run.recent, run.waiting_groups, run.state, silent]);
  if (now !== drawn) {
    drawn = now;
    byId("runs").replaceChildren(el("section", { class: "card stack", id: "run-head", "aria-label": "State" }), ...charts(run), waiting(run));
  }
  byId("run-head").replaceChildren(...head(run, queue, silent));
}

function head(run, queue, silent) {
  const since = run.since_seconds ? ` for ${duration(run.since_seconds)}` : "";
  const figures = [
    [`${run.step} of ${run.total_steps ?? "?"}`, "step"],
    [number(run.reward_mean, 3), "reward of the last step"],
    [String(run.waiting_groups.length), "groups this run waits for"],
    [String(queue.pending), "groups waiting, all runs"],
    [String(queue.leased), "being rated now"],
  ];
  return [
    el(
      "div",
      { class: "row" },
      el("h2", { text: run.run }),
      el("span", { class: "run-state", text: (STATES[run.state] ?? run.state) + (run.state === "waiting" ? since : "") }),
    ),
    run.message ? el("p", { text: run.message }) : null,
    silent
      ? el("p", { class: "notice warn", text: `Nothing was heard of it for ${duration(run.seconds_since_report)}: it was stopped, or it cannot reach this server. Started again, it goes on where it was.` })
      : null,
    el("progress", { max: run.total_steps || 1, value: run.step, "aria-label": "Steps" }),
    el("dl", { class: "figures" }, ...figures.map(([value, name]) => el("div", {}, el("dt", { text: name }), el("dd", { text: value })))),
    el("p", { class: "small muted", text: `Last report: ${when(run.updated_at)}` }),
  ].filter(Boolean);
}

function charts(run) {
  const steps = run.recent ?? [];
  if (!steps.length) return [el("p", { class: "muted", text: "The first step is under way; charts appear when it is trained." })];
  const labels = steps.map((one) => one.step);
  const rewards = steps.map((one) => one.reward ?? null);
  const groups = steps.map((one) => [one.rated ?? 0, one.unscored ?? 0]);
  return [
    el(
      "section",
      { class: "card chart-grid two", "aria-label": "Steps" },
      chart({
        title: "Reward",
        description: "Mean reward of each step's rated questions, 0 to 1.",
        draw: (svg, width, height) => lines(svg, width, height, labels, [rewards], { low: 0, high: 1, format: (value) => value.toFixed(2) }),
        columns: ["Step", "Reward"],
        rows: steps.map((one) => [one.step, one.reward ?? null]),
      }),
      chart({
        title: "Questions of each step",
        description: "Those that people rated, and those left out because they were skipped or not rated in time.",
        legend: ["rated", "unscored"],
        draw: (svg, width, height) => columns(svg, width, height, labels, groups),
        columns: ["Step", "Rated", "Unscored"],
        rows: steps.map((one) => [one.step, one.rated ?? 0, one.unscored ?? 0]),
      }),
    ),
  ];
}

function waiting(run) {
  if (!run.waiting_groups.length) return "";
  const rows = run.waiting_groups.map(({ role_title, group_id }) => [role_title || group_id]);
  return el(
    "section",
    { class: "card stack" },
    el("h2", { text: `Waiting for ${plural(rows.length, "group")}` }),
    table("Groups this run waits for", ["Group"], rows, { caption: "visually-hidden" }),
    el("div", {}, el("a", { class: "button", href: "/", text: "Rate them" })),
  );
}

choice.addEventListener("change", refresh);
refresh();
setInterval(() => document.visibilityState === "visible" && refresh(), EVERY_SECONDS * 1000);
