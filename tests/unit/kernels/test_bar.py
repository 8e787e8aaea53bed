"""Where bars end."""

import numpy as np
import pytest

from sovereign.kernels.bar import bar_interval, first_at_or_after, range_bar_end, tick_bar_end, volume_bar_end


@pytest.mark.parametrize(("moment", "expected"), [(5, 0), (10, 0), (11, 1), (20, 1), (21, 4), (30, 4), (31, 5)])
def test_first_at_or_after_when_times_repeat_then_the_first_of_equals(moment: int, expected: int) -> None:
    ts = np.array([10, 20, 20, 20, 30], np.int64)
    assert first_at_or_after(ts, moment, 0, 5) == expected


def test_first_at_or_after_when_range_is_empty_then_stop() -> None:
    assert first_at_or_after(np.empty(0, np.int64), 3, 0, 0) == 0


@pytest.mark.parametrize(
    ("ts", "expected"),
    [
        (1_000, (1_000, 1_300)),  # on the grid
        (1_299, (1_000, 1_300)),
        (999, (700, 1_000)),  # before the anchor: floor, not truncation
        (1_950, (1_900, 2_000)),  # cut by the session's close at 2000
        (2_050, (2_000, 2_200)),  # after the close: a bar that starts there
    ],
)
def test_bar_interval_when_anchored_at_1000_then_on_the_grid_and_inside_the_session(ts: int, expected: tuple[int, int]) -> None:
    assert bar_interval(ts, 1_000, 300, 2_000) == expected


def test_tick_bar_end_when_bar_has_some_trades_then_counts_them() -> None:
    assert tick_bar_end(10, 100, 3, 5) == (12, True)
    assert tick_bar_end(10, 12, 3, 5) == (12, True)
    assert tick_bar_end(10, 11, 3, 5) == (11, False)


def test_volume_bar_end_when_a_trade_crosses_the_length_then_it_belongs_to_the_bar() -> None:
    size = np.array([4, 4, 4, 4], np.int32)
    assert volume_bar_end(size, 0, 4, 0, 10) == (3, True)
    assert volume_bar_end(size, 0, 4, 7, 10) == (1, True)
    assert volume_bar_end(size, 0, 2, 0, 10) == (2, False)


def test_range_bar_end_when_range_is_reached_then_closes_with_that_tick() -> None:
    price = np.array([100, 101, 99, 102, 103], np.int32)
    assert range_bar_end(price, 0, 5, 0, -1, 3) == (4, True)  # 99..102
    assert range_bar_end(price, 0, 1, 98, 101, 3) == (1, True)  # the open bar had it already
    assert range_bar_end(price, 0, 3, 0, -1, 3) == (3, False)
