"""What a broker reports is booked once, and always: late, repeated and unknown fills."""

from decimal import Decimal

from sovereign.core.event import OrderChanged
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Order, OrderEvent, OrderRole, OrderStatus, OrderType, Side
from sovereign.execution.account import Account
from sovereign.execution.executor import Executor, SurpriseKind
from sovereign.execution.fill_model import PerUnitFees
from sovereign.execution.report import ExecutionReport

ES = find_instrument("ES")


class SilentBroker:
    """A venue that takes everything and says nothing by itself."""

    holds_brackets = True
    can_replace = True

    def submit(self, order, ts):
        """Take an order."""

    def cancel(self, client_order_id, ts):
        """Take a cancel."""

    def replace(self, client_order_id, ts, *, quantity, limit_ticks, stop_ticks):
        """Take new terms."""


def executor(remembered=1_000):
    events = []
    return Executor(SilentBroker(), Account(Decimal(10_000)), PerUnitFees(), events.append, remembered), events


def send(of, order_id="A"):
    order = Order(
        client_order_id=order_id,
        instrument=ES,
        tape="ES",
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quantity=1,
        submitted_ns=1,
        active_ns=1,
        role=OrderRole.ENTRY,
        arrival_ticks=20_000,
    )
    of.submit(order, 1, {})
    return order


def fill(order_id="A", trade_id="V1"):
    return ExecutionReport(
        cause=OrderEvent.FILL, client_order_id=order_id, ts=3, trade_id=trade_id, quantity=1, price_ticks=20_000
    )


def test_fill_when_it_crossed_the_cancel_then_is_booked_and_the_order_counts_as_filled():
    ours, events = executor()
    order = send(ours)
    ours.on_report(ExecutionReport(cause=OrderEvent.CANCEL, client_order_id="A", ts=2))
    ours.on_report(fill())
    assert ours._account.positions["ES"].quantity == 1
    assert order.status is OrderStatus.FILLED
    assert list(ours.working()) == []
    assert [e.status for e in events if isinstance(e, OrderChanged)][-1] is OrderStatus.FILLED


def test_fill_when_repeated_after_the_order_closed_then_is_booked_once():
    ours, _ = executor()
    send(ours)
    ours.on_report(fill())
    assert ours.on_report(fill()) == []
    assert ours._account.positions["ES"].quantity == 1


def test_fill_when_its_order_is_forgotten_then_is_still_known_as_booked():
    ours, _ = executor(remembered=1)
    for name in ("A", "B"):
        send(ours, name)
        ours.on_report(fill(order_id=name))
    assert ours.find("A") is None
    is_applied = ours.books(0, 0).is_applied
    assert is_applied("A", fill(order_id="A").trade_id)
    assert not is_applied("A", "another")


def test_fill_when_nobody_sent_the_order_then_is_a_surprise_that_names_it_and_nothing_is_booked():
    ours, _ = executor()
    assert ours.on_report(fill()) == []
    (surprise,) = ours.pop_surprises()
    assert surprise.kind is SurpriseKind.UNKNOWN_FILL
    assert "'V1'" in surprise.text
    assert "'A'" in surprise.text
    assert ours.account.positions == {}
    assert ours.pop_surprises() == []


def test_closed_orders_when_more_than_remembered_then_the_oldest_is_forgotten():
    ours, _ = executor(remembered=1)
    for order_id in ("A", "B"):
        send(ours, order_id)
        ours.on_report(ExecutionReport(cause=OrderEvent.CANCEL, client_order_id=order_id, ts=2))
    ours.on_report(fill("B", "V2"))
    ours.on_report(fill("A"))
    assert [surprise.report.client_order_id for surprise in ours.pop_surprises()] == ["A"]
    assert ours.account.positions["ES"].quantity == 1


def test_order_changed_when_an_order_is_sent_then_carries_the_price_it_was_decided_at():
    ours, events = executor()
    send(ours)
    assert events[0].arrival_ticks == 20_000
