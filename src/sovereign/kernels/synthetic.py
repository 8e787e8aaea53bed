"""The sequential half of the synthetic market: when trades arrive and what the quote does, one pass over columns.

Randomness comes in as arrays, so that the kernels are plain functions: `bits` is uint16 of shape (n, 5), one row a trade
(sweep, move of the price, its direction, side, size); `gaps` are standard exponentials. Times are nanoseconds, prices ticks.
No NaN occurs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sovereign.kernels.compile import kernel

DRAWS = 65_536
"""Number of values a 16-bit draw can take; a probability p is `draw < p * DRAWS`."""

ONE = 1.0 / DRAWS
"""A 16-bit draw times this is uniform on [0, 1)."""

GRID = 1_048_576.0
"""Rates are multiples of 1 / GRID: their sums are exact, and a last bit of `exp` that differs between machines is lost."""


@kernel
def cumulate_intensity(
    shape: Any,
    normals: Any,
    draws: Any,
    log_persistence: float,
    log_deviation: float,
    burst_enter: float,
    burst_leave: float,
    burst_factor: float,
    multipliers: Any,
    regime_leave: float,
    first_regime: int,
    cumulative: Any,
    regime: Any,
) -> None:
    """Write the cumulative arrival intensity and the volatility regime of each time bin.

    Intensity is `shape * exp(x - v / 2) * burst * multipliers[regime]` where `x` is a stationary AR(1) with persistence
    `log_persistence` and variance `v = log_deviation**2` per bin, `burst` is a two-state chain (1 or `burst_factor`), and the
    regime is a chain that leaves its state with probability `regime_leave` per bin for another one, each equally likely.

    Parameters
    ----------
    shape : float64 (bins,), the deterministic profile of the day; 0 where the venue pauses.
    normals : float64 (bins,), standard normals. draws : float64 (bins, 3), uniform on [0, 1).
    cumulative : float64 (bins + 1,), written. regime : int8 (bins,), written.
    """
    innovation = log_deviation * np.sqrt(1.0 - log_persistence * log_persistence)
    level = log_deviation * normals[0]
    half_variance = 0.5 * log_deviation * log_deviation
    is_burst = False
    state = first_regime
    states = len(multipliers)
    total = 0.0
    cumulative[0] = 0.0
    for k in range(len(shape)):
        if k > 0:
            level = log_persistence * level + innovation * normals[k]
        is_burst = draws[k, 0] >= burst_leave if is_burst else draws[k, 0] < burst_enter
        if states > 1 and draws[k, 1] < regime_leave:
            state = (state + 1 + int(draws[k, 2] * (states - 1))) % states
        regime[k] = state
        rate = shape[k] * np.exp(level - half_variance) * multipliers[state]
        if is_burst:
            rate *= burst_factor
        total += np.floor(rate * GRID + 0.5) / GRID
        cumulative[k + 1] = total


@kernel
def spread_arrivals(
    gaps: Any,
    bits: Any,
    sweep: float,
    cumulative: Any,
    regime: Any,
    start_ns: int,
    bin_ns: int,
    end_ns: int,
    ts: Any,
    regime_of: Any,
) -> None:
    """Write trade times: an inhomogeneous Poisson process with the given cumulative intensity, conditioned on its count.

    Exponential gaps summed and scaled to the total intensity are the order statistics of uniform arrivals in intensity time
    (NumPy: `np.interp` of their scaled cumulative sum on `cumulative`). With probability `sweep` a trade is the continuation of
    the aggressive order before it and has the same time; the first trade never is.

    Parameters
    ----------
    gaps : float64 (n + 1,). bits : uint16 (n, 5), column 0 decides on sweeps. regime : int8 (bins,).
    ts : int64 (n,), written, non-decreasing and below `end_ns`. regime_of : int8 (n,), the regime of each trade, written.
    """
    n = len(ts)
    limit = sweep * DRAWS
    total = gaps[n]
    for i in range(n):
        if i == 0 or bits[i, 0] >= limit:
            total += gaps[i]
    bins = len(cumulative) - 1
    scale = cumulative[bins] / total
    at = 0.0
    k = -1
    below = 0.0
    above = 0.0
    ns_per_rate = 0.0
    last = end_ns - 1
    for i in range(n):
        if i > 0 and bits[i, 0] < limit:
            ts[i] = ts[i - 1]
            regime_of[i] = regime_of[i - 1]
            continue
        at += gaps[i] * scale
        if above <= at and k < bins - 1:
            while above <= at and k < bins - 1:
                k += 1
                above = cumulative[k + 1]
            below = cumulative[k]
            ns_per_rate = bin_ns / (above - below) if above > below else 0.0
        into = np.int64(min((at - below) * ns_per_rate, float(bin_ns)))
        ts[i] = min(start_ns + k * bin_ns + into, last)
        regime_of[i] = regime[k]


@kernel
def trade_quotes(
    bits: Any,
    sweep: float,
    regime_of: Any,
    move: Any,
    up_shift: Any,
    same_side: float,
    impact: float,
    widen: float,
    narrow: float,
    very_wide: float,
    start: int,
    sizes: Any,
    price: Any,
    size: Any,
    side: Any,
    bid: Any,
    ask: Any,
) -> None:
    """Write trades against a moving best quote.

    Aggressor sides are a Markov chain (`same_side`: probability of repeating). Before each trade that is not a sweep the quote
    moves one tick with probability `move[regime]`; upward with probability
    `1/2 + impact/2 * (s1 - r * s2) / (1 + r) + up_shift[regime]`, where `s1`, `s2` are the last two sides and `r` the
    chain's autocorrelation: only the surprise in the order flow moves the price, so that without a shift the middle of the
    quote is a martingale to anyone who trades at the next event or later. The spread is one tick; it widens by one (rarely
    two) on a random side and closes again. A buyer prints at the ask and a seller at the bid.

    Parameters
    ----------
    bits : uint16 (n, 5). regime_of : int8 (n,). move, up_shift : float64 (regimes,).
    sizes : int32 (DRAWS,), the size for each draw.
    """
    r = 2.0 * same_side - 1.0
    lean = 0.5 * impact / (1.0 + r)
    sweep_limit = sweep * DRAWS
    same_limit = same_side * DRAWS
    level = start
    below = 0
    above = 0
    s1 = 1 if bits[0, 3] < 32_768 else -1
    s2 = s1
    for i in range(len(price)):
        if i == 0 or bits[i, 0] >= sweep_limit:
            state = regime_of[i]
            chance = move[state]
            # What is left of the draw after the decision to move, `rest / whole`, is uniform again.
            rest = bits[i, 1] * ONE
            whole = chance
            if rest < chance:
                up = 0.5 + lean * (s1 - r * s2) + up_shift[state]
                level += 1 if bits[i, 2] < up * DRAWS else -1
            else:
                rest -= chance
                whole = 1.0 - chance
            if below + above > 0:
                if rest < narrow * whole:
                    below = 0
                    above = 0
            elif rest < widen * whole:
                extra = 2 if rest < widen * very_wide * whole else 1
                if bits[i, 2] & 1:
                    above = extra
                else:
                    below = extra
            s2 = s1
            if bits[i, 3] >= same_limit:
                s1 = -s1
        bid[i] = level - below
        ask[i] = level + 1 + above
        side[i] = s1
        price[i] = ask[i] if s1 > 0 else bid[i]
        size[i] = sizes[bits[i, 4]]


@kernel
def trade_null(
    bits: Any, regime_of: Any, move: Any, start: int, sizes: Any, price: Any, size: Any, side: Any, bid: Any, ask: Any
) -> None:
    """Write trades of the driftless null: the traded price itself steps -1, 0 or +1 tick with a fair coin.

    A step happens with probability `move[regime]`; its sign and the aggressor side are fair and independent of everything
    else. `bid` and `ask` both equal the price: there is no spread to pay and no bounce.
    """
    level = start
    for i in range(len(price)):
        if bits[i, 1] < move[regime_of[i]] * DRAWS:
            level += 1 if bits[i, 2] < 32_768 else -1
        price[i] = level
        bid[i] = level
        ask[i] = level
        side[i] = 1 if bits[i, 3] < 32_768 else -1
        size[i] = sizes[bits[i, 4]]
