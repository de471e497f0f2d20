// A kit on the writing page: every text is edited where it stands; it is printed and saved as it is then.

import { persistently, post } from "./api.js";
import { el } from "../elements/dom.js";
import { asLines, asText, EMPTY, PARTS } from "./guide_form.js";
import { keepButton } from "./keep.js";
import { announce, byId, setText, show } from "./page.js";

const FILES = { markdown: ["md", "text/markdown"], csv: ["csv", "text/csv"], json: ["json", "application/json"] };

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
    const text = this.#area(`Kit question ${number}`, made.question, 3, (value) => {
      made.question = value;
      made.missing = made.missing.filter((missing) => !missing.startsWith("It was asked for on"));
    });
    const facts = [`Skill: ${made.skill}`, made.difficulty, made.guide ? `${made.guide.minutes} min` : null];
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
          this.#area(`${label}, question ${number}`, asText(made.guide, name), name === "good" ? 5 : 3, (value) => {
            made.guide = { ...EMPTY, ...made.guide, [name]: asLines(value) };
            made.guide.scale = made.guide.scale.slice(0, 4);
            made.checked = null;
            made.missing = made.missing.filter((missing) => !missing.startsWith("No guide"));
          }))),
      ),
      el("div", { class: "row" }, keepButton(`Keep question ${number} in the bank`, () => ({ role: this.#kit.role, text: made.question, skill: made.skill, entry: made })), out),
    );
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
