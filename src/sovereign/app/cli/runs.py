"""`sovereign runs list | show | decisions | compare`: the run ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sovereign.app.cli.common import ConfigOption, JsonOption, SetOption, command_app, emit, settings_from

if TYPE_CHECKING:
    from sovereign.store.runs import StoredRun

app = command_app(
    "List, show and compare finished runs, and list decisions. RUN is a run's name, a prefix that only it has, or 'last'."
)

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Name of a run, a prefix that only it has, or 'last'.")]


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> str:
    """Return rows as aligned text; the columns in `right` are set to the right."""
    table = [list(heads), *[list(row) for row in rows]]
    widths = [max(len(row[index]) for row in table) for index in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )


def _brief(run: StoredRun) -> dict[str, Any]:
    from sovereign.core.session import from_ns

    record = run.record
    metrics = run.summary.get("metrics", {})
    return {
        "run": run.id,
        "kind": record.kind,
        "status": run.status,
        "strategy": record.strategy,
        "symbols": record.symbols,
        "from": record.start,
        "to": record.end,
        "is_simulated": record.is_simulated,
        "fill_model": record.fill_model,
        "started": from_ns(record.started_ns).isoformat(timespec="seconds"),
        "trades": metrics.get("trades", {}).get("value"),
        "net": metrics.get("net", {}).get("value"),
        "verdict": run.verdict,
        "report": run.report_path,
    }


@app.command("list")
def list_runs(
    limit: Annotated[int, typer.Option(help="Newest runs to list; 0 lists all.", min=0)] = 20,
    strategy: Annotated[str | None, typer.Option(help="Only runs of this strategy.")] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """List runs, newest first."""
    from sovereign.store.store import Store

    with Store(settings_from(config, overrides).settings.store) as store:
        found = [_brief(run) for run in store.runs(limit=limit or None, strategy=strategy)]

    def text(rows: list[dict[str, Any]]) -> str:
        if not rows:
            return "no runs yet; try 'sovereign demo'"
        heads = ("run", "kind", "data", "symbols", "from", "to", "trades", "net USD", "verdict", "status")
        lines = [
            [
                row["run"],
                row["kind"],
                "SIMULATED" if row["is_simulated"] else "recorded",
                ", ".join(row["symbols"]),
                str(row["from"]),
                str(row["to"]),
                "" if row["trades"] is None else str(row["trades"]),
                "" if row["net"] is None else f"{_number(row['net']):,.2f}",
                row["verdict"] or "",
                row["status"],
            ]
            for row in rows
        ]
        return columns(heads, lines, frozenset({6, 7}))

    emit(found, as_json, text)


@app.command()
def show(run: RunArgument, config: ConfigOption = None, overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Show one run: figures, evidence, configuration and trades (trades and configuration with --json)."""
    from sovereign.research.ledger import trade_to_plain
    from sovereign.store.store import Store

    with Store(settings_from(config, overrides).settings.store) as store:
        found = store.run(run)
        record = found.record
        trials = store.trials(record.strategy, record.data_hash)
        trades = [trade_to_plain(trade) for trade in store.trades(found.id)]
        result = {
            **_brief(found),
            "parent": record.parent_id,
            "seed": record.seed,
            "starting_balance": record.starting_balance,
            "hashes": {"config": record.config_hash, "code": record.code_hash, "data": record.data_hash},
            "trials": {"runs": trials.runs, "distinct": trials.distinct},
            "summary": found.summary,
            "config": record.config,
            "trade_list": trades,
        }
    emit(result, as_json, _show_text)


def _show_text(result: dict[str, Any]) -> str:
    from sovereign.research.page import show as figure

    lines = [
        f"{result['run']}  ({result['kind']}, {result['status']})",
        f"  {result['strategy']} on {', '.join(result['symbols'])}, {result['from']} to {result['to']}, "
        f"fills {result['fill_model']}{', SIMULATED DATA' if result['is_simulated'] else ''}",
        f"  trials on this data: {result['trials']['distinct']} distinct, {result['trials']['runs']} runs",
        f"  report: {result['report'] or 'none'}",
    ]
    summary = result["summary"]
    twin = summary.get("twin")
    if twin:
        lines.append(f"  twin: {twin['verdict']}, {twin['differences']} differences, net {twin['net_difference']} USD")
    evidence = summary.get("evidence")
    if evidence:
        lines += ["", f"evidence: {evidence['verdict']}. {evidence['reason']}"]
        lines += [f"  {check['state']:8} {check['question']}" for check in evidence["checks"]]
    metrics = summary.get("metrics", {})
    if metrics:
        rows = [
            (metric["name"], figure(_number(metric["value"]), metric["unit"]), metric.get("reason", ""))
            for metric in metrics.values()
        ]
        lines += ["", columns(("figure", "value", ""), rows, frozenset({1}))]
    for test in summary.get("stress", {}).get("tests", ()):
        lines.append(f"  {'passed' if test['passed'] else 'FAILED'}  {test['name']}: {test['detail']}")
    return "\n".join(lines)


def _number(value: Any) -> Any:
    from decimal import Decimal

    return Decimal(value) if isinstance(value, str) else value


@app.command()
def decisions(
    run: RunArgument,
    verdict: Annotated[str | None, typer.Option(help="Only APPROVED, RESIZED or REFUSED.")] = None,
    check: Annotated[str | None, typer.Option(help="Only those refused by this check, for example tradable.")] = None,
    limit: Annotated[int, typer.Option(help="Earliest decisions to list; 0 lists all.", min=0)] = 50,
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """List a run's decisions in time order, with the ids that 'sovereign explain' takes: what the risk door judged, and the
    candidates that the strategy's own gates refused before it.
    """
    from sovereign.core.decision import Verdict
    from sovereign.core.errors import UsageError
    from sovereign.core.session import from_ns
    from sovereign.store.store import Store

    allowed = [one.value for one in Verdict]
    if verdict is not None and verdict.upper() not in allowed:
        raise UsageError(f"--verdict was '{verdict}'; allowed are {', '.join(allowed)}")
    with Store(settings_from(config, overrides).settings.store) as store:
        found = store.run(run)
        rows = store.decisions(found.id, verdict=verdict.upper() if verdict else None, failed_check=check, limit=limit or None)
    result = [{"utc": from_ns(row["ts"]).isoformat(), **row} for row in rows]

    def text(rows: list[dict[str, Any]]) -> str:
        if not rows:
            return f"{found.id}: no such decisions"
        heads = ("decision", f"time ({found.record.zone})", "symbol", "name", "side", "strength", "verdict", "refused by")
        lines = [
            (
                row["decision_id"],
                f"{from_ns(row['ts'], found.record.zone):%Y-%m-%d %H:%M:%S}",
                row["symbol"],
                row["name"],
                row["side"],
                "" if row["strength"] is None else f"{row['strength']:.3f}",
                row["verdict"],
                row["failed_check"] or "",
            )
            for row in rows
        ]
        note = f"\nthe first {limit}; --limit 0 lists all" if len(rows) == limit else ""
        return columns(heads, lines, frozenset({5})) + note

    emit(result, as_json, text)


@app.command()
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="Name of a run, a prefix, or 'last'.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Name of a run, a prefix, or 'last'.")],
    config: ConfigOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how two runs differ: figures, configuration and trades."""
    from sovereign.research.ledger import compare_runs
    from sovereign.store.store import Store

    with Store(settings_from(config, overrides).settings.store) as store:
        result = compare_runs(store, first, second).to_plain()
    emit(result, as_json, _compare_text)


def _compare_text(result: dict[str, Any]) -> str:
    lines = [f"A: {result['first']}", f"B: {result['second']}"]
    for title in ("facts", "config", "metrics"):
        rows = [
            (
                row["name"],
                _short(row["first"]),
                _short(row["second"]),
                "" if row["change"] is None or title != "metrics" else f"{row['change']:+,.4g}",
            )
            for row in result[title]
        ]
        heads = (title, "A", "B", "B - A" if title == "metrics" else "")
        lines += ["", columns(heads, rows, frozenset({1, 2, 3})) if rows else f"{title}: the same"]
    trades = result["trades"]
    counts = ((name, len(trades[name])) for name in ("only_first", "only_second", "changed"))
    lines += ["", f"trades: {trades['in_both']} in both, " + ", ".join(f"{count} {name}" for name, count in counts)]
    lines += [f"  only A  {_trade_text(trade)}" for trade in trades["only_first"][:10]]
    lines += [f"  only B  {_trade_text(trade)}" for trade in trades["only_second"][:10]]
    lines += [f"  changed {_trade_text(pair['first'])} -> {pair['second']['net']}" for pair in trades["changed"][:10]]
    return "\n".join(lines)


def _short(value: Any) -> str:
    return "" if value is None else f"{value:,.6g}" if isinstance(value, float) else str(value)[:40]


def _trade_text(trade: dict[str, Any]) -> str:
    from sovereign.core.session import from_ns

    when = from_ns(trade["entry_ns"]).isoformat(timespec="seconds")
    return f"{when} {trade['side']} {trade['quantity']} {trade['symbol']} net {trade['net']}"
