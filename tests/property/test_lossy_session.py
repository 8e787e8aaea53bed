"""Sessions over a line that loses, doubles and delays, against the venue's own book: brackets, watch, reconciliation."""

from dataclasses import replace as changed
from decimal import Decimal

import numpy as np
import pytest

from sovereign.core.columns import Trades
from sovereign.core.event import OrderFilled
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Bracket, Order, OrderRole, OrderStatus, OrderType, Side
from sovereign.core.session import NS_PER_SECOND
from sovereign.execution.account import Account
from sovereign.execution.executor import Executor
from sovereign.execution.fill_model import OPTIMISTIC, PerUnitFees
from sovereign.execution.protection import ProtectionWatch, UnprotectedAction
from sovereign.execution.reconcile import ReconcilePolicy, reconcile
from sovereign.execution.venue.book import Book
from sovereign.execution.venue.protocol import OrderTerms

ES = find_instrument("ES")
S = NS_PER_SECOND
ALARM = 5 * S
START = Decimal(100_000)
POLICY = ReconcilePolicy(
    adopts_unknown_orders=True, in_flight_grace_ns=4 * S, average_tolerance_frac=0.0, cash_tolerance=Decimal(0)
)


class Line:
    """Our side and the venue's book, with a bad line between them. Rows are one second apart."""

    can_replace = True

    def __init__(self, seed, holds_brackets):
        self.rng = np.random.default_rng(seed)
        self.holds_brackets = holds_brackets
        model = OPTIMISTIC.model_copy(update={"depth_lots": 1, "participation_frac": 0.5})
        self.book = Book("A", START, model, PerUnitFees(), {}, holds_brackets)
        self.book.start_session({"ES": (ES, "ES")})
        self.events = []
        self.ours = Executor(self, Account(START), PerUnitFees(), self.events.append)
        self.watch = ProtectionWatch(self.ours, ALARM, UnprotectedAction.PROTECT)
        self.now = 0
        self.is_bad = True
        self.cursor = 0
        self.heard = 0
        self.late = []
        self.names = 0
        self.bare_since = None
        self.longest_bare = 0
        prices = 20_000 + np.cumsum(self.rng.integers(-4, 5, 240))
        n = len(prices)
        self.trades = Trades(
            np.arange(1, n + 1, dtype=np.int64) * S,
            prices.astype(np.int32),
            np.full(n, 4, np.int32),
            np.ones(n, np.int8),
            None,
            None,
        )

    def loses(self):
        return self.is_bad and self.rng.random() < 0.25

    def submit(self, order, ts):
        if not self.loses():
            self.book.new(OrderTerms.of(order), self.now + 1, self.now)

    def cancel(self, client_order_id, ts):
        if not self.loses() and self.book.is_known(client_order_id):
            self.book.cancel(client_order_id, self.now + 1, self.now)

    def replace(self, client_order_id, ts, *, quantity, limit_ticks, stop_ticks):
        if not self.loses():
            self.book.replace(client_order_id, self.now + 1, self.now, quantity, limit_ticks, stop_ticks)

    def hear(self):
        arriving, self.late = self.late, []
        while self.heard < self.book.seq:
            message = self.book.messages[self.heard]
            self.heard += 1
            arriving.append(message.report())
        for report in arriving:
            fate = self.rng.random() if self.is_bad else 1.0
            if fate < 0.15:
                continue
            if fate < 0.3:
                self.late.append(report)
                continue
            for _ in range(2 if fate < 0.4 else 1):
                self.ours.on_report(changed(report, ts=self.now))

    def send(self, role, side, quantity, bracket=None):
        self.names += 1
        order = Order(
            client_order_id=f"O{self.names}",
            instrument=ES,
            tape="ES",
            side=side,
            order_type=OrderType.MARKET,
            quantity=quantity,
            submitted_ns=self.now,
            active_ns=self.now,
            role=role,
            reduce_only=role is not OrderRole.ENTRY,
            bracket=bracket,
        )
        self.ours.submit(order, self.now, {})

    def protect(self):
        verdict = self.watch.check(self.now)
        for order in verdict.submit:
            self.ours.submit(order, self.now, {})
        for order in verdict.cancel:
            self.ours.cancel(order, self.now)
        for symbol in verdict.flatten:
            for order in list(self.ours.working()):
                self.ours.cancel(order, self.now)
            held = self.ours.account.positions[symbol].quantity
            self.send(OrderRole.FLATTEN, Side.SELL if held > 0 else Side.BUY, abs(held))

    def reconcile(self):
        found = reconcile(self.ours.books(self.now, self.now), self.book.snapshot(self.cursor, self.now).snapshot(), POLICY)
        if found.is_settled:
            self.cursor = found.cursor
        for correction in found.corrections:
            self.ours.correct(correction, self.now)
        return found

    def measure(self):
        """Note how long the venue itself has held a position without enough stops or exits."""
        held = sum(abs(position.quantity) for position in self.book.account.positions.values())
        orders = [record.seen() for record in self.book._records.values() if not record.order.status.is_closed]
        closing = sum(
            order.quantity - order.filled_qty
            for order in orders
            if order.order_type in (OrderType.STOP, OrderType.TRAILING_STOP, OrderType.MARKET)
        )
        if held <= closing:
            self.bare_since = None
            return
        self.bare_since = self.now if self.bare_since is None else self.bare_since
        self.longest_bare = max(self.longest_bare, self.now - self.bare_since)

    def walk(self, start, stop, every):
        for row in range(start, stop):
            self.now = int(self.trades.ts[row])
            self.book.walk({"ES": self.trades}, self.now, self.now + S // 2)
            self.hear()
            self.protect()
            if row % every == 0 or self.ours.pop_surprises():
                self.reconcile()
            self.measure()
            is_flat = not self.ours.account.positions and not list(self.ours.working())
            if self.is_bad and is_flat:
                side = Side.BUY if self.rng.random() < 0.5 else Side.SELL
                bracket = Bracket(stop_ticks=6, target_ticks=int(self.rng.integers(3, 12)))
                self.send(OrderRole.ENTRY, side, int(self.rng.integers(1, 4)), bracket)
        return self


@pytest.mark.parametrize("holds_brackets", [True, False])
@pytest.mark.parametrize("seed", range(25))
def test_session_when_the_line_is_bad_then_ends_with_the_venues_books_and_every_position_gets_its_stop(seed, holds_brackets):
    line = Line(seed, holds_brackets).walk(0, 200, every=5)
    line.is_bad = False
    line.walk(200, 240, every=5)
    for _ in range(3):  # what the last row began comes to its end
        line.now += 5 * S
        line.book.walk({"ES": line.trades}, line.now, line.now + 1)
        line.hear()
    found = line.reconcile()
    assert found.corrections == ()
    assert found.is_clean

    ours, theirs = line.ours.account, line.book.account
    assert {s: (p.quantity, p.cost_ticks) for s, p in ours.positions.items()} == {
        s: (p.quantity, p.cost_ticks) for s, p in theirs.positions.items()
    }
    assert ours.balance == theirs.balance
    assert sorted(order.client_order_id for order in line.ours.working()) == sorted(line.book.working())
    assert all(order.status is not OrderStatus.SUBMITTED for order in line.ours.working())

    filled = [event.fill.trade_id for event in line.events if isinstance(event, OrderFilled)]
    assert len(filled) == len(set(filled)) == len(line.book.executions)
    # Alarm, a stop that may be lost, as long again, and the exit that may be lost, found out by the comparisons between.
    assert line.longest_bare <= 6 * ALARM
