// Time travel: play, pause, speed, step to the next decision, jump to a time. Everything shown is what was known then.

import { get } from "./client.js";
import * as f from "./format.js";
import { fill, h, put, svg, toast } from "./ui.js";

const SPEEDS = [1, 2, 5, 10, 30, 60, 120, 300, 1000];
const STEP_MS = 250;
const PLAY = "M7 5l12 7-12 7z";
const PAUSE = "M8 5v14M16 5v14";

export class TravelBar {
  constructor(app) {
    this.app = app;
    this.isOpen = false;
    this.isPlaying = false;
    this.asked = null;
    this.request = null;
    this.line = null;
    this.speed = 60;
    this.playButton = h("button", { "aria-label": "Play", onClick: () => this.toggle_play() }, svg(PLAY));
    this.slider = h("input", { type: "range", min: "0", max: "1000", step: "1", value: "0", "aria-label": "Moment", onInput: () => this.slide() });
    this.marks = h("canvas.marks", { "aria-hidden": "true" });
    this.shown = h("span.when");
    this.what = h("span.what", { "aria-live": "polite" });
    this.speeds = h("select", { "aria-label": "Speed", onChange: () => { this.speed = Number(this.speeds.value); } }, SPEEDS.map((one) => h("option", { value: String(one) }, `${one}\u00d7`)));
    this.speeds.value = "60";
    this.clock = h("input.jump", { type: "text", placeholder: "hh:mm:ss", "aria-label": "Jump to exchange time, hh:mm or hh:mm:ss", maxlength: "8", onKeydown: (event) => { if (event.key === "Enter") this.jump(); } });
    this.days = h("select", { "aria-label": "Trade date", onChange: () => this.load(this.days.value) });
    this.element = h("section.travel", { "aria-label": "Time travel", hidden: true },
      this.days,
      h("button", { "aria-label": "Previous decision", "data-tip": "previous decision or fill (P)", onClick: () => this.step(-1) }, svg("M6 5v14M19 5l-10 7 10 7z")),
      this.playButton,
      h("button", { "aria-label": "Next decision", "data-tip": "next decision or fill (N)", onClick: () => this.step(1) }, svg("M18 5v14M5 5l10 7-10 7z")),
      this.speeds, h("div.track", null, this.marks, this.slider), this.shown, this.clock, this.what,
      h("button.primary", { onClick: () => this.close() }, "Back to now"));
  }

  toggle() { if (this.isOpen) this.close(); else this.open(); }

  async open() {
    if (!this.app.run) { toast("nothing has run yet; there is no past to travel to"); return; }
    this.isOpen = true;
    this.element.hidden = false;
    this.days.hidden = true;
    this.playButton.focus();
    await this.load(null);
  }

  async load(day) {
    this.pause();
    this.asked = this.wanted = null;
    this.line = null;
    fill(this.shown, "loading ...");
    const request = this.request = {};
    let line = null;
    try {
      line = await get("/timeline", { run: this.app.run, day });
    } catch (error) { if (this.request === request) { toast(error.message, "bad"); this.close(); } return; }
    // Closed, or another day asked for, since.
    if (this.request !== request) return;
    this.line = line;
    fill(this.days, this.line.days.map((one) => h("option", { value: one }, one)));
    this.days.hidden = this.line.days.length < 2;
    if (this.line.day) this.days.value = this.line.day;
    this.app.day = this.line.days.length > 1 ? this.line.day : null;
    this.begin = BigInt(this.line.begin_ns);
    this.end = BigInt(this.line.end_ns);
    if (this.end <= this.begin) this.end = this.begin + 1000000000n;
    const first = this.line.moments[0]?.ts;
    this.go(first ?? this.line.begin_ns);
    if (this.asked !== null) this.jump(this.asked);
    requestAnimationFrame(() => this.drawMarks());
  }

  close() {
    if (!this.isOpen) return;
    this.pause();
    this.request = this.wanted = null;
    this.isOpen = false;
    this.element.hidden = true;
    this.app.day = null;
    this.app.setMoment(null).then(() => this.app.tell("again", null));
  }

  get at() { return this.app.at; }

  // One request at a time: while an answer is on its way only the latest wish is kept.
  async go(ns) {
    let wanted = BigInt(ns);
    if (wanted < this.begin) wanted = this.begin;
    if (wanted > this.end) wanted = this.end;
    this.wanted = wanted.toString();
    this.show(this.wanted);
    if (this._isGoing) return;
    this._isGoing = true;
    try {
      while (this.wanted !== null && this.app.at !== this.wanted) await this.app.setMoment(this.wanted);
    } finally { this._isGoing = false; }
  }

  show(ns) {
    const zone = this.line.zone;
    put(this.shown, `${f.moment(ns, zone)} ${f.zoneName(ns, zone)}`);
    this.shown.dataset.tip = f.utc(ns);
    this.slider.value = String(Number((BigInt(ns) - this.begin) * 1000n / (this.end - this.begin)));
    this.slider.setAttribute("aria-valuetext", f.moment(ns, zone));
    const past = this.line.moments.filter((one) => BigInt(one.ts) <= BigInt(ns));
    const last = past.at(-1);
    put(this.what, last ? `${past.length}/${this.line.moments.length}  ${f.clock(last.ts, zone)} ${f.words(last.text)}` : "nothing had been decided yet");
  }

  slide() { if (!this.line) return; this.pause(); this.go(this.begin + (this.end - this.begin) * BigInt(this.slider.value) / 1000n); }

  step(dir) {
    if (!this.line) return;
    this.pause();
    const now = BigInt(this.wanted ?? this.line.begin_ns);
    const found = dir > 0 ? this.line.moments.find((one) => BigInt(one.ts) > now) : this.line.moments.findLast((one) => BigInt(one.ts) < now);
    if (found) this.go(found.ts);
    else toast(dir > 0 ? "no later decision in this session" : "no earlier decision in this session");
  }

  jump(text = this.clock.value.trim()) {
    // A time asked for while the session is still being read is gone to when it has been.
    this.asked = this.line ? null : text;
    if (!this.line) return;
    const found = /^(\d{1,2}):(\d{2})(?::(\d{2}))?$/.exec(text);
    if (!found) { toast("write the time as hh:mm or hh:mm:ss, in exchange time", "bad"); return; }
    const asked = Number(found[1]) * 3600 + Number(found[2]) * 60 + Number(found[3] ?? 0);
    const zone = this.line.zone;
    const seconds = (ms) => f.clock(ms, zone).split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
    const start = Number(this.begin / 1000000000n) * 1000;
    const ms = start + ((asked - seconds(start) + 86400) % 86400) * 1000;
    if (BigInt(Math.round(ms)) * 1000000n > this.end) { toast("the session does not reach that time", "bad"); return; }
    this.pause();
    this.go(f.fromMs(ms));
  }

  toggle_play() { if (this.isPlaying) this.pause(); else this.play(); }

  play() {
    if (!this.line) return;
    this.isPlaying = true;
    fill(this.playButton, svg(PAUSE));
    this.playButton.setAttribute("aria-label", "Pause");
    let before = performance.now();
    this._timer = setInterval(() => {
      const now = performance.now();
      const next = f.addMs(this.wanted, (now - before) * this.speed);
      before = now;
      if (BigInt(next) >= this.end) { this.go(this.end); this.pause(); return; }
      this.go(next);
    }, STEP_MS);
  }

  pause() {
    this.isPlaying = false;
    clearInterval(this._timer);
    fill(this.playButton, svg(PLAY));
    this.playButton.setAttribute("aria-label", "Play");
  }

  key(event) {
    if (event.key === " " && !event.target.closest("button,a")) { this.toggle_play(); return true; }
    if (event.key === "n") { this.step(1); return true; }
    if (event.key === "p") { this.step(-1); return true; }
    if (event.key === "Escape") { this.close(); return true; }
    return false;
  }

  drawMarks() {
    const canvas = this.marks;
    const width = canvas.clientWidth;
    if (!width || !this.line) return;
    canvas.width = width;
    canvas.height = 14;
    const pen = canvas.getContext("2d");
    const style = getComputedStyle(document.documentElement);
    for (const one of this.line.moments) {
      const x = 8 + Number((BigInt(one.ts) - this.begin) * 10000n / (this.end - this.begin)) / 10000 * (width - 16);
      pen.fillStyle = style.getPropertyValue(one.kind === "fill" ? "--accent" : one.kind === "state" ? "--warn" : "--soft");
      pen.fillRect(x - 0.5, one.kind === "decision" ? 6 : 0, one.kind === "decision" ? 1 : 2, 14);
    }
  }
}
