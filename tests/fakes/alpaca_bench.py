"""Sessions around this moment, so that what trades now can be tested at any hour; and the machine's clock."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime

from sovereign.core.session import NS_PER_SECOND, Session


class MachineClock:
    def now_ns(self) -> int:
        return time.time_ns()


class AroundNow:
    """A calendar whose one session began a minute ago and lasts some hours."""

    name = "TEST"

    def __init__(self, hours: float = 6.0) -> None:
        opens = time.time_ns() - 60 * NS_PER_SECOND
        closes = opens + round(hours * 3_600) * NS_PER_SECOND
        self.day = Session(
            calendar="TEST",
            trade_date=datetime.now(UTC).date(),
            open_ns=opens,
            close_ns=closes,
            regular_open_ns=opens,
            regular_close_ns=closes,
            zone="UTC",
        )

    def session(self, trade_date: date) -> Session | None:
        return self.day if trade_date == self.day.trade_date else None

    def sessions(self, start: date, end: date) -> list[Session]:
        return [self.day]

    def session_of(self, ts: int) -> Session | None:
        return self.day if self.day.is_open(ts) else None
