// The page of the bank: find, edit, tag and retire questions, note which were asked, take in a file of them.

import { call, get, persistently, post } from "./api.js";
import { el, plural } from "../elements/dom.js";
import { asLines, asText, EMPTY, PARTS } from "./guide_form.js";
import { isSure, newRequest } from "./keep.js";
import { announce, ask, byId, setText, show, when } from "./page.js";

const SIZE = 20;
const ticked = new Set(); // numbers of questions for a set, on any page
let page = 1;
let asked = 0; // searches so far: only the latest is shown

// ---- finding

async function refresh() {
  const mine = ++asked;
  const wish = new FormData(byId("search"));
  const choice = new URLSearchParams({ query: wish.get("query"), tag: wish.get("tag"), state: wish.get("state"), page, size: SIZE });
  const found = await attempt(() => persistently(() => get(`/api/bank?${choice}`), (error) => complain(error.message)));
  if (!found || mine !== asked) return;
  fillTags(found.tags);
  byId("bank-list").replaceChildren(...found.questions.map(item));
  const first = (page - 1) * SIZE + 1;
  const empty = wish.get("query") || wish.get("tag") || wish.get("state") !== "active" ? "Nothing matches." : "No question is kept yet: keep one on the page Write, or import a file below.";
  setText("range", found.total ? `${first} to ${first + found.questions.length - 1} of ${found.total.toLocaleString("en")}` : empty);
  show("turn", found.total > SIZE);
  byId("earlier").disabled = page === 1;
  byId("later").disabled = page * SIZE >= found.total;
}

function fillTags(tags) {
  const choice = byId("tag");
  const chosen = choice.value;
  choice.replaceChildren(el("option", { value: "", text: "Any" }), ...tags.map((text) => el("option", { value: text, text, selected: text === chosen })));
}

// ---- a question

function item(question) {
  const { id } = question;
  const box = el("input", { type: "checkbox", checked: ticked.has(id), disabled: Boolean(question.retired_at), onchange: ({ target }) => tick(id, target.checked) });
  const used = question.uses ? `used ${plural(question.uses, "time")}, last ${when(question.last_used_at)}` : "not used yet";
  const facts = [question.skill && `Tests: ${question.skill}`, question.role.level, `version ${question.version}`, used];
  const past = el("details", { ontoggle: ({ target }) => target.open && fill(target, id) }, el("summary", { text: "Versions, uses and guide", "aria-label": `Versions, uses and guide of question ${id}` }));
  return el("li", { class: "card stack", id: `question-${id}` },
    el("h2", { text: `${id}. ${question.role.title}` }),
    el("p", { class: "question-text", text: question.text, dir: "auto" }),
    el("p", { class: "small muted", text: facts.filter(Boolean).join(" · ") }),
    question.tags.length ? el("ul", { class: "chips", "aria-label": "Tags" }, question.tags.map((text) => el("li", { text }))) : null,
    question.retired_at ? el("p", { class: "notice warn small", text: `Retired ${when(question.retired_at)}: ${question.retired_reason}` }) : null,
    el("div", { class: "row" },
      el("label", { class: "row small" }, box, "Into the set"),
      el("button", { type: "button", text: "Edit", "aria-label": `Edit question ${id}`, onclick: ({ target }) => edit(target.closest("li"), question) }),
      question.retired_at
        ? el("button", { type: "button", text: "Take back", "aria-label": `Take the retirement of question ${id} back`, onclick: () => restore(id) })
        : el("button", { type: "button", class: "danger", text: "Retire …", "aria-label": `Retire question ${id}`, onclick: () => retire(id) }),
    ),
    past,
  );
}

function tick(id, isOn) {
  if (isOn) ticked.add(id);
  else ticked.delete(id);
  setText("use-about", ticked.size ? `${plural(ticked.size, "question")} ticked: ${[...ticked].join(", ")}.` : "Tick questions above, and say for which role they were asked.");
}

async function fill(details, id) {
  const found = await attempt(() => persistently(() => get(`/api/bank/${id}`)));
  if (!found) return;
  const past = found.versions.filter((one, i) => i && !sameGuide(one.guide, found.versions[i - 1].guide));
  const said = (one, i) => (one.text === found.versions[i + 1]?.text ? "another guide" : one.text);
  details.querySelectorAll(":scope > :not(summary)").forEach((old) => old.remove());
  details.append(
    ...lists([
      ["Versions", found.versions.map((one, i) => `${one.version}, ${one.by ?? "somebody"}, ${when(one.created_at)}: ${said(one, i)}`)],
      ["Asked", found.uses.map((one) => `${when(one.used_at)} for ${one.role_title}, set “${one.name}”, version ${one.version}`)],
      ["Instead of it", found.replacements.map((one) => `${one.id}. ${one.text}`)],
      ...inWords(found.question.entry?.guide),
    ]),
    ...past.map((one) => el("details", {},
      el("summary", { text: `Guide of version ${one.version}` }),
      one.guide ? lists(inWords(one.guide)) : el("p", { text: "It had none." }),
    )),
  );
}

const inWords = (guide) => [["A good answer", guide?.good], ["A weak answer", guide?.weak], ["Ask next", guide?.probes], ["Score, 1 to 4", guide?.scale]];

/** Titles with their lines; those without any are left out. */
function lists(parts) {
  const list = ([title, lines]) => el("div", {}, el("h3", { text: title }), el("ul", {}, lines.map((text) => el("li", { text, dir: "auto" }))));
  return parts.filter(([, lines]) => lines?.length).map(list);
}

const sameGuide = (one, other) => JSON.stringify(one ?? EMPTY) === JSON.stringify(other ?? EMPTY);

function edit(place, question) {
  const area = el("textarea", { rows: 4, name: "text", dir: "auto", required: true, maxlength: 8000 });
  area.value = question.text;
  const { guide } = question.entry ?? {};
  const part = ([name, label]) => {
    const lines = el("textarea", { rows: name === "good" ? 5 : 3, name, dir: "auto" });
    lines.value = asText(guide, name);
    return el("label", { class: "field" }, label, lines);
  };
  const line = (name, label, value, most) => el("label", { class: "field" }, label, el("input", { type: "text", name, value, maxlength: most }));
  const form = el("form", { class: "card stack", "aria-label": `Edit question ${question.id}`, onsubmit: (event) => { event.preventDefault(); save(question, new FormData(form)); } },
    el("label", { class: "field" }, "Question", area),
    line("skill", "Skill", question.skill, 400),
    line("tags", "Tags, with commas between", question.tags.join(", "), 800),
    el("details", { open: Boolean(guide) }, el("summary", { text: guide ? "Guide" : "Write a guide" }), PARTS.map(part),
      el("label", { class: "field" }, "Minutes for an answer", el("input", { type: "number", name: "minutes", min: 1, max: 60, required: true, value: guide?.minutes ?? EMPTY.minutes }))),
    el("div", { class: "row" }, el("button", { class: "primary", text: "Save" }), el("button", { type: "button", text: "Go back", onclick: () => form.parentElement.replaceWith(item(question)) })),
  );
  place.replaceWith(el("li", {}, form));
  area.focus();
}

async function save(question, fields) {
  const text = fields.get("text").trim();
  const tags = fields.get("tags").split(",").map((tag) => tag.trim()).filter(Boolean);
  const lines = Object.fromEntries(PARTS.map(([name]) => [name, asLines(fields.get(name))]));
  const guide = Object.values(lines).some((part) => part.length) ? { ...lines, minutes: Number(fields.get("minutes")) } : EMPTY;
  const body = { version: question.version, text, skill: fields.get("skill"), tags };
  if (!sameGuide(guide, question.entry?.guide)) body.guide = guide;
  const done = await attempt(async () => (text === question.text || (await isSure(text, question.id))) && call("PATCH", `/api/bank/${question.id}`, body), "Saved.");
  if (done) refresh();
}

async function retire(id) {
  byId("retire-reason").value = "";
  if ((await ask(byId("retire-dialog"))) !== "yes") return;
  const done = await attempt(() => post(`/api/bank/${id}/retire`, { reason: byId("retire-reason").value }), "Retired.");
  if (!done) return;
  tick(id, false);
  await refresh();
  const instead = done.replacements.map((one) => `number ${one.id}: ${one.text}`);
  complain(instead.length ? `Question ${id} is retired. Instead of it: ${instead.join(" · ")}` : `Question ${id} is retired. The bank has no other question for this skill or role; have one written on the page Write.`);
}

async function restore(id) {
  if (await attempt(() => post(`/api/bank/${id}/restore`), "Taken back.")) refresh();
}

// ---- the rest

function complain(text) {
  setText("notice-text", text);
  show("notice");
}

/** Do it and say that it is done, or why not; false if somebody thought better of it. */
async function attempt(action, done = "") {
  show("notice", false);
  try {
    const result = await action();
    if (done && result) announce(done);
    return result;
  } catch (error) {
    complain(error.message);
    return null;
  }
}

function turn(by) {
  page += by;
  refresh().then(() => byId("range").scrollIntoView({ block: "nearest" }));
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  page = 1;
  refresh();
});
byId("earlier").addEventListener("click", () => turn(-1));
byId("later").addEventListener("click", () => turn(1));

byId("use").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!ticked.size) return complain("Tick the questions that were asked first.");
  const body = { ...Object.fromEntries(new FormData(event.target)), request_id: newRequest(), questions: [...ticked] };
  if (!(await attempt(() => persistently(() => post("/api/bank/uses", body)), "Noted."))) return;
  event.target.reset();
  [...ticked].forEach((id) => tick(id, false));
  refresh();
});

byId("import").addEventListener("submit", async (event) => {
  event.preventDefault();
  const file = event.target.elements.file.files[0];
  setText("import-told", "Importing …");
  const done = await attempt(async () => post("/api/bank/import", { format: file.name.split(".").pop().toLowerCase(), text: await file.text() }, { seconds: 120 }), "Imported.");
  setText("import-told", done ? done.message : "Nothing was imported.");
  if (!done) return;
  event.target.reset();
  refresh();
});

refresh();
