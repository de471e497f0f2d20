// What the pages share beside the elements and charts of the report (`recruiter/report/elements`): finding, showing, asking, announcing.

import { plural } from "../elements/dom.js";

export const byId = (id) => document.getElementById(id);

export function show(id, visible = true) {
  byId(id).hidden = !visible;
}

export function setText(id, text) {
  byId(id).textContent = text;
}

/** Say something to screen readers without moving the focus. */
export function announce(text) {
  const live = byId("live");
  live.textContent = "";
  setTimeout(() => (live.textContent = text), 50);
}

/** Let a progress bar show a share, or, with null, that something goes on. */
export function setProgress(id, share) {
  if (share === null) byId(id).removeAttribute("value");
  else byId(id).value = share;
}

/** 45 s, 3 min, 2 h 5 min. */
export function duration(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return plural(Math.floor(hours / 24), "day");
}

const WHEN = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** A time of the server (ISO, or seconds since 1970) as this reader writes it. */
export function when(time) {
  const date = new Date(typeof time === "number" ? time * 1000 : time);
  return Number.isNaN(date.valueOf()) ? "–" : WHEN.format(date);
}

/** Ask with a dialog; resolves to the value of the button that closed it ("" if it was dismissed). */
export function ask(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const closed = () => {
      if (dialog.open) return; // this event is of the time before, and the dialog has been opened again
      dialog.removeEventListener("close", closed);
      resolve(dialog.returnValue);
    };
    dialog.addEventListener("close", closed);
  });
}

/** Put a text on the clipboard and say so; what to do instead where the browser does not let us. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    announce("Copied.");
  } catch {
    setText("notice-text", "This browser lets pages copy only over https or on this computer; select the text instead.");
    show("notice");
  }
}
