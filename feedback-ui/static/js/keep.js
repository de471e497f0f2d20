// Keeping a question in the team's bank: what stands out in it and what is much alike is shown first.

import { persistently, post } from "./api.js";
import { el, percent } from "../elements/dom.js";
import { announce, ask, byId, setText, show } from "./page.js";

/** An id that all tries of one call share, so that it is done once. */
export const newRequest = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Whether to go on with `text`: asks only where there is something to know. `id` is the question's own number, if it has one. */
export async function isSure(text, id = null) {
  const { hints, alike } = await persistently(() => post("/api/bank/check", { text, id }));
  if (!hints.length && !alike.length) return true;
  setText("keep-text", text);
  byId("keep-notes").replaceChildren(
    ...hints.map(({ reason, found }) => el("li", { text: `Read again: ${reason}${found ? ` (“${found}”)` : ""}.` })),
    ...alike.map((other) => el("li", { dir: "auto", text: `${percent(other.likeness)} like number ${other.id} (${other.role_title}${other.retired ? ", retired" : ""}): ${other.text}` })),
  );
  return (await ask(byId("keep-dialog"))) === "yes";
}

/** A button that keeps what `question()` gives: its role, its text, and what else is known of it. */
export function keepButton(label, question) {
  const keep = async ({ target }) => {
    target.disabled = true;
    show("notice", false);
    try {
      const kept = await keepInBank(question());
      if (kept) announce((target.textContent = `Kept as number ${kept}`));
    } catch (error) {
      setText("notice-text", error.message);
      show("notice");
    } finally {
      target.disabled = false;
    }
  };
  return el("button", { type: "button", text: "Keep in the bank", "aria-label": label, onclick: keep });
}

/** Keep a question, after showing what to know; its number, or null if somebody thought better of it. */
async function keepInBank(question) {
  if (!(await isSure(question.text))) return null;
  const body = { request_id: newRequest(), ...question };
  return (await persistently(() => post("/api/bank", body))).question.id;
}
