"""Which trade date a row belongs to. No row is ever left without one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from sovereign.core.columns import Int64
from sovereign.core.errors import DataError, UsageError
from sovereign.core.instrument import AssetClass, Instrument
from sovereign.core.port import SessionCalendar
from sovereign.core.session import NS_PER_DAY, NS_PER_HOUR, Session, from_ns

CalendarFor = Callable[[str], SessionCalendar]

_MARGIN = timedelta(days=7)  # longer than any run of days without a session
_EPOCH = date(1970, 1, 1).toordinal()
_EVENING_HOURS = 6  # a futures day begins at 18:00 New York


def trade_dates(ts: Int64, instrument: Instrument, calendar: SessionCalendar) -> NDArray[np.int32]:
    """Return each row's trade date as days since 1970-01-01.

    Futures: the session that contains the row, or the next one to close (a pre-open row belongs to the session that it
    precedes). Crypto pairs: the UTC date. Everything else: the date in New York, so extended hours belong to their own day.
    Where the calendar does not reach back, a futures day ends at 18:00 New York and weekends belong to Monday.
    """
    if not len(ts):
        return np.empty(0, np.int32)
    first, last = int(ts.min()), int(ts.max())
    if instrument.asset_class is not AssetClass.FUTURE:
        return _local_days(ts, "UTC" if instrument.asset_class is AssetClass.CRYPTO else "America/New_York", 0)
    sessions = _sessions(calendar, first, last)
    if not sessions:
        return _without_calendar(ts)
    closes = np.array([s.close_ns for s in sessions], np.int64)
    days = np.array([s.trade_date.toordinal() - _EPOCH for s in sessions], np.int32)
    index = np.searchsorted(closes, ts, side="right")
    if int(index.max()) == len(days):
        raise DataError(f"calendar {calendar.name} has no session after {from_ns(last).isoformat()}; the row has no trade date")
    return days[index]


def to_date(day: int) -> date:
    """Convert days since 1970-01-01 to a date."""
    return date.fromordinal(int(day) + _EPOCH)


def _sessions(calendar: SessionCalendar, first: int, last: int) -> list[Session]:
    try:
        return calendar.sessions(from_ns(first).date() - _MARGIN, from_ns(last).date() + _MARGIN)
    except UsageError:
        return []  # earlier than the calendar knows


def _without_calendar(ts: Int64) -> NDArray[np.int32]:
    days = _local_days(ts, "America/New_York", _EVENING_HOURS)
    weekday = (days + 3) % 7  # 1970-01-01 was a Thursday
    return (days + np.where(weekday == 5, 2, np.where(weekday == 6, 1, 0))).astype(np.int32)


def _local_days(ts: Int64, zone: str, shift_hours: int) -> NDArray[np.int32]:
    """Return local dates; the offset is looked up once for each hour that occurs."""
    hours, inverse = np.unique(ts // NS_PER_HOUR, return_inverse=True)
    place = ZoneInfo(zone)
    offsets = np.array([_offset_ns(int(h) * NS_PER_HOUR, place) for h in hours], np.int64)
    return ((ts + offsets[inverse] + shift_hours * NS_PER_HOUR) // NS_PER_DAY).astype(np.int32)


def _offset_ns(ts: int, place: ZoneInfo) -> int:
    moment: datetime = from_ns(ts).astimezone(place)
    offset = moment.utcoffset() or timedelta(0)
    return int(offset.total_seconds()) * 10**9
