"""What is due when, on exchange calendars.

    entries = (
        Entry(name="cycle", calendar="XNYS", rule=Every(minutes=15, start=At(time(4), NEW_YORK), end=At(time(20), NEW_YORK))),
        Entry(name="close", calendar="XNYS", rule=At(time(15, 45), NEW_YORK), run_late_minutes=15),
        Entry(name="digest", calendar="CME_EQUITY", rule=Offset(Anchor.REGULAR_CLOSE, minutes=5)),
    )
    for item in due(entries, last_ns, now_ns): ...

A rule is a moment of each trade date, or a repetition between two moments. Trade dates come from the calendar, so weekends and
holidays have none. Wall clocks are read in the zone the rule names, so summer time is right in each of them.

On a half day a wall-clock time that lies after the early close keeps its distance to the close: 15:45 on a day that ends at
13:00 instead of 16:00 becomes 12:45, and 20:00 (the end of extended hours) 17:00. Offsets follow the close by themselves.

A process that was stalled or down asks for everything since it last looked: an entry that may still run within
`run_late_minutes` runs, one that may not comes back as missed, and both can say so (`late_notice`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from enum import StrEnum
from pathlib import Path

from sovereign.app.ops.configuration import ScheduleConfig
from sovereign.app.ops.files import replace_file
from sovereign.core.errors import CorruptFileError, UsageError
from sovereign.core.event import Notice, NoticeCode, Severity
from sovereign.core.port import SessionCalendar
from sovereign.core.session import NEVER, NS_PER_MINUTE, NS_PER_SECOND, Session, from_ns, local_ns
from sovereign.feeds.calendar import calendar_for

NEW_YORK = "America/New_York"

_BEFORE, _AFTER = timedelta(days=3), timedelta(days=6)
"""How far a trade date's instants may lie from it: offsets behind, and sessions that open before a long weekend."""

_MEMORY = timedelta(days=15)
"""How far back a full day is looked for when a half day asks how early it ends."""

_HORIZON = timedelta(days=14)
"""How far ahead `next_ns` looks; exchanges close for fewer days than this."""


class Anchor(StrEnum):
    """A moment that every session has."""

    OPEN = "OPEN"
    REGULAR_OPEN = "REGULAR_OPEN"
    REGULAR_CLOSE = "REGULAR_CLOSE"
    CLOSE = "CLOSE"


@dataclass(frozen=True, slots=True)
class At:
    """A wall-clock time on the trade date, in an IANA zone; one after an early close moves with it unless `stays`."""

    clock: time
    zone: str = NEW_YORK
    stays: bool = False


@dataclass(frozen=True, slots=True)
class Offset:
    """Minutes after an anchor of the session; negative ones lie before it."""

    anchor: Anchor
    minutes: int = 0


Instant = At | Offset


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """Every `minutes` and `seconds` from `start` on, `start` included and `end` not; pauses inside a session are left out."""

    start: Instant
    end: Instant
    minutes: int = 0
    seconds: int = 0

    @property
    def step_ns(self) -> int:
        """The distance between two runs, ns."""
        return self.minutes * NS_PER_MINUTE + self.seconds * NS_PER_SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a schedule; `run_late_minutes` is how late it is still worth running."""

    name: str
    calendar: str
    rule: Instant | Every
    run_late_minutes: float = 5.0
    severity: Severity = Severity.WARNING

    def __post_init__(self) -> None:
        if isinstance(self.rule, Every) and self.rule.step_ns <= 0:
            raise UsageError(f"entry '{self.name}' repeats every {self.rule.step_ns} ns; give at least a second")


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """An entry whose time `ts` has come; `skipped` counts earlier times that this one stands for."""

    entry: Entry
    ts: int
    late_ns: int
    skipped: int = 0

    @property
    def is_missed(self) -> bool:
        """Say whether it is too late to run it."""
        return self.late_ns > self.entry.run_late_minutes * NS_PER_MINUTE


Calendars = Callable[[str], SessionCalendar]


def _shortened_ns(calendar: SessionCalendar, session: Session) -> int:
    """How much earlier the day session ends than on the full days before it; 0 on a full day."""
    if not session.is_early_close:
        return 0
    end = from_ns(session.regular_close_ns, session.zone)
    usual = [
        from_ns(earlier.regular_close_ns, earlier.zone).time()
        for earlier in calendar.sessions(session.trade_date - _MEMORY, session.trade_date)
        if not earlier.is_early_close
    ]
    if not usual or usual[-1] <= end.time():
        return 0
    return local_ns(session.trade_date, usual[-1], session.zone) - session.regular_close_ns


def instant_ns(instant: Instant, session: Session, calendar: SessionCalendar) -> int:
    """Return when a moment of a session is, UTC ns."""
    if isinstance(instant, Offset):
        anchors: Mapping[Anchor, int] = {
            Anchor.OPEN: session.open_ns,
            Anchor.REGULAR_OPEN: session.regular_open_ns,
            Anchor.REGULAR_CLOSE: session.regular_close_ns,
            Anchor.CLOSE: session.close_ns,
        }
        return anchors[instant.anchor] + instant.minutes * NS_PER_MINUTE
    ts = local_ns(session.trade_date, instant.clock, instant.zone)
    if session.is_early_close and not instant.stays and ts > session.regular_close_ns:
        return ts - _shortened_ns(calendar, session)
    return ts


def _instants(rule: Instant | Every, session: Session, calendar: SessionCalendar, after: int, until: int) -> Iterator[int]:
    """Yield the times of a rule in one session with `after < time <= until`."""
    if not isinstance(rule, Every):
        ts = instant_ns(rule, session, calendar)
        if after < ts <= until:
            yield ts
        return
    start, end = instant_ns(rule.start, session, calendar), instant_ns(rule.end, session, calendar)
    first = max(0, (after - start) // rule.step_ns + 1)
    for ts in range(start + first * rule.step_ns, min(end, until + 1), rule.step_ns):
        if not any(pause <= ts < resume for pause, resume in session.breaks):
            yield ts


def _times(entry: Entry, calendars: Calendars, after: int, until: int) -> Iterator[int]:
    calendar = calendars(entry.calendar)
    first: date = from_ns(after).date() - _BEFORE
    for session in calendar.sessions(first, from_ns(until).date() + _AFTER):
        yield from _instants(entry.rule, session, calendar, after, until)


def due(entries: Sequence[Entry], last_ns: int, now_ns: int, calendars: Calendars = calendar_for) -> list[Due]:
    """Return what became due in `(last_ns, now_ns]`, in order of time.

    An entry comes back once, at its latest time, with the number of earlier times that it stands for: nobody wants the cycles,
    or the digests, of a week in a row.

    Raises
    ------
    UsageError : `now_ns` before `last_ns`, or a time before the calendar's hours are known.
    """
    if now_ns < last_ns:
        raise UsageError(f"now was {from_ns(now_ns)}, before {from_ns(last_ns)} when the schedule was last looked at")
    found: list[Due] = []
    for entry in entries:
        times = sorted(_times(entry, calendars, last_ns, now_ns))
        if times:
            found.append(Due(entry=entry, ts=times[-1], late_ns=now_ns - times[-1], skipped=len(times) - 1))
    return sorted(found, key=lambda item: item.ts)


def next_ns(entries: Sequence[Entry], now_ns: int, calendars: Calendars = calendar_for) -> int:
    """Return the next time at which something is due, strictly after `now_ns`; `NEVER` when nothing is within two weeks."""
    best = NEVER
    for entry in entries:
        calendar = calendars(entry.calendar)
        today = from_ns(now_ns).date()
        for session in calendar.sessions(today - _BEFORE, today + _HORIZON):
            ts = next(_instants(entry.rule, session, calendar, now_ns, best - 1), None)
            best = best if ts is None else ts
    return best


def late_notice(item: Due, now_ns: int) -> Notice | None:
    """Say that an entry was missed or skipped; None when there is nothing to say."""
    if not item.is_missed and not item.skipped:
        return None
    minutes = item.late_ns / NS_PER_MINUTE
    moment = f"{from_ns(item.ts):%Y-%m-%d %H:%M} UTC"
    if item.is_missed:
        text = (
            f"'{item.entry.name}' was due at {moment} and did not run: it is {minutes:.0f} min late, "
            f"{item.entry.run_late_minutes:g} min are allowed"
        )
    else:
        text = f"'{item.entry.name}' of {moment} runs now"
    if item.skipped:
        text += f"; {item.skipped} earlier times were passed over"
    return Notice(
        ts=now_ns,
        code=NoticeCode.SCHEDULE_LATE,
        severity=item.entry.severity,
        subject=item.entry.name,
        text=text,
        values={"due_ns": item.ts, "late_s": item.late_ns / NS_PER_SECOND, "skipped": item.skipped},
    )


def session_entries(config: ScheduleConfig, calendar: str) -> tuple[Entry, ...]:
    """Return what every session has: its `digest`.

    Parameters
    ----------
    calendar : name of the calendar that is traded.
    """
    return (
        Entry(
            name="digest",
            calendar=calendar,
            rule=Offset(Anchor.REGULAR_CLOSE, config.digest_after_close_minutes),
            run_late_minutes=config.digest_late_minutes,
        ),
    )


class Agenda:
    """A schedule that remembers when it was last looked at, over a restart too when it has a file.

    Parameters
    ----------
    start_ns : what came before counts as done, unless the file says that the schedule was looked at earlier.
    file : where the time of the last look is kept; None keeps it in memory alone.
    """

    def __init__(
        self, entries: Sequence[Entry], start_ns: int, *, file: Path | None = None, calendars: Calendars = calendar_for
    ) -> None:
        self.entries = tuple(entries)
        self._calendars = calendars
        self._file = file
        self._last_ns = start_ns
        if file is not None and file.is_file():
            try:
                self._last_ns = min(start_ns, int(json.loads(file.read_text(encoding="utf-8"))["last_ns"]))
            except (ValueError, KeyError, TypeError) as cause:
                raise CorruptFileError(f"schedule file '{file}' cannot be read ({cause}); delete it") from cause

    def take(self, now_ns: int) -> list[Due]:
        """Return what became due since the last look, and remember this one. A clock that went back gives nothing."""
        if now_ns <= self._last_ns:
            return []
        found = due(self.entries, self._last_ns, now_ns, self._calendars)
        self._last_ns = now_ns
        if self._file is not None and found:
            replace_file(self._file, json.dumps({"last_ns": now_ns}))
        return found

    def next_ns(self) -> int:
        """Return when something is due next."""
        return next_ns(self.entries, self._last_ns, self._calendars)
