// What all interactive parts share: the data of the page, elements, numbers, the tooltip, keys, colours.
"use strict";
const page = JSON.parse(document.getElementById("page-data").textContent);
const SVG = "http://www.w3.org/2000/svg";
// Cividis (Nunez, Anderton and Renslow, 2018): even in lightness, and the same to colour-blind readers.
const CIVIDIS = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"];
const DASHES = ["", "6 3", "2 2.5", "8 3 2 3"];

// Return a new element with attributes and children; text becomes a text node, never markup.
function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function shape(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

// Return a number with four digits, as the tables of the page have it.
function digits(value) {
  if (value === null || value === undefined) return "–";
  if (value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e7)) return value.toExponential(3);
  return String(Number(value.toPrecision(4)));
}

function interval([mean, low, high]) {
  return low === null ? digits(mean) : `${digits(mean)} [${digits(low)}, ${digits(high)}]`;
}

function counted([, diverged, collapsed, pruned, other]) {
  const named = [[diverged, "diverged"], [collapsed, "collapsed"], [pruned, "pruned"], [other, "not complete"]];
  return named.filter(([n]) => n).map(([n, word]) => `${n} ${word}`);
}

// Return one cell and one metric in words: what the tooltip shows and a screen reader says.
function told(cell, metric) {
  const value = cell.values[metric], name = page.metrics[metric].name;
  const lines = [cell.label];
  lines.push(value === null ? `${name}: no value` : `${name}: ${interval(value)}`);
  if (value !== null) lines.push(`n = ${value[3]}${value[1] === null ? ", no interval" : ", the cell's own 95 % interval"}`);
  return [...lines, ...counted(cell.counts)];
}

const tip = element("div", { id: "tip", role: "tooltip", hidden: true });
document.body.append(tip);

function showTip(target, lines) {
  tip.replaceChildren(element("strong", {}, lines[0]), ...lines.slice(1).map((line) => element("span", {}, line)));
  tip.hidden = false;
  const box = target.getBoundingClientRect(), own = tip.getBoundingClientRect();
  const room = document.documentElement.clientWidth - own.width - 8;
  const left = Math.max(8, Math.min(box.left + box.width / 2 - own.width / 2, room));
  const above = box.top - own.height - 8;
  tip.style.left = `${left + scrollX}px`;
  tip.style.top = `${(above > 4 ? above : box.bottom + 8) + scrollY}px`;
}

function hideTip() { tip.hidden = true; }
addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });

// Let an element tell its lines while the pointer is over it or it has the focus.
function telling(made, lines) {
  const show = () => showTip(made, lines());
  for (const event of ["mouseenter", "focus"]) made.addEventListener(event, show);
  for (const event of ["mouseleave", "blur"]) made.addEventListener(event, hideTip);
  return made;
}

// One stop of the tab key for many elements; arrows go from one to the next, ``across`` of them to a row.
function roving(items, across = 1) {
  items.forEach((item, place) => {
    item.setAttribute("tabindex", place === 0 ? "0" : "-1");
    item.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across }[event.key];
      const next = event.key === "Home" ? items[0] : event.key === "End" ? items.at(-1) : items[place + step];
      if (step === undefined && event.key !== "Home" && event.key !== "End") return;
      event.preventDefault();
      if (!next) return;
      item.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    });
  });
}

// Return a labelled menu of metrics.
function menu(label, names, change) {
  const select = element("select", { onchange: () => change(Number(select.value)) });
  names.forEach((name, place) => select.append(element("option", { value: place }, name)));
  return element("label", { class: "control" }, `${label} `, select);
}

function button(text, press, label = null) {
  return element("button", { type: "button", "aria-label": label, onclick: press }, text);
}

// Return a scale from values to pixels with its ticks, logarithmic where it is asked for and possible.
function scale([low, high], [from, to], log = false) {
  const logs = log && low > 0, f = logs ? Math.log10 : (x) => x;
  let [a, b] = [f(low), f(high)];
  if (!(b > a)) { a -= 0.5; b += 0.5; }
  const at = (value) => from + ((f(value) - a) / (b - a)) * (to - from);
  at.ticks = logs ? logTicks(a, b) : linearTicks(a, b);
  at.back = (pixel) => { const x = a + ((pixel - from) / (to - from)) * (b - a); return logs ? 10 ** x : x; };
  return at;
}

function linearTicks(a, b) {
  const raw = (b - a) / 4, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const ticks = [];
  for (let k = Math.ceil(a / step); k * step <= b + 1e-12; k++) ticks.push(Number((k * step).toPrecision(12)));
  return ticks;
}

function logTicks(a, b) {
  const ticks = [], every = Math.max(1, Math.ceil((b - a) / 5));
  for (let p = Math.floor(a); p <= b; p += every)
    for (const m of b - a > 1.5 ? [1] : b - a > 0.6 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8])
      if (Math.log10(m) + p >= a && Math.log10(m) + p <= b) ticks.push(m * 10 ** p);
  return ticks.length > 1 ? ticks : linearTicks(10 ** a, 10 ** b);
}

function extent(values, pad = 0) {
  const known = values.filter((value) => value !== null && Number.isFinite(value));
  if (!known.length) return [0, 1];
  const [low, high] = [Math.min(...known), Math.max(...known)];
  return [low - pad * (high - low), high + pad * (high - low)];
}

// Return the share of the way from the worst value to the best one, for colours.
function goodness(value, values, metric) {
  const log = metric.positive && Math.min(...values) > 0, f = log ? Math.log : (x) => x;
  const [low, high] = extent(values).map(f);
  const share = high > low ? (f(value) - low) / (high - low) : 1;
  return metric.mode === "min" ? 1 - share : share;
}

function heat(share) {
  const x = Math.max(0, Math.min(1, share)) * (CIVIDIS.length - 1), i = Math.min(CIVIDIS.length - 2, Math.floor(x));
  const channel = (hex, k) => parseInt(hex.slice(1 + 2 * k, 3 + 2 * k), 16);
  return [0, 1, 2].map((k) => channel(CIVIDIS[i], k) + (x - i) * (channel(CIVIDIS[i + 1], k) - channel(CIVIDIS[i], k)));
}

function rgb(channels) { return `rgb(${channels.map(Math.round).join(",")})`; }

// Black or white, whichever contrasts more (WCAG 2 relative luminance).
function ink(channels) {
  const [r, g, b] = channels.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}

function colour(place) { return `var(--c${place % 8})`; }

// Return the frame of a plot: gridlines, ticks and names of both axes.
function frame(box, x, y, [xName, yName]) {
  const group = shape("g", { class: "frame" });
  for (const tick of y.ticks) {
    group.append(shape("line", { x1: box.left, x2: box.right, y1: y(tick), y2: y(tick) }));
    group.append(shape("text", { x: box.left - 6, y: y(tick) + 4, "text-anchor": "end" }, digits(tick)));
  }
  for (const tick of x.ticks) group.append(shape("text", { x: x(tick), y: box.bottom + 18, "text-anchor": "middle" }, digits(tick)));
  group.append(shape("line", { class: "axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }));
  group.append(shape("text", { x: (box.left + box.right) / 2, y: box.bottom + 36, "text-anchor": "middle" }, xName));
  group.append(shape("text", { x: 6, y: 13 }, yName));
  return group;
}

function named(metric) {
  const direction = { min: " (lower is better)", max: " (higher is better)" }[metric.mode] ?? "";
  return metric.name + (metric.unit ? ` [${metric.unit}]` : "") + direction;
}

// Light or dark: as the system has it until the reader chooses.
function themes() {
  const dark = () => getComputedStyle(document.documentElement).colorScheme === "dark" ||
    (document.documentElement.style.colorScheme === "" && matchMedia("(prefers-color-scheme: dark)").matches);
  const choose = button("", () => { document.documentElement.style.colorScheme = dark() ? "light" : "dark"; name(); });
  const name = () => { choose.textContent = dark() ? "Light page" : "Dark page"; };
  choose.id = "theme";
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  name();
  document.getElementById("tools").append(choose, button("Print", () => print()));
}

// Static figures are folded where an interactive part shows the same, and unfolded for the printer.
function printing() {
  for (const folded of document.querySelectorAll("details.static")) folded.open = false;
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const folded of opened) folded.open = true;
  });
  addEventListener("afterprint", () => { for (const folded of opened) folded.open = false; });
}

document.documentElement.classList.add("js");
themes();
printing();
