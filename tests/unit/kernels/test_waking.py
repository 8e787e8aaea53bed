"""Rows at some places are gathered whole, in order."""

from __future__ import annotations

import numpy as np
import pytest

from sovereign.kernels.waking import gather

ROW = np.dtype([("known_at", np.int64), ("wake", np.bool_), ("value", np.float64)], align=True)


@pytest.mark.parametrize("places", [[0, 2, 3, 5], [5], []])
def test_gather_when_places_are_given_then_their_rows_follow_what_is_there(places):
    rows = np.zeros(6, ROW)
    rows["known_at"], rows["value"] = np.arange(6) * 10, [0.5, np.nan, 2.5, -1.0, 4.5, 5.5]
    rows["wake"] = [True, False, True, True, False, True]
    found, index = np.zeros(8, ROW), np.full(8, -1, np.int64)
    gather(rows, np.array(places, np.int64), found, index, 2)
    stop = 2 + len(places)
    assert index.tolist() == [-1, -1, *places, *[-1] * (8 - stop)]
    np.testing.assert_array_equal(found[2:stop], rows[places])
    np.testing.assert_array_equal(found[[0, 1, *range(stop, 8)]], np.zeros(8 - len(places), ROW))
