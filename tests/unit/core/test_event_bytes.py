"""The canonical bytes of events: equal values give equal bytes."""

from datetime import date

import numpy as np

from sovereign.core.event import RowsClosed, encode


def rows_on(background):
    dtype = np.dtype([("flag", np.int8), ("value", np.float64)], align=True)
    memory = np.full(2 * dtype.itemsize, background, np.uint8)
    rows = memory.view(dtype)
    rows["flag"] = 1
    rows["value"] = [0.5, np.nan]
    return rows


def closed(rows):
    return RowsClosed(ts=1, trade_date=date(2025, 11, 20), symbol="ESZ5", rows=rows, candidates=rows[:0])


def test_encode_when_padding_of_aligned_rows_differs_then_bytes_are_equal():
    one, other = rows_on(0), rows_on(255)
    assert one.tobytes() != other.tobytes()
    events = [closed(one), closed(other)]
    assert encode(events[0]) == encode(events[1])


def test_encode_when_a_field_differs_then_bytes_differ():
    one, other = rows_on(0), rows_on(0)
    other["value"][0] = 0.25
    events = [closed(one), closed(other)]
    assert encode(events[0]) != encode(events[1])
