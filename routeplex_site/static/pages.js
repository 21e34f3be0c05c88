// The dashboard's own behaviour on top of routeplex.js: the live tail leaves alone what is being looked at.
"use strict";

// Rows that come in would push down the one under the pointer, or the one a key press has reached.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt.id !== "tail") return;
  const rows = document.getElementById("rows");
  if (document.hidden || rows?.matches(":hover, :focus-within") || rows?.querySelector(".is-current"))
    event.preventDefault();
});

// ── Models: comparing needs two to four ticks; without scripts the page that compares says so ───────────
const ticks = () => document.querySelectorAll('[form="compare"]:checked').length;
function countTicks() {
  const form = document.querySelector("[data-compare]");
  if (!form) return;
  const [number, most, hint] = [ticks(), Number(form.dataset.compare), form.querySelector("span")];
  form.querySelector("button").disabled = number < 2 || number > most;
  hint.textContent = number > most ? `${most} models at most: untick ${number - most}`
    : number < 2 ? `Tick ${number ? "one more" : `2 to ${most}`} ${number ? "model" : "models"} to compare` + (number ? "" : " them")
    : `${number} of ${most} models ticked`;
}
document.addEventListener("change", (event) => event.target.matches?.('[form="compare"]') && countTicks());
document.addEventListener("htmx:afterSwap", countTicks);
countTicks();
