"""Which of stop and target fills when both lie inside one recorded bar; every case worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sovereign.core.columns import Bars, Trades
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Bracket, Order, OrderEvent, OrderRole, OrderType, Side
from sovereign.core.session import NS_PER_SECOND
from sovereign.execution.fill_model import OPTIMISTIC, PESSIMISTIC, REALISTIC, BarOrder, FillModel
from sovereign.execution.matching import MatchingEngine
from sovereign.execution.report import ExecutionReport
from sovereign.feeds.bars import path_of

FLAT = (100, 100, 100, 100)


def path(*bars: tuple[int, int, int, int]) -> Trades:
    """Minute bars (open, high, low, close) as prints, a great volume in each."""
    columns = [np.array(column, np.int32) for column in zip(*bars, strict=True)]
    closes = 60 * NS_PER_SECOND * np.arange(1, len(bars) + 1, dtype=np.int64)
    return path_of(Bars(closes, *columns, np.full(len(bars), 400_000, np.int64)), 60)


def ordered(side: Side = Side.BUY, kind: OrderType = OrderType.MARKET, **terms: Any) -> Order:
    return Order(
        client_order_id="A",
        instrument=find_instrument("ES"),
        tape="ES",
        side=side,
        order_type=kind,
        quantity=1,
        submitted_ns=0,
        active_ns=0,
        role=OrderRole.ENTRY,
        **{"bracket": Bracket(stop_ticks=5, target_ticks=10)} | terms,
    )


def fills(model: FillModel, trades: Trades, order: Order) -> list[tuple[str, int, bool]]:
    """Walk the path; return (order, price, whether in doubt) of each fill."""
    engine = MatchingEngine(model)
    engine.submit(order, 0)
    engine.on_time(0)
    reports: list[ExecutionReport] = []
    row = 0
    while (found := engine.next_event("ES", trades, row, len(trades))) < len(trades):
        reports += engine.take("ES", trades, found)
        row = found + 1
    done = (OrderEvent.FILL, OrderEvent.PARTIAL_FILL)
    return [(r.client_order_id, r.price_ticks or 0, r.is_ambiguous) for r in reports if r.cause in done]


def taking(order: BarOrder) -> FillModel:
    return OPTIMISTIC.model_copy(update={"bar_order": order})


# Entry at 100 in the flat bar, so stop 95 and target 110 for a buyer, 105 and 90 for a seller.
RISES = (100, 112, 90, 105)  # taken to have gone 100, 90, 112, 105
FALLS = (105, 112, 90, 100)  # taken to have gone 105, 112, 90, 100


@pytest.mark.parametrize(
    ("bar", "order", "expected"),
    [
        (RISES, BarOrder.PATH, ("A-S", 95)),
        (RISES, BarOrder.STOP, ("A-S", 95)),
        (RISES, BarOrder.TARGET, ("A-T", 110)),
        (FALLS, BarOrder.PATH, ("A-T", 110)),
        (FALLS, BarOrder.STOP, ("A-S", 95)),
        (FALLS, BarOrder.TARGET, ("A-T", 110)),
    ],
)
def test_bracket_of_a_buyer_when_both_ends_lie_in_one_bar_then_the_order_decides_and_the_fill_is_in_doubt(
    bar: tuple[int, int, int, int], order: BarOrder, expected: tuple[str, int]
) -> None:
    assert fills(taking(order), path(FLAT, bar), ordered()) == [("A", 100, False), (*expected, True)]


@pytest.mark.parametrize(
    ("bar", "order", "expected"),
    [
        ((100, 107, 88, 101), BarOrder.PATH, ("A-T", 90)),
        ((100, 107, 88, 101), BarOrder.STOP, ("A-S", 105)),
        ((101, 107, 88, 100), BarOrder.PATH, ("A-S", 105)),
        ((101, 107, 88, 100), BarOrder.TARGET, ("A-T", 90)),
    ],
)
def test_bracket_of_a_seller_when_both_ends_lie_in_one_bar_then_the_order_decides_and_the_fill_is_in_doubt(
    bar: tuple[int, int, int, int], order: BarOrder, expected: tuple[str, int]
) -> None:
    assert fills(taking(order), path(FLAT, bar), ordered(Side.SELL)) == [("A", 100, False), (*expected, True)]


@pytest.mark.parametrize("order", list(BarOrder))
@pytest.mark.parametrize(("bar", "expected"), [((100, 112, 96, 105), ("A-T", 110)), ((100, 109, 90, 105), ("A-S", 95))])
def test_bracket_when_a_bar_holds_one_end_only_then_nothing_is_in_doubt(
    bar: tuple[int, int, int, int], expected: tuple[str, int], order: BarOrder
) -> None:
    assert fills(taking(order), path(FLAT, bar), ordered()) == [("A", 100, False), (*expected, False)]


@pytest.mark.parametrize("order", list(BarOrder))
def test_bracket_when_the_bar_opens_beyond_the_stop_then_the_gap_is_paid_and_nothing_is_in_doubt(order: BarOrder) -> None:
    assert fills(taking(order), path(FLAT, (91, 115, 90, 112)), ordered())[1] == ("A-S", 91, False)


def test_stop_when_reached_inside_a_bar_then_slips_from_its_own_price_not_from_the_low() -> None:
    model = OPTIMISTIC.model_copy(update={"stop_slippage_ticks": 2})
    assert fills(model, path(FLAT, (100, 101, 80, 85)), ordered())[1] == ("A-S", 93, False)


@pytest.mark.parametrize("order", list(BarOrder))
def test_target_when_its_entry_fills_at_the_open_of_the_same_bar_then_it_gets_its_own_price(order: BarOrder) -> None:
    # The first bar opens at 100 and goes to 112 by way of 96: the target at 110 is new, and passed on the way.
    assert fills(taking(order), path((100, 112, 96, 105)), ordered()) == [("A", 100, False), ("A-T", 110, False)]


def test_entry_when_its_limit_is_passed_inside_a_bar_then_not_filled_beyond_it() -> None:
    entry = ordered(Side.SELL, OrderType.LIMIT, limit_ticks=95, bracket=None)
    assert fills(OPTIMISTIC, path((90, 112, 88, 100)), entry) == [("A", 95, False)]
    # marketable at the open already: the open is paid
    assert fills(OPTIMISTIC, path((97, 112, 88, 100)), entry) == [("A", 97, False)]


def test_entry_when_it_fills_at_one_extreme_then_the_other_of_the_same_bar_counts_as_the_order_says() -> None:
    # A limit at 92 fills at the low of 90, taken to come first; 102 is its target, inside the same bar's high of 112.
    entry = ordered(kind=OrderType.LIMIT, limit_ticks=92)
    trades = path(FLAT, (100, 112, 90, 101))
    assert fills(taking(BarOrder.PATH), trades, entry) == [("A", 92, False), ("A-T", 102, True)]
    assert fills(taking(BarOrder.TARGET), trades, entry) == [("A", 92, False), ("A-T", 102, True)]
    assert fills(taking(BarOrder.STOP), trades, entry) == [("A", 92, False)]


def test_ticks_when_two_share_a_time_then_their_order_is_known_and_nothing_is_in_doubt() -> None:
    paths = path(FLAT, RISES)
    ticks = Trades(paths.ts, paths.price, paths.size, paths.side)
    assert fills(taking(BarOrder.TARGET), ticks, ordered()) == [("A", 100, False), ("A-S", 90, False)]


def test_models_when_shipped_then_the_friendly_one_takes_targets_and_the_unfriendly_one_stops() -> None:
    assert [model.bar_order for model in (OPTIMISTIC, REALISTIC, PESSIMISTIC)] == [
        BarOrder.TARGET,
        BarOrder.PATH,
        BarOrder.STOP,
    ]


def test_path_when_cut_or_joined_then_stays_one() -> None:
    trades = path(FLAT, RISES)
    assert trades.slice(0, 4).is_path
    assert Trades.concat([trades.slice(0, 4), trades.slice(4, 8)]).is_path
    assert not Trades.concat([trades, Trades.empty()]).is_path
