"""What a position is worth on the way."""

from __future__ import annotations

from typing import Any

import numpy as np

from sovereign.kernels.compile import kernel


@kernel
def add_profit(ts: Any, price: Any, seen: int, held: int, cost: int, before: int, times: Any, profit: Any) -> None:
    """Add a position's floating profit at some times to `profit` (ticks, int64).

    Parameters
    ----------
    ts, price : of a block's ticks, UTC ns in order, and ticks. seen : how many of them are known already.
    held, cost : units, negative when short, and what they cost (ticks). before : the profit before the block's first tick.
    times : UTC ns; the last price is that of the latest tick before each, or of the last one known already.
    """
    for n in range(len(times)):
        last = max(np.searchsorted(ts, times[n]), seen) - 1
        profit[n] += before if last < 0 else np.int64(price[last]) * held - cost
