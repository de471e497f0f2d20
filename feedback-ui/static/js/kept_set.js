// "My set" on the writing page: the questions that are kept, edited, saved, copied and printed.

import { capitalised, el } from "../elements/dom.js";
import { keepButton } from "./keep.js";
import { announce, byId, copy, setText, show } from "./page.js";
import * as sets from "./sets.js";

export class KeptSet {
  #questions = [];

  /** `role()` is the role in the form, `onOpen(set)` is called when a saved set is opened, `onChange()` after each change. */
  constructor(role, onOpen, onChange) {
    this.role = role;
    this.onOpen = onOpen;
    this.onChange = onChange;
    byId("save").addEventListener("click", () => this.#save());
    byId("copy-set").addEventListener("click", () => copy(sets.asText(this.#set)));
    byId("print").addEventListener("click", () => this.#print());
    byId("saved").addEventListener("change", (event) => this.#openSaved(event.target.value));
    byId("delete-set").addEventListener("click", () => this.#delete());
    this.#listSaved();
  }

  /** The kept questions and the set's name, saved or not. */
  get unsaved() {
    return { questions: this.#questions, name: byId("set-name").value };
  }

  /** Put back what `unsaved` gave. */
  restore({ questions, name }) {
    this.#questions = [...questions];
    byId("set-name").value = name;
    this.#draw();
  }

  has(question) {
    return this.#questions.includes(question);
  }

  toggle(question) {
    if (this.has(question)) this.#questions = this.#questions.filter((other) => other !== question);
    else this.#questions.push(question);
    this.#draw();
    announce(this.has(question) ? "Kept." : "Taken out of the set.");
  }

  get #set() {
    const role = this.role();
    return { name: byId("set-name").value.trim() || role.title, role, questions: this.#questions };
  }

  #draw() {
    show("set-empty", this.#questions.length === 0);
    show("set-actions", this.#questions.length > 0);
    byId("set-list").replaceChildren(...this.#questions.map((question, i) => this.#item(question, i)));
    this.onChange();
  }

  #item(question, i) {
    const text = el("textarea", { "aria-label": `Question ${i + 1}`, rows: 3, onchange: (event) => this.#edit(i, event.target.value) });
    text.value = question;
    const up = el("button", { type: "button", text: "↑", "aria-label": `Move question ${i + 1} up`, onclick: () => this.#moveUp(i) });
    up.disabled = i === 0;
    const out = el("button", { type: "button", text: "✕", "aria-label": `Take question ${i + 1} out`, onclick: () => this.toggle(question) });
    const keep = keepButton(`Keep question ${i + 1} of the set in the bank`, () => ({ role: this.role(), text: this.#questions[i] }));
    return el("li", {}, text, el("div", { class: "row" }, up, out), el("div", {}, keep));
  }

  #edit(i, text) {
    this.#questions[i] = text;
    this.onChange();
  }

  #moveUp(i) {
    const [question] = this.#questions.splice(i, 1);
    this.#questions.splice(i - 1, 0, question);
    this.#draw();
    byId("set-list").children[i - 1].querySelector("textarea").focus();
  }

  // ---- saved sets

  #save() {
    const set = this.#set;
    try {
      sets.save(set);
    } catch {
      setText("notice-text", "This browser does not let pages store anything, so the set could not be saved. Copy or print it instead.");
      return show("notice");
    }
    byId("set-name").value = set.name;
    this.#listSaved(set.name);
    announce(`Saved as ${set.name}.`);
  }

  #openSaved(name) {
    const set = sets.all().find((other) => other.name === name);
    show("delete-set", Boolean(set));
    if (!set) return;
    this.#questions = [...set.questions];
    byId("set-name").value = set.name;
    this.onOpen(set);
    this.#draw();
  }

  #delete() {
    sets.drop(byId("saved").value);
    announce("Deleted.");
    this.#listSaved();
  }

  #listSaved(chosen = "") {
    const names = sets.all().map((set) => set.name);
    show("saved-choice", names.length > 0);
    show("delete-set", Boolean(chosen));
    byId("saved").replaceChildren(
      el("option", { value: "", text: "Choose …" }),
      ...names.map((text) => el("option", { value: text, text, selected: text === chosen })),
    );
  }

  #print() {
    const { name, role, questions } = this.#set;
    setText("printed-title", name);
    setText("printed-role", [role.title === name ? null : role.title, capitalised(role.level ?? ""), (role.stack ?? []).join(", ")].filter(Boolean).join(" · "));
    byId("printed-list").replaceChildren(
      ...questions.map((text) => el("li", {}, el("div", { text }), el("div", { class: "lines" }))),
    );
    window.print();
  }
}
