// "Before you start": open until it was read, and again when the team's guidelines have changed.

import { identity } from "./api.js";
import { byId, show } from "./page.js";

const key = () => `start:${identity()}`;
const words = () => document.querySelector(".guidelines")?.textContent ?? "";

export function begin() {
  byId("start").open = stored() !== words();
  show("start");
  byId("start-read").addEventListener("click", () => {
    try {
      localStorage.setItem(key(), words());
    } catch {
      // Then it opens again the next time.
    }
    byId("start").open = false;
    byId("start").querySelector("summary").focus({ preventScroll: true });
  });
}

function stored() {
  try {
    return localStorage.getItem(key());
  } catch {
    return null;
  }
}
