// Heartbeats, feeds, halts, commands, schedule, reconciliation, notices, and the audit stream as it grows.

import { get, post, login } from "./client.js";
import * as f from "./format.js";
import { badge, dialog, empty, fill, h, loading, panel, problem, side, table, time, toast } from "./ui.js";

const KINDS = { running: "ok", ended: "muted", dead: "bad", failed: "bad", stopped: "muted" };

export const page = {
  id: "operations",
  title: "Operations",
  icon: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M19 5l-2 2M7 17l-2 2",

  mount(root, { app, on, every }) {
    const processes = panel("Sessions", { id: "sessions" });
    const feeds = panel("Feeds and parts", { id: "feeds" });
    const kills = panel("Halts and kills", { id: "kills" });
    const schedule = panel("Schedule", { id: "schedule", note: "exchange time" });
    const commands = panel("Commands", { id: "commands" });
    const reconciliation = panel("Reconciliation", { id: "reconciliation", actions: h("button", { onClick: () => app.command("RECONCILE") }, "Compare now") });
    const level = h("select", { "aria-label": "Least severe", onChange: () => draw() }, ["INFO", "WARNING", "ALARM", "CRITICAL"].map((one) => h("option", { value: one }, `${one.toLowerCase()} and up`)));
    const notices = panel("Log", { id: "log", actions: h("span.filters", null, level) });
    const audit = panel("Audit stream", { id: "audit", note: "each event once, in order" });
    const byHand = panel("Order by hand", { id: "by-hand", note: "same door, same checks" });
    const settings = panel("Settings", { id: "settings-panel", note: "for sessions started from here" });
    fill(root, processes.element, h("div.columns", null, h("div.col.main", null, notices.element, commands.element, audit.element), h("div.col.aside", null, kills.element, feeds.element, reconciliation.element, schedule.element, byHand.element, settings.element)));

    const sessionTable = table([
      { title: "session", cell: (one) => h("button.linklike", { onClick: () => { app.setRun(one.run); location.hash = "overview"; } }, one.session) },
      { title: "account", cell: (one) => one.account }, { title: "strategy", cell: (one) => one.strategy }, { title: "mode", cell: (one) => badge(one.mode, one.mode === "live" ? "bad" : "") },
      { title: "status", cell: (one) => badge(one.status, KINDS[one.status] ?? "") }, { title: "state", cell: (one) => one.status === "running" ? one.state ?? f.NONE : f.NONE },
      { title: "heartbeat", num: true, unit: "age", source: "the process itself", cell: (one) => one.status === "running" ? h("span", { class: one.heartbeat_s > (app.instance?.stale_s ?? 15) ? "down" : "" }, f.age(one.heartbeat_s)) : f.NONE },
      { title: "feed", num: true, unit: "age of the newest market data", source: "the process itself", cell: (one) => one.status === "running" ? f.age(one.feed_age_s) : f.NONE },
      { title: "memory", num: true, unit: "MiB, resident", source: "the process itself", cell: (one) => one.status === "running" ? f.whole(one.memory_mb) : f.NONE },
      { title: "pid", num: true, cell: (one) => String(one.pid ?? f.NONE) }, { title: "held", cell: (one) => Object.entries(one.positions).filter(([, q]) => q).map(([s, q]) => `${f.whole(q, { sign: true })} ${s}`).join(", ") || "flat" },
      { title: "reason", cls: "wrap", cell: (one) => one.reason },
    ], { key: (one) => one.session, label: "Sessions", emptyText: "no session has run yet", sticky: false });
    const log = table([
      { title: "time", cell: (one) => time(one.ts, app.zone) }, { title: "severity", cell: (one) => badge(one.severity.toLowerCase(), one.severity.toLowerCase()) },
      { title: "what", cell: (one) => f.words(one.code) }, { title: "about", cell: (one) => one.subject }, { title: "text", cls: "wrap", cell: (one) => [one.text, one.resolved_ns ? badge("over", "ok") : ""] },
    ], { key: (one) => String(one.key), label: "Notices", emptyText: "nothing has been said" });
    const asked = table([
      { title: "put", cell: (one) => time(one.put_ns, Intl.DateTimeFormat().resolvedOptions().timeZone) }, { title: "command", cell: (one) => one.kind }, { title: "by", cell: (one) => one.by }, { title: "account", cell: (one) => `${one.account} ${one.strategy ?? ""}` },
      { title: "reason", cls: "wrap", cell: (one) => one.reason }, { title: "done", cell: (one) => one.is_done === null ? badge("waits", "warn") : one.is_done ? badge("\u2713 done", "ok") : badge("\u00d7 refused", "bad") }, { title: "answer", cls: "wrap", cell: (one) => one.answer ?? "" },
    ], { key: (one) => one.command_id, label: "Commands", emptyText: "nobody has asked for anything" });
    const chain = table([
      { title: "number", num: true, cell: (one) => String(one.seq) }, { title: "time", cell: (one) => time(one.ts, app.zone) }, { title: "event", cell: (one) => one.kind },
      { title: "detail", cls: "wrap", cell: (one) => h("span.mono.dim", { "data-tip": one.text.slice(0, 900) }, summary(one)) }, { title: "link", cell: (one) => h("span.mono.dim", { "data-tip": `SHA-256 ${one.digest}` }, one.digest.slice(0, 8)) },
    ], { key: (one) => String(one.seq), label: "Audit events, newest first", emptyText: "no event yet" });
    notices.body.append(log.element);
    commands.body.append(asked.element);
    audit.body.append(chain.element);
    processes.body.append(sessionTable.element);
    let seen = null;

    function summary(one) {
      try {
        const plain = JSON.parse(one.text);
        const part = plain.fill ?? plain.decision ?? plain.trade ?? plain;
        return Object.entries(part).filter(([key, value]) => !["event", "ts"].includes(key) && (typeof value !== "object" || value === null)).slice(0, 6).map(([key, value]) => `${key} ${value}`).join(", ");
      } catch { return one.text.slice(0, 120); }
    }

    function draw() {
      if (!seen) return;
      sessionTable.set(seen.sessions);
      const ranks = ["INFO", "WARNING", "ALARM", "CRITICAL"];
      log.set(seen.notices.filter((one) => ranks.indexOf(one.severity) >= ranks.indexOf(level.value)));
      asked.set(seen.commands);
      chain.set([...app.events.rows].reverse().slice(0, 100));
      const o = app.overview;
      fill(kills.body, seen.latches.map((one) => h("div.alert.critical", null, h("strong", null, `KILLED: ${one.account === "*" ? "every account" : one.account}`), h("span", null, `${one.by}: ${one.reason}`), time(one.set_ns, app.zone, "both"), h("button", { onClick: () => app.command("RESUME", { account: one.account }) }, "Clear it"))), (o?.halts ?? []).map((one) => h("div.alert.alarm", null, h("span.alert-head", null, badge(one.state.toLowerCase(), "bad"), " ", f.words(one.cause), " ", time(one.ts, app.zone)), h("span", null, one.reason))), !seen.latches.length && !(o?.halts ?? []).length ? empty("No halt, no kill", "Trading is as the strategy and the risk door have it.") : null,
        seen.guards.map((one) => h("p", { class: one.is_gone ? "down" : "dim" }, `${one.guard}: ${one.is_gone ? "gone" : `beat ${f.age(one.heartbeat_s)} ago`} (pid ${one.pid})`)), seen.guards.length ? null : h("p.dim", null, "no guard watches from outside: sovereign guard"));
      fill(feeds.body, o?.health?.length || o?.quotes?.length ? [h("dl.facts", null, (o.quotes ?? []).map((one) => [h("dt", null, `data ${one.symbol}`), h("dd", null, `${f.price(one.ticks, one)}, `, time(one.ts, app.zone), app.isLive ? h("span", { class: one.age_s > 60 ? "down" : "dim" }, ` ${f.age(one.age_s)} old`) : "")])), o.health.map((one) => h("p.part", null, one.is_well ? badge("\u2713 well", "ok") : badge("\u00d7 not well", "bad"), " ", h("strong", null, one.subject), h("span.dim", null, ` ${one.reason}`)))] : empty("No feed", "No session of this run is being recorded."));
      fill(reconciliation.body, seen.reconciliation.length ? seen.reconciliation.slice(0, 6).map((one) => h("p.part", null, badge(one.code === "RECONCILED" ? "\u2713 equal" : f.words(one.code), one.code === "RECONCILED" ? "ok" : "warn"), " ", time(one.ts, app.zone), h("span.dim", null, ` ${one.text}`))) : empty("Not compared yet"));
      fill(schedule.body, seen.schedule.length ? h("dl.facts", null, seen.schedule.map((one) => [h("dt", { "data-tip": `source: ${one.source}` }, one.what), h("dd", null, time(one.ts, app.zone, "both"))])) : empty("No session ahead"));
    }

    async function load() {
      try { seen = await get("/operations"); draw(); } catch (error) { if (!seen) fill(processes.body, problem(error, () => { fill(processes.body, sessionTable.element); load(); })); }
    }

    function orderForm() {
      const symbol = h("input", { type: "text", id: "order-symbol", value: app.overview?.symbols?.[0] ?? "ES", maxlength: "20" });
      const way = h("select", { id: "order-side" }, ["BUY", "SELL"].map((one) => h("option", { value: one }, one)));
      const quantity = h("input", { type: "number", id: "order-quantity", min: "1", placeholder: "sized at the stop" });
      const typed = h("input", { type: "text", id: "order-confirm", placeholder: "TRADE", autocomplete: "off" });
      const ask = async (isDry) => {
        try {
          const answer = await post("/session/trade", { symbol: symbol.value.trim(), side: way.value, quantity: quantity.value ? Number(quantity.value) : null, dry_run: isDry, confirm: typed.value, reason: "by hand from the dashboard" });
          for (const one of answer.asked) toast(one.answer, one.is_done === false ? "bad" : "ok");
          load();
        } catch (error) { toast(error.message, "bad"); }
      };
      fill(byHand.body, h("form.grid-form", { onSubmit: (event) => { event.preventDefault(); ask(false); } }, h("label", { for: "order-symbol" }, "Symbol"), symbol, h("label", { for: "order-side" }, "Side"), way, h("label", { for: "order-quantity" }, "Quantity"), quantity, h("label", { for: "order-confirm" }, "Type TRADE to send"), typed, h("div.buttons", null, h("button", { type: "button", onClick: () => ask(true) }, "Dry run"), h("button.primary", { type: "submit" }, "Send"))));
    }

    async function settingsForm() {
      const open = h("button", { onClick: async () => {
        let rows;
        try { await login(); rows = (await get("/settings")).rows; } catch (error) { toast(error.message, "bad"); return; }
        await dialog("Settings", () => {
          const search = h("input", { type: "search", placeholder: "search", "aria-label": "Search settings", onInput: () => list() });
          const body = h("div.settings-list");
          const change = async (key, value) => { try { rows = (await post("/settings", { values: { [key]: value } })).rows; toast(value === null ? "back to the file's value" : "kept for sessions started from here", "ok"); list(); } catch (error) { toast(error.message, "bad"); } };
          const list = () => fill(body, rows.filter((one) => `${one.key} ${one.description}`.toLowerCase().includes(search.value.toLowerCase())).slice(0, 60).map((one) => {
            const field = h("input", { type: "text", "aria-label": `new value of ${one.key}`, placeholder: "other value" });
            return h("div.setting", null, h("span.mono", null, one.key), h("span", null, typeof one.value === "object" ? JSON.stringify(one.value) : String(one.value), h("span.dim", null, ` (${one.source})`), one.pending !== null ? badge(`next: ${one.pending}`, "warn") : ""), h("span.dim", null, one.description), h("span.setting-edit", null, field, h("button", { onClick: () => field.value && change(one.key, field.value) }, "Set"), one.pending !== null ? h("button", { onClick: () => change(one.key, null) }, "Undo") : null));
          }));
          list();
          return h("div", null, h("p.dim", null, "Running sessions keep what they began with."), search, body);
        }, { wide: true });
      } }, "Show and change");
      fill(settings.body, h("p.dim", null, "Every setting with its source."), open);
    }

    load();
    orderForm();
    settingsForm();
    on((kind) => { if (["again", "poll", "notices", "commands", "sessions"].includes(kind)) load(); else if (kind === "event" || kind === "overview") draw(); });
    every(5000, () => { if (!document.hidden) load(); });
    return {};
  },
};
