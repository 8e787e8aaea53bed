// Am I safe, what do I hold, what is it thinking, why did it (not) trade.

import { lineChart } from "./chart.js";
import { get } from "./client.js";
import * as f from "./format.js";
import { badge, empty, figure, fill, gainOf, h, loading, meter, panel, problem, side, table, tile, time, verdict } from "./ui.js";

function safety(seen, app) {
  const worries = [];
  if (seen.latch) worries.push(["bad", `killed by ${seen.latch.by}: ${seen.latch.reason}`]);
  if (seen.state === "HALTED" && seen.is_live) worries.push([seen.positions.length ? "bad" : "warn", `halted: ${seen.halts.at(-1)?.reason || seen.halts.at(-1)?.cause || "see Operations"}${seen.positions.length ? "" : " (flat)"}`]);
  if (seen.state === "REDUCING") worries.push(["warn", `reducing only: ${seen.halts.at(-1)?.reason ?? ""}`]);
  for (const one of seen.positions) if (!one.is_protected) worries.push(["bad", `${one.symbol} has no stop at the venue`]);
  if (seen.is_live && seen.heartbeat?.is_gone) worries.push(["bad", "the session's process is gone"]);
  else if (seen.is_live && seen.heartbeat?.is_stale) worries.push(["warn", `no sign of life for ${f.age(seen.heartbeat.age_s)}`]);
  if (seen.is_live) for (const one of seen.health) if (!one.is_well) worries.push(["warn", `${one.subject}: ${one.reason}`]);
  for (const room of seen.room) if (!room.is_goal && room.unit === "USD" && room.used_frac >= 0.6) worries.push([room.used_frac >= 0.85 ? "bad" : "warn", `${room.name}: ${f.percent(1 - room.used_frac)} left`]);
  if (seen.alerts.length) worries.push([seen.alerts.some((one) => one.severity === "CRITICAL" || one.severity === "ALARM") ? "bad" : "warn", `${seen.alerts.length} open alert${seen.alerts.length > 1 ? "s" : ""}: ${seen.alerts[0].text}`]);
  if (app.stream.state === "down" && app.at === null) worries.push(["bad", "this page is cut off; what it shows is old"]);
  return worries;
}

export const page = {
  id: "overview",
  title: "Overview",
  icon: "M4 4h7v9H4zM13 4h7v5h-7zM13 11h7v9h-7zM4 15h7v5H4z",

  mount(root, { app, on, every }) {
    const answer = h("div.answer", { role: "status" });
    const tiles = h("div.tiles");
    const held = panel("Positions", { id: "positions" });
    const roomPanel = panel("Room left", { id: "room", note: "under each limit" });
    const curve = panel("Equity", { id: "equity", cls: "wide" });
    const mind = panel("What it is thinking", { id: "mind" });
    const last = panel("Latest decisions", { id: "latest", actions: h("a.more", { href: "#decisions" }, "all decisions") });
    const alerts = panel("Alerts", { id: "alerts", actions: h("a.more", { href: "#operations" }, "operations") });
    const chart = lineChart({ label: "Equity and high-water mark over time", height: 210 });
    curve.body.append(chart.element);
    const others = h("div.sessions", { hidden: true, role: "group", "aria-label": "Sessions" });
    fill(root, answer, others, tiles, h("div.columns", null, h("div.col.main", null, held.element, curve.element, last.element), h("div.col.aside", null, roomPanel.element, mind.element, alerts.element)));

    const positions = table([
      { title: "symbol", cell: (one) => [h("strong", null, one.symbol), " ", side(one.side)] },
      { title: "quantity", num: true, unit: "units, signed", source: "fills", cell: (one) => f.whole(one.quantity, { sign: true }) },
      { title: "average", num: true, unit: "price", source: "fills", cell: (one) => f.price(one.average_ticks, one) },
      { title: "last", num: true, unit: "price", source: "recording of the session", cell: (one) => f.price(one.last_ticks, one) },
      { title: "open P&L", num: true, unit: "account currency, before fees", source: "last price against the average", cell: (one) => gainOf(one.open_pnl, { mark: true, currency: one.currency }) },
      { title: "stop", num: true, unit: "price", source: "working orders", cell: (one) => one.is_protected ? figure(f.price(one.stop_ticks, one), { extra: `at the stop: ${f.gain(one.pnl_at_stop)} ${one.currency}` }) : badge("none", "bad", "no stop works at the venue") },
      { title: "target", num: true, unit: "price", source: "working orders", cell: (one) => f.price(one.target_ticks, one) },
      { title: "since", cell: (one) => time(one.opened_ns === 0 ? null : one.opened_ns, app.zone) },
    ], { key: (one) => one.symbol, label: "Open positions", emptyText: "flat: nothing is held", sticky: false });
    held.body.append(positions.element);

    const decisions = table([
      { title: "time", cell: (one) => time(one.ts, app.zone) },
      { title: "candidate", cell: (one) => [side(one.side), " ", f.words(one.name)] },
      { title: "symbol", cell: (one) => one.symbol },
      { title: "verdict", cell: (one) => verdict(one.verdict) },
      { title: "because", cls: "wrap", cell: (one) => one.failed_check ? h("span.dim", null, `failed ${f.words(one.failed_check)}`) : h("span.up", null, "every check passed") },
    ], { key: (one) => one.decision_id, label: "Latest decisions", emptyText: "no candidate yet", sticky: false, onRow: (one) => { location.hash = `decisions/${encodeURIComponent(one.decision_id)}`; } });
    last.body.append(decisions.element);

    let lastRows = null;

    function draw() {
      const seen = app.overview;
      if (!seen) {
        if (app.failure && app.failure.status !== 404) fill(root, problem(app.failure, () => location.reload()));
        else if (app.run === null && app.instance) fill(root, empty("Nothing has run yet", "Start the simulated venue with 'sovereign venue' and a session with Start above or 'sovereign run order_flow'; or make a first run with 'sovereign demo'."));
        else fill(answer, loading());
        return;
      }
      if (!answer.isConnected) { location.reload(); return; }
      const worries = safety(seen, app);
      const worst = worries.some(([kind]) => kind === "bad") ? "bad" : worries.length ? "warn" : "fine";
      const holding = seen.positions.length ? seen.positions.map((one) => `${one.side.toLowerCase()} ${Math.abs(one.quantity)} ${one.symbol}`).join(", ") : "flat";
      const tightest = seen.room.filter((one) => !one.is_goal && one.unit === "USD").sort((a, b) => b.used_frac - a.used_frac)[0];
      const lead = { fine: seen.is_live ? "Safe" : app.at !== null ? "Then" : "Over", warn: "Attention", bad: "Act now" }[worst];
      const mark = { fine: "\u2713", warn: "!", bad: "\u2715" }[worst];
      answer.className = `answer ${worst}`;
      fill(answer, h("span.answer-mark", { "aria-hidden": "true" }, mark), h("strong", null, lead), h("span.answer-text", null, worries.length ? worries.slice(0, 3).map(([, text]) => text).join(" \u00b7 ") : [holding, tightest ? ` \u00b7 tightest limit: ${tightest.name}, ${f.percent(1 - tightest.used_frac)} left` : "", seen.is_live || app.at !== null ? "" : ` \u00b7 ${f.words(seen.status)}${seen.reason ? `: ${seen.reason}` : ""}`]), h("span.grow"), h("span.answer-who", null, [seen.strategy, seen.account, seen.tier, seen.trade_date].filter(Boolean).join(" \u00b7 ")));

      // Every session that runs, when there is more than the one on the page.
      const live = app.sessions.filter((one) => one.run && (one.status === "running" || one.run === app.run));
      others.hidden = app.at !== null || live.length < 2;
      if (!others.hidden) {
        fill(others, live.map((one) => {
          const money = app.overviews[one.run]?.money ?? (one.run === app.run ? seen.money : null);
          const count = Object.values(one.positions).filter(Boolean).length;
          return h("button.session", { "aria-pressed": String(one.run === app.run), onClick: () => app.setRun(one.run) }, h("strong", null, one.strategy), h("span.dim", null, `${one.account}, ${one.status === "running" ? (one.state ?? "begins").toLowerCase() : f.words(one.status)}`), money ? gainOf(money.day_pnl, { mark: true, source: "equity less day-start balance" }) : null, h("span.dim", null, count ? `${count} position${count > 1 ? "s" : ""}` : "flat"));
        }));
      }

      const m = seen.money;
      const t = seen.today;
      fill(tiles,
        tile("Equity", figure(f.money(m.equity), { unit: seen.currency, source: "account snapshots of the audit stream" }), `balance ${f.money(m.balance)}`),
        tile("P&L today", gainOf(m.day_pnl, { mark: true, currency: seen.currency, source: "equity less day-start balance" }), f.percent(Number(m.day_pnl) / Math.max(1, Number(m.equity) - Number(m.day_pnl)), 2)),
        tile("Open P&L", gainOf(m.open_pnl, { mark: true, currency: seen.currency, source: "equity less balance, before fees" }), holding),
        tile("Drawdown", figure(f.money(m.drawdown), { unit: seen.currency, source: "high-water mark less equity", cls: Number(m.drawdown) > 0 ? "down" : "" }), `${f.percent(m.drawdown_frac, 2)} of ${f.money(m.high_water_mark)}`),
        tile("Trades", figure(f.whole(t.trades), { unit: "count", source: "closed round trips of the session" }), `${t.wins} won, ${t.losses} lost`),
        tile("Net of trades", gainOf(t.net, { currency: seen.currency, source: "gross less fees of closed trades" }), `fees ${f.money(t.fees)}`),
        ...seen.quotes.slice(0, 3).map((one) => tile(one.symbol, figure(f.price(one.ticks, one), { unit: "price", source: "last trade of the session's own tape", extra: f.utc(one.ts) }), `traded ${f.clock(one.ts, seen.zone)}`)),
        ...seen.regimes.slice(0, 1).map((one) => tile(one.symbol === "market" ? "Market regime" : `Regime ${one.symbol}`, h("span.regime", { class: one.name.toLowerCase(), "data-tip": `confidence: fraction 0..1\nsource: ${one.source}` }, f.words(one.name)), known(one.confidence) ? `confidence ${f.percent(one.confidence)}${one.is_tradable ? "" : `, no trade: ${one.why_not}`}` : one.why_not)));

      positions.set(seen.positions);
      fill(roomPanel.body, seen.room.length ? seen.room.map((one) => h("div.limit", { "data-tip": `unit: ${one.unit}\nsource: ${one.source}` },
        h("span.limit-name", null, one.name), h("span.limit-left", null, one.unit === "USD" ? `${f.money(one.left)} left` : `${f.whole(one.left)} left`),
        meter(one.used_frac, { label: `${one.name}: ${f.percent(one.used_frac)} used`, isGoal: one.is_goal, isCount: one.unit !== "USD" }),
        h("span.limit-used", null, one.unit === "USD" ? `${f.money(one.used)} of ${f.money(one.limit)}` : `${f.whole(one.used)} of ${f.whole(one.limit)}`))) : empty("No limits known", "The settings of this run cannot be read by this version."));

      fill(mind.body, seen.regimes.length ? seen.regimes.map((one) => h("div.thought", null,
        h("span", null, one.symbol === "market" ? "the market is " : `${one.symbol}: market is `, h("strong.regime", { class: one.name.toLowerCase() }, f.words(one.name)), known(one.confidence) ? ` (${f.percent(one.confidence)} sure)` : ""),
        h("span.dim", null, one.is_tradable ? "entries are allowed by the regime" : `no entries: ${one.why_not}`))) : h("p.dim", null, "no bar has closed yet"),
      seen.working.length ? h("div.thought", null, h("span", null, `${seen.working.length} working order${seen.working.length > 1 ? "s" : ""}`), seen.working.slice(0, 4).map((one) => h("span.dim", null, `${f.words(one.role)} ${one.side} ${one.quantity} ${one.symbol} ${f.words(one.order_type)} at ${f.price(one.limit_ticks ?? one.stop_ticks, one)}, ${f.words(one.status)}`))) : h("div.thought", null, h("span.dim", null, "no order works at the venue")),
      seen.health.some((one) => !one.is_well) ? h("div.thought.warn", null, seen.health.filter((one) => !one.is_well).map((one) => h("span", null, `waits for ${one.subject}: ${one.reason}`))) : null);

      fill(alerts.body, seen.alerts.length ? seen.alerts.slice(0, 6).map((one) => h("div.alert", { class: one.severity.toLowerCase() }, h("span.alert-head", null, badge(one.severity.toLowerCase(), one.severity.toLowerCase()), " ", f.words(one.code), " ", time(one.ts, seen.zone)), h("span", null, one.text))) : empty("No open alert", seen.is_live ? "Nothing asks for attention." : ""));
    }

    const known = f.known;
    let told = null;
    // The account is told when something fills or a bar closes; the curve ends with what it is worth now.
    function curveNow() {
      if (!told) return;
      const money = told.run === app.run ? app.overview?.money : null;
      const now = money && app.overview.is_live ? f.toMs(app.overview.clock_ns) : -Infinity;
      const [ms, equity, mark] = now > (told.ms.at(-1) ?? Infinity) ? [[...told.ms, now], [...told.equity, Number(money.equity)], [...told.high_water_mark, Number(money.high_water_mark)]] : [told.ms, told.equity, told.high_water_mark];
      chart.set([
        { name: "equity", x: ms, y: equity, color: "accent", step: true, fill: true },
        { name: "mark", x: ms, y: mark, color: "soft", dash: [4, 3], step: true, width: 1 },
      ], { zone: told.zone, marks: [] });
    }
    async function curveAgain() {
      if (!app.run) return;
      try {
        told = await get("/equity", app.scope);
        curveNow();
        const isThin = told.ms.length < 2;
        chart.element.hidden = isThin;
        let note = curve.body.querySelector(".empty");
        if (isThin && !note) curve.body.append(empty("No curve yet", "The account is told when a trade closes and when a session ends."));
        else if (!isThin) note?.remove();
      } catch (error) { if (error.status !== 404) throw error; }
    }
    async function rowsAgain() {
      if (!app.run) return;
      const found = await get("/decisions", { ...app.scope, limit: 8 });
      lastRows = found.rows;
      decisions.set(lastRows);
    }
    const again = () => Promise.all([curveAgain(), rowsAgain()]).catch(() => {});
    draw();
    again();
    on((kind, data) => {
      if (kind === "overview" || kind === "line") { draw(); curveNow(); }
      else if (kind === "again" || kind === "moment" || kind === "poll") again();
      else if (kind === "decisions") { lastRows = [data.value, ...(lastRows ?? []).filter((one) => one.decision_id !== data.value.decision_id)].sort((a, b) => (a.ts < b.ts ? 1 : -1)).slice(0, 8); decisions.set(lastRows); }
      else if (kind === "fills") curveAgain().catch(() => {});
    });
    every(10000, () => { if (app.at === null) again(); });
  },
};
