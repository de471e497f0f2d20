// Sections with figures: scores, differences, levels and focus areas, texts, direct comparisons.

function scoresSection(judge) {
  const figures = data.figures[judge];
  const rows = models.map((model) => {
    const found = figures[model];
    return [
      modelName(model, judge),
      estimate(found.scores.composite),
      ...data.rubric.criteria.map(({ name }) => estimate(found.scores[name])),
      estimate(found.below_5, percent),
      unscoredText(found),
    ];
  });
  const head = ["model", "composite", ...data.rubric.criteria.map((criterion) => criterion.name), "below 5", "without a score"];
  const rowsOf = (cell) => models.map((model) => ({ label: model, class: modelClass(model), ...cell(model) }));
  const composites = rowsOf((model) => ({ estimate: figures[model].scores.composite }));
  const counts = rowsOf((model) => ({ values: data.roles.map((role) => roleScore(role.id, model, judge)).filter(isNumber) }));
  const weighted = new Set(data.rubric.criteria.map(({ weight }) => weight)).size > 1;
  return section("scores", "Scores",
    el("p", { class: "lead" }, "Mean over roles from 0 to 10, under it the 95% interval. The composite is the mean of the criteria" + (weighted ? ", weighted by what stands beside each." : ".")),
    table(`Scores by ${judge}`, head, rows),
    el("div", { class: "charts" },
      figure("Composite, mean with 95% interval", intervals("Composite", composites)),
      figure("How many roles have which composite", histograms("Roles by composite", counts, "role")),
    ),
    trimmedTable(judge),
    details("What the criteria ask, and what lowers a score", el("dl", {}, data.rubric.criteria.map((criterion) => [
      el("dt", {}, criterion.name, weighted && ` (weight ${criterion.weight})`),
      el("dd", {}, criterion.question, scaleText(criterion.anchors), el("ul", {}, criterion.red_flags.map((flag) => el("li", {}, `${flag.text} (−${flag.penalty})`)))),
    ]))),
  );
}

// What 0, 5 and 10 mean, if the rubric says.
function scaleText(anchors) {
  const parts = Object.entries(anchors).map(([rating, text]) => `${(rating - 1) * 2.5}: ${text}`);
  return parts.length > 0 && el("p", {}, parts.join("; "), ".");
}

function unscoredText(found) {
  const parts = [];
  if (found.unwritten) parts.push(`${found.unwritten} not written`);
  if (found.unscored) parts.push(`${found.unscored} unscored`);
  const reasons = Object.entries(found.unscored_reasons).map(([reason, count]) => `${count} × ${reason}`);
  return [`${found.unwritten + found.unscored} of ${found.questions}`, parts.length > 0 && el("small", {}, parts.join(", "), reasons.length > 0 && `: ${reasons.join("; ")}`)];
}

function trimmedTable(judge) {
  const figures = data.figures[judge];
  const share = models.map((model) => figures[model].trimmed?.share).find(isNumber);
  if (share === undefined) return null;
  const rows = models.map((model) => {
    const { scores, trimmed, difference } = figures[model];
    return [modelName(model, judge), estimate(scores.composite), estimate(trimmed?.scores.composite), estimate(difference?.scores.composite, signed), estimate(trimmed?.difference, signed)];
  });
  const caption = `Composite of all roles, and without the ${percent(share)} highest and the ${percent(share)} lowest`;
  return details(caption, table(caption, ["model", "all roles", "trimmed", "difference, all", "difference, trimmed"], rows));
}

function differencesSection(judge) {
  const others = models.filter((model) => data.figures[judge][model].difference);
  if (!others.length) return null;
  const rows = others.map((model) => {
    const found = data.figures[judge][model].difference;
    return [
      modelName(model, judge),
      estimate(found.scores.composite, signed),
      ...data.rubric.criteria.map(({ name }) => estimate(found.scores[name], signed)),
      hasTrained(judge, model) ? [NONE, el("small", {}, "it trained it: no test")] : [pValue(found.p_corrected), others.length > 1 && el("small", {}, `uncorrected ${pValue(found.p_value)}`)],
      [`${found.wins} / ${found.ties} / ${found.losses}`, el("small", {}, `of ${plural(found.roles, "role")}`)],
    ];
  });
  const tests = others.filter((model) => !hasTrained(judge, model)).length;
  const corrected = tests > 1 ? `The p-values are corrected for ${tests} comparisons (Holm). ` : "";
  return section("differences", `Difference to ${baseline}`,
    el("p", { class: "lead" }, `Paired by role, on the roles that both models have a score for. ${corrected}Win, tie, loss: roles with a higher, equal and lower composite.`),
    table(`Difference to ${baseline} by ${judge}`, ["model", "composite", ...data.rubric.criteria.map((c) => c.name), "p-value", "win / tie / loss"], rows),
    el("div", { class: "charts" }, others.map((model) => figure([modelName(model, judge), ` less ${baseline}, one bar a role`], differences(model, judge)))),
  );
}

function differences(model, judge) {
  const found = data.roles.map((role) => [roleDifference(role.id, model, judge), role.title]).filter(([difference]) => difference !== null);
  return waterfall(`${model} less ${baseline}, ${found.length} roles`, found);
}

function groupsSection(judge) {
  return section("groups", "By level and focus",
    groupTable("level", "by_level", judge),
    details(`By focus: ${plural(new Set(data.roles.map((role) => role.focus)).size, "area")}, few roles each`, groupTable("focus", "by_focus", judge)),
  );
}

// A heat table: groups down, models and differences across.
function groupTable(noun, key, judge) {
  const figures = data.figures[judge];
  const groups = [...new Set(models.flatMap((model) => Object.keys(figures[model][key])))];
  const order = (group) => (noun === "level" ? data.levels.indexOf(group) : 0);
  groups.sort((one, other) => order(one) - order(other) || one.localeCompare(other));
  const others = models.filter((model) => figures[model].difference);
  const rows = groups.map((group) => [
    group,
    String(data.roles.filter((role) => role[noun] === group).length),
    ...models.map((model) => heatCell(figures[model][key][group], number, (value) => ["score", value / 10])),
    ...others.map((model) => heatCell(figures[model].difference[key][group], signed, (value) => [hasTrained(judge, model) ? "score" : value < 0 ? "loss" : "gain", hasTrained(judge, model) ? 0 : Math.abs(value) / 10])),
  ]);
  const head = [noun, "roles", ...models.map((model) => modelName(model, judge)), ...others.map((model) => `${model} less ${baseline}`)];
  return table(`Composite by ${noun}, judge ${judge}`, head, rows, { class: "heat" });
}

function heatCell(found, format, tint) {
  if (!found) return NONE;
  const [kind, share] = tint(found.mean);
  return el("td", { class: `${kind} tint${Math.min(10, Math.round(share * 10))}` }, estimate(found, format));
}

function textsSection() {
  const texts = data.texts;
  const across = (name, cell) => [name, ...models.map((model) => cell(texts[model]))];
  const share = (figure) => estimate(figure, percent);
  const rows = [
    across("tokens a question", (text) => estimate(text.tokens, (value) => number(value, 0))),
    across("words a question", (text) => estimate(text.words, (value) => number(value, 0))),
    across("cut off at the length limit", (text) => String(text.cut_off)),
    across("seconds a question, median", (text) => number(text.seconds_median, 2)),
    across("seconds a question, 95 of 100 within", (text) => number(text.seconds_p95, 2)),
    across("cost of all questions", (text) => dollars(text.cost_usd)),
    ...["1", "2", "3"].map((n) => across(`distinct ${n === "1" ? "words" : `sequences of ${n} words`}`, (text) => percent(text.distinct[n]))),
    across("identical to another role's question", (text) => String(text.identical)),
    across("wording shared with another role's question", (text) => share(text.overlap)),
    across("new against the training rollouts", (text) => share(text.novelty)),
    across("copies of a training rollout", (text) => (isNumber(text.copies) ? String(text.copies) : NONE)),
  ];
  const runs = [...new Set(models.map((model) => texts[model].rollouts_of).filter(Boolean))];
  return section("texts", "The texts",
    el("p", { class: "lead" }, "What can be counted without a judge. Shared wording is the share of a question's word triples, the words of its own role masked, that stand in the most similar question of another role."),
    table("Length, time, cost and diversity", ["figure", ...models.map((model) => modelName(model))], rows),
    runs.length > 0 && el("p", { class: "note" }, `Training rollouts: ${runs.join(", ")}.`),
  );
}

function simulatedSection() {
  const found = data.simulated;
  if (!found) return null;
  const rows = models.map((model) => [modelName(model), estimate(found.models[model], percent), String(found.missing[model])]);
  return section("simulated", "Simulated candidates",
    el("p", { class: "lead" }, `A weak and a strong candidate answered each question ${plural(found.answers, "time")}, played by language models, and a grader that did not know who was who graded the answers: ${found.judge}. The figure is the probability that a strong answer gets the better grade, a tie counts half; 50% is a question that tells nothing.`),
    table("Probability that a strong answer beats a weak one", ["model", "strong beats weak", "without a figure"], rows),
  );
}

function pairwiseSection(judge) {
  const found = data.pairwise[judge];
  if (!found) return null;
  const rows = models.filter((model) => found.strengths[model]).map((model) => {
    const strength = found.strengths[model];
    return [
      modelName(model, judge),
      estimate(strength.log_strength, (value) => signed(value, 2)),
      model === baseline ? "baseline" : estimate(strength.beats_baseline, percent),
      `${strength.wins} / ${strength.ties} / ${strength.losses}`,
    ];
  });
  const preferences = models.filter((model) => found.strengths[model]?.beats_baseline).map((model) => ({ label: model, class: modelClass(model), estimate: found.strengths[model].beats_baseline }));
  return section("pairwise", "Compared directly",
    el("p", { class: "lead" }, "The judge was shown two questions for a role, in both orders. Strengths are Bradley–Terry with ties, as logarithms relative to the baseline."),
    table(`Strengths by ${judge}`, ["model", "log strength", `preferred to ${baseline}`, "win / tie / loss"], rows),
    preferences.length > 0 && el("div", { class: "charts" }, figure(`Probability of being preferred to ${baseline}, a tie counts half`, intervals("Preferred", preferences, { high: 1, marks: [0, 0.25, 0.5, 0.75, 1], format: percent, mark: percent }))),
    definitions([
      ["Comparisons", `${found.comparisons.length}, ${found.unanswered} without an answer`],
      ["Both orders gave the same answer", percent(found.orders_agree)],
      ["The question shown first won", `${percent(found.first_preferred)} of the decided (50% is no bias)`],
    ]),
  );
}

function section(id, heading, ...content) {
  return el("section", { id, "aria-labelledby": `${id}-heading` }, el("h2", { id: `${id}-heading` }, heading), ...content);
}
