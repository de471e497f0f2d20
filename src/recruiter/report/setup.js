// What stands behind the figures: the judges, how far they can be believed, and how everything was made.

function judgesSection() {
  if (!judges.length) return null;
  const rows = judges.map((judge) => {
    const twice = data.consistency[judge];
    return [
      judge,
      data.judges[judge].flags.join("; ") || NONE,
      twice ? [`${percent(twice.within_half)} within half a point`, el("small", {}, `of ${plural(twice.questions, "question")}, mean difference ${number(twice.mean_absolute_difference, 2)}`)] : NONE,
      twice ? number(twice.spearman, 2) : NONE,
      spentText(data.spent[judge]),
    ];
  });
  return section("judges", "The judges",
    table("Judges", ["judge", "to bear in mind", "asked twice", "rank correlation", "took"], rows),
    data.agreement.length > 0 && table("Agreement of judges on the same questions",
      ["judges", "questions", "rank correlation", "mean difference", "same preference"],
      data.agreement.map((found) => [
        found.judges.join(" and "),
        String(found.questions),
        number(found.spearman, 2),
        signed(found.mean_difference, 2),
        [percent(found.same_preference), el("small", {}, `of ${plural(found.preferences, "pair")} that both order`)],
      ])),
    judges.length === 1 && el("p", { class: "note" }, "One judge is one opinion. Name a second one with --judge to see how far they agree."),
  );
}

// Calls, tokens and cost, as stored.
function spentText(spent) {
  const parts = Object.entries(spent ?? {}).filter(([, value]) => isNumber(value) || typeof value === "string");
  return parts.map(([name, value]) => `${name.replaceAll("_", " ")} ${isNumber(value) ? value.toLocaleString("en") : value}`).join(", ") || NONE;
}

function methodSection() {
  const plan = data.plan;
  const contestants = models.map((model) => {
    const record = data.models[model];
    return details(modelName(model),
      definitions([
        ["Computed by", { local: "this machine", api: "its provider", endpoint: "an endpoint" }[record.kind]],
        ["Weights", record.source],
        ["Adapter", record.adapter],
        ["Sampled with", settings(record.sampling)],
        ["Differs from the plan", record.notes.join("; ")],
        ["Trained", record.training && trainingText(record.training)],
        ["Took", data.spent[model] && spentText(data.spent[model])],
        ["Fingerprint", record.fingerprint],
      ]),
    );
  });
  const [first] = data.roles;
  return section("method", "How it was made",
    definitions([
      ["Made", data.made_at.replace("T", " ")],
      ["Took", `${Math.round(data.seconds)} s`],
      ["Roles", `${data.roles.length} from ${plan.roles_from}`],
      ["Questions a role", plan.samples],
      ["Baseline", plan.baseline],
      ["Sampling", `${settings(plan.sampling)}, seed ${plan.seed}`],
      ["Budget", isNumber(plan.budget_usd) ? dollars(plan.budget_usd) : ""],
      ["Versions", Object.entries(data.versions).filter(([, version]) => version).map(([name, version]) => `${name} ${version}`).join(", ")],
      ["Hash of the prompt", plan.prompt_hash],
      ["Rubric", `${data.rubric.criteria.map(({ name }) => name).join(", ")}; hash ${plan.rubric_hash}`],
    ]),
    el("h3", {}, "Models"), ...contestants,
    el("h3", {}, "Prompts"),
    first && details(`What every model was sent, for example for ${first.title}`, (data.prompts[first.id] ?? []).map((message) => [el("h4", {}, message.role), el("pre", { tabindex: "0" }, message.content)])),
    details("What a judge that is a language model is told", el("pre", { tabindex: "0" }, data.judge_system)),
    el("h3", {}, "Statistics"),
    el("p", {}, "Several questions for a role count as their mean, so that a role is one observation. Intervals of means are 95% percentile bootstrap over roles, those of blind readers' preferences Wilson's with roles as clusters; p-values come from flipping the signs of paired differences. Unscored questions are counted and left out of means; nothing else is dropped."),
  );
}

const settings = (sampling) => Object.entries(sampling).map(([name, value]) => `${name} ${value}`).join(", ");

function trainingText(training) {
  const parts = [training.run, isNumber(training.step) && `step ${training.step}`, training.judge && `judge ${training.judge}`];
  return parts.filter(Boolean).join(", ");
}
