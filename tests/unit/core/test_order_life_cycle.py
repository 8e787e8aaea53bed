"""The order life cycle against the FIX order state matrices (FIX 4.4, appendix D), as far as they apply."""

import pytest

from sovereign.core.errors import IllegalTransitionError, UsageError
from sovereign.core.instrument import find_instrument
from sovereign.core.order import (
    TRANSITIONS,
    Order,
    OrderEvent,
    OrderIntent,
    OrderRole,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)


def new_order(status=OrderStatus.INITIALIZED):
    order = Order(
        client_order_id="A",
        instrument=find_instrument("ES"),
        tape="ES",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=2,
        submitted_ns=0,
        active_ns=0,
        role=OrderRole.ENTRY,
    )
    order.status = status
    return order


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (["SUBMIT", "ACCEPT", "FILL"], "FILLED"),
        (["SUBMIT", "FILL", "ACCEPT"], "FILLED"),
        (["SUBMIT", "REJECT"], "REJECTED"),
        (["DENY"], "DENIED"),
        (["SUBMIT", "ACCEPT", "PARTIAL_FILL", "REQUEST_CANCEL", "FILL"], "FILLED"),
        (["SUBMIT", "ACCEPT", "REQUEST_CANCEL", "CANCEL", "FILL"], "FILLED"),
        (["SUBMIT", "ACCEPT", "REQUEST_CANCEL", "REFUSE_CANCEL"], "ACCEPTED"),
        (["SUBMIT", "ACCEPT", "REQUEST_UPDATE", "UPDATE"], "ACCEPTED"),
        (["SUBMIT", "ACCEPT", "TRIGGER", "FILL"], "FILLED"),
        (["SUBMIT", "ACCEPT", "EXPIRE"], "EXPIRED"),
    ],
)
def test_apply_when_events_arrive_then_status_follows_fix(path, expected):
    order = new_order()
    for event in path:
        order.apply(OrderEvent(event), 1)
    assert order.status == expected


def test_refused_cancel_when_partly_filled_then_returns_to_partially_filled():
    order = new_order(OrderStatus.PENDING_CANCEL)
    order.filled_qty = 1
    assert order.apply(OrderEvent.REFUSE_CANCEL, 1) is OrderStatus.PARTIALLY_FILLED


def test_apply_when_order_never_left_then_nothing_can_happen():
    with pytest.raises(IllegalTransitionError, match="DENIED"):
        new_order(OrderStatus.DENIED).apply(OrderEvent.FILL, 1)


def test_apply_when_the_venue_rejected_and_then_filled_then_the_fill_counts():
    order = new_order(OrderStatus.REJECTED)
    assert order.apply(OrderEvent.PARTIAL_FILL, 1) is OrderStatus.REJECTED
    assert order.apply(OrderEvent.FILL, 1) is OrderStatus.FILLED


def test_table_when_an_order_is_closed_then_only_late_fills_and_acknowledgements_move_it():
    late = {OrderEvent.PARTIAL_FILL, OrderEvent.FILL, OrderEvent.ACCEPT}
    assert all(event in late for status, event in TRANSITIONS if status.is_closed)


@pytest.mark.parametrize(
    "terms",
    [
        {"order_type": "LIMIT", "limit_ticks": 1},
        {"order_type": OrderType.LIMIT},
        {"order_type": OrderType.STOP_LIMIT, "stop_ticks": 5},
        {"order_type": OrderType.TRAILING_STOP},
        {"time_in_force": TimeInForce.GTD},
        {"expire_ns": 5},
    ],
)
def test_intent_when_its_terms_do_not_fit_its_type_then_is_refused(terms):
    with pytest.raises(UsageError, match=r"was|had"):
        OrderIntent(symbol="ES", side=Side.BUY, **terms)


def test_apply_when_the_venue_resizes_a_bracket_child_whose_cancel_is_on_its_way_then_the_cancel_stays_pending():
    order = new_order(OrderStatus.PENDING_CANCEL)
    assert order.apply(OrderEvent.UPDATE, 1) is OrderStatus.PENDING_CANCEL
