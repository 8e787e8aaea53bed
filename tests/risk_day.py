"""A Thursday in November 2025 as the risk door's tests have it: its session, its tape and a moment of the morning."""

from __future__ import annotations

from datetime import UTC, date, datetime

from sovereign.core.session import Session, to_ns

TAPE = "ESZ5"
LAST = 26_400  # 6,600.00 in quarter points


def utc(text: str) -> int:
    return to_ns(datetime.fromisoformat(text).replace(tzinfo=UTC))


THURSDAY = Session(
    calendar="CME_EQUITY",
    trade_date=date(2025, 11, 20),
    open_ns=utc("2025-11-19 23:00"),
    close_ns=utc("2025-11-20 22:00"),
    regular_open_ns=utc("2025-11-20 14:30"),
    regular_close_ns=utc("2025-11-20 21:00"),
    zone="America/New_York",
)
TEN = utc("2025-11-20 15:00")  # 10:00 in New York
