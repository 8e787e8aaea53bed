// Every candidate, taken or not; a row opens everything that was looked at and what followed.

import { get } from "./client.js";
import * as f from "./format.js";
import { badge, checks, empty, figure, fill, gainOf, h, loading, loose, panel, problem, side, table, time, verdict } from "./ui.js";

const A_PAGE = 200;

export const page = {
  id: "decisions",
  title: "Decisions",
  icon: "M4 6h10M4 12h16M4 18h7M17 4l3 3-3 3",

  mount(root, { app, on }) {
    let rows = [];
    let offset = 0;
    let chosen = null;
    const filter = { verdict: "", check: "" };
    const search = h("input", { type: "search", placeholder: "search ( / )", "aria-label": "Search in decisions", onInput: () => draw() });
    const verdictBox = h("select", { "aria-label": "Verdict", onChange: () => { filter.verdict = verdictBox.value; load(); } }, [["", "every verdict"], ["APPROVED", "approved"], ["RESIZED", "resized"], ["REFUSED", "refused"]].map(([value, text]) => h("option", { value }, text)));
    const checkBox = h("select", { "aria-label": "Refused by", onChange: () => { filter.check = checkBox.value; load(); } }, h("option", { value: "" }, "any check"));
    const list = panel("Decisions", { id: "list", actions: h("span.filters", null, search, verdictBox, checkBox) });
    const detail = panel("Why", { id: "why", cls: "detail" });
    const gates = panel("Who refused", { id: "gates", note: "candidates by the check that refused them" });
    fill(root, h("div.split", null, h("div.col", null, list.element), h("div.col.aside", null, detail.element, gates.element)));

    const lines = table([
      { title: "time", sort: (one) => one.ts, cell: (one) => time(one.ts, app.zone) },
      { title: "symbol", cls: "wide-only", sort: (one) => one.symbol, cell: (one) => one.symbol },
      { title: "candidate", sort: (one) => one.name, cell: (one) => f.words(one.name) },
      { title: "side", sort: (one) => one.side, cell: (one) => side(one.side) },
      { title: "strength", num: true, cls: "wide-only", unit: "0..1", source: "the pattern", sort: (one) => one.strength, cell: (one) => f.fixed(one.strength, 2) },
      { title: "confidence", num: true, cls: "wide-only", unit: "0..1", source: "the strategy", sort: (one) => one.confidence, cell: (one) => f.fixed(one.confidence, 2) },
      { title: "verdict", sort: (one) => one.verdict, cell: (one) => verdict(one.verdict) },
      { title: "refused by", sort: (one) => one.failed_check ?? "", cell: (one) => one.failed_check ? f.words(one.failed_check) : "" },
    ], { key: (one) => one.decision_id, label: "Decisions", emptyText: "no such decision", onRow: (one) => { location.hash = `decisions/${encodeURIComponent(one.decision_id)}`; }, rowClass: (one) => (one.verdict === "REFUSED" ? "refused" : "taken"), pick: () => chosen });
    const more = h("button", { onClick: () => load(true) }, "Show earlier ones");
    const count = h("span.panel-note");
    fill(list.body, loading());

    function draw() {
      const wanted = search.value.trim().toLowerCase();
      lines.set(wanted ? rows.filter((one) => `${f.words(one.name)} ${one.symbol} ${one.side} ${f.words(one.failed_check)} ${one.decision_id}`.toLowerCase().includes(wanted)) : rows);
      list.note.textContent = `${rows.length} shown`;
    }

    async function load(isMore = false) {
      if (!app.run) { fill(list.body, empty("No decisions", "Nothing has run yet.")); return; }
      offset = isMore ? offset + A_PAGE : 0;
      try {
        const found = await get("/decisions", { ...app.scope, limit: A_PAGE, offset, verdict: filter.verdict, check: filter.check });
        rows = isMore ? [...rows, ...found.rows] : found.rows;
        if (!lines.element.isConnected) fill(list.body, lines.element, h("div.foot", null, more, count));
        more.hidden = found.rows.length < A_PAGE;
        draw();
      } catch (error) { fill(list.body, problem(error, () => load())); }
    }

    async function loadGates() {
      if (!app.run) return;
      const found = await get("/statistics", app.scope);
      const most = Math.max(1, ...found.refused_by.map((one) => one.count));
      fill(gates.body, found.refused_by.length ? h("div.bars", null, found.refused_by.map((one) => h("button.bar-row", { "aria-pressed": String(filter.check === one.check), onClick: () => { filter.check = filter.check === one.check ? "" : one.check; checkBox.value = filter.check; load(); loadGates().catch(() => {}); } }, h("span.bar-name", null, f.words(one.check)), h("span.bar", null, h("span", { style: { width: `${one.count / most * 100}%` } })), h("span.num", null, f.whole(one.count))))) : empty("Nobody was refused", app.isLive ? "Candidates that the strategy's own gates refuse are counted when the session ends; the list shows them now." : ""));
      const options = ["", ...found.refused_by.map((one) => one.check)];
      if (checkBox.options.length !== options.length) { fill(checkBox, options.map((name) => h("option", { value: name }, name ? f.words(name) : "any check"))); checkBox.value = filter.check; }
    }

    async function show(id) {
      chosen = id;
      lines.draw();
      fill(detail.body, loading());
      if (innerWidth <= 1180) detail.element.scrollIntoView({ block: "start" });
      try {
        const one = await get(`/decisions/${encodeURIComponent(id)}`, app.scope);
        if (chosen === id) fill(detail.body, explain(one, app));
      } catch (error) { fill(detail.body, problem(error)); }
    }

    fill(detail.body, empty("Choose a decision", "Its inputs, every check with limit and value, and what it would have made."));
    load();
    loadGates().catch(() => {});
    on((kind, data) => {
      if (kind === "again" || kind === "moment" || kind === "poll") { load(); loadGates().catch(() => {}); if (chosen && kind === "moment") show(chosen); }
      else if (kind === "decisions" && !filter.verdict && !filter.check) { rows = [data.value, ...rows.filter((one) => one.decision_id !== data.value.decision_id)].sort((a, b) => (a.ts < b.ts ? 1 : a.ts > b.ts ? -1 : 0)); draw(); }
      else if (kind === "bars") load();
    });
    return { go: ([id]) => { if (id) show(id); } };
  },
};

export function explain(one, app) {
  const failed = one.checks.find((check) => !check.passed);
  const outcome = one.would_have_made;
  const inputs = Object.entries(one.inputs);
  return h("div.explain", null,
    h("p.headline", null, verdict(one.verdict), " ", side(one.side), " ", h("strong", null, f.words(one.name)), ` on ${one.symbol}`),
    h("p.dim", null, time(one.ts, one.zone, "both"), ` \u00b7 ${one.decision_id}`),
    one.verdict === "REFUSED"
      ? h("p.because", null, h("strong", null, `Refused by ${f.words(one.failed_check)}. `), one.reason ? one.reason.replace(`${one.failed_check}: `, "") : failed ? `${loose(failed.value)} against ${loose(failed.limit)} ${failed.unit}` : "")
      : h("p.because.ok", null, h("strong", null, `Taken: ${one.quantity ?? "?"} ${one.traded_symbol ?? one.symbol}. `), "Every check passed."),
    one.trade ? h("p", null, `Trade ${one.trade.trade_id}: closed by ${f.words(one.trade.exit_role)}, net `, gainOf(one.trade.net, { mark: true, currency: one.currency })) : null,
    one.verdict === "REFUSED"
      ? h("p.would", null, h("span.label", null, "Would have made "), outcome ? [gainOf(one.would_have_net, { mark: true, currency: one.currency, source: "one unit after fees, worked out on the bars that followed, stop first" }), h("span.dim", null, ` (${f.whole(outcome.ticks, { sign: true })} ticks by ${f.words(outcome.exit_kind)} at ${f.clock(outcome.exit_ns, one.zone)})`)] : h("span.dim", null, app.isLive || app.at ? "not known yet: the bars that follow decide" : "not known: no direction, no bracket, or no later bars"))
      : null,
    h("h3", null, "Checks"), checks(one.checks),
    h("h3", null, "Inputs"), inputs.length ? h("dl.inputs", null, inputs.map(([name, value]) => [h("dt", null, f.words(name)), h("dd", null, loose(value))])) : h("p.dim", null, "none were kept"),
    one.orders.length ? [h("h3", null, "Orders"), h("ul.plain-list", null, one.orders.map((order) => h("li", null, `${f.words(order.role)} ${order.side} ${order.quantity} ${order.symbol} ${f.words(order.order_type)}`, order.limit_ticks ?? order.stop_ticks ? ` at ${f.price(order.limit_ticks ?? order.stop_ticks, one)}` : "", ", ", badge(f.words(order.status)), order.reason ? h("span.dim", null, ` ${order.reason}`) : "")))] : null,
    one.fills.length ? [h("h3", null, "Fills"), h("ul.plain-list", null, one.fills.map((fill) => h("li", null, time(fill.ts, one.zone), ` ${fill.side} ${fill.quantity} at ${f.price(fill.price_ticks, one)}, slippage `, figure(`${f.whole(fill.slippage_ticks, { sign: true })}`, { unit: "ticks, positive costs" }), `, fee ${f.money(fill.fee)}`, fill.is_ambiguous ? badge("ambiguous", "warn", "another fill model would decide it differently") : "")))] : null);
}
