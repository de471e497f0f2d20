// The writing page: a role goes in, judged questions come out, the good ones go into a set.

import { get, pause, persistently, post } from "./api.js";
import { capitalised, el, number, plural } from "../kit/dom.js";
import { announce, byId, copy, setProgress, setText, show } from "./page.js";
import { KeptSet } from "./kept_set.js";
import * as model from "./model_state.js";
import { fillRole, roleOf } from "./role_form.js";

const form = byId("role");
const MAX_SCORE = Number(form.dataset.maxScore);
const kept = new KeptSet(() => roleOf(form), (set) => fillRole(form, set.role), markKept);
let job = null; // id of what is being written

// ---- writing

/** Have questions written for the role in the form; `place(cards)` puts them on the page. */
async function write(count, place) {
  if (job || !form.reportValidity()) return;
  show("notice", false);
  show("job");
  setProgress("job-progress", null);
  setText("job-text", "Starting …");
  byId("job").scrollIntoView({ block: "nearest" });
  setBusy(true);
  try {
    const best_of = Number(new FormData(form).get("best_of"));
    job = (await persistently(() => post("/api/write", { role: roleOf(form), count, best_of }), away)).job_id;
    const result = await finished();
    if (result.state === "failed") throw new Error(result.message);
    show("questions-empty", false);
    place(result.questions.map(card));
    show("job", false);
    if (count > 1) byId("questions").scrollIntoView({ block: "nearest" });
    announce(`${plural(result.questions.length, "question")} written. ${result.message}`);
    setText("model-text", result.message);
  } catch (error) {
    setText("notice-text", error.message);
    show("notice");
  } finally {
    job = null;
    show("job", false);
    setBusy(false);
  }
}

async function finished() {
  while (true) {
    const state = await persistently(() => get(`/api/write/${encodeURIComponent(job)}`), away);
    if (["done", "failed"].includes(state.state)) return state;
    setText("job-text", state.message);
    setProgress("job-progress", state.state === "writing" ? state.progress : null);
    await pause(0.5);
  }
}

const away = () => setText("job-text", "The server does not answer; trying again …");

function setBusy(busy) {
  for (const button of document.querySelectorAll("#write, .again")) button.disabled = busy;
}

// ---- a question on the page

function card(question) {
  const made = byId("question-template").content.firstElementChild.cloneNode(true);
  made.querySelector(".question-text").textContent = question.text;
  made.querySelector(".question-why").textContent = question.reasoning || question.unscored_reason || "";
  made.querySelector(".question-scores").append(scores(question));
  made.querySelector(".keep").addEventListener("click", () => kept.toggle(question.text));
  made.querySelector(".copy").addEventListener("click", () => copy(question.text));
  made.querySelector(".again").addEventListener("click", () => write(1, ([other]) => made.replaceWith(other)));
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
  write(Number(new FormData(form).get("count")), (cards) => {
    byId("questions").querySelectorAll(".question").forEach((old) => old.remove());
    byId("questions").append(...cards);
  });
});
byId("stop").addEventListener("click", () => job && post(`/api/write/${encodeURIComponent(job)}/cancel`));
byId("example").addEventListener("change", async ({ target }) => {
  if (target.value) fillRole(form, await persistently(() => get(`/api/roles/${encodeURIComponent(target.value)}`), away));
});

model.follow((text, usable) => {
  byId("write").disabled = !usable;
  setText("model-text", text);
});
