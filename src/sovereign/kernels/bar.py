"""Where a bar ends: the index of its last tick, found before the bar's ticks are read for anything else.

Indices are half-open: a bar takes the ticks `start..stop`. A finder returns `(stop, complete)`; `complete` says whether the
tick before `stop` closed the bar. Times are UTC nanoseconds, non-decreasing. Nothing here looks ahead of the closing tick.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from sovereign.kernels.compile import kernel


class BarKind(IntEnum):
    """What closes a bar: a clock, a number of trades, a volume, or a price range."""

    TIME = 0
    TICK = 1
    VOLUME = 2
    RANGE = 3


@kernel
def first_at_or_after(ts: Any, moment: int, start: int, stop: int) -> int:
    """Return the first index in `start..stop` with `ts >= moment`, or `stop` (as `searchsorted` does)."""
    if start >= stop or ts[stop - 1] < moment:
        return stop
    low, high = start, stop - 1
    while low < high:
        middle = (low + high) >> 1
        if ts[middle] < moment:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def bar_interval(ts: int, anchor: int, length: int, session_close: int) -> tuple[int, int]:
    """Return the time bar `[open, end)` that holds `ts`, on the grid of `anchor`, never across the session's close."""
    start = anchor + ((ts - anchor) // length) * length
    end = start + length
    if ts < session_close:
        end = min(end, session_close)
    else:
        start = max(start, session_close)
    return start, end


@kernel
def tick_bar_end(start: int, stop: int, trades: int, length: int) -> tuple[int, bool]:
    """Close with the tick that makes `length` trades, `trades` of them being in the bar already."""
    end = start + length - trades
    return (end, True) if end <= stop else (stop, False)


@kernel
def volume_bar_end(size: Any, start: int, stop: int, volume: int, length: int) -> tuple[int, bool]:
    """Close with the tick that brings the bar's volume to `length` or beyond; a trade is never split."""
    for i in range(start, stop):
        volume += int(size[i])
        if volume >= length:
            return i + 1, True
    return stop, False


@kernel
def range_bar_end(price: Any, start: int, stop: int, low: int, high: int, length: int) -> tuple[int, bool]:
    """Close with the tick that makes high minus low `length` ticks or more; `low > high` says that the bar is empty."""
    for i in range(start, stop):
        px = int(price[i])
        if low > high:
            low = px
            high = px
        low = min(low, px)
        high = max(high, px)
        if high - low >= length:
            return i + 1, True
    return stop, False
