"""How a venue behaved in a recorded session, and a simulated broker that behaves so.

What is observed of each order: when the venue had it, when it was canceled or changed, when we heard of each report, what
its fills cost, and whether it never arrived. `ObservedBroker` matches orders by the simulated rules on the same ticks, but
with those times and those charges, so that what is then still different is the filling itself.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from statistics import median_low
from typing import Any

from sovereign.core.columns import Trades
from sovereign.core.instrument import Instrument
from sovereign.core.order import Order, OrderEvent
from sovereign.core.session import NEVER
from sovereign.engine.inputs import CorrectionMade, Input, ReportReceived
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.execution.fill_model import FillModel
from sovereign.execution.report import ExecutionReport
from sovereign.research.twin.books import EXACT

_FILLS = (OrderEvent.PARTIAL_FILL, OrderEvent.FILL)
_ARRIVED = (OrderEvent.ACCEPT, *_FILLS)
_REQUESTS = {OrderEvent.SUBMIT: "NEW", OrderEvent.REQUEST_CANCEL: "CANCEL", OrderEvent.REQUEST_UPDATE: "REPLACE"}
_ANSWERS = {OrderEvent.CANCEL: "CANCEL", OrderEvent.UPDATE: "REPLACE"}

Request = tuple[str, str, int]
"""Client order id, what was asked (`NEW`, `CANCEL`, `REPLACE`), and when (UTC ns)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What a recording says of the venue.

    Parameters
    ----------
    acted : when the venue acted on a request. lags : from asking to acting, by kind of request, ns.
    known : when the n-th report of a kind about an order became known here, if that was later than it happened; `waits` are
        by how much, ns.
    lost : orders that never arrived, and when that was found out (None: never).
    order_fees, symbol_fees : fee per unit by order, and those of each symbol, where the venue said one.
    rejected : orders that were rejected, and why. holds_brackets : stop and target rested at the venue.
    """

    acted: Mapping[Request, int] = field(default_factory=dict)
    lags: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    known: Mapping[tuple[str, OrderEvent, int], int] = field(default_factory=dict)
    waits: tuple[int, ...] = ()
    lost: Mapping[str, int | None] = field(default_factory=dict)
    order_fees: Mapping[str, Decimal] = field(default_factory=dict)
    symbol_fees: Mapping[str, frozenset[Decimal]] = field(default_factory=dict)
    rejected: tuple[str, ...] = ()
    holds_brackets: bool = True

    def usual_lag(self, request: str, default: int) -> int:
        """Return the median time from asking to acting, ns; that of new orders when none of the kind was observed."""
        found = self.lags.get(request) or self.lags.get("NEW")
        return median_low(found) if found else default

    def fee_per_unit(self, order: Order) -> Decimal | None:
        """Return what one unit of an order cost, None when the venue never said."""
        known = self.order_fees.get(order.client_order_id)
        if known is not None:
            return known
        usual = self.symbol_fees.get(order.instrument.symbol, frozenset())
        return next(iter(usual)) if len(usual) == 1 else None


def holds_brackets(inputs: Iterable[Input]) -> bool:
    """Say whether stop and target rested at the venue: a fill that brought no children there says that they did not."""
    causes = [item.report.cause for item in inputs if isinstance(item, ReportReceived) and item.report.child is None]
    children = any(isinstance(item, ReportReceived) and item.report.child is not None for item in inputs)
    return children or not any(cause in _FILLS for cause in causes)


def observe(inputs: Sequence[Input], changes: Iterable[Mapping[str, Any]]) -> Observed:
    """Return what the inputs of a session, and its order events in plain form, say of the venue."""
    made_there = {item.report.client_order_id for item in inputs if isinstance(item, ReportReceived) and item.report.child}
    observer = _Observer()
    for event in changes:
        if event["client_order_id"] not in made_there or event["cause"] != OrderEvent.SUBMIT:
            observer.ours(event)
    for item in inputs:
        if isinstance(item, ReportReceived):
            observer.theirs(item.report)
        elif isinstance(item, CorrectionMade) and item.correction.report is not None:
            observer.missed(item.correction.report)
    return observer.observed(holds_brackets(inputs))


class _Observer:
    def __init__(self) -> None:
        self._asked: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._heard: dict[tuple[str, OrderEvent], list[int]] = defaultdict(list)
        self._symbols: dict[str, str] = {}
        self._canceled: dict[str, int] = {}
        self._acted: dict[Request, int] = {}
        self._lags: dict[str, list[int]] = defaultdict(list)
        self._known: dict[tuple[str, OrderEvent, int], int] = {}
        self._waits: list[int] = []
        self._counts: Counter[tuple[str, OrderEvent]] = Counter()
        self._fees: dict[str, Decimal] = {}
        self._rejected: list[str] = []
        self._arrived: set[str] = set()
        self._said: set[tuple[str, OrderEvent, str, int]] = set()

    def ours(self, event: Mapping[str, Any]) -> None:
        """Take what became of an order in our books."""
        cause, name = OrderEvent(event["cause"]), event["client_order_id"]
        self._symbols[name] = event["instrument"]
        if cause in _REQUESTS:
            self._asked[name, _REQUESTS[cause]].append(event["ts"])
        else:
            self._heard[name, cause].append(event["ts"])
        if event["status"] == "CANCELED":
            self._canceled[name] = event["ts"]

    def theirs(self, report: ExecutionReport) -> None:
        """Take what the venue said; what it said twice counts once."""
        name, cause = report.client_order_id, report.cause
        mark = (name, cause, report.trade_id, report.ts)
        if mark in self._said:
            return
        self._said.add(mark)
        if cause is not OrderEvent.CANCEL:
            self._arrived.add(name)  # one that was only ever canceled was never active: lost, or overtaken by its cancel
        if report.child is not None:
            return
        number = self._counts[name, cause]
        self._counts[name, cause] += 1
        times = self._heard[name, cause]
        if number < len(times) and times[number] > report.ts:
            self._known[name, cause, number] = times[number]
            self._waits.append(times[number] - report.ts)
        self._action(report)
        if cause is OrderEvent.REJECT:
            self._rejected.append(f"{name}: {report.reason}")
        self._charge(report)

    def missed(self, report: ExecutionReport) -> None:
        """Take what reconciliation found out: when it happened nobody said, when it became known is sure."""
        name, cause = report.client_order_id, report.cause
        if cause not in _ARRIVED:
            return
        self._arrived.add(name)
        number = self._counts[name, cause]
        self._counts[name, cause] += 1
        times = self._heard[name, cause]
        if number < len(times):
            self._known[name, cause, number] = times[number]
        self._charge(report)

    def _charge(self, report: ExecutionReport) -> None:
        if report.cause in _FILLS and report.fee is not None and report.quantity:
            with localcontext(EXACT):
                self._fees[report.client_order_id] = report.fee / report.quantity

    def _action(self, report: ExecutionReport) -> None:
        """Note when the venue acted on what was asked of it."""
        name = report.client_order_id
        request = "NEW" if report.cause in _ARRIVED else _ANSWERS.get(report.cause)
        if request is None:
            return
        since = max((ts for ts in self._asked.get((name, request), ()) if ts <= report.ts), default=None)
        if since is None or (name, request, since) in self._acted:
            return
        self._acted[name, request, since] = report.ts
        self._lags[request].append(report.ts - since)

    def observed(self, is_held_there: bool) -> Observed:
        """Return what came of it."""
        sent = [name for name, request in self._asked if request == "NEW"]
        by_symbol: dict[str, set[Decimal]] = defaultdict(set)
        for name, fee in self._fees.items():
            by_symbol[self._symbols.get(name, "")].add(fee)
        return Observed(
            acted=self._acted,
            lags={kind: tuple(found) for kind, found in self._lags.items()},
            known=self._known,
            waits=tuple(self._waits),
            lost={name: self._canceled.get(name) for name in sent if name not in self._arrived},
            order_fees=self._fees,
            symbol_fees={symbol: frozenset(found) for symbol, found in by_symbol.items()},
            rejected=tuple(self._rejected),
            holds_brackets=is_held_there,
        )


class ObservedBroker:
    """A simulated broker with the times and charges that were observed.

    Parameters
    ----------
    margins : see `SimulatedBroker`. latency_ns : until the venue acts, where nothing was observed.
    is_timed : use the observed times. is_charged : use the observed fees and margins.
    """

    def __init__(
        self,
        model: FillModel,
        latency_ns: int,
        margins: Mapping[str, Decimal],
        observed: Observed,
        *,
        is_timed: bool,
        is_charged: bool,
    ) -> None:
        self._inner = SimulatedBroker(model, 0, margins, holds_brackets=observed.holds_brackets if is_timed else True)
        self._latency_ns = latency_ns
        self._observed = observed
        self._is_timed = is_timed
        self._is_charged = is_charged
        self._orders: dict[str, Order] = {}
        self._counts: Counter[tuple[str, OrderEvent]] = Counter()
        self._held: list[tuple[int, int, ExecutionReport]] = []
        self._sequence = 0
        self._latest = 0
        self._charged: dict[str, Decimal] = {}

    # What comes from the recording.

    def deliver(
        self,
        report: ExecutionReport,  # noqa: ARG002 - the port's shape
        ts: int,
        *,
        tape: str = "",  # noqa: ARG002
        row: int = 0,  # noqa: ARG002
        until_ns: int = NEVER,  # noqa: ARG002
    ) -> int:
        """Take no report: this broker makes its own."""
        return ts

    def set_margins(self, margins: Mapping[str, Decimal]) -> None:
        """Take the margins that the venue charged from here on."""
        if self._is_charged:
            self._charged = dict(margins)

    # The broker's side.

    @property
    def holds_brackets(self) -> bool:
        """Whether stop and target rest at the venue."""
        return self._inner.holds_brackets

    @property
    def can_replace(self) -> bool:
        """Whether the venue changes a working order in place."""
        return self._inner.can_replace

    @property
    def next_time_ns(self) -> int:
        """When something is due without a tick (UTC ns)."""
        return min(self._inner.next_time_ns, self._held[0][0] if self._held else NEVER)

    def start_session(self, instruments: Sequence[Instrument]) -> None:
        """Learn what trades today."""
        self._inner.start_session(instruments)

    def margins(self, last_ticks: Mapping[str, int]) -> Mapping[str, Decimal]:
        """Return what one unit ties up now, by symbol."""
        return dict(self._charged) if self._charged else self._inner.margins(last_ticks)

    def submit(self, order: Order, ts: int) -> None:
        """Send an order; one that never arrived does not arrive here either."""
        name = order.client_order_id
        self._orders[name] = order
        if self._is_timed and name in self._observed.lost:
            found = self._observed.lost[name]
            if found is not None:
                report = ExecutionReport(cause=OrderEvent.CANCEL, client_order_id=name, ts=found, reason="never arrived")
                self._hold(max(found, ts), [report])  # nothing waits behind it
            return
        self._inner.submit(order, self._when(name, "NEW", ts))

    def cancel(self, client_order_id: str, ts: int) -> None:
        """Ask for a cancel."""
        self._inner.cancel(client_order_id, self._when(client_order_id, "CANCEL", ts))

    def replace(self, client_order_id: str, ts: int, *, quantity: int, limit_ticks: int | None, stop_ticks: int | None) -> None:
        """Ask for new terms."""
        when = self._when(client_order_id, "REPLACE", ts)
        self._inner.replace(client_order_id, when, quantity=quantity, limit_ticks=limit_ticks, stop_ticks=stop_ticks)

    def has_orders(self, tape: str) -> bool:
        """Say whether orders of a tape are live."""
        return self._inner.has_orders(tape)

    def next_event(self, tape: str, trades: Trades, start: int, stop: int) -> int:
        """Return the first row at which something happens, else `stop`."""
        return self._inner.next_event(tape, trades, start, stop)

    def advance(self, tape: str, trades: Trades, start: int, stop: int) -> None:
        """Pass rows at which nothing happens."""
        self._inner.advance(tape, trades, start, stop)

    def take(self, tape: str, trades: Trades, index: int) -> list[ExecutionReport]:
        """Let the row at `index` happen."""
        return self._told(self._inner.take(tape, trades, index))

    def on_time(self, ts: int) -> list[ExecutionReport]:
        """Let due moments happen, and tell what is known now."""
        told = self._due(ts)
        if self._inner.next_time_ns <= ts:
            told += self._told(self._inner.on_time(ts))
        return told

    def end_tape(self, tape: str, price_ticks: int, ts: int) -> list[ExecutionReport]:
        """Settle what is left on a tape that will not come again."""
        return self._told(self._inner.end_tape(tape, price_ticks, ts))

    def end_session(self, tape: str, ts: int) -> list[ExecutionReport]:
        """Tell what is still to be told, and expire what does not outlive the session."""
        return [*self._due(NEVER, ts), *map(self._charge, self._inner.end_session(tape, ts))]

    def _when(self, name: str, request: str, ts: int) -> int:
        if not self._is_timed:
            return ts + self._latency_ns
        seen = self._observed.acted.get((name, request, ts))
        return seen if seen is not None else ts + self._observed.usual_lag(request, self._latency_ns)

    def _charge(self, report: ExecutionReport) -> ExecutionReport:
        if report.child is not None:
            self._orders[report.client_order_id] = report.child
        if report.cause not in _FILLS or not self._is_charged:
            return report
        order = self._orders.get(report.client_order_id)
        per_unit = None if order is None else self._observed.fee_per_unit(order)
        if per_unit is None:
            return report
        with localcontext(EXACT):
            return replace(report, fee=+(per_unit * report.quantity).normalize())

    def _told(self, reports: Iterable[ExecutionReport]) -> list[ExecutionReport]:
        """Return what is known at once; hold what was known later, and what comes behind it."""
        charged = [self._charge(report) for report in reports]
        if not charged or not self._is_timed:
            return charged
        now = charged[0].ts
        due = now
        for report in charged:
            number = self._counts[report.client_order_id, report.cause]
            self._counts[report.client_order_id, report.cause] += 1
            due = max(due, self._observed.known.get((report.client_order_id, report.cause, number), now))
        if self._latest > now:
            due = max(due, self._latest)
        if due <= now:
            return charged
        self._latest = max(self._latest, due)
        self._hold(due, charged)
        return []

    def _hold(self, due: int, reports: Iterable[ExecutionReport]) -> None:
        for report in reports:
            self._sequence += 1
            heapq.heappush(self._held, (due, self._sequence, report))

    def _due(self, until: int, at: int | None = None) -> list[ExecutionReport]:
        told: list[ExecutionReport] = []
        while self._held and self._held[0][0] <= until:
            due, _, report = heapq.heappop(self._held)
            told.append(replace(report, ts=due if at is None else at))
        return told
