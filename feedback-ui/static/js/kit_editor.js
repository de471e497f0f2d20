// A kit on the writing page: every text is edited where it stands; it is printed and saved as it is then.

import { persistently, post } from "./api.js";
import { el } from "../elements/dom.js";
import { keepInBank } from "./keep.js";
import { announce, byId, setText, show } from "./page.js";

const PARTS = [
  ["good", "A good answer, a point a line"],
  ["weak", "Signs of a weak answer, one a line"],
  ["probes", "Ask next, one a line"],
  ["scale", "Score: what 1, 2, 3 and 4 points sound like, one a line"],
];
const FILES = { markdown: ["md", "text/markdown"], csv: ["csv", "text/csv"], json: ["json", "application/json"] };
const EMPTY = { good: [], weak: [], probes: [], scale: [], minutes: 5 };

export class KitEditor {
  #kit = null;

  /** `onChange(kit)` is called after each change, with null when it is thrown away. */
  constructor(onChange) {
    this.onChange = onChange;
    for (const [id, hash] of [["print-kit", ""], ["print-candidate", "#candidate"]]) {
      byId(id).addEventListener("click", () => window.open(`/write/sheet${hash}`, "_blank"));
    }
    for (const form of Object.keys(FILES)) byId(`save-${form}`).addEventListener("click", () => this.#download(form));
    byId("drop-kit").addEventListener("click", () => this.#replace(null));
  }

  show(kit) {
    this.#kit = kit;
    show("kit", Boolean(kit));
    byId("kit-list").replaceChildren(...(kit?.questions ?? []).map((made, i) => this.#item(made, i)));
    if (!kit) return;
    const about = [];
    if (kit.left_out.length) about.push(`Not tested by this set: ${kit.left_out.join("; ")}.`);
    about.push(...kit.notes, `Written by ${kit.model}; checked by ${kit.checked_by ?? "nobody"}. Read it before you use it.`);
    byId("kit-about").replaceChildren(...about.map((text) => el("p", { text })));
  }

  #replace(kit) {
    this.show(kit);
    this.onChange(kit);
  }

  #item(made, i) {
    const number = i + 1;
    const text = this.#area(`Kit question ${number}`, made.question, 3, (value) => (made.question = value));
    const facts = [`Tests: ${made.skill}`, made.difficulty, made.guide ? `${made.guide.minutes} min` : null];
    const out = el("button", { type: "button", text: "Take out", "aria-label": `Take question ${number} out`, onclick: () => this.#takeOut(i) });
    return el("li", { class: "card stack kit-question" },
      el("h3", { text: `${number}. ${made.skill}` }),
      text,
      el("p", { class: "small muted", text: facts.filter(Boolean).join(" · ") + (made.line ? ` · “${made.line}”` : "") }),
      made.missing.map((missing) => el("p", { class: "notice warn small", text: missing })),
      made.hints.map(({ reason, found }) => el("p", { class: "small", text: `Read again: ${reason}${found ? ` (“${found}”)` : ""}.` })),
      el("details", { open: Boolean(made.guide) },
        el("summary", { text: made.guide ? "Guide" : "Write a guide" }),
        PARTS.map(([name, label]) => el("label", { class: "field" }, label,
          this.#area(`${label}, question ${number}`, (made.guide?.[name] ?? []).join("\n"), name === "good" ? 5 : 3, (value) => {
            made.guide = { ...EMPTY, ...made.guide, [name]: value.split("\n").map((line) => line.trim()).filter(Boolean) };
            made.guide.scale = made.guide.scale.slice(0, 4);
            made.checked = null;
            made.missing = made.missing.filter((missing) => !missing.startsWith("No guide"));
          }))),
      ),
      el("div", { class: "row" }, this.#keeper(made, number), out),
    );
  }

  #keeper(made, number) {
    return el("button", {
      type: "button", text: "Keep in the bank", "aria-label": `Keep question ${number} in the bank`,
      onclick: async ({ target }) => {
        target.disabled = true;
        show("notice", false);
        try {
          const kept = await keepInBank({ role: this.#kit.role, text: made.question, skill: made.skill, entry: made });
          if (kept) announce((target.textContent = `Kept as number ${kept}`));
        } catch (error) {
          setText("notice-text", error.message);
          show("notice");
        } finally {
          target.disabled = false;
        }
      },
    });
  }

  #area(label, value, rows, set) {
    const area = el("textarea", { "aria-label": label, rows, dir: "auto", oninput: (event) => { set(event.target.value); this.onChange(this.#kit); } });
    area.value = value;
    return area;
  }

  #takeOut(i) {
    const questions = this.#kit.questions.filter((_, other) => other !== i);
    this.#replace({ ...this.#kit, questions });
    announce("Taken out.");
    (byId("kit-list").querySelector("textarea") ?? byId("write-kit")).focus();
  }

  async #download(form) {
    try {
      const { text } = await persistently(() => post("/api/sheet", { kit: this.#kit, form }));
      const [ending, type] = FILES[form];
      const address = URL.createObjectURL(new Blob([text], { type }));
      el("a", { href: address, download: `kit.${ending}` }).click();
      URL.revokeObjectURL(address);
    } catch (error) {
      setText("notice-text", error.message);
      show("notice");
    }
  }
}
