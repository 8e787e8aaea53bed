"""Brackets on our side, against a venue that is played by hand: ids, sizes, prices, races, refusals."""

from decimal import Decimal

from test_executor import ES

from sovereign.core.event import Notice, Severity
from sovereign.core.order import Bracket, Order, OrderEvent, OrderRole, OrderStatus, OrderType, Side
from sovereign.execution.account import Account
from sovereign.execution.broker import VenuePosition
from sovereign.execution.executor import Executor, SurpriseKind
from sovereign.execution.fill_model import PerUnitFees
from sovereign.execution.reconcile import Correction, CorrectionKind
from sovereign.execution.report import ExecutionReport

E = OrderEvent


class Desk:
    """A venue that takes everything and says only what the test says; it remembers what it was sent."""

    holds_brackets = False

    def __init__(self, can_replace=True):
        self.can_replace = can_replace
        self.sent = []

    def submit(self, order, ts):
        assert self.holds_brackets or order.bracket is None
        self.sent.append(("NEW", order.client_order_id, order.quantity, order.stop_ticks or order.limit_ticks))

    def cancel(self, client_order_id, ts):
        self.sent.append(("CANCEL", client_order_id))

    def replace(self, client_order_id, ts, *, quantity, limit_ticks, stop_ticks):
        self.sent.append(("REPLACE", client_order_id, quantity, stop_ticks or limit_ticks))

    def pop(self):
        sent, self.sent = self.sent, []
        return sent


class Table:
    """Executor, venue and events of one test."""

    def __init__(self, can_replace=True):
        self.venue = Desk(can_replace)
        self.events = []
        self.account = Account(Decimal(100_000))
        self.ours = Executor(self.venue, self.account, PerUnitFees(), self.events.append)
        self.trades = 0
        self.ts = 1

    def enter(self, quantity=2, order_id="A", side=Side.BUY, bracket=None):
        order = self.order(order_id, side, quantity, OrderRole.ENTRY)
        order.bracket = bracket or Bracket(stop_ticks=10, target_ticks=20)
        self.ours.submit(order, 1, {"signal": "test"})
        self.venue.pop()
        return order

    @staticmethod
    def order(order_id, side, quantity, role):
        return Order(
            client_order_id=order_id,
            instrument=ES,
            tape="ES",
            side=side,
            order_type=OrderType.MARKET,
            quantity=quantity,
            submitted_ns=1,
            active_ns=1,
            role=role,
            reduce_only=role is not OrderRole.ENTRY,
        )

    def say(self, cause, *order_ids, **terms):
        self.ts += 1
        for order_id in order_ids:
            self.ours.on_report(ExecutionReport(cause=cause, client_order_id=order_id, ts=self.ts, **terms))

    def fill(self, order_id, quantity, price, cause=E.FILL):
        self.trades += 1
        self.say(cause, order_id, trade_id=f"V{self.trades}", quantity=quantity, price_ticks=price)

    @property
    def position(self):
        held = self.account.positions.get("ES")
        return 0 if held is None else held.quantity


def test_children_when_the_entry_fills_in_parts_then_follow_size_and_average_price():
    table = Table()
    table.enter(quantity=3)
    table.fill("A", 1, 20_000, E.PARTIAL_FILL)
    assert table.venue.pop() == [("NEW", "A-S", 1, 19_990), ("NEW", "A-T", 1, 20_020)]
    table.say(E.ACCEPT, "A-S", "A-T")
    # (20 000 + 2 * 20 003) / 3 = 20 002.
    table.fill("A", 2, 20_003)
    assert table.venue.pop() == [("REPLACE", "A-S", 3, 19_992), ("REPLACE", "A-T", 3, 20_022)]


def test_children_when_unanswered_then_are_resized_once_the_venue_has_spoken():
    table = Table()
    table.enter(quantity=3)
    table.fill("A", 1, 20_000, E.PARTIAL_FILL)
    table.venue.pop()
    table.fill("A", 2, 20_000)
    assert table.venue.pop() == []
    table.say(E.ACCEPT, "A-S")
    assert table.venue.pop() == [("REPLACE", "A-S", 3, None)]


def test_children_when_the_venue_cannot_replace_then_are_canceled_and_sent_anew_under_the_next_id():
    table = Table(can_replace=False)
    table.enter(quantity=2, bracket=Bracket(stop_ticks=10))
    table.fill("A", 1, 20_000, E.PARTIAL_FILL)
    table.say(E.ACCEPT, "A-S")
    table.fill("A", 1, 20_000)
    assert table.venue.pop() == [("NEW", "A-S", 1, 19_990), ("CANCEL", "A-S")]
    table.say(E.CANCEL, "A-S")
    assert table.venue.pop() == [("NEW", "A-S2", 2, 19_990)]


def test_child_when_a_replace_is_refused_then_is_sent_anew():
    table = Table()
    table.enter(quantity=2, bracket=Bracket(stop_ticks=10))
    table.fill("A", 1, 20_000, E.PARTIAL_FILL)
    table.say(E.ACCEPT, "A-S")
    table.fill("A", 1, 20_000)
    table.say(E.REFUSE_UPDATE, "A-S")
    table.say(E.CANCEL, "A-S")
    assert [entry[:2] for entry in table.venue.pop()] == [
        ("NEW", "A-S"),
        ("REPLACE", "A-S"),
        ("CANCEL", "A-S"),
        ("NEW", "A-S2"),
    ]


def protected(quantity=2, **entry):
    table = Table()
    table.enter(quantity, **entry)
    table.fill("A", quantity, 20_000)
    table.say(E.ACCEPT, "A-S", "A-T")
    table.venue.pop()
    return table


def test_sibling_when_one_leg_fills_in_part_then_shrinks_and_when_whole_then_is_canceled():
    table = protected()
    table.fill("A-T", 1, 20_020, E.PARTIAL_FILL)
    assert table.venue.pop() == [("REPLACE", "A-S", 1, None)]
    table.say(E.UPDATE, "A-S", quantity=1, stop_ticks=19_990)
    table.fill("A-T", 1, 20_020)
    assert table.venue.pop() == [("CANCEL", "A-S")]
    table.say(E.CANCEL, "A-S")
    assert (table.position, list(table.ours.working()), table.venue.pop()) == (0, [], [])


def test_entry_when_a_leg_fills_first_then_its_rest_is_withdrawn():
    table = Table()
    table.enter(quantity=3)
    table.fill("A", 1, 20_000, E.PARTIAL_FILL)
    table.say(E.ACCEPT, "A-S", "A-T")
    table.venue.pop()
    table.fill("A-S", 1, 19_990)
    assert table.venue.pop() == [("CANCEL", "A"), ("CANCEL", "A-T")]
    # The entry's cancel crosses another fill: that unit is protected anew.
    table.fill("A", 1, 20_000, E.PARTIAL_FILL)
    assert table.venue.pop() == [("NEW", "A-S2", 1, 19_990)]


def test_legs_when_both_fill_before_either_cancel_arrives_then_the_reversal_is_bought_back_and_announced():
    table = protected()
    table.fill("A-T", 2, 20_020)
    table.fill("A-S", 2, 19_990)  # a venue without reduce-only
    assert table.position == -2
    assert table.venue.pop() == [("CANCEL", "A-S"), ("NEW", "A-S-U", 2, None)]
    (notice,) = [event for event in table.events if isinstance(event, Notice)]
    assert (notice.severity, notice.subject, notice.values["quantity"]) == (Severity.ALARM, "ES", 2)
    table.fill("A-S-U", 2, 19_989)
    assert (table.position, list(table.ours.working()), table.venue.pop()) == (0, [], [])


def test_exit_when_it_closes_a_part_then_the_legs_shrink():
    table = protected()
    table.ours.submit(table.order("X", Side.SELL, 1, OrderRole.EXIT), 5, {})
    table.fill("X", 1, 20_001)
    assert table.venue.pop() == [("NEW", "X", 1, None), ("REPLACE", "A-S", 1, None), ("REPLACE", "A-T", 1, None)]


def test_legs_when_two_entries_are_open_then_an_exit_takes_from_the_older_one():
    table = protected()
    table.enter(1, "B")
    table.fill("B", 1, 20_000)
    table.say(E.ACCEPT, "B-S", "B-T")
    table.venue.pop()
    table.ours.submit(table.order("X", Side.SELL, 2, OrderRole.EXIT), 5, {})
    table.fill("X", 2, 20_001)
    assert table.venue.pop() == [("NEW", "X", 2, None), ("CANCEL", "A-S"), ("CANCEL", "A-T")]


def test_leg_when_somebody_cancels_it_or_the_venue_refuses_it_then_is_not_sent_again():
    table = protected()
    stop = table.ours.find("A-S")
    table.ours.cancel(stop, 5)
    table.say(E.CANCEL, "A-S")
    table.say(E.REJECT, "A-T")
    assert table.venue.pop() == [("CANCEL", "A-S")]
    assert stop.status is OrderStatus.CANCELED


def test_trailing_leg_when_sent_then_starts_at_the_stop_and_keeps_it_when_resized():
    table = Table()
    table.enter(2, bracket=Bracket(stop_ticks=10, trail_ticks=6), side=Side.SELL)
    table.fill("A", 1, 20_000, E.PARTIAL_FILL)
    stop = table.ours.find("A-S")
    assert (stop.order_type, stop.stop_ticks, stop.trail_ticks) == (OrderType.TRAILING_STOP, 20_010, 6)
    table.say(E.ACCEPT, "A-S")
    table.venue.pop()
    table.fill("A", 1, 19_990)
    assert table.venue.pop() == [("REPLACE", "A-S", 2, None)]


def test_memory_when_many_brackets_come_and_go_then_none_is_kept():
    table = Table()
    for number in range(50):
        name = f"A{number}"
        table.enter(1, name)
        table.fill(name, 1, 20_000)
        table.fill(f"{name}-S", 1, 19_990)
        table.say(E.CANCEL, f"{name}-T")
    keeper = table.ours._keeper
    assert (keeper._groups, keeper._legs) == ({}, {})


def test_legs_when_the_venue_holds_less_than_we_thought_then_shrink_with_the_adopted_position():
    table = protected(quantity=3)
    adopted = VenuePosition(symbol="ES", quantity=1, cost_ticks=20_000)
    table.ours.correct(Correction(kind=CorrectionKind.ADOPT_POSITION, subject="ES", reason="test", position=adopted), 9)
    assert table.venue.pop() == [("REPLACE", "A-S", 1, None), ("REPLACE", "A-T", 1, None)]
    table.say(E.UPDATE, "A-S", quantity=1, stop_ticks=19_990)
    table.say(E.UPDATE, "A-T", quantity=1, limit_ticks=20_020)
    flat = VenuePosition(symbol="ES", quantity=0, cost_ticks=0)
    table.ours.correct(Correction(kind=CorrectionKind.ADOPT_POSITION, subject="ES", reason="test", position=flat), 10)
    assert table.venue.pop() == [("CANCEL", "A-S"), ("CANCEL", "A-T")]


def test_child_when_the_venue_sized_it_and_our_books_lack_a_fill_then_nothing_is_bought_back_but_the_venue_is_asked():
    table = Table()
    table.venue.holds_brackets = True
    table.ours = Executor(table.venue, table.account, PerUnitFees(), table.events.append)
    child = table.order("A-S", Side.SELL, 2, OrderRole.STOP)
    child.parent_id = "A"
    table.ours.on_report(ExecutionReport(cause=E.SUBMIT, client_order_id="A-S", ts=2, child=child))
    table.fill("A-S", 2, 19_990)
    assert (table.position, table.venue.pop()) == (-2, [])
    assert [surprise.kind for surprise in table.ours.pop_surprises()] == [SurpriseKind.OVER_CLOSE]
