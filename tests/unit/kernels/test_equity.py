"""What a position is worth on the way, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sovereign.kernels.equity import add_profit

TS = np.array([10, 20, 20, 30], np.int64)
PRICE = np.array([100, 90, 105, 110], np.int32)
TIMES = np.array([10, 11, 20, 21, 99], np.int64)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (0, [7, 0, 0, 10, 20]),  # before its first tick; then 100, 100, 105 (the later of one time), 110, bought two for 200
        (2, [-20, -20, -20, 10, 20]),  # two ticks are known already, though the second is no earlier than 20
        (4, [20, 20, 20, 20, 20]),
    ],
)
def test_profit_when_long_then_is_that_of_the_latest_tick_before_each_time(seen, expected):
    profit = np.zeros(5, np.int64)
    add_profit(TS, PRICE, seen, 2, 200, 7, TIMES, profit)
    np.testing.assert_array_equal(profit, expected)


def test_profit_when_several_are_held_then_they_add_up():
    profit = np.zeros(5, np.int64)
    add_profit(TS, PRICE, 0, 2, 200, 7, TIMES, profit)
    add_profit(TS, PRICE, 0, -1, -100, 1, TIMES, profit)  # sold short at 100
    np.testing.assert_array_equal(profit, [8, 0, 0, 5, 10])
