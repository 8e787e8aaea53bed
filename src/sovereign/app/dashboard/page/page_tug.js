// Tug of war: per symbol how hard institutions and crowd pull, how sure each is, and how it was decided before.

import { get } from "./client.js";
import * as f from "./format.js";
import { badge, empty, figure, fill, gainOf, h, loading, panel, problem, table, time, verdict } from "./ui.js";

const SPACE = "http://www.w3.org/2000/svg";

function find(inputs, ...names) {
  for (const name of names) for (const [key, value] of Object.entries(inputs)) if (key === name || key.endsWith(`_${name}`) || key.startsWith(`${name}_`)) if (typeof value === "number") return value;
  return null;
}

// How hard one side pulls: its confidence, with the sign of what it votes for.
function pull(inputs, who) {
  const [word, confidence] = [String(inputs[`vote_${who}`] ?? ""), inputs[`confidence_${who}`]];
  if (typeof confidence !== "number") return null;
  return /buy|long|bull/i.test(word) ? confidence : /sell|short|bear/i.test(word) ? -confidence : 0;
}

// A rope between two scores of -1..1: the knot lies where their mean does, its width says how far they disagree.
export function tension(institutional, crowd, label) {
  const make = (tag, props) => { const element = document.createElementNS(SPACE, tag); for (const [key, value] of Object.entries(props)) element.setAttribute(key, String(value)); return element; };
  const box = make("svg", { viewBox: "0 0 320 92", role: "img", "aria-label": label, class: "tension" });
  const x = (value) => 160 + Math.max(-1, Math.min(1, value ?? 0)) * 140;
  box.append(make("line", { x1: 20, y1: 46, x2: 300, y2: 46, class: "rope-axis" }));
  for (const at of [-1, -0.5, 0, 0.5, 1]) box.append(make("line", { x1: x(at), y1: 41, x2: x(at), y2: 51, class: "rope-axis" }));
  if (institutional !== null && crowd !== null) box.append(make("line", { x1: x(institutional), y1: 46, x2: x(crowd), y2: 46, class: "rope" }));
  const text = (where, y, words, cls) => { const one = make("text", { x: where, y, "text-anchor": where < 50 ? "start" : where > 270 ? "end" : "middle", class: cls }); one.textContent = words; box.append(one); };
  if (institutional !== null) { box.append(make("rect", { x: x(institutional) - 7, y: 39, width: 14, height: 14, class: "puller institution" })); text(x(institutional), 26, `institutions ${f.fixed(institutional, 2, { sign: true })}`, "rope-text"); }
  if (crowd !== null) { box.append(make("circle", { cx: x(crowd), cy: 46, r: 7, class: "puller crowd" })); text(x(crowd), 76, `crowd ${f.fixed(crowd, 2, { sign: true })}`, "rope-text"); }
  text(20, 90, "sell", "rope-end");
  text(300, 90, "buy", "rope-end");
  return box;
}

export const page = {
  id: "tug",
  title: "Tug of war",
  icon: "M3 12h18M6 8v8M18 8v8M10 10l-2 2 2 2M14 10l2 2-2 2",

  mount(root, { app, on }) {
    fill(root, loading());
    const meters = h("div.meters");
    const history = panel("Verdicts", { id: "history" });
    const shortfall = panel("Shortfall", { id: "shortfall", note: "decision price against fill" });
    const lines = table([
      { title: "time", cell: (one) => time(one.ts, app.zone, "both") }, { title: "symbol", cell: (one) => one.symbol }, { title: "verdict", cell: (one) => f.words(one.name) }, { title: "outcome", cell: (one) => verdict(one.verdict) },
      { title: "refused by", cell: (one) => f.words(one.failed_check) }, { title: "confidence", num: true, unit: "0..1", cell: (one) => f.fixed(one.confidence, 2) },
    ], { key: (one) => one.decision_id, label: "Verdict history", onRow: (one) => { location.hash = `decisions/${encodeURIComponent(one.decision_id)}`; } });
    history.body.append(lines.element);

    function card(one) {
      const institutional = pull(one.inputs, "institutions");
      const crowd = pull(one.inputs, "crowd");
      const z = find(one.inputs, "imbalance_z", "ofi_z", "imbalance_score");
      const absorption = find(one.inputs, "absorption", "is_absorption", "iceberg");
      return h("section.panel.tug-card", { "aria-label": one.symbol }, h("header", null, h("h2", null, one.symbol), h("span.grow"), verdict(one.verdict)), h("div.panel-body", null,
        tension(institutional, crowd, `${one.symbol}: institutions ${f.fixed(institutional, 2)}, crowd ${f.fixed(crowd, 2)}`),
        h("div.figures", null, [["confidence", figure(f.percent(one.confidence), { unit: "fraction", source: "the strategy" })], ["imbalance z", figure(f.fixed(z, 2, { sign: true }), { unit: "standard deviations", source: "quotes" })], ["absorption", absorption ? badge("seen", "warn") : h("span.dim", null, "none")]].map(([name, value]) => h("div", null, h("span.label", null, name), value))),
        h("p.dim", null, f.words(one.name), " ", time(one.ts, app.zone, "both"))));
    }

    async function load() {
      if (!app.run) { fill(root, empty("Nobody pulls", "Nothing has run yet.")); return; }
      if (app.overview && app.overview.strategy !== "tug_of_war") { fill(root, empty("No tug of war in this run", `This page shows the tension between institutions and crowd while the strategy 'tug_of_war' runs; ${app.overview.strategy} decides here.`, h("a.button", { href: "#decisions" }, "See its decisions"))); return; }
      try {
        const [found, cost] = await Promise.all([get("/decisions", { ...app.scope, limit: 300 }), get("/execution", { ...app.scope, limit: 1000 })]);
        const newest = new Map();
        for (const row of found.rows) if (!newest.has(row.symbol)) newest.set(row.symbol, row);
        const details = (await Promise.all([...newest.values()].slice(0, 20).map((one) => get(`/decisions/${encodeURIComponent(one.decision_id)}`, app.scope).catch(() => null)))).filter(Boolean);
        fill(meters, details.map(card));
        fill(root, meters, h("div.columns", null, h("div.col.main", null, history.element), h("div.col.aside", null, shortfall.element)));
        lines.set(found.rows);
        const s = cost.summary;
        fill(shortfall.body, s.shortfall_bps.count ? h("dl.facts", null, [["mean", `${f.fixed(s.shortfall_bps.mean, 2)} bps`], ["p95", `${f.fixed(s.shortfall_bps.p95, 2)} bps`], ["worst", `${f.fixed(s.shortfall_bps.worst, 2)} bps`], ["money", gainOf(-s.shortfall_money.sum)], ["orders", String(s.shortfall_bps.count)]].map(([name, value]) => [h("dt", null, name), h("dd", null, value)])) : empty("No fill yet"));
      } catch (error) { fill(root, problem(error, load)); }
    }
    load();
    on((kind) => { if (["again", "moment", "decisions"].includes(kind)) load(); });
    return {};
  },
};
