"""The dead-man guard: a process of its own, with credentials of its own, that asks the venue and not the trading process.

It looks every few seconds. After the flatten time of the session plus a grace (early closes included) the account must be flat;
while a position is open the heartbeat must be fresh. Otherwise it cancels, flattens, asks the venue again, and says so; and
latches the account, because whatever failed must be looked at before it trades again. Memory and disk are only reported.

`judge` holds the rules and does nothing else; `Guard.step` acts.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sovereign.app.ops.account import AccountAccess, Flattened, Holding, flatten_account, holding_of
from sovereign.app.ops.configuration import GuardConfig, KillConfig
from sovereign.app.ops.heartbeat import Beat, read_beats
from sovereign.core.errors import BrokerError, NotFoundError
from sovereign.core.event import Notice, NoticeCode, Severity
from sovereign.core.instrument import find_instrument
from sovereign.core.session import NS_PER_MINUTE, NS_PER_SECOND, Session, from_ns
from sovereign.feeds.calendar import calendar_for

_logger = logging.getLogger("sovereign.guard")

_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong: `key` names the trouble, so that it is not said at every look; `must_flatten`: words are not enough."""

    key: str
    code: NoticeCode
    severity: Severity
    text: str
    must_flatten: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """When an account may hold something: from the start of its hours to the flatten time (the risk door's own rule).

    Without a flatten time positions are held overnight, and no bell is a reason to close them.
    """

    is_regular_only: bool
    flatten_before_close_minutes: int | None

    def window(self, session: Session) -> tuple[int, int]:
        """Return start and flatten time of a session, UTC ns; without a flatten time, the whole session."""
        if self.flatten_before_close_minutes is None:
            return session.open_ns, session.close_ns
        start = session.regular_open_ns if self.is_regular_only else session.open_ns
        close = session.regular_close_ns if self.is_regular_only else session.close_ns
        return start, close - self.flatten_before_close_minutes * NS_PER_MINUTE


def session_at(symbol: str, ts: int) -> Session | None:
    """Return the session of a symbol's market at a moment, None when it is closed or nobody knows the symbol."""
    try:
        return calendar_for(find_instrument(symbol).calendar).session_of(ts)
    except NotFoundError:
        return None


def _late(holding: Holding, config: GuardConfig, hours: Hours) -> list[str]:
    """Return, by symbol, why something is open that may not be."""
    grace = round(config.grace_s * NS_PER_SECOND)
    said = []
    for symbol, quantity in sorted(holding.positions.items()):
        present = session_at(symbol, holding.now_ns)
        if present is None:
            said.append(f"{quantity:+d} {symbol} is open while its market is closed")
            continue
        start, end = hours.window(present)
        if holding.now_ns < start:
            said.append(f"{quantity:+d} {symbol} is open before the hours begin ({_clock(start, present)})")
        elif holding.now_ns >= end + grace:
            said.append(f"{quantity:+d} {symbol} is open after the flatten time {_clock(end, present)}")
    return said


def _clock(ts: int, session: Session) -> str:
    half = ", early close" if session.is_early_close else ""
    return f"{from_ns(ts, session.zone):%H:%M} {session.zone}{half}"


def judge(
    holding: Holding,
    age_s: float | None,
    config: GuardConfig,
    hours: Hours,
) -> list[Finding]:
    """Return what is wrong with an account: the venue's word against the clock and the sign of life.

    Parameters
    ----------
    holding : what the venue says; its time decides about the bell.
    age_s : how old the last sign of life is; None when no process claims to trade the account (it ended in good order, or none
        was ever started), which is said but is no reason to close what a person may have left open on purpose.
    """
    found: list[Finding] = []
    has_bell = config.flat_at_bell and hours.flatten_before_close_minutes is not None
    if has_bell and (late := _late(holding, config, hours)):
        found.append(
            Finding(key="bell", code=NoticeCode.GUARD, severity=Severity.CRITICAL, text="; ".join(late), must_flatten=True)
        )
    if not holding.positions or (age_s is not None and age_s <= config.stale_s):
        return found
    is_too_old = age_s is not None and config.stale_flatten_s is not None and age_s > config.stale_flatten_s
    found.append(
        Finding(
            key="dead" if is_too_old else "stale",
            code=NoticeCode.HEARTBEAT_STALE,
            severity=Severity.CRITICAL if is_too_old else Severity.ALARM,
            text=f"{'no process trades' if age_s is None else f'the heartbeat is {age_s:.0f} s old'}, while {holding.text}",
            must_flatten=is_too_old,
        )
    )
    return found


def judge_resources(beat: Beat | None, free_mb: float, config: GuardConfig) -> list[Finding]:
    """Return warnings about memory of the trading process and about the disk."""
    found = []
    if beat is not None and beat.memory_mb > config.memory_mb:
        text = f"the trading process holds {beat.memory_mb:.0f} MiB of memory; more than {config.memory_mb:.0f} is unusual"
        found.append(Finding(key="memory", code=NoticeCode.RESOURCE_LOW, severity=Severity.WARNING, text=text))
    if free_mb < config.disk_free_mb:
        text = f"the disk has {free_mb:.0f} MiB free; recordings need room, and {config.disk_free_mb:.0f} is the least"
        found.append(Finding(key="disk", code=NoticeCode.RESOURCE_LOW, severity=Severity.ALARM, text=text))
    return found


class Guard:
    """Watches one account.

    Parameters
    ----------
    access : the account, reached with the guard's own token.
    heartbeat_file : that of the settings; every trading process has one of its own beside it (`heartbeat.beat_file`).
    is_ours : says whether a beat is of a process that trades this account. Of several the newest speaks: one process at a time
        trades an account, and the last one to come has taken over what the others left.
    wall_ns : the system clock, UTC ns.
    sink : takes what is to be said. latch : keeps the account from trading again, given the reason; may fail with `failures`.
    """

    def __init__(
        self,
        access: AccountAccess,
        config: GuardConfig,
        kill: KillConfig,
        hours: Hours,
        heartbeat_file: Path,
        *,
        wall_ns: Callable[[], int],
        sink: Callable[[Notice], None],
        latch: Callable[[str], None] | None = None,
        failures: tuple[type[Exception], ...] = (),
        is_ours: Callable[[Beat], bool] = lambda _: True,
    ) -> None:
        self.access = access
        self._is_ours = is_ours
        self.config = config
        self._kill, self._hours, self._file = kill, hours, heartbeat_file
        self._wall_ns, self._sink = wall_ns, sink
        self._latch, self._failures = latch, failures
        self._said: dict[str, int] = {}
        self._looked_ns = self._awake_ns = self._answered_ns = wall_ns()
        self.last_holding: Holding | None = None

    def step(self) -> list[Finding]:
        """Look once, act if need be, and return what was found."""
        wall = self._wall_ns()
        if not 0 <= wall - self._looked_ns <= self.config.stale_s * NS_PER_SECOND:
            self._awake_ns = self._answered_ns = wall  # the machine slept or its clock was set: start counting anew
        self._looked_ns = wall
        found: list[Finding] = []
        try:
            holding = holding_of(self.access.snapshot())
        except BrokerError as fault:
            found.append(self._silence(wall, str(fault)))
            beat = self._beat()
        else:
            self._answered_ns = wall
            self.last_holding = holding
            beat = self._beat()  # now that the venue has said whose account it is
            found += judge(holding, self._age_s(beat, wall), self.config, self._hours)
        found += judge_resources(beat, _free_mb(self._file.parent), self.config)
        self._forget({finding.key for finding in found})
        for finding in found:
            self._say_once(finding, wall)
        if any(finding.must_flatten for finding in found):
            self._flatten("; ".join(finding.text for finding in found if finding.must_flatten))
        return found

    def looked(self) -> None:
        """Take note that a look is over, at every account: the time it took was no sleep of the machine."""
        self._looked_ns = self._wall_ns()

    def _beat(self) -> Beat | None:
        ours = [beat for _, beat in read_beats(self._file) if self._is_ours(beat)]
        return max(ours, key=lambda beat: beat.ts, default=None)

    def _age_s(self, beat: Beat | None, wall: int) -> float | None:
        """Return how long a beat has been overdue while the guard itself was awake."""
        return None if beat is None else (wall - max(beat.ts, self._awake_ns)) / NS_PER_SECOND

    def _silence(self, wall: int, fault: str) -> Finding:
        silent_s = (wall - self._answered_ns) / NS_PER_SECOND
        is_long = silent_s > self.config.silent_s
        is_holding = self.last_holding is not None and bool(self.last_holding.positions)
        severity = Severity.WARNING if not is_long else Severity.CRITICAL if is_holding else Severity.ALARM
        held = f"; when it last answered the account had {self.last_holding.text}" if self.last_holding is not None else ""
        text = f"the venue has not answered the guard for {silent_s:.0f} s ({fault}){held}"
        return Finding(key=f"silent {severity.value}", code=NoticeCode.GUARD, severity=severity, text=text)

    def _flatten(self, reason: str) -> Flattened:
        acts = f"the guard cancels and flattens account '{self.access.name}': {reason}"
        self._say(NoticeCode.GUARD, Severity.CRITICAL, acts, step="acts")
        result = flatten_account(self.access, attempts=self._kill.attempts, wait_s=self._kill.wait_s)
        if self._latch is not None:
            try:
                self._latch(reason)
            except self._failures as fault:
                text = f"the account could not be latched ({fault}); use 'sovereign kill'"
                self._say(NoticeCode.GUARD, Severity.ALARM, text, step="not latched")
        held = "unknown" if result.before is None else result.before.text
        if result.is_flat:
            text = f"account '{self.access.name}' is flat, the venue says so; before: {held}; reason: {reason}"
        else:
            text = (
                f"account '{self.access.name}' is NOT flat after {result.attempts} attempts ({result.error}); before: {held}; "
                f"close it by hand at the venue now; reason: {reason}"
            )
        self._say(NoticeCode.GUARD, Severity.CRITICAL, text, step="flat" if result.is_flat else "not flat")
        return result

    def _forget(self, present: set[str]) -> None:
        for key in [key for key in self._said if key not in present]:
            del self._said[key]

    def _say_once(self, finding: Finding, wall: int) -> None:
        last = self._said.get(finding.key)
        if last is None or wall - last >= self.config.repeat_s * NS_PER_SECOND or wall < last:
            self._said[finding.key] = wall
            self._say(finding.code, finding.severity, finding.text, step=finding.key)

    def _say(self, code: NoticeCode, severity: Severity, text: str, *, step: str) -> None:
        ts = self.last_holding.now_ns if self.last_holding is not None else self._wall_ns()
        self._sink(Notice(ts=ts, code=code, severity=severity, subject=self.access.name, text=text, values={"step": step}))


def _free_mb(folder: Path) -> float:
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free / _MIB
