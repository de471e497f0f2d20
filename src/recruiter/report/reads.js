// Blind reads: what readers prefer, how far they agree, and how far judges agree with them.

function readsSection() {
  const found = data.reads;
  if (!found) return null;
  const readers = Object.entries(found.readers).map(([name, kind]) => `${name} (${kind === "not stated" ? "kind not stated" : kind})`);
  const rows = models.map((model) => {
    const figures = found.models[model];
    return [
      modelName(model),
      estimate(figures.score),
      estimate(figures.no_sense, percent),
      model === found.reference ? "reference" : estimate(figures.preferred, percent),
      model === found.reference ? NONE : `${figures.won} / ${figures.lost} / ${figures.tied}`,
      model === found.reference ? NONE : estimate(figures.difference, signed),
    ];
  });
  const preferences = models.filter((model) => found.models[model].preferred).map((model) => ({ label: model, class: modelClass(model), estimate: found.models[model].preferred }));
  return section("reads", "Read blind",
    el("p", { class: "lead" }, `Read without names by ${readers.join(", ")}. A pair is one reader's scores for two models' questions for a role; intervals count roles, however many read them.`),
    table("Blind reads", ["model", "mean", "makes no sense", `preferred to ${found.reference}, of decided pairs`, "won / lost / tied", "difference"], rows),
    preferences.length > 0 && el("div", { class: "charts" }, figure(`Preferred to ${found.reference}, share of decided pairs with 95% interval`, intervals("Preferred", preferences, { high: 1, marks: [0, 0.25, 0.5, 0.75, 1], format: percent, mark: percent }))),
    found.agreement.length > 0 && table(`Readers against each other; Krippendorff's alpha ${number(found.alpha, 2)}`, ["readers", "questions", "rank correlation"],
      found.agreement.map((each) => [each.readers.join(" and "), String(each.questions), number(each.spearman, 2)])),
    judges.length > 0 && table("Rank correlation of judges with the readers' mean", ["judge", "questions", "composite", ...data.rubric.criteria.map(({ name }) => name)],
      judges.map((judge) => [judge, String(found.judges[judge].questions), ...["composite", ...data.rubric.criteria.map(({ name }) => name)].map((name) => number(found.judges[judge].spearman[name], 2))])),
  );
}
