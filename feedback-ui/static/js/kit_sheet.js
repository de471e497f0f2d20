// The kit of this browser as a page to print, for the interviewer or, with #candidate, for the candidate.

import { persistently, post } from "./api.js";
import * as state from "./write_state.js";

const told = document.getElementById("state");
const { kit } = state.load();

if (!kit) {
  told.textContent = "There is no kit in this browser yet; write one on the page Write.";
} else {
  try {
    const body = { kit, form: "html", for_candidate: location.hash === "#candidate" };
    const { text } = await persistently(() => post("/api/sheet", body), (error) => (told.textContent = error.message));
    const sheet = new DOMParser().parseFromString(text, "text/html");
    document.title = sheet.title;
    document.documentElement.lang = sheet.documentElement.lang;
    document.querySelector("main").replaceWith(document.adoptNode(sheet.querySelector("main")));
    window.print();
  } catch (error) {
    told.textContent = error.message;
  }
}
