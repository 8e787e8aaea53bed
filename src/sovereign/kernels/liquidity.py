"""How easily a market moves, and where it has traded: Amihud's ratio, Kyle's lambda, the zones of a volume profile.

Arrays are 1-D float64 of one length, oldest first; a window that is too short or holds too little gives NaN. None of them
looks past the last element it is given.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.kernels.compile import kernel
from sovereign.kernels.market_regime import rank_in_history

Float64 = NDArray[np.float64]


@kernel
def amihud(change: Float64, close: Float64, volume: Float64) -> float:
    """Return the median of |change| over traded value, in units of 1e-9 per tick-unit of value; NaN without traded bars.

    Equivalent: `np.median(np.abs(change) / (close * volume)) * 1e9` over bars that traded. Source: Amihud, Illiquidity and
    stock returns, J. Financial Markets 5, 2002 (the median in place of the mean, definitions 4.2).
    """
    ratios = np.empty(len(change))
    count = 0
    for j in range(len(change)):
        value = close[j] * volume[j]
        if value > 0.0 and not np.isnan(change[j]):
            ratios[count] = abs(change[j]) / value * 1e9
            count += 1
    return float(np.median(ratios[:count])) if count else np.nan


@kernel
def price_impact(change: Float64, signed_volume: Float64) -> float:
    """Return Kyle's lambda: the slope of change on the signed volume of the same bar, per million units; NaN without spread.

    Each change is explained by the volume of its own bar, never by that of the bar before the next change. Source: Kyle,
    Continuous auctions and insider trading, Econometrica 53(6), 1985.
    """
    count = 0
    mean_x = 0.0
    mean_y = 0.0
    for j in range(len(change)):
        if not np.isnan(change[j]):
            count += 1
            mean_x += signed_volume[j]
            mean_y += change[j]
    if count < 3:
        return np.nan
    mean_x /= count
    mean_y /= count
    cross = 0.0
    square = 0.0
    for j in range(len(change)):
        if not np.isnan(change[j]):
            cross += (signed_volume[j] - mean_x) * (change[j] - mean_y)
            square += (signed_volume[j] - mean_x) ** 2
    return cross / square * 1e6 if square > 0.0 else np.nan


@kernel
def volume_profile(high: Float64, low: Float64, volume: Float64, bins: int, out: Float64) -> tuple[float, float]:
    """Write the volume of each of `bins` equal price bins to `out`; return the lowest price and the width of a bin.

    A bar's volume is spread evenly over its range. The width is 0 when the price stood still.
    """
    out[:] = 0.0
    bottom = low.min()
    top = high.max()
    width = (top - bottom) / bins
    if not width > 0.0:
        return bottom, 0.0
    for j in range(len(high)):
        start = (low[j] - bottom) / width
        stop = (high[j] - bottom) / width
        first = min(bins - 1, int(start))
        last = min(bins - 1, int(stop))
        if first == last or stop <= start:
            out[first] += volume[j]
            continue
        for n in range(first, last + 1):
            share = min(float(n + 1), stop) - max(float(n), start)
            out[n] += volume[j] * max(0.0, share) / (stop - start)
    return bottom, width


@kernel
def nearest_magnet(
    profile: Float64, bottom: float, width: float, price: float, quantile: float, sorted_out: Float64
) -> tuple[float, float, bool]:
    """Return the middle of the nearest busy bin (price units), its share of all busy volume, and whether price is in it.

    A bin is busy when its volume lies above the `quantile` of all bins. Distances that are equal go to the busier bin, then
    to the lower. NaN, 0 and False without a profile. `sorted_out` is working space as long as the profile.
    """
    bins = len(profile)
    if not width > 0.0:
        return np.nan, 0.0, False
    sorted_out[:] = np.sort(profile)
    place = quantile * (bins - 1)
    under = int(place)
    over = min(bins - 1, under + 1)
    limit = sorted_out[under] + (place - under) * (sorted_out[over] - sorted_out[under])
    busy = 0.0
    best = -1
    best_gap = np.inf
    for n in range(bins):
        if profile[n] <= limit:
            continue
        busy += profile[n]
        gap = abs(bottom + (n + 0.5) * width - price)
        if gap < best_gap or (gap == best_gap and profile[n] > profile[best]):
            best = n
            best_gap = gap
    if best < 0:
        return np.nan, 0.0, False
    return bottom + (best + 0.5) * width, profile[best] / busy, best_gap <= 0.5 * width


_HIGH, _LOW, _CLOSE, _VOLUME, _SIGNED, _CHANGE, _AMIHUD, _IMPACT = 1, 2, 3, 4, 5, 7, 14, 15


@kernel
def measure_liquidity(
    h: Float64,
    first: int,
    last: int,
    window: int,
    bins: int,
    quantile: float,
    history_sessions: int,
    history_bars: int,
    least: int,
    out: Any,
) -> None:
    """Fill the liquidity of the columns `first` to `last` of a history (`kernels.market_row.Field`).

    Parameters
    ----------
    window : bars, the present one included. bins, quantile : see `volume_profile` and `nearest_magnet`.
    history_sessions, history_bars, least : see `kernels.market_regime.rank_in_history`.
    out : `LIQUIDITY` records, one for each.
    """
    profile = np.zeros(bins)
    work = np.zeros(bins)
    for i in range(first, last):
        row = out[i - first]
        begin = i + 1 - window
        h[_AMIHUD, i] = np.nan
        h[_IMPACT, i] = np.nan
        magnet, share, inside = np.nan, 0.0, False
        if begin >= 0:
            change = h[_CHANGE, begin : i + 1]
            h[_AMIHUD, i] = amihud(change, h[_CLOSE, begin : i + 1], h[_VOLUME, begin : i + 1])
            h[_IMPACT, i] = price_impact(change, h[_SIGNED, begin : i + 1])
            bottom, width = volume_profile(
                h[_HIGH, begin : i + 1], h[_LOW, begin : i + 1], h[_VOLUME, begin : i + 1], bins, profile
            )
            magnet, share, inside = nearest_magnet(profile, bottom, width, h[_CLOSE, i], quantile, work)
        row["amihud"] = h[_AMIHUD, i]
        row["impact"] = h[_IMPACT, i]
        row["amihud_percentile"] = rank_in_history(h, _AMIHUD, i, history_sessions, history_bars, least)
        row["impact_percentile"] = rank_in_history(h, _IMPACT, i, history_sessions, history_bars, least)
        row["magnet"] = magnet
        row["magnet_share"] = share
        row["is_at_magnet"] = 1 if inside else 0
