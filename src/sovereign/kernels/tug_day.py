"""What completed sessions say of the next one, for the tug of war: one call a symbol and session, no matter how many bars.

Arrays in, numbers out; NaN is unknown. Sums are pairwise as NumPy's are, so a figure is the same wherever it is worked out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.kernels.compile import kernel
from sovereign.kernels.fractional import least_squares, weighted_sums

Float64 = NDArray[np.float64]

_BLOCK = 128
_LANES = 8


@kernel
def _block_sum(values: Float64, first: int, count: int) -> float:
    # At most a block: eight sums side by side, then the rest.
    if count < _LANES:
        total = 0.0
        for i in range(first, first + count):
            total += values[i]
        return total
    a, b, c, d = values[first], values[first + 1], values[first + 2], values[first + 3]
    e, f, g, h = values[first + 4], values[first + 5], values[first + 6], values[first + 7]
    whole = count - count % _LANES
    for i in range(first + _LANES, first + whole, _LANES):
        a += values[i]
        b += values[i + 1]
        c += values[i + 2]
        d += values[i + 3]
        e += values[i + 4]
        f += values[i + 5]
        g += values[i + 6]
        h += values[i + 7]
    total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for i in range(first + whole, first + count):
        total += values[i]
    return float(total)


@kernel
def pairwise_sum(values: Float64) -> float:
    """Return the sum, bit for bit that of `values.sum()`: halves (at multiples of eight) are added until a block is left."""
    if len(values) <= _BLOCK:
        return _block_sum(values, 0, len(values))
    # What a recursion would do, with a stack of its own: (first, count), and sums that wait for their other half.
    first = np.zeros(64, np.int64)
    count = np.zeros(64, np.int64)
    stage = np.zeros(64, np.int64)
    left = np.zeros(64)
    depth = 0
    count[0] = len(values)
    result = 0.0
    while depth >= 0:
        if count[depth] <= _BLOCK:
            result = _block_sum(values, first[depth], count[depth])
            depth -= 1
        else:
            half = count[depth] // 2
            half -= half % _LANES
            if stage[depth] == 0:
                stage[depth] = 1
                first[depth + 1], count[depth + 1], stage[depth + 1] = first[depth], half, 0
                depth += 1
            elif stage[depth] == 1:
                left[depth] = result
                stage[depth] = 2
                first[depth + 1], count[depth + 1], stage[depth + 1] = first[depth] + half, count[depth] - half, 0
                depth += 1
            else:
                result = left[depth] + result
                depth -= 1
    return result


@kernel
def deviation(values: Float64) -> float:
    """Return the standard deviation, bit for bit that of `values.std()`; NaN of nothing."""
    if len(values) == 0:
        return math.nan
    mean = pairwise_sum(values) / len(values)
    squares = np.empty(len(values))
    for i in range(len(values)):
        gap = values[i] - mean
        squares[i] = gap * gap
    return math.sqrt(pairwise_sum(squares) / len(values))


@kernel
def momentum_of_day(logs: Float64, weights: Float64, latest: int) -> tuple[float, float, float, float]:
    """Return (base, sum, mean, deviation) of the fractionally differenced series that a day's momentum is held against.

    Parameters
    ----------
    logs : log closes of the days before. weights : of the differencing, newest first. latest : days of the sum.

    `base` is what the days before add to the day's own value; `sum` that of the last `latest` values of the series.
    """
    series = weighted_sums(logs, weights)
    base = 0.0
    for k in range(1, len(weights)):
        base += weights[k] * logs[len(logs) - k]
    return base, pairwise_sum(series[len(series) - latest :]), pairwise_sum(series) / len(series), deviation(series)


@kernel
def market_line(changes: Float64, least: int, out: Float64) -> int:
    """Regress a share's changes on two benchmarks', write (constant, first, second, deviation) to `out`; return the days.

    Parameters
    ----------
    changes : (n, 3) log changes of the share and both benchmarks; rows with NaN in the second column are left out.
    least : days without which nothing is fitted (`out` is NaN then, as where benchmarks move alike).
    """
    count = 0
    for i in range(len(changes)):
        if not math.isnan(changes[i, 1]):
            count += 1
    out[:] = math.nan
    if count < least:
        return count
    y = np.empty(count)
    x = np.empty((count, 3))
    at = 0
    for i in range(len(changes)):
        if not math.isnan(changes[i, 1]):
            y[at] = changes[i, 0]
            x[at, 0] = 0.01
            x[at, 1] = changes[i, 1]
            x[at, 2] = changes[i, 2]
            at += 1
    beta = np.zeros(3)
    inverse = np.zeros((3, 3))
    left = least_squares(x, y, beta, inverse)
    if math.isnan(left):
        return count
    out[0] = 0.01 * beta[0]
    out[1] = beta[1]
    out[2] = beta[2]
    out[3] = math.sqrt(left / (count - 3))
    return count


@kernel
def _insert_sorted(values: Float64, out: Float64) -> None:
    for i in range(len(values)):
        value = values[i]
        j = i
        while j > 0 and out[j - 1] > value:
            out[j] = out[j - 1]
            j -= 1
        out[j] = value


@kernel
def slide_sorted(ranked: Float64, gone: Float64, come: Float64) -> Float64:
    """Return sorted values with some of them gone and some others come; meant for few of either."""
    left = np.empty(len(gone))
    right = np.empty(len(come))
    _insert_sorted(gone, left)
    _insert_sorted(come, right)
    out = np.empty(len(ranked) - len(gone) + len(come))
    g = c = n = 0
    for i in range(len(ranked)):
        value = ranked[i]
        if g < len(left) and left[g] == value:
            g += 1
            continue
        while c < len(right) and right[c] < value:
            out[n] = right[c]
            n += 1
            c += 1
        out[n] = value
        n += 1
    while c < len(right):
        out[n] = right[c]
        n += 1
        c += 1
    return out


@kernel
def begin_day(
    day: Any,
    rsi_state: Float64,
    opens_ns: int,
    closes_ns: int,
    slot_ns: int,
    range_ns: int,
    pump_ns: int,
    cycle_ns: int,
    is_daily: bool,
    rsi_period: int,
    last_close: float,
) -> None:
    """Begin a session in a `kernels.tug_of_war.DAY`: its times, nothing seen yet, of its history the last close alone."""
    d = day[0]
    d["opens_ns"] = opens_ns
    d["closes_ns"] = closes_ns
    d["slot_ns"] = slot_ns
    d["range_ns"] = range_ns
    d["pump_ns"] = pump_ns
    d["cycle_ns"] = cycle_ns
    d["is_daily"] = is_daily
    d["range_high"] = -(2**31)
    d["range_low"] = 2**31 - 1
    d["volume"] = 0
    d["last_ns"] = opens_ns
    d["rsi_period"] = rsi_period
    for i in range(len(rsi_state)):
        d["rsi_state"][i] = rsi_state[i]
    d["momentum_deviation"] = math.nan
    d["alpha_deviation"] = math.nan
    d["residual_volatility"] = math.nan
    d["last_close"] = last_close


@kernel
def convictions_of(rows: Any, convictions: Float64, closes: Any) -> int:
    """Write the convictions at which a decision was due, as far as they are known, and the price at each; return how many."""
    count = 0
    for i in range(len(rows)):
        if rows[i]["cycle"] and not math.isnan(rows[i]["conviction"]):
            convictions[count] = rows[i]["conviction"]
            closes[count] = rows[i]["close"]
            count += 1
    return count


@kernel
def count_outcomes(convictions: Float64, closes: Any, last: float, counts: Any) -> None:
    """Add wrong and right convictions by band of strength to `counts` (bands, 2); without a move or direction it is neither."""
    bands = len(counts)
    for i in range(len(convictions)):
        conviction, close = convictions[i], closes[i]
        if close != last and conviction != 0.0:
            band = min(bands - 1, int(abs(conviction) * bands))
            counts[band, 1 if (last > close) == (conviction > 0.0) else 0] += 1
