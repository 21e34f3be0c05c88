// Draws each <figure data-chart> with uPlot, from the figures in its own table. Without it, the table is open.
"use strict";

// A column's header says how it is drawn: data-series (area, line, bars, stack, low, high), data-tone (a chart colour),
// data-unit (count, usd, ms). Cells carry their value in data-v, and each row its moment (Unix seconds) in data-x.
const dashes = [[], [6, 4], [2, 3], [8, 3, 2, 3]];
const charts = new Map();

const numberFormats = {
  count: (value) => compactNumber(value),
  usd: (value) => "$" + (Math.abs(value) >= 1 || !value ? compactNumber(value) : String(+value.toPrecision(3))),
  ms: (value) => (value < 1000 ? `${Math.round(value)} ms` : `${+(value / 1000).toPrecision(3)} s`),
};

function compactNumber(value) {
  return new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }).format(value);
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

function draw(figure) {
  const { x, labels, columns } = readTable(figure);
  const plot = figure.querySelector(".chart-plot");
  const series = seriesOf(columns);
  const unit = series[0].unit;
  const step = x.length > 1 ? x[1] - x[0] : 3600;
  const line = (column, at) => {
    const stroke = colour(column.tone);
    const bars = column.kind === "bars" || column.kind === "stack";
    return {
      label: column.title,
      scale: column.unit === unit ? "y" : "y2",
      stroke: bars && column.kind === "stack" ? undefined : stroke,
      width: bars ? 0 : column.kind === "low" || column.kind === "high" ? 1 : 2,
      fill: column.kind === "stack" ? hatched(column.tone, columns.indexOf(column)) : column.kind === "bars" ? hatched(column.tone, 1) : column.kind === "area" ? stroke.replace("rgb(", "rgba(").replace(")", ", 0.13)") : undefined,
      dash: column.kind === "line" ? dashes[at % dashes.length] : column.kind === "low" || column.kind === "high" ? [3, 3] : undefined,
      paths: bars ? uPlot.paths.bars({ size: [0.72, 42], align: 1 }) : undefined,
      points: { show: x.length < 3 && !bars, size: 6 },
      spanGaps: false,
    };
  };
  const muted = colour("axis");
  const grid = colour("grid");
  const axis = (scale, axisUnit, side) => ({
    scale,
    side,
    stroke: muted,
    grid: { show: side === 3, stroke: grid, width: 1 },
    ticks: { show: false },
    size: 56,
    font: "11px system-ui, sans-serif",
    values: (_, values) => values.map((value) => numberFormats[axisUnit](value)),
  });
  const others = series.find((column) => column.unit !== unit);
  const zone = figure.dataset.zone;
  const day = new Intl.DateTimeFormat("en-GB", x[x.length - 1] - x[0] <= 26 * 3600 ? { hour: "2-digit", minute: "2-digit", timeZone: zone } : { day: "numeric", month: "short", timeZone: zone });
  const low = series.findIndex((column) => column.kind === "low") + 1;
  const high = series.findIndex((column) => column.kind === "high") + 1;
  const withBars = series.some((column) => column.kind === "bars" || column.kind === "stack");
  const options = {
    width: plot.clientWidth,
    height: Number(figure.dataset.height) || 240,
    legend: { show: false },
    padding: [10, others ? 0 : 12, 0, 0],
    cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
    bands: low && high ? [{ series: [high, low], fill: colour(series[low - 1].tone).replace("rgb(", "rgba(").replace(")", ", 0.14)") }] : [],
    scales: {
      x: { time: true, range: (_, least, most) => [least, most + (withBars ? step : 0)] },
      y: { range: (_, least, most) => [Math.min(0, least ?? 0), (most || 1) * 1.08] },
      y2: { range: (_, least, most) => [Math.min(0, least ?? 0), (most || 1) * 1.35] },
    },
    axes: [
      { stroke: muted, grid: { show: false }, ticks: { show: false }, font: "11px system-ui, sans-serif", size: 28, splits: (_, __, least, most) => xSplits(x, day, plot.clientWidth, least, most), values: (_, values) => values.map((value) => day.format(value * 1000)) },
      axis("y", unit, 3),
      ...(others ? [axis("y2", others.unit, 1)] : []),
    ],
    series: [{}, ...series.map(line)],
    hooks: { setCursor: [(u) => showAt(figure, u.cursor.idx, labels, columns)] },
  };
  plot.replaceChildren();
  charts.get(figure)?.destroy();
  charts.set(figure, new uPlot(options, [x, ...series.map((column) => column.data || column.values)], plot));
}

// Where an axis is labelled: no label twice, and none so close that they touch.
function xSplits(x, format, width, least, most) {
  const labels = x.map((value) => format.format(value * 1000));
  const firsts = x.filter((_, at) => labels[at] !== labels[at - 1]);
  const every = Math.max(1, Math.ceil(firsts.length / Math.max(2, Math.floor((width - 80) / 72))));
  return firsts.filter((value, at) => at % every === 0 && value >= least && value <= most);
}

// ── What is under the pointer, or where the arrow keys are, in words ───────────────────────────────────
function showAt(figure, at, labels, columns) {
  const words = figure.querySelector(".chart-readout");
  if (at === null || at === undefined || labels[at] === undefined) {
    words.textContent = words.dataset.rest || "";
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
