"""When companies report: a dated file, read as it was known at the time, and the blackout before a report.

What is not known blocks: a symbol without a date ahead, or whose last word is too old, is not a symbol without earnings.
"""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import Field

from sovereign.core.configuration import Configuration
from sovereign.core.errors import DataError, NotFoundError, UsageError
from sovereign.core.session import NS_PER_DAY, NS_PER_HOUR, to_ns

_ZONE = ZoneInfo("America/New_York")
_COLUMNS = ("symbol", "date", "when", "as_of")


class EarningsWhen(StrEnum):
    """Before the open, after the close, or not said."""

    BEFORE = "before"
    AFTER = "after"
    UNKNOWN = "unknown"


class EarningsConfig(Configuration):
    """The earnings calendar and its blackout."""

    file: Path | None = Field(
        None,
        description="CSV with the columns symbol, date, when (before, after, unknown) and as_of (when that was known; a date "
        "counts from its midnight in New York on the next day). None: every symbol is unknown, and blocked.",
    )
    blackout_h: float = Field(
        48.0, ge=0, description="No entry this long before a report, in hours. Source: the system's description."
    )
    after_h: float = Field(0.0, ge=0, description="No entry this long after a report, in hours.")
    max_age_days: float = Field(
        120.0,
        gt=0,
        description="A symbol whose latest word in the file is older than this is unknown, in days: reports are quarterly.",
    )


class EarningsState(StrEnum):
    """CLEAR lets an entry through; the other two do not."""

    CLEAR = "CLEAR"
    BLACKOUT = "BLACKOUT"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class EarningsAnswer:
    """What the calendar says of a symbol at a moment; `report_ns` is the report meant, the earliest it may be."""

    state: EarningsState
    reason: str
    report_ns: int | None = None

    @property
    def is_blocked(self) -> bool:
        """Whether an entry is refused."""
        return self.state is not EarningsState.CLEAR


@dataclass(frozen=True, slots=True, kw_only=True)
class EarningsDate:
    """A line of the calendar: `first_ns`..`last_ns` is when the report may come, `as_of_ns` when this was known."""

    symbol: str
    day: date
    when: EarningsWhen
    first_ns: int
    last_ns: int
    as_of_ns: int


class EarningsCalendar:
    """Dates by symbol, as they were known at any time."""

    def __init__(self, dates: Iterable[EarningsDate], config: EarningsConfig) -> None:
        self._config = config
        self._by_symbol: dict[str, list[EarningsDate]] = {}
        for entry in sorted(dates, key=lambda entry: entry.as_of_ns):
            self._by_symbol.setdefault(entry.symbol, []).append(entry)

    def at(self, symbol: str, ts: int) -> EarningsAnswer:
        """Return whether an entry in a symbol is blocked at `ts` (UTC ns), by what was known then."""
        lines = self._by_symbol.get(symbol, [])
        known = lines[: bisect_right(lines, ts, key=lambda entry: entry.as_of_ns)]
        if not known:
            return EarningsAnswer(state=EarningsState.UNKNOWN, reason=f"the earnings calendar says nothing of {symbol}")
        age = (ts - known[-1].as_of_ns) / NS_PER_DAY
        if age > self._config.max_age_days:
            text = f"the calendar's latest word on {symbol} is {age:.0f} days old, allowed are {self._config.max_age_days:g}"
            return EarningsAnswer(state=EarningsState.UNKNOWN, reason=text)
        return self._judge(symbol, ts, _latest(known))

    def _judge(self, symbol: str, ts: int, dates: Sequence[EarningsDate]) -> EarningsAnswer:
        before, after = self._config.blackout_h * NS_PER_HOUR, self._config.after_h * NS_PER_HOUR
        for entry in dates:
            if entry.first_ns - before <= ts <= entry.last_ns + after:
                hours = (entry.first_ns - ts) / NS_PER_HOUR
                text = (
                    f"{symbol} reports on {entry.day} ({entry.when}), in {hours:.1f} h; blackout {self._config.blackout_h:g} h"
                )
                return EarningsAnswer(state=EarningsState.BLACKOUT, reason=text, report_ns=entry.first_ns)
        ahead = [entry for entry in dates if entry.first_ns > ts]
        if not ahead:
            return EarningsAnswer(state=EarningsState.UNKNOWN, reason=f"the next report of {symbol} is not in the calendar")
        return EarningsAnswer(
            state=EarningsState.CLEAR, reason=f"{symbol} reports on {ahead[0].day}", report_ns=ahead[0].first_ns
        )


def _latest(known: Sequence[EarningsDate]) -> list[EarningsDate]:
    """Return the dates that hold: the next report as the latest word has it, and every earlier one at its own date."""
    kept: list[EarningsDate] = []
    for as_of, lines in groupby(known, key=lambda entry: entry.as_of_ns):
        # A later word replaces every earlier one on reports that had not come by then.
        fresh = list(lines)
        days = {entry.day for entry in fresh}
        kept = [entry for entry in kept if entry.last_ns <= as_of and entry.day not in days] + fresh
    return sorted(kept, key=lambda entry: entry.first_ns)


def read_earnings(config: EarningsConfig) -> EarningsCalendar:
    """Return the calendar of the settings; without a file, one that knows nothing.

    Raises
    ------
    NotFoundError : the file is not there. DataError : it is none, or no text, or a line cannot be read.
    """
    if config.file is None:
        return EarningsCalendar((), config)
    if config.file.exists() and not config.file.is_file():  # a device may never end
        raise DataError(f"earnings.file was '{config.file}', which is no file; set it to a calendar, or to none")
    try:
        with config.file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{config.file} had no column {', '.join(missing)}; it needs {', '.join(_COLUMNS)}")
            return EarningsCalendar([_date(row, f"{config.file}, line {n}") for n, row in enumerate(reader, 2)], config)
    except FileNotFoundError as cause:
        raise NotFoundError(
            f"earnings.file was '{config.file}', which is not there; set it to a calendar, or to none"
        ) from cause
    except (OSError, UnicodeDecodeError, csv.Error) as cause:
        raise DataError(
            f"{config.file} could not be read as CSV ({cause}); it needs {', '.join(_COLUMNS)}, in UTF-8"
        ) from cause


def _date(row: dict[str, str], place: str) -> EarningsDate:
    try:
        return _entry(row)
    except (ValueError, KeyError, AttributeError, OverflowError, UsageError) as cause:
        raise DataError(f"{place} was not understood ({cause}); write symbol,YYYY-MM-DD,before|after|unknown,as_of") from cause


def _entry(row: dict[str, str]) -> EarningsDate:
    day, when = date.fromisoformat(row["date"].strip()), EarningsWhen(row["when"].strip().lower() or "unknown")
    as_of = row["as_of"].strip()
    known = _midnight(date.fromisoformat(as_of)) + NS_PER_DAY if len(as_of) == 10 else to_ns(datetime.fromisoformat(as_of))
    first = time(16) if when is EarningsWhen.AFTER else time(0)
    last = time(9, 30) if when is EarningsWhen.BEFORE else time(23, 59)
    return EarningsDate(
        symbol=row["symbol"].strip().upper(),
        day=day,
        when=when,
        first_ns=to_ns(datetime.combine(day, first, tzinfo=_ZONE)),
        last_ns=to_ns(datetime.combine(day, last, tzinfo=_ZONE)),
        as_of_ns=known,
    )


def _midnight(day: date) -> int:
    return to_ns(datetime.combine(day, time(0), tzinfo=_ZONE))
