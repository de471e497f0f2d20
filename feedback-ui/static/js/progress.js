// How far the rater and the team are, and what training waits for.

import { get } from "./api.js";
import { plural } from "../elements/dom.js";
import { duration, setText, show } from "./page.js";

const EVERY_SECONDS = 15;

/** Keep the strip at the head of the page up to date. */
export function follow() {
  refresh();
  setInterval(() => document.visibilityState === "visible" && refresh(), EVERY_SECONDS * 1000);
}

export async function refresh() {
  try {
    draw(await get("/api/rate/progress"));
  } catch {
    // The rating itself says when the server is away; the last figures stay.
  }
}

export function draw({ mine, team, queue, waiting, minutes_a_group: minutes }) {
  setText("mine-today", mine.today);
  setText("mine-total", mine.total);
  setText("team-today", team.today);
  setText("team-total", team.total);
  setText("queue-pending", queue.pending);
  const each = minutes === null ? "" : `about ${Math.max(1, Math.round(minutes))} min each`;
  setText("queue-word", (queue.pending === 1 ? "group waits" : "groups wait") + (queue.pending && each ? `, ${each}` : ""));
  setText("start-time", each ? `, here ${each}` : "");
  const left = waiting?.minutes_left ? `, about ${duration(60 * waiting.minutes_left)} with who is here` : "";
  const text = waiting
    ? `Training ${waiting.run}, step ${waiting.step}, has waited ${duration(waiting.since_seconds)} for ` +
      `${plural(waiting.groups_waited_for, "group")} of ${waiting.groups_in_step}${left}`
    : "";
  setText("training-waits", text);
  setText("team-here", team.raters_online > 1 ? `, ${team.raters_online} here now` : "");
  show("progress");
}
