// The questions of a group with their ratings: what is entered, what is missing, and where the focus goes.

import { el } from "../kit/dom.js";
import { byId, setText, show } from "./page.js";

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const EQUAL = "equal"; // stands for every question of the group

export const letter = (index) => (index < 26 ? LETTERS[index] : `${LETTERS[Math.floor(index / 26) - 1]}${LETTERS[index % 26]}`);

export class RatingForm {
  #candidates = [];
  #cards = new Map(); // by candidate id, and EQUAL
  allEqual = false;

  /** `root` is the form element; `onChange` is called after every change by the rater. */
  constructor(root, onChange) {
    this.root = root;
    this.onChange = onChange;
    root.addEventListener("input", () => this.#changed());
    root.addEventListener("submit", (event) => event.preventDefault());
  }

  /** Show the questions, with an answer that was begun earlier. */
  open(candidates, draft = null) {
    this.#candidates = candidates;
    this.#cards = new Map([[EQUAL, this.#card("equal-template", EQUAL, "all questions")]]);
    candidates.forEach(({ candidate_id, text }, index) => {
      const name = candidates.length > 1 ? `Question ${letter(index)}` : "Question";
      const card = this.#card("candidate-template", candidate_id, name);
      card.querySelector(".candidate-name").textContent = name;
      card.querySelector(".candidate-name").id = `name-${index}`;
      card.setAttribute("aria-labelledby", `name-${index}`);
      card.querySelector(".candidate-text").textContent = text.trim() ? text : "(nothing was written)";
      card.querySelector(".remark-of").textContent = ` for ${name}`;
      const improved = card.querySelector(".remark-improved");
      card.querySelector(".remark").addEventListener("toggle", (event) => {
        if (event.target.open && !improved.value) improved.value = text; // to be changed; as it is it says nothing
      });
      this.#cards.set(candidate_id, card);
    });
    this.root.replaceChildren(...this.#cards.values());
    this.allEqual = false;
    this.#fill(draft);
    this.setAllEqual(Boolean(draft?.all_equal) && candidates.length > 1);
  }

  /** What the rater has entered: for the draft, and, when nothing is missing, for the server. */
  get answer() {
    const ratings = {};
    const ids = this.allEqual ? [EQUAL] : this.#candidates.map((candidate) => candidate.candidate_id);
    for (const id of ids) ratings[id] = this.#values(id);
    return { ratings, all_equal: this.allEqual, remarks: this.#remarks };
  }

  /** Comments and better wordings, where there are any. */
  get #remarks() {
    const found = {};
    for (const { candidate_id, text } of this.#candidates) {
      const [comment, improved] = [".remark-comment", ".remark-improved"].map((name) => this.#cards.get(candidate_id).querySelector(name).value.trim());
      const better = improved === text.trim() ? "" : improved;
      if (comment || better) found[candidate_id] = { comment, improved: better };
    }
    return found;
  }

  /** Groups with one question have nothing to be equal to. */
  get canBeEqual() {
    return this.#candidates.length > 1;
  }

  /** Whether every question has the same complete ratings without the rater having said that they are equal. */
  get looksEqual() {
    const all = Object.values(this.answer.ratings).map((values) => JSON.stringify(values));
    return this.canBeEqual && !this.allEqual && this.missing.length === 0 && new Set(all).size === 1;
  }

  /** The criteria without a rating, in the order of the page. */
  get missing() {
    return this.#rows.filter((row) => !row.querySelector("input:checked"));
  }

  get count() {
    return { rated: this.#rows.length - this.missing.length, all: this.#rows.length };
  }

  setAllEqual(equal) {
    if (equal && !this.allEqual) this.#takeOver();
    this.allEqual = equal;
    this.root.classList.toggle("equal", equal);
    for (const [id, card] of this.#cards) {
      if (id === EQUAL) card.hidden = !equal;
      else card.querySelector(".criteria").hidden = equal;
    }
    this.#refresh();
  }

  // ---- moving about

  /** Rate the criterion that has the focus (or the first without a rating), then go on to the next. */
  rate(value) {
    const row = this.#currentRow ?? this.missing[0];
    const input = row?.querySelector(`input[value="${value}"]`);
    if (!input) return;
    input.checked = true;
    this.#changed();
    const next = this.#rows[this.#rows.indexOf(row) + 1];
    if (next) this.#focus(next);
    else input.focus();
  }

  /** Move by `step` criteria. */
  moveRow(step) {
    const rows = this.#rows;
    const at = rows.indexOf(this.#currentRow);
    this.#focus(at < 0 ? rows[0] : rows[Math.min(rows.length - 1, Math.max(0, at + step))]);
  }

  /** Move by `step` questions. */
  moveCard(step) {
    const cards = [...new Set(this.#rows.map((row) => row.closest(".candidate")))];
    const at = cards.indexOf(this.#currentRow?.closest(".candidate"));
    const card = at < 0 ? cards[0] : cards[Math.min(cards.length - 1, Math.max(0, at + step))];
    this.#focus(card.querySelector(".criterion"));
  }

  /** Mark what is missing and go to the first of it. */
  showMissing() {
    this.missing.forEach((row) => row.classList.add("missing"));
    this.#focus(this.missing[0]);
  }

  focusFirst() {
    this.#focus(this.missing[0] ?? this.#rows[0], { preventScroll: true });
  }

  get #rows() {
    const cards = this.allEqual ? [this.#cards.get(EQUAL)] : [...this.#cards].filter(([id]) => id !== EQUAL).map(([, card]) => card);
    return cards.flatMap((card) => [...card.querySelectorAll(".criterion")]);
  }

  get #currentRow() {
    const row = document.activeElement?.closest?.(".criterion");
    return row && this.#rows.includes(row) ? row : null;
  }

  #focus(row, options = {}) {
    if (!row) return;
    (row.querySelector("input:checked") ?? row.querySelector("input")).focus({ preventScroll: true });
    if (options.preventScroll) return;
    const card = row.closest(".candidate");
    card.scrollIntoView({ block: card.offsetHeight < innerHeight * 0.7 ? "nearest" : "start" });
  }

  // ---- values

  #card(template, id, name) {
    const card = byId(template).content.firstElementChild.cloneNode(true);
    for (const row of card.querySelectorAll(".criterion")) {
      row.querySelector(".criterion-of").textContent = ` of ${name}`;
      for (const input of row.querySelectorAll("input")) input.name = `${id}-${row.dataset.criterion}`;
    }
    return card;
  }

  #values(id) {
    const values = {};
    for (const row of this.#cards.get(id).querySelectorAll(".criterion")) {
      const checked = row.querySelector("input:checked");
      if (checked) values[row.dataset.criterion] = Number(checked.value);
    }
    return values;
  }

  #fill(draft) {
    for (const [id, values] of Object.entries(draft?.ratings ?? {})) this.#set(draft.all_equal ? EQUAL : id, values);
    for (const [id, { comment, improved }] of Object.entries(draft?.remarks ?? {})) {
      const card = this.#cards.get(id);
      if (!card) continue;
      card.querySelector(".remark-comment").value = comment;
      card.querySelector(".remark-improved").value = improved;
      card.querySelector(".remark").open = true;
    }
  }

  #set(id, values) {
    const card = this.#cards.get(id);
    for (const [criterion, value] of Object.entries(card ? values : {})) {
      const input = card.querySelector(`[data-criterion="${criterion}"] input[value="${value}"]`);
      if (input) input.checked = true;
    }
  }

  /** Whoever has entered the same ratings throughout and then says that all are equal need not enter them again. */
  #takeOver() {
    const begun = this.#candidates.map(({ candidate_id }) => this.#values(candidate_id)).filter((values) => Object.keys(values).length);
    if (new Set(begun.map((values) => JSON.stringify(values))).size === 1) this.#set(EQUAL, begun[0]);
  }

  #changed() {
    this.#refresh();
    this.onChange();
  }

  #refresh() {
    for (const row of this.root.querySelectorAll(".criterion.missing")) {
      if (row.querySelector("input:checked")) row.classList.remove("missing");
    }
    for (const [id, card] of this.#cards) {
      const complete = Object.keys(this.#values(id)).length === card.querySelectorAll(".criterion").length;
      const done = card.querySelector(".candidate-done");
      if (done) done.textContent = complete && !this.allEqual ? "rated" : "";
      card.classList.toggle("complete", complete && !this.allEqual);
    }
  }
}

/** Show the role of a group beside its questions. Of a question that was handed in alone little may be known. */
export function showRole(role) {
  setText("role-title", role.title ?? "Role not described");
  setText("role-level", [role.level, role.focus].filter(Boolean).join(" · "));
  setText("role-description", role.description ?? "");
  for (const [id, terms] of [["role-stack", role.stack], ["role-skills", role.key_skills]]) {
    byId(id).replaceChildren(...(terms ?? []).map((text) => el("li", { text })));
    byId(id).parentElement.hidden = !terms?.length;
  }
  show("role-description", Boolean(role.description));
}
