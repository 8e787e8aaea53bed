"""Session times against a hand-written table of the exchanges' schedules."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from sovereign.core.errors import NotFoundError, UsageError
from sovereign.core.instrument import FUTURES
from sovereign.core.session import to_ns
from sovereign.feeds.calendar import CALENDARS, calendar_for

COLUMNS = 8


def _table() -> list[list[str]]:
    lines = (Path(__file__).parent / "expected_sessions.csv").read_text(encoding="utf-8").splitlines()
    rows = [line.split(",", COLUMNS - 1) for line in lines if line and not line.startswith("#")]
    return rows[1:]


def _utc(text: str) -> int:
    return to_ns(datetime.fromisoformat(text).replace(tzinfo=UTC))


@pytest.mark.parametrize("row", _table(), ids=lambda row: f"{row[0]}-{row[1]}")
def test_session_when_trade_date_is_in_the_published_table_then_times_match(row: list[str]) -> None:
    name, day, opened, closed, regular_open, regular_close, breaks, _ = row
    session = calendar_for(name).session(date.fromisoformat(day))
    if opened == "-":
        assert session is None
        return
    assert session is not None
    assert session.open_ns == _utc(opened)
    assert session.close_ns == _utc(closed)
    assert session.regular_open_ns == _utc(regular_open)
    assert session.regular_close_ns == _utc(regular_close)
    expected = tuple(tuple(_utc(t) for t in pause.split("/")) for pause in breaks.split(";")) if breaks else ()
    assert session.breaks == expected
    assert session.calendar == name
    assert session.zone == "America/New_York"


def test_session_of_when_tick_is_on_christmas_evening_then_trade_date_is_the_next_day() -> None:
    # The first print of ESH4 after Christmas 2023: 23:00:00.085 UTC on the 25th.
    session = calendar_for("CME_EQUITY").session_of(_utc("2023-12-25T23:00:00.085275"))
    assert session is not None
    assert session.trade_date == date(2023, 12, 26)


@pytest.mark.parametrize(
    ("name", "moment", "trade_date"),
    [
        ("CME_EQUITY", "2024-05-01T21:30", None),  # maintenance, 17:30 New York
        ("CME_EQUITY", "2024-05-01T22:00", date(2024, 5, 2)),
        ("CME_EQUITY", "2024-05-04T12:00", None),  # Saturday
        ("CME_EQUITY", "2024-07-04T14:00", date(2024, 7, 5)),  # holiday morning trades for the fifth
        ("CME_EQUITY", "2025-07-04T14:00", date(2025, 7, 7)),
        ("CME_EQUITY", "2023-12-25T22:59:59", None),
        ("CME_EQUITY", "2024-12-31T21:59:59", date(2024, 12, 31)),
        ("CME_EQUITY", "2025-01-01T23:00", date(2025, 1, 2)),
        ("XNYS", "2025-01-01T00:59:59", date(2024, 12, 31)),  # late trading of New Year's Eve
        ("XNYS", "2025-01-01T01:00", None),
        ("XNYS", "2024-05-01T07:59:59", None),
    ],
)
def test_session_of_when_asked_at_an_edge_then_left_closed_right_open(name: str, moment: str, trade_date: date | None) -> None:
    session = calendar_for(name).session_of(_utc(moment))
    assert (session.trade_date if session else None) == trade_date


def test_is_open_when_inside_a_holiday_halt_then_false() -> None:
    halted = _utc("2024-07-04T18:00")
    session = calendar_for("CME_EQUITY").session_of(halted)
    assert session is not None
    assert not session.is_open(halted)
    assert session.is_open(_utc("2024-07-04T22:00"))


def test_is_regular_when_nyse_is_closed_then_never() -> None:
    session = calendar_for("CME_EQUITY").session(date(2026, 4, 3))
    assert session is not None
    assert session.regular_open_ns == session.regular_close_ns
    assert session.is_early_close


def test_sessions_when_year_is_2025_then_count_is_weekdays_less_holidays() -> None:
    # 261 weekdays; NYSE: 10 holidays and the Day of Mourning. CME equity trades the mourning morning as its own date.
    start, end = date(2025, 1, 1), date(2025, 12, 31)
    assert len(calendar_for("XNYS").sessions(start, end)) == 250
    assert len(calendar_for("CME_EQUITY").sessions(start, end)) == 251
    assert len(calendar_for("CME_METALS").sessions(start, end)) == 251


def test_session_when_asked_twice_then_the_same_object() -> None:
    assert calendar_for("CME_EQUITY") is calendar_for("CME_EQUITY")
    assert calendar_for("XNYS").session(date(2024, 5, 1)) is calendar_for("XNYS").session(date(2024, 5, 1))


def test_calendar_for_when_instrument_is_supported_then_it_exists() -> None:
    assert {future.calendar for future in FUTURES.values()} | {"XNYS", "CRYPTO"} == set(CALENDARS)


def test_calendar_for_when_name_is_unknown_then_error_suggests() -> None:
    with pytest.raises(NotFoundError, match=r"was 'CME_EQUTY' \(did you mean 'CME_EQUITY'\?\)"):
        calendar_for("CME_EQUTY")


def test_session_when_date_is_before_the_hours_are_known_then_usage_error() -> None:
    with pytest.raises(UsageError, match="from 2015-09-21 on"):
        calendar_for("CME_EQUITY").session(date(2012, 5, 1))
    with pytest.raises(UsageError, match="2012-05-01"):
        calendar_for("CME_EQUITY").session_of(_utc("2012-05-01T12:00"))


def test_sessions_when_range_is_reversed_then_usage_error() -> None:
    with pytest.raises(UsageError, match="must not be before"):
        calendar_for("XNYS").sessions(date(2025, 1, 2), date(2025, 1, 1))


def test_crypto_when_a_year_is_listed_then_every_day_trades_around_the_clock_in_utc() -> None:
    sessions = calendar_for("CRYPTO").sessions(date(2024, 1, 1), date(2024, 12, 31))
    assert len(sessions) == 366
    assert all(s.close_ns - s.open_ns == 86_400 * 10**9 for s in sessions)
    assert [s.close_ns for s in sessions[:-1]] == [s.open_ns for s in sessions[1:]]
    saturday = calendar_for("CRYPTO").session_of(to_ns(datetime(2024, 3, 9, 23, 59, 59, tzinfo=UTC)))
    assert saturday is not None
    assert saturday.trade_date == date(2024, 3, 9)
    assert saturday.is_regular(saturday.open_ns)


def test_crypto_when_before_the_first_block_then_says_from_when_it_knows() -> None:
    with pytest.raises(UsageError, match="2009-01-03"):
        calendar_for("CRYPTO").session(date(2008, 12, 31))
