// Ratings that were entered and not submitted yet, kept in this browser so that a closed tab loses nothing.
// A draft belongs to one rater and to the text of each question: the order on the page is another for every rater.

import { identity } from "./api.js";

const KEPT = 20; // of each rater

const prefix = () => `draft:${identity()}:`;
const textOf = (group) => new Map(group.candidates.map((one) => [one.candidate_id, one.text]));

/** The texts of what is rated, by its id: questions, or pairs of them. */
function ratedIn(group) {
  const texts = textOf(group);
  return group.task === "pairs" ? new Map(group.pairs.map((ids) => [ids.join("-"), ids.map((id) => texts.get(id)).join("\n\n")])) : texts;
}

/** The answer that was begun for a group, by its candidate ids, or null. */
export function load(group) {
  const kept = read(prefix() + group.group_id);
  if (!kept?.answer) return null;
  const { texts, said, all, all_equal } = kept.answer;
  const [ratings, remarks] = [{}, {}];
  for (const [id, text] of ratedIn(group)) if (texts[text]) ratings[id] = texts[text];
  for (const [id, text] of textOf(group)) if (said?.[text]) remarks[id] = said[text];
  if (all_equal) return { ratings: { all }, all_equal, remarks };
  return Object.keys({ ...ratings, ...remarks }).length ? { ratings, all_equal, remarks } : null;
}

export function save(group, { ratings, all_equal, remarks }) {
  const [texts, said] = [{}, {}];
  if (!all_equal) for (const [id, text] of ratedIn(group)) texts[text] = ratings[id];
  for (const [id, text] of textOf(group)) if (remarks[id]) said[text] = remarks[id];
  const answer = { texts, said, all: all_equal ? Object.values(ratings)[0] : null, all_equal };
  try {
    localStorage.setItem(prefix() + group.group_id, JSON.stringify({ answer, saved: Date.now() }));
    for (const old of groups().slice(KEPT)) drop(old);
  } catch {
    // Storage is full or switched off: the ratings are still on the page.
  }
}

export function drop(group) {
  try {
    localStorage.removeItem(prefix() + group);
  } catch {
    // Nothing could have been stored either.
  }
}

/** The id of the group that this rater worked on last, or undefined. */
export const latest = () => groups()[0];

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

function groups() {
  try {
    return Object.keys(localStorage)
      .filter((key) => key.startsWith(prefix()))
      .map((key) => key.slice(prefix().length))
      .sort((one, other) => (read(prefix() + other)?.saved ?? 0) - (read(prefix() + one)?.saved ?? 0));
  } catch {
    return [];
  }
}
