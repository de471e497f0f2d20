// A sheet for blind reads: every question gets a score and perhaps an X. What is typed stays in this browser until it is exported.

import { el, plural } from "./elements/dom.js";

const data = JSON.parse(document.getElementById("data").textContent);
const PLACE = `blind-sheet-${data.hash}`;
const ids = data.roles.flatMap((role) => Object.keys(role.questions));
const KINDS = ["person", "language model"];

// {reader, kind, marks: {id: {score: as typed, x: true or false}}}
const state = { reader: "", kind: KINDS[0], marks: {}, ...stored() };
let isKept = true;

function stored() {
  try {
    return JSON.parse(localStorage.getItem(PLACE)) ?? {};
  } catch {
    return {};
  }
}

function keep() {
  try {
    localStorage.setItem(PLACE, JSON.stringify(state));
    isKept = true;
  } catch {
    isKept = false;
  }
  progress();
}

/** A score as typed, with a comma or a point; null if it is none from 0 to 10. */
function scoreOf(id) {
  const text = (state.marks[id]?.score ?? "").trim().replace(",", ".");
  const value = /^\d+(\.\d*)?$/.test(text) ? Number(text) : NaN;
  return value >= 0 && value <= data.highest ? value : null;
}

const status = el("p", { class: "status", role: "status" });

function progress(said = "") {
  const read = ids.filter((id) => scoreOf(id) !== null).length;
  const lost = isKept ? "" : " This browser keeps nothing: export before you close the page.";
  status.textContent = `${said}${read} of ${plural(ids.length, "question")} read.${lost}`;
}

function question(id, text) {
  const mark = (state.marks[id] ??= { score: "", x: false });
  const item = el("li", { id: `q${id}` },
    el("p", {}, el("strong", {}, `${id}. `)),
    el("blockquote", {}, text || "(empty)"),
    el("div", { class: "marks" },
      el("label", {}, "Score", el("input", { inputmode: "decimal", autocomplete: "off", maxlength: 5, "aria-label": `Score of ${id}, 0 to ${data.highest}`, oninput: typed, onkeydown: pressed })),
      el("label", {}, el("input", { type: "checkbox", "aria-label": `${id} makes no sense`, onchange: crossed, onkeydown: pressed }), "Makes no sense (X)"),
    ),
  );
  const [score, cross] = item.querySelectorAll("input");
  score.value = mark.score;
  cross.checked = mark.x;

  function show() {
    const isRead = scoreOf(id) !== null;
    item.classList.toggle("read", isRead);
    score.setAttribute("aria-invalid", String(!isRead && (mark.x || mark.score.trim() !== "")));
  }
  function typed() {
    mark.score = score.value;
    show();
    keep();
  }
  function crossed() {
    mark.x = cross.checked;
    show();
    keep();
  }
  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { Enter: event.shiftKey ? -1 : 1, ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key.toLowerCase() === "x") {
      cross.checked = !cross.checked;
      crossed();
    } else if (step) go(ids[ids.indexOf(id) + step]);
    else return;
    event.preventDefault();
  }
  show();
  return item;
}

function go(id) {
  const item = document.getElementById(`q${id}`);
  if (!item) return;
  item.querySelector("input").focus({ preventScroll: true });
  item.scrollIntoView({ block: "center" });
}

const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

function exported() {
  if (!state.reader.trim()) {
    progress("Write your name first. ");
    document.getElementById("reader").focus();
    return;
  }
  const rows = ids.filter((id) => scoreOf(id) !== null).map((id) => [id, scoreOf(id), state.marks[id].x ? "X" : "", state.reader.trim(), state.kind, data.hash]);
  const text = [["ID", "score", "X", "reader", "kind", "sheet"], ...rows].map((row) => row.map((cell) => quoted(String(cell))).join(",")).join("\n") + "\n";
  const link = el("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: `reading-${state.reader.trim().replace(/[^\p{L}\p{N}]+/gu, "-")}.csv` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  progress("Exported. ");
}

function draw() {
  const name = el("input", { id: "reader", autocomplete: "name", maxlength: 80, oninput: (event) => { state.reader = event.target.value; keep(); } });
  name.value = state.reader;
  const kind = el("select", { onchange: (event) => { state.kind = event.target.value; keep(); } }, KINDS.map((each) => el("option", { value: each, selected: each === state.kind }, each)));
  const next = el("button", { type: "button", onclick: () => go(ids.find((id) => scoreOf(id) === null) ?? ids[0]) }, "Next unread");
  document.getElementById("content").classList.add("sheet");
  document.getElementById("content").replaceChildren(
    el("h1", {}, "Questions to be read blind"),
    ...data.instructions.map((text) => el("p", {}, text)),
    el("p", { class: "note" }, "Type a score; x marks a question that makes no sense; Enter or ↓ goes on, ↑ goes back. What you typed stays in this browser; export it at the end and hand the file in."),
    el("div", { class: "reader" }, el("label", {}, "Your name", name), el("label", {}, "You are a", kind)),
    el("nav", { "aria-label": "Progress" }, status, next, el("button", { type: "button", onclick: exported }, "Export as CSV")),
    ...data.roles.map((role) =>
      el("section", { "aria-labelledby": `role${role.number}` },
        el("h2", { id: `role${role.number}` }, `${role.number}. ${role.title}`),
        el("p", { class: "facts" }, [role.level, role.focus, role.stack.join(", ")].map((fact) => el("span", {}, fact))),
        el("p", {}, role.description),
        el("p", { class: "note" }, `Key skills: ${role.key_skills.join(", ")}.`),
        el("ol", { class: "items" }, Object.entries(role.questions).map(([id, text]) => question(id, text))),
      )),
    el("p", { class: "note" }, `Sheet ${data.hash}`),
  );
  progress();
}

draw();
