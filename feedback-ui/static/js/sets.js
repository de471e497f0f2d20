// Sets of questions that a recruiter keeps: {name, role, questions}, stored in this browser.

const KEY = "sets";

export function all() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? [];
  } catch {
    return [];
  }
}

/** Store a set; one of the same name is replaced. Throws if the browser does not let us. */
export function save(set) {
  localStorage.setItem(KEY, JSON.stringify([set, ...all().filter((other) => other.name !== set.name)]));
}

export function drop(name) {
  localStorage.setItem(KEY, JSON.stringify(all().filter((set) => set.name !== name)));
}

/** A set as plain text, for an e-mail or a document. */
export function asText({ role, questions }) {
  return [role.title, "", ...questions.map((question, i) => `${i + 1}. ${question}`)].join("\n");
}
