"""Every report in every state: moved by the table, or refused without damage. Requests are journaled before they leave."""

from decimal import Decimal
from itertools import product

import pytest
from test_executor import SilentBroker, send

from sovereign.core.errors import UsageError
from sovereign.core.order import TRANSITIONS, OrderEvent, OrderStatus
from sovereign.execution.account import Account
from sovereign.execution.executor import Executor, SurpriseKind
from sovereign.execution.fill_model import PerUnitFees
from sovereign.execution.report import ExecutionReport

E, S = OrderEvent, OrderStatus
FILLS = (E.PARTIAL_FILL, E.FILL)
OURS = (E.DENY, E.SUBMIT, E.REQUEST_UPDATE, E.REQUEST_CANCEL)
PATHS = {
    S.SUBMITTED: (),
    S.ACCEPTED: (E.ACCEPT,),
    S.TRIGGERED: (E.ACCEPT, E.TRIGGER),
    S.PENDING_UPDATE: (E.ACCEPT, E.REQUEST_UPDATE),
    S.PENDING_CANCEL: (E.ACCEPT, E.REQUEST_CANCEL),
    S.PARTIALLY_FILLED: (E.PARTIAL_FILL,),
    S.FILLED: (E.FILL,),
    S.CANCELED: (E.CANCEL,),
    S.EXPIRED: (E.EXPIRE,),
    S.REJECTED: (E.REJECT,),
}


class Log(SilentBroker):
    """A silent venue and a journal that share one list, so that the order of things can be seen."""

    def __init__(self):
        self.seen = []

    def submit(self, order, ts):
        self.seen.append(("sent", "NEW", order.client_order_id, ts))

    def cancel(self, client_order_id, ts):
        self.seen.append(("sent", "CANCEL", client_order_id, ts))

    def replace(self, client_order_id, ts, *, quantity, limit_ticks, stop_ticks):
        self.seen.append(("sent", "REPLACE", client_order_id, ts, quantity, limit_ticks, stop_ticks))

    def record(self, order, request, ts):
        self.seen.append(("kept", request, order.client_order_id, ts, order.quantity, order.limit_ticks))


def executor(log=None, journal=None):
    events = []
    return Executor(log or SilentBroker(), Account(Decimal(10_000)), PerUnitFees(), events.append, journal=journal), events


def report(cause, trade_id="V", quantity=1):
    is_fill = cause in FILLS
    return ExecutionReport(
        cause=cause,
        client_order_id="A",
        ts=5,
        trade_id=trade_id if is_fill else "",
        quantity=quantity if is_fill or cause is E.UPDATE else 0,
        price_ticks=20_000,
    )


def at(status):
    ours, events = executor()
    order = send(ours)
    order.quantity = 3
    for cause in PATHS[status]:
        if cause is E.REQUEST_UPDATE:
            assert ours.replace(order, 2, quantity=4)
        elif cause is E.REQUEST_CANCEL:
            ours.cancel(order, 2)
        else:
            ours.on_report(report(cause, trade_id="first"))
    assert order.status is status
    return ours, order, events


def test_paths_when_compared_with_the_states_then_only_those_an_order_cannot_have_after_sending_are_left_out():
    assert set(S) - set(PATHS) == {S.INITIALIZED, S.DENIED}


@pytest.mark.parametrize(("status", "cause"), list(product(PATHS, E)))
def test_report_when_it_comes_in_any_state_then_the_table_moves_it_or_nothing_changes(status, cause):
    ours, order, events = at(status)
    filled, count = order.filled_qty, len(events)
    terms = (order.quantity, order.limit_ticks, order.stop_ticks)
    ours.on_report(report(cause))
    surprises = ours.pop_surprises()
    if cause in FILLS:
        # Whatever was said before, what traded has traded.
        assert order.filled_qty == filled + 1
        assert ours.account.positions["ES"].quantity == filled + 1
        assert order.status is (S.FILLED if cause is E.FILL or status is S.FILLED else TRANSITIONS[status, cause])
        assert [s.kind for s in surprises] == ([SurpriseKind.FILL_AFTER_REJECT] if status is S.REJECTED else [])
    elif status.is_closed or cause in OURS or (status, cause) not in TRANSITIONS:
        assert (order.status, len(events)) == (status, count)
        assert (order.quantity, order.limit_ticks, order.stop_ticks) == terms
        assert [s.kind for s in surprises] == ([] if status.is_closed else [SurpriseKind.REFUSED_MOVE])
    else:
        expected = TRANSITIONS[status, cause]
        if expected is S.ACCEPTED and filled:
            expected = S.PARTIALLY_FILLED
        assert order.status is expected
        assert surprises == []


@pytest.mark.parametrize(("status", "cause"), list(product(PATHS, FILLS)))
def test_fill_when_it_comes_twice_in_any_state_then_is_booked_once(status, cause):
    ours, order, _ = at(status)
    ours.on_report(report(cause))
    once = (order.filled_qty, ours.account.balance)
    ours.on_report(report(cause))
    assert (order.filled_qty, ours.account.balance) == once


def test_overfill_when_the_venue_fills_more_than_was_asked_then_counts_and_is_told():
    ours, _ = executor()
    send(ours)
    ours.on_report(report(E.FILL, quantity=2))
    assert ours.account.positions["ES"].quantity == 2
    assert [s.kind for s in ours.pop_surprises()] == [SurpriseKind.OVERFILL]


def test_fee_when_the_venue_says_it_then_is_the_one_that_is_booked():
    ours, _ = executor()
    send(ours)
    fill = report(E.FILL)
    ours.on_report(ExecutionReport(**{name: getattr(fill, name) for name in fill.__slots__} | {"fee": Decimal("1.11")}))
    assert ours.account.balance == Decimal(10_000) - Decimal("1.11")


def test_requests_when_there_is_a_journal_then_each_is_kept_before_it_is_sent():
    log = Log()
    ours, _ = executor(log, log)
    order = send(ours)
    ours.on_report(report(E.ACCEPT))
    assert ours.replace(order, 2, quantity=3, limit_ticks=19_999)
    ours.on_report(report(E.REFUSE_UPDATE))
    ours.cancel(order, 4)
    assert log.seen == [
        ("kept", "NEW", "A", 1, 1, None),
        ("sent", "NEW", "A", 1),
        ("kept", "REPLACE", "A", 2, 3, 19_999),
        ("sent", "REPLACE", "A", 2, 3, 19_999, None),
        ("kept", "CANCEL", "A", 4, 1, None),
        ("sent", "CANCEL", "A", 4),
    ]
    assert (order.quantity, order.limit_ticks) == (1, None)  # terms change when the venue says so


def test_request_when_the_journal_fails_then_nothing_leaves():
    class Broken(Log):
        def record(self, order, request, ts):
            raise OSError("disk full")

    log = Broken()
    ours, events = executor(log, log)
    with pytest.raises(OSError, match="disk full"):
        send(ours)
    assert (log.seen, events, list(ours.working())) == ([], [], [])


def test_replace_when_one_is_pending_or_the_order_is_closed_then_nothing_is_sent():
    log = Log()
    ours, _ = executor(log)
    order = send(ours)
    assert ours.replace(order, 2, quantity=2)
    assert not ours.replace(order, 3, quantity=3)
    ours.on_report(report(E.FILL, quantity=1))
    assert not ours.replace(order, 4, quantity=5)
    assert [entry[1] for entry in log.seen] == ["NEW", "REPLACE"]


def test_replace_when_the_quantity_is_filled_already_then_the_caller_is_told():
    ours, order, _ = at(S.PARTIALLY_FILLED)
    with pytest.raises(UsageError, match=r"quantity was 1, but 1 of order 'A'"):
        ours.replace(order, 6, quantity=1)


def test_in_flight_when_requests_are_unanswered_then_lists_them_with_their_age():
    ours, _ = executor()
    order = send(ours)
    assert [(e.request, e.since_ns) for e in ours.in_flight(11, older_than_ns=10)] == [("NEW", 1)]
    assert ours.in_flight(10, older_than_ns=10) == []
    ours.on_report(report(E.ACCEPT))
    assert ours.in_flight(99) == []
    ours.replace(order, 20, quantity=2)
    assert [(e.request, e.since_ns) for e in ours.in_flight(30)] == [("REPLACE", 20)]
    ours.cancel(order, 25)
    assert [(e.request, e.since_ns) for e in ours.in_flight(30)] == [("CANCEL", 25)]
    ours.on_report(report(E.CANCEL))
    assert ours.in_flight(99) == []


def test_child_when_the_venue_names_it_twice_then_what_happened_to_it_is_kept():
    ours, _ = executor()
    send(ours)
    ours.on_report(report(E.FILL))
    child = send(executor()[0], "A-S")
    child.status, child.parent_id, child.reduce_only = S.INITIALIZED, "A", True
    said = ExecutionReport(cause=E.SUBMIT, client_order_id="A-S", ts=6, child=child)
    ours.on_report(said)
    ours.on_report(ExecutionReport(cause=E.ACCEPT, client_order_id="A-S", ts=6))
    ours.on_report(said)
    assert child.status is S.ACCEPTED
    assert [order.client_order_id for order in ours.working()] == ["A-S"]


def test_memory_when_thousands_of_orders_pass_then_stays_bounded():
    log = Log()
    ours = Executor(log, Account(Decimal(10_000)), PerUnitFees(), lambda _: None, remembered=10)
    for number in range(500):
        order = send(ours, f"A{number}")
        ours.cancel(order, 2)
        ours.on_report(ExecutionReport(cause=E.CANCEL, client_order_id=f"A{number}", ts=3))
        ours.on_report(ExecutionReport(cause=E.FILL, client_order_id=f"B{number}", ts=3, trade_id="V", quantity=1))
    sizes = {name: len(value) for name, value in vars(ours).items() if hasattr(value, "__len__")}
    assert {name: size for name, size in sizes.items() if size > 10} == {}
