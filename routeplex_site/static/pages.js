// The dashboard's own behaviour on top of routeplex.js: the live tail leaves alone what is being looked at.
"use strict";

// Rows that come in would push down the one under the pointer, or the one a key press has reached.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.elt.id !== "tail") return;
  const rows = document.getElementById("rows");
  if (document.hidden || rows?.matches(":hover, :focus-within") || rows?.querySelector(".is-current"))
    event.preventDefault();
});
