// The bar graphs: one Tab stop each, arrows inside, and the label that is filtered stands out.
"use strict";
FD.chart = (function () {
  const graphs = [...document.querySelectorAll(".graph svg")];

  function show(state) {
    for (const graph of graphs) {
      graph.classList.toggle("filtered", state.label !== undefined && [...graph.querySelectorAll("a")].some((a) => a.dataset.label === state.label));
      for (const bar of graph.querySelectorAll("a")) {
        const on = bar.dataset.label === state.label;
        bar.classList.toggle("on", on);
        if (on) bar.setAttribute("aria-current", "true"); else bar.removeAttribute("aria-current");
      }
    }
    const layer = FD.selection.layerNumber(state);
    const names = FD.get("index").layers.map((entry) => entry.name);
    for (const node of document.querySelectorAll("[data-layer]")) {
      const on = layer < 0 || node.dataset.layer === names[layer];
      if (node.matches("section")) node.hidden = !on;
      else node.classList.toggle("on", on);
    }
  }

  function start() {
    for (const graph of graphs) {
      const bars = [...graph.querySelectorAll("a")];
      bars.forEach((bar, i) => bar.setAttribute("tabindex", i ? "-1" : "0"));
      graph.addEventListener("keydown", function (event) {
        const at = bars.indexOf(document.activeElement);
        const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: bars.length - 1 }[event.key];
        if (at < 0 || to === undefined || !bars[to]) return;
        event.preventDefault();
        bars[at].setAttribute("tabindex", "-1");
        bars[to].setAttribute("tabindex", "0");
        bars[to].focus();
      });
    }
  }

  return { start, show };
})();
