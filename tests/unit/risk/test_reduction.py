"""The reduce-only policy."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from risk_cases import TAPE, TEN, door, position, proposal, view

from sovereign.core.decision import Approved, Refused
from sovereign.core.event import TradingState
from sovereign.core.order import OrderIntent, OrderRole, Side

LONG_TWO = {"MESZ5": position(quantity=2)}


def close(**changes: Any) -> OrderIntent:
    return OrderIntent(**({"symbol": TAPE, "side": Side.SELL, "reduce_only": True, "role": OrderRole.FLATTEN} | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"is_killed": True},
        {"state": TradingState.HALTED},
        {"state": TradingState.REDUCING},
        {"data_ns": None},
        {"ts": TEN + 86_400_000_000_000},
        {"equity": Decimal("NaN"), "balance": Decimal("NaN")},
        {"margin_per_unit": {}, "last_ticks": {}, "session": None},
        {"orders_last_minute": 10_000},
    ],
)
def test_reduce_when_it_reduces_then_approved_in_every_state(changes: dict[str, Any]) -> None:
    checks, outcome = door().judge(proposal(close()), view(positions=LONG_TWO, **changes))
    assert outcome == Approved(2, was_resized=False, symbol="MESZ5")
    assert [item.name for item in checks] == ["reduce_position", "reduce_side", "reduce_quantity"]


@pytest.mark.parametrize(
    ("intent", "positions", "failed", "value", "limit"),
    [
        (close(), {}, "reduce_position", 0, 1),
        (close(side=Side.BUY), LONG_TWO, "reduce_side", 1, -1),
        (close(quantity=3), LONG_TWO, "reduce_quantity", 3, 2),
        (close(quantity=0), LONG_TWO, "reduce_quantity", 0, 2),
        (close(symbol="NQZ5"), LONG_TWO, "reduce_position", 0, 1),
        (close(), {"MESZ5": position(quantity=-2)}, "reduce_side", -1, 1),
        (close(), None, "reduce_position", 0, 1),
    ],
)
def test_reduce_when_it_does_not_reduce_then_refused(
    intent: OrderIntent, positions: Any, failed: str, value: float, limit: float
) -> None:
    outcome = door().judge(proposal(intent), view(positions=positions))[1]
    assert isinstance(outcome, Refused)
    assert (outcome.check, outcome.value, outcome.limit) == (failed, value, limit)


def test_reduce_when_part_is_asked_then_part_is_approved_by_traded_symbol() -> None:
    intent = close(symbol="MESZ5", quantity=1)
    assert door().judge(proposal(intent), view(positions=LONG_TWO))[1] == Approved(1, was_resized=False, symbol="MESZ5")


def test_reduce_when_two_siblings_share_the_tape_then_the_one_it_reduces_is_meant() -> None:
    tape = {"MESZ5": position(quantity=-3, tape="MESZ5X"), "ESZ5": position("ESZ5", 1, tape="MESZ5X")}
    assert door().judge(proposal(close(symbol="MESZ5X")), view(positions=tape))[1] == Approved(
        1, was_resized=False, symbol="ESZ5"
    )
    assert door().judge(proposal(close(symbol="ESZ5")), view(positions=tape))[1] == Approved(
        1, was_resized=False, symbol="ESZ5"
    )
