// The footprint chart: bid x ask cells, imbalances, delta, point of control, value area, patterns, profile and cumulative delta.
//
// A bar's cells are drawn once into a small canvas of its own and only copied while the chart is panned; while it is zoomed
// those copies are stretched, and drawn anew when it rests. So a frame costs one copy a bar, whatever the number of levels.

import { colors, fit, ticksOf } from "./chart.js";
import * as f from "./format.js";
import { h } from "./ui.js";

const AXIS = 78;
const PROFILE = 74;
const DELTA = 46;
const CVD = 64;
const TIME = 18;
const LETTERS = { BUY_IMBALANCE: "I", SELL_IMBALANCE: "I", STACKED_BUY_IMBALANCE: "S", STACKED_SELL_IMBALANCE: "S", BUYING_EXHAUSTION: "E", SELLING_EXHAUSTION: "E", BUYING_ABSORPTION: "A", SELLING_ABSORPTION: "A", DELTA_DIVERGENCE: "D", UNFINISHED_AUCTION: "U" };

export class Footprint {
  constructor({ onNeedEarlier, onPick } = {}) {
    this.onNeedEarlier = onNeedEarlier;
    this.onPick = onPick;
    this.canvas = h("canvas", { tabindex: "0", role: "application", "aria-label": "Footprint chart; arrow keys pan, plus and minus zoom, F follows the newest bar" });
    this.cell = h("div.flow-cell", { hidden: true });
    this.summary = h("p.hidden", { role: "status" });
    this.element = h("div.flow-stage", null, this.canvas, this.cell, this.summary);
    this.bars = [];
    this.tick = { tick_size: 1, precision: 2 };
    this.zone = "UTC";
    this.wide = innerWidth > 700 ? 92 : 84;
    this.tall = 16;
    this.right = 0;
    this.top = null;
    this.isFollowing = true;
    this.isCentered = true;
    this.show = { cells: true, profile: innerWidth > 700, patterns: true, all: false };
    this.fills = [];
    this.lines = [];
    this.frames = 0;
    this._images = new Map();
    this._cross = null;
    this._isMoving = false;
    this._listen();
  }

  set(bars, tick, zone) {
    const isFirst = !this.bars.length;
    this.bars = bars;
    this.tick = tick;
    this.zone = zone;
    if (isFirst || this.isFollowing) this.follow();
    else this.draw();
    this._say();
  }

  follow() {
    this.isFollowing = true;
    this.isCentered = true;
    this.right = this.bars.length - 1 + 0.9;
    this.draw();
  }

  reset() { this._images.clear(); this.bars = []; this.top = null; this.isFollowing = true; }

  // Geometry

  get area() { return { width: this.canvas.clientWidth - AXIS - (this.show.profile ? PROFILE : 0), height: this.canvas.clientHeight - DELTA - CVD - TIME }; }
  x(index) { return this.area.width - (this.right - index) * this.wide; }
  y(ticks) { return (this.top - ticks) * this.tall; }
  indexAt(x) { return Math.floor(this.right - (this.area.width - x) / this.wide + 0.5); }
  ticksAt(y) { return Math.round(this.top - y / this.tall); }

  _visible() {
    const first = Math.max(0, Math.floor(this.right - this.area.width / this.wide - 1));
    const last = Math.min(this.bars.length - 1, Math.ceil(this.right + 1));
    return [first, last];
  }

  _center() {
    const bar = this.bars.at(Math.min(this.bars.length - 1, Math.floor(this.right)));
    if (!bar) return;
    const middle = this.isFollowing ? bar.close ?? (bar.high + bar.low) / 2 : (bar.high + bar.low) / 2;
    if (this.top === null) {
      // At first the newest bars fill the height, as long as their numbers can be read.
      const near = this.bars.slice(-4);
      const span = Math.max(...near.map((one) => one.high)) - Math.min(...near.map((one) => one.low)) + 1;
      this.tall = Math.max(11, Math.min(20, this.area.height * 0.8 / span));
      this.top = middle + this.area.height / this.tall / 2;
      return;
    }
    const rows = this.area.height / this.tall;
    // Only when the bar leaves the middle, so that prices do not jump about.
    const [low, high] = [this.top - rows * 0.85, this.top - rows * 0.15];
    if (middle > high) this.top += middle - high;
    else if (middle < low) this.top -= low - middle;
  }

  draw() {
    if (this._pending) return;
    this._pending = true;
    requestAnimationFrame(() => { this._pending = false; this._paint(); });
  }

  _moving() {
    this._isMoving = true;
    clearTimeout(this._rest);
    this._rest = setTimeout(() => { this._isMoving = false; this.draw(); }, 140);
    this.draw();
  }

  _paint() {
    if (!this.canvas.isConnected || !this.canvas.clientWidth) return;
    this.frames += 1;
    const { pen, width, height } = fit(this.canvas);
    const paint = this._colors ??= colors();
    pen.fillStyle = paint.panel;
    pen.fillRect(0, 0, width, height);
    if (!this.bars.length) return;
    if (this.isCentered) this._center();
    const { width: wide, height: tall } = this.area;
    const [first, last] = this._visible();
    pen.save();
    pen.beginPath();
    pen.rect(0, 0, wide, tall);
    pen.clip();
    this._grid(pen, paint, wide, tall);
    this._valueAreas(pen, paint, first, last);
    this._lines(pen, paint, wide);
    for (let index = first; index <= last; index += 1) this._bar(pen, paint, index);
    if (this.show.patterns) for (let index = first; index <= last; index += 1) this._patterns(pen, paint, index);
    this._fills(pen, paint);
    pen.restore();
    if (this.show.profile) this._profile(pen, paint, first, last, wide, tall);
    this._axis(pen, paint, width, tall);
    this._deltas(pen, paint, first, last, wide, tall);
    this._cumulative(pen, paint, first, last, wide, tall + DELTA);
    this._times(pen, paint, first, last, height);
    this._crosshair(pen, paint, wide, tall, width, height);
  }

  _step() {
    for (const step of [1, 2, 4, 5, 10, 20, 40, 50, 100, 200, 400, 500, 1000, 2000, 5000]) if (step * this.tall >= 34) return step;
    return 10000;
  }

  _grid(pen, paint, wide, tall) {
    const step = this._step();
    pen.strokeStyle = paint.grid;
    pen.lineWidth = 1;
    pen.beginPath();
    for (let ticks = Math.ceil((this.top - tall / this.tall) / step) * step; ticks <= this.top; ticks += step) {
      const y = Math.round(this.y(ticks)) + 0.5;
      pen.moveTo(0, y);
      pen.lineTo(wide, y);
    }
    pen.stroke();
  }

  _valueAreas(pen, paint, first, last) {
    pen.fillStyle = paint.soft;
    for (let index = first; index <= last; index += 1) {
      const bar = this.bars[index];
      if (bar.value_area_high === null || bar.value_area_high === undefined) continue;
      const x = this.x(index) - this.wide / 2;
      pen.globalAlpha = 0.5;
      pen.fillRect(x + 1, this.y(bar.value_area_high) - this.tall / 2, Math.max(1, Math.min(3, this.wide * 0.05)), (bar.value_area_high - bar.value_area_low + 1) * this.tall);
      pen.globalAlpha = 1;
    }
  }

  _lines(pen, paint, wide) {
    for (const line of this.lines) {
      const y = Math.round(this.y(line.ticks)) + 0.5;
      pen.strokeStyle = paint[line.color];
      pen.fillStyle = paint[line.color];
      pen.setLineDash([6, 4]);
      pen.beginPath(); pen.moveTo(0, y); pen.lineTo(wide, y); pen.stroke();
      pen.setLineDash([]);
      pen.font = paint.font;
      pen.fillText(line.text, 8, y - 4);
    }
    // The session's average price, where bars carry one.
    pen.strokeStyle = paint.accent;
    pen.globalAlpha = 0.7;
    pen.beginPath();
    let isOpen = false;
    const [first, last] = this._visible();
    for (let index = first; index <= last; index += 1) {
      const vwap = this.bars[index].vwap;
      if (!f.known(vwap)) { isOpen = false; continue; }
      const [x, y] = [this.x(index), this.y(vwap)];
      if (isOpen) pen.lineTo(x, y);
      else pen.moveTo(x, y);
      isOpen = true;
    }
    pen.stroke();
    pen.globalAlpha = 1;
  }

  _bar(pen, paint, index) {
    const bar = this.bars[index];
    const x = this.x(index);
    const inner = this.wide * 0.92;
    const isUp = bar.close >= bar.open;
    pen.strokeStyle = pen.fillStyle = isUp ? paint.up : paint.down;
    const isDetailed = this.show.cells && bar.cells.length && this.wide >= 16;
    if (!isDetailed) {
      const body = Math.max(1, this.wide * 0.62);
      pen.lineWidth = Math.max(1, Math.min(2, this.wide * 0.12));
      pen.beginPath();
      pen.moveTo(x, this.y(bar.high) - this.tall / 2);
      pen.lineTo(x, this.y(bar.low) + this.tall / 2);
      pen.stroke();
      const [top, bottom] = [this.y(Math.max(bar.open, bar.close)), this.y(Math.min(bar.open, bar.close))];
      if (isUp && this.wide > 5) { pen.fillStyle = paint.panel; pen.fillRect(x - body / 2, top - 1, body, Math.max(2, bottom - top + 2)); pen.strokeRect(x - body / 2, top - 1, body, Math.max(2, bottom - top + 2)); }
      else pen.fillRect(x - body / 2, top - 1, body, Math.max(2, bottom - top + 2));
      if (this.wide >= 7 && bar.poc !== null) { pen.fillStyle = paint.poc; pen.fillRect(x - body / 2, this.y(bar.poc) - 1, body, 2); }
      return;
    }
    const left = x - this.wide / 2 + this.wide * 0.05;
    const high = this.y(Math.max(bar.open, bar.close));
    pen.fillRect(left, high - this.tall / 2, Math.max(2, this.wide * 0.035), Math.max(this.tall, this.y(Math.min(bar.open, bar.close)) - high + this.tall));
    const image = this._image(bar, paint);
    if (image) pen.drawImage(image.canvas, left + this.wide * 0.05, this.y(image.top) - this.tall / 2, inner - this.wide * 0.06, image.rows * this.tall);
  }

  _image(bar, paint) {
    const ratio = Math.min(2, devicePixelRatio || 1);
    const wide = Math.round(this.wide * 0.86 * ratio);
    const tall = Math.round(this.tall * ratio);
    const known = this._images.get(bar.index);
    const isSame = known && known.bar === bar;
    if (isSame && ((known.wide === wide && known.tall === tall) || this._isMoving)) return known;
    const top = Math.max(...bar.cells.map((cell) => cell[0]));
    const low = Math.min(...bar.cells.map((cell) => cell[0]));
    const rows = top - low + 1;
    if (rows > 600) return null;
    const canvas = known?.canvas ?? document.createElement("canvas");
    canvas.width = wide;
    canvas.height = Math.max(1, Math.min(8000, rows * tall));
    this._cells(canvas.getContext("2d"), bar, paint, { wide, tall, top, ratio });
    const made = { canvas, bar, wide, tall, top, rows };
    this._images.set(bar.index, made);
    if (this._images.size > 700) this._images.delete(this._images.keys().next().value);
    return made;
  }

  _cells(pen, bar, paint, { wide, tall, top, ratio }) {
    const most = Math.max(...bar.cells.map((cell) => Math.max(cell[1], cell[2])), 1);
    const half = wide / 2;
    const hasText = tall >= 9 * ratio && half >= 22 * ratio;
    const gap = tall > 6 * ratio ? Math.round(ratio) : 0;
    pen.clearRect(0, 0, wide, pen.canvas.height);
    pen.font = `${Math.min(12 * ratio, tall * 0.72)}px ${paint.mono}`;
    pen.textBaseline = "middle";
    for (const [ticks, bid, ask, mark] of bar.cells) {
      const y = (top - ticks) * tall;
      for (const [volume, from, color, align, isMarked] of [[bid, 0, paint.down, "right", mark === -1 || mark === 2], [ask, half, paint.up, "left", mark === 1 || mark === 2]]) {
        pen.globalAlpha = 0.08 + 0.5 * volume / most;
        pen.fillStyle = color;
        pen.fillRect(from, y, half - gap, tall - gap);
        pen.globalAlpha = 1;
        if (isMarked) {
          // An imbalance is framed and its number bold, not only brighter.
          pen.strokeStyle = color;
          pen.lineWidth = Math.max(1, 1.5 * ratio);
          pen.strokeRect(from + ratio * 0.75, y + ratio * 0.75, half - gap - ratio * 1.5, tall - gap - ratio * 1.5);
        }
        if (hasText) {
          pen.fillStyle = volume ? paint.ink : paint.soft;
          pen.font = `${isMarked ? "700 " : ""}${Math.min(12 * ratio, tall * 0.72)}px ${paint.mono}`;
          pen.textAlign = align;
          pen.fillText(f.compact(volume), align === "right" ? half - 4 * ratio : half + 3 * ratio, y + (tall - gap) / 2 + ratio * 0.5);
        }
      }
    }
    if (bar.poc !== null && bar.poc !== undefined) {
      pen.strokeStyle = paint.poc;
      pen.lineWidth = Math.max(1, 1.5 * ratio);
      pen.strokeRect(ratio, (top - bar.poc) * tall + ratio * 0.5, wide - 2 * ratio, tall - gap - ratio);
    }
  }

  _patterns(pen, paint, index) {
    const bar = this.bars[index];
    if (!bar.patterns.length || this.wide < 6) return;
    const counts = { up: 0, down: 0 };
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    for (const one of bar.patterns) {
      const isTaken = one.gate === "PASSED";
      if (!isTaken && !this.show.all) continue;
      const isLong = one.side > 0;
      const way = one.side === 0 ? "up" : isLong ? "down" : "up";
      const at = counts[way]++;
      const y = way === "up" ? this.y(bar.high) - this.tall / 2 - 10 - at * 15 : this.y(bar.low) + this.tall / 2 + 10 + at * 15;
      const x = this.x(index);
      const color = one.side === 0 ? paint.soft : isLong ? paint.up : paint.down;
      pen.globalAlpha = isTaken ? 1 : 0.55;
      pen.beginPath();
      if (one.side === 0) pen.arc(x, y, 5.5, 0, 7);
      else { const s = isLong ? 1 : -1; pen.moveTo(x, y - 7 * s); pen.lineTo(x - 7, y + 5.5 * s); pen.lineTo(x + 7, y + 5.5 * s); pen.closePath(); }
      if (isTaken) { pen.fillStyle = color; pen.fill(); } else { pen.strokeStyle = color; pen.lineWidth = 1.2; pen.stroke(); }
      pen.globalAlpha = 1;
      if (this.wide >= 18) { pen.font = `700 8px ${paint.mono}`; pen.fillStyle = isTaken ? paint.panel : color; pen.fillText(LETTERS[one.name] ?? "?", x, y + (one.side === 0 ? 0.5 : isLong ? 2 : -1.5)); }
    }
    pen.textAlign = "left";
    pen.textBaseline = "alphabetic";
  }

  _fills(pen, paint) {
    for (const fill of this.fills) {
      const index = this._indexOf(fill.ms);
      if (index === null) continue;
      const [x, y] = [this.x(index), this.y(fill.ticks)];
      const isBuy = fill.side === "BUY";
      pen.fillStyle = isBuy ? paint.up : paint.down;
      pen.strokeStyle = paint.ink;
      pen.lineWidth = 1.5;
      pen.beginPath();
      const s = isBuy ? 1 : -1;
      const left = x - this.wide / 2 - 2;
      pen.moveTo(left + 9, y); pen.lineTo(left, y - 6); pen.lineTo(left, y + 6); pen.closePath();
      pen.fill(); pen.stroke();
      if (this.wide >= 40) { pen.font = `700 10px ${paint.mono}`; pen.fillStyle = paint.ink; pen.fillText(`${isBuy ? "B" : "S"}${fill.quantity}`, left - 16, y + 4 * s); }
    }
  }

  _indexOf(ms) {
    let [low, high] = [0, this.bars.length - 1];
    if (high < 0 || ms > this.bars[high].close_ms + 1000 && !this.bars[high].is_open) return null;
    while (low < high) { const middle = (low + high) >> 1; if (this.bars[middle].close_ms < ms) low = middle + 1; else high = middle; }
    return low;
  }

  _profile(pen, paint, first, last, wide, tall) {
    const totals = new Map();
    for (let index = first; index <= last; index += 1) for (const [ticks, bid, ask] of this.bars[index].cells) { const row = totals.get(ticks); if (row) { row[0] += bid; row[1] += ask; } else totals.set(ticks, [bid, ask]); }
    pen.fillStyle = paint.panel;
    pen.fillRect(wide, 0, PROFILE, tall);
    pen.strokeStyle = paint.line;
    pen.lineWidth = 1;
    pen.beginPath(); pen.moveTo(wide + 0.5, 0); pen.lineTo(wide + 0.5, tall + DELTA + CVD); pen.stroke();
    if (!totals.size) return;
    let [most, peak] = [1, null];
    for (const [ticks, [bid, ask]] of totals) if (bid + ask > most) { most = bid + ask; peak = ticks; }
    pen.save();
    pen.beginPath(); pen.rect(wide, 0, PROFILE, tall); pen.clip();
    const bar = Math.max(1, this.tall - (this.tall > 4 ? 1 : 0));
    for (const [ticks, [bid, ask]] of totals) {
      const y = this.y(ticks) - this.tall / 2;
      if (y < -this.tall || y > tall) continue;
      const [one, two] = [bid / most * (PROFILE - 8), ask / most * (PROFILE - 8)];
      pen.globalAlpha = ticks === peak ? 0.95 : 0.5;
      pen.fillStyle = paint.down; pen.fillRect(wide + 3, y, one, bar);
      pen.fillStyle = paint.up; pen.fillRect(wide + 3 + one, y, two, bar);
      pen.globalAlpha = 1;
      if (ticks === peak) { pen.strokeStyle = paint.poc; pen.lineWidth = 1.5; pen.strokeRect(wide + 3, y, one + two, bar); }
    }
    pen.restore();
  }

  _axis(pen, paint, width, tall) {
    const left = width - AXIS;
    const step = this._step();
    pen.font = paint.font;
    pen.fillStyle = paint.dim;
    pen.textBaseline = "middle";
    for (let ticks = Math.ceil((this.top - tall / this.tall) / step) * step; ticks <= this.top; ticks += step) {
      const y = this.y(ticks);
      if (y > 8 && y < tall - 4) pen.fillText(f.price(ticks, this.tick), left + 6, y);
    }
    const last = this.bars.at(-1);
    if (last?.close !== null) {
      const y = this.y(last.close);
      if (y > 0 && y < tall) {
        pen.fillStyle = last.close >= last.open ? paint.up : paint.down;
        pen.fillRect(left, y - 9, AXIS, 18);
        pen.fillStyle = paint.panel;
        pen.font = `700 ${paint.font}`;
        pen.fillText(f.price(last.close, this.tick), left + 6, y + 0.5);
      }
    }
    pen.textBaseline = "alphabetic";
  }

  _deltas(pen, paint, first, last, wide, from) {
    pen.strokeStyle = paint.line;
    pen.lineWidth = 1;
    pen.beginPath(); pen.moveTo(0, from + 0.5); pen.lineTo(wide + (this.show.profile ? PROFILE : 0), from + 0.5); pen.stroke();
    pen.font = paint.font;
    pen.fillStyle = paint.dim;
    pen.fillText("delta", wide + (this.show.profile ? PROFILE : 0) + 6, from + 16);
    pen.fillText("volume", wide + (this.show.profile ? PROFILE : 0) + 6, from + 38);
    let most = 1;
    for (let index = first; index <= last; index += 1) most = Math.max(most, Math.abs(this.bars[index].delta ?? 0));
    pen.save();
    pen.beginPath(); pen.rect(0, from, wide, DELTA); pen.clip();
    pen.textAlign = "center";
    for (let index = first; index <= last; index += 1) {
      const bar = this.bars[index];
      if (bar.delta === null) continue;
      const x = this.x(index);
      const size = Math.abs(bar.delta) / most;
      pen.globalAlpha = 0.15 + 0.6 * size;
      pen.fillStyle = bar.delta >= 0 ? paint.up : paint.down;
      pen.fillRect(x - this.wide * 0.46, from + 2, Math.max(1, this.wide * 0.92), 20);
      pen.globalAlpha = 1;
      if (this.wide >= 40) {
        pen.fillStyle = paint.ink;
        pen.fillText(`${bar.delta > 0 ? "+" : ""}${f.compact(bar.delta)}`, x, from + 16);
        pen.fillStyle = paint.dim;
        pen.fillText(f.compact(bar.volume), x, from + 38);
      }
    }
    pen.restore();
    pen.textAlign = "left";
  }

  _cumulative(pen, paint, first, last, wide, from) {
    pen.strokeStyle = paint.line;
    pen.beginPath(); pen.moveTo(0, from + 0.5); pen.lineTo(wide + (this.show.profile ? PROFILE : 0), from + 0.5); pen.stroke();
    let [low, high] = [Infinity, -Infinity];
    for (let index = first; index <= last; index += 1) { const value = this.bars[index].cumulative_delta; if (value !== null) { low = Math.min(low, value); high = Math.max(high, value); } }
    if (low > high) return;
    if (low === high) { low -= 1; high += 1; }
    const toY = (value) => from + 8 + (high - value) / (high - low) * (CVD - 16);
    pen.save();
    pen.beginPath(); pen.rect(0, from, wide, CVD); pen.clip();
    pen.strokeStyle = paint.accent;
    pen.lineWidth = 1.5;
    pen.beginPath();
    for (let index = first; index <= last; index += 1) { const value = this.bars[index].cumulative_delta; if (value === null) continue; const x = this.x(index); if (index === first) pen.moveTo(x, toY(value)); else pen.lineTo(x, toY(value)); }
    pen.stroke();
    if (low < 0 && high > 0) { pen.strokeStyle = paint.soft; pen.setLineDash([2, 3]); pen.lineWidth = 1; pen.beginPath(); pen.moveTo(0, toY(0)); pen.lineTo(wide, toY(0)); pen.stroke(); pen.setLineDash([]); }
    pen.restore();
    pen.font = paint.font;
    pen.fillStyle = paint.dim;
    const side = wide + (this.show.profile ? PROFILE : 0) + 6;
    pen.fillText("cum. delta", side, from + 14);
    pen.fillStyle = paint.ink;
    pen.fillText(f.compact(this.bars[last]?.cumulative_delta), side, from + 30);
  }

  _times(pen, paint, first, last, height) {
    pen.font = paint.font;
    pen.fillStyle = paint.dim;
    pen.textAlign = "center";
    const every = Math.max(1, Math.ceil(64 / this.wide));
    for (let index = first; index <= last; index += 1) {
      if (index % every) continue;
      const x = this.x(index);
      const text = f.shortClock(this.bars[index].open_ms ?? this.bars[index].close_ms, this.zone);
      if (x > 22 && x < this.area.width - 16) pen.fillText(text, x, height - 5);
    }
    pen.textAlign = "left";
  }

  _crosshair(pen, paint, wide, tall, width, height) {
    if (!this._cross) { this.cell.hidden = true; return; }
    const { x, y } = this._cross;
    if (x > wide || y > tall) { this.cell.hidden = true; return; }
    const index = this.indexAt(x);
    const ticks = this.ticksAt(y);
    pen.strokeStyle = paint.dim;
    pen.lineWidth = 1;
    pen.setLineDash([3, 3]);
    pen.beginPath();
    pen.moveTo(0, Math.round(y) + 0.5); pen.lineTo(width - AXIS, Math.round(y) + 0.5);
    pen.moveTo(Math.round(x) + 0.5, 0); pen.lineTo(Math.round(x) + 0.5, height - TIME);
    pen.stroke();
    pen.setLineDash([]);
    pen.fillStyle = paint.ink;
    pen.fillRect(width - AXIS, y - 9, AXIS, 18);
    pen.fillStyle = paint.bg;
    pen.font = paint.font;
    pen.textBaseline = "middle";
    pen.fillText(f.price(ticks, this.tick), width - AXIS + 6, y + 0.5);
    pen.textBaseline = "alphabetic";
    const bar = this.bars[index];
    if (!bar) { this.cell.hidden = true; return; }
    const cell = bar.cells.find((one) => one[0] === ticks);
    const lines = [`${f.moment(bar.open_ms ?? bar.close_ms, this.zone)}${bar.is_open ? "  open" : ""}`, `O ${f.price(bar.open, this.tick)}  H ${f.price(bar.high, this.tick)}`, `L ${f.price(bar.low, this.tick)}  C ${f.price(bar.close, this.tick)}`, `volume ${f.whole(bar.volume)}  delta ${f.whole(bar.delta, { sign: true })}`];
    if (bar.poc !== null) lines.push(`POC ${f.price(bar.poc, this.tick)}${bar.value_area_low !== null ? `  VA ${f.price(bar.value_area_low, this.tick)} to ${f.price(bar.value_area_high, this.tick)}` : ""}`);
    if (bar.regime) lines.push(`${f.words(bar.regime.name)} ${f.percent(bar.regime.confidence)}`);
    if (cell) lines.push(`${f.price(ticks, this.tick)}: ${f.whole(cell[1])} bid x ${f.whole(cell[2])} ask${cell[3] ? `, imbalance of ${cell[3] === 2 ? "both" : cell[3] > 0 ? "buyers" : "sellers"}` : ""}`);
    for (const one of bar.patterns.filter((one) => this.show.all || one.gate === "PASSED").slice(0, 4)) lines.push(`${LETTERS[one.name] ?? "?"} ${f.words(one.name)} ${f.fixed(one.strength, 2)}${one.gate === "PASSED" ? "" : ` (${f.words(one.gate)})`}`);
    this.cell.textContent = lines.join("\n");
    this.cell.hidden = false;
  }

  _say() {
    const bar = this.bars.at(-1);
    if (!bar || this._said === bar.index) return;
    this._said = bar.index;
    this.summary.textContent = `${this.bars.length} bars, newest closes at ${f.price(bar.close, this.tick)}, delta ${f.whole(bar.delta, { sign: true })}`;
  }

  // Hands

  pan(columns, rows = 0) {
    const before = this.right;
    this.right = Math.max(Math.min(2, this.bars.length - 0.5), Math.min(this.bars.length + this.area.width / this.wide * 0.5, this.right + columns));
    if (columns) this.isFollowing = this.right >= this.bars.length - 1 && columns > 0;
    if (rows) { this.isCentered = false; this.top += rows; }
    if (this._visible()[0] === 0 && this.right < before) this.onNeedEarlier?.();
    this._moving();
  }

  zoom(factor, x = this.area.width / 2, isPrice = false, y = this.area.height / 2) {
    if (isPrice) {
      const ticks = this.top - y / this.tall;
      this.tall = Math.max(0.2, Math.min(40, this.tall * factor));
      this.top = ticks + y / this.tall;
      this.isCentered = false;
    } else {
      const index = this.right - (this.area.width - x) / this.wide;
      this.wide = Math.max(2.2, Math.min(260, this.wide * factor));
      if (!this.isFollowing) this.right = index + (this.area.width - x) / this.wide;
      if (this._visible()[0] === 0 && factor < 1) this.onNeedEarlier?.();
    }
    this._moving();
  }

  // Whatever is loaded, in one view.
  fitAll() {
    const bars = this.bars;
    if (!bars.length) return;
    this.wide = Math.max(2.2, Math.min(120, this.area.width / (bars.length + 1)));
    this.right = bars.length - 0.4;
    const [low, high] = [Math.min(...bars.map((bar) => bar.low)), Math.max(...bars.map((bar) => bar.high))];
    this.tall = Math.max(0.2, Math.min(24, this.area.height / (high - low + 8)));
    this.top = high + 4;
    this.isCentered = false;
    this.isFollowing = true;
    this.draw();
  }

  _listen() {
    const { canvas } = this;
    let held = null;
    const fingers = new Map();
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, event);
      held = { x: event.offsetX, y: event.offsetY, moved: 0 };
    });
    canvas.addEventListener("pointermove", (event) => {
      this._cross = { x: event.offsetX, y: event.offsetY };
      if (fingers.has(event.pointerId)) {
        if (fingers.size === 2) {
          const [a, b] = [...fingers.values()];
          const other = a.pointerId === event.pointerId ? b : a;
          const old = Math.hypot(a.offsetX - b.offsetX, a.offsetY - b.offsetY);
          const now = Math.hypot(event.offsetX - other.offsetX, event.offsetY - other.offsetY);
          fingers.set(event.pointerId, event);
          if (old > 10) this.zoom(now / old, (event.offsetX + other.offsetX) / 2);
          return;
        }
        fingers.set(event.pointerId, event);
        const [dx, dy] = [event.offsetX - held.x, event.offsetY - held.y];
        held = { x: event.offsetX, y: event.offsetY, moved: held.moved + Math.abs(dx) + Math.abs(dy) };
        this.pan(-dx / this.wide, event.offsetX > this.area.width + 40 ? 0 : dy / this.tall);
        return;
      }
      this.draw();
    });
    const up = (event) => {
      fingers.delete(event.pointerId);
      if (held && held.moved < 4 && event.type === "pointerup") this.onPick?.(this.bars[this.indexAt(event.offsetX)]);
      held = null;
    };
    canvas.addEventListener("pointerup", up);
    canvas.addEventListener("pointercancel", up);
    canvas.addEventListener("pointerleave", () => { this._cross = null; this.draw(); });
    canvas.addEventListener("dblclick", () => this.follow());
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const factor = Math.exp(-event.deltaY * 0.0016);
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.pan(event.deltaX / this.wide);
      else this.zoom(factor, event.offsetX, event.shiftKey || event.offsetX > this.area.width, event.offsetY);
    }, { passive: false });
    new ResizeObserver(() => this.draw()).observe(canvas);
    addEventListener("sovereign:theme", () => { this._colors = null; this._images.clear(); this.draw(); });
  }

  key(event) {
    const act = { ArrowLeft: () => this.pan(-1), ArrowRight: () => this.pan(1), "+": () => this.zoom(1.2), "=": () => this.zoom(1.2), "-": () => this.zoom(1 / 1.2), f: () => this.follow(), Home: () => this.pan(-1e6), End: () => this.follow(), a: () => this.fitAll() }[event.key];
    if (event.target === this.canvas && (event.key === "ArrowUp" || event.key === "ArrowDown")) { this.pan(0, event.key === "ArrowUp" ? 4 : -4); return true; }
    if (!act || event.target.closest?.("table")) return false;
    act();
    return true;
  }
}
