// What execution cost and how long it took: shortfall, slippage, latency.

import { histogram } from "./chart.js";
import { get } from "./client.js";
import * as f from "./format.js";
import { badge, empty, figure, fill, h, loading, panel, problem, side, table, time } from "./ui.js";

export const page = {
  id: "execution",
  title: "Execution",
  icon: "M5 4v16M5 12h6l3-5 3 10 2-5h1",

  mount(root, { app, on }) {
    const tiles = h("div.tiles");
    const list = panel("Orders", { id: "orders", note: "shortfall is against the middle of the quote at the decision where the strategy recorded one, else against the last price then; fees are in it" });
    const slip = panel("Slippage", { id: "slip", note: "ticks a unit; right of zero costs" });
    const late = panel("Latency", { id: "late", note: "request to acknowledgment, market time" });
    const [slippage, latency] = [histogram({ label: "Distribution of slippage in ticks", unit: "ticks" }), histogram({ label: "Distribution of latency in milliseconds", unit: "ms", isCost: false })];
    slip.body.append(slippage.element);
    late.body.append(latency.element);
    fill(root, tiles, h("div.columns.even", null, h("div.col", null, slip.element), h("div.col", null, late.element)), list.element);
    const cost = (value, digits = 2) => h("span", { class: f.tone(f.known(value) ? -value : null) }, f.fixed(value, digits, { sign: true }));
    const measured = (shown, unit, one) => one.reference === null ? shown : figure(shown, { unit, source: `measured against the ${one.reference === "its own price" ? "price it stands at" : one.reference} when it was decided` });
    const halved = (one) => ({ ...one, precision: (one.precision ?? 2) + (Number.isInteger(one.reference_ticks) ? 0 : 1) }); // a middle may lie between two ticks
    const lines = table([
      { title: "time", sort: (one) => one.ts, cell: (one) => time(one.ts, app.zone) },
      { title: "order", cell: (one) => h("span.mono.dim", null, one.client_order_id) },
      { title: "for", sort: (one) => one.role, cell: (one) => f.words(one.role) },
      { title: "side", cell: (one) => side(one.side) },
      { title: "symbol", sort: (one) => one.symbol, cell: (one) => one.symbol },
      { title: "type", cell: (one) => f.words(one.order_type) },
      { title: "filled", num: true, unit: "units", source: "fills", cell: (one) => `${one.filled_qty}/${one.quantity}` },
      { title: "status", sort: (one) => one.status, cell: (one) => badge(f.words(one.status), one.status === "FILLED" ? "ok" : one.status === "REJECTED" || one.status === "DENIED" ? "bad" : "muted") },
      { title: "arrival", num: true, unit: "price", source: "what shortfall is measured against; each figure says which price it is", cell: (one) => measured(f.price(one.reference_ticks, halved(one)), "price", one) },
      { title: "average", num: true, unit: "price", source: "fills", cell: (one) => f.price(one.average_ticks, one) },
      { title: "slippage", num: true, unit: "ticks a unit, positive costs", source: "fills against the price expected", sort: (one) => one.slippage_ticks, cell: (one) => cost(one.slippage_ticks, 1) },
      { title: "shortfall", num: true, unit: "basis points of arrival, positive costs", source: "average of its fills against arrival, and fees", sort: (one) => one.shortfall_bps, cell: (one) => measured(cost(one.shortfall_bps, 2), "basis points, positive costs", one) },
      { title: "missed", num: true, unit: "basis points of arrival, positive costs", source: "opportunity cost: the unfilled part of an entry, from arrival to the close of the bar after its end", sort: (one) => one.opportunity_bps, cell: (one) => measured(cost(one.opportunity_bps, 2), "basis points, positive costs", one) },
      { title: "money", num: true, unit: "account currency, positive costs", source: "shortfall times tick value, and fees", sort: (one) => one.shortfall_money, cell: (one) => cost(one.shortfall_money, 2) },
      { title: "ack", num: true, unit: "ms, market time", source: "audit stream", sort: (one) => one.accept_ms, cell: (one) => f.fixed(one.accept_ms, 1) },
    ], { key: (one) => one.client_order_id, label: "Orders with what they cost", emptyText: "no order yet" });
    fill(list.body, loading());

    async function load() {
      if (!app.run) { fill(list.body, empty("No orders", "Nothing has run yet.")); return; }
      try {
        const found = await get("/execution", { ...app.scope, limit: 1000 });
        const s = found.summary;
        const tile = (title, spread, digits, unit, more = "") => h("div.tile", null, h("span.label", null, title), h("span.value", null, figure(f.fixed(spread.mean, digits), { unit, source: `mean of ${spread.count} orders${more}` })), h("span.below", null, `p50 ${f.fixed(spread.p50, digits)}, p95 ${f.fixed(spread.p95, digits)}, worst ${f.fixed(spread.worst, digits)}`));
        fill(tiles,
          h("div.tile", null, h("span.label", null, "Orders"), h("span.value", null, f.whole(s.orders)), h("span.below", null, Object.entries(s.by_status).map(([name, count]) => `${count} ${f.words(name)}`).join(", ") || "\u00a0")),
          tile("Slippage", s.slippage_ticks, 2, "ticks a unit, positive costs"), tile("Shortfall", s.shortfall_bps, 2, "basis points of arrival, positive costs", `, with fees; ${Object.entries(s.by_reference).map(([name, count]) => `${count} against the ${name === "its own price" ? "price they stand at" : name}`).join(", ") || "none filled"}`),
          tile("Missed", s.opportunity_bps, 2, "basis points of arrival, positive costs", ": the unfilled part of entries up to the close of the next bar"),
          h("div.tile", null, h("span.label", null, "Shortfall, money"), h("span.value", null, figure(f.money(s.shortfall_money.sum), { unit: "account currency, positive costs", source: "sum over orders" })), h("span.below", null, `${s.shortfall_money.count} orders`)),
          tile("Acknowledged in", s.accept_ms, 1, "ms, market time"), tile("Market order filled in", s.fill_ms, 1, "ms, market time"));
        slippage.set(found.orders.map((one) => one.slippage_ticks).filter((value) => value !== null));
        latency.set(found.orders.map((one) => one.accept_ms).filter((value) => value !== null));
        if (!lines.element.isConnected) fill(list.body, lines.element);
        lines.set(found.orders);
      } catch (error) { fill(list.body, problem(error, load)); }
    }
    load();
    on((kind) => { if (["again", "moment", "poll", "orders"].includes(kind)) load(); });
    return {};
  },
};
