"""Time: integer UTC nanoseconds everywhere, and trading sessions as plain values.

A `Session` is one trade date of one calendar. Futures sessions open on the evening before their trade date, so the trades
printed in New York on Monday evening belong to Tuesday. Who builds sessions (holidays, early closes, both DST weeks) is
the `SessionCalendar` port; its implementation lives in `feeds`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from sovereign.core.errors import UsageError

NS_PER_SECOND = 1_000_000_000
NS_PER_MINUTE = 60 * NS_PER_SECOND
NS_PER_HOUR = 60 * NS_PER_MINUTE
NS_PER_DAY = 24 * NS_PER_HOUR
NEVER = 9_223_372_036_854_775_807
"""A time later than any other, for timers that are not set."""


def to_ns(moment: datetime) -> int:
    """Convert an aware datetime to UTC nanoseconds (exact to the microsecond); a naive one is refused."""
    if moment.tzinfo is None:
        raise UsageError(f"datetime was {moment.isoformat()} without a time zone; attach one, for example UTC")
    delta = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * NS_PER_SECOND + delta.microseconds * 1_000


def from_ns(ts: int, zone: str = "UTC") -> datetime:
    """Convert UTC nanoseconds to an aware datetime (truncated to the microsecond)."""
    seconds, rest = divmod(int(ts), NS_PER_SECOND)
    return datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=rest // 1_000).astimezone(ZoneInfo(zone))


def local_ns(day: date, clock: time, zone: str) -> int:
    """Return the UTC nanoseconds of a wall-clock time on a date in an IANA zone."""
    return to_ns(datetime.combine(day, clock, tzinfo=ZoneInfo(zone)))


def parse_date(text: str) -> date:
    """Parse `YYYY-MM-DD`."""
    try:
        return date.fromisoformat(text)
    except ValueError as cause:
        raise UsageError(f"date was '{text}'; write it as YYYY-MM-DD, for example 2025-11-20") from cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One trade date. All times are UTC nanoseconds; intervals are closed on the left and open on the right.

    `open_ns`..`close_ns` is everything the venue trades under this trade date; `regular_open_ns`..`regular_close_ns` is the
    day session (09:30-16:00 New York for US index futures and equities, earlier on half days). `breaks` are pauses inside.
    """

    calendar: str
    trade_date: date
    open_ns: int
    close_ns: int
    regular_open_ns: int
    regular_close_ns: int
    zone: str
    is_early_close: bool = False
    breaks: tuple[tuple[int, int], ...] = ()

    def is_open(self, ts: int) -> bool:
        """Say whether the venue trades at `ts`."""
        return self.open_ns <= ts < self.close_ns and not any(start <= ts < end for start, end in self.breaks)

    def is_regular(self, ts: int) -> bool:
        """Say whether `ts` lies in the day session."""
        return self.regular_open_ns <= ts < self.regular_close_ns and self.is_open(ts)

    def at(self, clock: time) -> int:
        """Return the UTC nanoseconds of a wall-clock time on the trade date, in the session's zone."""
        return local_ns(self.trade_date, clock, self.zone)
