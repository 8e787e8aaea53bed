"""Rows that wake are gathered whole, in order, as far as there is room."""

from __future__ import annotations

import numpy as np
import pytest

from sovereign.kernels.waking import gather_waking

ROW = np.dtype([("known_at", np.int64), ("wake", np.bool_), ("value", np.float64)], align=True)


def rows() -> np.ndarray:
    made = np.zeros(6, ROW)
    made["known_at"], made["value"] = np.arange(6) * 10, [0.5, np.nan, 2.5, -1.0, 4.5, 5.5]
    made["wake"] = [True, False, True, True, False, True]
    return made


@pytest.mark.parametrize(("first", "places"), [(0, [0, 2, 3, 5]), (1, [2, 3, 5]), (4, [5]), (6, [])])
def test_gather_when_there_is_room_then_those_that_wake_follow_each_other(first, places):
    found, index = np.zeros(8, ROW), np.full(8, -1, np.int64)
    assert gather_waking(rows(), first, found, index, 2) == 2 + len(places)
    assert index[2 : 2 + len(places)].tolist() == places
    np.testing.assert_array_equal(found[2 : 2 + len(places)], rows()[places])
    assert not found[:2]["wake"].any()


def test_gather_when_there_is_no_room_then_says_how_much_is_needed_and_writes_nothing_beyond():
    found, index = np.zeros(3, ROW), np.full(3, -1, np.int64)
    assert gather_waking(rows(), 0, found, index, 0) == 4
    assert index.tolist() == [0, 2, 3]
