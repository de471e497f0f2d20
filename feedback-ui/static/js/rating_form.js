// The questions of a group with their ratings: what is entered, what is missing, and where the focus goes.

import { el } from "../elements/dom.js";
import { byId, setText, show } from "./page.js";

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const EQUAL = "equal"; // stands for every question of the group
const [FIRST, BETWEEN, LAST] = [1, 2, 3];

/** What a rater does with a group, in words, where it is not scoring. */
export const TASKS = {
  rank: "Put the questions in order: 1 is the one that you would ask first. Equal places are ties.",
  best_worst: "Name the best and the worst of these questions. If you see no difference, say that all are equal.",
  pairs: "Say for each pair which question you would rather ask.",
};

export const letter = (index) => (index < 26 ? LETTERS[index] : `${LETTERS[Math.floor(index / 26) - 1]}${LETTERS[index % 26]}`);

export class RatingForm {
  #group = { candidates: [], task: "score" };
  #cards = new Map(); // by what is rated: candidate ids and EQUAL, or pairs
  #remarks = new Map(); // by candidate id
  #isEqual = false;

  /** `root` is the form element; `onChange` is called after every change by the rater. */
  constructor(root, onChange) {
    this.root = root;
    this.onChange = onChange;
    root.addEventListener("input", (event) => this.#changed(event.target));
    root.addEventListener("submit", (event) => event.preventDefault());
  }

  /** Show the questions of a group, with an answer that was begun earlier. */
  open(group, draft = null) {
    this.#group = group;
    this.#remarks = new Map();
    this.#cards = new Map(group.task === "pairs" ? this.#pairs() : this.#questions());
    this.root.replaceChildren(...this.#cards.values());
    this.#isEqual = false;
    this.#fill(draft);
    if (this.#isScored) this.setAllEqual(Boolean(draft?.all_equal) && this.canBeEqual);
    this.#refresh();
  }

  #questions() {
    const { candidates, task } = this.#group;
    const cards = candidates.map(({ candidate_id, text }, index) => {
      const name = candidates.length > 1 ? `Question ${letter(index)}` : "Question";
      const card = this.#named("candidate-template", `name-${index}`, name);
      showText(card.querySelector(".candidate-text"), text);
      if (!this.#isScored) card.querySelector(".criteria").replaceChildren(task === "rank" ? places(candidates.length) : bestOrWorst());
      card.append(this.#remark(candidate_id, text, name));
      return [candidate_id, this.#labelled(card, candidate_id, name)];
    });
    if (!this.#isScored) return cards;
    const equal = byId("equal-template").content.firstElementChild.cloneNode(true);
    return [[EQUAL, this.#labelled(equal, EQUAL, "all questions")], ...cards];
  }

  #pairs() {
    const { candidates, pairs } = this.#group;
    const place = new Map(candidates.map((one, index) => [one.candidate_id, index]));
    return pairs.map((ids, index) => {
      const [one, other] = ids.map((id) => letter(place.get(id)));
      const card = this.#named("pair-template", `name-${index}`, `${one} or ${other}`);
      card.querySelector(".pair").append(...ids.map((id) => {
        const { text } = candidates[place.get(id)];
        const name = `Question ${letter(place.get(id))}`;
        const words = el("p", { class: "candidate-text", dir: "auto" });
        showText(words, text);
        return el("div", { class: "stack" }, el("h3", { class: "candidate-name", text: name }), words, this.#remarks.has(id) ? null : this.#remark(id, text, name));
      }));
      card.querySelector(".criteria").append(scale("better", "I would rather ask", [one, "No difference", other]));
      return [ids.join("-"), this.#labelled(card, ids.join("-"), `${one} or ${other}`)];
    });
  }

  /** Room for a comment and a better wording; of a blind sheet also for what makes no sense. */
  #remark(id, text, name) {
    const box = byId("remark-template").content.firstElementChild.cloneNode(true);
    for (const of of box.querySelectorAll(".remark-of")) of.textContent = ` for ${name}`;
    const improved = box.querySelector(".remark-improved");
    box.querySelector("details").addEventListener("toggle", (event) => {
      if (event.target.open && !improved.value) improved.value = text; // to be changed; as it is it says nothing
    });
    box.querySelector(".remark-blind").hidden = !this.#group.blind;
    this.#remarks.set(id, box);
    return box;
  }

  /** What the rater has entered: for the draft, and, when nothing is missing, for the server. */
  get answer() {
    const ratings = {};
    const ids = [...this.#cards.keys()].filter((id) => (id === EQUAL) === this.#isEqual);
    for (const id of ids) ratings[id] = this.#values(id);
    return { ratings, all_equal: this.#isEqual, remarks: this.#said };
  }

  /** Comments and better wordings, where there are any. */
  get #said() {
    const found = {};
    for (const { candidate_id, text } of this.#group.candidates) {
      const box = this.#remarks.get(candidate_id);
      const [comment, improved] = [".remark-comment", ".remark-improved"].map((name) => box.querySelector(name).value.trim());
      const better = improved === text.trim() ? "" : improved;
      const no_sense = box.querySelector(".remark-no-sense").checked;
      if (comment || better || no_sense) found[candidate_id] = { comment, improved: better, no_sense };
    }
    return found;
  }

  get #isScored() {
    return this.#group.task === "score";
  }

  /** Whether the rater said that there is no difference. */
  get allEqual() {
    if (this.#isScored) return this.#isEqual;
    return this.#rows.length > 0 && this.#rows.every((row) => row.querySelector(`input[value="${this.#alike}"]`).checked);
  }

  /** What each row holds where there is no difference, if questions are compared. */
  get #alike() {
    return this.#group.task === "rank" ? FIRST : BETWEEN;
  }

  /** Groups with one question have nothing to be equal to. */
  get canBeEqual() {
    return this.#group.candidates.length > 1;
  }

  /** Whether every question has the same complete ratings without the rater having said that they are equal. */
  get looksEqual() {
    const all = Object.values(this.answer.ratings).map((values) => JSON.stringify(values));
    return this.#isScored && this.canBeEqual && !this.allEqual && this.missing.length === 0 && new Set(all).size === 1;
  }

  /** The scales without a rating, in the order of the page. */
  get missing() {
    const open = this.#rows.filter((row) => !checked(row));
    if (open.length || this.#group.task !== "best_worst") return open;
    const extremes = [FIRST, LAST].filter((value) => this.#rows.some((row) => checked(row) === value));
    return extremes.length === 1 ? this.#rows.filter((row) => checked(row) === BETWEEN) : [];
  }

  get count() {
    return { rated: this.#rows.length - this.missing.length, all: this.#rows.length };
  }

  setAllEqual(equal) {
    if (!this.#isScored) {
      for (const input of this.root.querySelectorAll(".scale input")) input.checked = equal && Number(input.value) === this.#alike;
      return this.#refresh();
    }
    if (equal && !this.#isEqual) this.#takeOver();
    this.#isEqual = equal;
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
    this.#changed(input);
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
    const cards = [...this.#cards].filter(([id]) => (id === EQUAL) === this.#isEqual).map(([, card]) => card);
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

  #named(template, id, name) {
    const card = byId(template).content.firstElementChild.cloneNode(true);
    const heading = card.querySelector(".candidate-name");
    heading.textContent = name;
    heading.id = id;
    card.setAttribute("aria-labelledby", id);
    return card;
  }

  #labelled(card, id, name) {
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
    for (const [id, { comment, improved, no_sense }] of Object.entries(draft?.remarks ?? {})) {
      const box = this.#remarks.get(id);
      if (!box) continue;
      box.querySelector(".remark-comment").value = comment;
      box.querySelector(".remark-improved").value = improved;
      box.querySelector(".remark-no-sense").checked = no_sense;
      box.querySelector(".remark").open = Boolean(comment || improved);
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
    const begun = this.#group.candidates.map(({ candidate_id }) => this.#values(candidate_id)).filter((values) => Object.keys(values).length);
    if (new Set(begun.map((values) => JSON.stringify(values))).size === 1) this.#set(EQUAL, begun[0]);
  }

  #changed(input) {
    if (this.#group.task === "best_worst" && input.type === "radio") this.#oneBestOneWorst(input);
    this.#refresh();
    this.onChange();
  }

  /** There is one best and one worst: who held the place is between now; with both named, so are all others. */
  #oneBestOneWorst(input) {
    const value = Number(input.value);
    const others = this.#rows.filter((row) => !row.contains(input));
    const isNamed = [FIRST, LAST].every((extreme) => this.#rows.some((row) => checked(row) === extreme));
    for (const row of others) {
      if ((value !== BETWEEN && checked(row) === value) || (isNamed && !checked(row))) row.querySelector(`input[value="${BETWEEN}"]`).checked = true;
    }
  }

  #refresh() {
    for (const row of this.root.querySelectorAll(".criterion.missing")) {
      if (row.querySelector("input:checked")) row.classList.remove("missing");
    }
    for (const [id, card] of this.#cards) {
      const complete = Object.keys(this.#values(id)).length === card.querySelectorAll(".criterion").length;
      const done = card.querySelector(".candidate-done");
      if (done) done.textContent = complete && !this.#isEqual ? "rated" : "";
      card.classList.toggle("complete", complete && !this.#isEqual);
    }
  }
}

const checked = (row) => Number(row.querySelector("input:checked")?.value ?? 0);

function showText(node, text) {
  node.textContent = text.trim() ? text : "(nothing was written)";
}

/** A scale of words or numbers: the first stands for 1. */
function scale(name, legend, words) {
  const row = byId("scale-template").content.firstElementChild.cloneNode(true);
  row.dataset.criterion = name;
  row.querySelector(".criterion-name").textContent = legend;
  row.querySelector(".scale").append(...words.map((text, index) => el("label", {}, el("input", { type: "radio", value: String(index + 1) }), el("span", { text }))));
  return row;
}

const places = (count) => scale("place", "Place", Array.from({ length: count }, (_, index) => String(index + 1)));
const bestOrWorst = () => scale("place", "In this group", ["Best", "Between", "Worst"]);

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
