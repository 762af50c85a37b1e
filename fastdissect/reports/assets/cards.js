// The look of one unit: its sheet of pictures, its label, its score.
"use strict";
FD.cards = (function () {
  const index = FD.get("index");
  const el = FD.el;
  const [tileHeight, tileWidth] = index.tile;

  const layer = (u) => index.layers[u.layer];
  const score = (iou) => iou.toFixed(3);
  const hue = (category) => (category < 0 ? "" : "q" + category);
  const layerName = (number) => index.layers[number].name || "the network itself";

  // Where there is little room: without the dotted parts that all layers begin with, if those are long.
  const shared = (function () {
    const names = index.layers.map((entry) => entry.name.split("."));
    let parts = 0;
    while (names.length > 1 && names.every((own) => own.length > parts + 1 && own[parts] === names[0][parts])) parts++;
    const length = names[0].slice(0, parts).join(".").length;
    return length < 12 ? 0 : length + 1;
  })();
  const shortName = (number) => (shared ? "…" + layerName(number).slice(shared) : layerName(number));

  const shownLabel = (u) => (layer(u).undetermined ? "undetermined" : u.label || "no label");
  const source = (u) => "images/" + encodeURIComponent(layer(u).folder) + "/" + u.unit + ".jpg";
  const columns = (u) => Math.min(index.columns, layer(u).tiles);
  const rows = (u) => Math.ceil(layer(u).tiles / index.columns);

  function dot(category) { return el("i", { class: "dot " + hue(category), "aria-hidden": "true" }); }

  const anyTiles = index.layers.some((entry) => entry.tiles);

  function sheet(u) {
    if (!u.pictured) return anyTiles ? el("span", { class: "sheet none" }, "no pictures drawn") : null;
    const image = el("img", { src: source(u), alt: "", loading: "lazy", decoding: "async",
      width: columns(u) * tileWidth / 2, height: rows(u) * tileHeight / 2 });
    const frame = el("span", { class: "sheet" }, image);
    frame.style.setProperty("--columns", columns(u));
    frame.style.setProperty("--all-rows", rows(u));
    image.addEventListener("load", () => frame.classList.add("here"));
    image.addEventListener("error", () => frame.classList.add("lost"));
    return frame;
  }

  function describe(u) {
    const category = index.categories[u.category];
    if (layer(u).undetermined) return "Unit " + u.unit + " of " + layerName(u.layer) + ", undetermined";
    return "Unit " + u.unit + " of " + layerName(u.layer) + ": " + shownLabel(u) + (u.label ? ", " + category : "") +
      ", IoU " + score(u.iou) + (u.detector ? "" : ", below the cut");
  }

  function card(u) {
    const kind = layer(u).undetermined ? "undetermined" : u.detector ? "detector" : "faint";
    return el("a", { class: "card " + kind + " " + hue(u.category), href: FD.state.link({ unit: FD.selection.place(u) }),
      "data-id": u.id, "aria-label": describe(u) },
      sheet(u),
      el("span", { class: "line" }, dot(u.category), el("span", { class: "label" }, shownLabel(u)),
        el("span", { class: "score" }, layer(u).undetermined ? "" : score(u.iou))),
      el("span", { class: "line quiet" }, el("span", { class: "where" }, "unit " + u.unit),
        el("span", { class: "layer-name" }, shortName(u.layer)),
        el("span", { class: "category" }, u.label ? index.categories[u.category] : "")));
  }

  // One tile of the sheet, at any size.
  function tile(u, number, text) {
    const c = columns(u), r = rows(u);
    const x = c > 1 ? (number % index.columns) / (c - 1) * 100 : 0;
    const y = r > 1 ? Math.floor(number / index.columns) / (r - 1) * 100 : 0;
    const node = el("span", { class: "tile", role: "img", "aria-label": text });
    node.style.aspectRatio = tileWidth + " / " + tileHeight;
    node.style.backgroundImage = 'url("' + source(u) + '")';
    node.style.backgroundSize = c * 100 + "% " + r * 100 + "%";
    node.style.backgroundPosition = x + "% " + y + "%";
    return node;
  }

  function bar(share, category) {
    const fill = el("i", { class: hue(category) });
    fill.style.width = Math.max(0, Math.min(1, share)) * 100 + "%";
    return el("span", { class: "meter", "aria-hidden": "true" }, fill);
  }

  return { card, tile, bar, dot, score, layerName, shortName, shownLabel, layer, describe };
})();
