"""Writing a run to a folder: the HTML report, the summary as JSON, and the tables as CSV."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sovereign.core.decision import Approved, Refused
from sovereign.core.session import NS_PER_SECOND
from sovereign.research.breakdown import Group, breakdowns, exit_reasons
from sovereign.research.configuration import MetricsConfig
from sovereign.research.metrics import Metric, compute_metrics, daily_returns, equity_curve
from sovereign.research.page import render_page
from sovereign.research.result import RunResult


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPaths:
    """Where the files of a report are."""

    html: Path
    summary: Path
    tables: Mapping[str, Path]


def summarize(
    run: RunResult, metrics: Mapping[str, Metric] | None = None, config: MetricsConfig | None = None
) -> dict[str, Any]:
    """Return the JSON-ready summary of a run, as written to `summary.json` and kept in the run ledger."""
    metrics = metrics or compute_metrics(run, config)
    groups = breakdowns(run.trades, run.zone, run.tables.tier_changes, exit_reasons(run.tables))
    return {
        "run_id": run.run_id,
        "strategy": run.strategy,
        "symbols": list(run.symbols),
        "from": run.start.isoformat(),
        "to": run.end.isoformat(),
        "is_simulated": run.is_simulated,
        "fill_model": run.fill_model,
        "seed": run.seed,
        "starting_balance": str(run.starting_balance),
        "final_balance": str(run.final_balance),
        "hashes": {"config": run.config_hash, "code": run.code_hash, "data": run.data_hash},
        "trials": run.trials,
        "wall_seconds": run.wall_seconds,
        "metrics": {key: metric.to_plain() for key, metric in metrics.items()},
        "lanes": {name: lane.to_plain() for name, lane in run.lanes.items()},
        "evidence": run.evidence.to_plain() if run.evidence else None,
        "refused": dict(run.tables.refused),
        "breakdowns": {name: [group.to_plain() for group in some] for name, some in groups.items()},
        "reliability": [one.to_plain() for one in run.reliability],
        "ablation": [one.to_plain() for one in run.ablation],
        "assumptions": list(run.assumptions),
    }


def write_report(run: RunResult, out_dir: Path | str, metrics: Mapping[str, Metric] | None = None) -> ReportPaths:
    """Write `report.html`, `summary.json` and the CSV tables into `out_dir`, which is created.

    The page needs no other file and no network. CSV times are UTC in ISO form beside the nanoseconds; money is exact.
    `metrics` are the run's own where they have been computed already.
    """
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    metrics = metrics or compute_metrics(run)
    groups: dict[str, tuple[Group, ...]] = breakdowns(run.trades, run.zone, run.tables.tier_changes, exit_reasons(run.tables))
    html = folder / "report.html"
    html.write_text(render_page(run, metrics, groups), encoding="utf-8")
    summary = folder / "summary.json"
    summary.write_text(json.dumps(summarize(run, metrics), indent=2, allow_nan=False, default=str) + "\n", encoding="utf-8")
    tables = {name: _write(folder / f"{name}.csv", heads, rows) for name, heads, rows in _tables(run)}
    return ReportPaths(html=html, summary=summary, tables=tables)


def _write(path: Path, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(heads)
        writer.writerows(rows)
    return path


def _utc(ts: int | None) -> str:
    if ts is None:
        return ""
    seconds, rest = divmod(int(ts), NS_PER_SECOND)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1_000).isoformat()


def _price(ticks: float | None, tick_size: Decimal) -> str:
    return "" if ticks is None else format(Decimal(str(ticks)) * tick_size, "f")


def _tables(run: RunResult) -> Iterable[tuple[str, tuple[str, ...], Iterable[Sequence[Any]]]]:
    yield "trades", _TRADES, _trade_rows(run)
    yield "orders", _ORDERS, _order_rows(run)
    yield "fills", _FILLS, _fill_rows(run)
    yield "decisions", _DECISIONS, _decision_rows(run)
    yield "equity", ("ts", "utc", "equity", "underwater_frac"), _equity_rows(run)
    yield "daily", _DAILY, _daily_rows(run)
    if run.reliability:
        yield "reliability", _RELIABILITY, _reliability_rows(run)
    if run.ablation:
        yield "ablation", _ABLATION, _ablation_rows(run)


_TRADES = (
    "trade_id",
    "symbol",
    "side",
    "quantity",
    "entry_utc",
    "exit_utc",
    "entry_ns",
    "exit_ns",
    "entry_price",
    "exit_price",
    "gross",
    "fees",
    "net",
    "mae_ticks",
    "mfe_ticks",
    "slippage_ticks",
    "exit_role",
    "is_ambiguous",
    "decision_id",
    "pattern",
    "regime",
    "labels",
)


def _trade_rows(run: RunResult) -> Iterable[Sequence[Any]]:
    for trade in run.trades:
        tick = trade.instrument.tick_size
        yield (
            trade.trade_id,
            trade.instrument.symbol,
            trade.side.value,
            trade.quantity,
            _utc(trade.entry_ns),
            _utc(trade.exit_ns),
            trade.entry_ns,
            trade.exit_ns,
            _price(trade.entry_ticks, tick),
            _price(trade.exit_ticks, tick),
            trade.gross,
            trade.fees,
            trade.net,
            trade.mae_ticks,
            trade.mfe_ticks,
            trade.slippage_ticks,
            trade.exit_role.value,
            trade.is_ambiguous,
            trade.decision_id or "",
            trade.labels.get("pattern") or trade.labels.get("signal", ""),
            trade.labels.get("regime", ""),
            json.dumps(trade.labels, sort_keys=True),
        )


_ORDERS = (
    "client_order_id",
    "parent_id",
    "decision_id",
    "symbol",
    "side",
    "order_type",
    "role",
    "quantity",
    "filled_qty",
    "limit_price",
    "stop_price",
    "status",
    "first_utc",
    "last_utc",
    "reason",
)


def _order_rows(run: RunResult) -> Iterable[Sequence[Any]]:
    for order in run.tables.orders:
        tick = order.instrument.tick_size
        first, last = run.tables.order_times.get(order.client_order_id, (order.ts, order.ts))
        yield (
            order.client_order_id,
            order.parent_id or "",
            order.decision_id or "",
            order.instrument.symbol,
            order.side.value,
            order.order_type.value,
            order.role.value,
            order.quantity,
            order.filled_qty,
            _price(order.limit_ticks, tick),
            _price(order.stop_ticks, tick),
            order.status.value,
            _utc(first),
            _utc(last),
            order.reason,
        )


_FILLS = (
    "trade_id",
    "client_order_id",
    "symbol",
    "side",
    "quantity",
    "price",
    "utc",
    "ts",
    "fee",
    "liquidity",
    "role",
    "slippage_ticks",
    "is_ambiguous",
)


def _fill_rows(run: RunResult) -> Iterable[Sequence[Any]]:
    for fill in run.tables.fills:
        yield (
            fill.trade_id,
            fill.client_order_id,
            fill.instrument.symbol,
            fill.side.value,
            fill.quantity,
            _price(fill.price_ticks, fill.instrument.tick_size),
            _utc(fill.ts),
            fill.ts,
            fill.fee,
            fill.liquidity.value,
            fill.role.value,
            fill.slippage_ticks,
            fill.is_ambiguous,
        )


_DECISIONS = (
    "decision_id",
    "utc",
    "ts",
    "symbol",
    "name",
    "side",
    "strength",
    "confidence",
    "verdict",
    "quantity",
    "failed_check",
    "value",
    "limit",
    "unit",
    "reason",
)


def _decision_rows(run: RunResult) -> Iterable[Sequence[Any]]:
    for decision in run.tables.decisions:
        proposal, outcome = decision.proposal, decision.outcome
        quantity = outcome.quantity if isinstance(outcome, Approved) else ""
        refusal: tuple[Any, ...] = ("", "", "", "", "")
        if isinstance(outcome, Refused):
            refusal = (outcome.check, outcome.value, outcome.limit, outcome.unit, outcome.reason)
        yield (
            decision.decision_id,
            _utc(decision.ts),
            decision.ts,
            proposal.symbol,
            proposal.name,
            proposal.side.value,
            proposal.strength,
            proposal.confidence,
            decision.verdict.value,
            quantity,
            *refusal,
        )


def _equity_rows(run: RunResult) -> Iterable[Sequence[Any]]:
    curve = equity_curve(run)
    for ts, equity, under in zip(curve.ts.tolist(), curve.equity.tolist(), curve.underwater.tolist(), strict=True):
        yield ts, _utc(ts), f"{equity:.2f}", f"{under:.6f}"


_DAILY = ("trade_date", "start_balance", "end_balance", "net", "return_frac", "ticks", "start_equity", "end_equity")


def _daily_rows(run: RunResult) -> Iterable[Sequence[Any]]:
    for session, value in zip(run.tables.sessions, daily_returns(run).tolist(), strict=True):
        net = session.end_equity - session.start_equity
        balances = (session.start_balance, session.end_balance)
        equity = (session.start_equity, session.end_equity)
        yield session.trade_date.isoformat(), *balances, net, f"{value:.8f}", session.ticks, *equity


_RELIABILITY = (
    "measure",
    "outcome",
    "is_limit",
    "lowest",
    "highest",
    "mean",
    "cases",
    "clusters",
    "right",
    "share",
    "share_low",
    "share_high",
)


def _reliability_rows(run: RunResult) -> Iterable[Sequence[Any]]:
    for one in run.reliability:
        for some in (*one.bins, *one.limits):
            edges = [f"{value:.6f}" for value in (some.lowest, some.highest, some.mean)]
            shares = [f"{value:.6f}" for value in (some.share, some.low, some.high)]
            yield one.measure, one.outcome, some.is_limit, *edges, some.cases, some.clusters, some.right, *shares


_ABLATION = ("variant", "trades", "wins", "net", "days", "difference_a_day", "low", "high", "is_clear")


def _ablation_rows(run: RunResult) -> Iterable[Sequence[Any]]:
    for one in run.ablation:
        against = ["" if math.isnan(value) else f"{value:.4f}" for value in (one.difference, one.low, one.high)]
        yield one.name, one.trades, one.wins, one.net, one.days, *against, one.is_clear
