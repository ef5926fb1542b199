// The heatmap: a grid of cells that one walks through with the arrow keys; mean, interval, count, marks.
(() => {
  const place = document.getElementById("heatmap");
  if (!place) return;
  const { row, column, rest } = page.layout;
  const MOST_WRITTEN = 150; // cells with numbers in them; more are colours alone, and tell on focus
  const by = new Map(page.cells.map((cell) => [cell.at.join(), cell]));
  const written = page.cells.length <= MOST_WRITTEN;
  const stage = element("div", { class: "scroll heat" });
  const legend = element("p", { class: "soft" });

  // Return all combinations of values of the axes that divide the map into panels.
  function panels() {
    return rest.reduce(
      (found, axis) => found.flatMap((one) => page.axes[axis].names.map((_, level) => [...one, [axis, level]])), [[]]);
  }

  function cellAt(fixed, y, x) {
    const at = page.axes.map(() => 0);
    for (const [axis, level] of fixed) at[axis] = level;
    if (row !== null) at[row] = y;
    at[column] = x;
    return by.get(at.join());
  }

  function drawn(cell, metric, values) {
    if (!cell) return element("td", { class: "none", role: "gridcell", "aria-label": "no trial" });
    const value = cell.values[metric], ended = counted(cell.counts), lines = told(cell, metric);
    const made = element("td", { role: "gridcell", "aria-label": lines.join(". ") });
    if (ended.length) made.classList.add("ended");
    if (cell === page.cells[page.recommended]) made.classList.add("taken");
    if (value === null) made.classList.add("none");
    else {
      const shade = heat(goodness(value[0], values, page.metrics[metric]));
      made.style.background = rgb(shade);
      made.style.color = ink(shade);
    }
    if (written) made.append(...writing(value, cell, ended));
    return telling(made, () => lines);
  }

  function writing(value, cell, ended) {
    if (value === null) return [element("span", {}, ended.length ? ended.join(", ") : "no value")];
    const [mean, low, high, n] = value;
    return [
      element("b", {}, digits(mean)),
      low === null ? null : element("span", {}, `[${digits(low)}, ${digits(high)}]`),
      element("span", {}, [`n=${n}`, ...ended].join(", ")),
    ].filter(Boolean);
  }

  // Return the names of both sides, which may break behind their underscores.
  function corner() {
    const names = [row === null ? null : `${page.axes[row].name} ↓`, `${page.axes[column].name} →`].filter(Boolean);
    return names.map((name) => element("span", {}, ...name.split("_").flatMap((part, i) => (i ? ["_", element("wbr"), part] : [part]))));
  }

  function panel(fixed, metric, values) {
    const across = page.axes[column].names, down = row === null ? [""] : page.axes[row].names;
    const title = fixed.map(([axis, level]) => `${page.axes[axis].name} ${page.axes[axis].names[level]}`).join(", ");
    const head = element("tr", {}, element("th", { scope: "col" }, ...corner()));
    for (const name of across) head.append(element("th", { scope: "col" }, name));
    const made = element("table", { role: "grid", class: written ? "written" : "small", "aria-label": `${page.metrics[metric].name} ${title}` },
      element("caption", {}, title), element("thead", {}, head));
    const body = element("tbody");
    down.forEach((name, y) => {
      const line = element("tr", {}, element("th", { scope: "row" }, name));
      across.forEach((_, x) => line.append(drawn(cellAt(fixed, y, x), metric, values)));
      body.append(line);
    });
    made.append(body);
    roving([...body.querySelectorAll("td")], across.length);
    return made;
  }

  function draw(metric) {
    const values = page.cells.map((cell) => cell.values[metric]).filter(Boolean).map(([mean]) => mean);
    stage.replaceChildren(...panels().map((fixed) => panel(fixed, metric, values)));
    const known = page.metrics[metric], [low, high] = extent(values);
    legend.textContent = `${named(known)}${known.text ? `: ${known.text}` : ""}. From ${digits(low)} to ${digits(high)}; ` +
      `brighter is ${known.mode ? "better" : "larger"}${known.positive && low > 0 ? ", on a logarithmic scale" : ""}.`;
  }

  place.append(element("div", { class: "controls" }, menu("Metric", page.metrics.map((m) => m.name), draw)), stage, legend);
  draw(0);
})();
