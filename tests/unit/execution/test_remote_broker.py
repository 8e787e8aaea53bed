"""The broker of the decision thread: requests leave as values, reports come out when they became known, never in the past."""

from decimal import Decimal

import numpy as np
from test_executor import ES
from test_matching_engine import order

from sovereign.core.columns import Trades
from sovereign.core.order import OrderEvent, OrderType
from sovereign.core.session import NEVER
from sovereign.execution.broker import BrokerCapabilities
from sovereign.execution.brokers.remote import CancelRequest, RemoteBroker, ReplaceRequest, SubmitRequest
from sovereign.execution.report import ExecutionReport

CAPABLE = BrokerCapabilities(holds_brackets=True, can_replace=False, order_types=frozenset(OrderType))


def broker():
    sent = []
    return RemoteBroker(sent.append, CAPABLE, {"ES": Decimal(500)}), sent


def report(name, ts=0):
    return ExecutionReport(cause=OrderEvent.ACCEPT, client_order_id=name, ts=ts)


def out(reports):
    return [(r.client_order_id, r.ts) for r in reports]


def rows(*times):
    n = len(times)
    ones = np.ones(n, np.int32)
    return Trades(np.array(times, np.int64), ones, ones, np.ones(n, np.int8), None, None)


def test_requests_when_made_then_leave_as_values_that_later_changes_do_not_touch():
    ours, sent = broker()
    item = order()
    ours.submit(item, 5)
    ours.cancel("A", 6)
    ours.replace("A", 7, quantity=2, limit_ticks=None, stop_ticks=9)
    item.quantity = 99
    first, second, third = sent
    assert isinstance(first, SubmitRequest)
    assert (first.order.quantity, first.ts) == (1, 5)
    assert second == CancelRequest(client_order_id="A", ts=6)
    assert third == ReplaceRequest(client_order_id="A", ts=7, quantity=2, limit_ticks=None, stop_ticks=9)


def test_capabilities_and_margins_when_asked_then_are_the_venues():
    ours, _ = broker()
    assert (ours.holds_brackets, ours.can_replace) == (True, False)
    assert ours.margins({}) == {"ES": Decimal(500)}
    ours.set_margins({"ES": Decimal(900)})
    assert ours.margins({}) == {"ES": Decimal(900)}


def test_reports_when_delivered_then_come_out_in_order_at_the_time_they_became_known():
    ours, _ = broker()
    assert ours.next_time_ns == NEVER
    assert ours.deliver(report("A", ts=3), 10) == 10
    ours.deliver(report("B"), 10)
    ours.deliver(report("C"), 20)
    assert ours.next_time_ns == 10
    assert out(ours.on_time(10)) == [("A", 10), ("B", 10)]
    assert ours.next_time_ns == 20
    assert (ours.on_time(19), out(ours.on_time(20)), ours.next_time_ns) == ([], [("C", 20)], NEVER)
    assert ours.late_reports == 0


def test_report_when_its_time_has_passed_then_comes_out_now_and_is_counted():
    ours, _ = broker()
    ours.start_session((ES,))
    ours.advance("ES", rows(10, 30), 0, 2)
    assert ours.deliver(report("A"), 20) == 30
    ours.pass_time(50)
    assert ours.deliver(report("B"), 40) == 50
    assert ours.late_reports == 2
    assert out(ours.on_time(50)) == [("A", 30), ("B", 50)]


def test_reports_when_the_clock_of_the_venue_goes_back_then_keep_their_order():
    ours, _ = broker()
    ours.deliver(report("A"), 20)
    ours.deliver(report("B"), 10)
    assert out(ours.on_time(20)) == [("A", 20), ("B", 20)]


def test_report_when_the_venue_names_the_row_then_comes_out_at_that_row():
    ours, _ = broker()
    ours.start_session((ES,))
    ours.advance("ES", rows(1, 2), 0, 2)
    ours.deliver(report("A"), 5, tape="ES", row=4)
    block = rows(5, 5, 5)  # rows 3, 4 and 5 of the session, all at the same moment
    assert ours.has_orders("ES")
    assert ours.next_time_ns == 6  # and not before every row of that moment
    assert ours.next_event("ES", block, 0, 1) == 1
    assert ours.next_event("ES", block, 0, 3) == 1
    ours.advance("ES", block, 0, 1)
    assert out(ours.take("ES", block, 1)) == [("A", 5)]
    assert not ours.has_orders("ES")
    ours.advance("ES", block, 2, 3)


def test_reports_when_rows_lie_before_each_then_taking_passes_those_too():
    ours, _ = broker()
    ours.start_session((ES,))
    block = rows(1, 2, 3, 4, 5, 6)
    ours.deliver(report("A"), 3, tape="ES", row=3)
    ours.deliver(report("B"), 6, tape="ES", row=6)
    assert ours.next_event("ES", block, 0, 6) == 2
    assert out(ours.take("ES", block, 2)) == [("A", 3)]
    assert ours.next_event("ES", block, 3, 6) == 5
    assert out(ours.take("ES", block, 5)) == [("B", 6)]


def test_report_when_its_row_never_comes_then_comes_out_just_after_its_time():
    ours, _ = broker()
    ours.start_session((ES,))
    ours.deliver(report("A"), 5, tape="ES", row=4)
    assert out(ours.on_time(6)) == [("A", 6)]
    assert (ours.has_orders("ES"), ours.next_time_ns) == (False, NEVER)


def test_reports_when_no_row_comes_any_more_then_come_out_then_in_the_order_in_which_they_were_delivered():
    ours, _ = broker()
    ours.start_session((ES,))
    ours.pass_time(50)
    ours.deliver(report("A"), 50, tape="ES", row=4, until_ns=50)
    ours.deliver(report("B"), 50)
    ours.deliver(report("C"), 90, tape="ES", row=5, until_ns=50)
    ours.deliver(report("D"), 20, tape="ES", row=6, until_ns=50)
    assert ours.next_time_ns == 50
    assert out(ours.on_time(50)) == [("A", 50), ("B", 50), ("C", 50), ("D", 50)]
    assert (ours.is_waiting, ours.next_time_ns) == (False, NEVER)


def test_report_when_its_row_was_walked_already_then_comes_out_by_time():
    ours, _ = broker()
    ours.start_session((ES,))
    ours.advance("ES", rows(1, 2), 0, 2)
    ours.deliver(report("A"), 2, tape="ES", row=2)
    assert out(ours.on_time(2)) == [("A", 2)]


def test_reports_when_a_session_begins_then_those_that_waited_for_rows_of_the_last_are_not_lost():
    ours, _ = broker()
    ours.start_session((ES,))
    ours.deliver(report("A"), 5, tape="ES", row=4)
    ours.start_session((ES,))
    assert out(ours.on_time(100)) == [("A", 5)]


def test_session_when_it_ends_then_the_venue_says_what_expires():
    ours, _ = broker()
    assert (ours.end_session("ES", 5), ours.end_tape("ES", 1, 5)) == ([], [])
