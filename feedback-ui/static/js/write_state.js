// What was entered and written on the writing page, kept in this browser so that a reload or a closed tab loses nothing.

import { identity } from "./api.js";

const key = () => `write:${identity()}`;

export function load() {
  try {
    return JSON.parse(localStorage.getItem(key())) ?? {};
  } catch {
    return {};
  }
}

/** Keep some parts beside the others: `form`, `questions`, `set`, `kit`, `job`. False if the browser stores nothing. */
export function save(parts) {
  try {
    localStorage.setItem(key(), JSON.stringify({ ...load(), ...parts }));
    return true;
  } catch {
    return false;
  }
}
