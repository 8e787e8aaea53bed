"""Whatever is lost, doubled or late on the way: after reconciliation the books are the venue's."""

from collections import defaultdict
from dataclasses import replace as changed
from decimal import Decimal

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.core.event import TradeClosed
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Order, OrderEvent, OrderRole, OrderStatus, OrderType, Side
from sovereign.execution.account import Account
from sovereign.execution.broker import BrokerSnapshot, VenueExecution, VenueOrder, VenuePosition
from sovereign.execution.executor import Executor
from sovereign.execution.fill_model import PerUnitFees
from sovereign.execution.reconcile import CorrectionKind, ReconcilePolicy, reconcile
from sovereign.execution.report import ExecutionReport

ES = find_instrument("ES")
E, S = OrderEvent, OrderStatus
START = Decimal(50_000)
FEE = ES.fee_per_side
TICK = ES.tick_value
GRACE = 10


class Venue:
    """The other side: what it holds is the truth. Its ledger is written out here, by the average-cost rule."""

    holds_brackets = True
    can_replace = True

    def __init__(self):
        self.orders = {}
        self.executions = []
        self.quantity = 0
        self.cost = 0
        self.cash = START
        self.loses_next = False
        self.out = []  # reports on their way to us
        self.now = 0

    def report(self, cause, order_id, **terms):
        self.out.append(ExecutionReport(cause=cause, client_order_id=order_id, ts=self.now, **terms))

    def lost(self):
        is_lost, self.loses_next = self.loses_next, False
        return is_lost

    def submit(self, order, ts):
        if self.lost() or order.client_order_id in self.orders:
            return
        self.place(order.client_order_id, order.side, order.quantity, order.limit_ticks)

    def place(self, order_id, side, quantity, limit=None):
        self.orders[order_id] = VenueOrder(
            client_order_id=order_id,
            venue_order_id=f"V-{order_id}",
            symbol="ES",
            side=side,
            order_type=OrderType.LIMIT,
            quantity=quantity,
            filled_qty=0,
            status=S.ACCEPTED,
            limit_ticks=limit,
        )
        self.report(E.ACCEPT, order_id)

    def cancel(self, client_order_id, ts):
        order = self.orders.get(client_order_id)
        if self.lost() or order is None or order.status.is_closed:
            return
        self.close(client_order_id, S.CANCELED)

    def close(self, order_id, status):
        self.orders[order_id] = changed(self.orders[order_id], status=status)
        self.report({S.CANCELED: E.CANCEL, S.EXPIRED: E.EXPIRE}[status], order_id)

    def replace(self, client_order_id, ts, *, quantity, limit_ticks, stop_ticks):
        order = self.orders.get(client_order_id)
        if self.lost() or order is None:
            return
        if order.status.is_closed or quantity <= order.filled_qty:
            self.report(E.REFUSE_UPDATE, client_order_id)
            return
        limit = order.limit_ticks if limit_ticks is None else limit_ticks
        self.orders[client_order_id] = changed(order, quantity=quantity, limit_ticks=limit)
        self.report(E.UPDATE, client_order_id, quantity=quantity, limit_ticks=limit)

    def fill(self, order_id, quantity, price):
        order = self.orders[order_id]
        quantity = min(quantity, order.quantity - order.filled_qty)
        total = order.filled_qty + quantity
        is_whole = total == order.quantity
        self.orders[order_id] = changed(order, filled_qty=total, status=S.FILLED if is_whole else S.PARTIALLY_FILLED)
        trade = self.book(order_id, order.side, quantity, price)
        cause = E.FILL if is_whole else E.PARTIAL_FILL
        self.report(cause, order_id, trade_id=trade, quantity=quantity, price_ticks=price, fee=FEE * quantity)

    def book(self, order_id, side, quantity, price):
        cursor = len(self.executions) + 1
        self.executions.append(
            VenueExecution(
                cursor=cursor,
                trade_id=f"X{cursor}",
                client_order_id=order_id,
                symbol="ES",
                side=side,
                quantity=quantity,
                price_ticks=price,
                ts=self.now,
                fee=FEE * quantity,
            )
        )
        self.cash -= FEE * quantity
        signed = side.sign * quantity
        if self.quantity * signed < 0:
            closing = min(abs(self.quantity), quantity)
            cost = (2 * self.cost * closing + abs(self.quantity)) // (2 * abs(self.quantity))
            sign = 1 if self.quantity > 0 else -1
            self.cash += TICK * (sign * closing * price - cost)
            self.cost -= cost
            self.quantity -= sign * closing
            signed -= side.sign * closing
        self.quantity += signed
        self.cost += signed * price
        return f"X{cursor}"

    def snapshot(self, cursor):
        held = (VenuePosition(symbol="ES", quantity=self.quantity, cost_ticks=self.cost),) if self.quantity else ()
        return BrokerSnapshot(
            now_ns=self.now,
            cursor=len(self.executions),
            orders=tuple(self.orders.values()),
            executions=tuple(e for e in self.executions if e.cursor > cursor),
            positions=held,
            cash=self.cash,
        )


WHATS = (
    *("send", "send", "send lost", "fill", "fill", "fill", "cancel", "cancel lost", "replace", "replace lost", "expire"),
    *("stranger", "stranger trade", "reconcile"),
)
FATES = ("arrives", "arrives", "lost", "twice", "late")


def walk_of(seed, steps):
    """Return random steps; hypothesis itself draws lists that are too short for orders to live."""
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        what, fate = WHATS[rng.integers(len(WHATS))], FATES[rng.integers(len(FATES))]
        yield what, fate, int(rng.integers(6)), int(rng.integers(1, 5)), int(rng.integers(-30, 31))


WALKS = st.builds(walk_of, st.integers(0, 2**32), st.integers(1, 50))


class World:
    def __init__(self, adopts):
        self.venue = Venue()
        self.events = []
        self.account = Account(START)
        self.ours = Executor(self.venue, self.account, PerUnitFees(), self.events.append)
        self.policy = ReconcilePolicy(
            adopts_unknown_orders=adopts,
            in_flight_grace_ns=GRACE,
            average_tolerance_frac=0.0,
            cash_tolerance=Decimal(0),
        )
        self.late = []
        self.cursor = 0
        self.now = 0
        self.names = 0

    def tick(self, by=1):
        self.now += by
        self.venue.now = self.now

    def deliver(self, fate):
        reports, self.venue.out = self.venue.out, []
        for report in reports:
            if fate == "late":
                self.late.insert(0, report)  # and in another order
            elif fate != "lost":
                for _ in range(2 if fate == "twice" else 1):
                    self.ours.on_report(changed(report, ts=self.now))

    def pick(self, orders, number):
        orders = list(orders)
        return orders[number % len(orders)] if orders else None

    def step(self, what, fate, number, quantity, offset):
        self.tick()
        price = 20_000 + offset
        side = Side.BUY if number % 2 else Side.SELL
        self.venue.loses_next = what.endswith(" lost")
        mine = self.pick(self.ours.working(), number)
        there = self.pick((o for o in self.venue.orders.values() if not o.status.is_closed), number)
        self.names += 1
        if what.startswith("send"):
            self.ours.submit(self.order(f"O{self.names}", side, quantity, price), self.now, {})
        elif what.startswith("cancel") and mine is not None:
            self.ours.cancel(mine, self.now)
        elif what.startswith("replace") and mine is not None:
            self.ours.replace(mine, self.now, quantity=mine.filled_qty + quantity, limit_ticks=price)
        elif what == "fill" and there is not None:
            self.venue.fill(there.client_order_id, quantity, price)
        elif what == "expire" and there is not None:
            self.venue.close(there.client_order_id, S.EXPIRED)
        elif what == "stranger":
            self.venue.place(f"P{self.names}", side, quantity, price)
        elif what == "stranger trade":
            self.venue.book("", side, quantity, price)
        elif what == "reconcile":
            self.reconcile(fate)
        self.venue.loses_next = False
        self.deliver(fate)

    @staticmethod
    def order(name, side, quantity, price):
        return Order(
            client_order_id=name,
            instrument=ES,
            tape="ES",
            side=side,
            order_type=OrderType.LIMIT,
            quantity=quantity,
            submitted_ns=0,
            active_ns=0,
            role=OrderRole.ENTRY,
            limit_ticks=price,
        )

    def reconcile(self, fate="arrives"):
        found = reconcile(self.ours.books(self.now, self.now), self.venue.snapshot(self.cursor), self.policy)
        if found.is_settled:
            self.cursor = found.cursor
        for correction in found.corrections:
            self.ours.correct(correction, self.now)
        self.deliver(fate)
        return found


@settings(deadline=None, max_examples=300)
@given(WALKS, st.booleans())
def test_books_when_the_stream_loses_doubles_and_delays_then_reconciliation_makes_them_the_venues(steps, adopts):
    world = World(adopts)
    for step in steps:
        world.step(*step)
    for report in world.late:
        world.tick()
        world.ours.on_report(changed(report, ts=world.now))
    for _ in range(3):
        # The first look leaves alone what is in flight, asks again for lost cancels, adopts and cancels strangers.
        world.tick(GRACE + 1)
        world.reconcile()
    world.tick(GRACE + 1)
    again = world.reconcile()
    assert again.corrections == ()
    assert again.is_clean
    assert again.is_settled

    venue, account = world.venue, world.account
    held = account.positions.get("ES")
    assert (0, 0) if held is None else (held.quantity, held.cost_ticks) == (venue.quantity, venue.cost)
    assert (held is None) == (venue.quantity == 0)
    assert account.balance == venue.cash
    there = {
        o.client_order_id: (o.quantity, o.filled_qty, o.limit_ticks) for o in venue.orders.values() if not o.status.is_closed
    }
    here = {o.client_order_id: (o.quantity, o.filled_qty, o.limit_ticks) for o in world.ours.working()}
    assert here == there


@settings(deadline=None, max_examples=150)
@given(WALKS, st.booleans())
def test_ledger_when_corrected_then_balance_is_start_and_trades_and_open_trips_and_corrections(steps, adopts):
    world = World(adopts)
    for step in steps:
        world.step(*step)
        closed = sum((e.trade.net for e in world.events if isinstance(e, TradeClosed)), Decimal(0))
        running = sum((trip.gross - trip.fees for trip in world.account._trips.values()), Decimal(0))
        assert abs(world.account.balance - (START + closed + running + world.account.corrected)) < Decimal("1e-15")


@settings(deadline=None, max_examples=100)
@given(WALKS)
def test_fills_when_the_stream_doubles_and_delays_then_each_is_booked_once(steps):
    world = World(adopts=True)
    for step in steps:
        world.step(*step)
    world.tick(GRACE + 1)
    world.reconcile()
    booked = defaultdict(int)
    for event in world.events:
        if type(event).__name__ == "OrderFilled":
            booked[event.fill.client_order_id, event.fill.trade_id] += 1
    assert max(booked.values(), default=1) == 1


def test_reconciliation_when_nothing_differs_then_finds_nothing():
    world = World(adopts=True)
    for step in (("send", "arrives", 1, 2, 0), ("fill", "arrives", 0, 1, 0), ("send", "arrives", 2, 1, 5)):
        world.step(*step)
    world.tick()
    found = world.reconcile()
    assert (found.findings, found.corrections, found.is_clean, found.cursor) == ((), (), True, 1)


def test_correction_when_the_books_agree_on_fills_then_positions_are_explained_by_them_and_not_adopted():
    world = World(adopts=True)
    world.step("send", "arrives", 1, 2, 0)
    world.step("fill", "lost", 0, 2, 3)
    world.tick()
    found = world.reconcile()
    assert [c.kind for c in found.corrections] == [CorrectionKind.REPORT]
    assert world.account.positions["ES"].quantity == 2
    assert world.account.corrected == 0
