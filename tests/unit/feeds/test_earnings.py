"""The earnings calendar: what was known when, the blackout, and that the unknown blocks."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from sovereign.core.errors import DataError, NotFoundError
from sovereign.core.session import NS_PER_HOUR, to_ns
from sovereign.feeds.earnings import EarningsConfig, EarningsState, read_earnings
from sovereign.feeds.universe import UniverseConfig


def at(text):
    return to_ns(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("America/New_York")))


def calendar(tmp_path, *lines, **config):
    file = tmp_path / "earnings.csv"
    file.write_text("\n".join(["symbol,date,when,as_of", *lines]) + "\n")
    return read_earnings(EarningsConfig(file=file, **config))


NVDA = "NVDA,2026-02-25,after,2026-01-10"


@pytest.mark.parametrize(
    ("moment", "state"),
    [
        ("2026-02-20 10:00", EarningsState.CLEAR),
        ("2026-02-23 15:59", EarningsState.CLEAR),
        ("2026-02-23 16:00", EarningsState.BLACKOUT),  # 48 h before the close of the day on which it reports after
        ("2026-02-25 20:00", EarningsState.BLACKOUT),
        ("2026-02-26 09:30", EarningsState.UNKNOWN),  # the next report is not in the file
    ],
)
def test_calendar_when_asked_then_blackout_of_two_days_before_the_report(tmp_path, moment, state):
    assert calendar(tmp_path, NVDA).at("NVDA", at(moment)).state is state


def test_calendar_when_the_report_is_before_the_open_then_the_blackout_begins_at_midnight_two_days_before(tmp_path):
    found = calendar(tmp_path, "JPM,2026-01-13,before,2025-12-01")
    assert found.at("JPM", at("2026-01-10 23:59")).state is EarningsState.CLEAR
    assert found.at("JPM", at("2026-01-11 00:00")).state is EarningsState.BLACKOUT


@pytest.mark.parametrize("symbol", ["TSM", "NVDA"])
def test_calendar_when_nothing_is_known_then_blocked(tmp_path, symbol):
    found = calendar(tmp_path, NVDA).at(symbol, at("2026-01-05 10:00"))  # of NVDA nothing was known yet either
    assert found.state is EarningsState.UNKNOWN
    assert found.is_blocked
    assert symbol in found.reason


def test_calendar_when_there_is_no_file_then_everything_is_blocked():
    assert read_earnings(EarningsConfig()).at("NVDA", 1).is_blocked


def test_calendar_when_a_date_moved_then_what_was_known_then_counts(tmp_path):
    found = calendar(tmp_path, NVDA, "NVDA,2026-03-04,after,2026-02-10")
    assert found.at("NVDA", at("2026-02-09 10:00")).report_ns == at("2026-02-25 16:00")
    assert found.at("NVDA", at("2026-02-24 10:00")).state is EarningsState.CLEAR
    assert found.at("NVDA", at("2026-03-03 10:00")).state is EarningsState.BLACKOUT


def test_calendar_when_known_as_of_a_date_then_from_the_next_day_on(tmp_path):
    found = calendar(tmp_path, NVDA)
    assert found.at("NVDA", at("2026-01-10 23:59")).state is EarningsState.UNKNOWN
    assert found.at("NVDA", at("2026-01-11 00:00")).state is EarningsState.CLEAR


def test_calendar_when_its_word_is_old_then_unknown(tmp_path):
    found = calendar(tmp_path, "NVDA,2026-11-20,after,2026-01-10").at("NVDA", at("2026-06-01 10:00"))
    assert found.state is EarningsState.UNKNOWN
    assert "days old" in found.reason


def test_calendar_when_one_word_names_several_reports_then_all_hold(tmp_path):
    lines = ["NVDA,2026-02-25,after,2026-01-10", "NVDA,2026-05-27,after,2026-01-10"]
    found = calendar(tmp_path, *lines, max_age_days=400)
    assert found.at("NVDA", at("2026-02-24 16:00")).state is EarningsState.BLACKOUT
    assert found.at("NVDA", at("2026-03-02 10:00")).report_ns == at("2026-05-27 16:00")


def test_calendar_when_the_day_after_counts_then_blocked_too(tmp_path):
    lines = [NVDA, "NVDA,2026-05-27,after,2026-02-26T08:00:00-05:00"]
    found = calendar(tmp_path, *lines, after_h=24)
    assert found.at("NVDA", at("2026-02-26 15:00")).state is EarningsState.BLACKOUT
    assert found.at("NVDA", at("2026-02-27 15:00")).state is EarningsState.CLEAR


@pytest.mark.parametrize(
    "line",
    [
        "NVDA,25.02.2026,after,2026-01-10",
        "NVDA,2026-02-25,evening,2026-01-10",
        "NVDA,2026-02-25,after,",
        "NVDA,2026-02-25",
        "NVDA,2026-02-25,after,2026-01-10T09:00:00",
        "NVDA,9999-12-31,after,9999-12-31",
    ],
)
def test_file_when_a_line_is_not_understood_then_said_which(tmp_path, line):
    with pytest.raises(DataError, match="line 2"):
        calendar(tmp_path, line)


def test_file_when_not_there_or_without_a_column_then_said_so(tmp_path):
    with pytest.raises(NotFoundError, match="is not there"):
        read_earnings(EarningsConfig(file=tmp_path / "none.csv"))
    file = tmp_path / "x.csv"
    file.write_text("symbol,date\n")
    with pytest.raises(DataError, match="no column when, as_of"):
        read_earnings(EarningsConfig(file=file))


@pytest.mark.parametrize("place", [".", "/dev/zero"])
def test_file_when_the_path_is_no_file_then_said_so_at_once(tmp_path, place):
    with pytest.raises(DataError, match="is no file"):
        read_earnings(EarningsConfig(file=tmp_path / place))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00\x01", b"date,when,as_of,symbol\n2026-02-25,after,2026-01-10\n"])
def test_file_when_it_is_no_calendar_then_refused_in_our_words(tmp_path, content):
    file = tmp_path / "x.csv"
    file.write_bytes(content)
    with pytest.raises(DataError):
        read_earnings(EarningsConfig(file=file))


def test_blackout_when_changed_then_as_long_as_said(tmp_path):
    moment = at("2026-02-25 16:00") - 3 * NS_PER_HOUR
    assert not calendar(tmp_path, NVDA, blackout_h=2).at("NVDA", moment).is_blocked


class TestUniverse:
    def test_universe_when_as_shipped_then_ten_targets_two_benchmarks_and_tsm(self):
        universe = UniverseConfig()
        assert len(universe.targets) == 10
        assert universe.benchmarks == ("SPY", "QQQ")
        assert universe.groups_of("PLTR") == ("tech_growth", "crypto_proxy")
        assert universe.groups_of("TSM") == ("international",)
        assert set(universe.ciks) == set(universe.targets)
        assert universe.symbols[-2:] == ("SPY", "QQQ")

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"targets": ("TSMC",)}, "write TSM"),
            ({"targets": ("SPY",)}, "never traded"),
            ({"targets": ("AAPL",)}, "no sector group"),
        ],
    )
    def test_universe_when_it_does_not_fit_then_refused(self, change, words):
        with pytest.raises(ValidationError, match=words):
            UniverseConfig.model_validate(change)
