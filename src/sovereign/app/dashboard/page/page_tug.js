// Tug of war: per symbol how hard institutions and crowd pull, how sure each is, and how it was decided before.

import { get } from "./client.js";
import * as f from "./format.js";
import { tugTables } from "./tug_tables.js";
import { badge, empty, figure, fill, gainOf, h, loading, loose, panel, problem, soon, table, tile, time, verdict } from "./ui.js";

const SPACE = "http://www.w3.org/2000/svg";
const RULES = { "strong conflict": "ok", "weak conflict": "ok", "crowded skip": "warn" };
const SEEN = {
  institutions: [["momentum_z", "momentum", "standard deviations"], ["alpha_z", "alpha", "standard deviations"], ["breakout", "breakout", "share of the range"], ["news_tone", "news tone", "-1..1"]],
  crowd: [["rsi", "RSI", "0..100"], ["volume_ratio", "volume against usual", "ratio"], ["pump", "fast rise", "fraction"], ["post_tone", "posts' tone", "-1..1"]],
};

const kindOf = (word) => (/buy|long|bull/i.test(word ?? "") ? 1 : /sell|short|bear/i.test(word ?? "") ? -1 : 0);

// How hard a camp pulls: its confidence, with the sign of what it votes for. Without a direction it holds the middle.
const pull = (camp) => (typeof camp?.confidence === "number" ? kindOf(camp.vote) * camp.confidence : null);

// A rope between two pulls of -1..1: the knot lies where their mean does, the rope's length says how far they disagree.
export function tension(institutions, crowd, label) {
  const make = (tag, props, text) => { const element = document.createElementNS(SPACE, tag); for (const [key, value] of Object.entries(props)) element.setAttribute(key, String(value)); if (text !== undefined) element.textContent = text; return element; };
  const box = make("svg", { viewBox: "0 0 320 96", role: "img", "aria-label": label, class: "tension" });
  const x = (value) => 160 + Math.max(-1, Math.min(1, value)) * 136;
  box.append(make("rect", { x: 24, y: 36, width: 136, height: 22, class: "pull-sell" }), make("rect", { x: 160, y: 36, width: 136, height: 22, class: "pull-buy" }));
  for (const at of [-1, -0.5, 0, 0.5, 1]) box.append(make("line", { x1: x(at), y1: at ? 43 : 36, x2: x(at), y2: at ? 51 : 58, class: "rope-axis" }));
  const words = (where, y, text, cls) => box.append(make("text", { x: Math.max(4, Math.min(316, where)), y, "text-anchor": where < 80 ? "start" : where > 240 ? "end" : "middle", class: cls }, text));
  if (institutions !== null && crowd !== null) {
    const knot = x((institutions + crowd) / 2);
    box.append(make("line", { x1: x(institutions), y1: 47, x2: x(crowd), y2: 47, class: "rope" }), make("path", { d: `M${knot} 41l6 6-6 6-6-6z`, class: "knot" }));
  }
  if (crowd !== null) { box.append(make("circle", { cx: x(crowd), cy: 47, r: 7.5, class: `puller crowd${crowd ? "" : " open"}` })); words(x(crowd), 74, crowd ? `crowd ${f.fixed(crowd, 2, { sign: true })}` : "crowd: no direction", "rope-text"); }
  if (institutions !== null) { box.append(make("rect", { x: x(institutions) - 7.5, y: 39.5, width: 15, height: 15, class: `puller institution${institutions ? "" : " open"}` })); words(x(institutions), 27, institutions ? `institutions ${f.fixed(institutions, 2, { sign: true })}` : "institutions: no direction", "rope-text"); }
  words(24, 90, "\u25c2 sell", "rope-end");
  words(296, 90, "buy \u25b8", "rope-end");
  return box;
}

export const page = {
  id: "tug",
  title: "Tug of war",
  icon: "M3 12h18M6 8v8M18 8v8M10 10l-2 2 2 2M14 10l2 2-2 2",

  mount(root, { app, on, every }) {
    fill(root, loading());
    const figures = h("div.tiles");
    const marketTiles = h("div.tiles", { id: "market" });
    const meters = h("div.meters");
    const tables = tugTables(app);
    const history = panel("Verdicts", { id: "history", note: "newest first" });
    const shortfall = panel("Shortfall", { id: "shortfall", note: "decision price against fill" });
    const lines = table([
      { title: "time", cell: (one) => time(one.ts, app.zone, "both") }, { title: "symbol", cell: (one) => one.symbol }, { title: "verdict", cell: (one) => badge(f.words(one.name), RULES[f.words(one.name)] ?? "muted") }, { title: "outcome", cell: (one) => verdict(one.verdict) },
      { title: "refused by", cell: (one) => f.words(one.failed_check) }, { title: "confidence", num: true, unit: "0..1", cell: (one) => f.fixed(one.confidence, 2) },
    ], { key: (one) => one.decision_id, label: "Verdict history", emptyText: "nobody has been sure enough yet to be looked at", onRow: (one) => { location.hash = `decisions/${encodeURIComponent(one.decision_id)}`; } });
    history.body.append(lines.element);

    function absorption(inputs) {
      const seen = inputs.is_absorption;
      if (seen === 1) return badge("\u25cf seen", "warn", "much was traded and the price stayed: somebody takes what the crowd gives");
      if (seen === 0) return h("span.dim", null, "none");
      return h("span.dim", { "data-tip": "needs a tape of trades and quotes of this symbol" }, "not known");
    }

    function seenBy(inputs, who) {
      const found = SEEN[who].filter(([name]) => typeof inputs[name] === "number");
      return h("p.tug-seen", null, h("span.label", null, who === "institutions" ? "institutions see" : "the crowd sees"), found.length ? found.map(([name, text, unit]) => h("span", null, `${text} `, figure(loose(inputs[name]), { unit, source: "the bar" }))) : h("span.dim", null, "nothing that is known"));
    }

    // A share as both camps see it at its last bar; `last` is its newest candidate.
    function card(one, last) {
      const { inputs } = one;
      const [institutions, crowd] = [pull(one.institutions), pull(one.crowd)];
      const held = app.overview?.positions.find((position) => position.symbol === one.symbol);
      return h("section.panel.tug-card", { "aria-label": one.symbol }, h("header", null, h("h2", null, one.symbol), held ? badge(`${held.side.toLowerCase()} ${Math.abs(held.quantity)}`, held.quantity > 0 ? "buy" : "sell", "held now") : null, h("span.grow"), one.verdict ? badge(f.words(one.verdict), RULES[f.words(one.verdict)] ?? "muted", "what the rule makes of the last bar") : null), h("div.panel-body", null,
        one.ts === null ? h("p.dim", null, "no bar has closed yet") : [
          tension(institutions, crowd, `${one.symbol}: institutions ${f.fixed(institutions, 2)}, crowd ${f.fixed(crowd, 2)}`),
          h("div.figures", null, [
            ["institutions", figure(f.percent(one.institutions.confidence), { unit: "confidence, fraction", source: one.institutions.reason || "the strategy" })],
            ["crowd", figure(f.percent(one.crowd.confidence), { unit: "confidence, fraction", source: one.crowd.reason || "the strategy" })],
            ["tug score", figure(f.fixed(one.tug_score, 2), { unit: "distance of both confidences", source: "the strategy" })],
            ["imbalance z", figure(f.fixed(inputs.ofi_z ?? null, 2, { sign: true }), { unit: "standard deviations", source: f.known(inputs.ofi_z) ? "quotes" : "needs a tape of trades and quotes" })],
            ["absorption", absorption(inputs)],
            ["rank", figure(f.percent(inputs.rank ?? null), { unit: "share of earlier convictions that were weaker", source: "the strategy" })],
          ].map(([name, value]) => h("div", null, h("span.label", null, name), value))),
          seenBy(inputs, "institutions"), seenBy(inputs, "crowd"),
          h("p.dim", null, "bar of ", time(one.ts, app.zone, "both"))],
        last ? h("p.dim", null, h("a.underlined", { href: `#decisions/${encodeURIComponent(last.decision_id)}` }, "latest candidate"), " ", time(last.ts, app.zone, "both"), ": ", verdict(last.verdict), last.failed_check ? ` by ${f.words(last.failed_check)}` : "") : null));
    }

    // A run whose bars cannot be shown has its candidates alone.
    function fromDecision(one) {
      const camp = (who) => ({ vote: one.inputs[`vote_${who}`], confidence: one.inputs[`confidence_${who}`] ?? null, reason: "the bar it was decided on" });
      return { symbol: one.symbol, ts: one.ts, institutions: camp("institutions"), crowd: camp("crowd"), verdict: one.name, tug_score: one.inputs.tug_score ?? null, inputs: one.inputs };
    }

    function drawMarket(now) {
      const market = now.market;
      const name = market?.benchmark ?? "SPY";
      fill(marketTiles,
        tile("Market", market ? h("span.regime", { class: market.name.toLowerCase() }, f.words(market.name)) : f.NONE, market ? (f.known(market.confidence) ? `confidence ${f.percent(market.confidence)}` : market.why_not) : now.source),
        tile(`${name} volatility`, figure(f.percent(market?.volatility, 1), { unit: "fraction a year", source: "the regime's reading of the benchmark" }), market ? (f.known(market.volatility) ? "a year" : "not known") : null),
        tile(`${name} momentum`, figure(f.fixed(market?.momentum, 2, { sign: true }), { unit: "standard deviations of such changes", source: "the regime's reading of the benchmark" }), market ? (f.known(market.momentum) ? "deviations" : "not known") : null),
        tile("Mode", h("span.regime", null, market?.mode ?? f.NONE), market && !market.is_tradable ? `no entries: ${market.why_not}` : market ? "entries are allowed" : null));
    }

    function drawFigures() {
      const seen = app.overview;
      const s = cost?.summary;
      const entries = (cost?.orders ?? []).filter((one) => one.role === "ENTRY");
      const verdicts = now?.verdicts;
      const others = verdicts ? verdicts.strong_conflict + verdicts.weak_conflict : 0;
      fill(figures,
        tile("P&L today", seen ? gainOf(seen.money.day_pnl, { mark: true, currency: seen.currency, source: "equity less day-start balance" }) : f.NONE, seen ? `closed trades ${f.gain(seen.today.net)}` : null),
        tile("Win rate", figure(f.percent(seen?.today.win_rate), { unit: "fraction", source: "winners / closed trades of the session" }), seen ? `${seen.today.wins} of ${seen.today.trades}` : null),
        tile("Executed", figure(f.whole(entries.filter((one) => one.filled_qty > 0).length), { unit: "count", source: "entries that were filled, in part at least" }), `of ${entries.length} entries sent`),
        tile("Crowded skips", figure(verdicts ? f.whole(verdicts.crowded_skip) : f.NONE, { unit: "count", source: "rounds of every share in this session at which institutions were sure and the crowd with them" }), verdicts ? `${others} conflicts, ${verdicts.no_signal} without a signal` : now?.source),
        tile("Shortfall", figure(f.fixed(s?.shortfall_bps.mean, 2), { unit: "basis points, positive costs", source: "mean over orders, decision price against fill" }), s ? `${s.shortfall_bps.count} orders` : null));
    }

    let now = null;
    let cost = null;
    let rows = [];
    let details = [];

    function draw() {
      drawMarket(now);
      drawFigures();
      const newest = new Map();
      for (const row of rows) if (!newest.has(row.symbol)) newest.set(row.symbol, row);
      const shares = now.shares.length ? now.shares : details.map(fromDecision);
      fill(meters, shares.length ? shares.map((one) => card(one, newest.get(one.symbol))) : h("section.panel", null, empty("No share yet", now.source)));
    }

    async function look() {
      if (!app.run || !now) return;
      try {
        const seen = await get("/tug", app.scope);
        if (JSON.stringify(seen) === JSON.stringify(now)) { drawFigures(); return; }
        now = seen;
        draw();
      } catch { /* the next look, or the next event, tells it */ }
    }

    async function load() {
      if (!app.run) { fill(root, empty("Nobody pulls", "Nothing has run yet.")); return; }
      if (app.overview && app.overview.strategy !== "tug_of_war") {
        const other = app.live.find((one) => one.strategy === "tug_of_war") ?? app.runs.find((one) => one.strategy === "tug_of_war");
        fill(root, empty("No tug of war in this run", `This page shows the tension between institutions and crowd while the strategy 'tug_of_war' runs; ${app.overview.strategy} decides here.`, h("div.buttons", null, other ? h("button.primary", { onClick: () => app.setRun(other.run) }, "Show the one that ran") : null, h("a.button", { href: "#decisions" }, "See its decisions"))));
        return;
      }
      try {
        const [found, told, seen] = await Promise.all([get("/decisions", { ...app.scope, limit: 300 }), get("/execution", { ...app.scope, limit: 1000 }), get("/tug", app.scope)]);
        [rows, cost, now] = [found.rows, told, seen];
        const newest = new Map();
        for (const row of now.shares.length ? [] : rows) if (!newest.has(row.symbol)) newest.set(row.symbol, row);
        details = (await Promise.all([...newest.values()].slice(0, 20).map((one) => get(`/decisions/${encodeURIComponent(one.decision_id)}`, app.scope).catch(() => null)))).filter(Boolean);
        draw();
        if (!meters.isConnected) fill(root, figures, marketTiles, meters, h("div.columns", null, h("div.col.main", null, history.element), h("div.col.aside", null, shortfall.element)), tables.element);
        lines.set(rows);
        const s = cost.summary;
        fill(shortfall.body, s.shortfall_bps.count ? h("dl.facts", null, [["mean", `${f.fixed(s.shortfall_bps.mean, 2)} bps`], ["p95", `${f.fixed(s.shortfall_bps.p95, 2)} bps`], ["worst", `${f.fixed(s.shortfall_bps.worst, 2)} bps`], ["money", gainOf(-s.shortfall_money.sum)], ["orders", String(s.shortfall_bps.count)]].map(([name, value]) => [h("dt", null, name), h("dd", null, value)])) : empty("No fill yet"));
        tables.load();
      } catch (error) { fill(root, problem(error, load)); }
    }
    load();
    const again = soon(load);
    every(5000, () => { if (app.at === null && app.isLive) look(); });
    on((kind) => { if (kind === "again" || kind === "moment") load(); else if (kind === "decisions" || kind === "fills") again(); });
    return {};
  },
};
