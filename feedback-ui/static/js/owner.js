// The owner's page: links for raters, guidelines, how steadily people rate, export and import, deletion.

import { call, get, persistently, post } from "./api.js";
import { el, number, plural, table } from "../elements/dom.js";
import { announce, ask, byId, copy, setText, show, when } from "./page.js";

async function showRaters() {
  const found = await attempt(() => persistently(() => get("/api/owner/raters")));
  if (!found) return;
  const { raters } = found;
  const rows = raters.map((rater) => [
    el("span", {}, rater.name, rater.is_here ? el("span", { class: "muted", text: " · here now" }) : null),
    rater.role, rater.fields.join(", ") || null, rater.groups_rated, when(rater.created_at), rater.last_seen_at ? when(rater.last_seen_at) : "never", actions(rater),
  ]);
  byId("raters").replaceChildren(
    rows.length ? table("Who may rate", ["Name", "Role", "Fields", "Groups rated", "Since", "Last seen", "Access"], rows, { caption: "visually-hidden" }) : el("p", { class: "muted", text: "No links yet." }),
  );
}

function actions(rater) {
  if (rater.name === "erased" && rater.revoked_at) return el("span", { class: "muted" }, "forgotten");
  const state = rater.revoked_at ? `revoked ${when(rater.revoked_at)}` : rater.account ? "signed on by the proxy" : "this computer";
  const canRevoke = (rater.has_link || rater.account) && !rater.revoked_at;
  const button = (text, label, onclick, kind = null) => el("button", { type: "button", class: kind, "aria-label": label, onclick, text });
  return el("div", { class: "row" },
    canRevoke && !rater.account ? null : el("span", { class: "muted" }, state),
    button("Change …", `Change ${rater.name}`, () => change(rater)),
    rater.has_link ? button("New link", `New link for ${rater.name}`, () => newLink(rater)) : null,
    canRevoke ? button("Revoke", `Revoke the access of ${rater.name}`, () => revoke(rater), "danger") : null,
    button("Erase …", `Erase ${rater.name}, ${rater.pseudonym}`, () => erase(rater), "danger"),
  );
}

async function change(rater) {
  setText("change-title", `Change ${rater.name}`);
  byId("change-name").value = rater.name;
  byId("change-fields").value = rater.fields.join(", ");
  if ((await ask(byId("change-dialog"))) !== "yes") return;
  const fields = byId("change-fields").value.split(",").map((field) => field.trim()).filter(Boolean);
  await attempt(() => call("PATCH", `/api/owner/raters/${rater.id}`, { name: byId("change-name").value, fields }), "Changed.");
  showRaters();
}

async function newLink(rater) {
  const sure = await areYouSure(`A new link for ${rater.name}?`, "The old one stops working at once, on every device.", "Make it");
  const made = sure && (await attempt(() => post(`/api/owner/raters/${rater.id}/link`), "Link created."));
  if (made) showLink(rater.name, made.path);
  showRaters();
}

function showLink(name, path) {
  setText("link-for", name);
  byId("link").value = location.origin + path;
  show("link-box");
  byId("link").select();
}

/** A figure with its interval and what it rests on. */
const figure = (one) => (one ? `${number(one.mean, 2)}${one.low === null ? "" : ` (${number(one.low, 2)} to ${number(one.high, 2)})`}, ${plural(one.groups, "group")}` : "–");

async function showSteadiness() {
  const found = await attempt(() => persistently(() => get("/api/owner/steadiness")));
  if (!found) return;
  const rows = found.raters.map((one) => [one.rater, figure(one.known), figure(one.again), figure(one.others), one.months.map((month) => `${month.month}: ${number(month.mean, 2)}`).join(", ")]);
  const known = found.gold_groups ? `Known answers: ${plural(found.gold_groups, "group")}.` : "No group has known answers yet.";
  const caption = "Same order of questions (mean Kendall tau-b; 1: same, 0: unrelated), 95% interval";
  byId("steady").replaceChildren(
    rows.length ? table(caption, ["Rater", "As the known answers", "As they did before", "As the others", "By month"], rows, { caption: "small" }) : el("p", { class: "muted", text: "Nothing to compare yet: share groups (overlap 2), or start the server with FEEDBACK_CHECK_EVERY=20." }),
    el("p", { class: "small muted", text: known }),
  );
}

async function erase(rater) {
  setText("erase-title", `Erase ${rater.name}?`);
  const ratings = await ask(byId("erase-dialog"));
  if (ratings) await attempt(() => post(`/api/owner/raters/${rater.id}/erase`, { ratings }), "Erased.");
  showRaters();
}

async function revoke(rater) {
  const sure = await areYouSure(`Revoke the access of ${rater.name}?`, "It stops working at once, on every device. Ratings stay.", "Revoke");
  if (sure) await attempt(() => call("DELETE", `/api/owner/raters/${rater.id}`), "Revoked.");
  showRaters();
}

async function areYouSure(title, text, button) {
  setText("sure-title", title);
  setText("sure-text", text);
  setText("sure-yes", button);
  return (await ask(byId("sure-dialog"))) === "yes";
}

/** Do it and say that it is done, or why not. */
async function attempt(action, done = "") {
  if (done) show("notice", false);
  try {
    const result = await action();
    if (done) announce(done);
    return result ?? {};
  } catch (error) {
    setText("notice-text", error.message);
    show("notice");
    return null;
  }
}

byId("invite").addEventListener("submit", async (event) => {
  event.preventDefault();
  const wish = Object.fromEntries(new FormData(event.target));
  const made = await attempt(() => post("/api/owner/raters", wish), "Link created.");
  if (!made) return;
  event.target.reset();
  showLink(wish.name, made.path);
  showRaters();
});

byId("copy-link").addEventListener("click", () => copy(byId("link").value));

byId("guidelines").addEventListener("submit", async (event) => {
  event.preventDefault();
  await attempt(() => call("PUT", "/api/owner/guidelines", { text: new FormData(event.target).get("text") }), "Saved.");
});

byId("delete").addEventListener("submit", async (event) => {
  event.preventDefault();
  const group = new FormData(event.target).get("group").trim();
  if (!(await areYouSure("Delete this group?", `${group}, its questions and all its ratings are gone for good.`, "Delete"))) return;
  if (await attempt(() => call("DELETE", `/api/owner/groups/${encodeURIComponent(group)}`), "Deleted.")) event.target.reset();
});

byId("gold").addEventListener("submit", async (event) => {
  event.preventDefault();
  const group = new FormData(event.target).get("group").trim();
  if (await attempt(() => call("PUT", `/api/owner/groups/${encodeURIComponent(group)}/gold`, { is_gold: true }), "Saved.")) event.target.reset();
  showSteadiness();
});

byId("export").addEventListener("submit", (event) => {
  for (const field of event.target.elements) if (field.name) field.disabled = field.value === ""; // an empty filter is none
  setTimeout(() => Array.from(event.target.elements).forEach((field) => (field.disabled = false)));
});

byId("import").addEventListener("submit", async (event) => {
  event.preventDefault();
  const file = event.target.elements.file.files[0];
  setText("import-told", "Importing …");
  const done = await attempt(async () => post("/api/owner/import", { format: file.name.split(".").pop().toLowerCase(), text: await file.text() }, { seconds: 120 }), "Imported.");
  setText("import-told", done ? done.message : "Nothing was imported.");
  if (done) event.target.reset();
  showRaters();
});

showRaters();
showSteadiness();
