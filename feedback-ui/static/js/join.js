// A link's token, which stands behind the #, is traded for a session.

import { persistently, post } from "./api.js";
import { byId, setText, show } from "./page.js";

const token = location.hash.slice(1);

async function join(replace = false) {
  history.replaceState(null, "", location.pathname); // out of the address bar and the history
  if (!token) return setText("join-text", "This link is not complete: open it exactly as it was sent to you.");
  try {
    await persistently(() => post("/api/session", { token, replace }), (error, wait) => setText("join-text", `${error.message} Trying again in ${Math.ceil(wait)} s …`));
    location.replace("/");
  } catch (error) {
    setText("join-text", error.message);
    show("join-replace", error.code === "signed_in");
  }
}

byId("replace").addEventListener("click", () => join(true));
join();
