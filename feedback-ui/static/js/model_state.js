// Which model writes on the server's machine, said until it is there or can not be had.

import { get, pause, persistently } from "./api.js";

/** Call `tell(text, usable)` with what there is to say, again and again while the model is being loaded. */
export async function follow(tell) {
  while (true) {
    let model;
    try {
      model = await persistently(() => get("/api/model"), (error) => tell(error.message, false));
    } catch (error) {
      return tell(error.message, false);
    }
    const { state, name, message } = model;
    tell(state === "ready" ? `${name} writes the questions, on the server's machine.` : message, state === "ready" || state === "loading");
    if (state !== "loading") return;
    await pause(1);
  }
}
