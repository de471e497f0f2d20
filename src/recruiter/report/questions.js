// The questions of every model side by side, a card for each role.

const AT_ONCE = 30;

function questionsSection(judge) {
  const list = el("ol", { class: "roles" });
  const status = el("p", { class: "status", role: "status" });
  const more = el("button", { type: "button", class: "more", hidden: true });
  let roles = [];
  let filter;

  const show = (count) => {
    const start = list.children.length;
    list.append(...roles.slice(start, start + count).map((role) => roleCard(role, filter, judge)));
    const left = roles.length - list.children.length;
    more.hidden = left === 0;
    more.textContent = `Show ${Math.min(left, AT_ONCE)} more of ${left}`;
  };
  const update = (changed) => {
    filter = changed;
    roles = filter.models.length ? selectRoles(filter, judge) : [];
    list.replaceChildren();
    show(AT_ONCE);
    status.textContent = !filter.models.length ? "Choose a model to show." : roles.length ? `${roles.length} of ${plural(data.roles.length, "role")}` : "No role fits. Clear the filter to see all.";
  };
  const { form, read } = filterForm(update);
  more.addEventListener("click", () => {
    const next = list.children.length;
    show(AT_ONCE);
    list.children[next]?.focus();
  });
  list.addEventListener("keydown", (event) => {
    const step = { j: 1, k: -1 }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    const here = [...list.children].indexOf(event.target.closest(".roles > li"));
    if (step > 0 && here === list.children.length - 1 && !more.hidden) show(AT_ONCE);
    list.children[here + step]?.focus();
  });
  update(read());
  return section("questions", "Questions side by side",
    el("p", { class: "note keys" }, "With a role in focus, j goes to the next one and k to the one before."),
    form, status, list, more,
  );
}

function roleCard(role, filter, judge) {
  const shown = filter.models;
  return el("li", { tabindex: "-1", "aria-label": role.title },
    el("header", {},
      el("h3", {}, role.title),
      el("p", { class: "facts" }, [role.level, role.focus, role.stack.join(", ")].map((fact) => el("span", {}, fact))),
      details("Role description", el("p", {}, marked(role.description, filter.words)), el("p", { class: "note" }, `Key skills: ${role.key_skills.join(", ")}. Id: ${role.id}`)),
    ),
    el("div", { class: `columns of${Math.min(shown.length, 4)}` }, shown.map((model) => modelColumn(role, model, filter, judge))),
    comparisons(role, shown, judge),
  );
}

function modelColumn(role, model, filter, judge) {
  const samples = samplesOf(role.id, model);
  const difference = model === baseline ? null : roleDifference(role.id, model, judge);
  const several = samples.length > 1;
  return el("article", { class: "answer" },
    el("h4", {}, modelName(model),
      several && judge && el("span", { class: "badge" }, number(roleScore(role.id, model, judge))),
      difference !== null && el("span", { class: hasTrained(judge, model) ? null : difference < 0 ? "down" : "up", title: `less ${baseline}` }, signed(difference)),
    ),
    samples.length ? samples.map((sample) => sampleBlock(sample, filter, judge)) : el("p", { class: "missing" }, "No question was asked for."),
  );
}

function sampleBlock(sample, filter, judge) {
  const scores = scoresOf(sample, judge);
  const ordered = [judge, ...judges.filter((other) => other !== judge)].filter(Boolean);
  return el("div", { class: "sample" },
    sample.question === null
      ? el("p", { class: "missing" }, `Not written: ${sample.failure ?? "no reason was stored"}`)
      : el("blockquote", {}, sample.question.trim() ? marked(sample.question, filter.words) : el("em", {}, "(empty)")),
    el("p", { class: "scores" },
      judge && el("span", { class: "badge" }, scores ? number(scores.composite) : "unscored"),
      scores && data.rubric.criteria.map(({ name }) => el("span", {}, `${name} `, el("b", {}, number(scores[name])))),
      sample.finished === false && el("span", { class: "mark" }, "cut off"),
    ),
    filter.reasons && ordered.map((name) => reason(sample, name, filter.words)),
  );
}

function reason(sample, judge, words) {
  const found = sample.judgements[judge];
  if (!found) return null;
  const label = judges.length > 1 && el("b", {}, judge, found.scores ? ` ${number(found.scores.composite)}` : "", ". ");
  const text = found.unscored_reason ? `Unscored: ${found.unscored_reason}` : found.reasoning;
  return text ? el("p", { class: "reason" }, label, marked(text, words)) : label && el("p", { class: "reason" }, label);
}

// What the judge said when it saw two questions of this role.
function comparisons(role, shown, judge) {
  const found = (comparisonsByRole(judge).get(role.id) ?? []).filter((c) => shown.includes(c.first) && shown.includes(c.second));
  if (!found.length) return null;
  const items = found.map((c) => {
    const verdict = c.preferred === null ? `no answer: ${c.failure}` : c.preferred === "tie" ? "no preference" : `prefers ${c[c.preferred]}`;
    return el("li", {}, `${c.first}, then ${c.second}: `, el("b", {}, verdict), c.reasoning && ` – ${c.reasoning}`);
  });
  const verdicts = found.map((c) => (c.preferred === "tie" ? "tie" : c.preferred ? c[c.preferred] : "no answer"));
  const summary = new Set(verdicts).size === 1 ? `${verdicts[0]} each time` : verdicts.join(", ");
  return details(`Compared directly: ${summary}`, el("ul", { class: "comparisons" }, items));
}

const grouped = new Map();

function comparisonsByRole(judge) {
  if (!grouped.has(judge)) {
    const byRole = new Map();
    for (const comparison of data.pairwise[judge]?.comparisons ?? []) {
      if (!byRole.has(comparison.role_id)) byRole.set(comparison.role_id, []);
      byRole.get(comparison.role_id).push(comparison);
    }
    grouped.set(judge, byRole);
  }
  return grouped.get(judge);
}

// The text with every occurrence of a searched word marked.
function marked(text, words) {
  if (!words.length) return text;
  const escaped = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return text.split(new RegExp(`(${escaped.join("|")})`, "gi")).map((part, index) => (index % 2 ? el("mark", {}, part) : part));
}
