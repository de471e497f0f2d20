// The empty queue: what is going on, and questions to practise with, written by the model on this machine.

import { get, pause, persistently, post } from "./api.js";
import { byId, setProgress, setText, show } from "./page.js";
import * as model from "./model_state.js";
import { roleOf } from "./role_form.js";

const LOOK_EVERY_SECONDS = 10;
const COUNT = 4;

const REASONS = {
  empty: "The queue is empty. This page looks again every ten seconds and opens what comes.",
  busy: "Every waiting group is with another rater. This page looks again every ten seconds and opens what becomes free.",
};

export class Practice {
  #open = false;
  #busy = false;

  /** `onGroup(id)` is called when a practice group is ready, `look()` every few seconds while nothing waits. */
  constructor(onGroup, look) {
    this.onGroup = onGroup;
    this.look = look;
    byId("practice-random").addEventListener("click", () => this.#write({ random: true }));
    byId("practice-role").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#write({ role: roleOf(event.target) });
    });
    byId("practice-text").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#write({ text: new FormData(event.target).get("text") });
    });
    setInterval(() => this.#open && !this.#busy && document.visibilityState === "visible" && this.look(), LOOK_EVERY_SECONDS * 1000);
  }

  open(reason) {
    setText("empty-text", REASONS[reason] ?? REASONS.empty);
    show("empty");
    if (!this.#open) this.#showModel();
    this.#open = true;
  }

  close() {
    this.#open = false;
    show("empty", false);
  }

  #showModel() {
    model.follow((text, usable) => {
      setText("model-text", text);
      for (const button of byId("practice-offer").querySelectorAll("button")) button.disabled = !usable;
    });
  }

  async #write(wish) {
    if (this.#busy) return;
    this.#busy = true;
    this.#showJob("Starting …");
    try {
      const { job_id } = await persistently(() => post("/api/practice", { ...wish, count: COUNT }));
      const job = await this.#wait(job_id);
      if (job.state === "failed") throw new Error(job.message);
      if (this.#open) this.onGroup(job.group_id); // otherwise something else came; it waits in the queue
    } catch (error) {
      this.#showJob(error.message, true);
    } finally {
      this.#busy = false;
    }
  }

  async #wait(id) {
    while (true) {
      const job = await persistently(() => get(`/api/practice/${encodeURIComponent(id)}`), (error) => this.#showJob(`${error.message} Trying again …`));
      if (job.state === "done" || job.state === "failed") return job;
      this.#showJob(job.message);
      setProgress("practice-progress", job.state === "writing" ? job.progress : null);
      await pause(0.5);
    }
  }

  #showJob(text, failed = false) {
    show("practice-job");
    show("practice-progress", !failed);
    setText("practice-state", text);
    byId("practice-state").classList.toggle("bad", failed);
  }

  /** Forget the job that was shown. */
  reset() {
    show("practice-job", false);
  }
}
