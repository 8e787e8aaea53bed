"""Where a resting order meets the tape: scans over trade columns.

Every scan takes int32 price ticks and int32 sizes, looks at rows `start`..`stop` only, and returns an index (equal to `stop`
when nothing happens) with the state after the rows it passed. Integers in, integers out; there is no NaN here. The state an
order carries (lots queued ahead of it, best price seen by a trailing stop) moves one row at a time, so cutting a range in two
gives the same answer as scanning it whole.
"""

from __future__ import annotations

from sovereign.core.columns import Int32
from sovereign.kernels.compile import kernel

_STRIDE = 64


@kernel
def first_outside(price: Int32, start: int, stop: int, low: int, high: int) -> int:
    """Return the first row in `start`..`stop` with `price < low` or `price > high`, else `stop`.

    NumPy: `start + argmax((p < low) | (p > high))`. Blocks of 64 rows are tested with one vector reduction each.
    """
    i = start
    while i + _STRIDE <= stop:
        outside = 0
        for k in range(i, i + _STRIDE):
            outside |= (price[k] < low) | (price[k] > high)
        if outside:
            break
        i += _STRIDE
    for k in range(i, stop):
        if price[k] < low or price[k] > high:
            return k
    return stop


@kernel
def limit_event(
    price: Int32, size: Int32, start: int, stop: int, limit: int, sign: int, through_ticks: int, queue: int
) -> tuple[int, int, int]:
    """Find where a resting limit order next trades.

    Parameters
    ----------
    limit, sign : limit price in ticks, +1 for a buy and -1 for a sell.
    through_ticks : how far beyond the limit the tape must trade before the order is filled whatever its queue (0 = touch).
    queue : lots ahead of the order at its price; trades at the price consume them. Negative: a touch never fills.

    Returns
    -------
    (index, lots, queue) : lots is -1 when the tape traded `through_ticks` beyond, else the lots left for the order at the
    touch; queue is what remains ahead after the rows up to and including `index`.
    """
    low, high = (limit + 1, 2**31 - 1) if sign > 0 else (-(2**31), limit - 1)
    i = start
    while True:
        i = first_outside(price, i, stop, low, high)
        if i >= stop:
            return stop, 0, queue
        beyond = (limit - price[i]) * sign
        if beyond >= through_ticks:
            return i, -1, queue
        if queue >= 0:
            if size[i] > queue:
                return i, size[i] - queue, 0
            queue -= size[i]
        i += 1


@kernel
def trailing_event(price: Int32, start: int, stop: int, best: int, trail: int, sign: int) -> tuple[int, int]:
    """Find where a trailing stop triggers: `trail` ticks back from the best price since it became active.

    `sign` is that of the stop order: -1 (sell) trails the highest price, +1 (buy) the lowest. Returns (index, best).
    """
    for i in range(start, stop):
        p = price[i]
        if (p - best) * sign < 0:
            best = p
        elif (p - best) * sign >= trail:
            return i, best
    return stop, best


@kernel
def extent(price: Int32, start: int, stop: int) -> tuple[int, int]:
    """Return the lowest and highest price of rows `start`..`stop`, which must not be empty."""
    low = price[start]
    high = price[start]
    for i in range(start, stop):
        low = min(low, price[i])
        high = max(high, price[i])
    return low, high
