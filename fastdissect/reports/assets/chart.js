// The bar graphs: one Tab stop each, arrows inside, and the label that is filtered stands out.
"use strict";
FD.chart = (function () {
  const names = FD.get("index").layers.map((entry) => entry.name);
  const later = document.getElementById("later"); // there where the page holds the last layer's summary alone
  const asked = new Set();

  function mark(graph, label) {
    const bars = [...graph.querySelectorAll("a")];
    graph.classList.toggle("filtered", label !== undefined && bars.some((bar) => bar.dataset.label === label));
    for (const bar of bars) {
      const on = bar.dataset.label === label;
      bar.classList.toggle("on", on);
      if (on) bar.setAttribute("aria-current", "true"); else bar.removeAttribute("aria-current");
    }
  }

  function show(state) {
    const layer = FD.selection.layerNumber(state);
    for (const node of document.querySelectorAll("[data-layer]")) {
      const own = layer >= 0 && node.dataset.layer === names[layer];
      if (!node.matches("section")) { node.classList.toggle("on", own || layer < 0); continue; }
      node.hidden = !(own || (layer < 0 && !later)); // hundreds of summaries at once would bury the units
      if (!node.hidden) for (const graph of node.querySelectorAll(".graph svg")) mark(graph, state.label);
    }
    if (later && layer >= 0) { bring(layer); reveal(layer); }
  }

  // A summary is the page's own template, written where every name was escaped.
  function bring(layer) {
    if (asked.has(layer) || [...document.querySelectorAll("section.layer")].some((node) => node.dataset.layer === names[layer])) return;
    asked.add(layer);
    FD.load("summary-" + layer).then(function (text) {
      const holder = document.createElement("template");
      holder.innerHTML = text;
      for (const graph of holder.content.querySelectorAll(".graph svg")) prepare(graph);
      later.append(holder.content);
      show(FD.state.get());
    }, function () {
      later.append(FD.el("section", { class: "layer", "data-layer": names[layer] },
        FD.el("p", { class: "notice" }, "A file of this report’s data folder could not be read.")));
      show(FD.state.get());
    });
  }

  // Scroll the list of layers, not the page, to the layer that is shown.
  function reveal(layer) {
    const list = document.querySelector(".overview.long");
    const row = list && list.querySelector("tbody").rows[layer];
    if (!row) return;
    const head = list.querySelector("thead").offsetHeight;
    if (row.offsetTop - head < list.scrollTop) list.scrollTop = row.offsetTop - head;
    else if (row.offsetTop + row.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = row.offsetTop + row.offsetHeight - list.clientHeight;
  }

  function prepare(graph) {
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

  function start() { for (const graph of document.querySelectorAll(".graph svg")) prepare(graph); }

  return { start, show };
})();
