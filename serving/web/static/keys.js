// On a narrow screen the pages scroll sideways: the one that is shown is in sight.
// Escape closes what was opened and gives the focus back to what opened it.
"use strict";
const shown = document.querySelector("nav [aria-current]");
const row = shown?.closest("nav");
if (row) row.scrollLeft = shown.offsetLeft - (row.clientWidth - shown.offsetWidth) / 2;
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const opened = document.activeElement?.closest("details[open]");
  if (!opened) return;
  opened.open = false;
  opened.querySelector("summary")?.focus();
});
