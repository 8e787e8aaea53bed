"""Our side of the order life cycle: orders by id, reports applied once, money booked, events told.

Everything a report does goes through here, whoever the broker is: the order moves along the table in `core.order`, a fill
with a known `trade_id` is dropped, the account is changed by fills alone. A report never stops the loop: one that the table
does not allow changes nothing and is kept as a `Surprise`, so that reconciliation asks the venue.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from sovereign.core.errors import UsageError
from sovereign.core.event import Event, TradeClosed, make_order_changed, make_order_filled
from sovereign.core.instrument import find_instrument
from sovereign.core.order import TRANSITIONS, Order, OrderEvent, OrderRole, OrderStatus, OrderType
from sovereign.core.port import FeeModel
from sovereign.core.position import Trade, make_fill
from sovereign.execution.account import Account
from sovereign.execution.bracket import BracketKeeper
from sovereign.execution.broker import OrderJournal, VenueOrder
from sovereign.execution.reconcile import Books, Correction, CorrectionKind, InFlight
from sovereign.execution.report import ExecutionReport

_FILLS = (OrderEvent.PARTIAL_FILL, OrderEvent.FILL)
_OURS = (OrderEvent.DENY, OrderEvent.SUBMIT, OrderEvent.REQUEST_UPDATE, OrderEvent.REQUEST_CANCEL)
_REQUESTS = {OrderStatus.PENDING_CANCEL: "CANCEL", OrderStatus.PENDING_UPDATE: "REPLACE"}
_STOPS = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP)
# Looked up once: Python 3.11 takes long to find the members of an enumeration.
_SUBMIT, _UPDATE, _REJECTED, _ENTRY = OrderEvent.SUBMIT, OrderEvent.UPDATE, OrderStatus.REJECTED, OrderRole.ENTRY


class OrderPort(Protocol):
    """Where orders go."""

    @property
    def holds_brackets(self) -> bool:
        """Whether stop and target of an entry rest at the venue."""
        ...

    @property
    def can_replace(self) -> bool:
        """Whether the venue changes a working order in place."""
        ...

    def submit(self, order: Order, ts: int) -> None:
        """Send an order."""
        ...

    def cancel(self, client_order_id: str, ts: int) -> None:
        """Ask for a cancel."""
        ...

    def replace(self, client_order_id: str, ts: int, *, quantity: int, limit_ticks: int | None, stop_ticks: int | None) -> None:
        """Ask for new terms."""
        ...


class SurpriseKind(StrEnum):
    """What a report said that does not fit our books."""

    UNKNOWN_FILL = "UNKNOWN_FILL"  # of an order nobody here sent, or forgot: not booked
    REFUSED_MOVE = "REFUSED_MOVE"  # the table has no such move: nothing changed
    FILL_AFTER_REJECT = "FILL_AFTER_REJECT"  # booked
    OVERFILL = "OVERFILL"  # more than was asked for: booked
    OVER_CLOSE = "OVER_CLOSE"  # a reduce-only order closed more than our books held: booked


@dataclass(frozen=True, slots=True, kw_only=True)
class Surprise:
    """A report that contradicts our books; each one is a reason to ask the venue for a snapshot."""

    kind: SurpriseKind
    report: ExecutionReport
    text: str


class Executor:
    """Keeps working orders and applies what the broker reports.

    Parameters
    ----------
    emit : takes every event, in order.
    remembered : how many closed orders are kept for fills that come late or twice; the same bound holds for surprises.
    journal : the write-ahead journal; every request is recorded there before it is sent (a REPLACE as a copy of the order with
        its new terms). None in a backtest.
    """

    def __init__(
        self,
        broker: OrderPort,
        account: Account,
        fees: FeeModel,
        emit: Callable[[Event], None],
        remembered: int = 1_000,
        journal: OrderJournal | None = None,
    ) -> None:
        self._broker = broker
        self._account = account
        self._fees = fees
        self._emit = emit
        self._remembered = remembered
        self._journal = journal
        self._orders: dict[str, Order] = {}
        self._entries = 0  # of those, how many may open a position
        self._closed: dict[str, Order] = {}  # oldest first
        self._labels: dict[str, dict[str, str]] = {}
        self._applied: dict[str, set[str]] = {}  # trade ids by order, of forgotten orders too: a restart is told of all again
        self._asked: dict[str, int] = {}  # when the last request about a working order was sent
        self._unheard: set[str] = set()  # working orders the venue has said nothing about
        self._surprises: deque[Surprise] = deque(maxlen=remembered)
        self._bracketed: dict[str, tuple[Order, int]] = {}  # by symbol: last entry with a bracket, units such entries filled
        self._last_fill_ns = 0
        self.changes = 0
        """How often an order has changed: none has while this is the same."""
        self._keeper = BracketKeeper(self, account, emit, emulates=not broker.holds_brackets, can_replace=broker.can_replace)

    def working(self, tape: str | None = None) -> Iterator[Order]:
        """Yield orders that are not closed, oldest first."""
        for order in self._orders.values():
            if tape is None or order.tape == tape:
                yield order

    @property
    def is_idle(self) -> bool:
        """Whether no order works."""
        return not self._orders

    @property
    def working_entries(self) -> int:
        """Number of orders that may still open a position."""
        return self._entries

    def working_units(self) -> dict[str, int]:
        """Return what those orders would still open: signed units by traded symbol."""
        units: dict[str, int] = {}
        for order in self._orders.values():
            if order.role is _ENTRY:
                symbol = order.instrument.symbol
                units[symbol] = units.get(symbol, 0) + order.side.sign * (order.quantity - order.filled_qty)
        return units

    @property
    def account(self) -> Account:
        """The ledger, for readers."""
        return self._account

    def find(self, client_order_id: str) -> Order | None:
        """Return an order that is working or remembered."""
        return self._orders.get(client_order_id) or self._closed.get(client_order_id)

    def is_heard(self, order: Order) -> bool:
        """Say whether the venue has said anything about a working order; until then it may never have arrived."""
        return order.client_order_id not in self._unheard

    def bracketed(self, symbol: str) -> tuple[Order, int] | None:
        """Return the last entry with a bracket of an open position and the units such entries filled; None without one."""
        return self._bracketed.get(symbol)

    def in_flight(self, now: int, older_than_ns: int = 0) -> list[InFlight]:
        """Return requests that the venue has not answered for at least `older_than_ns`, oldest first: ask about them."""
        found = []
        for order in self._orders.values():
            request = "NEW" if order.status is OrderStatus.SUBMITTED else _REQUESTS.get(order.status)
            since = self._asked.get(order.client_order_id, order.updated_ns)
            if request is not None and now - since >= older_than_ns:
                found.append(InFlight(order=order, request=request, since_ns=since))
        return sorted(found, key=lambda entry: entry.since_ns)

    def pop_surprises(self) -> list[Surprise]:
        """Return what contradicted our books since the last call; if there is anything, reconcile."""
        found = list(self._surprises)
        self._surprises.clear()
        return found

    def submit(self, order: Order, ts: int, labels: dict[str, str]) -> None:
        """Send a new order; `labels` are kept with the trade it opens.

        Raises
        ------
        UsageError : an order of that id was sent before.
        """
        if self.find(order.client_order_id) is not None:
            raise UsageError(f"client_order_id was '{order.client_order_id}', which was sent before; an id is used once")
        if self._journal is not None:
            self._journal.record(order, "NEW", ts)
        self._register(order, ts, labels)
        self._unheard.add(order.client_order_id)
        self._move(order, _SUBMIT, ts)
        is_kept_here = order.bracket is not None and not self._broker.holds_brackets
        self._broker.submit(replace(order, bracket=None) if is_kept_here else order, ts)

    def cancel(self, order: Order, ts: int) -> None:
        """Ask for the cancel of a working order; a second request while one is pending does nothing."""
        if order.status.is_closed or order.status is OrderStatus.PENDING_CANCEL:
            return
        if self._journal is not None:
            self._journal.record(order, "CANCEL", ts)
        self._asked[order.client_order_id] = ts
        self._move(order, OrderEvent.REQUEST_CANCEL, ts)
        self._broker.cancel(order.client_order_id, ts)

    def replace(
        self,
        order: Order,
        ts: int,
        *,
        quantity: int | None = None,
        limit_ticks: int | None = None,
        stop_ticks: int | None = None,
    ) -> bool:
        """Ask for new terms; what is None stays. The order keeps its terms until the venue says otherwise.

        Parameters
        ----------
        quantity : the new total, filled part included.

        Returns
        -------
        False when nothing was sent: the order is closed, a cancel or another replace is pending, or the venue cannot replace.

        Raises
        ------
        UsageError : `quantity` is not above what is filled already.
        """
        total = order.quantity if quantity is None else quantity
        if total <= order.filled_qty:
            raise UsageError(
                f"quantity was {total}, but {order.filled_qty} of order '{order.client_order_id}' are filled; "
                f"ask for more than that, or for a cancel"
            )
        if (order.status, OrderEvent.REQUEST_UPDATE) not in TRANSITIONS or not self._broker.can_replace:
            return False
        if self._journal is not None:
            terms = replace(
                order,
                quantity=total,
                limit_ticks=order.limit_ticks if limit_ticks is None else limit_ticks,
                stop_ticks=order.stop_ticks if stop_ticks is None else stop_ticks,
            )
            self._journal.record(terms, "REPLACE", ts)
        self._asked[order.client_order_id] = ts
        self._move(order, OrderEvent.REQUEST_UPDATE, ts)
        self._broker.replace(order.client_order_id, ts, quantity=total, limit_ticks=limit_ticks, stop_ticks=stop_ticks)
        return True

    def on_report(self, report: ExecutionReport) -> list[Trade]:
        """Apply one report; return the trades it closed.

        A fill counts also when its order is closed already (it crossed the cancel on the wire), and whatever was said before;
        other reports about closed or unknown orders say nothing new. What the table does not allow changes nothing. A fill of
        an order that is not known here is not booked; see `pop_surprises`.
        """
        if report.child is not None:
            self._take_child(report)
            return []
        order = self._orders.get(report.client_order_id)
        if report.cause in _FILLS:
            order = order or self._closed.get(report.client_order_id)
            if order is None:
                self._surprise(SurpriseKind.UNKNOWN_FILL, report, "is not known here")
                return []
            return self._on_fill(order, report)
        if order is None:
            return []
        if (order.status, report.cause) not in TRANSITIONS or report.cause in _OURS:
            self._surprise(SurpriseKind.REFUSED_MOVE, report, f"was {order.status}")
            return []
        self._unheard.discard(order.client_order_id)
        if report.cause is _UPDATE:
            order.quantity = max(report.quantity, order.filled_qty)
            order.limit_ticks = report.limit_ticks
            order.stop_ticks = report.stop_ticks
        self._move(order, report.cause, report.ts, report.reason)
        self._keeper.on_change(order, report.cause, report.ts)
        return []

    def _take_child(self, report: ExecutionReport) -> None:
        child = report.child
        if child is None or self.find(child.client_order_id) is not None:
            return  # said twice: what happened to it since must not be forgotten
        self._register(child, report.ts, self._labels.get(child.parent_id or "", {}))
        self._move(child, _SUBMIT, report.ts, report.reason)

    def books(self, asked_ns: int, now_ns: int) -> Books:
        """Return our side for `reconcile`: read it before anything else happens.

        Parameters
        ----------
        asked_ns : our market time when the venue was asked for its side.
        """
        return Books(
            asked_ns=asked_ns,
            now_ns=now_ns,
            account=self._account,
            working=self._orders,
            closed=self._closed,
            in_flight={entry.order.client_order_id: entry for entry in self.in_flight(now_ns)},
            unheard=self._unheard,
            is_applied=self._is_applied,
            last_fill_ns=self._last_fill_ns,
        )

    def correct(self, correction: Correction, ts: int) -> list[Trade]:
        """Apply one correction that reconciliation found; return the trades it closed."""
        if correction.kind is CorrectionKind.REPORT and correction.report is not None:
            return self.on_report(replace(correction.report, ts=ts))
        if correction.kind in (CorrectionKind.ADOPT_ORDER, CorrectionKind.CANCEL_ORDER) and correction.order is not None:
            order = self._orders.get(correction.order.client_order_id) or self._adopt(correction.order, correction.tape, ts)
            if correction.kind is CorrectionKind.CANCEL_ORDER:
                self.cancel(order, ts)
        elif correction.kind is CorrectionKind.ADOPT_POSITION and correction.position is not None:
            found = correction.position
            tape = correction.tape or found.symbol
            held = self._account.positions.get(found.symbol)
            instrument = find_instrument(found.symbol) if held is None else held.instrument
            self._emit(self._account.adopt(instrument, tape, found.quantity, found.cost_ticks, ts, correction.reason))
            if not found.quantity:
                self._bracketed.pop(found.symbol, None)
            self._keeper.on_position(found.symbol, found.quantity, ts)
        elif correction.kind is CorrectionKind.SET_CASH and correction.cash is not None:
            self._emit(self._account.correct_cash(correction.cash, ts, correction.reason))
        return []

    def _adopt(self, found: VenueOrder, tape: str, ts: int) -> Order:
        """Take an order of the venue into our books, as if it had just been sent and acknowledged."""
        known = self._closed.pop(found.client_order_id, None)
        role = OrderRole.ENTRY
        if known is not None:
            role = known.role
        elif found.parent_id is not None:
            role = OrderRole.STOP if found.order_type in _STOPS else OrderRole.TARGET
        source = known or self.find(found.parent_id or "")
        order = Order(
            client_order_id=found.client_order_id,
            instrument=find_instrument(found.symbol),
            tape=tape or found.symbol,
            side=found.side,
            order_type=found.order_type,
            quantity=found.quantity,
            submitted_ns=ts,
            active_ns=ts,
            role=role,
            limit_ticks=found.limit_ticks,
            stop_ticks=found.stop_ticks,
            reduce_only=role is not OrderRole.ENTRY,
            parent_id=found.parent_id,
            bracket=None if known is None else known.bracket,
            decision_id=None if source is None else source.decision_id,
            venue_order_id=found.venue_order_id or None,
            filled_qty=found.filled_qty if known is None else known.filled_qty,
            filled_ticks_sum=0 if known is None else known.filled_ticks_sum,
        )
        labels = self._labels.get(found.client_order_id) or self._labels.get(found.parent_id or "") or {"signal": "adopted"}
        self._register(order, ts, labels)
        self._move(order, OrderEvent.SUBMIT, ts, "adopted from the venue")
        self._move(order, OrderEvent.ACCEPT, ts, "adopted from the venue")
        self._keeper.on_adopted(order, ts)
        return order

    def _register(self, order: Order, ts: int, labels: Mapping[str, str]) -> None:
        self._orders[order.client_order_id] = order
        self._entries += order.role is _ENTRY
        self._labels[order.client_order_id] = dict(labels)
        self._asked[order.client_order_id] = ts

    def _is_applied(self, client_order_id: str, trade_id: str) -> bool:
        return trade_id in self._applied.get(client_order_id, ())

    def _surprise(self, kind: SurpriseKind, report: ExecutionReport, what: str) -> None:
        fill = f" of {report.quantity} at {report.price_ticks} ticks (trade '{report.trade_id}')" if report.quantity else ""
        text = f"{report.cause}{fill} came for order '{report.client_order_id}', which {what}; ask the venue"
        self._surprises.append(Surprise(kind=kind, report=report, text=text))

    def _on_fill(self, order: Order, report: ExecutionReport) -> list[Trade]:
        applied = self._applied.setdefault(order.client_order_id, set())
        if report.trade_id in applied:
            return []
        applied.add(report.trade_id)
        self._unheard.discard(order.client_order_id)
        if order.status is _REJECTED:
            self._surprise(SurpriseKind.FILL_AFTER_REJECT, report, "was REJECTED; the fill counts")
        order.filled_qty += report.quantity
        order.filled_ticks_sum += report.quantity * report.price_ticks
        if order.filled_qty > order.quantity:
            self._surprise(SurpriseKind.OVERFILL, report, f"asked for {order.quantity}; the fill counts")
        labels = self._labels.get(order.client_order_id, {})
        self._move(order, report.cause, report.ts)
        fee = report.fee
        fill = make_fill(
            trade_id=report.trade_id,
            client_order_id=order.client_order_id,
            instrument=order.instrument,
            side=order.side,
            quantity=report.quantity,
            price_ticks=report.price_ticks,
            ts=report.ts,
            fee=self._fees.fee(order.instrument, report.quantity, report.price_ticks) if fee is None else fee,
            liquidity=report.liquidity,
            role=order.role,
            slippage_ticks=report.slippage_ticks,
            is_ambiguous=report.is_ambiguous,
        )
        self._last_fill_ns = max(self._last_fill_ns, report.ts)
        trades = self._account.apply(fill, order.tape, order.decision_id, labels)
        symbol = order.instrument.symbol
        position = self._account.positions.get(symbol)
        if position is None:
            self._bracketed.pop(symbol, None)
        elif order.reduce_only and position.quantity * order.side.sign > 0:
            self._surprise(SurpriseKind.OVER_CLOSE, report, f"left {position.quantity} open; the fill counts")
        elif order.bracket is not None:
            self._bracketed[symbol] = (order, report.quantity + self._bracketed.get(symbol, (order, 0))[1])
        self._emit(
            make_order_filled(
                ts=report.ts,
                fill=fill,
                position_quantity=0 if position is None else position.quantity,
                balance=self._account.balance,
            )
        )
        for trade in trades:
            self._emit(TradeClosed(ts=report.ts, trade=trade))
        self._keeper.on_fill(order, fill, labels)
        return trades

    def _move(self, order: Order, cause: OrderEvent, ts: int, reason: str = "") -> None:
        status = order.apply(cause, ts)
        self.changes += 1
        self._emit(
            make_order_changed(
                order.client_order_id,
                order.instrument,
                order.side,
                order.order_type,
                ts=ts,
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
            self._entries -= order.role is _ENTRY
            self._asked.pop(order.client_order_id, None)
            self._unheard.discard(order.client_order_id)
            self._closed[order.client_order_id] = order
            if len(self._closed) > self._remembered:
                oldest = next(iter(self._closed))
                del self._closed[oldest]
                self._labels.pop(oldest, None)
