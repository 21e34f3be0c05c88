// The command palette: Ctrl-K or the sidebar's link opens it, arrow keys move. Without it, the link leads to a page.
"use strict";

const palette = document.getElementById("palette");

function openPalette() {
  if (!palette || palette.open) return;
  palette.showModal();
  palette.querySelector("input").select();
  palette.querySelector("form").dispatchEvent(new Event("palette:open", { bubbles: true }));
}

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openPalette();
  }
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-palette]");
  if (!link || !palette || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  document.getElementById("sidebar")?.matches(":popover-open") && document.getElementById("sidebar").hidePopover();
  openPalette();
});

palette?.addEventListener("keydown", (event) => {
  const links = [...palette.querySelectorAll("#palette-found a")];
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && links.length) {
    event.preventDefault();
    const next = links.indexOf(document.activeElement) + step;
    if (next < 0) palette.querySelector("input").focus();
    else links[Math.min(next, links.length - 1)].focus();
  } else if (event.key === "Enter" && event.target.matches("input") && links.length) {
    event.preventDefault();
    links[0].click();
  }
});
palette?.addEventListener("submit", (event) => event.preventDefault());
