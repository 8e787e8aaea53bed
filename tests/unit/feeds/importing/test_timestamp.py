"""Times as vendors write them. Expected values: GNU date -d '...' +%s."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from sovereign.core.errors import UsageError
from sovereign.feeds.importing.timestamp import check_zone, to_ns

SECOND = 1_703_545_200  # 2023-12-25 23:00:00 UTC
NS = 10**9


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2023-12-25T23:00:00Z", SECOND * NS),
        ("2023-12-25T23:00:00.123456789Z", SECOND * NS + 123_456_789),
        ("2023-12-25 23:00:00.5", SECOND * NS + 500_000_000),
        ("2023-12-25T18:00:00-05:00", SECOND * NS),
        ("2023-12-25 18:00:00.25-0500", SECOND * NS + 250_000_000),
        ("2023-12-25 23:00:00+00:00", SECOND * NS),
        ("2023.12.25 23:00:00.007", SECOND * NS + 7_000_000),
        ("2023/12/25 23:00:00", SECOND * NS),
        ("12/25/2023 23:00:00", SECOND * NS),
        ("25.12.2023 23:00:00", SECOND * NS),
        ("20231225 230000", SECOND * NS),
        ("20231225230000", SECOND * NS),
        ("2023-12-25 23:00", SECOND * NS),
        ("2023-12-25", (SECOND - 23 * 3600) * NS),
        ("20231225", (SECOND - 23 * 3600) * NS),
        (str(SECOND), SECOND * NS),
        (f"{SECOND}.250000001", SECOND * NS + 250_000_001),
        (f"{SECOND}123", SECOND * NS + 123_000_000),
        (f"{SECOND}123456", SECOND * NS + 123_456_000),
        (f"{SECOND}123456789", SECOND * NS + 123_456_789),
    ],
)
def test_read_when_text_is_of_a_common_form_then_exact_ns(written: str, expected: int) -> None:
    found, how, twice = to_ns(pl.Series([written, written]), "UTC")
    assert found.to_list() == [expected, expected]
    assert twice == 0
    assert how


@pytest.mark.parametrize("scale", [1, 10**3, 10**6, 10**9])
def test_read_when_integers_then_the_unit_follows_from_the_size(scale: int) -> None:
    assert to_ns(pl.Series([SECOND * scale]), "UTC")[0].to_list() == [SECOND * NS]


def test_read_when_temporal_columns_then_their_own_unit_and_zone() -> None:
    moment = datetime(2023, 12, 25, 23, tzinfo=UTC)
    for unit in ("ms", "us", "ns"):
        assert to_ns(pl.Series([moment]).cast(pl.Datetime(unit, "UTC")), "America/New_York")[0].to_list() == [SECOND * NS]
    assert to_ns(pl.Series([datetime(2023, 12, 25, 18)]), "America/New_York")[0].to_list() == [SECOND * NS]  # noqa: DTZ001
    assert to_ns(pl.Series([date(2023, 12, 25)]), "UTC")[0].to_list() == [(SECOND - 23 * 3600) * NS]


def test_read_when_zone_is_given_then_both_sides_of_a_clock_change_are_right() -> None:
    # New York 2024-03-10: 02:00 does not exist. 2024-11-03: 01:30 exists twice, first at 05:30 UTC.
    values = pl.Series(["2024-03-10 01:59:59", "2024-03-10 02:30:00", "2024-03-10 03:00:00", "2024-11-03 01:30:00"])
    found, _, twice = to_ns(values, "America/New_York")
    assert found.to_list() == [1_710_053_999 * NS, None, 1_710_054_000 * NS, 1_730_611_800 * NS]
    assert twice == 1


def test_read_when_some_cells_are_not_times_then_null_there() -> None:
    found, _, _ = to_ns(pl.Series(["2023-12-25T23:00:00Z", "yesterday", "", None]), "UTC")
    assert found.to_list() == [SECOND * NS, None, None, None]


def test_read_when_no_cell_is_a_time_then_all_null() -> None:
    assert to_ns(pl.Series(["a", "b"]), "UTC")[0].to_list() == [None, None]
    assert to_ns(pl.Series([None, ""], dtype=pl.String), "UTC")[0].to_list() == [None, None]


def test_zone_when_unknown_then_usage_error() -> None:
    assert check_zone("America/Chicago") == "America/Chicago"
    with pytest.raises(UsageError, match="zone was 'CT'"):
        check_zone("CT")
