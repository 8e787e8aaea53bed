"""Mood from price and volume alone: momentum, the balance of rising and falling volume, unrest; and the average price paid.

No news and no options enter: what is not there is not made up. See `kernels.market_row.Field` for the history `h`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.kernels.compile import kernel

Float64 = NDArray[np.float64]


_HIGH, _LOW, _CLOSE, _VOLUME, _SIGNED, _SESSION, _CHANGE, _VOLATILITY = 1, 2, 3, 4, 5, 6, 7, 8


@kernel
def average_paid(h: Float64, i: int, bars: int) -> float:
    """Return the volume-weighted typical price, ticks: of the session so far, or of the last `bars` bars if that is above 0."""
    value = 0.0
    volume = 0.0
    j = i
    while j >= 0 and (j > i - bars if bars > 0 else h[_SESSION, j] == h[_SESSION, i]):
        value += (h[_HIGH, j] + h[_LOW, j] + h[_CLOSE, j]) / 3.0 * h[_VOLUME, j]
        volume += h[_VOLUME, j]
        j -= 1
    return value / volume if volume > 0.0 else np.nan


@kernel
def z_in_history(h: Float64, field: int, i: int, sessions: int, bars: int, least: int) -> float:
    """Return a value in standard deviations from the mean of earlier ones; see `rank_in_history` for which those are."""
    from_session = h[_SESSION, i] - sessions
    count = 0
    total = 0.0
    square = 0.0
    anchor = h[field, i]
    if np.isnan(anchor):
        return np.nan
    for j in range(i - 1, max(-1, i - 1 - bars), -1):
        if h[_SESSION, j] < from_session:
            break
        gap = h[field, j] - anchor
        if not np.isnan(gap):
            count += 1
            total += gap
            square += gap * gap
    if count < least or count < 2:
        return np.nan
    mean = total / count
    variance = (square - count * mean * mean) / (count - 1)
    return -mean / math.sqrt(variance) if variance > 0.0 else np.nan


@kernel
def measure_sentiment(
    h: Float64,
    first: int,
    last: int,
    window: int,
    vwap_bars: int,
    history_sessions: int,
    history_bars: int,
    least: int,
    momentum: Float64,
    out: Any,
) -> None:
    """Fill the mood of the columns `first` to `last` of a history.

    Parameters
    ----------
    window : bars. vwap_bars : see `average_paid`. momentum : of those bars, in standard errors.
    history_sessions, history_bars, least : see `kernels.market_regime.rank_in_history`.
    out : `SENTIMENT` records, one for each.
    """
    for i in range(first, last):
        row = out[i - first]
        row["vwap"] = average_paid(h, i, vwap_bars)
        row["momentum_ratio"] = momentum[i - first] / math.sqrt(window)
        row["volume_balance"] = np.nan
        begin = i + 1 - window
        if begin >= 0:
            volume = h[_VOLUME, begin : i + 1].sum()
            if volume > 0.0:
                row["volume_balance"] = h[_SIGNED, begin : i + 1].sum() / volume
        row["volatility_z"] = z_in_history(h, _VOLATILITY, i, history_sessions, history_bars, least)
