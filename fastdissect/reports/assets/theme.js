// Runs before anything is drawn: a reader who chose light or dark sees it at once.
"use strict";
(function () {
  const root = document.documentElement;
  const KEY = "fastdissect-theme";
  // Storage may be switched off, and on file:// some browsers refuse it: the page then follows the system.
  function remember(theme) { try { localStorage.setItem(KEY, theme); } catch { /* not kept */ } }
  function remembered() { try { return localStorage.getItem(KEY); } catch { return null; } }

  const chosen = remembered();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;

  document.addEventListener("DOMContentLoaded", function () {
    const button = document.getElementById("theme");
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const now = () => root.dataset.theme || (dark.matches ? "dark" : "light");
    const say = () => button.setAttribute("aria-label", now() === "dark" ? "Switch to light" : "Switch to dark");
    button.addEventListener("click", function () {
      root.dataset.theme = now() === "dark" ? "light" : "dark";
      remember(root.dataset.theme);
      say();
    });
    dark.addEventListener("change", say);
    say();
  });
})();
