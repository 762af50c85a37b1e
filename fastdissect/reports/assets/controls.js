// The toolbar: what it shows follows the state, what is done to it sets the state.
"use strict";
FD.controls = (function () {
  const index = FD.get("index");
  const el = FD.el;
  const selection = FD.selection;
  const by = (id) => document.getElementById(id);
  const set = FD.state.set;

  function option(select, value, text) { select.append(new Option(text, value)); }

  function fillLayers() {
    index.layers.forEach((layer, i) => option(by("layer"), layer.name, FD.cards.shortName(i)));
    if (index.layers.length > 1) option(by("layer"), "*", "all layers");
    by("layer").closest(".field").hidden = index.layers.length < 2;
  }

  // The labels of the layer that is shown, with the number of their units.
  let labelsOf = null;
  function fillLabels(layer) {
    if (labelsOf === layer) return;
    labelsOf = layer;
    const counts = new Map();
    for (const u of selection.of(layer)) {
      if (u.label) {
        const key = u.category + "\n" + u.label;
        counts.set(key, (counts.get(key) || 0) + 1);
      }
    }
    const select = by("label");
    select.replaceChildren(new Option("any label", "\n"));
    for (const q of index.order) {
      const labels = [...counts].filter(([key]) => key.startsWith(q + "\n")).map(([key, n]) => [key.slice(String(q).length + 1), n]);
      if (!labels.length) continue;
      labels.sort((a, b) => a[0].localeCompare(b[0], "en"));
      const group = el("optgroup", { label: index.categories[q] });
      for (const [label, n] of labels) group.append(new Option(label + " (" + n + ")", label));
      select.append(group);
    }
  }

  function fillCategories() {
    const present = new Set(selection.all.map((u) => u.category));
    for (const q of index.order) {
      if (!present.has(q)) continue;
      const name = index.categories[q];
      const chip = el("button", { type: "button", class: "chip", "aria-pressed": "false", "data-category": name }, FD.cards.dot(q), name);
      chip.addEventListener("click", function () {
        const chosen = new Set((FD.state.get().cat || "").split(",").filter(Boolean));
        if (!chosen.delete(name)) chosen.add(name);
        set({ cat: chosen.size ? [...chosen].join(",") : null });
      });
      by("categories").append(chip);
    }
  }

  function range() {
    const least = by("least"), most = by("most");
    for (const input of [least, most]) Object.assign(input, { min: 0, max: selection.top, step: 0.01 });
    least.addEventListener("input", function () {
      if (+least.value > +most.value) least.value = most.value;
      set({ min: +least.value > 0 ? least.value : null });
    });
    most.addEventListener("input", function () {
      if (+most.value < +least.value) most.value = least.value;
      set({ max: +most.value < selection.top ? most.value : null });
    });
  }

  function show(state, count) {
    const layer = selection.layerNumber(state);
    by("layer").value = layer < 0 ? "*" : index.layers[layer].name;
    fillLabels(layer);
    by("label").value = state.label === undefined ? "\n" : state.label;
    if (by("label").selectedIndex < 0) { // a label that no unit of this layer has
      by("label").append(new Option(state.label, state.label, false, true));
      labelsOf = null;
    }
    if (document.activeElement !== by("search")) by("search").value = state.q || "";
    by("least").value = state.min || 0;
    by("most").value = state.max === undefined ? selection.top : state.max;
    by("range-text").textContent = (+by("least").value).toFixed(2) + " – " + (+by("most").value).toFixed(2);
    by("least").parentNode.style.setProperty("--from", by("least").value / selection.top);
    by("least").parentNode.style.setProperty("--to", by("most").value / selection.top);
    by("sort").value = state.sort || "iou";
    if (by("sort").selectedIndex < 0) by("sort").value = "iou";
    by("direction").classList.toggle("up", state.dir === "reverse");
    by("direction").setAttribute("aria-pressed", String(state.dir === "reverse"));
    const chosen = new Set((state.cat || "").split(","));
    for (const chip of by("categories").children) chip.setAttribute("aria-pressed", String(chosen.has(chip.dataset.category)));
    const whole = layer < 0 ? selection.all.length : index.layers[layer].units;
    const n = (value) => value.toLocaleString("en");
    by("tally").textContent = count === whole ? n(whole) + " units" : n(count) + " of " + n(whole) + " units";
    const filtered = ["q", "cat", "label", "min", "max"].some((key) => state[key] !== undefined);
    by("reset").hidden = !filtered;
    by("none").hidden = count > 0;
  }

  const clear = () => { by("search").value = ""; set({ q: null, cat: null, label: null, min: null, max: null }); };

  function start() {
    fillLayers();
    fillCategories();
    range();
    by("toolbar").addEventListener("submit", (event) => event.preventDefault());
    by("toolbar").addEventListener("reset", (event) => { event.preventDefault(); clear(); by("search").focus(); });
    by("none-reset").addEventListener("click", () => { clear(); by("search").focus(); });
    by("search").addEventListener("input", (event) => set({ q: event.target.value || null }));
    by("layer").addEventListener("change", (event) => set({ layer: event.target.value, label: null }));
    by("label").addEventListener("change", (event) => set({ label: event.target.value === "\n" ? null : event.target.value }));
    by("sort").addEventListener("change", (event) => set({ sort: event.target.value === "iou" ? null : event.target.value }));
    by("direction").addEventListener("click", () => set({ dir: FD.state.get().dir === "reverse" ? null : "reverse" }));
  }

  return { start, show };
})();
