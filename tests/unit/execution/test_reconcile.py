"""Two books side by side, case by case: what is found, what is corrected, and what is left alone."""

from decimal import Decimal

import pytest
from test_executor import SilentBroker, send

from sovereign.core.event import Notice, NoticeCode
from sovereign.core.order import Bracket, OrderEvent, OrderRole, OrderStatus, OrderType, Side
from sovereign.execution.account import Account
from sovereign.execution.broker import BrokerSnapshot, VenueExecution, VenueOrder, VenuePosition
from sovereign.execution.executor import Executor
from sovereign.execution.fill_model import PerUnitFees
from sovereign.execution.reconcile import CorrectionKind, FindingKind, ReconcilePolicy, reconcile
from sovereign.execution.report import ExecutionReport

K, S, E = FindingKind, OrderStatus, OrderEvent
FEE = Decimal("2.25")


def books():
    events = []
    ours = Executor(SilentBroker(), Account(Decimal(10_000)), PerUnitFees(), events.append)
    return ours, events


def policy(**changes):
    terms = {
        "adopts_unknown_orders": True,
        "in_flight_grace_ns": 10,
        "average_tolerance_frac": 0.0001,
        "cash_tolerance": Decimal("0.01"),
    }
    return ReconcilePolicy(**terms | changes)


def snapshot(orders=(), executions=(), positions=(), cash="10000", cursor=0):
    return BrokerSnapshot(
        now_ns=0,
        cursor=cursor,
        orders=tuple(orders),
        executions=tuple(executions),
        positions=tuple(VenuePosition(symbol=s, quantity=q, cost_ticks=c) for s, q, c in positions),
        cash=Decimal(cash),
    )


def there(order_id="A", status=S.ACCEPTED, filled=0, quantity=1, symbol="ES", **terms):
    return VenueOrder(
        client_order_id=order_id,
        venue_order_id="V",
        symbol=symbol,
        side=Side.BUY,
        order_type=terms.pop("order_type", OrderType.MARKET),
        quantity=quantity,
        filled_qty=filled,
        status=status,
        **terms,
    )


def execution(order_id="A", trade_id="V1", quantity=1, price=20_000):
    return VenueExecution(
        cursor=1,
        trade_id=trade_id,
        client_order_id=order_id,
        symbol="ES",
        side=Side.BUY,
        quantity=quantity,
        price_ticks=price,
        ts=2,
        fee=FEE,
    )


def look(ours, theirs, now=100, asked=None, **changes):
    return reconcile(ours.books(now if asked is None else asked, now), theirs, policy(**changes))


def kinds(found):
    return [finding.kind for finding in found.findings]


def test_order_when_in_flight_within_its_grace_then_is_left_alone_and_the_books_are_clean():
    ours, _ = books()
    send(ours)
    found = look(ours, snapshot(), now=10)
    assert (kinds(found), found.corrections, found.is_clean) == ([K.IN_FLIGHT], (), True)


def test_order_when_it_never_arrived_then_is_closed_with_a_reason():
    ours, events = books()
    order = send(ours)
    found = look(ours, snapshot(), now=11)
    assert kinds(found) == [K.ORDER_NEVER_ARRIVED]
    ours.correct(found.corrections[0], 12)
    assert order.status is S.REJECTED
    assert events[-1].reason == "never arrived at the venue"


def test_order_when_the_venue_has_it_then_is_acknowledged():
    ours, _ = books()
    order = send(ours)
    found = look(ours, snapshot([there()]), now=2)
    assert kinds(found) == [K.ORDER_ARRIVED]
    ours.correct(found.corrections[0], 3)
    assert order.status is S.ACCEPTED


def test_order_when_the_venue_named_it_once_and_does_not_any_more_then_is_gone():
    ours, _ = books()
    order = send(ours)
    ours.on_report(ExecutionReport(cause=E.ACCEPT, client_order_id="A", ts=2))
    found = look(ours, snapshot())
    assert kinds(found) == [K.ORDER_GONE]
    ours.correct(found.corrections[0], 101)
    assert order.status is S.CANCELED


def test_order_when_it_changed_here_after_the_question_then_is_left_for_the_next_time():
    ours, _ = books()
    send(ours)
    ours.on_report(ExecutionReport(cause=E.ACCEPT, client_order_id="A", ts=50))
    assert look(ours, snapshot(), asked=40).corrections == ()


@pytest.mark.parametrize(("status", "expected"), [(S.CANCELED, S.CANCELED), (S.EXPIRED, S.EXPIRED), (S.REJECTED, S.REJECTED)])
def test_order_when_the_venue_closed_it_then_is_closed_alike(status, expected):
    ours, _ = books()
    order = send(ours)
    found = look(ours, snapshot([there(status=status)]))
    assert kinds(found) == [K.ORDER_CLOSED]
    ours.correct(found.corrections[0], 101)
    assert order.status is expected


def test_execution_when_missed_then_is_booked_with_the_venues_fee_and_closes_the_order():
    ours, _ = books()
    order = send(ours)
    theirs = snapshot([there(status=S.FILLED, filled=1)], [execution()], [("ES", 1, 20_000)], "9997.75", cursor=1)
    found = look(ours, theirs)
    assert (kinds(found), found.cursor) == ([K.MISSED_EXECUTION], 1)
    ours.correct(found.corrections[0], 101)
    assert order.status is S.FILLED
    assert ours.account.balance == Decimal("9997.75")
    assert look(ours, theirs, now=200).is_clean


def test_execution_when_its_order_is_not_known_here_then_the_order_is_adopted_with_it():
    ours, _ = books()
    theirs = snapshot([there("Z", S.FILLED, 1)], [execution("Z")], [("ES", 1, 20_000)], "9997.75")
    found = look(ours, theirs)
    assert [c.kind for c in found.corrections] == [CorrectionKind.ADOPT_ORDER, CorrectionKind.REPORT]
    for correction in found.corrections:
        ours.correct(correction, 101)
    assert ours.find("Z").status is S.FILLED
    assert ours.account.positions["ES"].quantity == 1


@pytest.mark.parametrize(("adopts", "status"), [(True, S.ACCEPTED), (False, S.PENDING_CANCEL)])
def test_order_when_a_stranger_then_is_adopted_or_canceled_by_setting(adopts, status):
    ours, _ = books()
    found = look(ours, snapshot([there("Z")]), adopts_unknown_orders=adopts)
    assert kinds(found) == [K.ORDER_UNKNOWN]
    ours.correct(found.corrections[0], 101)
    assert [(order.client_order_id, order.status) for order in ours.working()] == [("Z", status)]


def test_child_when_its_birth_was_missed_then_is_adopted_whatever_the_setting():
    ours, _ = books()
    entry = send(ours)
    entry.bracket = Bracket(stop_ticks=10)
    ours.on_report(ExecutionReport(cause=E.ACCEPT, client_order_id="A", ts=2))
    child = there("A-S", parent_id="A", order_type=OrderType.STOP, stop_ticks=19_990)
    found = look(ours, snapshot([there(), child]), adopts_unknown_orders=False)
    ours.correct(found.corrections[0], 101)
    adopted = ours.find("A-S")
    assert (adopted.role, adopted.reduce_only, adopted.status) == (OrderRole.STOP, True, S.ACCEPTED)


def test_terms_when_an_update_was_missed_then_are_the_venues():
    ours, _ = books()
    order = send(ours)
    ours.on_report(ExecutionReport(cause=E.ACCEPT, client_order_id="A", ts=2))
    found = look(ours, snapshot([there(quantity=3, stop_ticks=19_990)]))
    assert kinds(found) == [K.TERMS_DIFFER]
    ours.correct(found.corrections[0], 101)
    assert (order.quantity, order.stop_ticks) == (3, 19_990)


@pytest.mark.parametrize(("cost", "expected"), [(40_004, []), (40_005, [K.AVERAGE_DIFFERS])])
def test_average_when_within_a_hundredth_of_a_percent_then_is_left(cost, expected):
    # 0.01 % of 40 005 ticks is 4.0005: a difference of 4 is within it, one of 5 is not.
    ours, _ = books()
    adopted = ours.account.adopt(send(books()[0]).instrument, "ES", 2, 40_000, 1, "test")
    assert adopted.code is NoticeCode.POSITION_ADOPTED
    assert kinds(look(ours, snapshot(positions=[("ES", 2, cost)]))) == expected


def test_position_when_unknown_here_then_is_adopted_at_the_venues_average_on_its_tape_and_announced():
    ours, events = books()
    theirs = snapshot(positions=[("MESH4", -3, -60_003)])
    found = reconcile(ours.books(100, 100), theirs, policy(), {"MESH4": "ESH4"})
    assert kinds(found) == [K.POSITION_DIFFERS]
    ours.correct(found.corrections[0], 101)
    position = ours.account.positions["MESH4"]
    assert (position.quantity, position.average_ticks, position.tape) == (-3, 20_001.0, "ESH4")
    (notice,) = [event for event in events if isinstance(event, Notice)]
    assert notice.code is NoticeCode.POSITION_ADOPTED
    assert look(ours, theirs).is_clean


def test_position_when_of_an_instrument_nobody_knows_then_is_found_but_not_touched_and_the_books_are_not_clean():
    ours, _ = books()
    found = look(ours, snapshot(positions=[("ZZZZZ9", 3, 30)], orders=[there("Q", symbol="ZZZZZ9")]))
    assert (kinds(found), found.corrections, found.is_clean) == ([K.ORDER_UNKNOWN, K.POSITION_DIFFERS], (), False)


def test_cash_when_it_differs_then_is_the_venues_and_counts_as_corrected():
    ours, events = books()
    found = look(ours, snapshot(cash="9990.50"))
    assert kinds(found) == [K.CASH_DIFFERS]
    ours.correct(found.corrections[0], 101)
    assert (ours.account.balance, ours.account.corrected) == (Decimal("9990.50"), Decimal("-9.50"))
    assert events[-1].values["difference"] == "-9.50"
    assert look(ours, snapshot(cash="9990.505")).is_clean


def test_money_when_something_filled_after_the_question_then_is_compared_next_time():
    ours, _ = books()
    send(ours)
    ours.on_report(ExecutionReport(cause=E.FILL, client_order_id="A", ts=50, trade_id="V1", quantity=1, price_ticks=20_000))
    found = look(ours, snapshot(), asked=40)
    assert (kinds(found), found.is_settled, found.is_clean) == ([K.MOVED_MEANWHILE], False, False)


def test_filled_when_no_execution_explains_it_then_older_ones_must_be_asked_for():
    ours, _ = books()
    send(ours)
    ours.on_report(ExecutionReport(cause=E.ACCEPT, client_order_id="A", ts=2))
    found = look(ours, snapshot([there(filled=1, quantity=2)]))
    assert K.FILLED_DIFFERS in kinds(found)
    assert not found.is_clean


def test_closed_order_when_the_venue_still_works_it_then_comes_back_with_what_it_filled():
    ours, _ = books()
    send(ours)
    ours.on_report(ExecutionReport(cause=E.REJECT, client_order_id="A", ts=2))
    found = look(ours, snapshot([there()]))
    assert kinds(found) == [K.ORDER_UNKNOWN]
    ours.correct(found.corrections[0], 101)
    (order,) = ours.working()
    assert (order.client_order_id, order.role, order.status) == ("A", OrderRole.ENTRY, S.ACCEPTED)
