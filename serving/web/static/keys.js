// Escape closes what was opened and gives the focus back to what opened it.
"use strict";
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const opened = document.activeElement?.closest("details[open]");
  if (!opened) return;
  opened.open = false;
  opened.querySelector("summary")?.focus();
});
