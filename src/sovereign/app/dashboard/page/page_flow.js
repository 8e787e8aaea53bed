// Order flow: footprint bars as they grow, with patterns, profile, delta and our own fills and orders.

import { get } from "./client.js";
import { Footprint } from "./footprint.js";
import * as f from "./format.js";
import { badge, dialog, empty, fill, h, loading, panel, problem, side, table, time } from "./ui.js";

export const page = {
  id: "flow",
  title: "Order flow",
  icon: "M6 3v18M6 7H3M6 12H2M6 16H4M14 3v18M14 6h4M14 10h6M14 15h3M14 18h5",

  mount(root, { app, on }) {
    let symbol = null;
    let bars = [];
    let growing = null;
    let total = 0;
    let tick = null;
    let isLoading = false;
    const chart = new Footprint({ onNeedEarlier: () => earlier(), onPick: (bar) => bar && details(bar) });
    const symbols = h("select", { hidden: true, "aria-label": "Symbol", onChange: () => { symbol = symbols.value; load(); } });
    const toggle = (name, text, tip) => {
      const button = h("button", { "aria-pressed": String(chart.show[name]), "data-tip": tip, onClick: () => { chart.show[name] = !chart.show[name]; button.setAttribute("aria-pressed", String(chart.show[name])); chart.draw(); } }, text);
      return button;
    };
    const source = h("span.panel-note");
    const tools = h("div.flow-tools", null, symbols, toggle("cells", "cells", "bid x ask volume of every price"), toggle("profile", "profile", "volume by price of the visible bars"), toggle("patterns", "patterns", "patterns that the router let through"), toggle("all", "refused too", "also patterns that a gate refused"),
      h("button.wide-only", { onClick: () => chart.zoom(1.25), "aria-label": "Zoom in" }, "+"), h("button.wide-only", { onClick: () => chart.zoom(0.8), "aria-label": "Zoom out" }, "\u2212"), h("button", { onClick: () => chart.fitAll(), "data-tip": "everything loaded (A)" }, "fit"), h("button", { onClick: () => chart.follow(), "data-tip": "newest bar (F)" }, "follow"), h("button", { onClick: () => asTable() }, "as a table"));
    const frame = panel("Footprint", { id: "footprint", actions: tools });
    const legend = h("div.legend", { "aria-label": "Legend" }, h("span", null, h("i.l-bid"), "sold into the bid (left)"), h("span", null, h("i.l-ask"), "bought from the ask (right)"), h("span", null, "framed and bold: diagonal imbalance"), h("span", null, h("i.l-poc"), "point of control"), h("span", null, h("i.l-va"), "value area"), h("span", null, "\u25b2\u25bc filled: pattern let through (E exhaustion, A absorption, S stacked, I imbalance, D divergence, U unfinished)"), h("span", null, "blue line: session VWAP"));
    fill(root, frame.element);
    fill(frame.body, loading());

    function place() {
      if (!chart.element.isConnected) fill(frame.body, chart.element, legend, h("p.panel-note", null, source));
    }

    function draw() {
      const shown = growing && growing.index >= (bars.at(-1)?.index ?? -1) + 1 ? [...bars, growing] : bars;
      chart.set(shown, tick, app.zone);
      marks();
    }

    // On one tape a smaller contract of the same product may be traded; of several tapes each shows its own.
    const isMine = (one) => symbols.options.length < 2 || one.symbol === symbol;
    const fillOf = (one) => ({ ms: f.toMs(one.ts), ticks: one.price_ticks, side: one.side, quantity: one.quantity });

    function marks() {
      const seen = app.overview;
      chart.lines = (seen?.positions ?? []).filter(isMine).flatMap((one) => [["stop", one.stop_ticks, "down"], ["target", one.target_ticks, "up"], [`${one.side.toLowerCase()} ${Math.abs(one.quantity)}`, one.average_ticks, "ink"]]).filter(([, ticks]) => f.known(ticks)).map(([text, ticks, color]) => ({ text: `${text} ${f.price(ticks, tick)}`, ticks, color }));
      chart.draw();
    }

    async function load() {
      if (!app.run) { fill(frame.body, empty("No market to show", "Start a session, or open a run.")); return; }
      const asked = `${app.run} ${app.at} ${symbol}`;
      try {
        const found = await get("/bars", { ...app.scope, symbol, day: app.day ?? null });
        if (asked !== `${app.run} ${app.at} ${symbol}`) return;
        if (!found.bars.length && !found.open) { fill(frame.body, empty("No bar yet", found.source)); return; }
        symbol = found.symbol;
        const isSame = bars.length && found.bars.length && app.at !== null;
        bars = found.bars;
        growing = found.open;
        total = found.total;
        tick = found;
        fill(symbols, found.symbols.map((one) => h("option", { value: one }, one)));
        symbols.value = symbol;
        symbols.hidden = found.symbols.length < 2;
        const hasFlow = [...bars, growing].some((bar) => bar?.cells.length);
        frame.heading.textContent = `${hasFlow ? "Footprint" : "Bars"} ${symbol}`;
        legend.hidden = !hasFlow;
        for (const button of tools.querySelectorAll("button[aria-pressed]")) button.hidden = !hasFlow;
        source.textContent = `${total} bars \u00b7 source: ${found.source} \u00b7 times in ${found.zone}`;
        place();
        if (!isSame) chart.isFollowing = true;
        draw();
        const fills = await get("/fills", { ...app.scope, limit: 500 });
        chart.fills = fills.rows.filter(isMine).map(fillOf);
        chart.draw();
      } catch (error) { fill(frame.body, problem(error, load)); }
    }

    async function earlier() {
      const first = bars[0]?.index ?? 0;
      if (isLoading || first === 0) return;
      isLoading = true;
      try {
        const found = await get("/bars", { ...app.scope, symbol, day: app.day ?? null, before: first, count: 240 });
        const added = found.bars.filter((bar) => bar.index < first);
        bars = [...added, ...bars];
        chart.right += added.length;
        const follow = chart.isFollowing;
        chart.isFollowing = false;
        draw();
        chart.isFollowing = follow;
      } finally { isLoading = false; }
    }

    function details(bar) {
      dialog(`Bar of ${f.moment(bar.open_ms ?? bar.close_ms, app.zone)}`, () => h("div", null, h("dl.facts", null, [["open, high, low, close", [bar.open, bar.high, bar.low, bar.close].map((one) => f.price(one, tick)).join("  ")], ["volume, trades", `${f.whole(bar.volume)}, ${f.whole(bar.trades)}`], ["delta, cumulative", `${f.whole(bar.delta, { sign: true })}, ${f.whole(bar.cumulative_delta, { sign: true })}`], ["POC, value area", `${f.price(bar.poc, tick)}, ${f.price(bar.value_area_low, tick)} to ${f.price(bar.value_area_high, tick)}`], ["regime", bar.regime ? `${f.words(bar.regime.name)} (${f.percent(bar.regime.confidence)})` : f.NONE]].map(([name, value]) => [h("dt", null, name), h("dd", null, value)])),
        h("h3", null, "Patterns"), bar.patterns.length ? h("ul.plain-list", null, bar.patterns.map((one) => h("li", null, side(one.side), ` ${f.words(one.name)} at ${f.price(one.ticks, tick)}, strength ${f.fixed(one.strength, 2)} `, badge(one.gate === "PASSED" ? "\u2713 let through" : `\u00d7 ${f.words(one.gate)}`, one.gate === "PASSED" ? "ok" : "muted")))) : h("p.dim", null, "none"),
        h("h3", null, "Levels"), h("table", { "aria-label": "Levels" }, h("thead", null, h("tr", null, ["price", "bid", "ask", "delta", ""].map((one, at) => h("th", { scope: "col", class: at < 4 ? "num" : "" }, one || h("span.hidden", null, "imbalance"))))), h("tbody", null, [...bar.cells].sort((a, b) => b[0] - a[0]).map(([ticks, bid, ask, mark]) => h("tr", null, h("td.num", null, f.price(ticks, tick)), h("td.num", null, f.whole(bid)), h("td.num", null, f.whole(ask)), h("td.num", null, f.whole(ask - bid, { sign: true })), h("td", null, mark ? badge(mark === 2 ? "both" : mark > 0 ? "\u25b2 buyers" : "\u25bc sellers", mark > 0 ? "buy" : "sell") : ticks === bar.poc ? badge("POC", "warn") : "")))))));
    }

    function asTable() {
      const lines = table([
        { title: "time", cell: (bar) => time(bar.open_ms ?? bar.close_ms, app.zone) }, ...["open", "high", "low", "close"].map((name) => ({ title: name, num: true, cell: (bar) => f.price(bar[name], tick) })), { title: "volume", num: true, cell: (bar) => f.whole(bar.volume) }, { title: "delta", num: true, cell: (bar) => f.whole(bar.delta, { sign: true }) }, { title: "POC", num: true, cell: (bar) => f.price(bar.poc, tick) }, { title: "regime", cell: (bar) => f.words(bar.regime?.name) }, { title: "patterns", cls: "wrap", cell: (bar) => bar.patterns.filter((one) => one.gate === "PASSED").map((one) => f.words(one.name)).join(", ") },
      ], { key: (bar) => String(bar.index), label: "Bars, newest first" });
      lines.set([...chart.bars].reverse().slice(0, 200));
      dialog(`Bars of ${symbol}`, () => h("div.scroll", { style: { "max-height": "70vh" } }, lines.element), { wide: true });
    }

    load();
    on((kind, data) => {
      if (kind === "again" || kind === "moment") load();
      else if (kind === "bars" && data.symbol === symbol) {
        const next = (bars.at(-1)?.index ?? -1) + 1;
        if (data.value.index === next) { bars.push(data.value); total += 1; growing = null; draw(); }
        else if (data.value.index > next) load();
      } else if (kind === "open" && data.symbol === symbol && data.value) { growing = grown(growing, data); draw(); }
      else if (kind === "overview" && tick) marks();
      else if (kind === "fills" && isMine(data.value)) { chart.fills.push(fillOf(data.value)); chart.draw(); }
    });
    return { key: (event) => chart.element.isConnected && chart.key(event), chart };
  },
};

// The growing bar after a message: whole, or what it was with the cells that have changed. One that fits nothing waits for the next whole one.
function grown(before, { op, value }) {
  if (op !== "patch") return value;
  if (before?.index !== value.index) return before;
  const cells = new Map([...before.cells, ...value.cells].map((cell) => [cell[0], cell]));
  return { ...value, cells: [...cells.values()].sort((one, other) => one[0] - other[0]) };
}
