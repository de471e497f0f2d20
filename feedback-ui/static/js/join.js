// A link's token, which stands behind the #, is traded for a session.

import { persistently, post } from "./api.js";
import { setText } from "./page.js";

async function join() {
  const token = location.hash.slice(1);
  history.replaceState(null, "", location.pathname); // out of the address bar and the history
  if (!token) return setText("join-text", "This link is not complete: open it exactly as it was sent to you.");
  try {
    await persistently(() => post("/api/session", { token }), () => setText("join-text", "The server does not answer; trying again …"));
    location.replace("/");
  } catch (error) {
    setText("join-text", error.message);
  }
}

join();
