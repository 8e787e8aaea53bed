// What lies around the bars: price axis, volume profile, delta, cumulative delta, times. Each draws its own strip of the canvas.

import * as f from "./format.js";

export const AXIS = 78;
export const PROFILE = 74;
export const DELTA = 46;
export const CVD = 64;
export const TIME = 18;

export function stepOf(tall) {
  for (let power = 1; ; power *= 10) for (const one of [1, 2, 4, 5]) if (one * power * tall >= 34) return one * power;
}

// Volume by price of the visible bars; when these change by a few, only those are added and taken away.
export class Profile {
  constructor() { this.forget(); }

  forget() { this._totals = new Map(); this._range = null; this._version = -1; }

  of(bars, first, last, version) {
    const [a, b] = this._range ?? [0, -1];
    const isNear = this._version === version && this._range && Math.abs(first - a) + Math.abs(last - b) < (b - a + 1) / 2 && first <= b && last >= a;
    if (!isNear) {
      this._totals.clear();
      for (let at = first; at <= last; at += 1) this._add(bars[at], 1);
    } else {
      for (let at = first; at < a; at += 1) this._add(bars[at], 1);
      for (let at = a; at < first; at += 1) this._add(bars[at], -1);
      for (let at = b + 1; at <= last; at += 1) this._add(bars[at], 1);
      for (let at = last + 1; at <= b; at += 1) this._add(bars[at], -1);
    }
    this._range = [first, last];
    this._version = version;
    return this._totals;
  }

  _add(bar, sign) {
    for (const cell of bar.cells) {
      const row = this._totals.get(cell[0]);
      if (!row) this._totals.set(cell[0], [sign * cell[1], sign * cell[2]]);
      else { row[0] += sign * cell[1]; row[1] += sign * cell[2]; }
    }
  }
}

export function drawProfile(pen, chart, paint, totals, wide, tall, below) {
  pen.fillStyle = paint.panel;
  pen.fillRect(wide, 0, PROFILE, tall);
  pen.fillStyle = paint.line;
  pen.fillRect(wide, 0, 1, tall + below);
  let [most, peak] = [1, null];
  for (const [ticks, row] of totals) if (row[0] + row[1] > most) { most = row[0] + row[1]; peak = ticks; }
  const thick = Math.max(1, chart.tall - (chart.tall > 4 ? 1 : 0));
  const [high, low] = [chart.top + 1, chart.top - tall / chart.tall - 1];
  const seen = [];
  for (const [ticks, row] of totals) if (ticks <= high && ticks >= low && row[0] + row[1] > 0) seen.push([chart.y(ticks) - chart.tall / 2, row[0] / most * (PROFILE - 8), row[1] / most * (PROFILE - 8), ticks]);
  const clip = (y) => [Math.max(0, y), Math.min(tall, y + thick) - Math.max(0, y)];
  pen.globalAlpha = 0.5;
  pen.fillStyle = paint.down;
  for (const [y, bid] of seen) { const [at, size] = clip(y); if (size > 0) pen.fillRect(wide + 3, at, bid, size); }
  pen.fillStyle = paint.up;
  for (const [y, bid, ask] of seen) { const [at, size] = clip(y); if (size > 0) pen.fillRect(wide + 3 + bid, at, ask, size); }
  pen.globalAlpha = 1;
  const top = seen.find((one) => one[3] === peak);
  if (!top) return;
  const [at, size] = clip(top[0]);
  if (size <= 0) return;
  pen.fillStyle = paint.down; pen.fillRect(wide + 3, at, top[1], size);
  pen.fillStyle = paint.up; pen.fillRect(wide + 3 + top[1], at, top[2], size);
  pen.strokeStyle = paint.poc; pen.lineWidth = 1.5; pen.strokeRect(wide + 3, at, top[1] + top[2], size);
}

export function drawAxis(pen, chart, paint, width, tall) {
  const left = width - AXIS;
  const step = stepOf(chart.tall);
  pen.font = paint.font;
  pen.fillStyle = paint.dim;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  const last = chart.bars.at(-1);
  const mark = last && last.close !== null ? chart.y(last.close) : null;
  for (let ticks = Math.ceil((chart.top - tall / chart.tall) / step) * step; ticks <= chart.top; ticks += step) {
    const y = chart.y(ticks);
    if (y > 8 && y < tall - 4 && (mark === null || Math.abs(y - mark) > 15)) pen.fillText(f.price(ticks, chart.tick), left + 6, y);
  }
  if (mark !== null && mark > 0 && mark < tall) {
    pen.fillStyle = last.close >= last.open ? paint.up : paint.down;
    pen.fillRect(left, mark - 9, AXIS, 18);
    pen.fillStyle = paint.panel;
    pen.font = `700 ${paint.font}`;
    pen.fillText(f.price(last.close, chart.tick), left + 6, mark + 0.5);
  }
  pen.textBaseline = "alphabetic";
}

export function drawDeltas(pen, chart, paint, first, last, wide, from, side) {
  pen.fillStyle = paint.line;
  pen.fillRect(0, from, side, 1);
  pen.font = paint.font;
  pen.fillStyle = paint.dim;
  pen.fillText("delta", side + 6, from + 16);
  pen.fillText("volume", side + 6, from + 38);
  let most = 1;
  for (let at = first; at <= last; at += 1) most = Math.max(most, Math.abs(chart.bars[at].delta ?? 0));
  const hasText = chart.wide >= 40;
  for (const isUp of [true, false]) {
    pen.fillStyle = isUp ? paint.up : paint.down;
    for (let at = first; at <= last; at += 1) {
      const { delta } = chart.bars[at];
      if (delta === null || (delta >= 0) !== isUp) continue;
      const x = chart.x(at) - chart.wide * 0.46;
      pen.globalAlpha = 0.15 + 0.6 * Math.abs(delta) / most;
      pen.fillRect(Math.max(0, x), from + 2, Math.max(1, Math.min(wide, x + chart.wide * 0.92) - Math.max(0, x)), 20);
    }
  }
  pen.globalAlpha = 1;
  if (!hasText) return;
  pen.save();
  pen.beginPath(); pen.rect(0, from, wide, DELTA); pen.clip();
  pen.textAlign = "center";
  pen.fillStyle = paint.ink;
  for (let at = first; at <= last; at += 1) { const { delta } = chart.bars[at]; if (delta !== null) pen.fillText(`${delta > 0 ? "+" : ""}${f.compact(delta)}`, chart.x(at), from + 16); }
  pen.fillStyle = paint.dim;
  for (let at = first; at <= last; at += 1) if (chart.bars[at].volume !== null) pen.fillText(f.compact(chart.bars[at].volume), chart.x(at), from + 38);
  pen.restore();
  pen.textAlign = "left";
}

export function drawCumulative(pen, chart, paint, first, last, wide, from, side) {
  pen.fillStyle = paint.line;
  pen.fillRect(0, from, side, 1);
  let [low, high] = [Infinity, -Infinity];
  for (let at = first; at <= last; at += 1) { const value = chart.bars[at].cumulative_delta; if (value !== null) { low = Math.min(low, value); high = Math.max(high, value); } }
  if (low > high) return;
  if (low === high) { low -= 1; high += 1; }
  const toY = (value) => from + 8 + (high - value) / (high - low) * (CVD - 16);
  pen.save();
  pen.beginPath(); pen.rect(0, from, wide, CVD); pen.clip();
  pen.strokeStyle = paint.accent;
  pen.lineWidth = 1.5;
  pen.beginPath();
  let isOpen = false;
  for (let at = first; at <= last; at += 1) { const value = chart.bars[at].cumulative_delta; if (value === null) continue; if (isOpen) pen.lineTo(chart.x(at), toY(value)); else pen.moveTo(chart.x(at), toY(value)); isOpen = true; }
  pen.stroke();
  if (low < 0 && high > 0) { pen.fillStyle = paint.soft; pen.fillRect(0, toY(0), wide, 1); }
  pen.restore();
  pen.font = paint.font;
  pen.fillStyle = paint.dim;
  pen.fillText("cum. delta", side + 6, from + 14);
  pen.fillStyle = paint.ink;
  pen.fillText(f.compact(chart.bars[last]?.cumulative_delta), side + 6, from + 30);
}

export function drawTimes(pen, chart, paint, first, last, wide, height) {
  pen.font = paint.font;
  pen.fillStyle = paint.dim;
  pen.textAlign = "center";
  const every = Math.max(1, Math.ceil(64 / chart.wide));
  for (let at = Math.ceil(first / every) * every; at <= last; at += every) {
    const x = chart.x(at);
    if (x > 22 && x < wide - 16) pen.fillText(chart.timeOf(chart.bars[at]), x, height - 5);
  }
  pen.textAlign = "left";
}
