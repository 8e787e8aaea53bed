"""Session calendars of the CME futures, of US equities, and of crypto currencies, which never close.

Holidays and half days come from `exchange_calendars` (New York Stock Exchange) and `pandas_market_calendars` (CME); this module
turns them into `core.session.Session` values and puts right what those libraries get wrong:

- CME holidays on which trading halts at midday are no trade dates of their own: what trades then belongs to the next one, so
  its session begins the evening before the holiday and carries the halt as a break;
- equity index futures trade on Good Friday only when the employment report falls on it, which is when it is the first Friday
  of April, and then until 09:15 New York;
- single dates and half-day times: `calendar_overrides.toml`, each with its source.

A year is read once and kept. The libraries (and pandas below them) are imported at the first question, not with this module.
"""

from __future__ import annotations

import tomllib
import warnings
from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, time, timedelta
from functools import cache
from importlib import resources
from typing import Any

from sovereign.core.errors import NotFoundError, UsageError, suggestion
from sovereign.core.port import SessionCalendar
from sovereign.core.session import Session, from_ns, local_ns

_ZONE = "America/New_York"

# Reaches over the longest run of days that one session and its neighbors can span, for questions near New Year.
_MARGIN = timedelta(days=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hours:
    """What a market does on an ordinary day, in New York wall-clock time, and from which trade date that is known."""

    library: str
    first: date
    close: time
    regular_open: time
    regular_close: time


_FUTURES = {
    # 2015-09-21: Globex moved the end of its day from 16:15 to 16:00 Chicago (17:15 to 17:00 New York).
    "CME_EQUITY": _Hours(
        library="CME_Equity",
        first=date(2015, 9, 21),
        close=time(17),
        regular_open=time(9, 30),
        regular_close=time(16),
    ),
    "CME_ENERGY": _Hours(
        library="CMEGlobex_CL",
        first=date(2015, 9, 21),
        close=time(17),
        regular_open=time(9),
        regular_close=time(14, 30),
    ),
    "CME_METALS": _Hours(
        library="CMEGlobex_GC",
        first=date(2015, 9, 21),
        close=time(17),
        regular_open=time(8, 20),
        regular_close=time(13, 30),
    ),
}
_EVENING_OPEN = time(18)
_EQUITY_OPEN = time(4)
_EQUITY_CLOSE = time(20)
_EQUITY_CLOSE_HALF_DAY = time(17)
_EQUITY_FIRST = date(1990, 1, 1)
_CRYPTO_FIRST = date(2009, 1, 3)  # the first block of Bitcoin

CALENDARS = (*_FUTURES, "XNYS", "CRYPTO")
"""Names that `calendar_for` knows."""


@dataclass(frozen=True, slots=True)
class _Override:
    kind: str
    clock: time | None


@cache
def _overrides() -> tuple[dict[str, time], dict[tuple[str, date], _Override]]:
    text = resources.files("sovereign.feeds").joinpath("calendar_overrides.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    half_days = {row["calendar"]: time.fromisoformat(row["close"]) for row in table["half_day"]}
    days: dict[tuple[str, date], _Override] = {}
    for row in table["day"]:
        kind = next(k for k in ("closed", "halt", "close") if k in row)
        clock = None if kind == "closed" else time.fromisoformat(row[kind])
        for name in row["calendars"]:
            days[name, date.fromisoformat(row["date"])] = _Override(kind, clock)
    return half_days, days


@cache
def _nyse(decade: int) -> dict[date, tuple[int, int]]:
    """Regular open and close of every NYSE session of ten years; without both bounds the library asks the wall clock."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from exchange_calendars.exchange_calendar_xnys import XNYSExchangeCalendar

        schedule = XNYSExchangeCalendar(f"{decade}-01-01", f"{decade + 9}-12-31").schedule
        opens, closes = _ns(schedule["open"]), _ns(schedule["close"])
        return dict(zip(schedule.index.date, zip(opens, closes, strict=True), strict=True))


def _nyse_hours(day: date) -> tuple[int, int] | None:
    return _nyse(day.year // 10 * 10).get(day)


def _ns(column: Any) -> list[int]:
    naive = column.dt.tz_convert(None).to_numpy().astype("datetime64[ns]")
    return [int(ns) for ns in naive.astype("int64")]


@dataclass(frozen=True, slots=True)
class _LibraryDay:
    day: date
    open_ns: int
    close_ns: int
    pause: tuple[int, int] | None


@cache
def _library_year(library: str, year: int) -> tuple[_LibraryDay, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas_market_calendars

        schedule = pandas_market_calendars.get_calendar(library).schedule(f"{year}-01-01", f"{year}-12-31", market_times="all")
        opens, closes = _ns(schedule["market_open"]), _ns(schedule["market_close"])
        pauses: list[tuple[int, int] | None] = [None] * len(opens)
        if "break_start" in schedule:
            starts, ends = _ns(schedule["break_start"]), _ns(schedule["break_end"])
            pauses = [(s, e) if s < e else None for s, e in zip(starts, ends, strict=True)]
        rows = zip(schedule.index.date, opens, closes, pauses, strict=True)
        return tuple(_LibraryDay(*row) for row in rows)


def _good_friday_without_report(name: str, row: _LibraryDay) -> bool:
    # The employment report comes on the first Friday of a month; only then do equity index futures open on Good Friday.
    return name == "CME_EQUITY" and row.close_ns < local_ns(row.day, time(9, 30), _ZONE) and row.day.day > 7


def _rows(name: str, library: str, year: int) -> list[_LibraryDay]:
    # A date the library leaves out is added when an override says that it traded.
    rows = {row.day: row for row in _library_year(library, year)}
    for (calendar, day), override in _overrides()[1].items():
        if calendar == name and day.year == year and day not in rows and override.clock is not None:
            opened = local_ns(day - timedelta(days=1), _EVENING_OPEN, _ZONE)
            rows[day] = _LibraryDay(day, opened, local_ns(day, override.clock, _ZONE), None)
    return [rows[day] for day in sorted(rows)]


def _futures_year(name: str, year: int) -> list[Session]:
    hours = _FUTURES[name]
    half_days, days = _overrides()
    sessions: list[Session] = []
    halted: list[tuple[int, int]] = []  # open and halt of holidays whose trading belongs to the next trade date
    for row in _rows(name, hours.library, year):
        override = days.get((name, row.day))
        if (override and override.kind == "closed") or (not override and _good_friday_without_report(name, row)):
            continue
        nyse = _nyse_hours(row.day)
        full_close = local_ns(row.day, hours.close, _ZONE)
        close, is_halt = row.close_ns, row.close_ns < full_close and nyse is None
        if is_halt and close < local_ns(row.day, time(12), _ZONE):
            is_halt = False  # Good Friday: a short trade date of its own
        if override and override.clock is not None:
            close, is_halt = local_ns(row.day, override.clock, _ZONE), override.kind == "halt"
        elif name in half_days and nyse is not None and nyse[1] < local_ns(row.day, time(16), _ZONE):
            close = local_ns(row.day, half_days[name], _ZONE)
        if is_halt:
            halted.append((row.open_ns, close))
            continue
        opened, breaks = row.open_ns, []
        if halted:
            resumed = [opening for opening, _ in halted[1:]] + [row.open_ns]
            breaks = [(halt, resume) for (_, halt), resume in zip(halted, resumed, strict=True)]
            opened = halted[0][0]
            halted = []
        if row.pause and row.pause[1] < close:
            breaks.append(row.pause)
        sessions.append(_futures_session(name, hours, row.day, (opened, close), nyse, tuple(breaks)))
    return sessions


def _futures_session(
    name: str,
    hours: _Hours,
    day: date,
    span: tuple[int, int],
    nyse: tuple[int, int] | None,
    breaks: tuple[tuple[int, int], ...],
) -> Session:
    opened, close = span
    start, end = local_ns(day, hours.regular_open, _ZONE), local_ns(day, hours.regular_close, _ZONE)
    full_end = end
    if name == "CME_EQUITY":
        start, end = nyse or (start, start)
    start, end = min(start, close), min(end, close)
    return Session(
        calendar=name,
        trade_date=day,
        open_ns=opened,
        close_ns=close,
        regular_open_ns=start,
        regular_close_ns=max(start, end),
        zone=_ZONE,
        is_early_close=close < local_ns(day, hours.close, _ZONE) or end < full_end,
        breaks=breaks,
    )


def _equity_year(year: int) -> list[Session]:
    sessions = []
    for day, (start, end) in _nyse(year // 10 * 10).items():
        if day.year != year:
            continue
        is_early = end < local_ns(day, time(16), _ZONE)
        sessions.append(
            Session(
                calendar="XNYS",
                trade_date=day,
                open_ns=local_ns(day, _EQUITY_OPEN, _ZONE),
                close_ns=local_ns(day, _EQUITY_CLOSE_HALF_DAY if is_early else _EQUITY_CLOSE, _ZONE),
                regular_open_ns=start,
                regular_close_ns=end,
                zone=_ZONE,
                is_early_close=is_early,
            )
        )
    return sessions


def _crypto_year(year: int) -> list[Session]:
    days = (date(year, 1, 1) + timedelta(days=n) for n in range((date(year + 1, 1, 1) - date(year, 1, 1)).days))
    return [_crypto_session(day) for day in days]


def _crypto_session(day: date) -> Session:
    start, end = local_ns(day, time(0), "UTC"), local_ns(day + timedelta(days=1), time(0), "UTC")
    return Session(
        calendar="CRYPTO",
        trade_date=day,
        open_ns=start,
        close_ns=end,
        regular_open_ns=start,
        regular_close_ns=end,
        zone="UTC",
    )


class _Calendar:
    """Sessions of one market, read a year at a time and kept."""

    def __init__(self, name: str) -> None:
        self.name = name
        fixed = {"XNYS": _EQUITY_FIRST, "CRYPTO": _CRYPTO_FIRST}
        self._first = fixed[name] if name in fixed else _FUTURES[name].first
        self._years: dict[int, dict[date, Session]] = {}
        self._latest: Session | None = None

    def _year(self, year: int) -> dict[date, Session]:
        if year not in self._years:
            fixed = {"XNYS": _equity_year, "CRYPTO": _crypto_year}
            sessions = fixed[self.name](year) if self.name in fixed else _futures_year(self.name, year)
            self._years[year] = {s.trade_date: s for s in sessions if s.trade_date >= self._first}
        return self._years[year]

    def _require(self, day: date) -> None:
        if day < self._first:
            raise UsageError(
                f"date was {day.isoformat()}; the calendar {self.name} knows its trading hours "
                f"from {self._first.isoformat()} on; choose a later date"
            )

    def session(self, trade_date: date) -> Session | None:
        """Return the session of a trade date, or None when it is no trade date of this market.

        Raises
        ------
        UsageError : the date lies before the market's hours are known.
        """
        self._require(trade_date)
        return self._year(trade_date.year).get(trade_date)

    def sessions(self, start: date, end: date) -> list[Session]:
        """Return the sessions with `start <= trade_date <= end`, in order.

        Raises
        ------
        UsageError : `end` before `start`, or `start` before the market's hours are known.
        """
        self._require(start)
        if end < start:
            raise UsageError(f"the range was {start.isoformat()} to {end.isoformat()}; the end must not be before the start")
        years = (self._year(year).values() for year in range(start.year, end.year + 1))
        return [s for year in years for s in year if start <= s.trade_date <= end]

    def session_of(self, ts: int) -> Session | None:
        """Return the session with `open_ns <= ts < close_ns`, or None between sessions.

        A pause inside a session (a holiday halt) belongs to it; `Session.is_open` says whether the venue trades then.

        Raises
        ------
        UsageError : the time lies before the market's hours are known.
        """
        latest = self._latest
        if latest is not None and latest.open_ns <= ts < latest.close_ns:
            return latest
        day = from_ns(ts).date()
        if day + timedelta(days=1) != self._first:  # the first session opens on the evening before its date
            self._require(day)
        years = sorted({(day - _MARGIN).year, day.year, (day + _MARGIN).year})
        near = [s for year in years for s in self._year(year).values()]
        index = bisect_right(near, ts, key=lambda s: s.open_ns) - 1
        if index < 0 or ts >= near[index].close_ns:
            return None
        self._latest = near[index]
        return near[index]


@cache
def calendar_for(name: str) -> SessionCalendar:
    """Return the session calendar of a market: `CME_EQUITY`, `CME_ENERGY`, `CME_METALS`, `XNYS` or `CRYPTO`.

    Futures sessions carry everything Globex trades under a trade date, the evening before included; equity sessions run over
    the extended hours, 04:00 to 20:00 New York (17:00 on half days); crypto sessions are the UTC days, every day of the year.
    The same object is returned every time.

    Raises
    ------
    NotFoundError : the name is not one of the five.
    """
    if name not in CALENDARS:
        raise NotFoundError(
            f"calendar was '{name}'{suggestion(name.upper(), CALENDARS)}; allowed are {', '.join(CALENDARS)}; "
            f"an instrument names its own in `Instrument.calendar`"
        )
    return _Calendar(name)
