"""A feed and a broker that do what a test tells them, in this process; the decision thread runs the test's script as well."""

from dataclasses import dataclass, field, replace
from decimal import Decimal

import numpy as np

from sovereign.core.columns import Trades
from sovereign.core.errors import BrokerError
from sovereign.core.order import OrderEvent, OrderStatus, OrderType
from sovereign.core.port import Block
from sovereign.execution.broker import (
    BrokerCapabilities,
    BrokerSnapshot,
    VenueExecution,
    VenueOrder,
    VenuePosition,
)
from sovereign.execution.report import ExecutionReport


class HandClock:
    def __init__(self, ts):
        self.ts = ts

    def now_ns(self):
        return self.ts


class HandFeed:
    """`push` delivers ticks of one price; the clock goes with them unless told otherwise."""

    is_simulated = True

    def __init__(self, session, instruments, start_ns):
        self.clock = HandClock(start_ns)
        self.on_block = self.on_connection = None
        self.reconnects, self.worked, self.resumed = [], [], []
        self._session, self._instruments = session, instruments
        self.failure = None

    async def start(self):
        self.on_connection(True, "hand")

    async def close(self):
        """Nothing to close."""

    async def reconnect(self, reason):
        self.reconnects.append(reason)
        if self.failure is not None:
            raise self.failure

    async def session(self):
        return self._session

    def instruments(self, _session):
        return self._instruments

    async def resume_from(self, _session, symbol, until_ns, ticks):
        self.resumed.append((symbol, until_ns, ticks))

    def worked_through(self, until_ns):
        self.worked.append(until_ns)

    def push(self, symbol, ts, prices, *, moves_clock=True):
        n = len(prices)
        times = np.asarray(ts, np.int64) if np.ndim(ts) else np.full(n, ts, np.int64)
        trades = Trades(times, np.array(prices, np.int32), np.full(n, 100, np.int32), np.ones(n, np.int8))
        until = int(times[-1])
        if moves_clock:
            self.clock.ts = max(self.clock.ts, until)
        self.on_block(Block(symbol, trades, until))

    def promise(self, symbol, ts):
        self.clock.ts = max(self.clock.ts, ts)
        self.on_block(Block(symbol, Trades.empty(), ts))


@dataclass
class HandLink:
    """A venue of few words. `fills` says at which price a market order fills at once (None: it rests)."""

    cash: Decimal = Decimal(100_000)
    fills: int | None = 20_000
    answers: bool = True  # whether new orders and cancels are answered at all
    loses: bool = False  # whether new orders get lost on the way
    is_deaf: bool = False  # whether questions go unanswered
    capabilities: BrokerCapabilities = field(
        default_factory=lambda: BrokerCapabilities(holds_brackets=True, can_replace=True, order_types=frozenset(OrderType))
    )

    def __post_init__(self):
        self.on_report = self.on_connection = None
        self.clock = None
        self.requests = []
        self.orders = {}
        self.executions = []
        self.positions = {}
        self.asked = []

    async def start(self):
        self.on_connection(True, "hand")

    async def close(self):
        """Nothing to close."""

    def tell(self, cause, order_id, **terms):
        self.on_report(ExecutionReport(cause=cause, client_order_id=order_id, ts=self.clock.now_ns(), **terms))

    async def submit(self, order):
        self.requests.append(("NEW", order.client_order_id))
        if self.loses:
            return
        self.orders[order.client_order_id] = VenueOrder(
            client_order_id=order.client_order_id,
            venue_order_id=f"V{len(self.orders)}",
            symbol=order.instrument.symbol,
            side=order.side,
            order_type=order.order_type,
            quantity=order.quantity,
            filled_qty=0,
            status=OrderStatus.ACCEPTED,
        )
        if self.answers:
            self.tell(OrderEvent.ACCEPT, order.client_order_id)
        if self.fills is not None:
            self.fill(order.client_order_id, order.quantity, self.fills, is_told=self.answers)

    def fill(self, order_id, quantity, price, *, is_told=True, fee=Decimal(0)):
        order = self.orders[order_id]
        filled = order.filled_qty + quantity
        is_done = filled == order.quantity
        self.orders[order_id] = replace(
            order, filled_qty=filled, status=OrderStatus.FILLED if is_done else OrderStatus.PARTIALLY_FILLED
        )
        cursor = len(self.executions) + 1
        execution = VenueExecution(
            cursor=cursor,
            trade_id=f"E{cursor}",
            client_order_id=order_id,
            symbol=order.symbol,
            side=order.side,
            quantity=quantity,
            price_ticks=price,
            ts=self.clock.now_ns(),
            fee=fee,
        )
        self.executions.append(execution)
        held, cost = self.positions.get(order.symbol, (0, 0))
        signed = order.side.sign * quantity
        self.positions[order.symbol] = (held + signed, cost + signed * price) if held + signed else (0, 0)
        if is_told:
            cause = OrderEvent.FILL if is_done else OrderEvent.PARTIAL_FILL
            self.tell(cause, order_id, trade_id=execution.trade_id, quantity=quantity, price_ticks=price, fee=fee)

    async def cancel(self, client_order_id):
        self.requests.append(("CANCEL", client_order_id))
        order = self.orders.get(client_order_id)
        if self.answers and order is not None and not order.status.is_closed:
            self.orders[client_order_id] = replace(order, status=OrderStatus.CANCELED)
            self.tell(OrderEvent.CANCEL, client_order_id)

    async def replace(self, client_order_id, *, quantity, limit_ticks, stop_ticks):
        self.requests.append(("REPLACE", client_order_id))

    async def order_state(self, client_order_id):
        self.asked.append(client_order_id)
        if self.is_deaf:
            raise BrokerError("no answer")
        return self.orders.get(client_order_id)

    async def snapshot(self, since_cursor):
        if self.is_deaf:
            raise BrokerError("no answer")
        return BrokerSnapshot(
            now_ns=self.clock.now_ns(),
            cursor=len(self.executions),
            orders=tuple(order for order in self.orders.values() if not order.status.is_closed),
            executions=tuple(e for e in self.executions if e.cursor > since_cursor),
            positions=tuple(VenuePosition(symbol=s, quantity=q, cost_ticks=c) for s, (q, c) in self.positions.items() if q),
            cash=self.cash,
        )

    async def margins(self):
        if self.is_deaf:
            raise BrokerError("no answer")
        return {"ES": Decimal(300), "MES": Decimal(40)}
