// Curves over epochs: mean of a cell with the band of its seeds; metric, scale, zoom, which cells.
(() => {
  const place = document.getElementById("curves");
  if (!place) return;
  const { metrics, epochs, cells, lines } = page.curves, FIRST = 6;
  const width = Math.max(280, Math.min(880, place.clientWidth)), box = { left: 62, right: width - 16, top: 24, bottom: 330 };
  const shown = new Set(cells.slice(0, FIRST));
  const state = { metric: 0, log: metrics[0].positive, from: epochs[0], to: epochs.at(-1), at: epochs.length - 1, lit: null };
  const plot = shape("svg", { viewBox: `0 0 ${width} 380`, tabindex: 0, role: "group", class: "plot-area",
    "aria-label": "Curves over epochs. Arrow keys move through the epochs, plus and minus zoom, 0 shows all." });
  const said = element("p", { class: "reading", role: "status" });
  let x, y, dragged = null;

  function drawnCells() { return cells.filter((cell) => shown.has(cell) && lines[metrics[state.metric].name]?.[cell]); }

  function visible(values) { return values.filter((_, i) => epochs[i] >= state.from && epochs[i] <= state.to); }

  function path(values) {
    let open = false;
    return values.map((value, i) => {
      if (value === null) { open = false; return ""; }
      const step = `${open ? "L" : "M"}${x(epochs[i]).toFixed(1)} ${y(value).toFixed(1)}`;
      open = true;
      return step;
    }).join("");
  }

  function band([, low, high]) {
    const known = epochs.map((_, i) => i).filter((i) => low[i] !== null && high[i] !== null);
    const up = known.map((i) => `${x(epochs[i]).toFixed(1)} ${y(high[i]).toFixed(1)}`);
    const down = known.map((i) => `${x(epochs[i]).toFixed(1)} ${y(low[i]).toFixed(1)}`).reverse();
    return up.length ? `M${[...up, ...down].join("L")}Z` : "";
  }

  function draw() {
    const metric = metrics[state.metric], of = lines[metric.name] ?? {};
    const values = drawnCells().flatMap((cell) => of[cell].slice(1).flatMap(visible));
    x = scale([state.from, state.to], [box.left, box.right]);
    y = scale(extent(values, state.log ? 0 : 0.04), [box.bottom, box.top], state.log);
    x.ticks = x.ticks.filter(Number.isInteger);
    const inside = shape("g", { "clip-path": "url(#curves-clip)" });
    for (const cell of drawnCells()) inside.append(...curve(cell, of[cell]));
    const clip = shape("clipPath", { id: "curves-clip" }, shape("rect", { x: box.left, y: box.top - 4, width: box.right - box.left, height: box.bottom - box.top + 8 }));
    plot.replaceChildren(clip, frame(box, x, y, ["epoch", named(metric)]), inside, cursor());
    log.querySelector("input").disabled = !(extent(values)[0] > 0);
  }

  function curve(cell, values) {
    const order = cells.indexOf(cell), lit = state.lit === cell, faint = state.lit !== null && !lit;
    const style = { stroke: colour(order), "stroke-dasharray": DASHES[Math.floor(order / 8) % 4] };
    return [
      shape("path", { d: band(values), fill: colour(order), opacity: faint ? 0.04 : lit ? 0.3 : 0.16 }),
      shape("path", { d: path(values[0]), fill: "none", ...style, "stroke-width": lit ? 3.2 : 1.8, opacity: faint ? 0.25 : 1, "data-cell": cell }),
    ];
  }

  function cursor() {
    const at = x(epochs[state.at]);
    return shape("line", { class: "cursor", x1: at, x2: at, y1: box.top, y2: box.bottom });
  }

  function lines_at() {
    const of = lines[metrics[state.metric].name] ?? {};
    const listed = drawnCells().slice(0, 8).map((cell) => {
      const [mean, low, high] = of[cell].map((values) => values[state.at]);
      return `${page.cells[cell].label}: ${digits(mean)} (seeds ${digits(low)} to ${digits(high)})`;
    });
    return [`epoch ${epochs[state.at]}, ${metrics[state.metric].name}`, ...listed];
  }

  function point(place_) {
    state.at = Math.max(0, Math.min(epochs.length - 1, place_));
    plot.querySelector(".cursor")?.replaceWith(cursor());
    said.textContent = lines_at().join("; ");
  }

  function zoom(factor) {
    const middle = epochs[state.at], half = ((state.to - state.from) * factor) / 2;
    limits(middle - half, middle + half);
  }

  function limits(from, to) {
    const [first, last] = [epochs[0], epochs.at(-1)];
    state.from = Math.max(first, Math.min(from, last - 1));
    state.to = Math.min(last, Math.max(to, state.from + 1));
    draw();
  }

  function whole() { limits(epochs[0], epochs.at(-1)); }

  function pixel(event) {
    const own = plot.getBoundingClientRect();
    return ((event.clientX - own.left) / own.width) * width;
  }

  function nearest(epoch) {
    return epochs.reduce((best, one, i) => (Math.abs(one - epoch) < Math.abs(epochs[best] - epoch) ? i : best), 0);
  }

  plot.addEventListener("pointerdown", (event) => { dragged = pixel(event); });
  plot.addEventListener("pointermove", (event) => point(nearest(x.back(pixel(event)))));
  plot.addEventListener("pointerup", (event) => {
    const [a, b] = [dragged, pixel(event)].sort((p, q) => p - q);
    if (dragged !== null && b - a > 12) limits(x.back(a), x.back(b));
    dragged = null;
  });
  plot.addEventListener("dblclick", whole);
  plot.addEventListener("focus", () => point(state.at));
  plot.addEventListener("keydown", (event) => {
    const press = { ArrowRight: () => point(state.at + 1), ArrowLeft: () => point(state.at - 1), Home: () => point(0),
      End: () => point(epochs.length - 1), "+": () => zoom(0.5), "-": () => zoom(2), 0: whole }[event.key];
    if (!press) return;
    event.preventDefault();
    press();
  });

  const log = element("label", { class: "control" }, element("input", { type: "checkbox", onchange: (event) => { state.log = event.target.checked; draw(); } }), " log scale");
  log.querySelector("input").checked = state.log;

  function entry(cell, order) {
    const light = (on) => () => { state.lit = on && shown.has(cell) ? cell : null; draw(); };
    const box_ = element("input", { type: "checkbox", onchange: () => { box_.checked ? shown.add(cell) : shown.delete(cell); light(box_.checked)(); } });
    box_.checked = shown.has(cell);
    const swatch = shape("svg", { viewBox: "0 0 26 8", "aria-hidden": "true", class: "swatch" },
      shape("line", { x1: 0, x2: 26, y1: 4, y2: 4, stroke: colour(order), "stroke-width": 3, "stroke-dasharray": DASHES[Math.floor(order / 8) % 4] }));
    return element("label", { class: "entry", onmouseenter: light(true), onmouseleave: light(false), onfocusin: light(true), onfocusout: light(false) },
      box_, swatch, page.cells[cell].label);
  }

  const controls = element("div", { class: "controls" },
    menu("Metric", metrics.map((m) => m.name), (chosen) => { state.metric = chosen; state.log = metrics[chosen].positive; log.querySelector("input").checked = state.log; draw(); }),
    log, button("+", () => zoom(0.5), "Zoom in"), button("−", () => zoom(2), "Zoom out"), button("All epochs", whole));
  place.append(controls, plot, said, element("div", { class: "entries", role: "group", "aria-label": "Cells" }, ...cells.map(entry)));
  if (page.cells.length > cells.length) place.append(element("p", { class: "soft" }, `The best ${cells.length} of ${page.cells.length} cells; history.parquet has all.`));
  draw();
})();
