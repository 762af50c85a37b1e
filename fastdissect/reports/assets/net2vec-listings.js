// The lists of all concepts and all units. Rows are drawn as they come into view.
"use strict";
FD.listings = (function () {
  const study = FD.get("study");
  const { concepts, units } = study;
  const el = FD.el, draw = FD.charts.draw;
  const STEP = 80;
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const number = (value) => value.toLocaleString("en");
  const digits = (value) => value === null || value === undefined ? "" : value.toFixed(3);
  const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);
  const dot = (q) => el("i", { class: "dot q" + q, "aria-hidden": "true" });

  // A concept by its row; a text where two concepts share name and category.
  function conceptLink(row) {
    if (typeof row === "string") return el("span", {}, row);
    const name = concepts.name[row], number_ = concepts.number[row];
    return el("a", { href: FD.state.link({ concept: number_ }), "data-concept": number_, title: name.length > 60 ? name : null },
      name.length > 60 ? name.slice(0, 59) + "…" : name);
  }
  function unitLink(unit, text) {
    return el("a", { href: FD.state.link({ unit }), "data-unit": unit }, text || String(unit));
  }
  const weighed = (nodes) => nodes.flatMap(([link, value]) => [el("span", { class: "pair" }, link, el("span", { class: "w" }, value)), " "]);
  // What a unit detects by itself, as a link where the concept has a vector.
  const detected = (unit) => unitName(unit) ? [dot(units.category[unit]), units.row[unit] === null ? unitName(unit) : conceptLink(units.row[unit])]
    : [el("span", { class: "quiet" }, "–")];
  const unitName = (unit) => (units.label.length && units.detector[unit] ? units.label[unit] : "");

  const singles = Array.from({ length: units.count }, () => []); // concepts whose best single filter a unit is
  concepts.unit.forEach((unit, row) => { if (unit >= 0 && unit < units.count) singles[unit].push(row); });

  // One filter (mark) and all (bar), on the scale of the best concept.
  const best = concepts.many.concat(concepts.one).reduce((a, v) => Math.max(a, v ?? 0), 0) || 1;
  function gain(row) {
    const x = (v) => Math.max(0, Math.min(1, v / best)) * 116 + 2;
    return draw("svg", { class: "gain q" + concepts.category[row], viewBox: "0 0 120 12", "aria-hidden": "true" },
      draw("rect", { class: "track", x: 2, y: 5, width: 116, height: 2 }),
      concepts.many[row] === null ? null : draw("rect", { class: "all", x: 2, y: 2, width: x(concepts.many[row]) - 2, height: 8, rx: 2 }),
      concepts.one[row] === null ? null : draw("rect", { class: "one", x: x(concepts.one[row]) - 1, y: 0, width: 2, height: 12 }));
  }

  const down = (values) => (a, b) => (values[b] ?? -1) - (values[a] ?? -1);
  const CONCEPTS = [
    { title: "concept", class: "name", cell: (row) => [dot(concepts.category[row]), conceptLink(row)], order: (a, b) => collator.compare(concepts.name[a], concepts.name[b]) },
    { title: "category", class: "wide-only", cell: (row) => study.categories[concepts.category[row]],
      order: (a, b) => study.order.indexOf(concepts.category[a]) - study.order.indexOf(concepts.category[b]) },
    { title: "one filter", class: "n", cell: (row) => digits(concepts.one[row]), order: down(concepts.one), falls: true, where: () => concepts.one.some((v) => v !== null) },
    { title: "all filters", class: "n", cell: (row) => digits(concepts.many[row]), order: down(concepts.many), falls: true },
    { title: "gain", class: "wide-only", cell: gain, falls: true, where: () => concepts.one.some((v) => v !== null),
      order: (a, b) => ((concepts.many[b] ?? 0) - (concepts.one[b] ?? 9)) - ((concepts.many[a] ?? 0) - (concepts.one[a] ?? 9)) },
    { title: "needed", class: "n", cell: (row) => (concepts.needed[row] ? number(concepts.needed[row]) : ""), order: down(concepts.needed), falls: true, where: () => concepts.needed.length > 0 },
    { title: "largest weights (unit, weight)", class: "many wide-only", cell: (row) => weighed(concepts.largest[row].slice(0, 4).map(([unit, w]) => [unitLink(unit), signed(w)])) },
    { title: "nearest (cosine)", class: "many wide-only", cell: (row) => weighed(concepts.near[row].slice(0, 3).map(([other, cosine]) => [conceptLink(other), cosine.toFixed(2)])) },
    { title: "images", class: "n wide-only", cell: (row) => number(concepts.train[row] + concepts.val[row]), falls: true,
      order: (a, b) => concepts.train[b] + concepts.val[b] - concepts.train[a] - concepts.val[a] },
  ];
  const UNITS = [
    { title: "unit", class: "n", cell: (unit) => unitLink(unit), order: (a, b) => a - b },
    { title: "detects by itself", class: "name", where: () => units.label.length > 0, order: (a, b) => (unitName(a) === "") - (unitName(b) === "") || collator.compare(unitName(a), unitName(b)),
      cell: detected },
    { title: "helps to encode", class: "n wide-only", cell: (unit) => number(units.helps[unit].length), falls: true, order: (a, b) => units.helps[b].length - units.helps[a].length },
    { title: "concepts (weight)", class: "many", cell: (unit) => [weighed(units.helps[unit].slice(0, 5).map(([row, w]) => [conceptLink(row), signed(w)])),
      units.helps[unit].length > 5 ? el("span", { class: "pair quiet" }, "and " + number(units.helps[unit].length - 5) + " more") : null].flat() },
    { title: "best single filter of", class: "n wide-only", cell: (unit) => number(singles[unit].length), falls: true, order: (a, b) => singles[b].length - singles[a].length, where: () => concepts.unit.length > 0 },
  ];

  function listing(root, columns, all, found, category, what, first) {
    columns = columns.filter((column) => !column.where || column.where());
    const [head, body, search, tally, box] = ["thead", "tbody", "input", ".tally", ".scroller"].map((name) => root.querySelector(name));
    const chosen = new Set();
    let sort = first, reverse = false, list = [], drawn = 0;

    head.append(el("tr", {}, columns.map(function (column) {
      const name = (column.class || "").replace(/\bname\b|\bmany\b/g, "").trim();
      if (!column.order) return el("th", { scope: "col", class: name || null }, column.title);
      const button = el("button", { type: "button" }, column.title);
      button.addEventListener("click", function () {
        reverse = sort === column.title && !reverse;
        sort = column.title;
        show();
      });
      return el("th", { scope: "col", class: name || null, "data-title": column.title }, button);
    })));

    const present = new Set(all.map(category));
    for (const q of study.order.filter((q) => present.has(q))) {
      const chip = el("button", { type: "button", class: "chip", "aria-pressed": "false" }, dot(q), study.categories[q]);
      chip.addEventListener("click", function () {
        if (!chosen.delete(q)) chosen.add(q);
        chip.setAttribute("aria-pressed", String(chosen.has(q)));
        show();
      });
      root.querySelector(".chips").append(chip);
    }

    function more() {
      const next = list.slice(drawn, drawn + STEP);
      body.append(...next.map((row) => el("tr", { class: all === rows && !concepts.learned[row] ? "lost" : null },
        columns.map((column) => el("td", { class: column.class || null }, column.cell(row))))));
      drawn += next.length;
    }
    // Until the box is filled with some to spare.
    function fill() { while (drawn < list.length && box.scrollTop + box.clientHeight + 500 > box.scrollHeight) more(); }

    function show() {
      const terms = search.value.toLowerCase().split(/\s+/).filter((word) => word && word !== "unit");
      const column = columns.find((c) => c.title === sort);
      list = all.filter((row) => (!chosen.size || chosen.has(category(row))) && terms.every((term) => found[row].includes(term) || String(row) === (all === rows ? null : term)));
      list.sort((a, b) => column.order(a, b) || a - b);
      if (reverse) list.reverse();
      for (const cell of head.querySelectorAll("[data-title]")) {
        if (cell.dataset.title !== sort) cell.removeAttribute("aria-sort");
        else cell.setAttribute("aria-sort", Boolean(column.falls) !== reverse ? "descending" : "ascending");
      }
      tally.textContent = list.length === all.length ? number(all.length) + " " + what : number(list.length) + " of " + number(all.length) + " " + what;
      body.replaceChildren();
      box.scrollTop = 0;
      drawn = 0;
      more();
      fill();
    }

    box.addEventListener("scroll", fill, { passive: true });
    new ResizeObserver(fill).observe(box);
    search.addEventListener("input", show);
    root.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
    show();
    return () => list;
  }

  const rows = concepts.number.map((_, row) => row);
  const every = units.helps.map((_, unit) => unit);
  let order = () => rows;

  function start() {
    const named = (row) => (concepts.name[row] + " " + study.categories[concepts.category[row]]).toLowerCase();
    const helped = (unit) => (unitName(unit) + " " + units.helps[unit].map(([row]) => (typeof row === "string" ? row : concepts.name[row])).join(" ")).toLowerCase();
    order = listing(document.getElementById("list-concepts"), CONCEPTS, rows, rows.map(named), (row) => concepts.category[row], "concepts", "all filters");
    listing(document.getElementById("list-units"), UNITS, every, every.map(helped), (unit) => (unitName(unit) ? units.category[unit] : -1), "units", "unit");
  }

  return { start, order: () => order(), conceptLink, unitLink, unitName, detected, singles, dot, digits, signed, number };
})();
