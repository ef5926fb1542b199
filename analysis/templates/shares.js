// Who wins the gradient: the shares of the loss terms over epochs, stacked, one panel per cell.
(() => {
  const place = document.getElementById("shares");
  if (!place) return;
  const { terms, epochs, cells, shares } = page.shares, FIRST = 12;
  const box = { left: 4, right: 196, top: 4, bottom: 84 };
  const panels = element("div", { class: "panels" });

  function layers(values) {
    const x = scale([epochs[0], epochs.at(-1)], [box.left, box.right]), y = scale([0, 1], [box.bottom, box.top]);
    const known = epochs.map((_, i) => i).filter((i) => values.some((of) => of[i] !== null));
    const base = known.map(() => 0);
    return values.map((of, term) => {
      const down = known.map((i, k) => `${x(epochs[i]).toFixed(1)} ${y(base[k]).toFixed(1)}`).reverse();
      const up = known.map((i, k) => `${x(epochs[i]).toFixed(1)} ${y((base[k] += of[i] ?? 0)).toFixed(1)}`);
      return shape("path", { d: up.length ? `M${[...up, ...down].join("L")}Z` : "", fill: colour(term), stroke: "var(--card)", "stroke-width": 0.6 });
    });
  }

  function last(values) { return values.filter((value) => value !== null).at(-1) ?? null; }

  function lines(cell) {
    const at = shares[cell].map((values) => last(values));
    return [page.cells[cell].label, ...terms.map((term, i) => `${term}: ${at[i] === null ? "–" : `${(100 * at[i]).toFixed(1)} %`}`), `at epoch ${epochs.at(-1)}`];
  }

  function panel(cell) {
    const plot = shape("svg", { viewBox: "0 0 200 88", "aria-hidden": "true" }, ...layers(shares[cell]));
    const made = element("div", { class: "panel", role: "listitem", "aria-label": lines(cell).join(". ") }, element("span", {}, page.cells[cell].label), plot);
    return telling(made, () => lines(cell));
  }

  function draw(n) {
    panels.replaceChildren(...cells.slice(0, n).map(panel));
    roving([...panels.children], 4);
    more.hidden = n >= cells.length;
  }

  const key = element("p", { class: "key" }, ...terms.map((term, i) => {
    const square = element("span", { class: "square", "aria-hidden": "true" });
    square.style.background = colour(i);
    return element("span", {}, square, term);
  }));
  const more = button(`Show all ${cells.length} cells`, () => draw(cells.length));
  panels.setAttribute("role", "list");
  place.append(key, panels, more);
  draw(Math.min(FIRST, cells.length));
})();
