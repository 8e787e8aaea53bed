"""Records copied whole: the values are those that NumPy's own copy would have, whatever lies between the fields."""

from __future__ import annotations

import numpy as np
import pytest

from sovereign.core.columns import take_records

GAPPED = np.dtype([("flag", np.bool_), ("price", np.float64), ("size", np.int32), ("ts", np.int64)], align=True)


def records(count=7):
    rows = np.zeros(count, GAPPED)
    rows["flag"] = np.arange(count) % 2 == 1
    rows["price"] = np.arange(count) * 0.25
    rows["size"] = -np.arange(count)
    rows["ts"] = np.arange(count) * 10**12
    return rows


def test_records_when_taken_then_are_a_copy_of_their_own():
    rows = records()
    taken = take_records(rows)
    rows["price"] = 0.0
    assert taken.dtype is rows.dtype or taken.dtype == rows.dtype
    assert taken["price"].tolist() == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5]


@pytest.mark.parametrize("index", [[], [3], [6, 0, 0], np.array([5, 1])])
def test_records_when_some_are_taken_then_are_those(index):
    rows = records()
    place = np.asarray(index, np.int64)
    np.testing.assert_array_equal(take_records(rows, place), rows[place])


def test_records_when_they_do_not_lie_side_by_side_then_are_copied_all_the_same():
    rows = records()
    np.testing.assert_array_equal(take_records(rows[::2]), rows[::2])
    np.testing.assert_array_equal(take_records(rows[::2], np.array([1, 2])), rows[[2, 4]])
