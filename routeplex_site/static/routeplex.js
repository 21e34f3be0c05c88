// Copy buttons, theme, dialogs, toasts, keyboard. Pages read well without it.
"use strict";

const find = (selector) => document.querySelector(selector);

// ── Theme: system → light → dark → system ──────────────────────────────────────────────────────────────
const themes = { system: "light", light: "dark", dark: "system" };

function switchTheme(button) {
  const root = document.documentElement;
  const next = themes[root.dataset.theme || "system"];
  if (next === "system") delete root.dataset.theme;
  else root.dataset.theme = next;
  try {
    if (next === "system") localStorage.removeItem("theme");
    else localStorage.setItem("theme", next);
  } catch {
    // The choice then lasts as long as the page.
  }
  button.setAttribute("aria-label", `Theme: ${next}`);
  button.title = `Theme: ${next}`;
}

// ── Copy: <button data-copy="#id of the element whose text is copied"> ─────────────────────────────────
async function copy(button) {
  const source = find(button.dataset.copy);
  const label = button.querySelector("[data-copy-label]");
  const said = label.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
    label.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(source); // no clipboard without HTTPS: leave it selected
    label.textContent = "Press Ctrl+C";
  }
  setTimeout(() => (label.textContent = said), 2000);
}

// ── Copied text has the exact numbers: <data value="exact">rounded</data> ──────────────────────────────
document.addEventListener("copy", (event) => {
  const selection = getSelection();
  if (event.target.closest?.("input, textarea") || !selection.rangeCount) return;
  let text = String(selection);
  let from = 0;
  for (const number of document.querySelectorAll("data[title]")) {
    const shown = number.firstChild.textContent;
    const at = selection.containsNode(number, true) ? text.indexOf(shown, from) : -1;
    if (at < 0) continue;
    text = text.slice(0, at) + number.value + text.slice(at + shown.length);
    from = at + number.value.length;
  }
  event.clipboardData.setData("text/plain", text);
  event.preventDefault();
});

// ── Dialogs: <a data-modal hx-get=… hx-target="#modal">, <button data-dialog="id">, <button data-close> ─
function openDialog(dialog) {
  if (dialog && !dialog.open) dialog.showModal();
}

document.addEventListener("htmx:afterSwap", (event) => {
  // There is no target when a page is restored from history.
  if (event.detail.target?.id === "modal") openDialog(event.detail.target);
});

// ── Toasts: from the server by `HX-Trigger: {"toast": {"message": …, "level": "success"}}` ─────────────
const TOAST_MS = 8000;

function showToast(message, level = "info") {
  const toast = find("#toast-template").content.firstElementChild.cloneNode(true);
  toast.classList.add(`toast-${level}`);
  toast.querySelector("p").textContent = message;
  find("#toasts").append(toast);
  dismissLater(toast);
}

function dismissLater(toast) {
  if (!toast.matches(".toast-error, .toast-warning")) setTimeout(() => toast.remove(), TOAST_MS);
}

document.addEventListener("toast", (event) => showToast(event.detail.message, event.detail.level));
document.addEventListener("htmx:sendError", () => showToast("The server can't be reached. Try again.", "error"));
document.addEventListener("htmx:responseError", (event) => {
  const { status } = event.detail.xhr;
  showToast(status === 403 ? "You are signed out, or this is not allowed. Reload the page." : `That failed (${status}). Try again.`, "error");
});

// ── Clicks ─────────────────────────────────────────────────────────────────────────────────────────────
document.addEventListener("click", (event) => {
  const at = (selector) => event.target.closest(selector);
  let found;
  if ((found = at("[data-copy]"))) copy(found);
  else if ((found = at("[data-theme-toggle]"))) switchTheme(found);
  else if ((found = at("[data-dialog]"))) openDialog(document.getElementById(found.dataset.dialog));
  else if (at("dialog [data-close]")) {
    event.preventDefault(); // the same link on a page of its own leads back
    at("dialog").close();
  } else if (at(".toast [data-close]")) at(".toast").remove();
  else if ((found = at("[role=tab][aria-controls]"))) selectTab(found);
  else if (event.target.matches("dialog")) event.target.close(); // the backdrop
  else if ((found = at("tr[data-row]")) && !at("a, button, input, label, summary") && !String(getSelection()))
    openRow(found);
});

// ── Tabs whose panels are all on the page: <button role=tab aria-controls=panel-id> ────────────────────
function selectTab(tab) {
  for (const other of tab.parentElement.querySelectorAll("[role=tab]")) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", chosen);
    other.tabIndex = chosen ? 0 : -1;
    document.getElementById(other.getAttribute("aria-controls")).hidden = !chosen;
  }
}

document.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step || !event.target.matches("[role=tab][aria-controls]")) return;
  const tabs = [...event.target.parentElement.querySelectorAll("[role=tab]")];
  const next = tabs[(tabs.indexOf(event.target) + step + tabs.length) % tabs.length];
  next.focus();
  selectTab(next);
});

// ── Keyboard: / search, j k rows, Enter opens, ? help ──────────────────────────────────────────────────
function openRow(row) {
  row.querySelector("a[href]")?.click();
}

function moveRow(step) {
  const rows = [...document.querySelectorAll("tr[data-row]")];
  if (!rows.length) return;
  const now = rows.findIndex((row) => row.classList.contains("is-current"));
  const next = rows[Math.min(Math.max(now + step, 0), rows.length - 1)];
  rows[now]?.classList.remove("is-current");
  next.classList.add("is-current");
  next.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.closest("input, textarea, select, [contenteditable], dialog")) return;
  if (event.key === "/") find("[data-search]")?.focus();
  else if (event.key === "j") moveRow(1);
  else if (event.key === "k") moveRow(-1);
  else if (event.key === "?") openDialog(find("#shortcuts"));
  else if (event.key === "Enter" && event.target === document.body && find("tr.is-current")) openRow(find("tr.is-current"));
  else return;
  event.preventDefault();
});

// ── At the start ───────────────────────────────────────────────────────────────────────────────────────
for (const input of document.querySelectorAll("[data-time-zone]"))
  input.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "";
for (const toast of document.querySelectorAll("#toasts .toast")) dismissLater(toast);
for (const button of document.querySelectorAll("[data-when-changed]")) {
  button.disabled = true;
  button.form.addEventListener("change", () => (button.disabled = false), { once: true });
}

// ── Terms: Escape closes the meaning of a term until it is pointed at or focused again ─────────────────
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") document.querySelectorAll(".term:is(:hover, :focus-within)").forEach((term) => term.classList.add("is-closed"));
});
// A finger cannot hover, so its first tap only shows the meaning, and the second follows the link.
let tapped = null;
document.addEventListener("pointerdown", (event) => {
  const link = event.pointerType === "touch" ? event.target.closest?.(".term > a") : null;
  tapped = link === document.activeElement ? null : link;
});
document.addEventListener("click", (event) => {
  if (!tapped || event.target.closest?.(".term > a") !== tapped) return;
  event.preventDefault();
  tapped.focus();
});
for (const kind of ["pointerover", "focusin"]) document.addEventListener(kind, (event) => event.target.closest?.(".term")?.classList.remove("is-closed"));

// ── Answers that are read while they are written ───────────────────────────────────────────────────────
// `fetch` and `read` fail with a TypeError where there is no connection, as code with a fault in it does.
function unreachable(error) {
  throw error instanceof TypeError ? new Error("The server can't be reached. Try again.") : error;
}

async function* eventsOf(response) {
  let rest = "";
  for (const reader = response.body.pipeThrough(new TextDecoderStream()).getReader(); ; ) {
    const { done, value } = await reader.read().catch(unreachable);
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) if (part.startsWith("data: ")) yield JSON.parse(part.slice(6));
  }
}
