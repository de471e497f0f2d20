// One rating in the list of the statistics page: the role, and the questions with what they got.

import { capitalised, el } from "../elements/dom.js";
import { when } from "./page.js";

export function ratingItem(rating) {
  const marks = [rating.run, `step ${rating.policy_step}`, rating.rater, when(rating.rated_at)];
  if (rating.all_equal) marks.push("all equal");
  if (rating.consumed_step !== null && rating.consumed_step !== undefined) marks.push(`used at step ${rating.consumed_step}`);
  return el(
    "li",
    {},
    el("h3", { text: rating.role_title }),
    el("p", { class: "small muted", text: marks.filter(Boolean).join(" · ") }),
    el("details", {}, el("summary", { text: `Questions (${rating.candidates.length})`, "aria-label": `Questions for ${rating.role_title}` }), questions(rating)),
  );
}

const questions = (rating) => el("ol", {}, ...rating.candidates.map((candidate) => el("li", {}, ...question(candidate))));

function question(candidate) {
  const scores = Object.entries(candidate.scores).map(([name, value]) => `${capitalised(name)} ${value}`).join(" · ");
  return [el("p", { class: "text", text: candidate.text, dir: "auto" }), el("p", { class: "small muted numbers", text: scores })];
}
