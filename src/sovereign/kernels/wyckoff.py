"""Springs and upthrusts: a range is left on one side and taken back at once.

The trading range of a bar is the `range_bars` bars before it; its support is the 10th percentile of their lows, its
resistance the 90th of their highs. A spring begins when a bar's low falls below support by at most one ATR after a fall into
the range; it is complete when a bar closes above that support within `recover_bars` bars. The volume of the busiest bar below
support, against the mean of the range, says what it is worth: quiet 1, ordinary 2, heavy 3. A quiet one counts at once, an
ordinary one when a later bar has tested support on less volume and held, a heavy one never. An upthrust is the mirror image.
A break that went deeper, took longer or had no fall before it ends with a close above support, and is no spring until then.

Prices are ticks in float64; the state is one record. Nothing looks ahead. Source: definitions 4.2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.kernels.compile import kernel

Float64 = NDArray[np.float64]


@kernel
def percentile_of(values: Float64, share: float) -> float:
    """Return a percentile with linear interpolation; equivalent: `np.percentile(values, 100 * share)`."""
    ordered = np.sort(values)
    place = share * (len(ordered) - 1)
    under = int(place)
    over = min(len(ordered) - 1, under + 1)
    return float(ordered[under] + (place - under) * (ordered[over] - ordered[under]))


@kernel
def step_turn(  # noqa: C901, PLR0912 - one bar through two small machines
    s: Any,
    sign: float,
    level: float,
    has_trend: bool,
    extreme: float,
    close: float,
    atr: float,
    ratio: float,
    recover_bars: int,
    max_break_atr: float,
    quiet_ratio: float,
    heavy_ratio: float,
    test_bars: int,
    test_atr: float,
) -> int:
    """Take one bar and return what became certain (`Swing`).

    Parameters
    ----------
    s : one `TURN_STATE`.
    sign : +1 looks for springs below a support, -1 for upthrusts above a resistance.
    level : of the range before this bar. has_trend : price came into that range from the other side.
    extreme : the bar's low for a spring, its high for an upthrust. atr : before this bar.
    ratio : the bar's volume over the mean of the range.
    """
    result = 0
    if s["is_waiting"] == 1:
        s["waited"] += 1
        if sign * (extreme - s["test_extreme"]) < 0.0 or s["waited"] > test_bars:
            s["is_waiting"] = 0
        elif (
            sign * (extreme - s["test_level"]) <= test_atr * atr
            and sign * (close - s["test_level"]) > 0.0
            and ratio < s["test_ratio"]
        ):
            s["is_waiting"] = 0
            result = 4
    if s["is_open"] == 2:
        # What went too far, took too long or had no trend before it is over once a bar closes inside the present range.
        if sign * (close - level) > 0.0:
            s["is_open"] = 0
        return result
    if s["is_open"] == 0:
        depth = sign * (level - extreme)
        if depth <= 0.0:
            return result
        if not has_trend or depth > max_break_atr * atr:
            s["is_open"] = 0 if sign * (close - level) > 0.0 else 2
            return result
        s["is_open"] = 1
        s["age"] = 0
        s["level"] = level
        s["atr"] = atr
        s["extreme"] = extreme
        s["ratio"] = ratio
    else:
        s["age"] += 1
        if sign * (extreme - s["level"]) < 0.0:
            if sign * (extreme - s["extreme"]) < 0.0:
                s["extreme"] = extreme
            s["ratio"] = max(s["ratio"], ratio)
    if sign * (s["level"] - s["extreme"]) > max_break_atr * s["atr"]:
        s["is_open"] = 0 if sign * (close - s["level"]) > 0.0 else 2
        return result
    if sign * (close - s["level"]) > 0.0:
        s["is_open"] = 0
        if result == 4:
            return result  # the dip was the test that the spring before has passed, not another spring that waits for one
        if s["ratio"] < quiet_ratio:
            return 1
        if s["ratio"] > heavy_ratio:
            return 3
        s["is_waiting"] = 1
        s["waited"] = 0
        s["test_level"] = s["level"]
        s["test_extreme"] = s["extreme"]
        s["test_ratio"] = s["ratio"]
        return 2
    if s["age"] >= recover_bars:
        s["is_open"] = 2
    return result


_HIGH, _LOW, _CLOSE, _VOLUME, _ATR = 1, 2, 3, 4, 10


@kernel
def cycle_phase(efficiency: float, prior_trend: float, trend_efficiency: float, min_trend: float) -> int:
    """Return the `Phase`: a trend is markup or markdown, a range after a fall accumulation, after a rise distribution."""
    if np.isnan(efficiency):
        return 0
    if efficiency >= trend_efficiency:
        return 2
    if efficiency <= -trend_efficiency:
        return 4
    if np.isnan(prior_trend):
        return 0
    if prior_trend <= -min_trend:
        return 1
    if prior_trend >= min_trend:
        return 3
    return 0


@kernel
def find_turns(h: Float64, first: int, last: int, setting: Any, state: Any, efficiency: Float64, out: Any) -> None:
    """Look for springs and upthrusts at the columns `first` to `last` of a history (`kernels.market_row.Field`).

    Parameters
    ----------
    setting : one `WYCKOFF_SETTING`. state : two `TURN_STATE`, springs first.
    efficiency : of those bars. out : `WYCKOFF` records;.
    """
    c = setting[0]
    size = c["range_bars"]
    reach = size + c["trend_bars"]
    for i in range(first, last):
        row = out[i - first]
        row["spring"] = 0
        row["upthrust"] = 0
        atr = h[_ATR, i - 1] if i > 0 else np.nan
        prior = np.nan
        if i - reach >= 0 and atr > 0.0:
            low = h[_LOW, i - size : i]
            high = h[_HIGH, i - size : i]
            mean = h[_VOLUME, i - size : i].sum() / size
            ratio = h[_VOLUME, i] / mean if mean > 0.0 else np.nan
            prior = (h[_CLOSE, i - size] - h[_CLOSE, i - reach]) / (atr * np.sqrt(float(c["trend_bars"])))
            close = h[_CLOSE, i]
            for n in range(2):
                sign = 1.0 if n == 0 else -1.0
                share = c["level_share"] if n == 0 else 1.0 - c["level_share"]
                swing = step_turn(
                    state[n],
                    sign,
                    percentile_of(low if n == 0 else high, share),
                    sign * prior <= -c["min_trend"],
                    h[_LOW, i] if n == 0 else h[_HIGH, i],
                    close,
                    atr,
                    ratio,
                    c["recover_bars"],
                    c["max_break_atr"],
                    c["quiet_ratio"],
                    c["heavy_ratio"],
                    c["test_bars"],
                    c["test_atr"],
                )
                if n == 0:
                    row["spring"] = swing
                else:
                    row["upthrust"] = swing
        row["phase"] = cycle_phase(efficiency[i - first], prior, c["trend_efficiency"], c["min_trend"])


@kernel
def count_since(since: NDArray[np.int64], out: Any) -> None:
    """Fill `bars_since_spring` and `bars_since_upthrust`; `since` carries both counts from call to call, -1 to begin with."""
    for i in range(len(out)):
        for n in range(2):
            swing = out[i]["spring"] if n == 0 else out[i]["upthrust"]
            if swing in (1, 4):
                since[n] = 0
            elif since[n] >= 0:
                since[n] += 1
        out[i]["bars_since_spring"] = since[0]
        out[i]["bars_since_upthrust"] = since[1]
