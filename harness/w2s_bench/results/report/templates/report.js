// @ts-check
/**
 * What a reader can do on the page: views by address, sorting, filtering, comparing two arms, tips, light and dark.
 * All figures and intervals were computed before; here things are counted, ordered and shown.
 * Text from outside reaches the page by `textContent` alone.
 */
"use strict";
(() => {
  /** @typedef {{key: string, name: string, group: string, badge: string}} Arm */
  /** @typedef {{row: string, bits: Record<string, string>, strata: (number | null)[], pool?: number, kept?: Record<string, string>}} CellData bits in base64, of rows kept too where these are known; strata as the domain has them */
  /** @typedef {[number, number, number, number | null] | string} Figure value, low, high, p; or why there is none */
  /** @typedef {{name: string, items: number, clusters: number[] | null, strata: string[], cells: Record<string, CellData>, pairs: Record<string, [Figure, Figure]>}} DomainData */
  /** @typedef {{key: string, name: string, arms: Arm[], rival: string, complete: boolean, domains: DomainData[], means: Record<string, Figure>, meanDomains: number}} BoardData */

  /** @type {{boards: BoardData[]}} */
  const data = JSON.parse(/** @type {HTMLElement} */ (document.getElementById("data")).textContent || "{}");
  const many = data.boards.length > 1;
  const title = document.title;

  /** @param {string} selector @param {ParentNode} [within] @returns {HTMLElement[]} */
  const all = (selector, within = document) => [...within.querySelectorAll(selector)].map((e) => /** @type {HTMLElement} */ (e));

  /**
   * An element with its text and children.
   * @param {string} tag @param {Record<string, string>} [attributes] @param {...(string | Node)} children @returns {HTMLElement}
   */
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  /** @param {string} tag @param {Record<string, string | number>} attributes @param {...Node} children */
  function svg(tag, attributes, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
    element.append(...children);
    return element;
  }

  /** What a reader chose, for as long as the tab is open; a browser may refuse to keep it. */
  const kept = {
    /** @param {string} name @returns {string | null} */
    get(name) {
      try { return sessionStorage.getItem("w2s-bench " + name); } catch { return null; }
    },
    /** @param {string} name @param {string} value */
    set(name, value) {
      try { sessionStorage.setItem("w2s-bench " + name, value); } catch { /* then it is forgotten */ }
    },
  };

  // Views -----------------------------------------------------------------------------------------------------------

  /** @param {string} text */
  function decoded(text) {
    try { return decodeURIComponent(text); } catch { return text; }
  }

  /** @returns {Record<string, string>} the parts of the address after `#`, not decoded */
  function address() {
    /** @type {Record<string, string>} */
    const parts = {};
    for (const part of location.hash.slice(1).split("&")) {
      const at = part.indexOf("=");
      if (part) parts[at < 0 ? part : part.slice(0, at)] = at < 0 ? "" : part.slice(at + 1);
    }
    return parts;
  }

  /** @param {BoardData} board @param {string} rest */
  const link = (board, rest) => "#" + (many ? `board=${encodeURIComponent(board.key)}&` : "") + rest;

  /** Show the view that the address names. @param {boolean} first whether the page has just been opened */
  function route(first) {
    const asked = address();
    const board = data.boards.find((b) => b.key === decoded(asked.board || "")) || data.boards[0];
    if (!board) return;
    const folder = /** @type {HTMLElement} */ (all(".board").find((e) => e.dataset.board === board.key));
    /** @type {HTMLElement | undefined} */
    let view;
    /** @type {HTMLElement | undefined} */
    let part;
    if (asked.row !== undefined) {
      const row = decoded(asked.row);
      view = all('[data-view="row"]', folder).find((e) => e.dataset.arm === row);
      part = view ? undefined : all("[data-row]", folder).find((e) => e.dataset.row === row);
      if (part) view = /** @type {HTMLElement} */ (part.closest(".view"));
    } else if (asked.compare !== undefined) {
      view = all('[data-view="compare"]', folder)[0];
      compare(board, folder, asked.compare.split(",").map(decoded));
    }
    const unknown = !view && (asked.row !== undefined);
    view = view || all('[data-view="board"]', folder)[0];
    strips(view);
    for (const other of all(".view")) other.classList.toggle("shown", other === view);
    for (const other of all(".board")) other.hidden = other !== folder;
    for (const nav of all("[data-nav]")) {
      const compared = view.dataset.view === "compare";
      const here = nav.dataset.nav === "compare" ? compared : !compared && nav.dataset.board === board.key;
      if (here) nav.setAttribute("aria-current", "page"); else nav.removeAttribute("aria-current");
      if (nav.dataset.nav === "compare") nav.setAttribute("href", link(board, "compare"));
    }
    const heading = /** @type {HTMLElement} */ ((part || view).querySelector(part ? "h2, summary" : "h1"));
    document.title = view.dataset.view === "board" ? title : `${(view.querySelector("h1") || heading).textContent || ""} · ${title}`;
    if (unknown) tell(`There is no row ${decoded(asked.row)} here; this is the whole board.`);
    if (first && !asked.row && !asked.compare) return;
    if (part instanceof HTMLDetailsElement) part.open = true;
    if (part) part.scrollIntoView({ behavior: "instant" }); else scrollTo({ top: 0, behavior: "instant" });
    if (first) return;
    heading.focus({ preventScroll: true });
  }

  /** Where an accuracy lies between the teacher's and the ceiling's, drawn when a view is first seen: most never are. @param {HTMLElement} view */
  function strips(view) {
    for (const table of all("table[data-strata]", view)) {
      for (const row of /** @type {HTMLTableElement} */ (table).tBodies[0].rows) {
        const place = row.cells[2];
        if (place.childNodes.length) continue;
        const strip = svg("svg", { class: `strip t-${table.dataset.group}`, viewBox: "0 0 150 14", "aria-hidden": "true" }, svg("path", { class: "grid", d: "M6 7H144" }));
        const [own, weak, ceiling] = [1, 3, 4].map((at) => 6 + 138 * parseFloat(row.cells[at].textContent || ""));
        if (weak >= 0) strip.append(svg("path", { class: "bound", d: `M${weak} 2V12` }));
        if (ceiling >= 0) strip.append(svg("path", { class: "bound top", d: `M${ceiling} 1V13` }));
        if (own >= 0) strip.append(svg("use", { href: `#m-${table.dataset.strata}`, x: own - 6, y: 1, width: 12, height: 12 }));
        place.append(strip);
      }
    }
  }

  /** Say something at the top of the page. @param {string} text */
  function tell(text) {
    const line = /** @type {HTMLElement} */ (document.getElementById("live"));
    line.hidden = !text;
    line.textContent = text;
  }

  // The table -------------------------------------------------------------------------------------------------------

  /** @param {HTMLTableElement} table @param {string} name what its state is kept by */
  function sortable(table, name) {
    const body = table.tBodies[0];
    const heads = [.../** @type {HTMLTableSectionElement} */ (table.tHead).rows[0].cells];
    const original = [...body.rows];
    const view = /** @type {HTMLElement} */ (table.closest(".view"));
    const form = /** @type {HTMLFormElement} */ (view.querySelector("[data-tools]"));
    const status = /** @type {HTMLElement} */ (view.querySelector("[data-status]"));
    let column = -1;
    let ascending = true;

    /** @param {HTMLTableRowElement} row */
    const key = (row) => row.cells[column].dataset.sort;

    function sort() {
      const numeric = column >= 0 && (heads[column].dataset.kind === "number" || column === 1);
      const ordered = column < 0 ? original : [...original].sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === undefined || y === undefined) return (x === undefined ? 1 : 0) - (y === undefined ? 1 : 0);
        return (ascending ? 1 : -1) * (numeric ? Number(x) - Number(y) : x.localeCompare(y));
      });
      body.append(...ordered);
      heads.forEach((head, at) => head.setAttribute("aria-sort", at !== column ? "none" : ascending ? "ascending" : "descending"));
      rules();
    }

    /** In the board's own order a rule parts the tracks. */
    function rules() {
      let last = "";
      for (const row of body.rows) {
        row.removeAttribute("data-rule");
        if (row.hidden) continue;
        if (column < 0 && last && row.dataset.group !== last) row.setAttribute("data-rule", "");
        last = row.dataset.group || "";
      }
    }

    function filter() {
      const chosen = new FormData(form);
      const find = String(chosen.get("find") || "").trim().toLowerCase();
      const groups = new Set(chosen.getAll("group"));
      const metric = chosen.get("metric");
      const domains = form.querySelector('[name="domain"]') ? new Set(chosen.getAll("domain")) : null;
      let shown = 0;
      for (const row of body.rows) {
        row.hidden = !groups.has(row.dataset.group || "") || !(row.dataset.name || "").toLowerCase().includes(find);
        shown += row.hidden ? 0 : 1;
      }
      heads.forEach((head, at) => {
        if (!head.dataset.metric) return;
        const of = head.dataset.domain;
        head.hidden = head.dataset.metric !== metric || Boolean(domains && of !== undefined && !domains.has(of));
        for (const row of body.rows) row.cells[at].hidden = head.hidden;
      });
      for (const point of all(".point", view)) {
        point.classList.toggle("dim", Boolean(domains && !domains.has(point.dataset.domain || "")));
      }
      if (column >= 0 && heads[column].hidden) column = -1;
      sort();
      const order = column < 0 ? "in the board’s order" : `sorted by ${label(heads[column])}, ${ascending ? "ascending" : "descending"}`;
      status.textContent = `${shown} of ${original.length} arms shown, ${order}.`;
      kept.set(name, JSON.stringify({ find, groups: [...groups], metric, domains: domains && [...domains], column, ascending }));
    }

    /** @param {HTMLElement} head */
    const label = (head) => (head.textContent || "").replace(/\s+/g, " ").trim();

    heads.forEach((head, at) => {
      const button = make("button", { type: "button", class: "sort" }, make("span", {}, ...head.childNodes));
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = heads[at].dataset.kind === "number" && label(heads[at]) !== "ranks";
        if (column !== at) { column = at; ascending = !down; }
        else if (ascending === !down) ascending = !ascending;
        else column = -1;
        filter();
      });
    });
    try {
      const before = JSON.parse(kept.get(name) || "null");
      if (before) {
        /** @type {HTMLInputElement} */ (form.elements.namedItem("find")).value = before.find;
        /** @type {HTMLSelectElement} */ (form.elements.namedItem("metric")).value = before.metric;
        for (const box of all('[name="group"]', form)) /** @type {HTMLInputElement} */ (box).checked = before.groups.includes(/** @type {HTMLInputElement} */ (box).value);
        for (const box of all('[name="domain"]', form)) /** @type {HTMLInputElement} */ (box).checked = !before.domains || before.domains.includes(/** @type {HTMLInputElement} */ (box).value);
        if (before.column < heads.length) ({ column, ascending } = before);
      }
    } catch { /* what was kept is of another page: begin anew */ }
    form.hidden = false;
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    filter();
  }

  // Two arms, item by item ------------------------------------------------------------------------------------------

  /** @param {string} packed @param {number} items @returns {Uint8Array} 1 where an item was answered right */
  function unpacked(packed, items) {
    const bytes = atob(packed);
    const bits = new Uint8Array(items);
    for (let i = 0; i < items; i++) bits[i] = (bytes.charCodeAt(i >> 3) >> (7 - (i & 7))) & 1;
    return bits;
  }

  /** @param {number} value @param {number} digits */
  function number(value, digits) {
    const text = value.toFixed(digits);
    return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
  }

  /** @param {Figure | undefined} figure of the first minus the second @param {boolean} turned whether it is asked the other way round @param {number} digits */
  function written(figure, turned, digits) {
    if (figure === undefined) return "not computed for this pair";
    if (typeof figure === "string") return figure;
    const [value, low, high] = turned ? [-figure[0], -figure[2], -figure[1]] : figure;
    const sign = value > 0 && Number(value.toFixed(digits)) !== 0 ? "+" : "";
    const p = figure[3];
    const untested = low === high && value !== 0 ? ", p –: nothing varies" : "";
    const tested = p === null ? untested : p < 0.001 ? ", p < 0.001" : `, p = ${p.toFixed(3)}`;
    return `${sign}${number(value, digits)} [${number(low, digits)}, ${number(high, digits)}]${tested}`;
  }

  const KINDS = /** @type {const} */ (["both", "a", "b", "neither"]);

  /** @param {BoardData} board @param {HTMLElement} folder @param {string[]} keys */
  function compare(board, folder, keys) {
    const view = /** @type {HTMLElement} */ (folder.querySelector('[data-view="compare"]'));
    const form = /** @type {HTMLFormElement} */ (view.querySelector("[data-pick]"));
    const place = /** @type {HTMLElement} */ (view.querySelector("[data-compared]"));
    const at = [0, 1].map((i) => board.arms.findIndex((arm) => arm.key === keys[i]));
    const unknown = keys.filter((key, i) => key && i < 2 && at[i] < 0);
    if (at[0] < 0) at[0] = 0;
    if (at[1] < 0) at[1] = Math.max(board.arms.findIndex((arm, i) => arm.name === board.rival && i !== at[0]), 0);
    form.hidden = false;
    /** @param {string} name */
    const select = (name) => /** @type {HTMLSelectElement} */ (form.elements.namedItem(name));
    select("A").value = board.arms[at[0]].key;
    select("B").value = board.arms[at[1]].key;
    /** @param {string} a @param {string} b */
    const go = (a, b) => { location.hash = link(board, `compare=${encodeURIComponent(a)},${encodeURIComponent(b)}`); };
    form.onchange = () => go(select("A").value, select("B").value);
    form.onsubmit = (event) => event.preventDefault();
    /** @type {HTMLButtonElement} */ (form.querySelector("[data-swap]")).onclick = () => go(select("B").value, select("A").value);
    const [a, b] = at.map((i) => board.arms[i]);
    place.replaceChildren();
    if (unknown.length) place.append(make("p", { class: "alert" }, `There is no arm ${unknown.join(" or ")} here.`));
    if (a === b) {
      place.append(make("p", {}, "Choose two different arms."));
      return;
    }
    place.append(
      make("p", { class: "meta" }, "A is ", make("strong", {}, make("bdi", {}, a.name)), ` (${a.badge}); B is `, make("strong", {}, make("bdi", {}, b.name)), ` (${b.badge}). Differences are A − B, paired, with the board’s 95 % intervals over seeds and test items; p is of this one comparison, not corrected for how many you look at.`),
      key(),
    );
    const turned = at[0] > at[1];
    const pair = [...at].sort((x, y) => x - y).join(",");
    if (board.meanDomains > 1) {
      place.append(make("p", {}, make("strong", {}, "Mean over domains: "), `${written(board.means[pair], turned, 2)} in PGR units.`));
    }
    if (!board.complete && !board.means[pair]) {
      place.append(make("p", { class: "note" }, "The board is large: intervals and differences in PGR units are computed beforehand for pairs with a control or reference alone. A report of fewer rows or domains has all."));
    }
    for (const domain of board.domains) {
      const [x, y] = at.map((i) => domain.cells[String(i)]);
      const section = make("section", { class: "part" }, make("h2", {}, make("bdi", {}, domain.name)));
      place.append(section);
      const seeds = x && y ? Object.keys(x.bits).filter((seed) => seed in y.bits) : [];
      if (!seeds.length) {
        section.append(make("p", {}, !x || !y ? `${(x ? b : a).name} has no cell in this domain.` : "The two arms have no seed in common."));
        continue;
      }
      section.append(...compared(domain, x, y, seeds, domain.pairs[pair], turned));
    }
  }

  /** What the colours mean. */
  function key() {
    const words = { both: "both right", a: "only A right", b: "only B right", neither: "neither" };
    const list = make("ul", { class: "legend" });
    for (const kind of KINDS) {
      const swatch = svg("svg", { class: "bar swatch", "aria-hidden": "true" }, svg("rect", { class: kind, width: "100%", height: "100%" }));
      list.append(make("li", {}, swatch, " " + words[kind]));
    }
    return list;
  }

  /**
   * @param {DomainData} domain @param {CellData} x @param {CellData} y @param {string[]} seeds
   * @param {[Figure, Figure] | undefined} pair @param {boolean} turned @returns {Node[]}
   */
  function compared(domain, x, y, seeds, pair, turned) {
    const answers = seeds.map((seed) => ({ seed, a: unpacked(x.bits[seed], domain.items), b: unpacked(y.bits[seed], domain.items) }));
    /** @param {Uint8Array} a @param {Uint8Array} b */
    const counted = (a, b) => {
      const counts = { both: 0, a: 0, b: 0, neither: 0 };
      for (let i = 0; i < a.length; i++) counts[a[i] ? (b[i] ? "both" : "a") : (b[i] ? "b" : "neither")]++;
      return counts;
    };
    const rows = answers.map(({ seed, a, b }) => line(`seed ${seed}`, counted(a, b), domain.items));
    const sums = { both: 0, a: 0, b: 0, neither: 0 };
    for (const { a, b } of answers) { const one = counted(a, b); for (const kind of KINDS) sums[kind] += one[kind]; }
    if (seeds.length > 1) rows.push(line("all seeds", sums, domain.items * seeds.length));
    const difference = (sums.a - sums.b) / (domain.items * seeds.length);
    const plain = `${difference > 0 ? "+" : ""}${number(difference, 3)}, without an interval`;
    const nodes = [
      make("p", {}, "A − B in accuracy: ", make("strong", {}, pair ? written(pair[0], turned, 3) : plain), "; in PGR units: ", make("strong", {}, written(pair && pair[1], turned, 2)), "."),
      table(`Answers of A and B to the ${domain.items} test items of ${domain.name}`, ["", "both right", "only A", "only B", "neither", "A", "B", "share"], rows),
    ];
    /** @type {string[][]} */
    const lines = [];
    domain.strata.forEach((name, at) => {
      const [own, other] = [x.strata[at], y.strata[at]];
      if (own !== null && other !== null) lines.push([name, number(own, 3), number(other, 3), (own > other ? "+" : "") + number(own - other, 3)]);
    });
    if (lines.length > 1) {
      nodes.push(make("details", {}, make("summary", {}, `By stratum (${lines.length})`),
        table(`Accuracies by stratum in ${domain.name}, means over the seeds of each arm`, ["stratum", "A", "B", "A − B"], lines)));
    }
    const both = x.kept && y.kept && x.pool === y.pool ? Object.keys(x.kept).filter((seed) => y.kept && seed in y.kept) : [];
    if (both.length) {
      const pool = x.pool || 0;
      const alike = both.map((seed) => {
        const counts = counted(unpacked((x.kept || {})[seed], pool), unpacked((y.kept || {})[seed], pool));
        const either = counts.both + counts.a + counts.b;
        return [...line(`seed ${seed}`, counts, pool).slice(0, 5), either ? number(counts.both / either, 3) : "–"];
      });
      nodes.push(make("h3", {}, "Rows kept by both"),
        table(`Which of the ${pool} rows of the pool A and B keep in ${domain.name}`, ["", "both keep", "only A", "only B", "neither", "of those that either keeps"], alike));
    }
    nodes.push(items(domain, answers));
    return nodes;
  }

  /** @param {string} name @param {Record<string, number>} counts @param {number} of @returns {(string | Node)[]} */
  function line(name, counts, of) {
    const bar = svg("svg", { class: "bar", "aria-hidden": "true" });
    let from = 0;
    for (const kind of KINDS) {
      bar.append(svg("rect", { class: kind, x: `${100 * from / of}%`, width: `${100 * counts[kind] / of}%`, height: "100%" }));
      from += counts[kind];
    }
    const shares = [counts.both + counts.a, counts.both + counts.b].map((right) => number(right / of, 3));
    return [name, ...KINDS.map((kind) => String(counts[kind])), ...shares, bar];
  }

  /** @param {string} caption @param {string[]} heads @param {(string | Node)[][]} rows */
  function table(caption, heads, rows) {
    const head = make("tr", {}, ...heads.map((text) => text ? make("th", { scope: "col" }, text) : make("td", {}, make("span", { class: "unseen" }, "row"))));
    const lines = rows.map((cells) => make("tr", {}, ...cells.map((cell, i) =>
      i === 0 ? make("th", typeof cell === "string" && cell.length < 12 ? { scope: "row", class: "short" } : { scope: "row" }, make("bdi", {}, cell)) : make("td", typeof cell === "string" ? {} : { class: "bar-cell" }, cell))));
    return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${caption}; scrolls sideways` },
      make("table", {}, make("caption", { class: "unseen" }, caption), make("thead", {}, head), make("tbody", {}, ...lines)));
  }

  /** Every item, a page at a time. @param {DomainData} domain @param {{seed: string, a: Uint8Array, b: Uint8Array}[]} answers */
  function items(domain, answers) {
    const SIZE = 50;
    /** @type {Record<string, (i: number) => boolean>} */
    const choices = {
      "that the two differ on in some seed": (i) => answers.some(({ a, b }) => a[i] !== b[i]),
      "that only A gets right, in every seed": (i) => answers.every(({ a, b }) => a[i] && !b[i]),
      "that only B gets right, in every seed": (i) => answers.every(({ a, b }) => !a[i] && b[i]),
      "that neither gets right in any seed": (i) => answers.every(({ a, b }) => !a[i] && !b[i]),
      "of all": () => true,
    };
    const choice = /** @type {HTMLSelectElement} */ (make("select", {}, ...Object.keys(choices).map((text) => make("option", {}, text))));
    const where = make("span", { role: "status" });
    const back = make("button", { type: "button" }, "Previous");
    const on = make("button", { type: "button" }, "Next");
    const place = make("div", {});
    let page = 0;
    function show() {
      const chosen = [...Array(domain.items).keys()].filter(choices[choice.value]);
      const pages = Math.max(Math.ceil(chosen.length / SIZE), 1);
      page = Math.min(Math.max(page, 0), pages - 1);
      const shown = chosen.slice(page * SIZE, (page + 1) * SIZE);
      /** @type {Record<string, string>} */
      const words = { "11": "both", "10": "only A", "01": "only B", "00": "neither" };
      const rows = shown.map((i) => [
        String(i), ...(domain.clusters ? [String(domain.clusters[i])] : []),
        ...answers.map(({ a, b }) => make("span", { class: a[i] !== b[i] ? "answer" : "answer none" }, words[`${a[i]}${b[i]}`])),
      ]);
      const heads = ["item", ...(domain.clusters ? ["cluster"] : []), ...answers.map(({ seed }) => `seed ${seed}`)];
      place.replaceChildren(shown.length ? table(`Items of ${domain.name}`, heads, rows) : make("p", {}, "None."));
      where.textContent = `${chosen.length} items${pages > 1 ? `, page ${page + 1} of ${pages}` : ""}`;
      back.toggleAttribute("disabled", page === 0);
      on.toggleAttribute("disabled", page === pages - 1);
    }
    choice.addEventListener("change", () => { page = 0; show(); });
    back.addEventListener("click", () => { page -= 1; show(); });
    on.addEventListener("click", () => { page += 1; show(); });
    const details = make("details", {}, make("summary", {}, "Item by item"),
      make("p", { class: "note" }, "Items are numbered in the order of their ids, which cell files leave out; ", make("code", {}, "w2s-bench items"), " writes ids, strata, labels and answers."),
      make("div", { class: "pager" }, make("label", { class: "field" }, "Items", choice), back, on, where), place);
    details.addEventListener("toggle", () => { if (!place.childNodes.length) show(); });
    return details;
  }

  // Tips, keys, light and dark, print -------------------------------------------------------------------------------

  const tip = /** @type {HTMLElement} */ (document.getElementById("tip"));

  /** @param {Event} event */
  function showTip(event) {
    const mark = event.target instanceof Element ? event.target.closest("a.mark") : null;
    if (!mark) { tip.hidden = true; return; }
    tip.textContent = mark.getAttribute("aria-label");
    tip.hidden = false;
    const box = mark.getBoundingClientRect();
    const own = tip.getBoundingClientRect();
    // Beside the pointer, or for the keyboard at the right end, so that it hides no name.
    const left = event instanceof PointerEvent ? event.clientX - own.width / 2 : box.right - own.width;
    tip.style.left = `${Math.min(Math.max(left, 4), innerWidth - own.width - 4)}px`;
    tip.style.top = `${box.top - own.height - 8 > 0 ? box.top - own.height - 8 : box.bottom + 8}px`;
  }

  /** In a plot, arrow keys go from mark to mark, and Tab leaves it. */
  function roving() {
    for (const plot of all(".panel svg")) {
      const marks = all("a.mark", plot);
      marks.forEach((mark, at) => mark.setAttribute("tabindex", at ? "-1" : "0"));
      plot.addEventListener("keydown", (event) => {
        const at = marks.findIndex((mark) => mark === document.activeElement);
        /** @type {Record<string, number>} */
        const steps = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: marks.length - 1 };
        const next = steps[event.key];
        if (at < 0 || next === undefined) return;
        event.preventDefault();
        const to = marks[Math.min(Math.max(next, 0), marks.length - 1)];
        marks.forEach((mark) => mark.setAttribute("tabindex", mark === to ? "0" : "-1"));
        to.focus();
      });
    }
  }

  function themes() {
    const button = /** @type {HTMLElement} */ (document.getElementById("theme"));
    const order = ["system", "light", "dark"];
    let at = Math.max(order.indexOf(kept.get("theme") || ""), 0);
    function apply() {
      if (at) document.documentElement.dataset.theme = order[at]; else delete document.documentElement.dataset.theme;
      button.textContent = `◐ ${order[at]}`;
      button.setAttribute("aria-label", `${order[at]} colours; choose others`);
      kept.set("theme", order[at]);
    }
    button.addEventListener("click", () => { at = (at + 1) % order.length; apply(); });
    button.hidden = false;
    apply();
  }

  themes();
  roving();
  // The address names the view: to skip ahead must not change it.
  all(".skip")[0].addEventListener("click", (event) => {
    event.preventDefault();
    /** @type {HTMLElement} */ (document.getElementById("main")).focus();
  });
  for (const table of all("table[data-sortable]")) {
    sortable(/** @type {HTMLTableElement} */ (table), `table ${/** @type {HTMLElement} */ (table.closest(".board")).dataset.board}`);
  }
  addEventListener("pointerover", showTip);
  addEventListener("focusin", showTip);
  addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
  addEventListener("beforeprint", () => { for (const view of all(".view.shown details")) view.setAttribute("open", ""); });
  addEventListener("hashchange", () => route(false));
  route(true);
})();
