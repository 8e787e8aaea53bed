"""Windows and news lists."""

from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest
from risk_cases import utc

from sovereign.core.errors import ConfigurationError, UsageError
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.window import News, Schedule, Window, parse_news, read_news


def test_window_when_it_spans_midnight_then_both_evenings_lie_inside() -> None:
    window = Window.parse("23:30-00:30")
    assert [window.contains(t) for t in (time(23, 29), time(23, 30), time(0, 29), time(0, 30))] == [False, True, True, False]
    assert str(window) == "23:30-00:30"


@pytest.mark.parametrize("text", ["noon", "12:00", "12:00-25:00", "12:00-12:00", "1200-1300", ""])
def test_window_when_it_does_not_read_then_the_message_shows_how(text: str) -> None:
    with pytest.raises(UsageError, match=r"window was"):
        Window.parse(text)
    with pytest.raises(ValueError, match="window was"):
        RiskConfig(excluded_windows=(text,))


def test_schedule_when_clocks_change_then_the_window_follows_new_york() -> None:
    schedule = Schedule("America/New_York", (Window.parse("12:00-13:00"),), ())
    # noon is 16:00 UTC on the last summer Friday and 17:00 on the first winter Monday
    assert schedule.window_at(utc("2025-10-31 16:30")) is not None
    assert schedule.window_at(utc("2025-11-03 16:30")) is None
    assert schedule.window_at(utc("2025-11-03 17:30")) is not None


def test_news_when_a_moment_then_padded_and_an_interval_then_as_written() -> None:
    news = parse_news(["2025-12-10T14:00:00-05:00 FOMC decision", "2025-11-20T13:00:00Z/2025-11-20T14:00:00Z"], 2, 10)
    assert news == (
        News(utc("2025-11-20 13:00"), utc("2025-11-20 14:00"), "2025-11-20T13:00:00Z/2025-11-20T14:00:00Z"),
        News(utc("2025-12-10 18:58"), utc("2025-12-10 19:10"), "FOMC decision"),
    )


@pytest.mark.parametrize(
    "line", ["FOMC", "2025-12-10T19:00:00", "2025-12-10T19:00:00Z/2025-12-10T18:00:00Z", "2025-12-10T19:00:00Z/x"]
)
def test_news_when_it_does_not_read_then_refused(line: str) -> None:
    with pytest.raises(UsageError, match="news was"):
        parse_news([line], 0, 0)
    with pytest.raises(ValueError, match="news was"):
        RiskConfig(news=(line,))


def test_news_file_when_read_then_comments_and_blanks_are_skipped(tmp_path: Path) -> None:
    file = tmp_path / "news.txt"
    file.write_text("# releases\n\n2025-11-20T13:30:00Z  payrolls # late\n")
    assert read_news(str(file), 0, 1) == (News(utc("2025-11-20 13:30"), utc("2025-11-20 13:31"), "payrolls"),)


def test_news_file_when_a_line_does_not_read_then_the_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "news.txt"
    file.write_text("soon\n")
    with pytest.raises(ConfigurationError, match=r"news\.txt.*news was 'soon'"):
        read_news(str(file), 0, 0)


@pytest.mark.parametrize("key", ["daily_profit_target", "max_quantity", "news_file"])
def test_configuration_when_none_is_written_as_a_word_then_it_is_none(key: str) -> None:
    assert getattr(RiskConfig.model_validate({key: "none"}), key) is None


def test_configuration_when_entries_outlast_the_flattening_then_refused() -> None:
    with pytest.raises(ValueError, match="entries must end before"):
        RiskConfig(last_entry_before_close_minutes=4)


def test_configuration_when_the_zone_is_no_zone_then_refused() -> None:
    with pytest.raises(ValueError, match="IANA name"):
        RiskConfig(clock_zone="Mars/Olympus")
