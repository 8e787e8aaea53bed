"""The queues at the best bid and offer of a simulated market: what trades take, and what comes and goes beside them.

Randomness comes in as arrays of whole units, one row a trade and one row a step of time, so that what is written of a moment
depends on nothing after it. Times are nanoseconds, prices ticks. No NaN occurs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sovereign.kernels.compile import kernel


@kernel
def quote_queues(
    trades: Any,
    unknown: int,
    at_moves: Any,
    at_steps: Any,
    span: Any,
    lot: int,
    weight: float,
    spread: int,
    first_side: int,
    out_ts: Any,
    out: Any,
) -> int:
    """Write the quote after each change; return how many rows there are.

    A trade first shows the quote that it met, when its prices are others than before (a side whose price is new has a queue of
    its own, `at_moves`), then takes its size from the queue it hit; one lot is left as long as the price stands. Between
    trades, every step of time brings each queue `weight` of the way to a size of its own, `at_steps`, in whole lots.

    Parameters
    ----------
    trades : ts (int64) and price, size, side, bid, ask (integers) of n trades. A side of 0 is told by the tick rule, and so is
        a quote that is `unknown` (the least number): who buys at a price meets an offer there, the bid lies `spread` below.
    at_moves, at_steps : int64 (n, 2) and (steps, 2), sizes in units of bid and ask, at least a lot.
    span : start of the first step, length of a step, and where the last one ends, nanoseconds.
    first_side : side of the first trade where the tick rule has no price before it.
    out_ts, out : int64 (2 n + steps,) and int32 (2 n + steps, 4) of bid, ask, their sizes; written.
    """
    ts, price, size, side, bid, ask = trades
    start, step, end = span
    rows = 0
    ticking = first_side
    best_bid, best_ask, bid_size, ask_size = 0, 0, 0, 0
    place = 0
    for i in range(len(ts)):
        if i == 0:
            place = (ts[0] - start) // step + 1
        elif price[i] != price[i - 1]:
            ticking = 1 if price[i] > price[i - 1] else -1
        while start + place * step < ts[i]:
            bid_size = _drawn(bid_size, at_steps[place, 0], weight, lot)
            ask_size = _drawn(ask_size, at_steps[place, 1], weight, lot)
            _write(out_ts, out, rows, start + place * step, best_bid, best_ask, bid_size, ask_size)
            rows += 1
            place += 1
        met_bid, met_ask = _met(price[i], bid[i], ask[i], unknown, ticking, spread)
        if i == 0 or met_bid != best_bid or met_ask != best_ask:
            if i == 0 or met_bid != best_bid:
                bid_size = at_moves[i, 0]
            if i == 0 or met_ask != best_ask:
                ask_size = at_moves[i, 1]
            best_bid, best_ask = met_bid, met_ask
            _write(out_ts, out, rows, ts[i], best_bid, best_ask, bid_size, ask_size)
            rows += 1
        aggressor = side[i] if side[i] != 0 else ticking
        if aggressor > 0:
            ask_size = max(lot, ask_size - size[i])
        else:
            bid_size = max(lot, bid_size - size[i])
        _write(out_ts, out, rows, ts[i], best_bid, best_ask, bid_size, ask_size)
        rows += 1
    while len(ts) and start + place * step < end:
        bid_size = _drawn(bid_size, at_steps[place, 0], weight, lot)
        ask_size = _drawn(ask_size, at_steps[place, 1], weight, lot)
        _write(out_ts, out, rows, start + place * step, best_bid, best_ask, bid_size, ask_size)
        rows += 1
        place += 1
    return rows


@kernel
def _met(price: int, bid: int, ask: int, unknown: int, ticking: int, spread: int) -> tuple[int, int]:
    """Return the quote that a trade met: its own, or the one that the tick rule tells."""
    if bid > unknown and ask > unknown:
        return bid, ask
    return (price - spread, price) if ticking > 0 else (price, price + spread)


@kernel
def _drawn(size: int, toward: int, weight: float, lot: int) -> int:
    """Return a queue after a step of time, in whole lots, at least one."""
    change = int(np.floor(weight * (toward - size) / lot + 0.5)) * lot
    return max(lot, size + change)


@kernel
def _write(out_ts: Any, out: Any, row: int, ts: int, bid: int, ask: int, bid_size: int, ask_size: int) -> None:
    out_ts[row] = ts
    out[row, 0], out[row, 1] = bid, ask
    out[row, 2], out[row, 3] = bid_size, ask_size
