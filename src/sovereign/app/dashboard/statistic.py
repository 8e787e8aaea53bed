"""Figures over closed trades, and over what execution cost; definitions as in docs/concepts/metrics.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from sovereign.core.instrument import Instrument
from sovereign.core.order import OrderRole
from sovereign.core.position import Trade
from sovereign.execution.shortfall import arrival_of, opportunity_bps, shortfall_bps

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


def execution_row(
    order: Mapping[str, Any],
    instrument: Instrument | None,
    *,
    mid_ticks: float | None = None,
    fees: Decimal = Decimal(0),
    next_close: float | None = None,
) -> dict[str, Any]:
    """Return what one order cost and how long it took.

    Shortfall is against the price at which it was decided, slippage against the price it was expected to fill at; both positive
    when they cost, in ticks a unit. `shortfall_bps` (of that price) and `shortfall_money` are with fees.

    Parameters
    ----------
    mid_ticks : middle of the quote at its decision, where one was recorded. fees : of its fills.
    next_close : close of the first bar after the order ended, ticks; what the unfilled part of an entry missed up to there is
        `opportunity_bps`.
    """
    filled, average = order["filled_qty"], order["average_ticks"]
    arrival = arrival_of(OrderRole(order["role"]), order["arrival_ticks"], mid_ticks)
    is_known = arrival is not None and arrival.ticks > 0
    sign = 1 if order["side"] == "BUY" else -1
    shortfall = bps = money = missed = None
    if arrival is not None and filled and average is not None:
        shortfall = sign * (average - arrival.ticks)
        fee = 0.0 if instrument is None else float(fees / instrument.tick_value) / filled
        bps = shortfall_bps(sign, average, arrival.ticks, fee) if is_known else None
        money = None if instrument is None else float(instrument.tick_value) * shortfall * filled + float(fees)
    if arrival is not None and is_known and next_close is not None and filled < order["quantity"]:
        missed = opportunity_bps(sign, next_close, arrival.ticks, 1 - filled / order["quantity"])
    submitted, accepted, done = order["submitted_ns"], order["accepted_ns"], order["updated_ns"]
    return {
        **{name: order[name] for name in ("client_order_id", "symbol", "side", "order_type", "role", "quantity", "status")},
        "ts": submitted if submitted is not None else done,
        "filled_qty": filled,
        "arrival_ticks": order["arrival_ticks"],
        "reference_ticks": None if arrival is None else arrival.ticks,
        "reference": None if arrival is None else arrival.against.value,
        "average_ticks": average,
        "slippage_ticks": order["slippage_ticks"] / filled if filled else None,
        "shortfall_ticks": shortfall,
        "shortfall_bps": bps,
        "shortfall_money": money,
        "opportunity_bps": missed,
        "accept_ms": (accepted - submitted) / _NS_PER_MS if accepted is not None and submitted is not None else None,
        "fill_ms": (done - submitted) / _NS_PER_MS
        if order["status"] == "FILLED" and submitted is not None and order["order_type"] == "MARKET"
        else None,
    }


def execution_summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return counts, and the distribution of slippage, shortfall and latency over orders."""
    names = ("slippage_ticks", "shortfall_ticks", "shortfall_bps", "shortfall_money", "opportunity_bps", "accept_ms", "fill_ms")
    return {
        "orders": len(rows),
        "by_status": Counter(row["status"] for row in rows),
        "by_reference": Counter(row["reference"] for row in rows if row["shortfall_bps"] is not None),
        **{name: _spread(rows, name) for name in names},
    }


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
