// The small plots of a concept: all its weights, and its score with fewer filters.
"use strict";
FD.strips = (function () {
  const study = FD.get("study");
  const { concepts } = study;
  const { draw, ticks, size } = FD.charts;

  // All weights of a concept, by unit; a click opens the unit under the pointer.
  function strip(root, weights, open) {
    const count = weights.length, width = Math.max(240, root.clientWidth), height = 120, left = 40, foot = 30;
    const top = weights.reduce((a, w) => Math.max(a, Math.abs(w)), 0) || 1;
    const pitch = (width - left) / count, middle = (height - foot) / 2;
    const bar = (sign) => weights.map((w, unit) => w * sign > 0
      ? "M" + (left + unit * pitch).toFixed(2) + " " + middle + "v" + (-w / top * (middle - 6)).toFixed(2) + "h" + Math.max(pitch * 0.8, 0.6).toFixed(2) + "V" + middle + "z" : "").join("");
    const most = (top / study.scale).toFixed(2);
    const word = draw("text", { class: "tick", x: (left + width) / 2, y: height - 2, "text-anchor": "middle" }, "unit");
    const marks = [...new Set([0, 1, 2, 3, 4].map((k) => Math.round(k * (count - 1) / 4)))];
    const svg = draw("svg", { width, height, role: "img", "aria-label": "Weights of all " + count + " units" },
      draw("path", { class: "plus", d: bar(1) }), draw("path", { class: "minus", d: bar(-1) }),
      draw("line", { class: "floor", x1: left, x2: width, y1: middle, y2: middle }),
      [[6, "+" + most], [middle, "0"], [2 * middle - 6, "−" + most]].map(([y, text]) => draw("text", { class: "tick", x: left - 6, y: y + 4, "text-anchor": "end" }, text)),
      marks.map((unit, i) => draw("text", { class: "tick", x: left + (unit + 0.5) * pitch, y: height - foot + 13,
        "text-anchor": i === marks.length - 1 ? "end" : i ? "middle" : "start" }, unit)), word);
    const at = (event) => Math.floor((event.clientX - svg.getBoundingClientRect().left - left) / pitch);
    svg.addEventListener("pointermove", function (event) {
      const unit = at(event);
      word.textContent = unit >= 0 && unit < count ? "unit " + unit + ", weight " + (weights[unit] / study.scale).toFixed(3) : "unit";
    });
    svg.addEventListener("click", (event) => { const unit = at(event); if (unit >= 0 && unit < count) open(unit); });
    root.replaceChildren(svg);
  }

  // A concept's score with fewer and fewer filters.
  function curve(root, row) {
    const values = concepts.curve[row], filters = study.filters;
    const width = Math.max(240, Math.min(560, root.clientWidth)), height = 170, left = 46, foot = 42, top = 12, right = 14;
    const high = 1.08 * values.reduce((a, v) => Math.max(a, v), 0.01), low = study.score === "accuracy" ? Math.min(0.5, ...values) : 0;
    const x = (f) => left + (filters.length < 2 ? 0.5 : Math.log(f / filters[0]) / Math.log(filters[filters.length - 1] / filters[0])) * (width - left - right);
    const y = (v) => height - foot - (v - low) / (high - low) * (height - foot - top);
    const [marks, digits] = ticks(low, high, 4);
    let last = -99;
    const svg = draw("svg", { width, height, role: "img", "aria-label": study.score + " with fewer filters" },
      marks.flatMap((v) => [draw("line", { class: "rule", x1: left, x2: width - right, y1: y(v), y2: y(v) }),
        draw("text", { class: "tick", x: left - 7, y: y(v) + 4, "text-anchor": "end" }, v.toFixed(digits))]),
      filters.flatMap(function (f) {
        if (x(f) - last < 32) return [];
        last = x(f);
        return [draw("text", { class: "tick", x: x(f), y: height - foot + 15, "text-anchor": "middle" }, f)];
      }),
      draw("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, "filters (of " + study.units.count + ")"),
      draw("polyline", { points: filters.map((f, i) => x(f).toFixed(1) + "," + y(values[i]).toFixed(1)).join(" ") }),
      filters.map((f, i) => draw("circle", { class: f === concepts.needed[row] ? "enough" : "", cx: x(f).toFixed(1), cy: y(values[i]).toFixed(1), r: f === concepts.needed[row] ? 5 : 3 },
        draw("title", {}, f + " filters: " + size(values[i], 3)))));
    root.replaceChildren(svg);
  }

  return { strip, curve };
})();
