// Closed trades: table, chart with entry, exit and excursions, and a review with tags and a note.

import { lineChart } from "./chart.js";
import { get, send } from "./client.js";
import * as f from "./format.js";
import { badge, empty, figure, fill, gainOf, h, loading, panel, problem, side, table, time, toast } from "./ui.js";

export const page = {
  id: "trades",
  title: "Trades",
  icon: "M4 17l5-6 4 4 7-9M15 6h5v5",

  mount(root, { app, on }) {
    let rows = [];
    let chosen = null;
    const tiles = h("div.tiles");
    const search = h("input", { type: "search", placeholder: "search ( / )", "aria-label": "Search in trades, tags and notes", onInput: () => draw() });
    const list = panel("Closed trades", { id: "list", actions: h("span.filters", null, search) });
    const detail = panel("Trade", { id: "trade", cls: "detail" });
    const curve = panel("Net, trade by trade", { id: "sum" });
    const chart = lineChart({ label: "Sum of net results, trade by trade", height: 160 });
    curve.body.append(chart.element);
    fill(root, tiles, h("div.split", null, h("div.col", null, list.element, curve.element), h("div.col.aside", null, detail.element)));

    const lines = table([
      { title: "closed", sort: (one) => one.exit_ns, cell: (one) => time(one.exit_ns, app.zone, rows.length && f.day(rows[0].exit_ns, app.zone) !== f.day(rows.at(-1).exit_ns, app.zone) ? "both" : "clock") },
      { title: "symbol", sort: (one) => one.symbol, cell: (one) => one.symbol },
      { title: "side", sort: (one) => one.side, cell: (one) => side(one.side === "BUY" ? "LONG" : "SHORT") },
      { title: "qty", num: true, cls: "wide-only", unit: "units", source: "fills", sort: (one) => one.quantity, cell: (one) => f.whole(one.quantity) },
      { title: "entry", num: true, cls: "wide-only", unit: "price", source: "average of fills", cell: (one) => f.price(one.entry_ticks, one) },
      { title: "exit", num: true, cls: "wide-only", unit: "price", source: "average of fills", cell: (one) => f.price(one.exit_ticks, one) },
      { title: "by", cell: (one) => f.words(one.exit_role) },
      { title: "MAE", num: true, cls: "wide-only", unit: "ticks a unit", source: "worst price while open", sort: (one) => one.mae_ticks, cell: (one) => f.fixed(one.mae_ticks, 1) },
      { title: "MFE", num: true, cls: "wide-only", unit: "ticks a unit", source: "best price while open", sort: (one) => one.mfe_ticks, cell: (one) => f.fixed(one.mfe_ticks, 1) },
      { title: "held", num: true, cls: "wide-only", unit: "time", sort: (one) => f.toMs(one.exit_ns) - f.toMs(one.entry_ns), cell: (one) => f.span(f.toMs(one.exit_ns) - f.toMs(one.entry_ns)) },
      { title: "net", num: true, unit: "account currency", source: "gross less fees", sort: (one) => Number(one.net), cell: (one) => gainOf(one.net, { mark: true, currency: one.currency }) },
      { title: "review", cls: "wrap", cell: (one) => [...(one.review?.tags ?? []).map((tag) => badge(tag, "tag")), one.review?.note ? h("span.dim", { "data-tip": one.review.note }, " \u270e") : "", one.is_ambiguous ? badge("ambiguous", "warn", "another fill model would decide it differently") : ""] },
    ], { key: (one) => one.trade_id, label: "Closed trades", emptyText: "no trade has been closed", onRow: (one) => { location.hash = `trades/${encodeURIComponent(one.trade_id)}`; }, pick: () => chosen });
    fill(list.body, loading());

    function draw() {
      const wanted = search.value.trim().toLowerCase();
      lines.set(wanted ? rows.filter((one) => `${one.symbol} ${one.side} ${one.exit_role} ${Object.values(one.labels).join(" ")} ${(one.review?.tags ?? []).join(" ")} ${one.review?.note ?? ""}`.toLowerCase().includes(wanted)) : rows);
    }

    async function load() {
      if (!app.run) { fill(list.body, empty("No trades", "Nothing has run yet.")); return; }
      try {
        const [found, stats] = await Promise.all([get("/trades", { ...app.scope, limit: 2000 }), get("/statistics", app.scope)]);
        rows = found.rows;
        if (!lines.element.isConnected) fill(list.body, lines.element);
        list.note.textContent = `${rows.length}`;
        draw();
        summary(stats);
        let sum = 0;
        const inOrder = [...rows].reverse();
        chart.set([{ name: "sum of net", x: inOrder.map((one) => f.toMs(one.exit_ns)), y: inOrder.map((one) => (sum += Number(one.net))), color: "accent", step: true, fill: true, base: 0 }], { zone: app.zone, lines: inOrder.length ? [{ y: 0, text: "0", color: "soft" }] : [] });
        curve.element.hidden = inOrder.length < 2;
        if (chosen) { const one = rows.find((row) => row.trade_id === chosen); if (!one) clear(); }
      } catch (error) { fill(list.body, problem(error, load)); }
    }

    function summary(s) {
      const tile = (title, value, below) => h("div.tile", null, h("span.label", null, title), h("span.value", null, value), h("span.below", null, below ?? "\u00a0"));
      const formula = (text) => ({ source: text });
      fill(tiles,
        tile("Net", gainOf(s.net, { mark: true, ...formula("sum of gross less fees") }), `fees ${f.money(s.fees)}`),
        tile("Win rate", figure(f.percent(s.win_rate), { unit: "fraction", ...formula("winners / trades") }), `${s.wins} of ${s.trades}`),
        tile("Profit factor", figure(f.fixed(s.profit_factor, 2), { unit: "ratio", ...formula("sum of wins / |sum of losses|") })),
        tile("Expectancy", gainOf(s.expectancy, formula("mean net of a trade"))),
        tile("Average win", gainOf(s.average_win, formula("mean of winners")), `loss ${f.money(s.average_loss)}`),
        tile("Best, worst", gainOf(s.best), f.gain(s.worst)),
        tile("Slippage", figure(f.fixed(s.slippage_ticks, 2), { unit: "ticks of a unit's round trip, positive costs", ...formula("fills against the price expected") }), s.ambiguous ? `${s.ambiguous} ambiguous` : ""));
    }

    function clear() { chosen = null; fill(detail.body, empty("Choose a trade", "Its chart with entry, exit and excursions, the decision behind it, and your notes.")); }

    async function show(id) {
      chosen = id;
      lines.draw();
      let one = rows.find((row) => row.trade_id === id);
      if (!one) { await load(); one = rows.find((row) => row.trade_id === id); }
      if (!one) { clear(); return; }
      if (innerWidth <= 1180) detail.element.scrollIntoView({ block: "start" });
      detail.heading.textContent = `Trade ${one.trade_id}`;
      const place = h("div");
      fill(detail.body,
        h("p.headline", null, side(one.side === "BUY" ? "LONG" : "SHORT"), ` ${one.quantity} `, h("strong", null, one.symbol), "  ", gainOf(one.net, { mark: true, currency: one.currency })),
        place,
        h("dl.facts", null, [
          ["entry", [time(one.entry_ns, app.zone, "both"), ` at ${f.price(one.entry_ticks, one)}`]], ["exit", [time(one.exit_ns, app.zone, "both"), ` at ${f.price(one.exit_ticks, one)}, by ${f.words(one.exit_role)}`]],
          ["gross, fees", `${f.gain(one.gross)}, ${f.money(one.fees)} ${one.currency}`], ["MAE, MFE", figure(`${f.fixed(one.mae_ticks, 1)}, ${f.fixed(one.mfe_ticks, 1)} ticks`, { extra: `${f.money(one.mae_ticks * one.tick_value)} and ${f.money(one.mfe_ticks * one.tick_value)} ${one.currency} a unit` })],
          ["slippage", `${f.whole(one.slippage_ticks, { sign: true })} ticks over all units`], ...Object.entries(one.labels).map(([name, value]) => [f.words(name), f.words(value)]),
        ].map(([name, value]) => [h("dt", null, name), h("dd", null, value)])),
        one.decision_id ? h("p", null, h("a", { href: `#decisions/${encodeURIComponent(one.decision_id)}` }, "why it was taken")) : null,
        review(one));
      try {
        // A micro contract is traded on the tape of the full one: the decision knows which.
        const why = one.decision_id ? await get(`/decisions/${encodeURIComponent(one.decision_id)}`, app.scope).catch(() => null) : null;
        const asked = { run: one.run, at: app.at, symbol: why?.symbol ?? one.symbol, count: 2000 };
        const around = await get("/bars", { ...asked, day: f.day(one.exit_ns, app.zone) }).catch(() => get("/bars", asked));
        if (chosen === id) fill(place, tradeChart(one, around));
      } catch { fill(place, h("p.dim", null, "no bars are kept of this trade's session")); }
    }

    function tradeChart(one, found) {
      const [from, to] = [f.toMs(one.entry_ns), f.toMs(one.exit_ns)];
      const room = Math.max(20 * 60e3, (to - from) * 1.5);
      const near = found.bars.filter((bar) => bar.close_ms >= from - room && bar.close_ms <= to + room);
      if (near.length < 2) return h("p.dim", null, "too few bars around this trade");
      const scale = one.tick_size ?? 1;
      const own = lineChart({ label: `Price around the trade, entry ${f.price(one.entry_ticks, one)}, exit ${f.price(one.exit_ticks, one)}`, height: 210, format: (value) => f.fixed(value, one.precision) });
      const sign = one.side === "BUY" ? 1 : -1;
      own.set([
        { name: "close", x: near.map((bar) => bar.close_ms), y: near.map((bar) => bar.close * scale), color: "accent" },
        { name: "high", x: near.map((bar) => bar.close_ms), y: near.map((bar) => bar.high * scale), color: "soft", width: 0.7 },
        { name: "low", x: near.map((bar) => bar.close_ms), y: near.map((bar) => bar.low * scale), color: "soft", width: 0.7 },
      ], { zone: found.zone, marks: [
        { x: from, y: one.entry_ticks * scale, shape: sign > 0 ? "up" : "down", color: sign > 0 ? "up" : "down", text: "entry" },
        { x: to, y: one.exit_ticks * scale, color: "ink", text: `exit ${f.words(one.exit_role)}` },
      ], lines: [
        { y: (one.entry_ticks - sign * one.mae_ticks) * scale, text: "MAE", color: "down" }, { y: (one.entry_ticks + sign * one.mfe_ticks) * scale, text: "MFE", color: "up" },
      ] });
      return own.element;
    }

    function review(one) {
      const note = h("textarea", { id: "note-field", rows: "3", maxlength: "2000", placeholder: "what did you see?" });
      note.value = one.review?.note ?? "";
      const tags = h("input", { type: "text", id: "tags-field", placeholder: "late, A-setup", maxlength: "400", value: (one.review?.tags ?? []).join(", ") });
      return h("form.review", { onSubmit: async (event) => {
        event.preventDefault();
        try {
          const list = [...new Set(tags.value.split(",").map((part) => part.trim()).filter(Boolean))].slice(0, 20);
          one.review = await send("PUT", `/trades/${encodeURIComponent(one.trade_id)}/review`, { run: one.run, note: note.value, tags: list });
          toast("kept", "ok");
          draw();
        } catch (error) { toast(error.message, "bad"); }
      } }, h("h3", null, "Review"), h("label", { for: "tags-field" }, "Tags, with commas"), tags, h("label", { for: "note-field" }, "Note"), note,
      h("div.buttons", null, one.review?.by ? h("span.dim", null, `by ${one.review.by}, `, time(one.review.ts, app.zone, "both")) : null, h("span.grow"), h("button.primary", { type: "submit" }, "Keep")));
    }

    clear();
    load();
    on((kind) => { if (kind === "again" || kind === "moment" || kind === "poll" || kind === "trades") load(); });
    return { go: ([id]) => { if (id) show(id); } };
  },
};
