// The writing page: an advertisement or a role goes in, judged questions or a kit come out. A reload loses nothing.

import { get, pause, persistently, post } from "./api.js";
import { capitalised, el, number, plural } from "../elements/dom.js";
import { announce, byId, copy, setProgress, setText, show } from "./page.js";
import { keepButton } from "./keep.js";
import { KeptSet } from "./kept_set.js";
import { KitEditor } from "./kit_editor.js";
import * as model from "./model_state.js";
import { fillRole, roleOf } from "./role_form.js";
import * as state from "./write_state.js";

const form = byId("role");
const MAX_SCORE = Number(form.dataset.maxScore);
const kept = new KeptSet(() => roleOf(form), (set) => fillRole(form, set.role), changed);
const editor = new KitEditor((kit) => keep({ kit }));
let questions = []; // those on the page
let job = null; // what is being written: `{kind, id}`, with `kind` a path of the API

// ---- writing

/** Have something written; `place(result)` puts it on the page. */
async function work(kind, body, place) {
  if (job) return;
  try {
    begin();
    const { job_id: id } = await persistently(() => post(`/api/${kind}`, body), away);
    await follow({ kind, id }, place);
  } catch (error) {
    complain(error.message);
  } finally {
    end();
  }
}

function begin() {
  show("notice", false);
  show("job");
  setProgress("job-progress", null);
  setText("job-text", "Starting …");
  byId("job").scrollIntoView({ block: "nearest" });
  setBusy(true);
}

function end() {
  job = null;
  keep({ job });
  show("job", false);
  setBusy(false);
}

/** Wait for a job, which a reload does not end. */
async function follow(started, place) {
  job = started;
  keep({ job });
  while (true) {
    const view = await persistently(() => get(`/api/${job.kind}/${encodeURIComponent(job.id)}`), away);
    if (view.state === "failed") throw new Error(view.message);
    if (view.state === "done") return place(view);
    setText("job-text", view.message);
    setProgress("job-progress", view.state === "writing" ? view.progress : null);
    await pause(0.5);
  }
}

function complain(text) {
  setText("notice-text", text);
  show("notice");
}

function write(count, place) {
  if (!form.reportValidity()) return;
  const best_of = Number(new FormData(form).get("best_of"));
  const role = roleOf(form);
  work("write", { role, count, best_of }, (result) => {
    place(result.questions.map((question) => ({ ...question, role })));
    setText("model-text", result.message);
    announce(`${plural(result.questions.length, "question")} written. ${result.message}`);
  });
}

function placeAll(found) {
  questions = found;
  drawQuestions();
  byId("questions").scrollIntoView({ block: "nearest" });
}

function drawQuestions() {
  show("questions-empty", questions.length === 0);
  byId("questions").querySelectorAll(".question").forEach((old) => old.remove());
  byId("questions").append(...questions.map(card));
  keep({ questions });
}

function writeKit() {
  if (!form.reportValidity()) return;
  const fields = new FormData(form);
  const wish = (name) => fields.get(name) || null;
  const body = { role: roleOf(form), count: Number(fields.get("count")), best_of: Number(fields.get("best_of")), difficulty: wish("difficulty"), language: wish("language") };
  work("kit", body, placeKit);
}

function placeKit({ kit, message }) {
  editor.show(kit);
  keep({ kit });
  byId("kit").scrollIntoView({ block: "start" });
  setText("model-text", message);
  announce(`A kit of ${plural(kit.questions.length, "question")} is written.`);
}

function read() {
  const text = byId("advertisement").value.trim();
  const most = Number(byId("advertisement").dataset.most);
  if (text.length < 20) return complain("Paste an advertisement first: its whole text.");
  if (text.length > most) return complain(`This text has ${text.length.toLocaleString("en")} characters, and ${most.toLocaleString("en")} are read; take out what says nothing of the work.`);
  work("advertisement", { text }, placeRole);
}

function placeRole({ role, assumed }) {
  fillRole(form, role);
  keepForm();
  setText("read-result", `Found; correct it below. ${assumed.length ? `Not certain: ${assumed.join("; ")}.` : ""}`);
  show("read-result");
  form.elements.title.focus();
}

const PLACES = { write: ({ questions: found }) => placeAll(found), kit: placeKit, advertisement: placeRole };

/** Keep parts of what is on the page in this browser, and say once if it stores nothing. */
function keep(parts) {
  if (!state.save(parts)) setText("model-text", "This browser stores nothing, so a reload loses what is here.");
}

const keepForm = () => keep({ form: Object.fromEntries(new FormData(form)), advertisement: byId("advertisement").value });

function changed() {
  markKept();
  keep({ set: kept.unsaved });
}

const away = () => setText("job-text", "The server does not answer; trying again …");

function setBusy(busy) {
  for (const button of document.querySelectorAll("#write, #write-kit, #read, .again")) button.disabled = busy;
}

// ---- a question on the page

function card(question) {
  const made = byId("question-template").content.firstElementChild.cloneNode(true);
  made.querySelector(".question-text").textContent = question.text;
  made.querySelector(".question-why").textContent = question.reasoning || question.unscored_reason || "";
  made.querySelector(".question-scores").append(scores(question));
  made.querySelector(".keep").addEventListener("click", () => kept.toggle(question.text));
  made.querySelector(".copy").addEventListener("click", () => copy(question.text));
  made.querySelector(".keep").after(keepButton("Keep this question in the bank", () => ({ role: question.role ?? roleOf(form), text: question.text })));
  made.querySelector(".again").addEventListener("click", () => write(1, ([other]) => {
    questions[questions.indexOf(question)] = other;
    made.replaceWith(card(other));
    keep({ questions });
  }));
  mark(made);
  return made;
}

function scores(question) {
  if (!question.scores) return el("p", { class: "small muted", text: `Not scored: ${question.unscored_reason}` });
  const list = el("dl");
  const named = { overall: question.composite, ...question.scores };
  for (const [name, value] of Object.entries(named)) {
    const meter = el("meter", { min: 0, max: MAX_SCORE, value, "aria-label": capitalised(name) });
    list.append(el("div", {}, el("dt", { text: capitalised(name) }), el("dd", {}, number(value, 1), meter)));
  }
  return list;
}

function mark(made) {
  const isKept = kept.has(made.querySelector(".question-text").textContent);
  made.classList.toggle("kept", isKept);
  const button = made.querySelector(".keep");
  button.setAttribute("aria-pressed", isKept);
  button.textContent = isKept ? "Kept" : "Keep";
}

function markKept() {
  byId("questions").querySelectorAll(".question").forEach(mark);
}

// ---- start

form.addEventListener("submit", (event) => {
  event.preventDefault();
  write(Number(new FormData(form).get("count")), placeAll);
});
form.addEventListener("input", keepForm);
byId("write-kit").addEventListener("click", writeKit);
byId("read").addEventListener("click", read);
byId("set-name").addEventListener("input", changed);
byId("stop").addEventListener("click", () => job && post(`/api/write/${encodeURIComponent(job.id)}/cancel`).catch((error) => complain(error.message)));
byId("example").addEventListener("change", async ({ target }) => {
  if (!target.value) return;
  fillRole(form, await persistently(() => get(`/api/roles/${encodeURIComponent(target.value)}`), away));
  keepForm();
});

async function restore() {
  const was = state.load();
  for (const [name, value] of Object.entries(was.form ?? {})) if (form.elements[name]) form.elements[name].value = value;
  byId("advertisement").value = was.advertisement ?? "";
  if (was.set) kept.restore(was.set);
  if (was.questions?.length) {
    questions = was.questions;
    drawQuestions();
  }
  editor.show(was.kit ?? null);
  if (!was.job) return;
  try {
    begin();
    await follow(was.job, PLACES[was.job.kind]);
  } catch (error) {
    complain(error.code === "not_found" ? "What was being written is no longer on the server; have it written again." : error.message);
  } finally {
    end();
  }
}

restore();
model.follow((text, usable) => {
  byId("write").disabled = byId("write-kit").disabled = byId("read").disabled = !usable || Boolean(job);
  setText("model-text", text);
});
