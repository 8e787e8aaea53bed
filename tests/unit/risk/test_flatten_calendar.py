"""When everything must be closed, on the exchange's calendar; every instant was worked out by hand from published hours."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from sovereign.app.ops.guard import Hours
from sovereign.core.session import from_ns
from sovereign.feeds.calendar import calendar_for
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.door import OneDoor

# Day session: 15:55 New York, five minutes before 16:00; on half days 12:55, since stocks close at 13:00.
# All hours of CME equity futures: five before the maintenance break at 17:00 New York (22:00 UTC, 21:00 in summer time); on the
# half days the futures close at 13:15.
TABLE = [
    ("2025-03-07", "2025-03-07 20:55", "2025-03-07 21:55"),  # Friday before the US change, UTC-5
    ("2025-03-10", "2025-03-10 19:55", "2025-03-10 20:55"),  # Monday after it, UTC-4; Europe changes on 30 March
    ("2025-03-28", "2025-03-28 19:55", "2025-03-28 20:55"),
    ("2025-03-31", "2025-03-31 19:55", "2025-03-31 20:55"),  # Europe has changed: nothing moves in New York
    ("2025-10-24", "2025-10-24 19:55", "2025-10-24 20:55"),
    ("2025-10-27", "2025-10-27 19:55", "2025-10-27 20:55"),  # Europe changed back on 26 October, New York not yet
    ("2025-10-31", "2025-10-31 19:55", "2025-10-31 20:55"),
    ("2025-11-03", "2025-11-03 20:55", "2025-11-03 21:55"),  # New York changed back on 2 November
    ("2025-11-26", "2025-11-26 20:55", "2025-11-26 21:55"),  # the day before Thanksgiving is a full one
    ("2025-11-28", "2025-11-28 17:55", "2025-11-28 18:10"),  # the day after: half, Thanksgiving's halt belongs to it
    ("2025-12-23", "2025-12-23 20:55", "2025-12-23 21:55"),
    ("2025-12-24", "2025-12-24 17:55", "2025-12-24 18:10"),  # Christmas Eve: half
    ("2025-12-26", "2025-12-26 20:55", "2025-12-26 21:55"),
]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(("day", "regular", "all_hours"), TABLE)
def test_flatten_when_clocks_change_or_the_day_is_half_then_at_the_hand_worked_instant(day, regular, all_hours):
    session = calendar_for("CME_EQUITY").session(date.fromisoformat(day))
    for hours, expected in (("regular", regular), ("all", all_hours)):
        door = OneDoor(RiskConfig.model_validate({"hours": hours}))
        assert from_ns(door.flatten_ns(session)) == utc(expected), hours
        # The guard beside it, which knows nothing of the door, waits for the same moment.
        guard = Hours(is_regular_only=hours == "regular", flatten_before_close_minutes=5)
        assert guard.window(session)[1] == door.flatten_ns(session)


@pytest.mark.parametrize("day", ["2025-11-27", "2025-12-25", "2026-01-01"])
def test_flatten_when_the_exchange_has_no_trade_date_then_there_is_no_session(day):
    assert calendar_for("CME_EQUITY").session(date.fromisoformat(day)) is None
