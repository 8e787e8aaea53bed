// One bar of the footprint as a picture: bid x ask cells with imbalances framed, drawn once for a size and then only copied.

import * as f from "./format.js";

const LETTERS = { BUY_IMBALANCE: "I", SELL_IMBALANCE: "I", STACKED_BUY_IMBALANCE: "S", STACKED_SELL_IMBALANCE: "S", BUYING_EXHAUSTION: "E", SELLING_EXHAUSTION: "E", BUYING_ABSORPTION: "A", SELLING_ABSORPTION: "A", DELTA_DIVERGENCE: "D", UNFINISHED_AUCTION: "U" };
const MOST_ROWS = 600;
const MOST_PIXELS = 24e6;

export const letter = (name) => LETTERS[name] ?? "?";

export class BarImages {
  constructor() { this._known = new Map(); this._pixels = 0; }

  clear() { this._known.clear(); this._pixels = 0; }

  has(bar) { return this._known.get(bar.index)?.bar === bar; }

  // The picture of a bar, `wide` x `tall` a row in device pixels; while the chart moves one of another size will do.
  of(bar, { wide, tall, ratio, isMoving }, paint) {
    const known = this._known.get(bar.index);
    if (known?.bar === bar && (isMoving || (known.wide === wide && known.tall === tall))) return known;
    let [top, low] = [-Infinity, Infinity];
    for (const cell of bar.cells) { if (cell[0] > top) top = cell[0]; if (cell[0] < low) low = cell[0]; }
    const rows = top - low + 1;
    if (!(rows <= MOST_ROWS)) return null;
    const canvas = known?.canvas ?? document.createElement("canvas");
    if (known) this._pixels -= canvas.width * canvas.height;
    canvas.width = Math.max(1, wide);
    canvas.height = Math.max(1, Math.min(8000, Math.ceil(rows * tall)));
    drawCells(canvas.getContext("2d"), bar, paint, { wide, tall, top, ratio });
    const made = { canvas, bar, wide, tall, top, rows };
    this._known.delete(bar.index);
    this._known.set(bar.index, made);
    this._pixels += canvas.width * canvas.height;
    for (const [index, old] of this._known) {
      if (this._pixels <= MOST_PIXELS || index === bar.index) break;
      this._pixels -= old.canvas.width * old.canvas.height;
      this._known.delete(index);
    }
    return made;
  }
}

function drawCells(pen, bar, paint, { wide, tall, top, ratio }) {
  let most = 1;
  for (const [, bid, ask] of bar.cells) most = Math.max(most, bid, ask);
  const half = Math.floor(wide / 2);
  const hasText = tall >= 9 * ratio && half >= 22 * ratio;
  const gap = tall > 6 * ratio ? Math.round(ratio) : 0;
  const edge = (row) => Math.round(row * tall);
  const size = Math.min(12 * ratio, tall * 0.72);
  // By color, font and side, so that the pen changes a few times a bar and not at every cell.
  const texts = new Map();
  for (const [at, from, color, align] of [[1, 0, paint.down, "right"], [2, half, paint.up, "left"]]) {
    const mine = at === 1 ? -1 : 1;
    pen.fillStyle = color;
    const framed = [];
    for (const cell of bar.cells) {
      const [y, next] = [edge(top - cell[0]), edge(top - cell[0] + 1)];
      const [volume, isMarked] = [cell[at], cell[3] === mine || cell[3] === 2];
      pen.globalAlpha = 0.08 + 0.5 * volume / most;
      pen.fillRect(from, y, half - gap, Math.max(1, next - y - gap));
      if (isMarked) framed.push([y, next]);
      if (!hasText) continue;
      const style = `${align} ${isMarked ? "bold" : volume ? "ink" : "soft"}`;
      if (!texts.has(style)) texts.set(style, []);
      texts.get(style).push([f.compact(volume), align === "right" ? half - 4 * ratio : half + 3 * ratio, (y + next - gap) / 2 + ratio * 0.5]);
    }
    pen.globalAlpha = 1;
    // An imbalance is framed and its number bold, not only brighter.
    pen.strokeStyle = color;
    pen.lineWidth = Math.max(1, 1.5 * ratio);
    for (const [y, next] of framed) pen.strokeRect(from + ratio * 0.75, y + ratio * 0.75, half - gap - ratio * 1.5, next - y - gap - ratio * 1.5);
  }
  pen.textBaseline = "middle";
  for (const [style, list] of texts) {
    const [align, kind] = style.split(" ");
    pen.textAlign = align;
    pen.font = `${kind === "bold" ? "700 " : ""}${size}px ${paint.mono}`;
    pen.fillStyle = kind === "soft" ? paint.soft : paint.ink;
    for (const [text, x, y] of list) pen.fillText(text, x, y);
  }
  if (bar.poc !== null && bar.poc !== undefined) {
    const [y, next] = [edge(top - bar.poc), edge(top - bar.poc + 1)];
    pen.strokeStyle = paint.poc;
    pen.lineWidth = Math.max(1, 1.5 * ratio);
    pen.strokeRect(ratio, y + ratio * 0.5, 2 * half - 2 * ratio, next - y - gap - ratio);
  }
}

// Candles of bars that are too narrow for cells or have none: all of one color in one stroke.
export function drawCandles(pen, bars, paint, { x, y, wide, tall, ratio }) {
  const body = Math.max(1, wide * 0.62);
  for (const isUp of [true, false]) {
    const mine = bars.filter((bar) => (bar.close >= bar.open) === isUp);
    if (!mine.length) continue;
    const color = isUp ? paint.up : paint.down;
    const isHollow = isUp && wide > 5 * ratio;
    pen.fillStyle = pen.strokeStyle = color;
    const thick = Math.max(1, Math.round(Math.min(2 * ratio, wide * 0.12)));
    for (const bar of mine) {
      const [high, low] = [y(bar.high) - tall / 2, y(bar.low) + tall / 2];
      pen.fillRect(Math.round(x(bar.place) - thick / 2), high, thick, Math.max(1, low - high));
    }
    pen.lineWidth = Math.max(1, ratio);
    for (const bar of mine) {
      const [top, bottom] = [y(Math.max(bar.open, bar.close)), y(Math.min(bar.open, bar.close))];
      const box = [x(bar.place) - body / 2, top - 1, body, Math.max(2, bottom - top + 2)];
      if (!isHollow) { pen.fillRect(...box); continue; }
      pen.fillStyle = paint.panel; pen.fillRect(...box); pen.fillStyle = color;
      pen.strokeRect(...box);
    }
  }
  if (wide < 7 * ratio) return;
  pen.fillStyle = paint.poc;
  for (const bar of bars) if (bar.poc !== null && bar.poc !== undefined) pen.fillRect(x(bar.place) - body / 2, y(bar.poc) - 1, body, 2);
}

export function drawPatterns(pen, bar, paint, { x, y, wide, tall, ratio, isAll }) {
  const counts = { up: 0, down: 0 };
  for (const one of bar.patterns) {
    const isTaken = one.gate === "PASSED";
    if (!isTaken && !isAll) continue;
    const isLong = one.side > 0;
    const way = one.side === 0 ? "up" : isLong ? "down" : "up";
    const place = counts[way]++;
    const center = x(bar.place);
    const at = way === "up" ? y(bar.high) - tall / 2 - (10 + place * 15) * ratio : y(bar.low) + tall / 2 + (10 + place * 15) * ratio;
    const color = one.side === 0 ? paint.soft : isLong ? paint.up : paint.down;
    pen.globalAlpha = isTaken ? 1 : 0.55;
    pen.beginPath();
    if (one.side === 0) pen.arc(center, at, 5.5 * ratio, 0, 7);
    else { const s = (isLong ? 1 : -1) * ratio; pen.moveTo(center, at - 7 * s); pen.lineTo(center - 7 * ratio, at + 5.5 * s); pen.lineTo(center + 7 * ratio, at + 5.5 * s); pen.closePath(); }
    if (isTaken) { pen.fillStyle = color; pen.fill(); } else { pen.strokeStyle = color; pen.lineWidth = 1.2 * ratio; pen.stroke(); }
    pen.globalAlpha = 1;
    if (wide >= 18 * ratio) {
      pen.font = `700 ${8 * ratio}px ${paint.mono}`;
      pen.textAlign = "center";
      pen.textBaseline = "middle";
      pen.fillStyle = isTaken ? paint.panel : color;
      pen.fillText(letter(one.name), center, at + (one.side === 0 ? 0.5 : isLong ? 2 : -1.5) * ratio);
    }
  }
}
