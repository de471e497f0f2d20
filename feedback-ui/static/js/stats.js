// The statistics page: figures and charts of what people rated, and the ratings themselves.

import { get, persistently } from "./api.js";
import { el } from "../elements/dom.js";
import { byId, setText, show } from "./page.js";
import { figures } from "./stats_figures.js";
import { ratingItem } from "./stats_ratings.js";

const SIZE = 20;
const filters = byId("filters");
const search = byId("search");
let page = 1;

function parameters(extra = {}) {
  const chosen = [...new FormData(filters), ...Object.entries(extra)].filter(([, value]) => value !== "");
  return new URLSearchParams(chosen).toString();
}

async function showFigures() {
  byId("figures").setAttribute("aria-busy", "true");
  const stats = await answer(`/api/stats?${parameters()}`);
  if (!stats) return;
  fill(filters.elements.run, stats.runs);
  fill(filters.elements.rater, stats.raters.map((one) => one.rater));
  byId("figures").replaceChildren(...figures(stats));
  byId("figures").setAttribute("aria-busy", "false");
}

/** Offer what there is; what was chosen stays. */
function fill(select, names) {
  const known = new Set([...select.options].map((option) => option.value));
  select.append(...names.filter((name) => !known.has(name)).map((text) => el("option", { value: text, text })));
}

async function showRatings() {
  const query = new FormData(search).get("query").trim();
  const found = await answer(`/api/ratings?${parameters({ query, page, size: SIZE })}`);
  if (!found) return;
  const { ratings, total } = found;
  byId("ratings").replaceChildren(...ratings.map(ratingItem));
  const first = (page - 1) * SIZE + 1;
  setText("ratings-range", ratings.length ? `${first} to ${first + ratings.length - 1} of ${total}` : query ? "Nothing matches." : "No ratings yet.");
  byId("newer").disabled = page === 1;
  byId("older").disabled = first + ratings.length - 1 >= total;
}

async function answer(path) {
  try {
    const found = await persistently(() => get(path), (error) => say(`${error.message} Trying again …`));
    show("notice", false);
    return found;
  } catch (error) {
    say(error.message);
    return null;
  }
}

function say(text) {
  setText("notice-text", text);
  show("notice");
}

function turn(by) {
  page += by;
  showRatings();
  byId("ratings-title").scrollIntoView();
}

filters.addEventListener("submit", (event) => {
  event.preventDefault();
  page = 1;
  showFigures();
  showRatings();
});
search.addEventListener("submit", (event) => {
  event.preventDefault();
  page = 1;
  showRatings();
});
byId("newer").addEventListener("click", () => turn(-1));
byId("older").addEventListener("click", () => turn(1));
showFigures();
showRatings();
