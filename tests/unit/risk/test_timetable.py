"""A session's times agree with the clock on the wall, on every kind of day."""

from __future__ import annotations

from dataclasses import replace

import pytest
from risk_cases import HALF_DAY, THURSDAY, utc

from sovereign.core.session import NS_PER_MINUTE, Session
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.timetable import Timetable
from sovereign.risk.window import Schedule, Window, parse_news

# Clocks go back on Sunday 2025-11-02 at 02:00 in New York (06:00 UTC), inside this made-up session.
CLOCK_CHANGE = replace(THURSDAY, open_ns=utc("2025-11-01 23:00"), close_ns=utc("2025-11-02 22:00"))
WINDOWS = ("12:00-13:00", "23:30-00:30", "01:15-01:45", "18:00-17:00")


@pytest.mark.parametrize("session", [THURSDAY, HALF_DAY, CLOCK_CHANGE])
@pytest.mark.parametrize("text", WINDOWS)
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", "Asia/Kolkata"])
def test_window_at_when_asked_all_day_then_it_agrees_with_the_clock(session: Session, text: str, zone: str) -> None:
    schedule = Schedule(zone, (Window.parse(text),), ())
    timetable = Timetable(RiskConfig(), schedule, session)
    for ts in range(session.open_ns - 90 * NS_PER_MINUTE, session.close_ns + 90 * NS_PER_MINUTE, 15 * NS_PER_MINUTE):
        for near in (ts - 1, ts):
            assert timetable.window_at(near) == schedule.window_at(near)


def test_news_at_when_asked_inside_and_outside_the_session_then_found() -> None:
    news = parse_news(["2025-11-20T15:00:00Z CPI", "2025-11-21T15:00:00Z later"], 5, 5)
    timetable = Timetable(RiskConfig(), Schedule("UTC", (), news), THURSDAY)
    found = [timetable.news_at(utc(when)) for when in ("2025-11-20 14:54:59", "2025-11-20 14:55", "2025-11-21 15:00")]
    assert [None if item is None else item.name for item in found] == [None, "CPI", "later"]


def test_hours_when_the_session_is_known_then_said_in_its_own_zone() -> None:
    timetable = Timetable(RiskConfig(), Schedule("UTC", (), ()), HALF_DAY)
    assert timetable.hours == "09:30-12:45 America/New_York (regular hours)"
    assert (timetable.first_ns, timetable.end_ns) == (utc("2025-11-28 14:30"), utc("2025-11-28 17:45"))
