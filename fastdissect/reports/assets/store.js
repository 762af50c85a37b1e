// The data scripts call FD.put(key, value); FD.load(key) fetches one more when it is needed.
"use strict";
const FD = (function () {
  const values = new Map();
  const waiting = new Map();

  function put(key, value) { values.set(key, value); }

  function load(key) {
    if (values.has(key)) return Promise.resolve(values.get(key));
    if (!waiting.has(key)) {
      waiting.set(key, new Promise(function (resolve, reject) {
        const script = document.createElement("script");
        script.src = "data/" + key + ".js";
        script.onload = () => (values.has(key) ? resolve(values.get(key)) : reject(new Error(key)));
        script.onerror = () => { waiting.delete(key); reject(new Error(key)); };
        document.head.append(script);
      }));
    }
    return waiting.get(key);
  }

  // Units of all layers as plain objects, made once the data scripts have run.
  function units() {
    const index = values.get("index");
    const list = [];
    index.layers.forEach(function (layer, number) {
      const table = values.get("layer-" + number);
      const some = table.pictured && new Set(table.pictured); // left out where all units have pictures, or none
      for (let unit = 0; unit < layer.units; unit++) {
        const concept = table.concept[unit];
        list.push({
          id: list.length, layer: number, unit,
          label: concept < 0 ? "" : index.concepts[concept][1],
          category: table.category[unit],
          iou: table.iou[unit] || 0,
          threshold: table.threshold[unit],
          area: table.area[unit],
          detector: table.detector[unit] === 1,
          pictured: some ? some.has(unit) : layer.tiles > 0,
          spared: some !== undefined && !some.has(unit), // it could have pictures, and there are too many units
        });
      }
    });
    return list;
  }

  // A small DOM writer. Text only ever becomes text: names may hold anything.
  function el(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
    }
    for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child);
    return node;
  }

  return { put, load, units, el, get: (key) => values.get(key) };
})();
