// The rater's latest ratings, to be opened again and changed.

import { get } from "./api.js";
import { el, plural } from "../elements/dom.js";
import { byId, show, when } from "./page.js";

const COUNT = 20;

export class Recent {
  /** `onEdit(entry)` is called with what is to be changed. */
  constructor(onEdit) {
    this.onEdit = onEdit;
  }

  async refresh() {
    try {
      this.#draw((await get(`/api/rate/mine?limit=${COUNT}`)).ratings);
    } catch {
      // The list is a convenience; the rating itself says when the server is away.
    }
  }

  #draw(entries) {
    show("recent", entries.length > 0);
    byId("recent-list").replaceChildren(...entries.map((entry) => this.#item(entry)));
  }

  #item(entry) {
    const { group } = entry;
    const title = group.role.title ?? "Role not described";
    const what = entry.answer.all_equal ? "all equal" : plural(group.candidates.length, "question");
    return el(
      "li",
      {},
      el(
        "div",
        {},
        el("p", { text: title }),
        el("p", { class: "small muted", text: `${what} · ${when(entry.updated_at)}${entry.editable ? "" : " · used by training"}` }),
      ),
      el("button", { type: "button", text: "Change", "aria-label": `Change the ratings of ${title}`, onclick: () => this.onEdit(entry) }),
    );
  }
}
