// Plots: one filter against all, and the map. Points are links.
"use strict";
FD.charts = (function () {
  const study = FD.get("study");
  const { concepts } = study;
  const SVG = "http://www.w3.org/2000/svg";
  const pen = document.createElement("canvas").getContext("2d");
  const size = (value, digits) => value === null || value === undefined ? "" : value.toFixed(digits);

  function draw(tag, attributes, ...children) {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
    for (const child of children.flat()) if (child !== null) node.append(child);
    return node;
  }

  const face = getComputedStyle(document.body).fontFamily;
  function wide(text, font) { pen.font = font + " " + face; return pen.measureText(text).width; }

  const short = (text, most) => text.length > most ? text.slice(0, most - 1).trimEnd() + "…" : text;

  // Steps of 1, 2 or 5, so that at most `most` of them reach from low to high.
  function ticks(low, high, most) {
    const rough = (high - low) / most;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough * 0.999);
    const found = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9; k++) found.push(k * step);
    return [found, Math.max(0, -Math.floor(Math.log10(step) + 1e-9))];
  }

  // Names beside their points, the first ones first; one that would cover a point or another name is left out.
  function names(points, [west, north, east, south], font) {
    const CELL = 24, taken = new Map();
    const cells = (box) => {
      const keys = [];
      for (let x = Math.floor(box[0] / CELL); x <= Math.floor(box[2] / CELL); x++)
        for (let y = Math.floor(box[1] / CELL); y <= Math.floor(box[3] / CELL); y++) keys.push(x + "," + y);
      return keys;
    };
    const put = (box) => { for (const key of cells(box)) taken.set(key, [...(taken.get(key) || []), box]); };
    const free = (box) => box[0] >= west && box[2] <= east && box[1] >= north && box[3] <= south &&
      cells(box).every((key) => (taken.get(key) || []).every((b) => b[2] <= box[0] || b[0] >= box[2] || b[3] <= box[1] || b[1] >= box[3]));
    for (const p of points) put([p.x - 4, p.y - 4, p.x + 4, p.y + 4]);
    const found = [];
    for (const p of points) {
      const text = short(p.name, 26), w = wide(text, font);
      const spots = [[p.x + 7, p.y + 4], [p.x - 7 - w, p.y + 4], [p.x - w / 2, p.y - 8], [p.x - w / 2, p.y + 16]];
      const spot = spots.find(([x, y]) => free([x - 1, y - 10, x + w + 1, y + 3]));
      if (!spot) continue;
      put([spot[0] - 1, spot[1] - 10, spot[0] + w + 1, spot[1] + 3]);
      found.push({ text, x: spot[0], y: spot[1], row: p.row });
    }
    return found;
  }

  const chosen = new Set(); // categories that stand out; none: all do
  const plots = [];

  function chips(root) {
    const present = new Set(concepts.category);
    for (const q of study.order.filter((q) => present.has(q))) {
      const chip = FD.el("button", { type: "button", class: "chip", "aria-pressed": "false", "data-q": q },
        FD.el("i", { class: "dot q" + q, "aria-hidden": "true" }), study.categories[q]);
      chip.addEventListener("click", function () {
        if (!chosen.delete(q)) chosen.add(q);
        for (const plot of plots) shade(plot.root);
      });
      root.append(chip);
    }
  }

  function shade(root) {
    for (const chip of root.parentNode.querySelectorAll(".chip")) chip.setAttribute("aria-pressed", String(chosen.has(+chip.dataset.q)));
    for (const node of root.querySelectorAll("[data-row]")) {
      node.classList.toggle("off", chosen.size > 0 && !chosen.has(concepts.category[+node.dataset.row]));
    }
  }

  // points: {row, x, y, name}, places in pixels; the best first, which gets its name first and stands on top.
  function scatter(root, width, height, label, points, under, frame) {
    const svg = draw("svg", { width, height, viewBox: "0 0 " + width + " " + height, role: "group", "aria-label": label }, under);
    const radius = points.length > 400 ? 3 : 4;
    for (const p of [...points].reverse()) {
      const link = draw("a", { href: FD.state.link({ concept: concepts.number[p.row] }), "data-concept": concepts.number[p.row],
        "data-row": p.row, tabindex: "-1", "aria-label": p.text, class: "q" + concepts.category[p.row] },
        draw("circle", { class: "point", cx: p.x.toFixed(1), cy: p.y.toFixed(1), r: radius }),
        draw("circle", { class: "touch", cx: p.x.toFixed(1), cy: p.y.toFixed(1), r: radius + 3 }));
      link.addEventListener("pointerenter", () => tip(svg, p, width));
      link.addEventListener("pointerleave", () => { const old = svg.querySelector(".tip"); if (old) old.remove(); });
      svg.append(link);
    }
    for (const name of names(points, frame, "11.5px")) {
      svg.append(draw("text", { class: "label", x: name.x.toFixed(1), y: name.y.toFixed(1), "data-row": name.row }, name.text));
    }
    root.replaceChildren(svg);
    shade(root);
  }

  function tip(svg, p, width) {
    const old = svg.querySelector(".tip");
    if (old) old.remove();
    const text = short(p.text, 70), w = wide(text, "600 12.5px");
    const x = Math.max(4, Math.min(width - w - 4, p.x - w / 2));
    svg.append(draw("text", { class: "tip", x, y: p.y < 34 ? p.y + 24 : p.y - 12, "font-size": 12.5 }, text));
  }

  const ranked = concepts.number.map((_, row) => row).sort((a, b) => (concepts.many[b] ?? -1) - (concepts.many[a] ?? -1) || a - b);

  function against(root, width) {
    const known = ranked.filter((row) => concepts.one[row] !== null && concepts.many[row] !== null);
    const values = known.flatMap((row) => [concepts.one[row], concepts.many[row]]);
    const least = values.reduce((a, b) => Math.min(a, b), 1), best = values.reduce((a, b) => Math.max(a, b), 0);
    const low = least < 0.3 ? 0 : Math.max(0, least - 0.05), high = Math.max(best + 0.03 * (best - low), low + 0.05);
    const left = 52, bottom = 44, top = 14, right = 16;
    const height = Math.round(Math.min(620, Math.max(320, width * 0.72)));
    const x = (v) => left + (v - low) / (high - low) * (width - left - right);
    const y = (v) => height - bottom - (v - low) / (high - low) * (height - bottom - top);
    const [marks, digits] = ticks(low, high, 6);
    const under = marks.flatMap((v) => [
      draw("line", { class: "rule", x1: x(v), x2: x(v), y1: top, y2: height - bottom }),
      draw("line", { class: "rule", x1: left, x2: width - right, y1: y(v), y2: y(v) }),
      draw("text", { class: "tick", x: x(v), y: height - bottom + 16, "text-anchor": "middle" }, v.toFixed(digits)),
      draw("text", { class: "tick", x: left - 7, y: y(v) + 4, "text-anchor": "end" }, v.toFixed(digits))]);
    under.push(draw("line", { class: "floor", x1: x(low), y1: y(low), x2: x(high), y2: y(high) }),
      draw("text", { x: (left + width - right) / 2, y: height - 9, "text-anchor": "middle" }, "best single filter, " + study.score + " on val"),
      draw("text", { transform: "translate(14 " + (top + height - bottom) / 2 + ") rotate(-90)", "text-anchor": "middle" },
        "all filters together, " + study.score + " on val"));
    scatter(root, width, height, "One filter against all", known.map((row) => ({ row, x: x(concepts.one[row]), y: y(concepts.many[row]),
      name: concepts.name[row], text: concepts.name[row] + ": " + size(concepts.one[row], 3) + " with one, " + size(concepts.many[row], 3) + " with all" })), under, [left + 2, 2, width - 4, height - bottom - 2]);
  }

  function map(root, width) {
    const known = ranked.filter((row) => concepts.place[row]);
    const xs = known.map((row) => concepts.place[row][0]), ys = known.map((row) => concepts.place[row][1]);
    const [west, east, south, north] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const edge = 34, height = Math.round(Math.min(760, Math.max(360, width * 0.7)));
    scatter(root, width, height, "Map of concepts", known.map((row, i) => ({ row, name: concepts.name[row], text: concepts.name[row],
      x: edge + (xs[i] - west) / (east - west || 1) * (width - 2 * edge), y: edge + (north - ys[i]) / (north - south || 1) * (height - 2 * edge) })), [], [4, 4, width - 4, height - 4]);
  }

  function start() {
    for (const [id, plot] of [["against", against], ["map", map]]) {
      const root = document.getElementById("plot-" + id);
      if (!root) continue;
      plots.push({ root });
      chips(root.parentNode.querySelector(".chips"));
      let width = 0;
      new ResizeObserver(function () {
        if (root.clientWidth && root.clientWidth !== width) { width = root.clientWidth; plot(root, width); }
      }).observe(root);
    }
  }

  return { start, draw, ticks, size, ranked };
})();
