// The keyboard of the rating page. Single keys can be switched off (they disturb speech input).

import { byId } from "./page.js";

const OFF = "keys-off";

/** Call `actions[name]` for its key, unless somebody is typing or a dialog is open. */
export function listen(actions) {
  const box = byId("keys-on");
  box.checked = localStorage.getItem(OFF) === null;
  box.addEventListener("change", () => {
    if (box.checked) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "1");
  });
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    const action = find(event, actions, box.checked);
    if (!action) return;
    event.preventDefault();
    action();
  });
  chooseByNumber(byId("skip-dialog"));
}

function find(event, actions, singleKeys) {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) return actions.submit;
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  const target = event.target;
  if (isTyping(target)) return null;
  const inRatings = target.closest(".criterion") !== null;
  if (event.key === "ArrowDown" && inRatings) return actions.nextRow;
  if (event.key === "ArrowUp" && inRatings) return actions.previousRow;
  if (!singleKeys) return null;
  if (event.key === "Enter") return target.closest("button, a, summary, select") ? null : actions.submit;
  if (/^[1-9]$/.test(event.key)) return () => actions.rate(Number(event.key));
  return { j: actions.nextCard, k: actions.previousCard, s: actions.skip, u: actions.undo, "=": actions.equal, "?": actions.help }[event.key];
}

function isTyping(target) {
  return target.matches("textarea, select, input:not([type=radio], [type=checkbox])") || target.isContentEditable;
}

/** In a dialog of choices, 1 is the first choice, 2 the second …; Enter in a text goes to the last, and a second Enter takes it. */
function chooseByNumber(dialog) {
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("input")) {
      event.preventDefault(); // it would take the first choice, whatever was typed
      return dialog.querySelector(".choices button:last-child").focus();
    }
    if (isTyping(event.target) || !/^[1-9]$/.test(event.key)) return;
    const choice = dialog.querySelectorAll(".choices button")[Number(event.key) - 1];
    if (!choice) return;
    event.preventDefault();
    choice.click();
  });
}
