// Which units are shown, and in which order.
"use strict";
FD.selection = (function () {
  const index = FD.get("index");
  const all = FD.units();
  const byPlace = new Map(all.map((unit) => [unit.layer + "/" + unit.unit, unit]));
  const layerOf = new Map(index.layers.map((layer, number) => [layer.name, number]));
  const found = all.map((u) => (u.label + " " + (index.categories[u.category] || "")).toLowerCase());
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  // IoU at the slider's ends: the scale ends at the next hundredth above the best unit.
  const top = Math.max(0.05, Math.ceil(all.reduce((best, u) => Math.max(best, u.iou), 0) * 100) / 100);
  const ORDERS = {
    iou: (a, b) => b.iou - a.iou,
    unit: (a, b) => a.layer - b.layer || a.unit - b.unit,
    label: (a, b) => (a.label === "") - (b.label === "") || collator.compare(a.label, b.label) || b.iou - a.iou,
    area: (a, b) => b.area - a.area,
  };

  // The layer that is shown: a number, or -1 for all.
  function layerNumber(state) {
    if (state.layer === "*") return -1;
    return layerOf.has(state.layer) ? layerOf.get(state.layer) : index.layers.length - 1;
  }

  // Every word must be found in label or category, or be the unit's number ("12", "unit 12").
  function words(state) {
    return (state.q || "").toLowerCase().split(/\s+/).filter((word) => word && word !== "unit");
  }

  function number(text, otherwise) {
    const value = parseFloat(text);
    return Number.isFinite(value) ? value : otherwise;
  }

  function choose(state) {
    const layer = layerNumber(state);
    const terms = words(state);
    const categories = new Set((state.cat || "").split(",").filter(Boolean));
    const least = number(state.min, 0);
    const most = number(state.max, Infinity);
    const order = Object.hasOwn(ORDERS, state.sort || "") ? ORDERS[state.sort] : ORDERS.iou;
    const chosen = all.filter((u) =>
      (layer < 0 || u.layer === layer) &&
      (state.label === undefined || u.label === state.label) &&
      (categories.size === 0 || categories.has(index.categories[u.category])) &&
      u.iou >= least && u.iou <= most &&
      terms.every((term) => found[u.id].includes(term) || String(u.unit) === term));
    chosen.sort((a, b) => order(a, b) || a.id - b.id);
    if (state.dir === "reverse") chosen.reverse();
    return chosen;
  }

  // "layer4/12" -> the unit, or undefined
  function unit(place) {
    const slash = (place || "").lastIndexOf("/");
    if (slash < 0 || !layerOf.has(place.slice(0, slash))) return undefined;
    return byPlace.get(layerOf.get(place.slice(0, slash)) + "/" + place.slice(slash + 1));
  }

  const place = (u) => index.layers[u.layer].name + "/" + u.unit;

  return { all, top, choose, layerNumber, unit, place, at: (layer, number) => byPlace.get(layer + "/" + number) };
})();
