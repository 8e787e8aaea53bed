// The council: how the agents voted, who was asked in this regime, and what memory recalled.

import { get } from "./client.js";
import * as f from "./format.js";
import { badge, empty, fill, h, loading, meter, panel, problem, side, soon, table, time, verdict } from "./ui.js";

export const page = {
  id: "council",
  title: "Council",
  icon: "M8 9a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM17 10a2.5 2.5 0 1 0 0-5M2 20c0-4 3-7 6-7s6 3 6 7M15 13c3 0 6 2 6 6",

  mount(root, { app, on }) {
    const votes = panel("Votes", { id: "votes", note: "of the newest decision" });
    const activation = panel("Who is asked in which regime", { id: "activation", note: "share of decisions an agent voted in" });
    const memory = panel("Memory", { id: "memory", note: "what earlier trades said" });
    const list = panel("Decisions of the council", { id: "list", note: "\u25b2 long  \u25bc short  \u25cb no direction  \u2013 abstains" });
    fill(root, loading());
    const lines = table([
      { title: "time", cell: (one) => time(one.ts, app.zone, "both") }, { title: "symbol", cell: (one) => one.symbol }, { title: "side", cell: (one) => side(one.side) },
      { title: "rule", cell: (one) => f.words(one.inputs.rule) }, { title: "regime", cell: (one) => f.words(one.inputs.regime) }, { title: "votes", cls: "wrap", cell: (one) => one.votes.map((vote) => badge(`${f.words(vote.agent)} ${sign(vote.word)}`, kindOf(vote.word), `${f.words(vote.agent)}: ${said(vote.word)}`)) },
      { title: "confidence", num: true, unit: "0..1", cell: (one) => f.fixed(one.confidence, 2) }, { title: "verdict", cell: (one) => verdict(one.verdict) },
    ], { key: (one) => one.decision_id, label: "Decisions of the council", onRow: (one) => { location.hash = `decisions/${encodeURIComponent(one.decision_id)}`; } });

    const sign = (word) => ({ buy: "\u25b2", sell: "\u25bc" })[kindOf(word)] ?? (word === "abstain" ? "\u2013" : "\u25cb");
    const said = (word) => ({ none: "no direction", abstain: "abstains" })[word] ?? f.words(word);
    function kindOf(word) { return /buy|long|bull/i.test(word) ? "buy" : /sell|short|bear/i.test(word) ? "sell" : "muted"; }
    function votesOf(inputs) { return Object.entries(inputs).filter(([name]) => name.startsWith("vote_")).map(([name, word]) => ({ agent: name.slice(5), word: String(word), confidence: inputs[`confidence_${name.slice(5)}`] ?? null })); }

    async function load() {
      if (!app.run) { fill(root, empty("No council sits", "Nothing has run yet.")); return; }
      if (app.overview && app.overview.strategy !== "council") {
        const other = app.live.find((one) => one.strategy === "council") ?? app.runs.find((one) => one.strategy === "council");
        fill(root, empty("No council sits in this run", `This page shows agents' votes and memory while the strategy 'council' runs; ${app.overview.strategy} decides here.`, h("div.buttons", null, other ? h("button.primary", { onClick: () => app.setRun(other.run) }, "Show the one that ran") : null, h("a.button", { href: "#decisions" }, "See its decisions"))));
        return;
      }
      try {
        const found = await get("/decisions", { ...app.scope, limit: 24 });
        const details = (await Promise.all(found.rows.slice(0, 16).map((one) => get(`/decisions/${encodeURIComponent(one.decision_id)}`, app.scope).catch(() => null)))).filter(Boolean).map((one) => ({ ...one, votes: votesOf(one.inputs) })).filter((one) => one.votes.length);
        const recalls = (await get("/memory", app.scope)).rows;
        fill(root, h("div.columns", null, h("div.col.main", null, votes.element, list.element, activation.element), h("div.col.aside", null, memory.element)));
        const newest = details[0];
        fill(votes.body, newest ? [h("p.headline", null, side(newest.side), ` ${newest.symbol} `, verdict(newest.verdict), " ", time(newest.ts, app.zone, "both")), h("div.votes", null, newest.votes.map((vote) => h("div.vote", { class: kindOf(vote.word) }, h("strong", null, f.words(vote.agent)), h("span", null, said(vote.word)), meter(vote.confidence ?? 0, { label: `confidence of ${vote.agent}`, isGoal: true }), h("span.dim", null, vote.confidence === null ? "not asked, or no opinion" : `confidence ${f.fixed(vote.confidence, 2)}`))))] : empty("No vote yet", "The council votes when a bar closes."));
        const regimes = new Map();
        for (const one of details) { const row = regimes.get(one.inputs.regime) ?? { count: 0, agents: new Map() }; row.count += 1; for (const vote of one.votes) if (vote.confidence !== null) row.agents.set(vote.agent, (row.agents.get(vote.agent) ?? 0) + 1); regimes.set(one.inputs.regime, row); }
        const agents = [...new Set(details.flatMap((one) => one.votes.map((vote) => vote.agent)))];
        fill(activation.body, regimes.size ? h("div.scroll", { tabindex: "0", role: "region", "aria-label": "Activation by regime" }, h("table", { "aria-label": "Activation by regime" }, h("thead", null, h("tr", null, h("th", { scope: "col" }, "regime"), agents.map((agent) => h("th.num", { scope: "col" }, f.words(agent))))), h("tbody", null, [...regimes].map(([name, row]) => h("tr", null, h("td", null, f.words(name)), agents.map((agent) => h("td.num", null, f.percent((row.agents.get(agent) ?? 0) / row.count)))))))) : empty("Not known yet"));
        fill(memory.body, recalls.length ? [...recalls].sort((a, b) => Number(b.cases > 0) - Number(a.cases > 0)).slice(0, 8).map((one) => h("div.thought", null, h("a", { href: `#decisions/${encodeURIComponent(one.decision_id)}` }, one.symbol, " ", time(one.ts, app.zone)), h("span.dim", null, one.cases > 0 ? `${f.whole(one.cases)} case${one.cases === 1 ? "" : "s"} like it, chance of a win ${f.percent(one.probability)}, confidence moved ${f.fixed(one.adjustment, 3, { sign: true })}` : "no case like it is remembered yet"))) : empty("Nothing recalled", "Memory speaks once trades like it have closed."));
        fill(list.body, lines.element);
        lines.set(details);
      } catch (error) { fill(root, problem(error, load)); }
    }
    load();
    const again = soon(load);
    on((kind) => { if (kind === "again" || kind === "moment") load(); else if (kind === "decisions") again(); });
    return {};
  },
};
