// Wires the parts together: links and keys set the state, every part shows it.
"use strict";
(function () {
  const { state, selection, gallery, controls, panel, chart } = FD;
  const by = (id) => document.getElementById(id);
  const FILTERS = ["q", "layer", "cat", "label", "min", "max", "sort", "dir"];
  let last = null;

  state.listen(function (now) {
    const key = JSON.stringify(FILTERS.map((name) => now[name]));
    if (key !== last) {
      last = key;
      const chosen = selection.choose(now);
      chart.show(now);
      controls.show(now, chosen.length);
      gallery.show(chosen);
    }
    panel.show(now);
  });

  // Plain clicks keep the filters that are set; a link opened in a new tab carries only its own.
  addEventListener("click", function (event) {
    if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = event.target.closest("a");
    if (!link) return;
    const { id, concept, filter, label } = link.dataset;
    if (id !== undefined) state.set({ unit: selection.place(selection.all[+id]), concept: null }, true);
    else if (concept !== undefined) state.set({ concept, unit: null }, true);
    else if (filter !== undefined) { state.set({ layer: "*", label: filter, q: null, cat: null, min: null, max: null, unit: null, concept: null }, true); toUnits(); }
    else if (label !== undefined) { toggleLabel(link, label); }
    else if (link.closest("tr[data-layer]")) state.set({ layer: link.closest("tr").dataset.layer, label: null });
    else if (link.id === "skip") { gallery.focus(0); }
    else return;
    event.preventDefault();
  });

  function toggleLabel(link, label) {
    if (state.get().label === label) { state.set({ label: null }); return; }
    state.set({ layer: link.closest("[data-layer]").dataset.layer, label, q: null, cat: null, min: null, max: null });
    toUnits();
  }

  function toUnits() {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    by("units").scrollIntoView({ behavior: calm ? "instant" : "smooth" });
  }

  addEventListener("keydown", function (event) {
    const typing = event.target.closest("input, select, textarea");
    if (event.key === "/" && !typing && !by("panel").open && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      by("search").focus();
      by("search").select();
    } else if (typing === by("search") && (event.key === "ArrowDown" || event.key === "Enter")) {
      event.preventDefault();
      gallery.focus(0);
    } else if (typing === by("search") && event.key === "Escape") {
      event.preventDefault();
      by("search").value = "";
      state.set({ q: null });
    }
  });

  // Four pictures of a unit, or all.
  const KEY = "fastdissect-density";
  const density = by("density");
  function dense(whole) { density.setAttribute("aria-pressed", String(whole)); gallery.density(whole); }
  density.hidden = gallery.sheetRows < 2;
  density.addEventListener("click", function () {
    const whole = density.getAttribute("aria-pressed") !== "true";
    dense(whole);
    try { localStorage.setItem(KEY, whole ? "whole" : "row"); } catch { /* not kept */ }
  });

  controls.start();
  gallery.start();
  panel.start();
  chart.start();
  try { if (localStorage.getItem(KEY) === "whole") dense(true); } catch { /* the usual four */ }
  state.start();
})();
