// Search in the trees: a label by a part of its name, a unit by its number; branches with a find are opened.
"use strict";
(function () {
  const field = document.getElementById("find"), tally = document.getElementById("tally");
  const trees = [...document.querySelectorAll("section > .tree")];
  const details = [...document.querySelectorAll(".tree details")];
  const before = new Map(details.map((one) => [one, one.open]));
  let searching = false;

  // A node is shown where its name has the words, with all that is below it, or where something below it has them.
  function show(item, words, number, whole, units) {
    const named = whole || (number ? item.dataset.name === words : item.dataset.name.includes(words));
    const own = item.firstElementChild;
    let found = 0;
    for (const list of own.children) {
      if (!list.matches("ul")) continue;
      for (const one of list.children) {
        if (one.dataset.name !== undefined) found += show(one, words, number, named, units);
        else if (one.dataset.find !== undefined) {
          const hit = named || (number ? one.dataset.find.startsWith(words + " ") : one.dataset.find.includes(words));
          one.hidden = !hit;
          found += hit;
          if (hit) units.add(one.dataset.find.split(" ")[0]);
        } else one.hidden = !named;
      }
    }
    item.hidden = !named && !found;
    own.open = found > 0;
    return found;
  }

  function search() {
    const words = field.value.trim().toLowerCase().replace(/^unit\s+/, "");
    if (!words) {
      if (searching) reset();
      return;
    }
    if (!searching) for (const one of details) before.set(one, one.open);
    searching = true;
    let found = 0;
    for (const layer of new Set(trees.map((tree) => tree.parentElement))) {
      const units = new Set(); // one may stand under its label and under a whole
      for (const tree of trees) {
        if (tree.parentElement === layer) for (const item of tree.children) show(item, words, /^\d+$/.test(words), false, units);
      }
      found += units.size;
    }
    tally.textContent = found === 1 ? "1 unit" : found.toLocaleString("en") + " units";
  }

  function reset() {
    searching = false;
    tally.textContent = "";
    for (const one of document.querySelectorAll(".tree [hidden]")) one.hidden = false;
    for (const [one, open] of before) one.open = open;
  }

  function all(open) { for (const one of details) one.open = open; }
  // A link to a node that is inside closed ones: they open first.
  function reveal() {
    const node = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!node) return;
    for (let at = node; at; at = at.parentElement) if (at.matches("details")) at.open = true;
    node.scrollIntoView({ block: "start" });
  }

  field.form.addEventListener("submit", (event) => event.preventDefault());
  field.addEventListener("input", search);
  document.getElementById("open").addEventListener("click", () => all(true));
  document.getElementById("close").addEventListener("click", () => all(false));
  addEventListener("hashchange", reveal);
  reveal();
})();
