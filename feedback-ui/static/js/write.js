// The writing page: a role goes in, judged questions come out, the good ones go into a set.

import { get, pause, persistently, post } from "./api.js";
import { announce, byId, capitalised, copy, element, plural, rounded, setText, show } from "./dom.js";
import { KeptSet } from "./kept_set.js";
import * as model from "./model_state.js";
import { fillRole, roleOf } from "./role_form.js";

const form = byId("role");
const MAX_SCORE = Number(form.dataset.maxScore);
const kept = new KeptSet(() => roleOf(form), (set) => fillRole(form, set.role), markKept);
let job = null; // id of what is being written

// ---- writing

/** Have questions written for the role in the form; `place(question)` puts each on the page. */
async function write(count, place) {
  if (job || !form.reportValidity()) return;
  show("notice", false);
  show("job");
  byId("job-progress").removeAttribute("value");
  setText("job-text", "Starting …");
  setBusy(true);
  try {
    const best_of = Number(new FormData(form).get("best_of"));
    job = (await persistently(() => post("/api/write", { role: roleOf(form), count, best_of }), away)).job_id;
    const result = await finished();
    if (result.state === "failed") throw new Error(result.message);
    if (result.state === "cancelled") return;
    show("questions-empty", false);
    result.questions.forEach(place);
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
    if (["done", "failed", "cancelled"].includes(state.state)) return state;
    setText("job-text", state.message);
    byId("job-progress").value = state.progress;
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
  made.querySelector(".again").addEventListener("click", () => write(1, (other) => made.replaceWith(card(other))));
  mark(made);
  return made;
}

function scores(question) {
  if (!question.scores) return element("p", { class: "small muted", text: `Not scored: ${question.unscored_reason}` });
  const list = element("dl");
  const named = { overall: question.composite, ...question.scores };
  for (const [name, value] of Object.entries(named)) {
    const meter = element("meter", { min: 0, max: MAX_SCORE, value, "aria-label": capitalised(name) });
    list.append(element("div", {}, element("dt", { text: capitalised(name) }), element("dd", {}, rounded(value, 1), meter)));
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
  byId("questions").querySelectorAll(".question").forEach((old) => old.remove());
  show("questions-empty");
  write(Number(new FormData(form).get("count")), (question) => byId("questions").append(card(question)));
});
byId("stop").addEventListener("click", () => job && post(`/api/write/${encodeURIComponent(job)}/cancel`));
byId("example").addEventListener("change", async ({ target }) => {
  if (target.value) fillRole(form, await persistently(() => get(`/api/roles/${encodeURIComponent(target.value)}`), away));
});

model.follow((text, usable) => {
  byId("write").disabled = !usable;
  setText("model-text", text);
});
