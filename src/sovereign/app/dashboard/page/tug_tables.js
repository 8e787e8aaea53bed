// The strategy's own tables and those of the scouts, as the store has them: the newest rows of the one that is chosen.

import { get } from "./client.js";
import * as f from "./format.js";
import { empty, fill, h, loose, panel, problem, table, time } from "./ui.js";

const TABLES = {
  tug_signals: "both camps, every share, every round",
  tug_results: "verdicts of every round",
  tug_trades: "every order",
  regime_states: "readings of the market",
  ofi_snapshots: "snapshots of the tape scout",
  news_readings: "readings of the news scout",
};
const COUNT = 20;

function cell(name, value, zone) {
  if (value === null || value === undefined) return h("span.dim", null, f.NONE);
  if (name === "ts") return time(value, zone, "both");
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return loose(value);
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return text.length > 40 ? h("span", { "data-tip": text.slice(0, 900), tabindex: "0" }, `${text.slice(0, 38)} \u2026`) : text;
}

export function tugTables(app) {
  const choice = h("select", { id: "tug-table", "aria-label": "Table", onChange: () => load() }, Object.keys(TABLES).map((name) => h("option", { value: name }, name)));
  const box = panel("Tables of the store", { id: "tables", actions: h("span.filters", null, choice), cls: "wide" });
  async function load() {
    const name = choice.value;
    try {
      const found = await get(`/tug/${name}`, { ...app.scope, limit: COUNT });
      if (name !== choice.value) return;
      box.note.textContent = `${TABLES[name]}; the newest ${found.rows.length || COUNT}`;
      if (!found.rows.length) { fill(box.body, empty("No row yet", "Sessions on paper and live fill these tables, and scouts theirs; backtests and demonstrations do not.")); return; }
      const names = found.columns.filter((one) => one !== "key" && one !== "account");
      const rows = table(names.map((one) => ({ title: one, num: one !== "ts" && found.rows.some((row) => typeof row[one] === "number"), cell: (row) => cell(one, row[one], app.zone) })), { key: (row) => String(row.key), label: name, sticky: false });
      rows.set(found.rows);
      fill(box.body, rows.element);
    } catch (error) { fill(box.body, problem(error, load)); }
  }
  return { element: box.element, load };
}
