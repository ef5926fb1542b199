// Parallel coordinates: an axis per parameter and one for the objective; a line per cell, brighter is better.
(() => {
  const place = document.getElementById("parallel");
  if (!place || !page.objective) return;
  const metric = page.metrics.findIndex((one) => one.name === page.objective.metric);
  const known = page.cells.filter((cell) => metric >= 0 && cell.values[metric] !== null);
  if (!known.length) { place.closest("figure").remove(); return; }
  const values = known.map((cell) => cell.values[metric][0]), TOP = 40, BOTTOM = 320;
  const described = { ...page.metrics[metric], mode: page.objective.mode };
  const columns = [...page.axes.map(ofAxis), ofObjective()];
  const width = Math.max(480, 130 * columns.length, Math.min(880, place.clientWidth)), gap = (width - 140) / Math.max(1, columns.length - 1);
  const order = known.map((cell) => cell).sort((a, b) => goodness(a.values[metric][0], values, described) - goodness(b.values[metric][0], values, described));

  function ofAxis(axis, number) {
    if (axis.numbers === null || axis.numbers.length < 2) {
      const y = scale([0, Math.max(1, axis.names.length - 1)], [BOTTOM, TOP]);
      return { name: axis.name, at: (cell) => y(cell.at[number]), ticks: axis.names.map((name, i) => [y(i), name]).slice(0, 12) };
    }
    const y = scale(extent(axis.numbers), [BOTTOM, TOP], axis.scale === "log");
    return { name: axis.name, at: (cell) => y(axis.numbers[cell.at[number]]), ticks: y.ticks.map((tick) => [y(tick), digits(tick)]) };
  }

  function ofObjective() {
    const y = scale(extent(values), [BOTTOM, TOP], described.positive);
    return { name: described.name, at: (cell) => y(cell.values[metric][0]), ticks: y.ticks.map((tick) => [y(tick), digits(tick)]) };
  }

  function lines(cell) {
    const named_ = page.axes.map((axis, i) => `${axis.name}: ${axis.numbers ? digits(axis.numbers[cell.at[i]]) : axis.names[cell.at[i]]}`);
    return [`${described.name}: ${interval(cell.values[metric])}`, ...named_, `n = ${cell.values[metric][3]}`];
  }

  function line(cell) {
    const d = columns.map((column, i) => `${i ? "L" : "M"}${(70 + i * gap).toFixed(1)} ${column.at(cell).toFixed(1)}`).join("");
    const made = shape("path", { d, class: "strand", role: "listitem", "aria-label": lines(cell).join(". "), stroke: rgb(heat(0.08 + 0.84 * goodness(cell.values[metric][0], values, described))) });
    return telling(made, () => lines(cell));
  }

  function axis(column, i) {
    const at = 70 + i * gap, made = shape("g", { class: "frame" }, shape("line", { class: "axis", x1: at, x2: at, y1: TOP, y2: BOTTOM }));
    made.append(shape("text", { x: at, y: i % 2 ? 14 : 28, "text-anchor": "middle", class: "name" }, column.name));
    for (const [y, name] of column.ticks) made.append(shape("text", { x: at + 5, y: y + 4, class: "halo" }, name));
    return made;
  }

  const strands = shape("g", { role: "list", "aria-label": "Cells from worst to best" }, ...order.map(line));
  const plot = shape("svg", { viewBox: `0 0 ${width} 340`, class: "plot-area wide-plot", role: "group", "aria-label": "Parallel coordinates; arrow keys go from cell to cell, End to the best" }, strands, ...columns.map(axis));
  place.append(element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Parallel coordinates" }, plot));
  roving([...strands.children]);
})();
