"""Breakers: what stops trading although no single order is at fault.

A streak of losses, a strategy that proposes without end, a venue that refuses everything, a position whose market has gone
silent, a feed and a clock that disagree. Each trips on what is not known. A condition that can hover at its limit is over only
below `recover_frac` of it. The halts themselves are latched by the door, see `risk.halt`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sovereign.core.decision import Check, money
from sovereign.core.event import Event, Notice, NoticeCode, Severity, TradingState
from sovereign.core.instrument import AssetClass
from sovereign.core.order import OrderEvent
from sovereign.core.port import AccountView
from sovereign.core.position import Position
from sovereign.core.session import NEVER, NS_PER_MINUTE, NS_PER_SECOND, Session
from sovereign.risk.case import Case
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.halt import Cause, Halt
from sovereign.risk.number import NAN, is_known

_TAKEN = frozenset({OrderEvent.ACCEPT, OrderEvent.TRIGGER, OrderEvent.PARTIAL_FILL, OrderEvent.FILL})
_FOREVER_NS = 2**63 - 1  # how old data are that were never heard
# Looked up once: Python 3.11 takes long to find the members of an enumeration.
_REJECT, _CLOCK_SKEW, _STALE_DATA = OrderEvent.REJECT, Cause.CLOCK_SKEW, Cause.STALE_DATA
_LOOK_AGAIN_NS = NS_PER_SECOND  # how soon a condition that ends by itself is looked at again


@dataclass(slots=True)
class Findings:
    """What a look at the account found: halts to latch, causes that are over (with why), and notices."""

    halts: list[Halt] = field(default_factory=list)
    over: dict[str, str] = field(default_factory=dict)
    notices: list[Event] = field(default_factory=list)
    due_ns: int = NEVER


class Breakers:
    """Counts what the breakers need; everything it remembers is in `plain`."""

    def __init__(self, config: RiskConfig) -> None:
        self._config = config.breakers
        self._max_skew_ns = config.max_clock_skew_s * NS_PER_SECOND
        self._is_regular = config.hours == "regular"
        self.losses = 0
        self.trades = 0
        self.rejects = 0
        self.now_ns = 0
        self._proposed: deque[int] = deque()
        self._silent_since: dict[str, int] = {}  # by tape: when the platform first said that its data is out of order
        self._silent = ""  # what the alarm that is out is about

    def start_session(self) -> None:
        """Begin a trade date: streaks and counts start again."""
        self.losses = self.trades = self.rejects = 0

    def now(self, ts: int) -> int:
        """Return the time, or the last one known when it is not."""
        if is_known(ts) and ts > self.now_ns:
            self.now_ns = int(ts)
        return self.now_ns

    # Orders

    def propose(self, ts: int) -> Halt | None:
        """Count an entry that came to the door; return a halt when there are too many in a minute."""
        if self._config.max_proposals_per_minute is None:
            return None
        self._proposed.append(self.now(ts))
        return self._runaway()

    def propose_all(self, times: Sequence[int]) -> bool:
        """Count entries at these times, in order; False, and none is counted, when they may be too many in a minute."""
        most = self._config.max_proposals_per_minute
        if most is None or not times:
            return True
        if len(self._proposed) + len(times) > most:
            return False
        self._proposed.extend(self.now(ts) for ts in times)
        self._runaway()
        return True

    def _runaway(self) -> Halt | None:
        most, proposed = self._config.max_proposals_per_minute, self._proposed
        while proposed and self.now_ns - proposed[0] >= NS_PER_MINUTE:
            proposed.popleft()
        if most is None or len(proposed) <= most:
            return None
        reason = f"{len(proposed)} orders were proposed within 60 s, allowed are {most}: the strategy runs away"
        return Halt(TradingState.HALTED, Cause.ORDER_RATE, reason, ts=self.now_ns)

    def on_answer(self, cause: OrderEvent, ts: int) -> Halt | None:
        """Take note of the venue's answer to an order; return a halt when it refuses one after the other."""
        if cause in _TAKEN:
            self.rejects = 0
            return None
        if cause is _REJECT:
            self.rejects += 1
            self.now(ts)
        return self._refused()

    def _refused(self) -> Halt | None:
        most = self._config.max_rejects_in_a_row
        if not self.rejects or most is None or self.rejects < most:
            return None
        reason = f"the venue rejected {self.rejects} orders in a row, allowed are fewer than {most}"
        return Halt(TradingState.HALTED, Cause.REJECTS, reason, ts=self.now_ns)

    # Trades

    def on_trade(self, net: Decimal | None, ts: int) -> Iterable[Halt]:
        """Count a closed trade; an unknown result counts as a loss, and halts."""
        config, now = self._config, self.now(ts)
        self.trades += 1
        if net is None:
            yield Halt(TradingState.HALTED, Cause.UNKNOWN_EQUITY, "a trade closed with an unknown result", ts=now)
        if net is None or net < 0:
            self.losses += 1
        elif net > 0:
            self.losses = 0
        if config.max_losses_in_a_row is not None and self.losses >= config.max_losses_in_a_row:
            minutes = config.loss_pause_minutes
            reason = f"{self.losses} trades in a row were lost; no entry " + (
                "until the next session" if minutes is None else f"for {minutes} min"
            )
            until = None if minutes is None else now + minutes * NS_PER_MINUTE
            self.losses = 0  # after the pause it takes a whole streak again
            yield Halt(TradingState.REDUCING, Cause.LOSS_STREAK, reason, ts=now, until_ns=until)
        if config.max_trades_per_session is not None and self.trades >= config.max_trades_per_session:
            reason = f"{self.trades} trades were closed, allowed in a session are {config.max_trades_per_session}"
            yield Halt(TradingState.REDUCING, Cause.TRADE_COUNT, reason, ts=now)

    def check_trade_count(self, case: Case) -> Check:
        """Refuse when trades, positions and working entries make up the session's number."""
        limit, working = self._config.max_trades_per_session, case.view.working_entries
        if limit is None or not is_known(working):
            return Check("trade_count", NAN, NAN, "trades", False, "the working entries were unknown")
        count = self.trades + len(case.positions) + working + 1
        note = ("with this one there would be {} trades in this session, allowed are {}", count, limit)
        return Check("trade_count", float(count), float(limit), "trades", count <= limit, note)

    # Data and clock

    @property
    def is_at_rest(self) -> bool:
        """Whether a look at an account that holds nothing finds and changes nothing, data and clock being in order."""
        return not self._silent and not self._silent_since and self._runaway() is None and self._refused() is None

    def watch(self, view: AccountView, positions: Mapping[str, Position], in_force: Collection[str]) -> Findings:
        """Look at the account: what still holds, what is new and what is over.

        Parameters
        ----------
        positions : those that are not flat. in_force : the causes that are latched.
        """
        found = Findings()
        found.halts += [halt for halt in (self._runaway(), self._refused()) if halt is not None]
        self._watch_clock(view, in_force, found)
        self._watch_data(view, positions, in_force, found)
        return found

    def _watch_clock(self, view: AccountView, in_force: Collection[str], found: Findings) -> None:
        ts, data, is_tripped = view.ts, view.data_ns, _CLOCK_SKEW in in_force
        if not is_known(ts) or (data is not None and not is_known(data)):
            reason = "the time of the account or of the market data was unknown"
            found.halts.append(Halt(TradingState.REDUCING, Cause.CLOCK_SKEW, reason, ts=self.now_ns))
        elif data is None:
            pass
        elif data - ts > self._max_skew_ns:
            reason = (
                f"market data was {(data - ts) / NS_PER_SECOND:.3f} s ahead of the clock, "
                f"allowed are {self._max_skew_ns / NS_PER_SECOND:g} s"
            )
            found.halts.append(Halt(TradingState.REDUCING, Cause.CLOCK_SKEW, reason, ts=self.now_ns))
        elif is_tripped and data - ts <= self._max_skew_ns * self._config.recover_frac:
            found.over[Cause.CLOCK_SKEW] = "feed and clock agree again"
            return
        if is_tripped or found.halts:
            found.due_ns = min(found.due_ns, self.now_ns + _LOOK_AGAIN_NS)

    def _watch_data(
        self, view: AccountView, positions: Mapping[str, Position], in_force: Collection[str], found: Findings
    ) -> None:
        limit_s, now = self._config.stale_position_s, self.now_ns
        if limit_s is None or not positions or view.session is None or not self._is_expected(view.session, now, positions):
            self._silent_since.clear()
            self._restored(found, "nothing is open" if not positions else "the market is closed")
            return
        limit = int(limit_s * NS_PER_SECOND)
        heard = _heard(view.session, now, view.data_ns, is_regular=self._is_by_day(positions))
        # whole nanoseconds throughout: a float rounds a time to 256 ns, and a due time in the past is asked for again for ever
        age, subject = _FOREVER_NS if heard is None else now - heard, "account"
        tapes = sorted({position.tape for position in positions.values()})
        troubles = view.unhealthy or {}
        self._silent_since = {t: self._silent_since.get(t, now) for t in tapes if f"data:{t}" in troubles}
        for tape, since in self._silent_since.items():
            if now - since > age:
                age, subject = now - since, tape
        is_tripped = _STALE_DATA in in_force or bool(self._silent)
        if age <= limit * (self._config.recover_frac if is_tripped else 1.0):
            self._restored(found, f"market data is {age / NS_PER_SECOND:.1f} s old")
            found.due_ns = min(found.due_ns, now - age + limit + 1)
            return
        found.due_ns = min(found.due_ns, now + _LOOK_AGAIN_NS)
        held = ", ".join(f"{position.quantity} {symbol}" for symbol, position in positions.items())
        silent = "known" if age == _FOREVER_NS else f"for {age / NS_PER_SECOND:.0f} s"
        text = f"no market data {silent}, allowed are {limit_s:g} s, while {held} was open"
        if self._config.stale_position_action == "flatten":
            found.halts.append(Halt(TradingState.HALTED, Cause.STALE_DATA, text, ts=now))
        elif not self._silent:
            self._silent = subject
            found.notices.append(
                Notice(ts=now, code=NoticeCode.DATA_STALE, severity=Severity.ALARM, subject=subject, text=text)
            )

    def _is_expected(self, session: Session, now: int, positions: Mapping[str, Position]) -> bool:
        return session.is_regular(now) if self._is_by_day(positions) else session.is_open(now)

    def _is_by_day(self, positions: Mapping[str, Position]) -> bool:
        # Shares that are traded in the day session may be silent in the evening; futures trade through the night.
        return self._is_regular and all(p.instrument.asset_class is not AssetClass.FUTURE for p in positions.values())

    def _restored(self, found: Findings, why: str) -> None:
        if self._silent:
            found.notices.append(
                Notice(
                    ts=self.now_ns,
                    code=NoticeCode.DATA_RESTORED,
                    severity=Severity.INFO,
                    subject=self._silent,
                    text=f"the alarm about silent market data is over: {why}",
                )
            )
            self._silent = ""

    # A person, and a restart

    def cleared(self, causes: Collection[str]) -> None:
        """Forget what a person has answered for."""
        if Cause.REJECTS in causes:
            self.rejects = 0

    def plain(self) -> dict[str, Any]:
        """Return everything remembered as JSON-ready values."""
        return {
            "losses": self.losses,
            "trades": self.trades,
            "rejects": self.rejects,
            "now_ns": self.now_ns,
            "proposed": list(self._proposed),
            "silent_since": dict(self._silent_since),
            "silent": self._silent,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `plain` returned; damage raises KeyError, TypeError or ValueError and changes nothing."""
        counts = [int(state[name]) for name in ("losses", "trades", "rejects", "now_ns")]
        proposed = deque(map(int, state["proposed"]))
        silent_since = {str(tape): int(since) for tape, since in state["silent_since"].items()}
        self._silent = str(state["silent"])
        self.losses, self.trades, self.rejects, self.now_ns = counts
        self._proposed, self._silent_since = proposed, silent_since


def _heard(session: Session, now: int, data_ns: int | None, *, is_regular: bool) -> int | None:
    # since when the market could have been heard: the last data, the open or the end of the last break; None when unknown
    if data_ns is not None and not is_known(data_ns):
        return None
    resumed = [end for _, end in session.breaks if end <= now]
    opened = session.regular_open_ns if is_regular else session.open_ns
    return max([opened, *resumed] if data_ns is None else [int(data_ns), opened, *resumed])


def room_halt(case: Case, now: int) -> Halt | None:
    """Return a halt when an account that holds nothing can never trade this size of stop again, or None.

    So it is when one unit, which the balance could bear (`max_risk_frac`), would take equity to its drawdown limit: no new day
    gives that room back.
    """
    size, level, equity = case.size, case.limits.drawdown_level, case.equity
    if case.positions or case.committed or case.view.working_entries != 0:
        return None
    if size.stop_loss is None or size.risk_limit is None or level is None or equity is None:
        return None
    room = equity - level
    if size.stop_loss > size.risk_limit or size.stop_loss <= room:
        return None
    reason = (
        f"one {case.traded} would lose {money(size.stop_loss)} at its stop; equity of {money(equity)} is {money(room)} above "
        f"the drawdown limit of {money(level)}, and no new day gives that back"
    )
    return Halt(TradingState.HALTED, Cause.DRAWDOWN_ROOM, reason, ts=now)
