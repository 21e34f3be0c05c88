// One language for all samples of a page and of the next ones; the search's list closes. Pages work without it.
"use strict";

const remembered = "docs-language";

function choose(title) {
  for (const input of document.querySelectorAll("[data-code-tab]")) {
    if (input.dataset.codeTab === title) input.checked = true;
  }
}

document.addEventListener("change", (event) => {
  const title = event.target.dataset?.codeTab;
  if (!title) return;
  const before = event.target.getBoundingClientRect().top;
  choose(title);
  scrollBy(0, event.target.getBoundingClientRect().top - before); // samples above may differ in height
  try {
    localStorage.setItem(remembered, title);
  } catch {
    // The choice then lasts as long as the page.
  }
});

try {
  const title = localStorage.getItem(remembered);
  if (title) choose(title);
} catch {
  // No storage: the first tab of each sample shows.
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") document.getElementById("docs-found")?.replaceChildren();
});
document.addEventListener("click", (event) => {
  if (!event.target.closest(".docs-search")) document.getElementById("docs-found")?.replaceChildren();
});
