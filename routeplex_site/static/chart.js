// Draws each <figure data-chart> with uPlot, from the figures in its own table. Without it, the table is open.
"use strict";

// A column's header says how it is drawn: data-series (area, line, dashes, bars, stack, low, high), data-tone (a chart
// colour), data-unit (count, usd, ms). Cells carry their value in data-v, and each row its moment (Unix seconds) in data-x.
const charts = new Map();
const steps = [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10]; // between labels, times a power of ten
const font = "11px system-ui, sans-serif";

// How an axis from 0 to `most` is labelled: all labels in one unit and with as many decimals as their step needs.
const labellers = {
  count: (step, most) => (value) => (most < 10_000 ? value.toLocaleString("en") : compactNumber(value)),
  usd: (step, most) => (value) => (value ? "$" + (most < 10_000 ? value.toFixed(decimals(step) === 1 ? 2 : decimals(step)) : compactNumber(value)) : "$0"),
  ms: (step, most) => (value) => (!value ? "0" : most < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(decimals(step / 1000))} s`),
};

function compactNumber(value) {
  return new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(value);
}

function decimals(step) {
  for (let places = 0; places < 9; places++) if (Math.abs(step * 10 ** places - Math.round(step * 10 ** places)) < 1e-6) return places;
  return 9;
}

// The gridlines, of which the highest is above all values: as many as leave the least room unused.
function gridlines(most, unit, tall) {
  const wholes = unit === "count";
  const choices = (tall ? [4, 5, 3] : [4, 3, 2]).map((parts) => {
    const least = Math.max(most / parts, wholes ? 1 : 1e-9);
    const power = 10 ** Math.floor(Math.log10(least) + 1e-9);
    const step = steps.map((times) => times * power).find((value) => value >= least * (1 - 1e-9) && !(wholes && value % 1));
    return { parts, step };
  });
  const { parts, step } = choices.reduce((best, choice) => (choice.parts * choice.step < best.parts * best.step * 0.95 ? choice : best));
  return Array.from({ length: parts + 1 }, (_, at) => +(at * step).toPrecision(12));
}

function colour(tone) {
  const probe = document.createElement("span");
  probe.className = `tone-${tone}`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

// Series that lie on each other differ in their hatching too, so that they can be told apart without colour.
function hatched(tone, at) {
  const size = 8;
  const tile = Object.assign(document.createElement("canvas"), { width: size, height: size });
  const context = tile.getContext("2d");
  context.fillStyle = colour("surface"); // opaque: other layers lie below
  context.fillRect(0, 0, size, size);
  context.fillStyle = context.strokeStyle = colour(tone);
  context.globalAlpha = at % 2 ? 0.55 : 1;
  context.fillRect(0, 0, size, size);
  context.globalAlpha = 1;
  context.lineWidth = 2;
  context.beginPath();
  if (at % 4 === 1) [[-2, 2, 2, -2], [0, 8, 8, 0], [6, 10, 10, 6]].forEach((line) => (context.moveTo(line[0], line[1]), context.lineTo(line[2], line[3])));
  if (at % 4 === 3) (context.moveTo(0, 4), context.lineTo(8, 4));
  context.stroke();
  return context.createPattern(tile, "repeat");
}

function readTable(figure) {
  const table = figure.querySelector("table");
  const heads = [...table.querySelectorAll("thead th")].slice(1);
  const rows = [...table.querySelectorAll("tbody tr")];
  const columns = heads.map((head, at) => ({
    title: head.textContent.trim(),
    kind: head.dataset.series,
    tone: head.dataset.tone || "1",
    unit: head.dataset.unit || "count",
    values: rows.map((row) => (row.cells[at + 1].dataset.v === "" ? null : Number(row.cells[at + 1].dataset.v))),
    texts: rows.map((row) => row.cells[at + 1].textContent.trim()),
  }));
  return { x: rows.map((row) => Number(row.dataset.x)), labels: rows.map((row) => row.cells[0].textContent.trim()), columns };
}

function seriesOf(columns) {
  const drawn = columns.filter((column) => column.kind);
  const stacked = drawn.filter((column) => column.kind === "stack");
  let below = null;
  for (const column of stacked) {
    column.data = column.values.map((value, at) => (value || 0) + (below ? below[at] : 0));
    below = column.data;
  }
  return [...stacked.reverse(), ...drawn.filter((column) => column.kind !== "stack")];
}

// How a series looks, in the plot and in the legend alike.
function lookOf(column, at) {
  const tone = colour(column.tone);
  const faint = tone.replace("rgb(", "rgba(").replace(")", ", 0.15)");
  if (column.kind === "stack") return { fill: hatched(column.tone, at) };
  if (column.kind === "bars") return { fill: hatched(column.tone, at) };
  if (column.kind === "low" || column.kind === "high") return { stroke: tone, width: 0, band: faint };
  if (column.kind === "dashes") return { stroke: tone, width: 2, dash: [6, 4] };
  return { stroke: tone, width: 2, fill: column.kind === "area" ? faint : undefined };
}

function drawSwatch(canvas, look) {
  const scale = devicePixelRatio || 1;
  const [across, up] = [22, 12];
  Object.assign(canvas, { width: across * scale, height: up * scale });
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  context.fillStyle = look.band || look.fill || "transparent";
  context.fillRect(0, look.width ? up / 2 : 0, across, up);
  if (!look.width) return;
  Object.assign(context, { strokeStyle: look.stroke, lineWidth: look.width });
  context.setLineDash(look.dash || []);
  context.beginPath();
  context.moveTo(0, up / 2);
  context.lineTo(across, up / 2);
  context.stroke();
}

// A value with a gap on both sides has no line: it gets a point.
function lonePoints(u, at) {
  const values = u.data[at];
  return values.flatMap((value, x) => (value != null && values[x - 1] == null && values[x + 1] == null ? [x] : []));
}

// A band between two gaps has no width: it gets a bar.
function drawLoneBand(u, low, high, fill) {
  const width = 14 * devicePixelRatio;
  for (const at of low && high ? lonePoints(u, high) : []) {
    const [x, top, bottom] = [u.valToPos(u.data[0][at], "x", true), u.valToPos(u.data[high][at], "y", true), u.valToPos(u.data[low][at], "y", true)];
    u.ctx.fillStyle = fill;
    u.ctx.fillRect(x - width / 2, top, width, bottom - top);
  }
}

function draw(figure) {
  const { x, labels, columns } = readTable(figure);
  const plot = figure.querySelector(".chart-plot");
  const series = seriesOf(columns);
  const looks = new Map(series.map((column) => [column, lookOf(column, columns.indexOf(column))]));
  for (const key of figure.querySelectorAll(".chart-keys > li")) drawSwatch(key.querySelector("canvas"), looks.get(columns[key.dataset.column]));
  const line = (column) => {
    const look = looks.get(column);
    const bars = column.kind === "bars" || column.kind === "stack";
    return {
      label: column.title,
      stroke: look.stroke,
      width: look.width || 0,
      fill: look.fill,
      dash: look.dash,
      paths: bars ? uPlot.paths.bars({ size: [0.72, 42] }) : undefined,
      points: bars || look.band ? { show: false } : { show: false, filter: lonePoints, size: 7, width: 2, stroke: look.stroke, fill: look.dash ? colour("surface") : look.stroke },
      spanGaps: false,
    };
  };
  const data = series.map((column) => column.data || column.values);
  const height = Number(figure.dataset.height) || 240;
  const { unit } = series[0];
  const lines = gridlines(Math.max(...data.flat()) || 1, unit, height >= 200);
  const written = labellers[unit](lines[1], lines.at(-1));
  const half = Math.min(...x.slice(1).map((value, at) => value - x[at]), 86_400) / 2; // of a part; one part: a day's
  const muted = colour("axis");
  const day = xFormat(x, figure.dataset.zone);
  const low = series.findIndex((column) => column.kind === "low") + 1;
  const high = series.findIndex((column) => column.kind === "high") + 1;
  const options = {
    width: plot.clientWidth,
    height,
    legend: { show: false },
    padding: [8, 20, 0, 0],
    cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
    bands: low && high ? [{ series: [high, low], fill: looks.get(series[low - 1]).band }] : [],
    scales: { x: { time: true, range: () => [x[0] - half, x.at(-1) + half] }, y: { range: () => [0, lines.at(-1)] } },
    axes: [
      { stroke: muted, grid: { show: false }, ticks: { show: false }, font, size: 30, gap: 10, splits: () => xSplits(x, day, plot.clientWidth), values: (_, values) => values.map((value) => day.format(value * 1000)) },
      { stroke: muted, grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false }, font, size: 14 + 6.5 * Math.max(...lines.map((value) => written(value).length)), gap: 8, splits: () => lines, values: (_, values) => values.map(written) },
    ],
    series: [{}, ...series.map(line)],
    hooks: { drawAxes: [(u) => drawLoneBand(u, low, high, looks.get(series[low - 1])?.band)], setCursor: [(u) => showAt(figure, u.cursor.idx, labels, columns)] },
  };
  plot.replaceChildren();
  charts.get(figure)?.destroy();
  charts.set(figure, new uPlot(options, [x, ...data], plot));
}

function xFormat(x, timeZone) {
  const withinADay = x.at(-1) - x[0] <= 26 * 3600;
  return new Intl.DateTimeFormat("en-GB", withinADay ? { hour: "2-digit", minute: "2-digit", timeZone } : { day: "numeric", month: "short", timeZone });
}

// Where the axis is labelled: the last part always, no label twice, and none so close that they touch.
function xSplits(x, format, width) {
  const labels = x.map((value) => format.format(value * 1000));
  const firsts = x.filter((_, at) => labels[at] !== labels[at - 1]);
  const every = Math.max(1, Math.ceil(firsts.length / Math.max(2, Math.floor((width - 80) / 64))));
  return firsts.filter((_, at) => (firsts.length - 1 - at) % every === 0);
}

// ── What is under the pointer, or where the arrow keys are, in words ───────────────────────────────────
function showAt(figure, at, labels, columns) {
  const words = figure.querySelector(".chart-readout");
  if (at === null || at === undefined || labels[at] === undefined) {
    words.textContent = "";
    return;
  }
  const parts = columns.filter((column) => column.kind && (column.kind !== "stack" || column.values[at])).map((column) => `${column.title} ${column.texts[at]}`);
  words.textContent = `${labels[at]}: ${parts.join(" · ") || "nothing"}`;
}

document.addEventListener("keydown", (event) => {
  const figure = event.target.closest?.("[data-chart]");
  const chart = figure && event.target.matches(".chart-plot") && charts.get(figure);
  if (!chart) return;
  const last = chart.data[0].length - 1;
  const now = chart.cursor.idx ?? (event.key === "ArrowLeft" ? last + 1 : -1);
  const next = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: last }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  const at = Math.min(Math.max(next, 0), last);
  chart.setCursor({ left: chart.valToPos(chart.data[0][at], "x"), top: 1 }, true);
});

function drawAll() {
  for (const figure of document.querySelectorAll("[data-chart]")) if (figure.isConnected) draw(figure);
  for (const figure of charts.keys()) if (!figure.isConnected) charts.delete(figure);
}

let width = 0;
new ResizeObserver(() => {
  if (document.body.clientWidth !== width) {
    width = document.body.clientWidth;
    drawAll();
  }
}).observe(document.body);
new MutationObserver(drawAll).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
document.addEventListener("htmx:afterSettle", drawAll);
