"""New terms for a working order: what is refused, what is kept, and what an order loses. Worked by hand on short tapes."""

from test_matching_engine import fills, order, tape

from sovereign.core.order import Bracket, OrderEvent, OrderType, Side
from sovereign.core.session import NS_PER_SECOND
from sovereign.execution.fill_model import OPTIMISTIC, REALISTIC
from sovereign.execution.matching import MatchingEngine

S = NS_PER_SECOND


def start(trades, item, model=OPTIMISTIC, latency_ns=0, **capabilities):
    engine = MatchingEngine(model, latency_ns, **capabilities)
    engine.submit(item, 0)
    return engine, engine.on_time(latency_ns)


def run_to(engine, trades, start, stop):
    """Walk rows `start`..`stop` as the engine does, letting due moments happen before the rows at or after them."""
    reports = []
    cursor = start
    while cursor < stop:
        if engine.next_time_ns <= int(trades.ts[cursor]):
            reports += engine.on_time(engine.next_time_ns)
            continue
        index = engine.next_event("ES", trades, cursor, cursor + 1)
        if index == cursor:
            reports += engine.take("ES", trades, cursor)
        else:
            engine.advance("ES", trades, cursor, cursor + 1)
        cursor += 1
    return reports


def ask(engine, ts, quantity=1, limit=None, stop=None, order_id="A"):
    engine.replace(order_id, ts, quantity=quantity, limit_ticks=limit, stop_ticks=stop)


def causes(reports, order_id="A"):
    return [r.cause for r in reports if r.client_order_id == order_id]


def test_replace_when_the_price_moves_then_fills_at_the_new_price_and_the_venue_says_the_terms():
    trades = tape([101, 100, 99, 98])
    engine, _ = start(trades, order(OrderType.LIMIT, limit_ticks=97))
    ask(engine, S, quantity=2, limit=99)
    reports = run_to(engine, trades, 0, 4)
    (update,) = [r for r in reports if r.cause is OrderEvent.UPDATE]
    assert (update.quantity, update.limit_ticks) == (2, 99)
    assert fills(reports) == [(2, 99, 3)]


def test_replace_when_it_is_on_its_way_then_the_old_price_still_fills():
    trades = tape([101, 97, 99])
    engine, _ = start(trades, order(OrderType.LIMIT, limit_ticks=97), latency_ns=0)
    engine._latency_ns = 3 * S
    ask(engine, S, limit=95)
    reports = run_to(engine, trades, 0, 3)
    assert fills(reports) == [(1, 97, 2)]
    reports = engine.on_time(4 * S)
    assert causes(reports) == [OrderEvent.REFUSE_UPDATE]
    assert "closed" in reports[0].reason


def test_replace_when_the_quantity_is_not_above_what_is_filled_then_is_refused():
    trades = tape([101, 100, 99], sizes=[1, 2, 1])
    model = OPTIMISTIC.model_copy(update={"participation_frac": 0.5, "queue_lots": -1, "through_ticks": 1})
    engine, _ = start(trades, order(OrderType.LIMIT, quantity=3, limit_ticks=101), model)
    trades = tape([103, 100, 102], sizes=[1, 4, 1])
    assert fills(run_to(engine, trades, 0, 2)) == [(2, 101, 2)]
    ask(engine, 2 * S, quantity=2)
    (refusal,) = engine.on_time(2 * S)
    assert refusal.cause is OrderEvent.REFUSE_UPDATE
    assert "2 are filled" in refusal.reason
    ask(engine, 2 * S, quantity=4)
    (update,) = engine.on_time(2 * S)
    assert (update.cause, update.quantity) == (OrderEvent.UPDATE, 4)


def queue_fills(quantity, limit, new):
    """Fifty lots are ahead at 100; thirty trade there, then the terms change, then thirty more, and thirty more."""
    trades = tape([101, 100, 100, 100], sizes=[1, 30, 30, 30], sides=[1, -1, -1, -1])
    engine, _ = start(trades, order(OrderType.LIMIT, quantity=quantity, limit_ticks=limit), REALISTIC)
    reports = run_to(engine, trades, 0, 2)
    ask(engine, 2 * S, **new)
    return fills(reports + run_to(engine, trades, 2, 4))


def test_replace_when_the_size_shrinks_then_keeps_its_place_in_the_queue():
    assert queue_fills(3, 100, {"quantity": 2}) == [(2, 100, 3)]


def test_replace_when_the_size_grows_then_queues_anew():
    # Fifty are ahead again: the two prints of thirty leave ten.
    assert queue_fills(3, 100, {"quantity": 5}) == [(5, 100, 4)]


def test_replace_when_the_price_moves_to_the_traded_one_then_queues_anew():
    assert queue_fills(3, 99, {"quantity": 3, "limit": 100}) == [(3, 100, 4)]


def test_replace_when_the_order_has_no_such_price_then_is_refused():
    trades = tape([101, 100])
    engine, _ = start(trades, order(OrderType.STOP, stop_ticks=105))
    ask(engine, 0, limit=104)
    ask(engine, 0, stop=106)
    first, second = engine.on_time(0)
    assert first.cause is OrderEvent.REFUSE_UPDATE
    assert "no limit" in first.reason
    assert (second.cause, second.stop_ticks) == (OrderEvent.UPDATE, 106)


def test_replace_when_the_venue_cannot_then_is_refused():
    trades = tape([101, 100])
    engine, _ = start(trades, order(OrderType.LIMIT, limit_ticks=97), can_replace=False)
    ask(engine, 0, limit=98)
    assert causes(engine.on_time(0)) == [OrderEvent.REFUSE_UPDATE]


def test_replace_when_a_bracket_child_would_close_more_than_is_open_then_is_refused():
    trades = tape([100, 100])
    engine, _ = start(trades, order(bracket=Bracket(stop_ticks=4, target_ticks=4), quantity=2))
    run_to(engine, trades, 0, 1)
    ask(engine, S, quantity=3, stop=97, order_id="A-S")
    ask(engine, S, quantity=2, stop=97, order_id="A-S")
    first, second = engine.on_time(S)
    assert first.cause is OrderEvent.REFUSE_UPDATE
    assert (second.cause, second.stop_ticks) == (OrderEvent.UPDATE, 97)


def test_bracket_when_the_venue_does_not_hold_it_then_no_child_is_made():
    trades = tape([100, 100])
    engine, reports = start(trades, order(bracket=Bracket(stop_ticks=4)), holds_brackets=False)
    assert {r.client_order_id for r in reports + run_to(engine, trades, 0, 2)} == {"A"}


def test_trailing_stop_when_it_has_a_stop_then_starts_there_and_follows_later():
    # Stop at 96 trailing by 4: the mark is 100 until the price goes above it; at 103 the stop is at 99.
    trades = tape([98, 97, 103, 99])
    engine, _ = start(trades, order(OrderType.TRAILING_STOP, side=Side.SELL, stop_ticks=96, trail_ticks=4))
    assert fills(run_to(engine, trades, 0, 4)) == [(1, 99, 4)]


def test_exit_when_it_closes_part_of_a_bracketed_position_then_the_children_shrink():
    trades = tape([100, 100, 100, 96])
    engine, _ = start(trades, order(bracket=Bracket(stop_ticks=4, target_ticks=9), quantity=3))
    reports = run_to(engine, trades, 0, 1)
    engine.submit(order(side=Side.SELL, quantity=2, order_id="X", reduce_only=True), S)
    reports += run_to(engine, trades, 1, 4)
    updates = [(r.client_order_id, r.quantity) for r in reports if r.cause is OrderEvent.UPDATE]
    assert updates == [("A-S", 1), ("A-T", 1)]
    assert fills(reports, "A-S") == [(1, 96, 4)]
