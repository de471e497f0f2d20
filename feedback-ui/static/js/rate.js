// The rating page: take a group, rate it, submit or skip it, take the next.

import { ApiError, call, persistently, post } from "./api.js";
import { el, plural } from "../elements/dom.js";
import { announce, ask, byId, setText, show, when } from "./page.js";
import * as drafts from "./drafts.js";
import * as keys from "./keys.js";
import { Lease } from "./lease.js";
import { Practice } from "./practice.js";
import * as progress from "./progress.js";
import { RatingForm, showRole, TASKS } from "./rating_form.js";
import { Recent } from "./recent.js";
import * as start from "./start.js";

let current = null; // {group, lease (a Lease; none while a stored rating is edited), rating (its id while it is edited)}
let busy = false; // a request is on its way that decides what comes next
const PRACTICE = "practice"; // the run of groups that no training asked for
const USED = "Training has used these ratings already. What you change is stored as a revision that it does not use.";
const form = new RatingForm(byId("candidates"), changed);
const practice = new Practice((group) => next(group), look);
const recent = new Recent(edit);

// ---- what is on the page

async function next(prefer = drafts.latest()) {
  leave();
  const answer = await steadily(() => post("/api/rate/next", prefer ? { prefer } : {}));
  show("loading", false);
  if (!answer) return;
  if (answer.lease) return open(answer);
  practice.open(answer.reason);
  byId("empty-title").focus({ preventScroll: true });
  recent.refresh();
}

/** Show a group that is ours now, with the ratings that were begun in this browser or, reopened, on the server. */
function open({ lease, group, draft }) {
  leave();
  current = { group, lease: new Lease(lease, lost, away) };
  const kept = drafts.load(group);
  display(group, kept ?? draft);
  say(kept ? "Continued from your draft." : draft ? "Your answer stands until you submit another one." : "");
  if (draft) purpose("You are changing an answer that you submitted.");
}

function edit({ rating_id, group, answer, updated_at, editable }) {
  current?.lease?.release();
  leave();
  current = { group, rating: rating_id };
  display(group, answer);
  purpose(`You are changing what you rated ${when(updated_at)}.${editable ? "" : ` ${USED}`}`);
}

/** Say above the questions why they are here, if not for training that waits. */
function purpose(text) {
  setText("what-for", text);
  show("what-for", Boolean(text));
}

function display(group, answer) {
  practice.close();
  practice.reset();
  purpose(group.run === PRACTICE ? "For practice: no training uses these ratings, and they are not counted." : "");
  showRole(group.role);
  setText("task", TASKS[group.task] ?? "");
  show("task", group.task in TASKS);
  byId("rating").dataset.task = group.task;
  setText("rubric-title", group.task in TASKS ? "What makes a question better" : "What the numbers mean");
  form.open(group, answer);
  for (const id of ["rating", "actions"]) show(id);
  show("all-equal", form.canBeEqual);
  show("undo", !current.rating);
  byId("skip").firstChild.data = current.rating ? "Cancel " : "Skip ";
  byId("submit").firstChild.data = current.rating ? "Save " : "Submit ";
  count();
  window.scrollTo(0, 0);
  byId("role-title").focus({ preventScroll: true });
  announce(`${byId("role-title").textContent}: ${plural(group.candidates.length, "question")} to rate.`);
}

/** Put away what is on the page; a draft stays in this browser. */
function leave() {
  current?.lease?.stop();
  current = null;
  for (const id of ["rating", "actions", "notice"]) show(id, false);
  practice.close();
}

function changed() {
  if (!current) return;
  current.lease?.touch();
  if (!current.rating) drafts.save(current.group, form.answer);
  say(current.rating ? "" : "Kept in this browser until you submit.");
  count();
}

function count() {
  const { rated, all } = form.count;
  byId("rated").max = all;
  byId("rated").value = rated;
  setText("rated-text", `${rated} of ${all} ratings`);
  byId("all-equal").setAttribute("aria-pressed", form.allEqual);
}

/** A word beside the progress of this group, for eyes and screen readers. */
const say = (text) => setText("said", text);

/** A message that stays until the page moves on, with buttons: [text, action] each. */
function notice(text, ...buttons) {
  setText("notice-text", text);
  byId("notice-actions").replaceChildren(...buttons.map(([text, onclick]) => el("button", { type: "button", text, onclick })));
  show("notice");
}

// ---- what the rater does

async function submit() {
  if (!current || busy) return;
  if (form.missing.length) {
    announce(`${plural(form.missing.length, "rating")} missing.`);
    return form.showMissing();
  }
  if (form.looksEqual) {
    if (!(await ask(byId("equal-dialog")))) return;
    setAllEqual(true);
  }
  const { group, rating, lease } = current;
  const answer = form.answer;
  say("Submitting …");
  const done = await steadily(() => (rating ? call("PUT", `/api/ratings/${rating}`, answer) : lease.post("submit", answer)));
  if (!done) return say("");
  drafts.drop(group.group_id);
  await goOn(rating ? "Changed." : "Saved.", done.unused);
}

async function skip() {
  if (!current || busy) return;
  if (current.rating) return next();
  byId("skip-note").value = "";
  const reason = await ask(byId("skip-dialog"));
  if (!reason || !current) return;
  const { group, lease } = current;
  const done = await steadily(() => lease.post("skip", { reason, note: byId("skip-note").value.trim() }));
  if (!done) return;
  drafts.drop(group.group_id);
  await goOn("Skipped.");
}

/** Reopen what was submitted or skipped last. */
async function undo() {
  if (busy || current?.rating) return;
  const reopened = await steadily(() => post("/api/rate/undo"));
  if (!reopened) return;
  drafts.drop(reopened.group.group_id);
  open(reopened);
  progress.refresh();
  if (reopened.unused) notice(USED);
}

function equal() {
  if (!current || !form.canBeEqual) return;
  setAllEqual(!form.allEqual);
  form.focusFirst();
}

function setAllEqual(value) {
  form.setAllEqual(value);
  changed();
  if (value) byId("equal-card")?.scrollIntoView({ block: "nearest" });
}

async function goOn(done, unused = false) {
  show("undo-last");
  progress.refresh();
  recent.refresh();
  await next();
  if (byId("said").textContent === "") say(done);
  announce(done);
  if (unused) notice("Stored as a revision. Training had used the earlier ratings already and does not use this one.");
}

// ---- what can go wrong

/** Do it, again and again while the server is away; what it refuses is said. Null if it was refused. */
async function steadily(action) {
  busy = true;
  byId("submit").disabled = true;
  let refusal;
  try {
    return (await persistently(action, () => away(true))) ?? {};
  } catch (error) {
    refusal = error;
  } finally {
    away(false);
    busy = false;
    byId("submit").disabled = false;
  }
  refused(refusal);
  return null;
}

function refused(error) {
  if (!(error instanceof ApiError)) throw error;
  if (error.code === "lease_lost") return lost();
  const isGone = error.code === "gone" || (error.code === "not_found" && current?.rating);
  if (isGone) return moveOn("This group was deleted, so its ratings are not needed any more.");
  if (error.code === "already_submitted") return moveOn(error.message);
  notice(error.message, ...(current ? [] : [["Try again", () => next()]]));
}

/** What is on the page cannot be answered any more: say why, and go on with the next group. */
async function moveOn(text) {
  if (current) drafts.drop(current.group.group_id);
  await next();
  notice(text);
}

let isAway = false;

function away(gone) {
  if (gone === isAway) return;
  isAway = gone;
  if (gone) notice("The server does not answer. Your ratings are kept in this browser; trying again …");
  else show("notice", false);
}

/** The reservation is gone: take it again if nobody else has, or wait for a rater who went away. */
async function lost(wasIdle = false) {
  if (busy) return; // what is on its way will be refused and lead here
  const group = current?.group;
  if (!group) return next();
  if (wasIdle) {
    leave();
    return notice("You were away, so the group went back to the queue. What you had entered is kept in this browser.", ["Go on", () => next()]);
  }
  const reopened = await steadily(() => post("/api/rate/next", { prefer: group.group_id }));
  if (reopened?.lease && reopened.group.group_id === group.group_id) {
    open(reopened);
    return notice("Your reservation had run out; the group is yours again, with your ratings.");
  }
  if (reopened?.lease) open(reopened);
  else leave(), practice.open(reopened?.reason);
  notice("Your reservation ran out and another rater has taken that group. What you had entered is kept in this browser.");
}

async function look() {
  if (busy || byId("empty").querySelector("details[open]")) return;
  try {
    const answer = await post("/api/rate/next");
    if (answer.lease && !busy) open(answer);
  } catch {
    // The queue is looked at again in a few seconds.
  }
}

// ---- start

keys.listen({
  rate: (value) => current && form.rate(value),
  nextRow: () => form.moveRow(1),
  previousRow: () => form.moveRow(-1),
  nextCard: () => current && form.moveCard(1),
  previousCard: () => current && form.moveCard(-1),
  submit,
  skip,
  undo,
  equal,
  help: () => byId("help-dialog").showModal(),
});
for (const [id, action] of Object.entries({ submit, skip, undo, "all-equal": equal })) byId(id).addEventListener("click", action);
byId("undo-last").addEventListener("click", undo);
byId("help").addEventListener("click", () => byId("help-dialog").showModal());
if (matchMedia("(max-width: 56rem)").matches) byId("rubric").open = false;
addEventListener("scroll", () => current?.lease?.touch(), { passive: true });
addEventListener("pagehide", () => current?.lease?.release());
addEventListener("pageshow", (event) => event.persisted && next());
start.begin();
progress.follow();
recent.refresh();
next();
