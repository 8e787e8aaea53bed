"""Compare our books with what the venue says, and say what must change here: the venue wins, by recorded corrections.

`reconcile` is a pure function of two values; it changes nothing. Its corrections are inputs of the engine like any report:
`Executor.correct` applies one. Applying them all and comparing again with the same snapshot finds nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from sovereign.core.errors import NotFoundError
from sovereign.core.event import Severity
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Order, OrderEvent, OrderRole, OrderStatus, OrderType
from sovereign.core.position import Fill
from sovereign.execution.account import Account
from sovereign.execution.broker import BrokerSnapshot, VenueExecution, VenueOrder, VenuePosition
from sovereign.execution.report import ExecutionReport


class FindingKind(StrEnum):
    """What two books may disagree about."""

    MISSED_EXECUTION = "MISSED_EXECUTION"
    ORDER_ARRIVED = "ORDER_ARRIVED"
    ORDER_CLOSED = "ORDER_CLOSED"
    ORDER_GONE = "ORDER_GONE"
    ORDER_NEVER_ARRIVED = "ORDER_NEVER_ARRIVED"
    ORDER_UNKNOWN = "ORDER_UNKNOWN"
    REQUEST_NEVER_ARRIVED = "REQUEST_NEVER_ARRIVED"
    IN_FLIGHT = "IN_FLIGHT"
    TERMS_DIFFER = "TERMS_DIFFER"
    FILLED_DIFFERS = "FILLED_DIFFERS"
    POSITION_DIFFERS = "POSITION_DIFFERS"
    AVERAGE_DIFFERS = "AVERAGE_DIFFERS"
    CASH_DIFFERS = "CASH_DIFFERS"
    MOVED_MEANWHILE = "MOVED_MEANWHILE"


class CorrectionKind(StrEnum):
    """How our books are put right."""

    REPORT = "REPORT"
    ADOPT_ORDER = "ADOPT_ORDER"
    CANCEL_ORDER = "CANCEL_ORDER"
    ADOPT_POSITION = "ADOPT_POSITION"
    SET_CASH = "SET_CASH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One difference; `subject` is an order id, a symbol or `cash`, `ours` and `theirs` are for people to read."""

    kind: FindingKind
    severity: Severity
    subject: str
    ours: str
    theirs: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """One change to our books, complete in itself so that it can be recorded and applied again in a replay.

    REPORT has `report`; ADOPT_ORDER and CANCEL_ORDER have `order`; ADOPT_POSITION has `position`; SET_CASH has `cash`.
    `tape` is the symbol whose market data values an adopted order or position.
    """

    kind: CorrectionKind
    subject: str
    reason: str
    report: ExecutionReport | None = None
    order: VenueOrder | None = None
    position: VenuePosition | None = None
    cash: Decimal | None = None
    tape: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What was found and what to do; `cursor` is the venue's, to ask from next time.

    `is_clean` says that nothing contradicts: entries may be sent. `is_settled` is False when our books moved between the
    question and the answer, so that positions and cash could not be compared: ask again.
    """

    findings: tuple[Finding, ...]
    corrections: tuple[Correction, ...]
    is_clean: bool
    is_settled: bool
    cursor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """A request that the venue has not answered: `request` is NEW, CANCEL or REPLACE, sent at `since_ns`."""

    order: Order
    request: str
    since_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Our side, to be read only: made by `Executor.books`.

    `asked_ns` is our market time when the snapshot was asked for; what changed here after it is left alone until next time.
    `unheard` are working orders that the venue has never said anything about.
    """

    asked_ns: int
    now_ns: int
    account: Account
    working: Mapping[str, Order]
    closed: Mapping[str, Order]
    in_flight: Mapping[str, InFlight]
    unheard: Set[str]
    is_applied: Callable[[str, str], bool]
    last_fill_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcilePolicy:
    """What to do where the books alone do not say; see the settings of the same names in `execution`."""

    adopts_unknown_orders: bool
    in_flight_grace_ns: int
    average_tolerance_frac: float
    cash_tolerance: Decimal


def reconcile(
    ours: Books, theirs: BrokerSnapshot, policy: ReconcilePolicy, tape_of: Mapping[str, str] | None = None
) -> Reconciliation:
    """Return the differences between two books and the corrections that remove them, in the order to apply them.

    Executions come first, so that what can be explained by fills is; only what is left is adopted as the venue says it.

    Parameters
    ----------
    theirs : its `executions` must begin after the `cursor` of the last reconciliation: older orders may be forgotten here.
    tape_of : symbol of the market data that values a traded symbol; a symbol not named is its own tape.
    """
    return _Comparison(ours, theirs, policy, tape_of or {}).run()


_CLOSING = {
    OrderStatus.CANCELED: OrderEvent.CANCEL,
    OrderStatus.EXPIRED: OrderEvent.EXPIRE,
    OrderStatus.REJECTED: OrderEvent.REJECT,
    OrderStatus.FILLED: OrderEvent.CANCEL,  # what filled is booked by now; the rest of our quantity is gone
    OrderStatus.DENIED: OrderEvent.REJECT,
}


class _Comparison:
    """One run of `reconcile`."""

    def __init__(self, ours: Books, theirs: BrokerSnapshot, policy: ReconcilePolicy, tape_of: Mapping[str, str]) -> None:
        self._ours = ours
        self._theirs = theirs
        self._policy = policy
        self._tape_of = tape_of
        self._findings: list[Finding] = []
        self._corrections: list[Correction] = []
        self._scratch = ours.account.copy()
        self._missing: dict[str, list[VenueExecution]] = {}
        for execution in sorted(theirs.executions, key=lambda entry: entry.cursor):
            if not ours.is_applied(execution.client_order_id, execution.trade_id):
                self._missing.setdefault(execution.client_order_id, []).append(execution)

    def run(self) -> Reconciliation:
        for found in self._theirs.orders:
            order = self._ours.working.get(found.client_order_id)
            if order is not None:
                self._compare(order, found)
            else:
                self._meet(found)
        listed = {found.client_order_id for found in self._theirs.orders}
        for order in self._ours.working.values():
            if order.client_order_id not in listed:
                self._miss(order)
        for order_id in list(self._missing):
            self._book(order_id, None)
        is_settled = self._ours.last_fill_ns <= self._ours.asked_ns
        if is_settled:
            self._compare_money()
        else:
            note = "filled after the venue was asked; positions and cash are compared next time"
            self._find(FindingKind.MOVED_MEANWHILE, Severity.INFO, "positions", "", "", note)
        harmless = {FindingKind.IN_FLIGHT}
        return Reconciliation(
            findings=tuple(self._findings),
            corrections=tuple(self._corrections),
            is_clean=not self._corrections and all(finding.kind in harmless for finding in self._findings),
            is_settled=is_settled,
            cursor=self._theirs.cursor,
        )

    def _find(self, kind: FindingKind, severity: Severity, subject: str, ours: str, theirs: str, text: str) -> None:
        self._findings.append(Finding(kind=kind, severity=severity, subject=subject, ours=ours, theirs=theirs, text=text))

    def _report(self, report: ExecutionReport) -> None:
        self._corrections.append(
            Correction(
                kind=CorrectionKind.REPORT, subject=report.client_order_id, reason=report.reason or "reconciled", report=report
            )
        )

    def _say(self, order_id: str, cause: OrderEvent, reason: str) -> None:
        self._report(ExecutionReport(cause=cause, client_order_id=order_id, ts=self._ours.now_ns, reason=reason))

    def _tape(self, symbol: str) -> str:
        return self._tape_of.get(symbol, symbol)

    def _is_recent(self, order: Order) -> bool:
        """Say whether our order changed after the venue was asked, so that the answer may be older than we are."""
        return order.updated_ns > self._ours.asked_ns

    def _is_waiting(self, order: Order) -> bool:
        """Say whether a request about an order is in flight and still within its grace."""
        entry = self._ours.in_flight.get(order.client_order_id)
        return entry is not None and self._ours.asked_ns - entry.since_ns < self._policy.in_flight_grace_ns

    def _book(self, order_id: str, found: VenueOrder | None) -> int:
        """Correct what fills of an order we missed; return how much they are."""
        missing = self._missing.pop(order_id, [])
        order = self._ours.working.get(order_id) or self._ours.closed.get(order_id)
        total = 0 if order is None else order.filled_qty
        for execution in missing:
            total += execution.quantity
            is_last = execution is missing[-1]
            if found is None:
                is_filled = is_last and order is not None and total >= order.quantity
            else:
                is_filled = is_last and found.status is OrderStatus.FILLED
            text = f"{execution.side} {execution.quantity} at {execution.price_ticks} ticks, trade '{execution.trade_id}'"
            self._find(FindingKind.MISSED_EXECUTION, Severity.WARNING, order_id, "", text, f"missed {text}")
            if order is None and found is None:
                continue  # no order to book it on: the position below follows the venue
            self._report(
                ExecutionReport(
                    cause=OrderEvent.FILL if is_filled else OrderEvent.PARTIAL_FILL,
                    client_order_id=order_id,
                    ts=self._ours.now_ns,
                    trade_id=execution.trade_id,
                    quantity=execution.quantity,
                    price_ticks=execution.price_ticks,
                    liquidity=execution.liquidity,
                    fee=execution.fee,
                    reason="missed execution",
                )
            )
            self._try_on(execution, order)
        return sum(execution.quantity for execution in missing)

    def _try_on(self, execution: VenueExecution, order: Order | None) -> None:
        instrument = find_instrument(execution.symbol) if order is None else order.instrument
        fill = Fill(
            trade_id=execution.trade_id,
            client_order_id=execution.client_order_id,
            instrument=instrument,
            side=execution.side,
            quantity=execution.quantity,
            price_ticks=execution.price_ticks,
            ts=self._ours.now_ns,
            fee=execution.fee,
            liquidity=execution.liquidity,
            role=OrderRole.ENTRY,
        )
        self._scratch.apply(fill, self._tape(execution.symbol) if order is None else order.tape, None, {})

    def _compare(self, order: Order, found: VenueOrder) -> None:
        """An order that works here, and that the venue knows."""
        order_id = order.client_order_id
        last = self._missing.get(order_id)
        booked = self._book(order_id, found)
        if self._is_recent(order):
            return
        if order.filled_qty + booked != found.filled_qty:
            self._find(
                FindingKind.FILLED_DIFFERS,
                Severity.ALARM,
                order_id,
                str(order.filled_qty + booked),
                str(found.filled_qty),
                "filled quantities differ, and no execution we were told of explains it; ask for older executions",
            )
        if found.status.is_closed:
            if not (last and found.status is OrderStatus.FILLED):
                reason = found.reason or f"{found.status} at the venue"
                self._find(FindingKind.ORDER_CLOSED, Severity.WARNING, order_id, order.status, found.status, reason)
                self._say(order_id, _CLOSING[found.status], reason)
            return
        self._compare_working(order, found, has_booked=booked > 0)

    def _compare_working(self, order: Order, found: VenueOrder, *, has_booked: bool) -> None:
        order_id = order.client_order_id
        stop = order.stop_ticks if order.order_type is OrderType.TRAILING_STOP else found.stop_ticks
        terms = (found.quantity, found.limit_ticks, stop)
        differs = terms != (order.quantity, order.limit_ticks, order.stop_ticks)
        if self._is_waiting(order) and order_id not in self._ours.unheard:
            self._leave(order)
        elif differs:
            ours = f"{order.quantity} limit {order.limit_ticks} stop {order.stop_ticks}"
            other = f"{found.quantity} limit {found.limit_ticks} stop {found.stop_ticks}"
            self._find(FindingKind.TERMS_DIFFER, Severity.WARNING, order_id, ours, other, "the venue has other terms")
            self._report(
                ExecutionReport(
                    cause=OrderEvent.UPDATE,
                    client_order_id=order_id,
                    ts=self._ours.now_ns,
                    quantity=found.quantity,
                    limit_ticks=found.limit_ticks,
                    stop_ticks=stop,
                    reason="as the venue has it",
                )
            )
        elif order_id in self._ours.unheard and not has_booked:
            text = "the acknowledgement was missed"
            self._find(FindingKind.ORDER_ARRIVED, Severity.INFO, order_id, order.status, found.status, text)
            self._say(order_id, OrderEvent.ACCEPT, text)
        elif order.status is OrderStatus.PENDING_UPDATE:
            text = "the replace never arrived"
            self._find(FindingKind.REQUEST_NEVER_ARRIVED, Severity.WARNING, order_id, order.status, found.status, text)
            self._say(order_id, OrderEvent.REFUSE_UPDATE, text)
        if order.status is OrderStatus.PENDING_CANCEL and not self._is_waiting(order):
            text = "the cancel never arrived; asked again"
            self._find(FindingKind.REQUEST_NEVER_ARRIVED, Severity.WARNING, order_id, order.status, found.status, text)
            self._say(order_id, OrderEvent.REFUSE_CANCEL, text)
            self._corrections.append(
                Correction(kind=CorrectionKind.CANCEL_ORDER, subject=order_id, reason=text, order=found, tape=order.tape)
            )

    def _leave(self, order: Order) -> None:
        entry = self._ours.in_flight[order.client_order_id]
        age = f"{(self._ours.asked_ns - entry.since_ns) / 1e9:.3f} s"
        text = f"{entry.request} is in flight for {age}"
        self._find(FindingKind.IN_FLIGHT, Severity.INFO, order.client_order_id, order.status, "", text)

    def _meet(self, found: VenueOrder) -> None:
        """An order of the venue that does not work here."""
        order_id = found.client_order_id
        known = self._ours.closed.get(order_id)
        missing = sum(execution.quantity for execution in self._missing.get(order_id, ()))
        is_open = not found.status.is_closed
        if known is not None and (not is_open or self._is_recent(known)):
            self._book(order_id, found)
            return
        if not is_open and not missing:
            return  # neither here nor there any more
        if not _is_known(found.symbol):
            text = f"'{found.symbol}' is no instrument known here; look after it at the venue"
            self._find(FindingKind.ORDER_UNKNOWN, Severity.ALARM, order_id, "", found.status, text)
            self._missing.pop(order_id, None)
            return
        is_child = (found.parent_id or "") in self._ours.working or (found.parent_id or "") in self._ours.closed
        adopts = self._policy.adopts_unknown_orders or is_child or not is_open
        text = f"{found.side} {found.quantity} {found.symbol} works at the venue and not here: "
        text += "adopted" if adopts else "canceled"
        ours = "" if known is None else known.status
        self._find(FindingKind.ORDER_UNKNOWN, Severity.ALARM, order_id, ours, found.status, text)
        self._corrections.append(
            Correction(
                kind=CorrectionKind.ADOPT_ORDER if adopts else CorrectionKind.CANCEL_ORDER,
                subject=order_id,
                reason=text,
                order=replace(found, filled_qty=found.filled_qty - missing),
                tape=self._tape(found.symbol),
            )
        )
        self._book(order_id, found)
        if not is_open and found.status is not OrderStatus.FILLED:
            self._say(order_id, _CLOSING[found.status], found.reason or f"{found.status} at the venue")

    def _miss(self, order: Order) -> None:
        """An order that works here, and that the venue does not name."""
        order_id = order.client_order_id
        booked = self._book(order_id, None)
        if self._is_recent(order) or order.filled_qty + booked >= order.quantity:
            return
        if order_id in self._ours.unheard and not booked:
            if self._is_waiting(order):
                self._leave(order)
                return
            text = "never arrived at the venue"
            self._find(FindingKind.ORDER_NEVER_ARRIVED, Severity.WARNING, order_id, order.status, "", text)
            self._say(order_id, OrderEvent.REJECT, text)
            return
        text = "not known at the venue any more"
        self._find(FindingKind.ORDER_GONE, Severity.WARNING, order_id, order.status, "", text)
        self._say(order_id, OrderEvent.CANCEL, text)

    def _compare_money(self) -> None:
        held = {position.symbol: position for position in self._theirs.positions if position.quantity}
        for symbol in sorted({*held, *self._scratch.positions}):
            theirs = held.get(symbol) or VenuePosition(symbol=symbol, quantity=0, cost_ticks=0)
            self._compare_position(symbol, theirs)
        difference = self._theirs.cash - self._scratch.balance
        if abs(difference) > self._policy.cash_tolerance:
            text = f"cash differs by {difference}"
            ours, other = str(self._scratch.balance), str(self._theirs.cash)
            self._find(FindingKind.CASH_DIFFERS, Severity.WARNING, "cash", ours, other, text)
            self._corrections.append(
                Correction(kind=CorrectionKind.SET_CASH, subject="cash", reason=text, cash=self._theirs.cash)
            )

    def _compare_position(self, symbol: str, theirs: VenuePosition) -> None:
        position = self._scratch.positions.get(symbol)
        quantity, cost = (0, 0) if position is None else (position.quantity, position.cost_ticks)
        ours, other = f"{quantity} for {cost} ticks", f"{theirs.quantity} for {theirs.cost_ticks} ticks"
        if quantity != theirs.quantity:
            kind, severity, text = FindingKind.POSITION_DIFFERS, Severity.ALARM, "positions differ; the venue's is adopted"
        elif abs(cost - theirs.cost_ticks) > self._policy.average_tolerance_frac * abs(theirs.cost_ticks):
            kind, severity, text = (
                FindingKind.AVERAGE_DIFFERS,
                Severity.WARNING,
                "average prices differ: the venue's is adopted",
            )
        else:
            return
        if position is None and not _is_known(symbol):
            text = f"'{symbol}' is no instrument known here; look after it at the venue"
            self._find(kind, Severity.ALARM, symbol, ours, other, text)
            return
        self._find(kind, severity, symbol, ours, other, text)
        tape = self._tape(symbol) if position is None else position.tape
        self._corrections.append(
            Correction(kind=CorrectionKind.ADOPT_POSITION, subject=symbol, reason=text, position=theirs, tape=tape)
        )
        instrument = find_instrument(symbol) if position is None else position.instrument
        self._scratch.adopt(instrument, tape, theirs.quantity, theirs.cost_ticks, self._ours.now_ns, text)


def _is_known(symbol: str) -> bool:
    try:
        find_instrument(symbol)
    except NotFoundError:
        return False
    return True
