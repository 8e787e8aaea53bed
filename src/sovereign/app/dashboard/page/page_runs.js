// The ledger: runs, their evidence cards and reports, and two of them side by side.

import { get } from "./client.js";
import * as f from "./format.js";
import { equityPlot } from "./plot.js";
import { badge, empty, figure, fill, gainOf, h, loading, loose, panel, problem, someOf, table, time, toast } from "./ui.js";

const VERDICTS = { evidence: "ok", weak: "warn", artefact: "bad" };

function metric(one) {
  if (!one || one.value === null || one.value === undefined) return h("span.dim", { "data-tip": one?.reason || null }, f.NONE);
  const value = Number(one.value);
  const text = one.unit === "money" ? f.money(value) : one.unit === "fraction" ? f.percent(value, 2) : one.unit === "count" ? f.whole(value) : Number.isFinite(value) ? f.fixed(value, 2) : String(one.value);
  return figure(text, { unit: one.unit, source: one.formula, extra: one.basis ? `basis: ${one.basis}` : "" });
}

export const page = {
  id: "runs",
  title: "Runs",
  icon: "M4 5h16M4 12h16M4 19h16M8 3v4M15 10v4M11 17v4",

  mount(root, { app, on }) {
    let rows = [];
    let chosen = null;
    const marked = new Set();
    const compareButton = h("button", { disabled: true, onClick: () => { location.hash = `runs/compare/${[...marked].map(encodeURIComponent).join("/")}`; } }, "Compare two");
    const kind = h("select", { "aria-label": "Kind of run", onChange: () => load() }, ["", "backtest", "replay", "demo", "paper", "live", "stress", "evidence"].map((one) => h("option", { value: one }, one || "every kind")));
    const list = panel("Runs", { id: "list", actions: h("span.filters", null, kind, compareButton) });
    const detail = panel("Run", { id: "run", cls: "detail" });
    const split = h("div.split.runs-split", null, h("div.col", null, list.element), h("div.col.aside", null, detail.element));
    fill(root, split);

    const lines = table([
      { title: "", cls: "narrow", cell: (one) => h("input", { type: "checkbox", "aria-label": `compare ${one.run}`, checked: marked.has(one.run), onChange: (event) => mark(one.run, event.target.checked) }) },
      { title: "started", sort: (one) => one.started_ns, cell: (one) => time(one.started_ns, Intl.DateTimeFormat().resolvedOptions().timeZone, "minute") },
      { title: "kind", cls: "wide-only", sort: (one) => one.kind, cell: (one) => one.kind },
      { title: "strategy", sort: (one) => one.strategy, cell: (one) => one.strategy },
      { title: "on", cls: "wide-only", cell: (one) => h("span", { "data-tip": one.symbols.length > 3 ? one.symbols.join(", ") : null }, someOf(one.symbols, 1)) },
      { title: "dates", cls: "wide-only", cell: (one) => one.start === one.end ? one.start : `${one.start} to ${one.end}` },
      { title: "data", cls: "wide-only", cell: (one) => one.is_simulated ? badge("simulated", "sim") : "recorded" },
      { title: "trades", num: true, cls: "wide-only", unit: "count", sort: (one) => one.trades, cell: (one) => f.whole(one.trades) },
      { title: "net", num: true, unit: "account currency", source: "closed trades", sort: (one) => Number(one.net ?? 0), cell: (one) => gainOf(one.net, { mark: true }) },
      { title: "verdict", sort: (one) => one.verdict ?? "", cell: (one) => one.verdict ? badge(one.verdict, VERDICTS[one.verdict.toLowerCase()] ?? "") : h("span.dim", null, one.status) },
    ], { key: (one) => one.run, label: "Runs", emptyText: "no run yet: try 'sovereign demo'", onRow: (one) => { location.hash = `runs/${encodeURIComponent(one.run)}`; }, pick: () => chosen });
    fill(list.body, loading());

    function mark(name, isOn) {
      if (isOn) marked.add(name); else marked.delete(name);
      if (marked.size > 2) marked.delete([...marked][0]);
      compareButton.disabled = marked.size !== 2;
      lines.draw();
    }

    async function load() {
      try {
        rows = (await get("/runs", { limit: 300, kind: kind.value })).rows;
        if (!lines.element.isConnected) fill(list.body, lines.element);
        list.note.textContent = `${rows.length}`;
        lines.set(rows);
      } catch (error) { fill(list.body, problem(error, load)); }
    }

    async function show(name) {
      chosen = name;
      split.classList.remove("comparing");
      lines.draw();
      detail.heading.textContent = "Run";
      if (innerWidth <= 1180) detail.element.scrollIntoView({ block: "start" });
      fill(detail.body, loading());
      try {
        const [one, curve] = await Promise.all([get(`/runs/${encodeURIComponent(name)}`), get("/equity", { run: name })]);
        if (chosen !== name) return;
        fill(detail.body,
          h("p.headline", null, h("span.mono", null, one.run)),
          h("div.buttons.left", null, h("button.primary", { onClick: () => { app.setRun(one.run); location.hash = "overview"; } }, "Open in every page"), one.has_report ? h("a.button", { href: `/api/v1/runs/${encodeURIComponent(one.run)}/report`, target: "_blank", rel: "noopener" }, "Report") : null, h("button", { onClick: async () => { app.setRun(one.run); location.hash = "flow"; await app.travel.open(); } }, "Travel in it")),
          curve.ms.length > 1 ? equityPlot([{ ...curve, name: "equity" }], { label: `Equity and drawdown of ${one.run}` }) : null,
          card(one.summary.evidence),
          figures(one.summary),
          h("h3", null, "Facts"),
          h("dl.facts", null, [["status", one.status], ["strategy", one.strategy], ["symbols", one.symbols.join(", ")], ["dates", `${one.start} to ${one.end} (${one.zone})`], ["data", one.is_simulated ? "simulated" : "recorded"], ["fills", one.fill_model], ["starting balance", f.money(one.starting_balance)], ["seed", one.seed ?? f.NONE], ["trials on this data", `${one.trials.distinct} distinct, ${one.trials.runs} runs`], ...Object.entries(one.hashes).map(([key, value]) => [`${key} hash`, h("span.mono", null, value.slice(0, 16))]), one.parent ? ["made from", one.parent] : null].filter(Boolean).map(([key, value]) => [h("dt", null, key), h("dd", null, value)])),
          (one.summary.assumptions ?? []).length ? [h("h3", null, "Assumptions"), h("ul", null, one.summary.assumptions.map((text) => h("li", null, typeof text === "string" ? text : JSON.stringify(text))))] : null,
          h("details", null, h("summary", null, "Settings"), h("pre.mono", null, JSON.stringify(one.config, null, 2))));
      } catch (error) { fill(detail.body, problem(error, () => show(name))); }
    }

    function card(evidence) {
      if (!evidence) return null;
      const kindOf = VERDICTS[String(evidence.verdict).toLowerCase()] ?? "";
      return h("section.card", { class: kindOf, "aria-label": "Evidence card" }, h("p.card-verdict", null, String(evidence.verdict).toUpperCase()), h("p", null, evidence.reason),
        h("table.checks", { "aria-label": "Evidence checks" }, h("tbody", null, evidence.checks.map((check) => h("tr", null, h("td", null, badge(check.state === "passed" ? "\u2713 passed" : check.state === "failed" ? "\u00d7 failed" : `\u2013 ${f.words(check.state)}`, check.state === "passed" ? "ok" : check.state === "failed" ? "bad" : "muted")), h("td.wrap", null, check.question), h("td.num", null, loose(check.value ?? null) === "unknown" ? "" : loose(check.value), check.limit !== null && check.limit !== undefined ? h("span.dim", null, ` / ${loose(check.limit)}`) : ""))))));
    }

    function figures(summary) {
      const metrics = Object.values(summary.metrics ?? {});
      if (!metrics.length) return null;
      const lanes = Object.entries(summary.lanes ?? {});
      return [h("h3", null, "Figures"), h("div.figures", null, metrics.map((one) => h("div", null, h("span.label", null, one.name), metric(one)))),
        lanes.length ? [h("h3", null, "Under other assumptions"), h("div.figures", null, lanes.map(([name, lane]) => h("div", null, h("span.label", null, f.words(name)), gainOf(lane.net ?? lane.metrics?.net?.value ?? null), h("span.dim", null, lane.trades !== undefined ? ` ${lane.trades} trades` : ""))))] : null];
    }

    async function compare(first, second) {
      chosen = null;
      split.classList.add("comparing");
      detail.heading.textContent = "Two runs side by side";
      fill(detail.body, loading());
      try {
        const [one, a, b, ea, eb] = await Promise.all([get("/runs/compare", { first, second }), get(`/runs/${encodeURIComponent(first)}`), get(`/runs/${encodeURIComponent(second)}`), get("/equity", { run: first }), get("/equity", { run: second })]);
        const curves = [{ ...ea, name: "A" }, { ...eb, name: "B" }].filter((curve) => curve.ms.length > 1);
        const rowsOf = (list, isMetric) => h("table.checks", null, h("thead", null, h("tr", null, ["", "A", "B", "B \u2212 A"].map((text, at) => h("th", { scope: "col", class: at ? "num" : "" }, text || h("span.hidden", null, "name"))))), h("tbody", null, list.map((row) => h("tr", null, h("td.wrap", null, f.words(row.name)), h("td.num", { class: isMetric ? "" : "wrap" }, short(row.first)), h("td.num", { class: isMetric ? "" : "wrap" }, short(row.second)), h("td.num", null, row.change === null || !isMetric ? "" : f.fixed(row.change, Math.abs(row.change) >= 100 ? 2 : 4, { sign: true }))))));
        fill(detail.body, h("p", null, h("strong", null, "A "), h("span.mono", null, a.run), " ", badge(a.verdict ?? a.status, VERDICTS[(a.verdict ?? "").toLowerCase()] ?? "")), h("p", null, h("strong", null, "B "), h("span.mono", null, b.run), " ", badge(b.verdict ?? b.status, VERDICTS[(b.verdict ?? "").toLowerCase()] ?? "")),
          curves.length ? [equityPlot(curves, { label: "Equity and drawdown of both runs" }), h("p.dim", null, "A solid, B dashed; below, how far each is under its high-water mark")] : null,
          h("h3", null, "Figures that differ"), one.metrics.length ? rowsOf(one.metrics, true) : h("p.dim", null, "none"),
          h("h3", null, "Facts"), one.facts.length ? rowsOf(one.facts) : h("p.dim", null, "the same"),
          h("h3", null, "Settings"), one.config.length ? rowsOf(one.config) : h("p.dim", null, "the same"),
          h("h3", null, "Trades"), h("p", null, `${one.trades.in_both} in both, ${one.trades.only_first.length} only in A, ${one.trades.only_second.length} only in B, ${one.trades.changed.length} with another outcome`),
          h("ul.plain-list", null, [...one.trades.only_first.slice(0, 12).map((trade) => ["A", trade]), ...one.trades.only_second.slice(0, 12).map((trade) => ["B", trade])].map(([where, trade]) => h("li", null, badge(`only ${where}`), " ", time(trade.entry_ns, a.zone, "both"), ` ${trade.side} ${trade.quantity} ${trade.symbol} `, gainOf(trade.net)))));
      } catch (error) { fill(detail.body, problem(error)); }
    }
    const isNumber = (value) => typeof value === "number" || (typeof value === "string" && /^-?\d+\.\d+$/.test(value));
    const short = (value) => (isNumber(value) ? loose(Number(value)) : value === null || value === undefined ? f.NONE : typeof value === "object" ? JSON.stringify(value) : f.known(value) && typeof value === "number" ? loose(value) : String(value).slice(0, 60));

    fill(detail.body, empty("Choose a run", "Its evidence card, figures and settings; or tick two and compare them."));
    load();
    on((kindOf) => { if (kindOf === "runs" || kindOf === "again") load(); });
    return { go: (parts) => { if (parts[0] === "compare" && parts.length >= 3) compare(parts[1], parts[2]); else if (parts[0]) show(parts[0]); else toast("choose a run"); } };
  },
};
