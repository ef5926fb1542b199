// The trade-off: cells by their means on two metrics, the Pareto front, the knee.
(() => {
  const place = document.getElementById("front");
  if (!place) return;
  const { metrics, points, front, knee } = page.front;
  const width = Math.max(280, Math.min(880, place.clientWidth)), box = { left: 68, right: width - 16, top: 26, bottom: 350 };
  const logs = [1, 2].map((k) => points.every((point) => point[k] > 0));
  const limits = [1, 2].map((k) => around(points.map((point) => point[k]), logs[k - 1]));
  const x = scale(limits[0], [box.left + 12, box.right - 12], logs[0]), y = scale(limits[1], [box.bottom - 12, box.top + 12], logs[1]);
  const at = new Map(points.map(([cell, a, b]) => [cell, [a, b]]));

  function around(values, log) {
    const [low, high] = extent(values);
    return log ? [low / 1.08, high * 1.08] : extent(values, 0.06);
  }

  function lines(cell) {
    const [a, b] = at.get(cell);
    const standing = [cell === knee ? "knee" : null, front.includes(cell) ? "on the Pareto front" : null, cell === page.recommended ? "recommended" : null];
    return [page.cells[cell].label, `${metrics[0].name}: ${digits(a)}`, `${metrics[1].name}: ${digits(b)}`, `n = ${page.cells[cell].counts[0]}`, ...standing.filter(Boolean)];
  }

  function point([cell, a, b]) {
    const best = front.includes(cell);
    const made = shape("circle", { cx: x(a), cy: y(b), r: best ? 7 : 4.5, class: best ? "point best" : "point", role: "listitem", "aria-label": lines(cell).join(". ") });
    return telling(made, () => lines(cell));
  }

  const line = front.map((cell) => at.get(cell).map((value, k) => (k ? y(value) : x(value)).toFixed(1)).join(" ")).join("L");
  const ring = knee === null ? null : shape("circle", { cx: x(at.get(knee)[0]), cy: y(at.get(knee)[1]), r: 12, class: "ring" });
  const dots = shape("g", { role: "list", "aria-label": "Cells" }, ...points.map(point));
  place.append(shape("svg", { viewBox: `0 0 ${width} 400`, class: "plot-area", role: "group", "aria-label": "Trade-off between two metrics; arrow keys go from cell to cell" },
    frame(box, x, y, metrics.map(named)), line ? shape("path", { d: `M${line}`, class: "front" }) : null, ring, dots));
  roving([...dots.children]);
})();
