"""Fill rules, worked by hand on short tapes. Prices are ticks, one row is one trade, times are 1, 2, 3 ... seconds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.core.columns import NO_QUOTE, Trades
from sovereign.core.errors import UsageError
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Bracket, Order, OrderEvent, OrderRole, OrderType, Side, TimeInForce
from sovereign.core.session import NS_PER_SECOND
from sovereign.execution.fill_model import OPTIMISTIC, PESSIMISTIC, REALISTIC
from sovereign.execution.matching import MatchingEngine

ES = find_instrument("ES")


def tape(prices, sizes=None, sides=None, bid=None, ask=None):
    n = len(prices)
    return Trades(
        ts=np.arange(1, n + 1, dtype=np.int64) * NS_PER_SECOND,
        price=np.array(prices, np.int32),
        size=np.array(sizes or [100] * n, np.int32),
        side=np.array(sides or [1] * n, np.int8),
        bid=None if bid is None else np.array(bid, np.int32),
        ask=None if ask is None else np.array(ask, np.int32),
    )


def order(kind=OrderType.MARKET, side=Side.BUY, quantity=1, order_id="A", **terms):
    return Order(
        client_order_id=order_id,
        instrument=ES,
        tape="ES",
        side=side,
        order_type=kind,
        quantity=quantity,
        submitted_ns=0,
        active_ns=0,
        role=OrderRole.ENTRY,
        **terms,
    )


def run(model, trades, orders, latency_ns=0, cuts=()):
    """Walk a tape and return every report; `cuts` are rows at which the slice is cut for no reason."""
    engine = MatchingEngine(model, latency_ns)
    for item in orders:
        engine.submit(item, 0)
    return walk(engine, trades, cuts)


def walk(engine, trades, cuts=(), looks_ahead=False):
    """Walk a tape slice by slice; `looks_ahead` searches all that is left of it, and may then pass no more than the slice."""
    reports = []
    cursor = 0
    bounds = sorted({*cuts, len(trades)})
    while cursor < len(trades):
        due = engine.next_time_ns
        start_ts = int(trades.ts[cursor])
        if due <= start_ts:
            reports += engine.on_time(due)
            continue
        stop = min(b for b in bounds if b > cursor)
        stop = min(stop, int(np.searchsorted(trades.ts, due)))
        index = engine.next_event("ES", trades, cursor, len(trades) if looks_ahead else stop)
        if index < stop:
            reports += engine.take("ES", trades, index)
            cursor = index + 1
        else:
            engine.advance("ES", trades, cursor, stop)
            cursor = stop
    return reports


def fills(reports, order_id="A"):
    return [
        (r.quantity, r.price_ticks, r.ts // NS_PER_SECOND)
        for r in reports
        if r.client_order_id == order_id and r.cause in (OrderEvent.FILL, OrderEvent.PARTIAL_FILL)
    ]


def test_market_order_when_optimistic_then_fills_at_the_next_trade():
    assert fills(run(OPTIMISTIC, tape([100, 101, 99]), [order()])) == [(1, 100, 1)]


def test_market_order_when_latency_then_fills_at_the_first_trade_after_it_arrives():
    reports = run(OPTIMISTIC, tape([100, 101, 99]), [order()], latency_ns=int(1.5 * NS_PER_SECOND))
    assert fills(reports) == [(1, 101, 2)]


@pytest.mark.parametrize(("side", "expected"), [(Side.BUY, 102), (Side.SELL, 100)])
def test_market_order_when_quote_known_then_realistic_pays_the_far_side(side, expected):
    trades = tape([101], bid=[100], ask=[102])
    assert fills(run(REALISTIC, trades, [order(side=side)])) == [(1, expected, 1)]


def test_market_order_when_quote_unknown_and_seller_printed_then_buyer_pays_one_tick_more():
    assert fills(run(REALISTIC, tape([101], sides=[-1], bid=[NO_QUOTE], ask=[NO_QUOTE]), [order()])) == [(1, 102, 1)]
    assert fills(run(REALISTIC, tape([101], sides=[1]), [order()])) == [(1, 101, 1)]


def test_market_order_when_larger_than_depth_then_walks_the_book():
    reports = run(REALISTIC, tape([101]), [order(quantity=120)])
    assert fills(reports) == [(50, 101, 1), (50, 102, 1), (20, 103, 1)]


def test_market_order_when_pessimistic_then_slips_one_tick():
    assert fills(run(PESSIMISTIC, tape([101]), [order()])) == [(1, 102, 1)]


def test_buy_limit_when_touched_then_only_optimistic_fills():
    trades = tape([105, 100, 103], sizes=[1, 40, 1])
    limit = {"kind": OrderType.LIMIT, "limit_ticks": 100}
    assert fills(run(OPTIMISTIC, trades, [order(**limit)])) == [(1, 100, 2)]
    assert fills(run(REALISTIC, trades, [order(**limit)])) == []
    assert fills(run(PESSIMISTIC, trades, [order(**limit)])) == []


def test_buy_limit_when_queue_ahead_has_traded_then_realistic_fills_from_the_volume_left():
    # 50 lots are ahead: 30, then 25 (5 left for us), then 10.
    trades = tape([105, 100, 100, 101, 100], sizes=[1, 30, 25, 9, 10])
    reports = run(REALISTIC, trades, [order(kind=OrderType.LIMIT, limit_ticks=100, quantity=8)])
    assert fills(reports) == [(5, 100, 3), (3, 100, 5)]
    assert all(r.is_ambiguous for r in reports if r.quantity)


def test_buy_limit_when_traded_through_then_realistic_fills_whole_and_pessimistic_by_half_the_volume():
    trades = tape([105, 99, 99], sizes=[1, 6, 100])
    limit = {"kind": OrderType.LIMIT, "limit_ticks": 100, "quantity": 5}
    assert fills(run(REALISTIC, trades, [order(**limit)])) == [(5, 100, 2)]
    assert fills(run(PESSIMISTIC, trades, [order(**limit)])) == [(3, 100, 2), (2, 100, 3)]


def test_buy_limit_when_marketable_on_arrival_then_takes_at_the_market():
    reports = run(REALISTIC, tape([98]), [order(kind=OrderType.LIMIT, limit_ticks=100)])
    assert fills(reports) == [(1, 98, 1)]


def test_immediate_or_cancel_when_depth_is_short_then_fills_a_part_and_cancels_the_rest():
    reports = run(
        REALISTIC,
        tape([100, 100]),
        [order(kind=OrderType.LIMIT, limit_ticks=101, quantity=120, time_in_force=TimeInForce.IOC)],
    )
    assert fills(reports) == [(50, 100, 1), (50, 101, 1)]
    assert reports[-1].cause is OrderEvent.CANCEL


def test_fill_or_kill_when_depth_is_short_then_nothing_fills():
    reports = run(
        REALISTIC,
        tape([100, 100]),
        [order(kind=OrderType.LIMIT, limit_ticks=101, quantity=120, time_in_force=TimeInForce.FOK)],
    )
    assert fills(reports) == []
    assert reports[-1].cause is OrderEvent.CANCEL


def test_immediate_or_cancel_when_not_marketable_then_cancels():
    reports = run(OPTIMISTIC, tape([105, 99]), [order(kind=OrderType.LIMIT, limit_ticks=100, time_in_force=TimeInForce.IOC)])
    assert [r.cause for r in reports] == [OrderEvent.ACCEPT, OrderEvent.CANCEL]


@pytest.mark.parametrize(("model", "expected"), [(OPTIMISTIC, 96), (REALISTIC, 95), (PESSIMISTIC, 94)])
def test_sell_stop_when_market_gaps_through_then_fills_at_the_gap_and_slips(model, expected):
    stop = order(kind=OrderType.STOP, side=Side.SELL, stop_ticks=98)
    assert fills(run(model, tape([100, 99, 96, 97]), [stop])) == [(1, expected, 3)]


def test_stop_limit_when_triggered_beyond_its_limit_then_rests():
    stop_limit = order(kind=OrderType.STOP_LIMIT, side=Side.BUY, stop_ticks=102, limit_ticks=103)
    reports = run(OPTIMISTIC, tape([100, 105, 104, 103]), [stop_limit])
    assert fills(reports) == [(1, 103, 4)]
    assert OrderEvent.TRIGGER in [r.cause for r in reports]


def test_trailing_sell_stop_when_price_falls_the_distance_from_its_high_then_fills():
    trailing = order(kind=OrderType.TRAILING_STOP, side=Side.SELL, trail_ticks=3)
    assert fills(run(OPTIMISTIC, tape([100, 104, 102, 101, 99]), [trailing])) == [(1, 101, 4)]


def test_good_till_date_when_time_passes_then_expires_before_the_tick():
    limit = order(kind=OrderType.LIMIT, limit_ticks=90, time_in_force=TimeInForce.GTD, expire_ns=2 * NS_PER_SECOND)
    reports = run(OPTIMISTIC, tape([100, 90]), [limit])
    assert [r.cause for r in reports] == [OrderEvent.ACCEPT, OrderEvent.EXPIRE]


def test_bracket_when_entry_fills_then_children_stand_at_distances_from_the_fill():
    entry = order(bracket=Bracket(stop_ticks=4, target_ticks=6))
    reports = run(OPTIMISTIC, tape([100, 101, 106, 90]), [entry])
    children = {r.child.role: r.child for r in reports if r.child is not None}
    assert children[OrderRole.STOP].stop_ticks == 96
    assert children[OrderRole.TARGET].limit_ticks == 106
    assert fills(reports, "A-T") == [(1, 106, 3)]
    assert fills(reports, "A-S") == []
    assert [r.cause for r in reports if r.client_order_id == "A-S"][-1] is OrderEvent.CANCEL


def test_bracket_when_entry_fills_in_parts_then_children_follow_quantity_and_average():
    # The entry rests at 100 behind 50 lots: 2 of 4 fill, then 2 more at the same price.
    entry = order(kind=OrderType.LIMIT, limit_ticks=100, quantity=4, bracket=Bracket(stop_ticks=4, target_ticks=6))
    trades = tape([105, 100, 100, 96], sizes=[1, 52, 7, 1])
    reports = run(REALISTIC, trades, [entry])
    assert fills(reports) == [(2, 100, 2), (2, 100, 3)]
    updates = [r.quantity for r in reports if r.client_order_id == "A-S" and r.cause is OrderEvent.UPDATE]
    assert updates == [4]
    assert fills(reports, "A-S") == [(4, 95, 4)]


def test_bracket_when_a_child_fills_in_part_then_the_sibling_shrinks_and_the_entry_is_withdrawn():
    entry = order(quantity=10, bracket=Bracket(stop_ticks=4, target_ticks=6))
    trades = tape([100, 106, 96], sizes=[100, 56, 100])
    reports = run(REALISTIC, trades, [entry])
    assert fills(reports, "A-T") == [(6, 106, 2)]
    assert [r.quantity for r in reports if r.client_order_id == "A-S" and r.cause is OrderEvent.UPDATE] == [4]
    assert fills(reports, "A-S") == [(4, 95, 3)]
    assert [r.cause for r in reports if r.client_order_id == "A-T"][-1] is OrderEvent.CANCEL


def test_submit_when_the_id_is_already_working_then_it_is_not_taken_twice():
    limit = order(kind=OrderType.LIMIT, limit_ticks=90)
    assert len(run(OPTIMISTIC, tape([100]), [limit, limit])) == 1


def test_cuts_anywhere_when_many_orders_rest_then_reports_are_the_same():
    rng = np.random.default_rng(3)
    prices = 1000 + np.cumsum(rng.integers(-2, 3, 400))
    trades = tape(prices.tolist(), sizes=rng.integers(1, 40, 400).tolist(), sides=rng.choice([-1, 1], 400).tolist())

    def orders():
        kinds = [OrderType.LIMIT, OrderType.STOP, OrderType.TRAILING_STOP, OrderType.MARKET, OrderType.STOP_LIMIT]
        made = []
        for n in range(40):
            local = np.random.default_rng(n)
            kind = kinds[n % 5]
            level = 1000 + int(local.integers(-25, 26))
            made.append(
                order(
                    kind=kind,
                    side=Side.BUY if local.random() < 0.5 else Side.SELL,
                    quantity=int(local.integers(1, 60)),
                    order_id=f"O{n}",
                    limit_ticks=level if kind in (OrderType.LIMIT, OrderType.STOP_LIMIT) else None,
                    stop_ticks=level if kind in (OrderType.STOP, OrderType.STOP_LIMIT) else None,
                    trail_ticks=5 if kind is OrderType.TRAILING_STOP else None,
                    bracket=Bracket(stop_ticks=5, target_ticks=7) if n % 2 else None,
                )
            )
        return made

    for model in (OPTIMISTIC, REALISTIC, PESSIMISTIC):
        whole = [(r.cause, r.client_order_id, r.ts, r.quantity, r.price_ticks) for r in run(model, trades, orders())]
        single = [
            (r.cause, r.client_order_id, r.ts, r.quantity, r.price_ticks) for r in run(model, trades, orders(), cuts=range(400))
        ]
        ragged = [
            (r.cause, r.client_order_id, r.ts, r.quantity, r.price_ticks)
            for r in run(model, trades, orders(), cuts=rng.integers(1, 400, 30).tolist())
        ]
        assert whole == single == ragged
        assert sum(1 for r in whole if r[3]) > 40


def test_reduce_only_order_when_the_stop_closed_the_position_on_its_way_then_is_canceled_and_opens_nothing():
    engine = MatchingEngine(OPTIMISTIC)
    engine.submit(order(bracket=Bracket(stop_ticks=16, target_ticks=24)), 0)
    # The stop fills at second 3; the order to close is live a nanosecond later.
    engine.submit(order(side=Side.SELL, order_id="F", reduce_only=True), 3 * NS_PER_SECOND + 1)
    reports = walk(engine, tape([100, 100, 84, 84, 90]))
    assert fills(reports, "A-S") == [(1, 84, 3)]
    assert [r.cause for r in reports if r.client_order_id == "F"] == [OrderEvent.ACCEPT, OrderEvent.CANCEL]


def test_reduce_only_order_when_larger_than_what_is_left_then_closes_only_that():
    engine = MatchingEngine(REALISTIC)
    trades = tape([100, 124, 124, 120, 120], sizes=[100, 49, 2, 100, 100])
    engine.submit(order(quantity=3, bracket=Bracket(stop_ticks=16, target_ticks=24)), 0)
    # Fifty lots wait at the target; of the 51 that trade there one is ours, so two of three are left.
    before = walk(engine, trades.slice(0, 3))
    assert fills(before, "A-T") == [(1, 124, 3)]
    for child in ("A-S", "A-T"):
        engine.cancel(child, 3 * NS_PER_SECOND)
    engine.submit(order(side=Side.SELL, quantity=3, order_id="F", reduce_only=True), 3 * NS_PER_SECOND)
    after = walk(engine, trades.slice(3, 5))
    assert sum(quantity for quantity, _, _ in fills(after, "F")) == 2
    assert [(r.quantity, r.client_order_id) for r in after if r.cause is OrderEvent.UPDATE] == [(2, "F")]


def test_target_when_a_later_part_of_the_entry_moves_it_then_waits_behind_the_lots_at_its_new_price():
    model = REALISTIC.model_copy(update={"depth_lots": 1})
    # 1 each at 100, 101 and 102, on average 101: the target is 111, and 49 of the 50 lots ahead of it trade. The last three
    # at 102 make the average 101.5, so the target moves to 112, behind fifty lots again: 30 and 20 of the next two trades.
    trades = tape([100, 111, 102, 112, 112], sizes=[100, 49, 3, 30, 30])
    entry = order(OrderType.LIMIT, limit_ticks=102, quantity=6, bracket=Bracket(stop_ticks=50, target_ticks=10))
    reports = run(model, trades, [entry])
    assert fills(reports) == [(1, 100, 1), (1, 101, 1), (1, 102, 1), (3, 102, 3)]
    assert fills(reports, "A-T") == [(6, 112, 5)]


@pytest.mark.parametrize(("factor", "bought", "sold"), [(1, 102, 101), (2, 103, 101), (3, 103, 100)])
def test_costs_when_scaled_then_a_round_trip_pays_that_many_quoted_spreads(factor, bought, sold):
    trades = tape([101], bid=[101], ask=[102])
    model = REALISTIC.scaled(factor)
    assert fills(run(model, trades, [order(side=Side.BUY)])) == [(1, bought, 1)]
    assert fills(run(model, trades, [order(side=Side.SELL)])) == [(1, sold, 1)]
    assert bought - sold == factor * (102 - 101)


def test_costs_when_scaled_and_one_side_of_the_quote_is_unknown_then_the_known_side_is_paid():
    trades = tape([101], bid=[NO_QUOTE], ask=[102])
    assert fills(run(REALISTIC.scaled(2), trades, [order()])) == [(1, 102, 1)]


def test_trailing_bracket_when_price_falls_at_once_then_stops_at_the_brackets_stop():
    entry = order(bracket=Bracket(stop_ticks=4, target_ticks=20, trail_ticks=6))
    reports = run(OPTIMISTIC, tape([100, 98, 97, 96, 95]), [entry])
    assert fills(reports, "A-S") == [(1, 96, 4)]


def test_trailing_bracket_when_price_rises_first_then_follows_at_its_distance():
    # The stop starts at 96; at a best price of 105 a distance of 6 has lifted it to 99.
    entry = order(bracket=Bracket(stop_ticks=4, target_ticks=20, trail_ticks=6))
    reports = run(OPTIMISTIC, tape([100, 105, 101, 99, 98]), [entry])
    assert fills(reports, "A-S") == [(1, 99, 4)]


def test_stop_limit_immediate_or_cancel_when_triggered_beyond_its_limit_then_is_canceled():
    stop_limit = order(kind=OrderType.STOP_LIMIT, stop_ticks=102, limit_ticks=103, time_in_force=TimeInForce.IOC)
    reports = run(OPTIMISTIC, tape([100, 105, 103]), [stop_limit])
    assert fills(reports) == []
    assert reports[-1].cause is OrderEvent.CANCEL


@pytest.mark.parametrize(
    "terms", [{"stop_ticks": 0}, {"stop_ticks": 4, "target_ticks": -1}, {"stop_ticks": 4, "trail_ticks": 0}]
)
def test_bracket_when_a_distance_is_below_one_tick_then_is_refused(terms):
    with pytest.raises(UsageError, match="at least 1 tick"):
        Bracket(**terms)


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(-2, 2), st.integers(1, 60)), min_size=2, max_size=40),
    cuts=st.sets(st.integers(1, 39)),
    terms=st.lists(
        st.tuples(st.sampled_from(["limit", "stop", "trailing"]), st.sampled_from([Side.BUY, Side.SELL]), st.integers(1, 4)),
        min_size=1,
        max_size=3,
    ),
    model=st.sampled_from([OPTIMISTIC, REALISTIC, PESSIMISTIC]),
)
def test_tape_when_searched_beyond_what_is_passed_then_fills_as_when_walked_row_by_row(steps, cuts, terms, model):
    prices = (100 + np.cumsum([step for step, _ in steps])).tolist()
    trades = tape(prices, sizes=[size for _, size in steps])

    def reports(**way):
        engine = MatchingEngine(model)
        for number, (kind, side, distance) in enumerate(terms):
            near, far = 100 - side.sign * distance, 100 + side.sign * distance
            made = {
                "limit": {"kind": OrderType.LIMIT, "limit_ticks": near},
                "stop": {"kind": OrderType.STOP, "stop_ticks": far},
                "trailing": {"kind": OrderType.TRAILING_STOP, "stop_ticks": far, "trail_ticks": distance},
            }[kind]
            engine.submit(order(side=side, quantity=5, order_id=f"O{number}", **made), 0)
        return walk(engine, trades, **way)

    assert reports(cuts=cuts, looks_ahead=True) == reports(cuts=range(1, len(trades)))


def test_advance_when_a_later_block_has_rows_of_the_same_numbers_then_those_are_looked_at():
    # 50 units lie ahead of it: 3 are taken in the first block, 5 in the second; of 43 in the third the last is for us.
    engine = MatchingEngine(REALISTIC)
    engine.submit(order(OrderType.LIMIT, limit_ticks=100), 0)
    engine.on_time(0)
    first = tape([101, 100, 101, 101], sizes=[1, 3, 1, 1])
    assert engine.next_event("ES", first, 0, 4) == 4
    engine.advance("ES", first, 0, 4)
    engine.advance("ES", tape([101, 100, 101], sizes=[1, 5, 1]), 0, 3)
    assert engine.next_event("ES", tape([100, 100], sizes=[41, 1]), 0, 2) == 2
    assert engine.next_event("ES", tape([100, 100], sizes=[41, 2]), 0, 2) == 1
