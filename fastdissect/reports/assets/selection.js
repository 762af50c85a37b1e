// Which units are shown, and in which order.
"use strict";
FD.selection = (function () {
  const index = FD.get("index");
  const all = FD.units();
  const start = []; // where a layer's units begin in `all`
  index.layers.reduce((sum, layer) => { start.push(sum); return sum + layer.units; }, 0);
  const layerOf = new Map(index.layers.map((layer, number) => [layer.name, number]));
  const texts = new Map(); // what is searched, one text for all units of a label -> its number
  const textOf = all.map(function (u) {
    const text = (u.label + " " + (index.categories[u.category] || "")).toLowerCase();
    if (!texts.has(text)) texts.set(text, texts.size);
    return texts.get(text);
  });
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  // IoU at the slider's ends: the scale ends at the next hundredth above the best unit.
  const top = Math.max(0.05, Math.ceil(all.reduce((best, u) => Math.max(best, u.iou), 0) * 100) / 100);
  // Labels are compared once each, not once for every two units; those that read alike share a rank.
  const rank = new Map([["", Infinity]]);
  [...new Set(all.map((u) => u.label))].filter(Boolean).sort(collator.compare).forEach(function (label, i, labels) {
    rank.set(label, i && !collator.compare(labels[i - 1], label) ? rank.get(labels[i - 1]) : i);
  });
  const differ = (a, b) => (a === b ? 0 : a - b);
  const ORDERS = {
    iou: (a, b) => b.iou - a.iou,
    unit: (a, b) => a.id - b.id,
    label: (a, b) => differ(rank.get(a.label), rank.get(b.label)) || b.iou - a.iou,
    area: (a, b) => b.area - a.area,
  };
  const sorted = new Map();

  // A layer's units, -1 for all; in their own order, or in one of ORDERS, which is kept: a search only filters.
  const of = (layer) => (layer < 0 ? all : all.slice(start[layer], start[layer] + index.layers[layer].units));
  function inOrder(layer, name) {
    const key = layer + name;
    if (!sorted.has(key)) sorted.set(key, of(layer).slice().sort((a, b) => ORDERS[name](a, b) || a.id - b.id));
    return sorted.get(key);
  }

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
    const categories = new Set((state.cat || "").split(",").filter(Boolean));
    const least = number(state.min, 0);
    const most = number(state.max, Infinity);
    const tests = words(state).map(function (word) {
      const within = [...texts.keys()].map((text) => text.includes(word));
      const unit = /^(0|[1-9]\d*)$/.test(word) ? +word : -1;
      return (u) => within[textOf[u.id]] || u.unit === unit;
    });
    if (state.label !== undefined) tests.push((u) => u.label === state.label);
    if (categories.size) tests.push((u) => categories.has(index.categories[u.category]));
    if (least > 0 || most < Infinity) tests.push((u) => u.iou >= least && u.iou <= most);
    const order = Object.hasOwn(ORDERS, state.sort || "") ? state.sort : "iou";
    const chosen = inOrder(layer, order).filter((u) => tests.every((test) => test(u)));
    if (state.dir === "reverse") chosen.reverse();
    return chosen;
  }

  const at = (layer, number) => (number < index.layers[layer].units ? all[start[layer] + number] : undefined);

  // "layer4/12" -> the unit, or undefined
  function unit(place) {
    const slash = (place || "").lastIndexOf("/");
    if (slash < 0 || !layerOf.has(place.slice(0, slash)) || !/^(0|[1-9]\d*)$/.test(place.slice(slash + 1))) return undefined;
    return at(layerOf.get(place.slice(0, slash)), +place.slice(slash + 1));
  }

  const place = (u) => index.layers[u.layer].name + "/" + u.unit;

  return { all, of, top, choose, layerNumber, unit, place, at };
})();
