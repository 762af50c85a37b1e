// Everything that the reader chose stands in the address after #, so that any view can be linked to and the
// browser's Back works:   #layer=layer4&label=sky&sort=area&unit=layer4/12
"use strict";
FD.state = (function () {
  const KEYS = ["q", "layer", "cat", "label", "min", "max", "sort", "dir", "unit", "concept"];
  const listeners = [];
  let now = {};

  function parse(hash) {
    const given = new URLSearchParams(hash.replace(/^#/, "").replace(/\+/g, "%2B"));
    const state = {};
    for (const key of KEYS) if (given.has(key)) state[key] = given.get(key);
    return state;
  }

  function text(state) {
    return "#" + KEYS.filter((key) => state[key] !== undefined).map((key) => key + "=" + encodeURIComponent(state[key])).join("&");
  }

  // undefined or null removes a key. `step`: make it an entry of the history.
  function set(patch, step) {
    const next = Object.assign({}, now, patch);
    for (const key of Object.keys(next)) if (next[key] === null || next[key] === undefined) delete next[key];
    const hash = text(next);
    if (hash === text(now)) return;
    now = next;
    try {
      history[step ? "pushState" : "replaceState"](null, "", hash);
    } catch { /* some browsers forbid it on file://; the view changes all the same */ }
    tell();
  }

  function tell() { for (const listener of listeners) listener(now); }

  function read() {
    if (location.hash && !location.hash.includes("=")) return; // a plain anchor, e.g. #units
    const next = parse(location.hash);
    if (text(next) === text(now)) return;
    now = next;
    tell();
  }

  function start() {
    if (location.hash.includes("=")) now = parse(location.hash);
    addEventListener("hashchange", read);
    addEventListener("popstate", read);
    tell();
  }

  return { set, start, link: (state) => text(state), get: () => now, listen: (listener) => listeners.push(listener) };
})();
