// Equity and drawdown of runs with Plotly, served from its Python package and loaded when the first figure is asked for.
//
// Live charts stay our own canvases: they are redrawn several times a second. Here one looks closely at what is over: drag to
// zoom in, double-click to zoom out, one line of values for all curves. Plotly's own style sheet is not written into the page,
// which its security policy forbids; what of it is needed is in style.css.

import { colors, lineChart } from "./chart.js";
import * as f from "./format.js";
import { h } from "./ui.js";

const SCRIPT = "/page/vendor/plotly.min.js";
let asked = null;

function library() {
  asked ??= new Promise((resolve, reject) => {
    document.head.append(h("meta", { id: "plotly.js-style-global", class: "no-inline-styles" }));
    // Its maps write a style sheet while the script runs; they get an element that is none.
    const make = document.createElement;
    document.createElement = function createElement(tag, ...rest) { return make.call(this, tag === "style" ? "template" : tag, ...rest); };
    const after = (act) => () => { document.createElement = make; act(); };
    const script = h("script", { src: SCRIPT, onLoad: after(() => resolve(window.Plotly)), onError: after(() => reject(new Error("Plotly could not be loaded"))) });
    document.head.append(script);
  });
  return asked;
}

// Curves on one axis of time where they share some, else of hours since each began.
function axisOf(curves) {
  const isShared = curves.every((one) => curves.every((other) => one.ms[0] <= other.ms.at(-1) && other.ms[0] <= one.ms.at(-1)));
  return isShared ? { type: "date", of: (curve) => curve.ms.map((ms) => f.moment(ms, curve.zone)) } : { type: "linear", title: "hours since the first session opened", of: (curve) => curve.ms.map((ms) => (ms - curve.ms[0]) / 3.6e6) };
}

function figure(curves, paint, width) {
  const axis = axisOf(curves);
  const tones = ["accent", "down", "up", "warn"];
  const data = curves.flatMap((curve, at) => {
    const line = { color: paint[tones[at % tones.length]], width: 1.7, shape: "hv", dash: at ? "dash" : "solid" };
    const x = axis.of(curve);
    const fall = curve.equity.map((value, place) => (curve.high_water_mark[place] > 0 ? 100 * (Math.min(value, curve.high_water_mark[place]) / curve.high_water_mark[place] - 1) : null));
    return [
      { x, y: curve.equity, name: curve.name, type: "scatter", mode: "lines", line, hovertemplate: `${curve.name} %{y:,.2f}<extra></extra>` },
      { x, y: fall, name: `${curve.name} drawdown`, type: "scatter", mode: "lines", yaxis: "y2", line: { ...line, width: 1.2 }, fill: "tozeroy", fillcolor: `${line.color}22`, showlegend: false, hovertemplate: `${curve.name} drawdown %{y:.2f}%<extra></extra>` },
    ];
  });
  const grid = { gridcolor: paint.grid, zerolinecolor: paint.line, linecolor: paint.line, tickfont: { size: 10 } };
  const layout = {
    paper_bgcolor: paint.panel, plot_bgcolor: paint.panel, font: { family: paint.mono, size: 11, color: paint.dim }, height: 330, width,
    margin: { l: 8, r: 64, t: curves.length > 1 ? 26 : 8, b: axis.title ? 40 : 28 }, showlegend: curves.length > 1, legend: { orientation: "h", y: 1.1, x: 0 }, hovermode: "x unified",
    hoverlabel: { bgcolor: paint.panel, bordercolor: paint.line, font: { color: paint.ink, size: 11 } },
    xaxis: { ...grid, type: axis.type, title: axis.title ? { text: axis.title, font: { size: 10 } } : undefined, anchor: "y2", hoverformat: axis.type === "date" ? "%Y-%m-%d %H:%M:%S" : ",.2f" },
    yaxis: { ...grid, side: "right", domain: [0.36, 1], tickformat: ",.0f", nticks: 6 },
    yaxis2: { ...grid, side: "right", domain: [0, 0.28], ticksuffix: "%", nticks: 4, rangemode: "tozero" },
  };
  return [data, layout, { displayModeBar: false, doubleClick: "reset", displaylogo: false, locale: "en-US" }];
}

// curves: [{name, ms, equity, high_water_mark, zone}], at least two points each; `label` says what is shown.
export function equityPlot(curves, { label }) {
  const element = h("div.plot", { role: "img", "aria-label": label });
  let drawn = null;
  const draw = async () => {
    if (!element.isConnected || !element.clientWidth) return;
    let Plotly;
    try { Plotly = await library(); } catch { plain(); return; }
    if (!element.isConnected) { if (drawn) Plotly.purge(element); return; }
    drawn = element.clientWidth;
    const [data, layout, config] = figure(curves, colors(), drawn);
    await Plotly.react(element, data, layout, config);
    element.dataset.drawn = "true";
  };
  // Without the library the figure is drawn as the live ones are.
  const plain = () => {
    const chart = lineChart({ label, height: 220, zone: curves[0].zone });
    element.replaceChildren(chart.element);
    chart.set(curves.map((one, at) => ({ name: one.name, x: one.ms, y: one.equity, color: at ? "down" : "accent", dash: at ? [6, 3] : undefined, step: true })), { zone: curves[0].zone });
  };
  new ResizeObserver(() => { if (element.clientWidth !== drawn) draw(); }).observe(element);
  addEventListener("sovereign:theme", draw);
  return element;
}
