// Drag a visit to another week. The form above the weeks does the same without this file.
"use strict";
(() => {
  const calendar = document.getElementById("calendar");
  if (!calendar) return;
  document.querySelectorAll(".hidden-js").forEach((el) => el.classList.remove("hidden-js"));
  let dealer = "";
  calendar.querySelectorAll(".visit").forEach((visit) => {
    visit.draggable = true;
    visit.addEventListener("dragstart", (event) => {
      dealer = visit.dataset.dealer;
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/plain", dealer);
    });
  });
  calendar.querySelectorAll(".week").forEach((week) => {
    week.addEventListener("dragover", (event) => {
      if (!dealer) return;
      event.preventDefault();
      week.classList.add("drop");
    });
    week.addEventListener("dragleave", () => week.classList.remove("drop"));
    week.addEventListener("drop", (event) => {
      event.preventDefault();
      week.classList.remove("drop");
      if (!dealer || week.querySelector(`.visit[data-dealer="${CSS.escape(dealer)}"]`)) return;
      const query = new URLSearchParams(calendar.dataset.query);
      new URLSearchParams(calendar.dataset.moves).getAll("move").forEach((move) => query.append("move", move));
      query.append("move", `${dealer}~${week.dataset.week}.${week.dataset.investigator}`);
      dealer = "";
      location.assign(`/plan?${query}`);
    });
  });
})();
