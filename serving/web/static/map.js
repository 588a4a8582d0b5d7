// Drag across the map to choose an area. Without this file every part of the map is still a link.
"use strict";
(() => {
  const box = document.getElementById("map");
  const svg = box && box.querySelector("svg.canvas");
  if (!svg) return;
  document.querySelectorAll(".hidden-js").forEach((el) => el.classList.remove("hidden-js"));
  const spot = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY);
    return point.matrixTransform(svg.getScreenCTM().inverse());
  };
  // The name of a circle is its tooltip too; the page need not carry it twice.
  svg.addEventListener("pointerover", (event) => {
    const link = event.target.closest("a");
    if (!link || link.querySelector("title")) return;
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = link.getAttribute("aria-label");
    link.prepend(title);
  });
  let start = null;
  let frame = null;
  svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.pointerType === "touch" || event.target.closest("a")) return;
    start = spot(event);
    frame = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    frame.setAttribute("class", "box");
    svg.append(frame);
    svg.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  const area = (event) => {
    const end = spot(event);
    return {
      x: Math.min(start.x, end.x), y: Math.min(start.y, end.y),
      w: Math.abs(start.x - end.x), h: Math.abs(start.y - end.y),
    };
  };
  svg.addEventListener("pointermove", (event) => {
    if (!start) return;
    const a = area(event);
    frame.setAttribute("x", a.x); frame.setAttribute("y", a.y);
    frame.setAttribute("width", a.w); frame.setAttribute("height", a.h);
  });
  const stop = () => { start = null; if (frame) frame.remove(); frame = null; };
  svg.addEventListener("pointerup", (event) => {
    if (!start) return;
    const a = area(event);
    const width = Math.max(a.w, a.h * (Number(box.dataset.w) / Number(box.dataset.h)));
    stop();
    if (a.w < Number(box.dataset.w) / 60) return;
    const url = new URL(location.href);
    url.searchParams.set("x", (a.x + a.w / 2 - width / 2).toFixed(1));
    url.searchParams.set("y", (a.y + a.h / 2 - (width * Number(box.dataset.h) / Number(box.dataset.w)) / 2).toFixed(1));
    url.searchParams.set("w", width.toFixed(1));
    location.assign(url);
  });
  svg.addEventListener("pointercancel", stop);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") stop(); });
})();
