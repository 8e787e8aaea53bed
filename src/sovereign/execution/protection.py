"""Watch that every position that is meant to have a stop has one working, and say so, or act, when it has not for too long.

The engine calls `check` after every batch of reports and when `next_ns` comes; times are handed in, so a replay says the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sovereign.core.event import Notice, NoticeCode, Severity
from sovereign.core.order import Order, OrderRole, OrderStatus, OrderType, Side, TimeInForce
from sovereign.core.session import NEVER, NS_PER_SECOND

if TYPE_CHECKING:
    from sovereign.execution.executor import Executor


_PROTECTIVE = (OrderRole.STOP, OrderRole.EXIT, OrderRole.FLATTEN)


class UnprotectedAction(StrEnum):
    """What to do about a position without a stop, besides the alarm."""

    ALARM = "alarm"
    PROTECT = "protect"
    FLATTEN = "flatten"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionVerdict:
    """What a check found: `notices` to emit, stops to `submit` and to `cancel`, and symbols to `flatten`, in this order."""

    notices: tuple[Notice, ...] = ()
    submit: tuple[Order, ...] = ()
    cancel: tuple[Order, ...] = ()
    flatten: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class _Doubt:
    """A position that has lacked stops since a moment."""

    since_ns: int
    acted_ns: int | None = None


class ProtectionWatch:
    """Measures how long the working stops of a position have been smaller than the position.

    A position is meant to have a stop as far as entries with a bracket opened it. A stop counts from the venue's first word on
    it until the venue says that it is gone; an exit at the market that the venue has taken counts like a stop.

    Parameters
    ----------
    alarm_ns : how long that may last (market time).
    action : what to do then, besides the alarm; when it has not helped as long again after, the position is flattened.
    """

    def __init__(self, executor: Executor, alarm_ns: int, action: UnprotectedAction) -> None:
        self._executor = executor
        self._alarm_ns = alarm_ns
        self._action = action
        self._doubts: dict[str, _Doubt] = {}
        self._sent: dict[str, Order] = {}  # stops of our own making that may still work
        self._number = 0

    @property
    def next_ns(self) -> int:
        """When `check` must be called next though nothing was reported; `NEVER` if nothing is open to doubt."""
        acts = self._action is not UnprotectedAction.ALARM
        due = [
            doubt.since_ns if doubt.acted_ns is None else doubt.acted_ns
            for doubt in self._doubts.values()
            if acts or doubt.acted_ns is None
        ]
        return min(due, default=NEVER - self._alarm_ns) + self._alarm_ns

    def check(self, now: int) -> ProtectionVerdict:
        """Look at every position now; call it after every batch of reports, and at `next_ns`."""
        positions = self._executor.account.positions
        if not (positions or self._doubts or self._sent):
            return ProtectionVerdict()
        notices: list[Notice] = []
        submit: list[Order] = []
        flatten: list[str] = []
        for symbol in sorted({*positions, *self._doubts}):
            missing = self._missing(symbol)
            doubt = self._doubts.get(symbol)
            if missing <= 0:
                if self._doubts.pop(symbol, None) is not None and doubt is not None and doubt.acted_ns is not None:
                    seconds = (now - doubt.since_ns) / NS_PER_SECOND
                    notices.append(self._notice(now, symbol, 0, f"protected again after {seconds:.3f} s", is_over=True))
                continue
            if doubt is None:
                doubt = self._doubts[symbol] = _Doubt(now)
            last = doubt.since_ns if doubt.acted_ns is None else doubt.acted_ns
            if now - last < self._alarm_ns:
                continue
            is_first, doubt.acted_ns = doubt.acted_ns is None, now
            if is_first:
                seconds = (now - doubt.since_ns) / NS_PER_SECOND
                notices.append(self._notice(now, symbol, missing, f"{missing} without a working stop for {seconds:.3f} s"))
            if is_first and self._action is UnprotectedAction.PROTECT:
                submit.extend(self._stop(symbol, missing, now))
            elif self._action is not UnprotectedAction.ALARM:
                flatten.append(symbol)
        return ProtectionVerdict(
            notices=tuple(notices), submit=tuple(submit), cancel=tuple(self._superfluous()), flatten=tuple(flatten)
        )

    def _missing(self, symbol: str) -> int:
        """Return how many units are meant to have a stop and have none working."""
        position = self._executor.account.positions.get(symbol)
        meant = self._executor.bracketed(symbol)
        if position is None or meant is None:
            return 0
        return min(abs(position.quantity), meant[1]) - self._working(symbol, position.quantity)

    def _working(self, symbol: str, quantity: int) -> int:
        total = 0
        for order in self._executor.working():
            closes = order.instrument.symbol == symbol and order.side.sign * quantity < 0
            if closes and order.role in _PROTECTIVE and self._executor.is_heard(order):
                total += order.quantity - order.filled_qty
        return total

    def _stop(self, symbol: str, missing: int, now: int) -> list[Order]:
        """Return a stop for what lacks one, as far from the average entry as the bracket said."""
        position = self._executor.account.positions.get(symbol)
        meant = self._executor.bracketed(symbol)
        if position is None or meant is None or meant[0].bracket is None:
            return []
        entry, sign = meant[0], 1 if position.quantity > 0 else -1
        held = abs(position.quantity)
        average = (2 * sign * position.cost_ticks + held) // (2 * held)
        name, self._number = entry.client_order_id, self._number + 1
        while self._executor.find(f"{name}-P{self._number}") is not None:
            self._number += 1
        stop = average - sign * meant[0].bracket.stop_ticks
        order = Order(
            client_order_id=f"{name}-P{self._number}",
            instrument=position.instrument,
            tape=position.tape,
            side=Side.SELL if sign > 0 else Side.BUY,
            order_type=OrderType.STOP,
            quantity=missing,
            submitted_ns=now,
            active_ns=now,
            role=OrderRole.STOP,
            stop_ticks=stop,
            time_in_force=TimeInForce.GTC,
            reduce_only=True,
            parent_id=name,
            decision_id=entry.decision_id,
            arrival_ticks=stop,
        )
        self._sent[order.client_order_id] = order
        return [order]

    def _superfluous(self) -> list[Order]:
        """Return stops of our own making that protect more than there is, newest first; forget those that are closed."""
        self._sent = {name: order for name, order in self._sent.items() if not order.status.is_closed}
        found = []
        for order in reversed(list(self._sent.values())):
            if order.status in (OrderStatus.INITIALIZED, OrderStatus.PENDING_CANCEL):
                continue
            position = self._executor.account.positions.get(order.instrument.symbol)
            held = 0 if position is None or position.quantity * order.side.sign > 0 else abs(position.quantity)
            working = self._working(order.instrument.symbol, -order.side.sign)
            if not held or working - (order.quantity - order.filled_qty) >= held:
                found.append(order)
                break  # one at a time: the next look sees this one going
        return found

    @staticmethod
    def _notice(now: int, symbol: str, missing: int, text: str, *, is_over: bool = False) -> Notice:
        return Notice(
            ts=now,
            code=NoticeCode.PROTECTED if is_over else NoticeCode.UNPROTECTED,
            severity=Severity.INFO if is_over else Severity.ALARM,
            subject=symbol,
            text=f"{symbol}: {text}",
            values={"missing": missing},
        )
