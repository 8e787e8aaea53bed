"""The footprint of a bar: volume per price level and aggressor, in a dense window of levels that follows the price.

A window is a flat int64 table, four entries a level: `[neutral, ask, unused, bid]`, addressed as
`4 * (price - base) + (side & 3)`, so that a tick costs one addition without a branch and no side value can write outside its
level. Ask volume lifted the offer (buyers), bid volume hit the bid (sellers), neutral volume had no aggressor. Prices are
integer ticks, sizes integers; nothing here can be NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sovereign.kernels.compile import kernel

NEUTRAL = 0
ASK = 1
BID = 3
STRIDE = 4
ENTRIES = STRIDE + 3
"""Integers held per level of a window: its table, and behind that three plain arrays (bid, ask, volume) for a closed bar."""

LEVEL = np.dtype([("price", np.int64), ("bid", np.int64), ("ask", np.int64), ("volume", np.int64)])
"""One price level of a closed bar: volume by sellers (`bid`), by buyers (`ask`) and in total."""


@kernel
def price_range(price: Any, start: int, stop: int) -> tuple[int, int]:
    """Return the lowest and highest of `price[start:stop]` (at least one tick)."""
    low = price[start]
    high = low
    for i in range(start + 1, stop):
        px = price[i]
        low = min(low, px)
        high = max(high, px)
    return int(low), int(high)


@kernel
def accumulate(
    price: Any, size: Any, side: Any, start: int, stop: int, table: Any, base: int, delta: int, min_delta: int, max_delta: int
) -> tuple[int, int, int]:
    """Add the ticks `start..stop` to the window and return `(delta, min_delta, max_delta)`.

    Every price must lie inside the window: the caller has looked at the range first.
    """
    for i in range(start, stop):
        units = int(size[i])
        aggressor = int(side[i])
        table[np.uint64(STRIDE * (int(price[i]) - base) + (aggressor & 3))] += units
        delta += units * aggressor
        min_delta = min(min_delta, delta)
        max_delta = max(max_delta, delta)
    return delta, min_delta, max_delta


@kernel
def window_base(low: int, high: int, width: int) -> int:
    """Return the base that puts the prices `low..high` in the middle of a window of `width` levels."""
    return low - (width - (high - low + 1)) // 2


@kernel
def shift_window(table: Any, stride: int, base: int, low: int, high: int, new_base: int) -> None:
    """Move the levels `low..high` of a window from `base` to `new_base` and clear what they leave behind.

    Both places must lie inside the table; every other level must be zero.
    """
    source = stride * (low - base)
    target = stride * (low - new_base)
    count = stride * (high - low + 1)
    if target < source:
        for k in range(count):
            table[target + k] = table[source + k]
        for k in range(max(source, target + count), source + count):
            table[k] = 0
    elif target > source:
        for k in range(count - 1, -1, -1):
            table[target + k] = table[source + k]
        for k in range(source, min(target, source + count)):
            table[k] = 0


@kernel
def read_levels(table: Any, base: int, low: int, high: int, bid: Any, ask: Any, volume: Any) -> None:
    """Copy the levels `low..high` of a window into plain arrays, lowest price first."""
    at = STRIDE * (low - base)
    for k in range(high - low + 1):
        sold = table[at + BID]
        bought = table[at + ASK]
        bid[k] = sold
        ask[k] = bought
        volume[k] = sold + bought + table[at + NEUTRAL]
        at += STRIDE


@kernel
def clear_levels(table: Any, base: int, low: int, high: int) -> None:
    """Zero the levels `low..high`: only what the bar touched."""
    for k in range(STRIDE * (low - base), STRIDE * (high - base + 1)):
        table[k] = 0
