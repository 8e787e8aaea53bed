"""Figures over closed trades, and over what execution cost; definitions as in docs/concepts/metrics.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from sovereign.core.instrument import Instrument
from sovereign.core.position import Trade

_NS_PER_MS = 1e6


def trade_statistics(trades: Sequence[Trade]) -> dict[str, Any]:
    """Return count, win rate, sums and means of closed trades; None where there is nothing to divide by."""
    nets = [trade.net for trade in trades]
    wins, losses = [net for net in nets if net > 0], [net for net in nets if net < 0]
    won, lost = sum(wins, Decimal(0)), sum(losses, Decimal(0))
    units = sum(trade.quantity for trade in trades)
    return {
        "trades": len(trades),
        "wins": len(wins),
        "losses": len(losses),
        "win_rate": len(wins) / len(trades) if trades else None,
        "gross": sum((trade.gross for trade in trades), Decimal(0)),
        "fees": sum((trade.fees for trade in trades), Decimal(0)),
        "net": won + lost,
        "average_win": won / len(wins) if wins else None,
        "average_loss": lost / len(losses) if losses else None,
        "profit_factor": float(won / -lost) if lost else None,
        "expectancy": (won + lost) / len(trades) if trades else None,
        "best": max(nets, default=None),
        "worst": min(nets, default=None),
        "slippage_ticks": sum(trade.slippage_ticks for trade in trades) / units if units else None,
        "ambiguous": sum(trade.is_ambiguous for trade in trades),
    }


def execution_row(order: Mapping[str, Any], instrument: Instrument | None) -> dict[str, Any]:
    """Return what one order cost and how long it took.

    Shortfall is against the price at which it was decided (arrival), slippage against the price it was expected to fill at;
    both positive when they cost, in ticks a unit; `shortfall_bps` in basis points of arrival.
    """
    filled, average, arrival = order["filled_qty"], order["average_ticks"], order["arrival_ticks"]
    sign = 1 if order["side"] == "BUY" else -1
    shortfall = sign * (average - arrival) if filled and average is not None and arrival is not None else None
    submitted, accepted, done = order["submitted_ns"], order["accepted_ns"], order["updated_ns"]
    return {
        **{name: order[name] for name in ("client_order_id", "symbol", "side", "order_type", "role", "quantity", "status")},
        "ts": submitted if submitted is not None else done,
        "filled_qty": filled,
        "arrival_ticks": arrival,
        "average_ticks": average,
        "slippage_ticks": order["slippage_ticks"] / filled if filled else None,
        "shortfall_ticks": shortfall,
        "shortfall_bps": shortfall / arrival * 1e4 if shortfall is not None and arrival else None,
        "shortfall_money": None
        if shortfall is None or instrument is None
        else float(instrument.tick_value) * shortfall * filled,
        "accept_ms": (accepted - submitted) / _NS_PER_MS if accepted is not None and submitted is not None else None,
        "fill_ms": (done - submitted) / _NS_PER_MS
        if order["status"] == "FILLED" and submitted is not None and order["order_type"] == "MARKET"
        else None,
    }


def execution_summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return counts, and the distribution of slippage, shortfall and latency over orders."""
    statuses: dict[str, int] = {}
    for row in rows:
        statuses[row["status"]] = statuses.get(row["status"], 0) + 1
    names = ("slippage_ticks", "shortfall_ticks", "shortfall_bps", "shortfall_money", "accept_ms", "fill_ms")
    return {"orders": len(rows), "by_status": statuses, **{name: _spread(rows, name) for name in names}}


def _spread(rows: Sequence[Mapping[str, Any]], name: str) -> dict[str, float | int | None]:
    values = np.array([row[name] for row in rows if row[name] is not None], dtype=float)
    if not len(values):
        return {"count": 0, "mean": None, "p50": None, "p95": None, "p99": None, "worst": None, "sum": None}
    p50, p95, p99 = np.percentile(values, (50, 95, 99)).tolist()
    return {
        "count": len(values),
        "mean": float(values.mean()),
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "worst": float(values.max()),
        "sum": float(values.sum()),
    }
