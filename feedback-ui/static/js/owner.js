// The owner's page: links for raters, deletion.

import { call, get, persistently, post } from "./api.js";
import { el, table } from "../kit/dom.js";
import { announce, ask, byId, copy, setText, show, when } from "./page.js";

async function showRaters() {
  const found = await attempt(() => persistently(() => get("/api/owner/raters")));
  if (!found) return;
  const { raters } = found;
  const rows = raters.map((rater) => [rater.name, rater.role, rater.groups_rated, when(rater.created_at), rater.last_seen_at ? when(rater.last_seen_at) : "never", actions(rater)]);
  byId("raters").replaceChildren(
    rows.length ? table("Who may rate", ["Name", "Role", "Groups rated", "Since", "Last seen", "Access"], rows, { caption: "visually-hidden" }) : el("p", { class: "muted", text: "No links yet." }),
  );
}

function actions(rater) {
  if (rater.name === "erased" && rater.revoked_at) return el("span", { class: "muted" }, "forgotten");
  const state = rater.revoked_at ? `revoked ${when(rater.revoked_at)}` : "this computer";
  const canRevoke = rater.has_link && !rater.revoked_at;
  return el("div", { class: "row" },
    canRevoke
      ? el("button", { type: "button", class: "danger", "aria-label": `Revoke the link of ${rater.name}`, onclick: () => revoke(rater) }, "Revoke")
      : el("span", { class: "muted" }, state),
    el("button", { type: "button", class: "danger", "aria-label": `Erase ${rater.name}, ${rater.pseudonym}`, onclick: () => erase(rater) }, "Erase …"),
  );
}

async function erase(rater) {
  setText("erase-title", `Erase ${rater.name}?`);
  const ratings = await ask(byId("erase-dialog"));
  if (ratings) await attempt(() => post(`/api/owner/raters/${rater.id}/erase`, { ratings }), "Erased.");
  showRaters();
}

async function revoke(rater) {
  const sure = await areYouSure(`Revoke the link of ${rater.name}?`, "It stops working at once, on every device. Ratings stay.", "Revoke");
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
  setText("link-for", wish.name);
  byId("link").value = location.origin + made.path;
  show("link-box");
  byId("link").select();
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

showRaters();
