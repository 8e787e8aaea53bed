// Tug of war: per symbol how hard institutions and crowd pull, how sure each is, and how it was decided before.

import { get } from "./client.js";
import * as f from "./format.js";
import { badge, empty, figure, fill, gainOf, h, loading, loose, panel, problem, soon, table, time, verdict } from "./ui.js";

const SPACE = "http://www.w3.org/2000/svg";
const RULES = { "strong conflict": "ok", "weak conflict": "ok", "crowded skip": "warn" };
const SEEN = {
  institutions: [["momentum_z", "momentum", "standard deviations"], ["alpha_z", "alpha", "standard deviations"], ["breakout", "breakout", "share of the range"], ["news_tone", "news tone", "-1..1"]],
  crowd: [["rsi", "RSI", "0..100"], ["volume_ratio", "volume against usual", "ratio"], ["pump", "fast rise", "fraction"], ["post_tone", "posts' tone", "-1..1"]],
};

const kindOf = (word) => (/buy|long|bull/i.test(word ?? "") ? 1 : /sell|short|bear/i.test(word ?? "") ? -1 : 0);

// How hard one side pulls: its confidence, with the sign of what it votes for. Without a direction it holds the middle.
function pull(inputs, who) {
  const confidence = inputs[`confidence_${who}`];
  return typeof confidence === "number" ? kindOf(inputs[`vote_${who}`]) * confidence : null;
}

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

  mount(root, { app, on }) {
    fill(root, loading());
    const meters = h("div.meters");
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
      return h("p.tug-seen", null, h("span.label", null, who === "institutions" ? "institutions see" : "the crowd sees"), found.length ? found.map(([name, text, unit]) => h("span", null, `${text} `, figure(loose(inputs[name]), { unit, source: "the bar it was decided on" }))) : h("span.dim", null, "nothing that is known"));
    }

    function card(one) {
      const { inputs } = one;
      const [institutions, crowd] = [pull(inputs, "institutions"), pull(inputs, "crowd")];
      const held = app.overview?.positions.find((position) => position.symbol === one.symbol);
      return h("section.panel.tug-card", { "aria-label": one.symbol }, h("header", null, h("h2", null, one.symbol), held ? badge(`${held.side.toLowerCase()} ${Math.abs(held.quantity)}`, held.quantity > 0 ? "buy" : "sell", "held now") : null, h("span.grow"), badge(f.words(one.name), RULES[f.words(one.name)] ?? "muted"), verdict(one.verdict)), h("div.panel-body", null,
        tension(institutions, crowd, `${one.symbol}: institutions ${f.fixed(institutions, 2)}, crowd ${f.fixed(crowd, 2)}`),
        h("div.figures", null, [
          ["confidence", figure(f.percent(one.confidence), { unit: "fraction", source: "the strategy" })],
          ["imbalance z", figure(f.fixed(inputs.ofi_z ?? null, 2, { sign: true }), { unit: "standard deviations", source: f.known(inputs.ofi_z) ? "quotes" : "needs a tape of trades and quotes" })],
          ["absorption", absorption(inputs)],
          ["tug score", figure(f.fixed(inputs.tug_score ?? null, 2, { sign: true }), { unit: "institutions' confidence less the crowd's", source: "the strategy" })],
          ["rank", figure(f.percent(inputs.rank ?? null), { unit: "share of earlier convictions that were weaker", source: "the strategy" })],
          ["market", h("span", { "data-tip": `unit: kind of market\nchance of a crisis: ${f.percent(inputs.p_crisis ?? null)}` }, f.words(inputs.regime ?? "unknown"))],
        ].map(([name, value]) => h("div", null, h("span.label", null, name), value))),
        seenBy(inputs, "institutions"), seenBy(inputs, "crowd"),
        h("p.dim", null, time(one.ts, app.zone, "both"), one.failed_check ? `, refused by ${f.words(one.failed_check)}` : "")));
    }

    async function load() {
      if (!app.run) { fill(root, empty("Nobody pulls", "Nothing has run yet.")); return; }
      if (app.overview && app.overview.strategy !== "tug_of_war") {
        const other = app.live.find((one) => one.strategy === "tug_of_war") ?? app.runs.find((one) => one.strategy === "tug_of_war");
        fill(root, empty("No tug of war in this run", `This page shows the tension between institutions and crowd while the strategy 'tug_of_war' runs; ${app.overview.strategy} decides here.`, h("div.buttons", null, other ? h("button.primary", { onClick: () => app.setRun(other.run) }, "Show the one that ran") : null, h("a.button", { href: "#decisions" }, "See its decisions"))));
        return;
      }
      try {
        const [found, cost] = await Promise.all([get("/decisions", { ...app.scope, limit: 300 }), get("/execution", { ...app.scope, limit: 1000 })]);
        const newest = new Map();
        for (const row of found.rows) if (!newest.has(row.symbol)) newest.set(row.symbol, row);
        const details = (await Promise.all([...newest.values()].slice(0, 20).map((one) => get(`/decisions/${encodeURIComponent(one.decision_id)}`, app.scope).catch(() => null)))).filter(Boolean);
        fill(meters, details.length ? details.map(card) : h("section.panel", null, empty("No candidate yet", "A symbol appears when institutions are sure enough of it; they are asked at fixed times of the day.")));
        fill(root, meters, h("div.columns", null, h("div.col.main", null, history.element), h("div.col.aside", null, shortfall.element)));
        lines.set(found.rows);
        const s = cost.summary;
        fill(shortfall.body, s.shortfall_bps.count ? h("dl.facts", null, [["mean", `${f.fixed(s.shortfall_bps.mean, 2)} bps`], ["p95", `${f.fixed(s.shortfall_bps.p95, 2)} bps`], ["worst", `${f.fixed(s.shortfall_bps.worst, 2)} bps`], ["money", gainOf(-s.shortfall_money.sum)], ["orders", String(s.shortfall_bps.count)]].map(([name, value]) => [h("dt", null, name), h("dd", null, value)])) : empty("No fill yet"));
      } catch (error) { fill(root, problem(error, load)); }
    }
    load();
    const again = soon(load);
    on((kind) => { if (kind === "again" || kind === "moment") load(); else if (kind === "decisions" || kind === "fills") again(); });
    return {};
  },
};
