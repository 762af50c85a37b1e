// The gallery draws only the rows near the window, so that 100,000 units cost no more than 50. A row in which no
// unit has pictures is low.
"use strict";
FD.gallery = (function () {
  const index = FD.get("index");
  const root = document.getElementById("gallery");
  const GAP = 20, LEAST = 300, CAPTION = 62, SPARE = 2;
  const tiles = Math.max(0, ...index.layers.map((layer) => layer.tiles));
  const sheetRows = Math.ceil(tiles / index.columns);
  const drawn = new Map(); // id of the unit -> its card
  let list = [], active = 0, columns = 1, width = LEAST, step = LEAST, picture = 0, rowsShown = 1;
  let tops = new Float64Array(1); // of every row, and the end

  // Every size is known before any picture is: nothing moves when they arrive.
  function measure() {
    const room = root.clientWidth;
    columns = Math.max(1, Math.floor((room + GAP) / (LEAST + GAP)));
    const parts = Math.max(1, Math.min(index.columns, tiles)); // whole pixels a tile: sharp edges between them
    width = Math.floor((room - GAP * (columns - 1)) / columns / parts) * parts;
    step = columns > 1 ? Math.floor((room - width) / (columns - 1)) : 0;
    rowsShown = root.classList.contains("whole") ? sheetRows : Math.min(1, sheetRows);
    const [tileHeight, tileWidth] = index.tile;
    picture = tiles ? Math.round(width / parts * tileHeight / tileWidth * rowsShown) : 0;
    tops = new Float64Array(Math.ceil(list.length / columns) + 1);
    for (let row = 0; row < tops.length - 1; row++) {
      let tall = false;
      for (let i = row * columns; i < Math.min(list.length, (row + 1) * columns) && !tall; i++) tall = list[i].pictured;
      tops[row + 1] = tops[row] + (tall ? picture : 0) + CAPTION + GAP;
    }
    root.style.setProperty("--picture", picture + "px");
    root.style.height = Math.max(0, tops[tops.length - 1] - GAP) + "px";
  }

  // The row at so many pixels from the gallery's top; between 0 and the last one.
  function rowAt(y) {
    let low = 0, high = Math.max(0, tops.length - 2);
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (tops[middle] <= y) low = middle; else high = middle - 1;
    }
    return low;
  }
  const heightOf = (row) => tops[row + 1] - tops[row] - GAP;

  function place(node, position) {
    node.firstChild.tabIndex = position === active ? 0 : -1;
    const row = Math.floor(position / columns), height = heightOf(row);
    const spot = [position, columns, width, step, tops[row], height, list.length].join();
    if (node.dataset.spot === spot) return;
    node.dataset.spot = spot;
    node.style.width = width + "px";
    node.style.height = height + "px";
    node.classList.toggle("low", height === CAPTION);
    node.style.transform = "translate(" + (position % columns) * step + "px," + tops[row] + "px)";
    node.setAttribute("aria-posinset", position + 1);
    node.setAttribute("aria-setsize", list.length);
    node.dataset.position = position;
  }

  function draw() {
    const above = -root.getBoundingClientRect().top;
    const first = Math.max(0, rowAt(above) - SPARE) * columns;
    const last = above + innerHeight < 0 ? 0 : Math.min(list.length, (rowAt(above + innerHeight) + 1 + SPARE) * columns);
    const wanted = new Map();
    for (let position = first; position < last; position++) wanted.set(list[position].id, position);
    if (active < list.length) wanted.set(list[active].id, active); // the one that Tab reaches
    for (const [id, node] of drawn) {
      if (!wanted.has(id)) { node.remove(); drawn.delete(id); }
    }
    let before = null;
    for (const [id, position] of [...wanted].sort((a, b) => b[1] - a[1])) { // DOM order is reading order
      let node = drawn.get(id);
      if (!node) {
        node = FD.el("div", { class: "cell", role: "listitem" }, FD.cards.card(FD.selection.all[id]));
        drawn.set(id, node);
      }
      place(node, position);
      if (node.nextSibling !== before || node.parentNode !== root) root.insertBefore(node, before);
      before = node;
    }
  }

  let asked = false;
  function soon() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  }

  function show(units) {
    list = units;
    active = 0;
    root.classList.toggle("mixed", list.length > 0 && list.some((u) => u.layer !== list[0].layer));
    measure();
    draw();
  }

  function resize() { measure(); draw(); }

  // Bring a unit into view and give it the focus.
  function focus(position) {
    if (!list.length) return;
    active = Math.max(0, Math.min(list.length - 1, position));
    const row = Math.floor(active / columns), height = heightOf(row);
    const top = root.getBoundingClientRect().top + tops[row];
    const bar = document.getElementById("toolbar").getBoundingClientRect();
    const covered = getComputedStyle(document.getElementById("toolbar")).position === "sticky" ? bar.height + 12 : 12;
    if (top < covered) scrollBy({ top: top - covered, behavior: "instant" });
    else if (top + height > innerHeight - 12) scrollBy({ top: top + height - innerHeight + 12, behavior: "instant" });
    draw();
    drawn.get(list[active].id).firstChild.focus({ preventScroll: true });
  }

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const pitch = list.length ? heightOf(Math.floor(active / columns)) + GAP : GAP;
    const page = Math.max(1, Math.floor(innerHeight / pitch) - 1) * columns;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, PageDown: page, PageUp: -page,
      Home: -list.length, End: list.length };
    if (!Object.hasOwn(steps, event.key)) return;
    event.preventDefault();
    focus(active + steps[event.key]);
  }

  function density(whole) {
    root.classList.toggle("whole", whole);
    resize();
  }

  function start() {
    addEventListener("scroll", soon, { passive: true });
    new ResizeObserver(() => { if (root.clientWidth) { measure(); soon(); } }).observe(root);
    root.addEventListener("keydown", keys);
    root.addEventListener("focusin", function (event) {
      const cell = event.target.closest(".cell");
      if (cell && +cell.dataset.position !== active) { active = +cell.dataset.position; draw(); }
    });
  }

  return {
    start, show, focus, density, sheetRows,
    list: () => list,
    focusUnit: (u) => { const at = list.indexOf(u); if (at >= 0) focus(at); },
  };
})();
