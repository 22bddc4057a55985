// @ts-check
/** Where a server shows the page: ask for news every two seconds, and load the page anew when the cells have changed. */
"use strict";
(() => {
  /** @type {{version: string}} */
  const shown = JSON.parse(/** @type {HTMLElement} */ (document.getElementById("live-data")).textContent || "{}");
  const line = /** @type {HTMLElement} */ (document.getElementById("live"));

  /** @param {string} text */
  function tell(text) {
    if (line.textContent === text) return;
    line.hidden = !text;
    line.textContent = text;
  }

  async function ask() {
    try {
      const answer = await fetch("/state", { cache: "no-store" });
      const state = await answer.json();
      if (state.version !== shown.version) {
        location.reload();
        return;
      }
      tell(state.told);
    } catch {
      tell("The server has ended; this is what it showed last.");
    }
    setTimeout(ask, 2000);
  }
  setTimeout(ask, 2000);
})();
