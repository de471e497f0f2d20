// The page: head, sections, and the choice of a judge.

function head(judge, choose) {
  const facts = [plural(data.roles.length, "role"), `${plural(data.plan.samples, "question")} a role and model`, `made ${data.made_at.slice(0, 10)}`];
  const warnings = [...data.flags, ...Object.entries(data.left_out).map(([model, why]) => `${model} is left out: ${why}`), ...models.flatMap((model) => data.models[model].notes.map((note) => `${model}: ${note}`))];
  const chooser = judges.length > 1 && el("label", { class: "judge" }, "Scores by", el("select", { onchange: (event) => choose(event.target.value) }, judges.map((name) => el("option", { value: name, selected: name === judge }, name))));
  const links = [["reads", "Blind reads"], ["scores", "Scores"], ["differences", "Differences"], ["groups", "Levels"], ["texts", "Texts"], ["simulated", "Candidates"], ["pairwise", "Direct"], ["judges", "Judges"], ["questions", "Questions"], ["method", "Method"]];
  return [
    el("h1", {}, "Evaluation of ", models.map((model, index) => [index > 0 && (index === models.length - 1 ? " and " : ", "), model])),
    ...data.evidence.map((line) => el("p", { class: "evidence" }, line)),
    el("p", { class: "facts" }, [...facts, judges.length === 1 && `judge ${judge}`].filter(Boolean).map((fact) => el("span", {}, fact))),
    warnings.length > 0 && el("aside", { class: "flags", "aria-label": "To bear in mind" }, el("h2", {}, "To bear in mind"), el("ul", {}, warnings.map((text) => el("li", {}, text)))),
    el("nav", { "aria-label": "Sections" }, links.filter(([id]) => document.getElementById(id)).map(([id, text]) => el("a", { href: `#${id}`, onclick: jump }, text)), chooser),
  ];
}

// Follows a link without touching the address, which holds the filter.
function jump(event) {
  const target = document.querySelector(event.currentTarget.getAttribute("href"));
  event.preventDefault();
  target.setAttribute("tabindex", "-1");
  target.focus({ preventScroll: true });
  target.scrollIntoView();
}

function draw(judge) {
  const judged = judge ? [scoresSection(judge), differencesSection(judge), groupsSection(judge)] : [];
  const sections = [readsSection(), ...judged, textsSection(), simulatedSection(), pairwiseSection(judge), judgesSection(), questionsSection(judge), methodSection()];
  document.getElementById("content").replaceChildren(...sections.filter(Boolean));
  document.getElementById("top").replaceChildren(...head(judge, redraw).filter(Boolean));
}

function redraw(judge) {
  draw(judge);
  document.querySelector(".judge select").focus();
}

document.querySelector(".skip").addEventListener("click", jump);
draw(judges[0]);
