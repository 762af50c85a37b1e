// The panel at the side: #concept=its number, or #unit=12.
"use strict";
FD.panels = (function () {
  const study = FD.get("study");
  const { concepts, units } = study;
  const el = FD.el;
  const dialog = document.getElementById("panel");
  const rowOf = new Map(concepts.number.map((n, row) => [String(n), row]));
  let shown = null, from = null;

  function drawInside(row) {
    const strip = document.getElementById("strip"), curve = document.getElementById("curve"), own = shown;
    if (curve) FD.strips.curve(curve, row);
    FD.load("weights-" + Math.floor(row / study.chunk)).then(function (chunk) {
      if (shown === own) FD.strips.strip(strip, chunk[row % study.chunk], (k) => FD.state.set({ unit: String(k), concept: null }, true));
    }, () => strip.replaceChildren(el("p", { class: "notice" }, "A file of this page’s data folder could not be read.")));
  }

  function show(state) {
    const row = rowOf.get(state.concept);
    const k = /^\d+$/.test(state.unit || "") && +state.unit < units.count ? +state.unit : undefined;
    const what = row !== undefined ? "concept " + row : k !== undefined ? "unit " + k : null;
    if (what === shown) return;
    shown = what;
    if (what === null) {
      if (dialog.open) dialog.close();
      if (from) from.focus({ preventScroll: true });
      from = null;
      return;
    }
    if (!dialog.open) from = document.activeElement;
    dialog.replaceChildren(...(row !== undefined ? FD.views.concept(row) : FD.views.unit(k)).filter(Boolean));
    if (!dialog.open) dialog.showModal();
    if (row !== undefined) drawInside(row);
    dialog.scrollTop = 0;
    document.getElementById("panel-title").focus({ preventScroll: true });
  }

  const close = () => FD.state.set({ unit: null, concept: null }, true);

  // The next concept as the list stands, or the next unit by number.
  function walk(step) {
    const state = FD.state.get(), row = rowOf.get(state.concept);
    if (row === undefined) {
      const k = +state.unit + step;
      if (k >= 0 && k < units.count) FD.state.set({ unit: String(k) });
      return;
    }
    const list = FD.listings.order().includes(row) ? FD.listings.order() : FD.charts.ranked;
    const next = list[list.indexOf(row) + step];
    if (next !== undefined) FD.state.set({ concept: String(concepts.number[next]) });
  }

  function start() {
    // Plain clicks stay here; a link that is opened in a new tab carries its own address.
    addEventListener("click", function (event) {
      if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
      const link = event.target.closest("a[data-concept], a[data-unit]");
      if (!link) return;
      event.preventDefault();
      const { concept: number_, unit: k } = link.dataset;
      FD.state.set(number_ === undefined ? { unit: k, concept: null } : { concept: number_, unit: null }, true);
    });
    dialog.addEventListener("cancel", (event) => { event.preventDefault(); close(); });
    dialog.addEventListener("close", () => shown !== null && close()); // the browser may close it by itself
    dialog.addEventListener("click", function (event) {
      const action = event.target.closest("[data-do]");
      if (event.target === dialog || (action && action.dataset.do === "close")) close();
      else if (action) walk(action.dataset.do === "next" ? 1 : -1);
    });
    dialog.addEventListener("keydown", function (event) {
      if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
      if (event.key === "ArrowRight" || event.key === "ArrowLeft") { event.preventDefault(); walk(event.key === "ArrowRight" ? 1 : -1); }
    });
    FD.state.listen(show);
  }

  return { start };
})();
FD.charts.start();
FD.listings.start();
FD.panels.start();
FD.state.start();
