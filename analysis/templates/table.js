// Tables that can be sorted and filtered: the cells, which stand in the page, and the trials, which are made by pages.
(() => {
  const PAGE = 50; // trials at a time
  const columnsOf = (runs) => [
    { name: "cell", of: (t) => (t[0] === null ? "–" : page.cells[t[0]].label) },
    ...page.axes.map((axis, i) => ({ name: axis.name, of: (t) => (t[0] === null ? null : axis.numbers ? axis.numbers[page.cells[t[0]].at[i]] : axis.names[page.cells[t[0]].at[i]]) })),
    { name: "seed", of: (t) => t[1] },
    { name: "state", of: (t) => t[2] },
    { name: page.objective ? page.objective.metric : "objective", of: (t) => t[3] },
    { name: "epochs", of: (t) => t[6] },
    { name: "wall time, s", of: (t) => t[4] },
    ...(page.trials.some((t) => t[5] !== null) ? [{ name: "memory, MB", of: (t) => t[5] }] : []),
    ...(runs ? [{ name: "MLflow run", of: (t) => t[7], run: true }] : []),
  ];

  // Numbers by size, words by the alphabet, what is missing last, whichever way round.
  function compare(a, b, sign) {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    return sign * String(a).localeCompare(String(b), "en", { numeric: true });
  }

  // Put a button into every heading; ``sort`` gets the column and 1 or -1.
  function sortable(headings, sort) {
    headings.forEach((heading, place) => {
      const name = heading.textContent;
      heading.setAttribute("aria-sort", "none");
      heading.replaceChildren(element("button", { type: "button", class: "sort", onclick: () => {
        const down = heading.getAttribute("aria-sort") === "ascending";
        for (const other of headings) other.setAttribute("aria-sort", "none");
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        sort(place, down ? -1 : 1);
      } }, name));
    });
  }

  function filter(label, change) {
    return element("label", { class: "control" }, `${label} `, element("input", { type: "search", oninput: (event) => change(event.target.value.toLowerCase().split(/\s+/).filter(Boolean)) }));
  }

  function holds(text, words) { return words.every((word) => text.includes(word)); }

  function cellTable() {
    const table = document.querySelector("#cell-table table");
    if (!table) return;
    const body = table.tBodies[0], rows = [...body.rows].filter((row) => !row.classList.contains("baseline"));
    const last = [...body.rows].filter((row) => row.classList.contains("baseline"));
    const entry = (row, place) => { const text = row.cells[place].textContent, number = parseFloat(text); return text === "–" ? null : place > 0 && !Number.isNaN(number) ? number : text; };
    sortable([...table.tHead.rows[0].cells], (place, sign) => body.append(...rows.sort((a, b) => compare(entry(a, place), entry(b, place), sign)), ...last));
    const shown = element("span", { class: "soft", role: "status" });
    const change = (words) => {
      for (const row of rows) row.hidden = !holds(row.textContent.toLowerCase(), words);
      shown.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} cells`;
    };
    change([]);
    document.getElementById("cell-table").before(element("div", { class: "controls" }, filter("Filter cells", change), shown));
  }

  function trialTable() {
    const place = document.getElementById("trial-table");
    if (!place) return;
    const columns = columnsOf(page.trials.some((t) => t[7] !== null));
    const all = page.trials.map((trial) => ({ trial, text: columns.map((column) => column.of(trial)).join(" ").toLowerCase() }));
    let found = all, first = 0, words = [], by = null;
    const body = element("tbody"), shown = element("span", { class: "soft", role: "status" });
    const headings = columns.map((column) => element("th", { scope: "col" }, column.name));
    const table = element("table", {}, element("thead", {}, element("tr", {}, ...headings)), body);
    const [back, next] = [button("Previous", () => turn(-PAGE)), button("Next", () => turn(PAGE))];

    function turn(step) { first = Math.max(0, first + step); draw(); }

    function value(column, trial) {
      const entry = column.of(trial);
      if (column.run && entry !== null && page.runs) return element("a", { href: page.runs + encodeURIComponent(entry) }, entry.slice(0, 8));
      if (column.run) return element("code", {}, entry ?? "–");
      return typeof entry === "number" ? digits(entry) : entry ?? "–";
    }

    function line({ trial }) {
      const row = element("tr", {}, ...columns.map((column, i) => element(i ? "td" : "th", i ? {} : { scope: "row" }, value(column, trial))));
      row.classList.add(`state-${trial[2]}`);
      return row;
    }

    function refresh() {
      found = all.filter((one) => holds(one.text, words));
      if (by) found = found.slice().sort((a, b) => compare(columns[by[0]].of(a.trial), columns[by[0]].of(b.trial), by[1]));
      first = 0;
      draw();
    }

    function draw() {
      body.replaceChildren(...found.slice(first, first + PAGE).map(line));
      const end = Math.min(first + PAGE, found.length);
      shown.textContent = found.length ? `${first + 1} to ${end} of ${found.length} trials` : "no trial";
      back.disabled = first === 0;
      next.disabled = end >= found.length;
    }

    sortable(headings, (place_, sign) => { by = [place_, sign]; refresh(); });
    place.append(element("div", { class: "controls" }, filter("Filter trials", (typed) => { words = typed; refresh(); }), shown, back, next),
      element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Trial table" }, table));
    draw();
  }

  cellTable();
  trialTable();
})();
