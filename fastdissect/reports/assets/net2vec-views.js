// What there is to say about one concept or one unit; each links to the other.
"use strict";
FD.views = (function () {
  const study = FD.get("study");
  const { concepts, units } = study;
  const { conceptLink, unitLink, unitName, detected, singles, dot, digits, signed, number } = FD.listings;
  const el = FD.el;
  const score = study.score[0].toUpperCase() + study.score.slice(1); // at the head of a line
  const RANKS = ["", "largest", "2nd", "3rd"];

  function head(eyebrow, title, q) {
    const buttons = [["previous", "←"], ["next", "→"]].map(([what, sign]) =>
      el("button", { type: "button", class: "square", "data-do": what, "aria-label": what === "next" ? "Next" : "Previous" }, sign));
    return el("header", { class: "panel-head" },
      el("div", { class: "bar" }, el("p", { class: "eyebrow" }, eyebrow),
        el("div", { class: "buttons" }, buttons, el("button", { type: "button", class: "square", "data-do": "close", "aria-label": "Close" }, "×"))),
      el("h2", { id: "panel-title", tabindex: "-1" }, q >= 0 ? dot(q) : null, title));
  }

  function meter(share, q) {
    const fill = el("i", { class: "q" + q });
    fill.style.width = Math.max(0, Math.min(1, share)) * 100 + "%";
    return el("span", { class: "meter", "aria-hidden": "true" }, fill);
  }
  // To the right of the middle where positive; `top` reaches the end.
  function both(value, top) {
    const bar = el("i", { class: value < 0 ? "minus" : null }), half = Math.min(1, Math.abs(value) / top) * 50;
    bar.style.left = (value < 0 ? 50 - half : 50) + "%";
    bar.style.width = half + "%";
    return el("span", { class: "both", "aria-hidden": "true" }, bar);
  }
  const titles = (...names) => el("thead", {}, el("tr", {}, names.map(([text, name]) => el("th", { scope: "col", class: name || null }, text))));

  function scores(row) {
    const one = concepts.one[row], many = concepts.many[row], q = concepts.category[row];
    const top = Math.max(one ?? 0, many ?? 0, 0.01);
    const line = (name, value, train) => el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "bars" }, value === null ? null : meter(value / top, q)),
      el("td", { class: "n" }, value === null ? "not known" : digits(value)), el("td", { class: "quiet wide-only" }, train === null ? "" : digits(train) + " on train"));
    const unit = concepts.unit.length ? concepts.unit[row] : -1;
    return el("table", { class: "scores" }, el("tbody", {},
      unit < 0 && one === null ? null : line(["best single filter", unit < 0 ? "" : [", ", unitLink(unit, "unit " + unit)]].flat(2), one, concepts.oneTrain[row]),
      line("all " + number(units.count) + " filters", many, concepts.manyTrain[row])));
  }

  function reached(needed) {
    const goal = Math.round(100 * study.tau) + " % of " + (study.score === "accuracy" ? "the way from the fewest to all" : "the score of all");
    return needed === units.count ? "Trained anew with fewer filters it stays below " + goal + "."
      : "Trained anew with " + number(needed) + (needed === 1 ? " filter" : " filters") + " it reaches at least " + goal + ".";
  }

  function concept(row) {
    const q = concepts.category[row], needed = concepts.needed.length ? concepts.needed[row] : 0;
    const largest = concepts.largest[row], near = concepts.near[row], pictures = concepts.pictures[row];
    const top = largest.reduce((a, [, w]) => Math.max(a, Math.abs(w)), 0) || 1;
    const share = largest.reduce((a, [, , s]) => a + s, 0);
    return [
      head("Concept, " + study.categories[q], concepts.name[row], q),
      concepts.notes[row] ? el("p", { class: "notice" }, concepts.notes[row]) : null,
      el("h3", {}, score + " on the validation images"), scores(row),
      el("p", { class: "quiet small" }, number(concepts.train[row]) + " images to train on, " + number(concepts.val[row]) + " to validate." +
        (needed ? " " + reached(needed) : "")),
      pictures.length ? el("h3", {}, "Validation images, from the best to the worst") : null,
      pictures.length ? el("div", { class: "pictures" }, pictures.map(([file, iou, name]) => el("figure", {},
        el("img", { src: "pictures/" + encodeURIComponent(file), alt: "where " + concepts.name[row] + " is predicted in " + name, loading: "lazy" }),
        el("figcaption", {}, "IoU " + digits(iou), el("span", { class: "file", title: name }, el("bdi", {}, name)))))) : null,
      pictures.length ? el("p", { class: "quiet small" }, "Bright where the combination predicts the concept. The best image, the worst, and others at even steps of rank between them: none chosen by hand.") : null,
      el("h3", {}, "Its filters"),
      el("table", {}, titles(["unit"], ["detects by itself"], ["", "wide-only"], ["weight", "n"], ["share", "n"]), el("tbody", {}, largest.map(([unit, w, s]) => el("tr", {},
        el("th", { scope: "row" }, unitLink(unit, "unit " + unit)), el("td", {}, detected(unit)),
        el("td", { class: "bars wide-only" }, both(w, top)), el("td", { class: "n" }, signed(w)), el("td", { class: "n" }, Math.round(100 * s) + " %"))))),
      el("p", { class: "quiet small" }, "The " + largest.length + " largest weights by size, of a vector of length 1. A share is a weight’s square; these hold " +
        Math.round(100 * share) + " % of the vector."),
      el("h3", {}, "All weights"), el("div", { class: "strip", id: "strip" }),
      concepts.curve.length && concepts.curve[row].every((v) => v !== null) ? el("h3", {}, score + " with fewer filters" + (!needed ? "" : needed === units.count ? ": it needs all" : ": " + number(needed) + (needed === 1 ? " is enough" : " are enough"))) : null,
      concepts.curve.length && concepts.curve[row].every((v) => v !== null) ? el("div", { class: "curve", id: "curve" }) : null,
      el("h3", {}, "Nearest concepts"),
      near.length ? el("table", {}, titles(["concept"], ["category", "wide-only"], [""], ["cosine", "n"]), el("tbody", {}, near.map(([other, cosine]) => el("tr", {},
        el("th", { scope: "row" }, typeof other === "string" ? null : dot(concepts.category[other]), conceptLink(other)),
        el("td", { class: "wide-only" }, typeof other === "string" ? "" : study.categories[concepts.category[other]]),
        el("td", { class: "bars" }, meter(cosine, typeof other === "string" ? "" : concepts.category[other])), el("td", { class: "n" }, cosine.toFixed(3)))))) :
        el("p", { class: "quiet small" }, "None: a vector that was not learned is near to nothing."),
    ];
  }

  function unit(k) {
    const helps = units.helps[k], own = singles[k], top = helps.reduce((a, [, w]) => Math.max(a, Math.abs(w)), 0) || 1;
    const name = units.label.length ? units.label[k] : "", detects = unitName(k);
    const place = (rank) => RANKS[rank] || rank + "th";
    return [
      head("Unit of " + study.layer, "Unit " + k, detects ? units.category[k] : -1),
      !name ? (units.label.length ? el("p", {}, "By itself it overlaps with no concept.") : null) :
        el("p", {}, detects ? "By itself it detects " : "By itself it is no detector. It fits best, below the cut: ", units.row[k] === null ? name : conceptLink(units.row[k]),
          " (" + study.categories[units.category[k]] + "), IoU " + digits(units.iou[k]) + " in the run.",
        study.report ? [" ", el("a", { href: study.report + "#unit=" + encodeURIComponent(study.layer + "/" + k) }, "Its pictures in the run’s report")] : null),
      el("h3", {}, "Concepts that it helps to encode"),
      helps.length ? el("table", {}, titles(["concept"], ["category", "wide-only"], ["", "wide-only"], ["weight", "n"], ["among its filters", "n"]), el("tbody", {}, helps.map(([row, w, rank]) => el("tr", {},
        el("th", { scope: "row" }, typeof row === "string" ? null : dot(concepts.category[row]), conceptLink(row)),
        el("td", { class: "wide-only" }, typeof row === "string" ? "" : study.categories[concepts.category[row]]),
        el("td", { class: "bars wide-only" }, both(w, top)), el("td", { class: "n" }, signed(w)), el("td", { class: "n" }, place(rank)))))) :
        el("p", { class: "quiet small" }, "None: it is not among the five largest weights of any concept that was learned."),
      helps.length ? el("p", { class: "quiet small" }, "Those in which its weight is one of the five largest by size. A negative weight speaks against the concept.") : null,
      concepts.unit.length ? el("h3", {}, "Concepts whose best single filter it is") : null,
      !concepts.unit.length ? null : own.length ? el("table", {}, titles(["concept"], ["category", "wide-only"], ["one filter", "n"], ["all filters", "n"]), el("tbody", {}, own.map((row) => el("tr", {},
        el("th", { scope: "row" }, dot(concepts.category[row]), conceptLink(row)), el("td", { class: "wide-only" }, study.categories[concepts.category[row]]),
        el("td", { class: "n" }, digits(concepts.one[row])), el("td", { class: "n" }, digits(concepts.many[row])))))) : el("p", { class: "quiet small" }, "None."),
      concepts.unit.length && own.length ? el("p", { class: "quiet small" }, score + " on the validation images, of this unit alone and of all.") : null,
    ];
  }

  return { concept, unit };
})();
