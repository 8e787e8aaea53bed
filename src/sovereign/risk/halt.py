"""Halts: what stops trading, how long it lasts, and who ended it.

A halt latches: once in force it stays, whatever the numbers do, until its end comes or a person clears it by name. The state in
force is that of the gravest halt; each event says it, so that the last word told is always the truth.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sovereign.core.errors import UsageError, suggestion
from sovereign.core.event import Event, TradingState, TradingStateChanged
from sovereign.core.session import NEVER

GRAVITY = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}
RESUMED = "resumed"
ENDED = "ended"


class Cause(StrEnum):
    """What the door itself halts for. A person may give any other word."""

    DAILY_LOSS = "daily_loss_limit"
    DAILY_PROFIT = "daily_profit_target"
    DRAWDOWN = "drawdown"
    DRAWDOWN_ROOM = "drawdown_room"
    MARGIN = "margin"
    UNKNOWN_EQUITY = "unknown_equity"
    LOSS_STREAK = "loss_streak"
    TRADE_COUNT = "trade_count"
    ORDER_RATE = "order_rate"
    REJECTS = "rejects"
    STALE_DATA = "stale_data"
    CLOCK_SKEW = "clock_skew"
    KILL = "kill"


OF_THE_DAY = frozenset(
    {
        Cause.DAILY_LOSS,
        Cause.DAILY_PROFIT,
        Cause.MARGIN,
        Cause.UNKNOWN_EQUITY,
        Cause.LOSS_STREAK,
        Cause.TRADE_COUNT,
        Cause.STALE_DATA,
        Cause.CLOCK_SKEW,
    }
)
"""Causes that end with the trade date. Every other stays until a person clears it."""

FIXED = frozenset({Cause.DAILY_LOSS, Cause.DAILY_PROFIT, Cause.TRADE_COUNT})
"""Limits of the day, which nobody ends before the day does."""

BY_NAME = frozenset({Cause.KILL})
"""Causes that a person must name to clear."""


@dataclass(frozen=True, slots=True)
class Halt:
    """A halt in force: the state it asks for, what caused it, the numbers, and the person who ordered it, if one did.

    `ts` is when it began, `until_ns` when it ends by itself (None: with the day or by a person, see `OF_THE_DAY`).
    """

    state: TradingState
    cause: str
    reason: str
    by: str = ""
    ts: int = 0
    until_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Clearance:
    """Who cleared a halt, when (UTC ns) and why."""

    cause: str
    by: str
    reason: str
    ts: int


class Latch:
    """The halts in force in the order in which they came, and the clearances of this trade date."""

    def __init__(self, halts: Iterable[Halt] = (), clearances: Iterable[Clearance] = (), untold: Iterable[str] = ()) -> None:
        self._halts = {halt.cause: halt for halt in halts}
        self._untold = list(untold)
        self.clearances = tuple(clearances)
        self._settle()

    def _settle(self) -> None:
        # what is asked at every judgement is worked out at every change
        self.halts = tuple(self._halts.values())
        self.state = max((halt.state for halt in self.halts), key=GRAVITY.__getitem__, default=TradingState.ACTIVE)
        self.is_halted = self.state is TradingState.HALTED
        self.due_ns = min((halt.until_ns for halt in self.halts if halt.until_ns is not None), default=NEVER)
        if self._untold:
            self.due_ns = min(self.due_ns, *(self._halts[cause].ts for cause in self._untold))

    def __contains__(self, cause: object) -> bool:
        return cause in self._halts

    def __iter__(self) -> Iterator[str]:
        return iter(self._halts)

    def __len__(self) -> int:
        return len(self._halts)

    def latch(self, ts: int, halts: Iterable[Halt]) -> list[Event]:
        """Put halts in force, the gravest last; one that is in force already is not said again, but may become graver."""
        events: list[Event] = []
        for halt in sorted(halts, key=lambda halt: GRAVITY[halt.state]):
            present = self._halts.get(halt.cause)
            if present is not None and GRAVITY[present.state] >= GRAVITY[halt.state]:
                continue
            self._halts[halt.cause] = halt
            self._settle()
            events.append(TradingStateChanged(ts=ts, state=self.state, cause=halt.cause, reason=halt.reason, by=halt.by))
        return events

    def latch_untold(self, halt: Halt) -> None:
        """Put a halt in force now, to be said by the next `tell`."""
        if self.latch(halt.ts, [halt]):
            self._untold.append(halt.cause)
            self._settle()

    def tell(self, ts: int) -> list[Event]:
        """Say what was latched in silence."""
        untold = [self._halts[cause] for cause in self._untold]
        if not untold:
            return []
        self._untold.clear()
        self._settle()
        return [TradingStateChanged(ts=ts, state=self.state, cause=h.cause, reason=h.reason, by=h.by) for h in untold]

    def order(self, state: TradingState, cause: str, by: str, reason: str, ts: int) -> list[Event]:
        """Put a person's halt in force.

        Raises
        ------
        UsageError : no cause or nobody's name is given, or the cause is one of the door's own (`kill` apart).
        """
        cause, by = cause.strip(), _name(by)
        if not cause:
            raise UsageError("cause was empty; name what the halt is for, for example 'operator'")
        if cause in set(Cause) - BY_NAME:
            raise UsageError(f"cause was '{cause}', which only the door itself may give; use another word, such as 'operator'")
        return self.latch(ts, [Halt(state, cause, reason, by, ts)])

    def said(self, ts: int) -> list[Event]:
        """Say everything in force again, the gravest last."""
        if not self._halts:
            return []
        self._untold.clear()
        self._settle()
        return Latch().latch(ts, self.halts)

    def start_day(self) -> None:
        """Drop the halts of the day before."""
        self.clearances = ()
        if not self._halts:
            return
        self._halts = {cause: halt for cause, halt in self._halts.items() if cause not in OF_THE_DAY}
        self._untold = [cause for cause in self._untold if cause in self._halts]
        self._settle()

    def end(self, ts: int, over: Mapping[str, str]) -> list[Event]:
        """End the halts whose time has come and those of `over` (cause: why it is over)."""
        if not over and ts < self.due_ns:
            return []
        gone = {cause: why for cause, why in over.items() if cause in self._halts}
        for halt in self.halts:
            if halt.until_ns is not None and halt.until_ns <= ts:
                gone[halt.cause] = f"{halt.cause} has lasted its time"
        for cause in gone:
            self._drop(cause)
        self._settle()
        return [self._changed(ts, ENDED, "; ".join(gone.values()))] if gone else []

    def resume(self, by: str, reason: str, ts: int, causes: Collection[str]) -> tuple[list[str], list[Event]]:
        """Clear halts in a person's name; return the causes cleared and what to say. See `OneDoor.resume`."""
        by = _name(by)
        for cause in causes:
            if cause not in self._halts:
                in_force = ", ".join(self._halts) or "none"
                raise UsageError(f"cause was '{cause}'; in force is {in_force}{suggestion(cause, self._halts)}")
            if cause in FIXED:
                raise UsageError(f"cause was '{cause}', which ends with the trade date; wait for the next session")
        cleared = list(causes) or [cause for cause in self._halts if cause not in FIXED and cause not in BY_NAME]
        if not cleared:
            raise UsageError(self._why_nothing())
        for cause in cleared:
            self._drop(cause)
        self.clearances += tuple(Clearance(cause, by, reason, ts) for cause in cleared)
        self._settle()
        words = f"{', '.join(cleared)} cleared by {by}" + (f": {reason}" if reason else "")
        return cleared, [self._changed(ts, RESUMED, words, by)]

    def _drop(self, cause: str) -> None:
        del self._halts[cause]
        if cause in self._untold:
            self._untold.remove(cause)

    def _why_nothing(self) -> str:
        if not self._halts:
            return "no halt of the risk door is in force; there is nothing to resume"
        if named := [cause for cause in self._halts if cause in BY_NAME]:
            return f"in force is {', '.join(self._halts)}; '{named[0]}' is cleared only when it is named"
        return f"in force is {', '.join(self._halts)}, which ends with the trade date; wait for the next session"

    def _changed(self, ts: int, cause: str, reason: str, by: str = "") -> TradingStateChanged:
        if self.halts:
            reason += f"; still in force: {', '.join(self._halts)}"
        return TradingStateChanged(ts=ts, state=self.state, cause=cause, reason=reason, by=by)

    def plain(self) -> dict[str, Any]:
        """Return everything as JSON-ready values."""
        return {
            "halts": [
                {
                    "state": halt.state.value,
                    "cause": str(halt.cause),
                    "reason": halt.reason,
                    "by": halt.by,
                    "ts": halt.ts,
                    "until_ns": halt.until_ns,
                }
                for halt in self.halts
            ],
            "clearances": [
                {"cause": str(item.cause), "by": item.by, "reason": item.reason, "ts": item.ts} for item in self.clearances
            ],
            "untold": list(map(str, self._untold)),
        }

    @staticmethod
    def of_plain(state: Mapping[str, Any]) -> Latch:
        """Make the latch that `plain` described; damage raises KeyError, TypeError or ValueError."""
        halts = [
            Halt(
                TradingState(halt["state"]),
                str(halt["cause"]),
                str(halt["reason"]),
                str(halt["by"]),
                int(halt["ts"]),
                None if halt["until_ns"] is None else int(halt["until_ns"]),
            )
            for halt in state["halts"]
        ]
        clearances = [Clearance(c["cause"], c["by"], c["reason"], int(c["ts"])) for c in state["clearances"]]
        untold = [str(cause) for cause in state["untold"]]
        if not {*untold} <= {halt.cause for halt in halts}:
            raise ValueError(f"untold halts {untold} are not in force")
        return Latch(halts, clearances, untold)


def _name(by: str) -> str:
    by = by.strip()
    if not by:
        raise UsageError("by was empty; halts and clearances name the person or part that ordered them")
    return by
