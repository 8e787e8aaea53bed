// The bars of the chart on a canvas larger than its window: a frame that only pans copies the window out of it, one to one.
//
// While the chart is zoomed the same canvas is stretched, and drawn anew when it rests or shows too little. A copy of whole
// pixels costs a browser without a graphics card a fraction of what scaling or drawing a thousand cells costs.

import { BarImages, drawCandles, drawPatterns } from "./footprint_bar.js";
import { known } from "./format.js";

const MOST_PIXELS = 12e6;
const STRETCH = 1.6;

export class Layer {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.images = new BarImages();
    this.key = "";
    this.made = null;
    this.builds = 0;
  }

  forget() { this.made = null; }
  clear() { this.made = null; this.images.clear(); }

  // view: {bars, version, wide, tall, right, top, width, height, ratio, show, isMoving, step} in CSS pixels, ticks and bars.
  draw(pen, view, paint) {
    if (!this._fits(view)) this._build(view, paint);
    const { made } = this;
    const { ratio } = view;
    const left = view.right - view.width / view.wide;
    const [sx, sy] = [(left - made.first) * made.wide * ratio, (made.top - view.top) * made.tall * ratio];
    const [dw, dh] = [Math.round(view.width * ratio), Math.round(view.height * ratio)];
    pen.setTransform(1, 0, 0, 1, 0, 0);
    if (made.wide === view.wide && made.tall === view.tall) {
      pen.drawImage(this.canvas, Math.round(sx), Math.round(sy), dw, dh, 0, 0, dw, dh);
    } else {
      pen.imageSmoothingEnabled = false;  // for the moments of a zoom; it is drawn anew when it rests
      pen.drawImage(this.canvas, sx, sy, dw * made.wide / view.wide, dh * made.tall / view.tall, 0, 0, dw, dh);
      pen.imageSmoothingEnabled = true;
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  // Draw some bars ahead, so that none has to be waited for when the chart gets there.
  prefetch(view, paint, from, to, most) {
    if (!view.show.cells || view.wide < 16) return 0;
    const size = this._size(view);
    let count = 0;
    const step = to >= from ? 1 : -1;
    for (let index = from; index !== to + step && count < most; index += step) {
      const bar = view.bars[index];
      if (!bar || !bar.cells.length || this.images.has(bar)) continue;
      this.images.of(bar, size, paint);
      count += 1;
    }
    return count;
  }

  _key(view) { return [view.version, view.ratio, view.show.cells, view.show.patterns, view.show.all].join(); }

  _fits(view) {
    const { made } = this;
    if (!made || made.key !== this._key(view)) return false;
    if (!view.isMoving && (made.wide !== view.wide || made.tall !== view.tall)) return false;
    const [x, y] = [view.wide / made.wide, view.tall / made.tall];
    if (x > STRETCH || y > STRETCH || x < 1 / STRETCH || y < 1 / STRETCH || made.isDetailed !== this._isDetailed(view)) return false;
    const left = view.right - view.width / view.wide;
    return left >= made.first && view.right <= made.first + made.count && view.top <= made.top && view.top - view.height / view.tall >= made.top - made.rows;
  }

  _isDetailed(view) { return view.show.cells && view.wide >= 16; }

  _size(view) { return { wide: Math.round(view.wide * 0.86 * view.ratio), tall: view.tall * view.ratio, ratio: view.ratio, isMoving: view.isMoving }; }

  _build(view, paint) {
    this.builds += 1;
    const { wide, tall, ratio } = view;
    const [across, down] = [view.width / wide, view.height / tall];
    let margin = 0.45;
    while (margin > 0.05 && view.width * view.height * ratio * ratio * (1 + 2 * margin) ** 2 > MOST_PIXELS) margin -= 0.05;
    const first = Math.floor(view.right - across - across * margin);
    const count = Math.ceil(view.right + across * margin) - first;
    const top = view.top + down * margin;
    const rows = down * (1 + 2 * margin);
    const [w, h] = [Math.ceil(count * wide * ratio) + 2, Math.ceil(rows * tall * ratio) + 2];
    if (this.canvas.width < w || this.canvas.height < h || this.canvas.width > 2 * w) { this.canvas.width = w; this.canvas.height = h; }
    const pen = this.canvas.getContext("2d", { alpha: false });
    this.made = { key: this._key(view), first, count, top, rows, wide, tall, isDetailed: this._isDetailed(view) };
    // Bar `index` is centered on the number `index`, and the layer's left edge is the number `first`.
    const spot = {
      x: (index) => (index - first) * wide * ratio, y: (ticks) => (top - ticks) * tall * ratio,
      wide: wide * ratio, tall: tall * ratio, ratio, isAll: view.show.all,
    };
    pen.fillStyle = paint.panel;
    pen.fillRect(0, 0, w, h);
    const shown = view.bars.slice(Math.max(0, first - 1), Math.max(0, first + count + 2));
    this._grid(pen, paint, spot, view.step, top, rows, w);
    this._valueAreas(pen, paint, spot, shown);
    this._vwap(pen, paint, spot, shown);
    const plain = this._cells(pen, paint, spot, shown, view);
    drawCandles(pen, plain, paint, spot);
    if (view.show.patterns && wide >= 6) for (const bar of shown) if (bar.patterns.length) drawPatterns(pen, bar, paint, spot);
  }

  // Draw what has cells; returns the bars that have none.
  _cells(pen, paint, spot, shown, view) {
    if (!this._isDetailed(view)) return shown;
    const size = this._size(view);
    const plain = [];
    for (const bar of shown) {
      const image = bar.cells.length ? this.images.of(bar, size, paint) : null;
      if (!image) { plain.push(bar); continue; }
      const left = Math.round(spot.x(bar.place) - spot.wide * 0.45);
      const high = spot.y(Math.max(bar.open, bar.close)) - spot.tall / 2;
      pen.fillStyle = bar.close >= bar.open ? paint.up : paint.down;
      pen.fillRect(left, high, Math.max(2, Math.round(spot.wide * 0.035)), Math.max(spot.tall, spot.y(Math.min(bar.open, bar.close)) - high + spot.tall / 2));
      const [x, y] = [left + Math.round(spot.wide * 0.05), Math.round(spot.y(image.top) - spot.tall / 2)];
      if (image.wide === size.wide && image.tall === size.tall) pen.drawImage(image.canvas, x, y);
      else pen.drawImage(image.canvas, x, y, size.wide, image.rows * spot.tall);
    }
    return plain;
  }

  _grid(pen, paint, spot, step, top, rows, w) {
    pen.fillStyle = paint.grid;
    for (let ticks = Math.ceil((top - rows) / step) * step; ticks <= top; ticks += step) pen.fillRect(0, Math.round(spot.y(ticks)), w, Math.max(1, Math.round(spot.ratio)));
  }

  _valueAreas(pen, paint, spot, shown) {
    pen.fillStyle = paint.soft;
    pen.globalAlpha = 0.5;
    const thick = Math.max(1, Math.min(3 * spot.ratio, spot.wide * 0.05));
    for (const bar of shown) if (known(bar.value_area_high)) pen.fillRect(spot.x(bar.place) - spot.wide / 2 + 1, spot.y(bar.value_area_high) - spot.tall / 2, thick, (bar.value_area_high - bar.value_area_low + 1) * spot.tall);
    pen.globalAlpha = 1;
  }

  // The session's average price, where bars carry one.
  _vwap(pen, paint, spot, shown) {
    pen.strokeStyle = paint.accent;
    pen.lineWidth = spot.ratio;
    pen.globalAlpha = 0.7;
    pen.beginPath();
    let isOpen = false;
    for (const bar of shown) {
      if (!known(bar.vwap)) { isOpen = false; continue; }
      if (isOpen) pen.lineTo(spot.x(bar.place), spot.y(bar.vwap));
      else pen.moveTo(spot.x(bar.place), spot.y(bar.vwap));
      isOpen = true;
    }
    pen.stroke();
    pen.globalAlpha = 1;
  }
}
