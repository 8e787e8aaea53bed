// Line and bar charts on a canvas: crisp at any pixel ratio, themed by the style sheet, with a crosshair that reads values.

import * as f from "./format.js";
import { h } from "./ui.js";

export function colors(element = document.documentElement) {
  const style = getComputedStyle(element);
  const read = (name) => style.getPropertyValue(name).trim();
  return {
    ink: read("--ink"), dim: read("--dim"), line: read("--line"), grid: read("--grid"), panel: read("--panel"), bg: read("--bg"),
    up: read("--up"), down: read("--down"), accent: read("--accent"), warn: read("--warn"), soft: read("--soft"), poc: read("--poc"),
    font: "11px " + read("--mono"), mono: read("--mono"),
  };
}

export function ticksOf(low, high, most = 5) {
  if (!(high > low)) return [low];
  const raw = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= raw);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-9; value += step) found.push(value);
  return found;
}

export function fit(canvas) {
  const ratio = Math.min(3, devicePixelRatio || 1);
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { pen, width, height };
}

// series: [{name, x: [ms], y: [], color, fill, step, dash}], zone for the axis, format for values.
export function lineChart({ label, zone, format = f.money, height = 220, marks = [], onPick } = {}) {
  const canvas = h("canvas", { role: "img", "aria-label": label, tabindex: "0" });
  const readout = h("div.readout", { "aria-live": "off" });
  const element = h("div.chart", { style: { height: `${height}px` } }, canvas, readout);
  let series = [];
  let spots = marks;
  let area = zone;
  let at = null;
  let pending = false;
  const pad = { left: 8, right: 70, top: 10, bottom: 20 };

  function draw() {
    pending = false;
    if (!canvas.isConnected || !canvas.clientWidth) return;
    const { pen, width, height: tall } = fit(canvas);
    const paint = colors();
    pen.clearRect(0, 0, width, tall);
    pen.font = paint.font;
    const drawn = series.filter((one) => one.x.length);
    if (!drawn.length) return;
    let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const one of drawn) {
      x0 = Math.min(x0, one.x[0]);
      x1 = Math.max(x1, one.x.at(-1));
      for (const value of one.y) if (value !== null && Number.isFinite(value)) { y0 = Math.min(y0, value); y1 = Math.max(y1, value); }
    }
    if (!(y1 > y0)) { const room = Math.max(1, Math.abs(y0) * 0.001); y0 -= room; y1 += room; }
    const extra = (y1 - y0) * 0.07;
    y0 -= extra; y1 += extra;
    if (x1 === x0) x1 = x0 + 60000;
    const toX = (value) => pad.left + (value - x0) / (x1 - x0) * (width - pad.left - pad.right);
    const toY = (value) => pad.top + (y1 - value) / (y1 - y0) * (tall - pad.top - pad.bottom);
    pen.strokeStyle = paint.grid;
    pen.fillStyle = paint.dim;
    pen.lineWidth = 1;
    pen.textBaseline = "middle";
    const levels = ticksOf(y0, y1, Math.max(2, Math.floor(tall / 55)));
    pad.right = Math.max(70, ...levels.map((value) => Math.ceil(pen.measureText(format(value)).width) + 14));
    for (const value of levels) {
      const y = Math.round(toY(value)) + 0.5;
      pen.beginPath(); pen.moveTo(pad.left, y); pen.lineTo(width - pad.right, y); pen.stroke();
      pen.fillText(format(value), width - pad.right + 6, y);
    }
    pen.textBaseline = "alphabetic";
    const many = Math.max(2, Math.floor(width / 150));
    const isLong = x1 - x0 > 36 * 3600e3;
    for (let place = 0; place <= many; place += 1) {
      const value = x0 + (x1 - x0) * place / many;
      pen.textAlign = place === 0 ? "left" : place === many ? "right" : "center";
      pen.fillText(isLong ? f.day(value, area) : f.shortClock(value, area), toX(value), tall - 5);
    }
    pen.textAlign = "left";
    for (const one of drawn) {
      pen.strokeStyle = paint[one.color] ?? one.color;
      pen.lineWidth = one.width ?? 1.6;
      pen.setLineDash(one.dash ?? []);
      pen.beginPath();
      let last = null;
      one.x.forEach((value, place) => {
        const y = one.y[place];
        if (y === null || !Number.isFinite(y)) { last = null; return; }
        const [px, py] = [toX(value), toY(y)];
        if (last === null) pen.moveTo(px, py);
        else { if (one.step) pen.lineTo(px, last); pen.lineTo(px, py); }
        last = py;
      });
      pen.stroke();
      pen.setLineDash([]);
      if (one.fill) {
        const base = one.fill === true ? toY(Math.max(y0, Math.min(y1, one.base ?? y0))) : toY(one.fill);
        pen.lineTo(toX(one.x.at(-1)), base); pen.lineTo(toX(one.x[0]), base); pen.closePath();
        pen.globalAlpha = 0.1; pen.fillStyle = paint[one.color] ?? one.color; pen.fill(); pen.globalAlpha = 1;
      }
    }
    for (const spot of spots) {
      if (spot.x < x0 || spot.x > x1 || !known(spot.y)) continue;
      const [px, py] = [toX(spot.x), toY(spot.y)];
      pen.fillStyle = paint[spot.color] ?? spot.color;
      pen.strokeStyle = paint.panel;
      pen.lineWidth = 1.5;
      pen.beginPath();
      if (spot.shape === "up") { pen.moveTo(px, py - 1); pen.lineTo(px - 5, py + 8); pen.lineTo(px + 5, py + 8); pen.closePath(); }
      else if (spot.shape === "down") { pen.moveTo(px, py + 1); pen.lineTo(px - 5, py - 8); pen.lineTo(px + 5, py - 8); pen.closePath(); }
      else pen.arc(px, py, 3.5, 0, 7);
      pen.fill(); pen.stroke();
      if (spot.text) {
        const isAtEnd = px + 8 + pen.measureText(spot.text).width > width - pad.right;
        pen.fillStyle = paint.ink;
        pen.textAlign = isAtEnd ? "right" : "left";
        pen.fillText(spot.text, px + (isAtEnd ? -8 : 8), py + 4);
        pen.textAlign = "left";
      }
    }
    for (const one of lines) {
      const y = toY(one.y);
      if (y < 0 || y > tall) continue;
      pen.strokeStyle = paint[one.color] ?? one.color;
      pen.setLineDash([4, 4]); pen.beginPath(); pen.moveTo(pad.left, y); pen.lineTo(width - pad.right, y); pen.stroke(); pen.setLineDash([]);
      pen.fillStyle = paint[one.color] ?? one.color;
      pen.fillText(one.text, pad.left + 4, y - 4);
    }
    if (at !== null) {
      const wanted = x0 + (Math.max(pad.left, Math.min(width - pad.right, at)) - pad.left) / (width - pad.left - pad.right) * (x1 - x0);
      const place = nearest(drawn[0].x, wanted);
      const x = toX(drawn[0].x[place]);
      pen.strokeStyle = paint.dim; pen.lineWidth = 1; pen.setLineDash([3, 3]);
      pen.beginPath(); pen.moveTo(x, pad.top); pen.lineTo(x, tall - pad.bottom); pen.stroke(); pen.setLineDash([]);
      const parts = [f.moment(drawn[0].x[place], area)];
      for (const one of drawn) {
        const own = nearest(one.x, drawn[0].x[place]);
        if (known(one.y[own])) {
          parts.push(`${one.name} ${format(one.y[own])}`);
          pen.fillStyle = paint[one.color] ?? one.color; pen.beginPath(); pen.arc(x, toY(one.y[own]), 3, 0, 7); pen.fill();
        }
      }
      readout.textContent = parts.join("   ");
      if (onPick) onPick(drawn[0].x[place]);
    } else readout.textContent = "";
  }

  let lines = [];
  function later() { if (!pending) { pending = true; requestAnimationFrame(draw); } }
  canvas.addEventListener("pointermove", (event) => { at = event.offsetX; later(); });
  canvas.addEventListener("pointerleave", () => { at = null; later(); });
  canvas.addEventListener("blur", () => { at = null; later(); });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -8, ArrowRight: 8 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    at = (at ?? canvas.clientWidth / 2) + step;
    later();
  });
  new ResizeObserver(later).observe(canvas);
  addEventListener("sovereign:theme", later);
  return {
    element,
    set(next, options = {}) { series = next; if (options.zone) area = options.zone; if (options.marks) spots = options.marks; if (options.lines) lines = options.lines; later(); },
    draw: later,
  };
}

function known(value) { return value !== null && value !== undefined && Number.isFinite(value); }

export function nearest(list, value) {
  let [low, high] = [0, list.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (list[middle] < value) low = middle;
    else high = middle;
  }
  return high < 0 ? 0 : Math.abs(list[low] - value) <= Math.abs(list[high] - value) ? low : high;
}

// A histogram of numbers; bars right of zero cost.
export function histogram({ label, format = (value) => f.fixed(value, 1), height = 150, unit = "", isCost = true } = {}) {
  const canvas = h("canvas", { role: "img", "aria-label": label });
  const element = h("div.chart", { style: { height: `${height}px` } }, canvas);
  let values = [];
  function draw() {
    if (!canvas.isConnected || !canvas.clientWidth) return;
    const { pen, width, height: tall } = fit(canvas);
    const paint = colors();
    pen.clearRect(0, 0, width, tall);
    pen.font = paint.font;
    if (!values.length) return;
    let [low, high] = [Math.min(...values), Math.max(...values)];
    if (low === high) { low -= 1; high += 1; }
    const bins = Math.min(30, Math.max(5, Math.ceil(Math.sqrt(values.length) * 1.5)));
    const counts = new Array(bins).fill(0);
    for (const value of values) counts[Math.min(bins - 1, Math.floor((value - low) / (high - low) * bins))] += 1;
    const most = Math.max(...counts);
    const [base, wide] = [tall - 18, (width - 16) / bins];
    counts.forEach((count, place) => {
      const tallness = count / most * (base - 18);
      const middle = low + (place + 0.5) * (high - low) / bins;
      pen.fillStyle = isCost ? (middle > 0 ? paint.down : paint.up) : paint.accent;
      pen.globalAlpha = 0.85;
      pen.fillRect(8 + place * wide + 1, base - tallness, Math.max(1, wide - 2), tallness);
      pen.globalAlpha = 1;
      if (count && wide > 16) { pen.fillStyle = paint.dim; pen.textAlign = "center"; pen.fillText(String(count), 8 + (place + 0.5) * wide, base - tallness - 4); }
    });
    pen.strokeStyle = paint.line; pen.beginPath(); pen.moveTo(8, base + 0.5); pen.lineTo(width - 8, base + 0.5); pen.stroke();
    pen.fillStyle = paint.dim;
    pen.textAlign = "left"; pen.fillText(format(low), 8, tall - 4);
    pen.textAlign = "right"; pen.fillText(`${format(high)} ${unit}`, width - 8, tall - 4);
    pen.textAlign = "left";
  }
  new ResizeObserver(() => requestAnimationFrame(draw)).observe(canvas);
  addEventListener("sovereign:theme", draw);
  return { element, set(next) { values = next.filter((value) => Number.isFinite(value)); requestAnimationFrame(draw); } };
}
