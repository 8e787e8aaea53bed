"""The window of levels: one addition per tick, and moves that lose nothing."""

import numpy as np
import pytest

from sovereign.kernels.footprint import (
    ENTRIES,
    STRIDE,
    accumulate,
    clear_levels,
    price_range,
    read_levels,
    shift_window,
    window_base,
)


def _read(table: np.ndarray, base: int, low: int, high: int) -> list[list[int]]:
    columns = np.zeros((3, high - low + 1), np.int64)
    read_levels(table, base, low, high, *columns)
    return columns.tolist()


def test_accumulate_when_sides_differ_then_volume_lands_in_its_column() -> None:
    price = np.array([10, 11, 11, 10, 11], np.int32)
    size = np.array([5, 3, 2, 4, 7], np.int32)
    side = np.array([-1, 1, -1, 0, 1], np.int8)
    table = np.zeros(STRIDE * 8, np.int64)
    # Delta runs -5, -2, -4, -4, 3.
    assert accumulate(price, size, side, 0, 5, table, 8, 0, 0, 0) == (3, -5, 3)
    assert _read(table, 8, 10, 11) == [[5, 2], [0, 10], [9, 12]]
    clear_levels(table, 8, 10, 11)
    assert not table.any()


@pytest.mark.parametrize("side", [-128, -2, 2, 3, 127])
def test_accumulate_when_side_is_no_side_then_nothing_outside_the_level_is_written(side: int) -> None:
    table = np.zeros(STRIDE * 3, np.int64)
    accumulate(np.array([1], np.int32), np.array([1], np.int32), np.array([side], np.int8), 0, 1, table, 0, 0, 0, 0)
    assert table[:STRIDE].tolist() == [0] * STRIDE
    assert table[2 * STRIDE :].tolist() == [0] * STRIDE


def test_price_range_when_part_is_given_then_of_that_part() -> None:
    assert price_range(np.array([9, 4, 7, 5, 1], np.int32), 1, 4) == (4, 7)


@pytest.mark.parametrize("new_base", [0, 3, 4, 5, 6, 7])
def test_shift_window_when_moved_then_levels_keep_their_volume_and_the_rest_is_zero(new_base: int) -> None:
    base, low, high, width = 5, 7, 9, 10
    table = np.zeros(STRIDE * width, np.int64)
    marks = np.arange(1, 1 + STRIDE * 3)
    table[STRIDE * (low - base) : STRIDE * (high - base + 1)] = marks
    shift_window(table, STRIDE, base, low, high, new_base)
    expected = np.zeros_like(table)
    expected[STRIDE * (low - new_base) : STRIDE * (high - new_base + 1)] = marks
    assert table.tolist() == expected.tolist()


def test_window_base_when_range_is_given_then_it_lies_in_the_middle() -> None:
    base = window_base(100, 103, 10)
    assert base == 97
    assert window_base(100, 109, 10) == 100


def test_entries_when_counted_then_a_table_and_three_arrays() -> None:
    assert ENTRIES == STRIDE + 3
