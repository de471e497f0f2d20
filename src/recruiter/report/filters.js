// What is shown of the questions: a form, its state in the address, and the test that a role has to pass.

const STATES = [
  ["all", "all questions"],
  ["missing", "unscored or not written"],
  ["cut", "cut off at the length limit"],
  ["gain", "higher than the baseline"],
  ["loss", "lower than the baseline"],
  ["disagree", "judges two points or more apart"],
];
const ORDERS = [
  ["given", "as evaluated"],
  ["low", "lowest composite first"],
  ["high", "highest composite first"],
  ["gain", "largest gain first"],
  ["loss", "largest loss first"],
];
const FIELDS = ["search", "level", "focus", "about", "low", "high", "state", "order"];

// The form; `changed` is called with what it says whenever that changes.
function filterForm(changed) {
  const levels = data.levels.filter((level) => data.roles.some((role) => role.level === level));
  const areas = [...new Set(data.roles.map((role) => role.focus))].sort();
  const options = (list) => list.map(([value, text]) => el("option", { value }, text));
  const same = (list) => list.map((text) => [text, text]);
  const states = STATES.filter(([state]) => (state !== "disagree" || judges.length > 1) && (!["gain", "loss"].includes(state) || models.length > 1));
  const orders = ORDERS.filter(([order]) => !["gain", "loss"].includes(order) || models.length > 1);
  const select = (name, list) => el("select", { name }, options(list));
  const bound = (name, value) => el("input", { name, type: "number", min: 0, max: 10, step: 0.5, value, inputmode: "decimal" });
  const form = el("form", { class: "filters", role: "search", "aria-label": "Filter the questions" },
    el("label", { class: "wide" }, "Text", el("input", { name: "search", type: "search", placeholder: "in questions, roles and reasons", autocomplete: "off" })),
    el("label", {}, "Level", select("level", [["", "all levels"], ...same(levels)])),
    el("label", {}, "Focus", select("focus", [["", "all focus areas"], ...same(areas)])),
    el("label", {}, "Show", select("state", states)),
    el("div", { class: "range" }, el("label", {}, "Score from", bound("low", 0)), el("label", {}, "to", bound("high", 10))),
    models.length > 1 && el("label", {}, "Applied to", select("about", [["", "any shown model"], ...same(models)])),
    el("label", {}, "Order", select("order", orders)),
    el("button", { type: "reset" }, "Clear"),
    el("fieldset", {},
      el("legend", {}, "In view"),
      models.length > 1 && models.map((model) => el("label", { class: "check" }, el("input", { type: "checkbox", name: "model", value: model, checked: true }), modelName(model))),
      el("label", { class: "check" }, el("input", { type: "checkbox", name: "reasons", checked: true }), "the judge's reasons"),
    ),
  );
  const read = () => {
    const values = new FormData(form);
    const bounded = (name, otherwise) => (values.get(name) === "" || !Number.isFinite(Number(values.get(name))) ? otherwise : Number(values.get(name)));
    return {
      ...Object.fromEntries(FIELDS.map((name) => [name, values.get(name) ?? ""])),
      low: bounded("low", 0),
      high: bounded("high", 10),
      words: (values.get("search") ?? "").toLowerCase().split(/\s+/).filter(Boolean),
      models: models.length > 1 ? values.getAll("model") : models,
      reasons: values.has("reasons"),
    };
  };
  const tell = () => {
    remember(form);
    changed(read());
  };
  form.addEventListener("input", tell);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(tell));
  recall(form);
  return { form, read };
}

// The address after the # keeps what differs from the start, so that a view can be kept and sent on with the file.
function remember(form) {
  const kept = new URLSearchParams();
  for (const name of FIELDS) {
    const control = form.elements[name];
    const start = control?.tagName === "SELECT" ? control.options[0]?.value : control?.defaultValue;
    if (control && control.value !== start) kept.set(name, control.value);
  }
  history.replaceState(null, "", `#${kept}`);
}

function recall(form) {
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
    if (FIELDS.includes(name) && form.elements[name]) form.elements[name].value = value;
  }
}

// The roles that pass, in the order asked for.
function selectRoles(filter, judge) {
  const shown = filter.about ? [filter.about] : filter.models;
  const others = shown.filter((model) => model !== baseline);
  const extreme = (values, pick) => (values.length ? pick(...values) : null);
  const scores = (role) => shown.map((model) => roleScore(role.id, model, judge)).filter(isNumber);
  const gains = (role) => others.map((model) => roleDifference(role.id, model, judge)).filter(isNumber);
  const passes = {
    all: () => true,
    missing: (role) => shown.some((model) => samplesOf(role.id, model).some((sample) => !scoresOf(sample, judge))),
    cut: (role) => shown.some((model) => samplesOf(role.id, model).some((sample) => sample.finished === false)),
    gain: (role) => gains(role).some((gain) => gain > 1e-9),
    loss: (role) => gains(role).some((gain) => gain < -1e-9),
    disagree: (role) => shown.some((model) => samplesOf(role.id, model).some((sample) => apart(sample) >= 2)),
  }[filter.state] ?? (() => true);
  const everything = filter.low <= 0 && filter.high >= 10;
  const found = data.roles.filter((role) =>
    (!filter.level || role.level === filter.level) &&
    (!filter.focus || role.focus === filter.focus) &&
    (everything || scores(role).some((score) => score >= filter.low && score <= filter.high)) &&
    passes(role) &&
    (!filter.words.length || containsAll(role, filter.models, filter.words)),
  );
  const key = {
    low: (role) => extreme(scores(role), Math.min),
    high: (role) => extreme(scores(role).map((score) => -score), Math.min),
    gain: (role) => extreme(gains(role).map((gain) => -gain), Math.min),
    loss: (role) => extreme(gains(role), Math.min),
  }[filter.order];
  if (!key) return found;
  return found.map((role) => [key(role) ?? Infinity, role]).sort((one, other) => one[0] - other[0] || 0).map(([, role]) => role);
}

// How far the judges' composites of a sample lie apart.
function apart(sample) {
  const found = judges.map((judge) => scoresOf(sample, judge)?.composite).filter(isNumber);
  return found.length > 1 ? Math.max(...found) - Math.min(...found) : 0;
}

const searchable = new Map();

function containsAll(role, shown, words) {
  const text = [roleText(role), ...shown.map((model) => modelText(role, model))].join("\n");
  return words.every((word) => text.includes(word));
}

function roleText(role) {
  return cached(role.id, () => [role.id, role.title, role.focus, role.level, role.description, ...role.stack, ...role.key_skills]);
}

function modelText(role, model) {
  return cached(`${role.id}\n${model}`, () => samplesOf(role.id, model).flatMap((sample) => [sample.question, sample.failure, ...Object.values(sample.judgements).flatMap((found) => [found.reasoning, found.unscored_reason])]));
}

function cached(key, parts) {
  if (!searchable.has(key)) searchable.set(key, parts().filter(Boolean).join("\n").toLowerCase());
  return searchable.get(key);
}
