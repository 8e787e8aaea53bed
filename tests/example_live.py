"""A session and an order of paper trading, as the store keeps them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from sovereign.core.instrument import find_instrument
from sovereign.core.order import Bracket, Order, OrderRole, OrderType, Side
from sovereign.store.live import LiveSession


def example_session(name: str = "flow-A1-20260105", **changes: Any) -> LiveSession:
    """Return a session of account A1."""
    session = LiveSession(
        id=name,
        account="A1",
        strategy="flow",
        mode="paper",
        trade_date=date(2026, 1, 5),
        recording_path=f"runs/{name}",
        started_ns=100,
        code_hash="c0de",
        config_hash="c0nf",
    )
    return replace(session, **changes)


def example_order(name: str = "flow-1-E", **changes: Any) -> Order:
    """Return a limit order with a bracket; its fee is the user's own."""
    values: dict[str, Any] = {
        "client_order_id": name,
        "instrument": replace(find_instrument("MESH6"), fee_per_side=Decimal("0.3700")),
        "tape": "ESH6",
        "side": Side.SELL,
        "order_type": OrderType.LIMIT,
        "quantity": 3,
        "submitted_ns": 1_767_600_000_000_000_001,
        "active_ns": 1_767_600_000_050_000_001,
        "role": OrderRole.ENTRY,
        "limit_ticks": 27_001,
        "bracket": Bracket(stop_ticks=16, target_ticks=24),
        "decision_id": "flow-20260105-ES-00001",
    }
    return Order(**{**values, **changes})
