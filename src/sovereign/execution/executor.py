"""Our side of the order life cycle: orders by id, reports applied once, money booked, events told.

Everything a report does goes through here, whoever the broker is: the order moves along the table in `core.order`, a fill
with a known `trade_id` is dropped, the account is changed by fills alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from sovereign.core.errors import BrokerError
from sovereign.core.event import Event, OrderChanged, OrderFilled, TradeClosed
from sovereign.core.order import Order, OrderEvent, OrderRole, OrderStatus
from sovereign.core.port import FeeModel
from sovereign.core.position import Fill, Trade
from sovereign.execution.account import Account
from sovereign.execution.report import ExecutionReport

_FILLS = (OrderEvent.PARTIAL_FILL, OrderEvent.FILL)


class OrderPort(Protocol):
    """Where orders go."""

    def submit(self, order: Order, ts: int) -> None:
        """Send an order."""
        ...

    def cancel(self, client_order_id: str, ts: int) -> None:
        """Ask for a cancel."""
        ...


class Executor:
    """Keeps working orders and applies what the broker reports.

    Parameters
    ----------
    emit : takes every event, in order.
    remembered : how many closed orders are kept for fills that come late or twice.
    """

    def __init__(
        self, broker: OrderPort, account: Account, fees: FeeModel, emit: Callable[[Event], None], remembered: int = 1_000
    ) -> None:
        self._broker = broker
        self._account = account
        self._fees = fees
        self._emit = emit
        self._remembered = remembered
        self._orders: dict[str, Order] = {}
        self._closed: dict[str, Order] = {}  # oldest first
        self._labels: dict[str, dict[str, str]] = {}
        self._applied: dict[str, set[str]] = {}  # trade ids by order

    def working(self, tape: str | None = None) -> Iterator[Order]:
        """Yield orders that are not closed, oldest first."""
        for order in self._orders.values():
            if tape is None or order.tape == tape:
                yield order

    @property
    def working_entries(self) -> int:
        """Number of orders that may still open a position."""
        return sum(1 for order in self._orders.values() if order.role is OrderRole.ENTRY)

    def submit(self, order: Order, ts: int, labels: dict[str, str]) -> None:
        """Send a new order; `labels` are kept with the trade it opens."""
        self._orders[order.client_order_id] = order
        self._labels[order.client_order_id] = labels
        self._move(order, OrderEvent.SUBMIT, ts)
        self._broker.submit(order, ts)

    def cancel(self, order: Order, ts: int) -> None:
        """Ask for the cancel of a working order; a second request while one is pending does nothing."""
        if order.status.is_closed or order.status is OrderStatus.PENDING_CANCEL:
            return
        self._move(order, OrderEvent.REQUEST_CANCEL, ts)
        self._broker.cancel(order.client_order_id, ts)

    def on_report(self, report: ExecutionReport) -> list[Trade]:
        """Apply one report; return the trades it closed.

        A fill counts also when its order is closed already (it crossed the cancel on the wire); other reports about closed or
        unknown orders say nothing new.

        Raises
        ------
        BrokerError : something filled that nobody here has sent.
        """
        if report.child is not None:
            self._orders[report.child.client_order_id] = report.child
            parent = report.child.parent_id or ""
            self._labels[report.child.client_order_id] = self._labels.get(parent, {})
        order = self._orders.get(report.client_order_id)
        if report.cause in _FILLS:
            order = order or self._closed.get(report.client_order_id)
            if order is None:
                raise BrokerError(
                    f"fill {report.trade_id} of {report.quantity} at {report.price_ticks} ticks was for order "
                    f"'{report.client_order_id}', which is not known here; reconcile with the broker"
                )
            return self._on_fill(order, report)
        if order is None:
            return []
        if report.cause is OrderEvent.UPDATE:
            order.quantity = report.quantity
            order.limit_ticks = report.limit_ticks
            order.stop_ticks = report.stop_ticks
        self._move(order, report.cause, report.ts, report.reason)
        return []

    def _on_fill(self, order: Order, report: ExecutionReport) -> list[Trade]:
        applied = self._applied.setdefault(order.client_order_id, set())
        if report.trade_id in applied:
            return []
        applied.add(report.trade_id)
        order.filled_qty += report.quantity
        order.filled_ticks_sum += report.quantity * report.price_ticks
        labels = self._labels.get(order.client_order_id, {})
        self._move(order, report.cause, report.ts)
        fill = Fill(
            trade_id=report.trade_id,
            client_order_id=order.client_order_id,
            instrument=order.instrument,
            side=order.side,
            quantity=report.quantity,
            price_ticks=report.price_ticks,
            ts=report.ts,
            fee=self._fees.fee(order.instrument, report.quantity, report.price_ticks),
            liquidity=report.liquidity,
            role=order.role,
            slippage_ticks=report.slippage_ticks,
            is_ambiguous=report.is_ambiguous,
        )
        trades = self._account.apply(fill, order.tape, order.decision_id, labels)
        position = self._account.positions.get(order.instrument.symbol)
        self._emit(
            OrderFilled(
                ts=report.ts,
                fill=fill,
                position_quantity=0 if position is None else position.quantity,
                balance=self._account.balance,
            )
        )
        for trade in trades:
            self._emit(TradeClosed(ts=report.ts, trade=trade))
        return trades

    def _move(self, order: Order, cause: OrderEvent, ts: int, reason: str = "") -> None:
        status = order.apply(cause, ts)
        self._emit(
            OrderChanged(
                ts=ts,
                client_order_id=order.client_order_id,
                instrument=order.instrument,
                side=order.side,
                order_type=order.order_type,
                role=order.role,
                quantity=order.quantity,
                filled_qty=order.filled_qty,
                limit_ticks=order.limit_ticks,
                stop_ticks=order.stop_ticks,
                cause=cause,
                status=status,
                decision_id=order.decision_id,
                parent_id=order.parent_id,
                reason=reason,
                arrival_ticks=order.arrival_ticks,
                venue_order_id=order.venue_order_id,
            )
        )
        if status.is_closed and self._orders.pop(order.client_order_id, None) is not None:
            self._closed[order.client_order_id] = order
            if len(self._closed) > self._remembered:
                oldest = next(iter(self._closed))
                del self._closed[oldest]
                self._labels.pop(oldest, None)
                self._applied.pop(oldest, None)
