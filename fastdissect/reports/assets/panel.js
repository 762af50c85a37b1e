// The side panel: one unit, or one concept with its units over all layers.
"use strict";
FD.panel = (function () {
  const index = FD.get("index");
  const el = FD.el;
  const { card, tile, bar, dot, score, layerName, shownLabel, layer } = FD.cards;
  const selection = FD.selection;
  const dialog = document.getElementById("panel");
  const n = (value) => value.toLocaleString("en");
  const COUNTED = {
    image: "over the images that carry a label of the concept’s category",
    "under-mask": "over the images where the concept’s category lies under the mask",
    all: "over all images",
  };
  const CARDS = 60; // of a concept's units; the gallery has all
  let shown = null; // what the panel shows, as text
  let from = null; // the unit to give the focus back to

  function conceptLink(name, text) {
    return el("a", { href: FD.state.link({ concept: name }), "data-concept": name }, text || name);
  }

  function head(eyebrow, title, category, buttons) {
    return el("header", { class: "panel-head" },
      el("div", { class: "bar" }, el("p", { class: "eyebrow" }, eyebrow),
        el("div", { class: "buttons" }, buttons,
          el("button", { type: "button", class: "square", "data-do": "close", "aria-label": "Close" }, "×"))),
      el("h2", { id: "panel-title", tabindex: "-1" }, category >= 0 ? dot(category) : null, title));
  }

  function fact(term, value, more) {
    return el("div", {}, el("dt", {}, term), el("dd", {}, value, more ? el("span", { class: "of" }, " " + more) : null));
  }

  function unitView(u) {
    const own = layer(u);
    const share = own.pixels ? 100 * u.area / own.pixels : 0;
    const buttons = [["previous", "←", "Previous unit"], ["next", "→", "Next unit"]].map(([what, sign, text]) =>
      el("button", { type: "button", class: "square", "data-do": what, "aria-label": text }, sign));
    const category = index.categories[u.category];
    const known = u.label && !own.undetermined;
    return [
      head("Unit " + u.unit + " of " + layerName(u.layer), known ? conceptLink(u.label) : shownLabel(u), known ? u.category : -1, buttons),
      own.undetermined ? el("p", { class: "notice" }, "Too few values for the quantile: the unit has no threshold and no mask. The pictures show whole images.") : null,
      el("dl", { class: "figures small" },
        own.undetermined ? null : fact("IoU", score(u.iou), u.detector ? "a detector" : "below the cut"),
        known ? fact("category", category) : null,
        own.undetermined ? null : fact("threshold", u.threshold === null ? "none" : String(+u.threshold.toPrecision(5))),
        own.undetermined ? null : fact("area", share.toPrecision(2) + " %", n(u.area) + " pixels")),
      u.spared ? el("p", { class: "notice" }, "No pictures were drawn of this unit: there are too many units. ", el("code", {}, dialog.dataset.command), " draws them.") : null,
      el("div", { class: "tiles", id: "tiles" }, ...Array.from({ length: u.pictured ? own.tiles : 0 }, (_, i) =>
        el("figure", {}, tile(u, i, "Image " + (i + 1)), el("figcaption", {}, "\u00a0")))),
      el("div", { id: "detail", class: "detail", "aria-busy": "true" }),
    ];
  }

  function fillUnit(u, row) {
    (row.top || []).forEach(function ([name, maximum], i) {
      const figure = document.getElementById("tiles").children[i];
      if (!figure) return;
      figure.title = name;
      figure.firstChild.setAttribute("aria-label", name + (maximum === null ? "" : ", maximum " + maximum));
      figure.lastChild.replaceChildren(el("span", { class: "file" }, el("bdi", {}, name)), el("span", { class: "n" }, maximum === null ? "" : String(maximum)));
    });
    const detail = document.getElementById("detail");
    detail.removeAttribute("aria-busy");
    const scale = row.ranking.length ? row.ranking[0][1] : 1;
    const best = row.best.slice().sort((a, b) => index.order.indexOf(a[0]) - index.order.indexOf(b[0]));
    if (!row.ranking.length) {
      detail.replaceChildren(layer(u).undetermined ? "" : el("p", { class: "notice" }, "The unit’s mask meets no concept."));
      return;
    }
    detail.replaceChildren(
      el("h3", {}, "Best label of every category"),
      el("table", { class: "best" }, el("tbody", {}, best.map(([q, concept, iou]) => el("tr", {},
        el("th", { scope: "row" }, dot(q), index.categories[q]),
        el("td", {}, concept < 0 ? "" : conceptLink(index.concepts[concept][1])),
        el("td", { class: "bars" }, bar(iou / scale, q)), el("td", { class: "n" }, score(iou)))))),
      el("h3", {}, "Concepts by IoU"),
      el("div", { class: "scroller" }, el("table", { class: "ranking" },
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "concept"), el("td", {}), ["IoU", "I", "B", "G"].map((name) => el("th", { scope: "col", class: "n" }, name)))),
        el("tbody", {}, row.ranking.map(([concept, iou, shared, area, pixels]) => el("tr", {},
          el("th", { scope: "row" }, dot(index.concepts[concept][2]), conceptLink(index.concepts[concept][1])),
          el("td", { class: "bars" }, bar(iou / scale, index.concepts[concept][2])),
          el("td", { class: "n" }, score(iou)), [shared, area, pixels].map((value) => el("td", { class: "n quiet" }, n(value)))))))),
      el("p", { class: "quiet note" }, "In pixels: I shared by mask and concept, B of the mask " + COUNTED[dialog.dataset.presence] +
        ", G of the concept. IoU = I / (B + G − I)."));
  }

  function conceptView(name) {
    const columns = index.concepts.map((row, i) => [row, i]).filter(([row]) => row[1] === name);
    const own = selection.all.filter((u) => u.label === name).sort((a, b) => b.iou - a.iou || a.id - b.id);
    const category = columns.length ? columns[0][0][2] : -1;
    const layers = new Set(own.map((u) => u.layer)).size;
    const detectors = own.filter((u) => u.detector).length;
    return [
      head("Concept" + (category < 0 ? "" : ", " + index.categories[category]), name, category, []),
      !columns.length ? el("p", { class: "notice" }, "The data set has no such concept.") :
        el("p", {}, own.length ? "The best label of " + n(own.length) + (own.length === 1 ? " unit" : " units") +
          (index.layers.length > 1 ? " in " + layers + (layers === 1 ? " layer" : " layers") : "") + ", " + n(detectors) + " above the cut. " : "No unit’s best label. ",
          own.length ? el("a", { href: FD.state.link({ layer: "*", label: name }), "data-filter": name }, "Show them in the gallery") : null),
      el("div", { class: "cards" }, own.slice(0, CARDS).map((u) => card(u))),
      own.length > CARDS ? el("p", { class: "quiet note" }, "The " + CARDS + " of the highest IoU are shown here.") : null,
      el("div", { id: "detail" }),
    ];
  }

  function fillConcept(name, table) {
    const units = index.concepts.flatMap((row, i) => (row[1] === name ? table[i] : []))
      .map(([layerNumber, unit, iou]) => [selection.at(layerNumber, unit), iou])
      .filter(([u]) => u.label !== name).sort((a, b) => b[1] - a[1]).slice(0, 12);
    if (!units.length) return;
    const scale = units[0][1];
    document.getElementById("detail").replaceChildren(
      el("h3", {}, "Units with another label that overlap with it most"),
      el("table", { class: "ranking" }, el("tbody", {}, units.map(([u, iou]) => el("tr", {},
        el("th", { scope: "row" }, el("a", { href: FD.state.link({ unit: selection.place(u) }), "data-id": u.id }, "unit " + u.unit), el("span", { class: "quiet" }, " " + layerName(u.layer))),
        el("td", {}, dot(u.category), shownLabel(u)),
        el("td", { class: "bars" }, bar(iou / scale, -1)), el("td", { class: "n" }, score(iou)))))));
  }

  function lost() {
    const detail = document.getElementById("detail");
    if (detail) detail.replaceChildren(el("p", { class: "notice" }, "A file of this report’s data folder could not be read."));
  }

  function show(state) {
    const u = selection.unit(state.unit);
    const what = u ? "unit " + u.id : state.concept !== undefined ? "concept " + state.concept : null;
    if (what === shown) return;
    shown = what;
    if (what === null) {
      if (dialog.open) dialog.close();
      if (from) FD.gallery.focusUnit(from);
      from = null;
      return;
    }
    dialog.replaceChildren(...(u ? unitView(u) : conceptView(state.concept)).filter(Boolean));
    const still = () => shown === what;
    if (u) {
      from = u;
      const chunk = Math.floor(u.unit / index.chunk);
      FD.load("detail-" + u.layer + "-" + chunk).then((rows) => still() && fillUnit(u, rows[u.unit % index.chunk]), lost);
    } else {
      FD.load("concepts").then((table) => still() && fillConcept(state.concept, table), lost);
    }
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    document.getElementById("panel-title").focus({ preventScroll: true });
  }

  // The neighbour in the gallery's order; a unit that the filters leave out walks through its layer.
  function walk(step) {
    const u = selection.unit(FD.state.get().unit);
    if (!u) return;
    let list = FD.gallery.list();
    if (!list.includes(u)) list = selection.all.filter((other) => other.layer === u.layer);
    const next = list[list.indexOf(u) + step];
    if (next) FD.state.set({ unit: selection.place(next) });
  }

  const close = () => FD.state.set({ unit: null, concept: null }, true);

  function start() {
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
  }

  return { start, show };
})();
