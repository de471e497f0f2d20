// Ratings that were entered and not submitted yet, kept in this browser so that a closed tab loses nothing.

const PREFIX = "draft:";
const KEPT = 20;

/** The draft of a group: {answer, saved}, or null. */
export function load(group) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + group));
  } catch {
    return null;
  }
}

export function save(group, answer) {
  try {
    localStorage.setItem(PREFIX + group, JSON.stringify({ answer, saved: Date.now() }));
    for (const old of groups().slice(KEPT)) drop(old);
  } catch {
    // Storage is full or switched off: the ratings are still on the page.
  }
}

export function drop(group) {
  try {
    localStorage.removeItem(PREFIX + group);
  } catch {
    // Nothing could have been stored either.
  }
}

/** The group that was worked on last, or undefined. */
export const latest = () => groups()[0];

function groups() {
  try {
    return Object.keys(localStorage)
      .filter((key) => key.startsWith(PREFIX))
      .map((key) => key.slice(PREFIX.length))
      .sort((one, other) => (load(other)?.saved ?? 0) - (load(one)?.saved ?? 0));
  } catch {
    return [];
  }
}
