// The footprint chart: bid x ask cells, imbalances, delta, point of control, value area, patterns, profile and cumulative delta.
//
// The bars are drawn into a layer larger than the window and copied out of it (footprint_layer.js); around them lie the panes
// (footprint_panes.js). So a frame costs one copy and a few strips, whatever the number of levels.

import { colors } from "./chart.js";
import { letter } from "./footprint_bar.js";
import { Layer } from "./footprint_layer.js";
import { AXIS, CVD, DELTA, PROFILE, Profile, TIME, drawAxis, drawCumulative, drawDeltas, drawProfile, drawTimes, stepOf } from "./footprint_panes.js";
import * as f from "./format.js";
import { h } from "./ui.js";

const AHEAD = 30;
const REST_MS = 140;

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
    this.hasFlow = true;
    this.show = { cells: true, profile: innerWidth > 700, patterns: true, all: false };
    this.fills = [];
    this.lines = [];
    this.frames = 0;
    this.version = 0;
    this._size = { width: 0, height: 0 };
    this._layer = new Layer();
    this._profile = new Profile();
    this._times = new Map();
    this._cross = null;
    this._isMoving = false;
    this._listen();
  }

  set(bars, tick, zone) {
    const isFirst = !this.bars.length;
    if (zone !== this.zone) this._times.clear();
    this.bars = bars;
    bars.forEach((bar, place) => { bar.place = place; });
    this.version += 1;
    this.tick = tick;
    this.zone = zone;
    const hasFlow = bars.some((bar) => bar.cells.length);
    if (isFirst && !hasFlow) this._isUnfit = true;
    this.hasFlow = hasFlow;
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

  reset() { this._layer.clear(); this.bars = []; this.top = null; this.isFollowing = true; }

  // Geometry

  get area() {
    const { width, height } = this._size;
    return { width: width - AXIS - (this._hasProfile ? PROFILE : 0), height: height - (this.hasFlow ? DELTA + CVD : 0) - TIME };
  }
  get _hasProfile() { return this.show.profile && this.hasFlow; }
  x(index) { return this._wide - (this.right - index) * this.wide; }
  y(ticks) { return (this.top - ticks) * this.tall; }
  indexAt(x) { return Math.floor(this.right - (this.area.width - x) / this.wide + 0.5); }
  ticksAt(y) { return Math.round(this.top - y / this.tall); }

  _visible() {
    const first = Math.max(0, Math.floor(this.right - this.area.width / this.wide - 1));
    const last = Math.min(this.bars.length - 1, Math.ceil(this.right + 1));
    return [first, last];
  }

  _center() {
    if (!this.hasFlow) { this._fitPrices(); return; }
    const bar = this.bars.at(Math.max(0, Math.min(this.bars.length - 1, Math.floor(this.right))));
    if (!bar) return;
    const middle = this.isFollowing ? bar.close ?? (bar.high + bar.low) / 2 : (bar.high + bar.low) / 2;
    if (this.top === null) {
      // At first the newest bars fill the height, as long as their numbers can be read.
      const near = this.bars.slice(-4);
      const span = Math.max(...near.map((one) => one.high)) - Math.min(...near.map((one) => one.low)) + 1;
      this.tall = Math.round(Math.max(11, Math.min(20, this.area.height * 0.8 / span)));
      this.top = middle + this.area.height / this.tall / 2;
      return;
    }
    const rows = this.area.height / this.tall;
    // Only when the bar leaves the middle, so that prices do not jump about.
    const [low, high] = [this.top - rows * 0.85, this.top - rows * 0.15];
    if (middle > high) this.top += middle - high;
    else if (middle < low) this.top -= low - middle;
  }

  // Bars without cells fill the height: there is no number in them to be read.
  _fitPrices() {
    const [first, last] = this._visible();
    let [low, high] = [Infinity, -Infinity];
    for (let at = first; at <= last; at += 1) { low = Math.min(low, this.bars[at].low); high = Math.max(high, this.bars[at].high); }
    if (!(high >= low)) return;
    this.tall = Math.max(0.002, Math.min(20, this.area.height * 0.86 / (high - low + 1)));
    this.top = (high + low) / 2 + this.area.height / this.tall / 2;
  }

  draw() {
    if (this._pending) return;
    this._pending = true;
    requestAnimationFrame(() => { this._pending = false; this._paint(); });
  }

  _moving() {
    this._isMoving = true;
    clearTimeout(this._rest);
    this._rest = setTimeout(() => { this._isMoving = false; this.draw(); }, REST_MS);
    this.draw();
  }

  _pen() {
    const ratio = Math.min(3, devicePixelRatio || 1);
    const [width, height] = [Math.round(this._size.width * ratio), Math.round(this._size.height * ratio)];
    if (this.canvas.width !== width || this.canvas.height !== height) { this.canvas.width = width; this.canvas.height = height; }
    const pen = this._context ??= this.canvas.getContext("2d", { alpha: false });
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    return [pen, ratio];
  }

  _paint() {
    if (!this.canvas.isConnected) return;
    if (!this._size.width) this._measure();
    const { width, height } = this._size;
    if (!width || height < 60) return;
    this.frames += 1;
    const [pen, ratio] = this._pen();
    const paint = this._colors ??= colors();
    if (!this.bars.length) { pen.fillStyle = paint.panel; pen.fillRect(0, 0, width, height); return; }
    const { width: wide, height: tall } = this.area;
    this._wide = wide;
    if (this._isUnfit) { this._isUnfit = false; this.wide = Math.max(6, Math.min(18, wide / (this.bars.length + 1.5))); }
    if (this.isCentered) this._center();
    const [first, last] = this._visible();
    const view = { bars: this.bars, version: this.version, wide: this.wide, tall: this.tall, right: this.right, top: this.top, width: wide, height: tall, ratio, show: this.show, isMoving: this._isMoving, step: stepOf(this.tall) };
    this._layer.draw(pen, view, paint);
    // The layer fills its window; what lies around it begins empty.
    pen.fillStyle = paint.panel;
    pen.fillRect(wide, 0, width - wide, height);
    pen.fillRect(0, tall, wide, height - tall);
    if (this.lines.length || this.fills.length) {
      pen.save();
      pen.beginPath();
      pen.rect(0, 0, wide, tall);
      pen.clip();
      this._drawLines(pen, paint, wide);
      this._drawFills(pen, paint);
      pen.restore();
    }
    const side = width - AXIS;
    if (this._hasProfile) drawProfile(pen, this, paint, this._profile.of(this.bars, first, last, this.version), wide, tall, DELTA + CVD);
    drawAxis(pen, this, paint, width, tall);
    if (this.hasFlow) {
      drawDeltas(pen, this, paint, first, last, wide, tall, side);
      drawCumulative(pen, this, paint, first, last, wide, tall + DELTA, side);
    }
    drawTimes(pen, this, paint, first, last, wide, height);
    this._crosshair(pen, paint, wide, tall, width, height);
    this._ahead(view, paint, first, last);
  }

  // While it moves two bars a frame are made ready where it goes to; at rest, when nothing else is to be done, some on both sides.
  _ahead(view, paint, first, last) {
    if (!this.hasFlow) return;
    if (this._isMoving) {
      const isBack = this.right < (this._wasRight ?? this.right);
      this._wasRight = this.right;
      this._layer.prefetch(view, paint, isBack ? first : last, isBack ? Math.max(0, first - AHEAD) : Math.min(this.bars.length - 1, last + AHEAD), 2);
      return;
    }
    if (this._idle) return;
    const later = window.requestIdleCallback ?? ((act) => setTimeout(act, 50));
    this._idle = later(() => {
      this._idle = null;
      if (this._isMoving || !this.canvas.isConnected) return;
      const made = this._layer.prefetch(view, paint, last, Math.max(0, first - AHEAD), 4);
      if (made === 4 && view.version === this.version) this._ahead(view, paint, first, last);
    });
  }

  timeOf(bar) {
    const ms = bar.open_ms ?? bar.close_ms;
    let text = this._times.get(ms);
    if (text === undefined) { text = f.shortClock(ms, this.zone); this._times.set(ms, text); }
    return text;
  }

  _drawLines(pen, paint, wide) {
    for (const line of this.lines) {
      const y = Math.round(this.y(line.ticks)) + 0.5;
      pen.strokeStyle = paint[line.color];
      pen.fillStyle = paint[line.color];
      pen.lineWidth = 1;
      pen.setLineDash([6, 4]);
      pen.beginPath(); pen.moveTo(0, y); pen.lineTo(wide, y); pen.stroke();
      pen.setLineDash([]);
      pen.font = paint.font;
      pen.fillText(line.text, 8, y - 4);
    }
  }

  _drawFills(pen, paint) {
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
    for (const one of bar.patterns.filter((one) => this.show.all || one.gate === "PASSED").slice(0, 4)) lines.push(`${letter(one.name)} ${f.words(one.name)} ${f.fixed(one.strength, 2)}${one.gate === "PASSED" ? "" : ` (${f.words(one.gate)})`}`);
    this.cell.textContent = lines.join("\n");
    this.cell.hidden = false;
  }

  _say() {
    const bar = this.bars.at(-1);
    if (!bar || this._said === bar.index) return;
    this._said = bar.index;
    this.summary.textContent = `${this.bars.length} bars, newest closes at ${f.price(bar.close, this.tick)}, delta ${f.whole(bar.delta, { sign: true })}`;
  }

  _measure() {
    this._size = { width: this.canvas.clientWidth, height: this.canvas.clientHeight };
    this._wide = this.area.width;
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
      this.tall = Math.max(0.002, Math.min(40, this.tall * factor));
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
    this.tall = Math.max(0.002, Math.min(24, this.area.height / (high - low + 8)));
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
    new ResizeObserver(() => { this._measure(); this.draw(); }).observe(canvas);
    addEventListener("sovereign:theme", () => { this._colors = null; this._layer.clear(); this.draw(); });
  }

  key(event) {
    const act = { ArrowLeft: () => this.pan(-1), ArrowRight: () => this.pan(1), "+": () => this.zoom(1.2), "=": () => this.zoom(1.2), "-": () => this.zoom(1 / 1.2), f: () => this.follow(), Home: () => this.pan(-1e6), End: () => this.follow(), a: () => this.fitAll() }[event.key];
    if (event.target === this.canvas && (event.key === "ArrowUp" || event.key === "ArrowDown")) { this.pan(0, event.key === "ArrowUp" ? 4 : -4); return true; }
    if (!act || event.target.closest?.("table")) return false;
    act();
    return true;
  }
}
