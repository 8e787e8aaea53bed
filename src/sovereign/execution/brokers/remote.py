"""The broker of the decision thread when the venue is elsewhere: requests go out by a callable, reports come back by `deliver`.

Nothing here waits and nothing here locks: every method is called by the decision thread. What comes back comes out of
`next_time_ns` and `on_time` at the moment at which it became known, so the engine walks a live session as it walks a backtest.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from decimal import Decimal

from sovereign.core.columns import Trades
from sovereign.core.instrument import Instrument
from sovereign.core.order import Order
from sovereign.core.session import NEVER
from sovereign.execution.broker import BrokerCapabilities
from sovereign.execution.report import ExecutionReport


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitRequest:
    """A new order; `order` is a copy that the decision thread does not touch again."""

    order: Order
    ts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequest:
    """A wish to cancel."""

    client_order_id: str
    ts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceRequest:
    """New terms; `quantity` is the new total, filled part included; a price of None stays as it is."""

    client_order_id: str
    ts: int
    quantity: int
    limit_ticks: int | None
    stop_ticks: int | None


BrokerRequest = SubmitRequest | CancelRequest | ReplaceRequest


@dataclass(slots=True)
class _Tape:
    """How many rows of a tape were walked in this session, and the reports that wait for a row: (row, sequence, report)."""

    walked: int
    waiting: list[tuple[int, int, ExecutionReport]]
    before: int = 0  # rows of the session before the block that was looked at last


class RemoteBroker:
    """Orders go to `send`; reports are handed in by `deliver`.

    Parameters
    ----------
    send : takes every request, in order; must not wait (an outbox).
    capabilities : what the venue holds by itself.
    margins : money one unit ties up, by traded symbol, as the venue charges it now; renewed by `set_margins`.
    """

    def __init__(
        self,
        send: Callable[[BrokerRequest], None],
        capabilities: BrokerCapabilities,
        margins: Mapping[str, Decimal] | None = None,
    ) -> None:
        self._send = send
        self._capabilities = capabilities
        self._margins = dict(margins or {})
        self._due: list[tuple[int, int, ExecutionReport]] = []
        self._tapes: dict[str, _Tape] = {}
        self._sequence = 0
        self._passed = 0
        self._latest = 0
        self.late_reports = 0
        """Reports that came with a time already passed, and were taken at the present one."""

    @property
    def holds_brackets(self) -> bool:
        """Whether stop and target rest at the venue."""
        return self._capabilities.holds_brackets

    @property
    def can_replace(self) -> bool:
        """Whether the venue changes an order in place."""
        return self._capabilities.can_replace

    @property
    def next_time_ns(self) -> int:
        """When the next report is due (UTC ns); one whose row never came is due just after its time."""
        due = self._due[0][0] if self._due else NEVER
        for place in self._tapes.values():
            for _, _, report in place.waiting:
                due = min(due, report.ts + 1)
        return due

    @property
    def is_waiting(self) -> bool:
        """Whether a report was handed in that has not come out: our books lag behind what we were told."""
        return bool(self._due) or any(place.waiting for place in self._tapes.values())

    def deliver(self, report: ExecutionReport, ts: int, *, tape: str = "", row: int = 0, until_ns: int = NEVER) -> int:
        """Hand in a report that became known at `ts`; return the time at which it will come out.

        It never comes out before what was already passed, nor before a report delivered earlier; its `ts` becomes the moment
        at which it became known, so that the audit stream never goes back.

        Parameters
        ----------
        tape, row : where the venue says which row of which tape made it happen (the first row of a session is 1), it comes
            out right at that row, as in a backtest; rows already walked, and no row, leave it to `ts`.
        until_ns : when no row comes any more: it waits for one no longer, whenever it became known (UTC ns).
        """
        known = max(ts, self._passed, self._latest)
        if ts < self._passed:
            self.late_reports += 1
        self._sequence += 1
        place = self._tapes.get(tape)
        if row > 0 and place is not None and row > place.walked:
            known = min(known, until_ns - 1)  # what waits is due just after its time
            place.waiting.append((row, self._sequence, replace(report, ts=known)))
            return known
        self._latest = known
        heapq.heappush(self._due, (known, self._sequence, replace(report, ts=known)))
        return known

    def pass_time(self, ts: int) -> None:
        """Take note that time has passed `ts`: nothing comes out before it any more."""
        self._passed = max(self._passed, ts)

    def set_margins(self, margins: Mapping[str, Decimal]) -> None:
        """Take the margins per unit that the venue charges now."""
        self._margins = dict(margins)

    def start_session(self, instruments: Sequence[Instrument]) -> None:
        """Learn what trades today; rows are counted anew."""
        left = [entry for place in self._tapes.values() for entry in place.waiting]
        self._tapes = {instrument.symbol: _Tape(0, []) for instrument in instruments}
        for _, sequence, report in left:
            heapq.heappush(self._due, (max(report.ts, self._passed), sequence, report))

    def margins(self, last_ticks: Mapping[str, int]) -> dict[str, Decimal]:  # noqa: ARG002 - the port's shape
        """Return what one unit ties up now, by symbol."""
        return dict(self._margins)

    def submit(self, order: Order, ts: int) -> None:
        """Send an order."""
        self.pass_time(ts)
        self._send(SubmitRequest(order=copy(order), ts=ts))

    def cancel(self, client_order_id: str, ts: int) -> None:
        """Ask for a cancel."""
        self.pass_time(ts)
        self._send(CancelRequest(client_order_id=client_order_id, ts=ts))

    def replace(self, client_order_id: str, ts: int, *, quantity: int, limit_ticks: int | None, stop_ticks: int | None) -> None:
        """Ask for new terms."""
        self.pass_time(ts)
        self._send(
            ReplaceRequest(
                client_order_id=client_order_id, ts=ts, quantity=quantity, limit_ticks=limit_ticks, stop_ticks=stop_ticks
            )
        )

    def has_orders(self, tape: str) -> bool:
        """Say whether a report waits for a row of a tape."""
        place = self._tapes.get(tape)
        return place is not None and bool(place.waiting)

    def next_event(self, tape: str, trades: Trades, start: int, stop: int) -> int:  # noqa: ARG002 - the port's shape
        """Return the row for which a report waits, else `stop`."""
        place = self._tapes.get(tape)
        if place is None or not place.waiting:
            return stop
        place.before = place.walked - start
        row = min(entry[0] for entry in place.waiting)
        return min(stop, start + max(0, row - 1 - place.walked))

    def advance(self, tape: str, trades: Trades, start: int, stop: int) -> None:
        """Pass rows at which nothing happens."""
        place = self._tapes.get(tape)
        if place is not None and stop > start:
            place.walked += stop - start
            self.pass_time(int(trades.ts[stop - 1]))

    def take(self, tape: str, trades: Trades, index: int) -> list[ExecutionReport]:
        """Return the reports that the row at `index` made, which `next_event` named; the rows before it are passed with it."""
        place = self._tapes[tape]
        place.walked = place.before + index + 1
        ts = int(trades.ts[index])
        self.pass_time(ts)
        due = [entry for entry in place.waiting if entry[0] <= place.walked]
        place.waiting = [entry for entry in place.waiting if entry[0] > place.walked]
        return [replace(report, ts=ts) for _, _, report in sorted(due, key=lambda entry: entry[1])]

    def on_time(self, ts: int) -> list[ExecutionReport]:
        """Return what became known at or before `ts`."""
        self.pass_time(ts)
        for place in self._tapes.values():
            for _, sequence, report in (entry for entry in place.waiting if entry[2].ts < ts):
                heapq.heappush(self._due, (ts, sequence, replace(report, ts=ts)))
            place.waiting = [entry for entry in place.waiting if entry[2].ts >= ts]
        reports: list[ExecutionReport] = []
        while self._due and self._due[0][0] <= ts:
            reports.append(heapq.heappop(self._due)[2])
        return reports

    def end_tape(self, tape: str, price_ticks: int, ts: int) -> list[ExecutionReport]:  # noqa: ARG002 - the venue settles
        """Return nothing: what becomes of orders on a tape that ended, the venue says."""
        return []

    def end_session(self, tape: str, ts: int) -> list[ExecutionReport]:  # noqa: ARG002 - the venue expires
        """Return nothing: what expires with the session, the venue says."""
        return []
