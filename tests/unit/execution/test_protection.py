"""A position without its stop: how long, what is said, what is done. Times in seconds, the limit is ten."""

import pytest
from test_bracket import Table

from sovereign.core.event import NoticeCode, Severity
from sovereign.core.order import OrderEvent, OrderRole, OrderType, Side
from sovereign.core.session import NEVER, NS_PER_SECOND
from sovereign.execution.protection import ProtectionVerdict, ProtectionWatch, UnprotectedAction

E = OrderEvent
S = NS_PER_SECOND


class Watched(Table):
    def __init__(self, action=UnprotectedAction.ALARM, quantity=2):
        super().__init__()
        self.watch = ProtectionWatch(self.ours, 10 * S, action)
        self.enter(quantity)
        self.fill("A", quantity, 20_000)

    def check(self, second):
        return self.watch.check(second * S)


def test_check_when_nothing_is_open_then_asks_for_nothing():
    table = Table()
    watch = ProtectionWatch(table.ours, 10 * S, UnprotectedAction.FLATTEN)
    assert (watch.check(S), watch.next_ns) == (ProtectionVerdict(), NEVER)


def test_stop_when_acknowledged_in_time_then_nothing_is_said():
    table = Watched()
    assert table.check(1) == ProtectionVerdict()
    assert table.watch.next_ns == 11 * S
    table.say(E.ACCEPT, "A-S")
    assert (table.check(2), table.watch.next_ns) == (ProtectionVerdict(), NEVER)


def test_stop_when_sent_but_never_acknowledged_then_the_alarm_comes_once_and_is_taken_back():
    table = Watched()
    table.check(1)
    assert table.check(10) == ProtectionVerdict()
    (notice,) = table.check(11).notices
    assert (notice.code, notice.severity, notice.subject) == (NoticeCode.UNPROTECTED, Severity.ALARM, "ES")
    assert notice.values["missing"] == 2
    assert (table.check(30), table.watch.next_ns) == (ProtectionVerdict(), NEVER)
    table.say(E.ACCEPT, "A-S")
    (notice,) = table.check(31).notices
    assert (notice.code, notice.resolves) == (NoticeCode.PROTECTED, NoticeCode.UNPROTECTED)
    assert "30.000 s" in notice.text


def test_stop_when_smaller_than_the_position_then_the_rest_is_named():
    table = Watched(quantity=3)
    table.say(E.ACCEPT, "A-S")
    table.say(E.UPDATE, "A-S", quantity=2, stop_ticks=19_990)
    table.check(1)
    assert table.check(11).notices[0].values["missing"] == 1


def test_position_when_it_was_opened_without_a_bracket_then_is_not_watched():
    table = Table()
    watch = ProtectionWatch(table.ours, 10 * S, UnprotectedAction.FLATTEN)
    table.ours.submit(table.order("X", Side.BUY, 1, OrderRole.ENTRY), 1, {})
    table.fill("X", 1, 20_000)
    assert (watch.check(S), watch.next_ns) == (ProtectionVerdict(), NEVER)


def test_position_when_an_exit_works_for_all_of_it_then_counts_as_protected():
    table = Watched()
    table.check(1)
    table.ours.submit(table.order("X", Side.SELL, 2, OrderRole.FLATTEN), 1, {})
    assert table.watch.next_ns == 11 * S
    table.say(E.ACCEPT, "X")
    assert (table.check(2), table.watch.next_ns) == (ProtectionVerdict(), NEVER)


def test_position_when_flat_then_the_matter_is_over():
    table = Watched()
    table.check(1)
    table.check(11)
    table.ours.submit(table.order("X", Side.SELL, 2, OrderRole.FLATTEN), 1, {})
    table.fill("X", 2, 20_000)
    assert table.check(12).notices[0].code is NoticeCode.PROTECTED
    assert table.watch.next_ns == NEVER


def test_action_when_flatten_then_names_the_symbol_and_again_until_it_helps():
    table = Watched(UnprotectedAction.FLATTEN)
    table.check(1)
    assert table.check(11).flatten == ("ES",)
    assert table.watch.next_ns == 21 * S
    again = table.check(21)
    assert (again.flatten, again.notices) == (("ES",), ())


def test_action_when_protect_then_a_stop_at_the_brackets_distance_is_made_and_withdrawn_when_not_needed_any_more():
    table = Watched(UnprotectedAction.PROTECT)
    table.say(E.REJECT, "A-S")
    table.check(1)
    (stop,) = table.check(11).submit
    assert (stop.client_order_id, stop.order_type, stop.quantity, stop.stop_ticks) == ("A-P1", OrderType.STOP, 2, 19_990)
    assert (stop.side, stop.reduce_only, stop.role) == (Side.SELL, True, OrderRole.STOP)
    table.ours.submit(stop, 11 * S, {})
    table.say(E.ACCEPT, "A-P1")
    assert table.check(12).notices[0].code is NoticeCode.PROTECTED
    table.fill("A-T", 2, 20_020)
    assert table.check(13).cancel == (stop,)
    table.ours.cancel(stop, 13 * S)
    table.say(E.CANCEL, "A-P1")
    assert (table.check(14), table.watch._sent) == (ProtectionVerdict(), {})


def test_action_when_a_new_stop_does_not_help_either_then_the_position_is_flattened():
    table = Watched(UnprotectedAction.PROTECT)
    table.check(1)
    (stop,) = table.check(11).submit
    table.ours.submit(stop, 11 * S, {})
    table.say(E.REJECT, "A-P1")
    assert table.check(20) == ProtectionVerdict()
    assert table.check(21).flatten == ("ES",)


@pytest.mark.parametrize("action", UnprotectedAction)
def test_check_when_called_again_at_the_same_time_then_does_nothing_twice(action):
    table = Watched(action)
    table.check(1)
    first = table.check(11)
    assert first.notices
    for order in first.submit:
        table.ours.submit(order, 11 * S, {})
    assert table.check(11) == ProtectionVerdict()
