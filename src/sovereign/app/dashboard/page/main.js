// The shell: scope (which run, which moment), navigation, top bar, shortcuts. Pages live in modules of their own.

import { command, get, login, takeKeyFromAddress, bearer } from "./client.js";
import * as f from "./format.js";
import { EventLog, Stream } from "./stream.js";
import { TravelBar } from "./travel.js";
import { badge, dialog, fill, h, loading, problem, put, startTips, svg, toast } from "./ui.js";
import { page as overview } from "./page_overview.js";
import { page as flow } from "./page_flow.js";
import { page as tug } from "./page_tug.js";
import { page as council } from "./page_council.js";
import { page as decisions } from "./page_decisions.js";
import { page as trades } from "./page_trades.js";
import { page as execution } from "./page_execution.js";
import { page as runs } from "./page_runs.js";
import { page as operations } from "./page_operations.js";

const PAGES = [overview, flow, tug, council, decisions, trades, execution, runs, operations];

class App {
  constructor() {
    this.stream = new Stream();
    this.events = new EventLog();
    this.picked = new URLSearchParams(location.search).get("run");
    this.at = null;
    this.instance = null;
    this.overview = null;
    this.overviews = {};
    this.sessions = [];
    this.runs = [];
    this.rows = [];
    this.mounted = null;
    this.failure = null;
    this._ears = new Set();
  }

  // The run that is shown, as its name; null until something has run.
  get run() { return this.picked ?? this.followed; }
  get running() { const live = this.live; return live.find((one) => one.run === this.run) ?? live[0] ?? null; }
  get live() { return this.sessions.filter((one) => one.status === "running" && one.run); }

  // The session that is followed stays on the page: another one takes its place only if it began after this one had ended.
  get followed() {
    const { live } = this;
    const mine = this._mine ? this.sessions.find((one) => one.run === this._mine) : null;
    if (mine?.status === "running") return this._mine;
    const later = (ns) => !mine?.ended_ns || BigInt(ns) > BigInt(mine.ended_ns);
    const next = live.find((one) => later(one.started_ns))?.run ?? (live.length && mine ? null : this.runs.find((one) => later(one.started_ns))?.run);
    this._mine = next ?? this._mine ?? live[0]?.run ?? this.runs[0]?.run ?? null;
    return this._mine;
  }
  get isLive() { return this.at === null && Boolean(this.overviews[this.run]?.is_live); }
  get zone() { return this.overview?.zone ?? "UTC"; }
  get scope() { return { run: this.run, at: this.at }; }

  on(ear) { this._ears.add(ear); return () => this._ears.delete(ear); }
  tell(kind, data) { for (const ear of [...this._ears]) ear(kind, data); }

  async start() {
    takeKeyFromAddress();
    this.frame();
    startTips();
    try {
      this.instance = await get("/instance");
      if (this.instance.needs_token_to_read) await login();
    } catch (error) {
      fill(this.place, problem(error, () => location.reload()));
      return;
    }
    this.stream.listen((kind, data) => this.hear(kind, data));
    this.stream.onPoll = () => this.poll();
    this.stream.open();
    await this.refresh().catch(() => {});
    this.route();
    setInterval(() => this.tickClock(), 1000);
    setInterval(() => { if (!this.isLive && this.at === null && !document.hidden) this.refresh().catch(() => {}); }, 5000);
    addEventListener("hashchange", () => this.route());
    addEventListener("keydown", (event) => this.key(event));
  }

  async poll() {
    const seen = await get("/operations");
    this.sessions = seen.sessions;
    await this.refresh();
    this.tell("poll", null);
  }

  async refresh() {
    if (this.instance && !this.runs.length) {
      try { this.runs = (await get("/runs", { limit: 50 })).rows; } catch { /* told below */ }
    }
    if (!this.run) { this.overview = null; this.draw(); return; }
    const wanted = `${this.run} ${this.at}`;
    try {
      const seen = await get("/overview", this.scope);
      if (wanted !== `${this.run} ${this.at}`) return;
      this.overview = seen;
      this.failure = null;
    } catch (error) {
      this.failure = error;
      if (error.status === 404) this.overview = null;
      if (error.status === 0) throw error;
    }
    this.draw();
    this.tell("overview", this.overview);
  }

  hear(kind, data) {
    if (kind === "init") {
      this.sessions = data.sessions;
      if (data.runs.length) this.runs = data.runs;
      this.overviews = data.overviews;
      this.afterPicture();
    } else if (kind === "change") {
      const [topic, run, symbol] = data.topic.split("/");
      if (topic === "sessions") { const before = this.run; this.sessions = data.value; if (this.run !== before) this.changeScope(); this.tell("sessions", data.value); }
      else if (topic === "runs") { const before = this.run; this.runs = data.value; if (this.run !== before) this.changeScope(); this.tell("runs", data.value); }
      else if (topic === "overview") {
        this.overviews[run] = data.value;
        if (run === this.run && this.at === null) { this.overview = data.value; this.failure = null; this._isOverviewNew = true; }
      } else if (topic === "events") {
        if (run === this.events.session && !this.events.add([data.value])) this.events.fillUp().catch(() => {});
        this.tell("event", data.value);
      } else if (topic === "notices" || topic === "commands") this.tell(topic, data.value);
      else if (run === this.run && this.at === null) this.tell(topic, { symbol, op: data.op, value: data.value });
    } else if (kind === "settled") {
      if (this._isOverviewNew) { this._isOverviewNew = false; this.later(); }
    } else if (kind === "state") {
      this.drawLine();
      this.tell("line", data);
    }
  }

  later() {
    if (this._waiting) return;
    this._waiting = true;
    requestAnimationFrame(() => { this._waiting = false; this.draw(); this.tell("overview", this.overview); });
  }

  async afterPicture() {
    const session = this.sessions.find((one) => one.run === this.run)?.session ?? null;
    if (session && this.events.session !== session) this.events.begin(session).catch(() => {});
    else if (session) this.events.fillUp().catch(() => {});
    if (this.at === null && this.overviews[this.run]) { this.overview = this.overviews[this.run]; this.draw(); }
    else await this.refresh().catch(() => {});
    this.tell("again", null);
  }

  setRun(name) {
    this.picked = name;
    this.at = null;
    const address = new URL(location.href);
    if (name) address.searchParams.set("run", name);
    else address.searchParams.delete("run");
    history.replaceState(null, "", address);
    this.changeScope();
  }

  setMoment(at) {
    this.at = at;
    document.documentElement.classList.toggle("traveling", at !== null);
    return this.refresh().then(() => this.tell("moment", at)).catch(() => {});
  }

  changeScope() {
    this.travel.close();
    const session = this.sessions.find((one) => one.run === this.run)?.session ?? null;
    if (session) this.events.begin(session).catch(() => {});
    this.overview = this.overviews[this.run] ?? null;
    this.draw();
    this.refresh().catch(() => {});
    this.route(true);
  }

  // Shell

  frame() {
    this.nav = h("nav.rail", { "aria-label": "Pages" }, h("a.brand", { href: "#overview", "aria-label": "Sovereign, overview" }, svg("M4 13v6M8 6v13M12 10v9M16 8v8M20 4v12"), h("span", null, "Sovereign")),
      h("ul", null, PAGES.map((one, at) => h("li", null, h("a", { href: `#${one.id}`, "data-page": one.id, "data-tip": `${one.title} (key ${at + 1})`, "aria-keyshortcuts": String(at + 1) }, svg(one.icon), h("span", null, one.title))))));
    this.choose = h("select", { "aria-label": "Run or session", onChange: () => this.setRun(this.choose.value || null) });
    this.state = h("span.state");
    this.mark = h("span");
    this.clock = h("span.clock");
    this.line = h("button.line", { "aria-live": "polite", onClick: () => this.explainLine() });
    this.alertCount = h("a.alerts", { href: "#operations" });
    this.buttons = h("div.controls", { role: "group", "aria-label": "Session controls" },
      this.control("RESUME", "Resume", "r"), this.control("HALT", "Halt", "h"), this.control("FLATTEN", "Flatten", "x"), this.control("STOP", "Stop", ""), this.control("KILL", "Kill", ""), h("button.start", { onClick: () => this.startSession() }, "Start"));
    this.theme = h("button.plain", { "aria-label": "Theme", "data-tip": "dark or light (key D)", onClick: () => this.changeTheme() }, svg("M12 3a9 9 0 1 0 9 9 7 7 0 0 1-9-9z"));
    this.help = h("button.plain", { "aria-label": "Keyboard shortcuts", "data-tip": "shortcuts (key ?)", onClick: () => this.showHelp() }, "?");
    this.travelButton = h("button.plain", { "aria-label": "Time travel", "data-tip": "time travel (key T)", onClick: () => this.travel.toggle() }, svg("M12 7v5l3 2M3.5 12a8.5 8.5 0 1 0 2.5-6M3 4v3.5h3.5"));
    this.travel = new TravelBar(this);
    this.place = h("main", { id: "page", tabindex: "-1" }, loading());
    const bar = h("header.bar", null, this.choose, this.state, this.mark, h("span.grow"), this.buttons, this.alertCount, this.clock, this.line, this.travelButton, this.theme, this.help);
    fill(document.getElementById("app"), this.nav, h("div.stage", null, bar, this.travel.element, this.place));
    document.documentElement.dataset.theme = localStorage.getItem("sovereign.theme") ?? (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark");
    this.draw();
  }

  control(kind, text, key) {
    return h(`button.${kind.toLowerCase()}`, { "data-kind": kind, "data-tip": key ? `key ${key.toUpperCase()}` : null, onClick: () => this.command(kind) }, text);
  }

  async command(kind, given) {
    const about = given ? given : kind === "KILL" || !this.overview?.account ? {} : { account: this.overview.account, strategy: this.overview.strategy };
    const answer = await command(kind, about, this.instance);
    if (answer) { await this.refresh().catch(() => {}); this.tell("again", null); }
  }

  async startSession() {
    const { post } = await import("./client.js");
    const chosen = await dialog("Start a paper session", (close) => {
      const strategy = h("select", { id: "start-strategy" }, this.instance.strategies.map((name) => h("option", { value: name }, name)));
      strategy.value = this.instance.strategies.includes("order_flow") ? "order_flow" : this.instance.strategies[0];
      const account = h("input", { type: "text", id: "start-account", placeholder: "default account", maxlength: "64", pattern: "[A-Za-z0-9_.\\-]*" });
      return h("form", { onSubmit: (event) => { event.preventDefault(); close({ strategy: strategy.value, account: account.value || null }); } },
        h("p", null, "Starts a process of its own on paper; it goes on when this dashboard ends. The simulated venue must run (sovereign venue). Live trading is started at the terminal, with its three consents."),
        h("label", { for: "start-strategy" }, "Strategy"), strategy, h("label", { for: "start-account" }, "Account"), account,
        h("div.buttons", null, h("button", { type: "button", onClick: () => close(null) }, "Cancel"), h("button.primary", { type: "submit" }, "Start")));
    });
    if (!chosen) return;
    try {
      const started = await post("/session/start", chosen);
      toast(`started process ${started.pid}; its output is in ${started.log}`, "ok");
    } catch (error) { toast(error.message, "bad"); }
  }

  draw() {
    const seen = this.overview;
    const names = new Map(this.runs.map((one) => [one.run, one]));
    const live = new Set(this.live.map((one) => one.run));
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const label = (one) => `${live.has(one.run) ? "\u25cf " : ""}${one.strategy}, ${one.kind}, ${f.moment(one.started_ns, zone).slice(5, 16)}`;
    const followed = names.get(this.followed);
    const options = [["", this.running && live.has(this.followed) ? `Live: ${this.live.find((one) => one.run === this.followed).strategy} on ${this.live.find((one) => one.run === this.followed).account}` : followed ? `Newest: ${followed.strategy}` : "Newest"], ...[...names.values()].sort((a, b) => Number(live.has(b.run)) - Number(live.has(a.run))).map((one) => [one.run, label(one)])];
    if (this.picked && !names.has(this.picked)) options.push([this.picked, this.picked]);
    const text = JSON.stringify(options);
    if (text !== this._options) { this._options = text; fill(this.choose, options.map(([value, label]) => h("option", { value }, label))); }
    this.choose.value = this.picked ?? "";
    const isRunning = this.at === null && (seen?.is_live ?? false);
    const state = seen?.state ?? null;
    const shown = !seen ? ["none", this.run && !this.failure ? "loading" : "no run"] : seen.latch ? ["halted", "KILLED"] : state === "ACTIVE" ? (isRunning || this.at !== null ? ["active", "ACTIVE"] : ["ended", f.words(seen.status)]) : [state.toLowerCase(), state];
    const mark = { active: "\u25cf", halted: "\u25a0", reducing: "\u25bc", ended: "\u25cb", none: "\u25cb" }[shown[0]] ?? "\u25cf";
    const cause = seen?.halts?.at(-1);
    fill(this.state, h(`span.state-badge.${shown[0]}`, { role: "status", "aria-label": `trading state ${shown[1]}`, "data-tip": seen?.latch ? `killed by ${seen.latch.by}: ${seen.latch.reason}` : cause && state !== "ACTIVE" ? `${cause.cause}: ${cause.reason}` : `session ${seen?.status ?? "none"}` }, h("span", { "aria-hidden": "true" }, mark), ` ${shown[1]}`));
    fill(this.mark, seen?.is_simulated ? badge("SIMULATED", "sim", "simulated market data: says nothing about markets") : null, seen && this.at !== null ? badge("PAST", "past", "time travel: what was known then") : null, seen?.is_catching_up ? badge("catching up", "warn", "the recording is still being read; prices may be old") : null);
    for (const button of this.buttons.querySelectorAll("button[data-kind]")) {
      const kind = button.dataset.kind;
      button.hidden = this.at !== null || (kind === "RESUME" ? !(seen && (seen.state !== "ACTIVE" || seen.latch)) : kind === "KILL" ? false : !isRunning) || (kind === "HALT" && state === "HALTED");
    }
    this.buttons.querySelector(".start").hidden = Boolean(this.running) || this.at !== null;
    const count = seen?.alerts?.length ?? 0;
    fill(this.alertCount, count ? [h("span", { "aria-hidden": "true" }, "\u26a0 "), `${count} alert${count > 1 ? "s" : ""}`] : null);
    this.alertCount.hidden = !count;
    this.tickClock();
    this.drawLine();
  }

  tickClock() {
    const zone = this.zone;
    const now = this.at ?? (this.isLive ? this.overview?.clock_ns : null);
    const ms = now === null || now === undefined ? Date.now() : f.toMs(now);
    const text = `${f.clock(ms, zone)} ${f.zoneName(ms, zone)}`;
    if (this._clock !== text) {
      this._clock = text;
      this.clock.textContent = text;
      this.clock.dataset.tip = `${f.utc(ms)}\n${this.at !== null ? "the moment you travel to" : this.isLive ? "clock of the traded market" : "this machine's clock"}`;
    }
    this.drawLine();
  }

  drawLine() {
    const { state } = this.stream;
    const beat = this.overview?.heartbeat;
    let shown = { live: ["live", "live"], connecting: ["wait", "connecting"], stale: ["warn", "stale"], polling: ["warn", "polling"], down: ["bad", "disconnected"] }[state];
    if (state === "live" && this.isLive && beat?.is_gone) shown = ["bad", "session gone"];
    else if (state === "live" && this.isLive && beat?.is_stale) shown = ["warn", `session silent ${f.age(beat.age_s)}`];
    if (this._shownLine === shown.join()) return;
    this._shownLine = shown.join();
    this.line.className = `line ${shown[0]}`;
    fill(this.line, h("span.dot", { "aria-hidden": "true" }), shown[1]);
    document.documentElement.classList.toggle("cut-off", shown[0] === "bad");
    document.documentElement.classList.toggle("is-stale", shown[0] === "warn");
  }

  explainLine() {
    const s = this.stream;
    dialog("Connection", () => h("dl.facts", null, [["state", s.state], ["instance", s.epoch || f.NONE], ["message number", String(s.seq)], ["gaps found and filled", String(s.gaps)], ["messages", String(s.messages)], ["signed in", bearer() ? "yes" : "no: commands ask for the key"], ["session's last sign of life", this.overview?.heartbeat ? `${f.age(this.overview.heartbeat.age_s)} ago` : f.NONE]].map(([name, value]) => [h("dt", null, name), h("dd", null, value)])));
  }

  changeTheme() {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    localStorage.setItem("sovereign.theme", next);
    dispatchEvent(new Event("sovereign:theme"));
  }

  route(again = false) {
    const [id, ...rest] = location.hash.slice(1).split("/").map(decodeURIComponent);
    const wanted = PAGES.find((one) => one.id === id) ?? overview;
    for (const link of this.nav.querySelectorAll("a[data-page]")) {
      if (link.dataset.page === wanted.id) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${wanted.title} - Sovereign`;
    if (!again && this.mounted?.page === wanted) { this.mounted.go?.(rest); return; }
    this.mounted?.destroy?.();
    this.mounted = null;
    const root = h("div.page", { class: wanted.id });
    fill(this.place, h("h1.hidden", null, wanted.title), root);
    const off = [];
    const own = { app: this, on: (ear) => off.push(this.on(ear)), every: (ms, act) => { const timer = setInterval(act, ms); off.push(() => clearInterval(timer)); } };
    const handle = wanted.mount(root, own) ?? {};
    this.mounted = { page: wanted, go: handle.go, key: handle.key, destroy: () => { off.forEach((one) => one()); handle.destroy?.(); } };
    if (rest.length) handle.go?.(rest);
    if (!again) this.place.focus({ preventScroll: true });
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input,textarea,select,dialog")) return;
    const at = "123456789".indexOf(event.key);
    if (at >= 0 && PAGES[at]) { location.hash = PAGES[at].id; return; }
    if (this.mounted?.key?.(event)) { event.preventDefault(); return; }
    if (this.travel.isOpen && this.travel.key(event)) { event.preventDefault(); return; }
    const act = { "?": () => this.showHelp(), d: () => this.changeTheme(), t: () => this.travel.toggle(), h: () => this.command("HALT"), x: () => this.command("FLATTEN"), r: () => this.command("RESUME"), g: () => this.choose.focus(), "/": () => this.place.querySelector("input[type=search]")?.focus() }[event.key];
    if (act) { event.preventDefault(); act(); }
  }

  showHelp() {
    const rows = [["1 ... 9", "pages, from Overview to Operations"], ["H", "halt (asks for the typed word)"], ["X", "flatten"], ["R", "resume"], ["T", "time travel"], ["Space", "play or pause, while traveling"], ["N / P", "next or previous decision, while traveling"], ["\u2190 \u2192", "pan the footprint, or the crosshair of a chart"], ["+ \u2212", "zoom the footprint"], ["F", "follow the newest bar"], ["\u2191 \u2193 Enter", "move in a table, open a row"], ["G", "choose a run"], ["/", "search in a table"], ["D", "dark or light"], ["?", "this help"], ["Esc", "close"]];
    dialog("Keyboard", () => h("dl.keys", null, rows.map(([key, text]) => [h("dt", null, key.split(" / ").map((one, at) => [at ? " / " : "", h("kbd", null, one)])), h("dd", null, text)])));
  }
}

const app = new App();
window.sovereign = app;
app.start();
