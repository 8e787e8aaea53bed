"""What kind of market a bar closed in, on separate axes: volatility, trend, range.

The history of an instrument is one float64 array `h` (fields, capacity); a row of it is a `market_row.Field`, a column
is a bar. Kernels fill the columns `first` to `last` and look at earlier columns only; each value is worked out from its own
window, never from a running sum, so it does not depend on how the bars were handed in. NaN until a window is full.
Prices are ticks, volatility is a fraction per year.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.kernels.compile import kernel
from sovereign.kernels.hmm import forward_step, log_densities, predict
from sovereign.kernels.indicator import step_atr

Float64 = NDArray[np.float64]


_OPEN, _HIGH, _LOW, _CLOSE = 0, 1, 2, 3
_VOLUME, _SIGNED, _SESSION, _CHANGE = 4, 5, 6, 7
_VOLATILITY, _WIDTH, _ATR = 8, 9, 10
_MOMENTUM, _VOLUME_RATIO, _PRIOR = 11, 12, 13


@kernel
def append_bars(h: Float64, first: int, bars: Any, session: float, is_linked: bool) -> int:
    """Write bars (`kernels.ohlcv.BAR`) to the columns from `first`; return the column after the last.

    `is_linked` says that a session's first bar follows the last session's close; otherwise its change is from its own open.
    Volume nobody is known to have begun is signed by the bar's own direction.
    """
    for n in range(len(bars)):
        bar = bars[n]
        i = first + n
        h[_OPEN, i] = bar["open"]
        h[_HIGH, i] = bar["high"]
        h[_LOW, i] = bar["low"]
        h[_CLOSE, i] = bar["close"]
        h[_VOLUME, i] = bar["volume"]
        h[_SESSION, i] = session
        begun = bar["buy_volume"] + bar["sell_volume"]
        if begun > 0:
            h[_SIGNED, i] = bar["buy_volume"] - bar["sell_volume"]
        else:
            h[_SIGNED, i] = bar["volume"] * np.sign(float(bar["close"]) - float(bar["open"]))
        base = np.nan
        if i > 0 and (is_linked or h[_SESSION, i - 1] == session):
            base = h[_CLOSE, i - 1]
        elif i > 0 or not is_linked:
            base = h[_OPEN, i]
        h[_CHANGE, i] = math.log(h[_CLOSE, i] / base) if base > 0.0 and h[_CLOSE, i] > 0.0 else np.nan
    return first + len(bars)


@kernel
def spread(values: Float64) -> float:
    """Return the sample standard deviation; NaN with fewer than two values or a NaN among them."""
    count = len(values)
    if count < 2:
        return np.nan
    mean = values.sum() / count
    total = 0.0
    for value in values:
        total += (value - mean) ** 2
    return math.sqrt(total / (count - 1))


@kernel
def rank_in_history(h: Float64, field: int, i: int, sessions: int, bars: int, least: int) -> float:
    """Return which share of earlier values of a field lies below column `i` (ties count half), 0..1.

    The history is that of the last `sessions` sessions, the present one included, and at most `bars` bars; NaN with fewer
    than `least` known values.
    """
    value = h[field, i]
    if np.isnan(value):
        return np.nan
    from_session = h[_SESSION, i] - sessions
    below = 0.0
    count = 0
    for j in range(i - 1, max(-1, i - 1 - bars), -1):
        if h[_SESSION, j] < from_session:
            break
        other = h[field, j]
        if np.isnan(other):
            continue
        count += 1
        if other < value:
            below += 1.0
        elif other == value:
            below += 0.5
    return below / count if count >= least else np.nan


@kernel
def signed_efficiency(close: Float64) -> float:
    """Return Kaufman's efficiency ratio with the sign of the move, -1..1: net change over path. 0 for a market that stood."""
    path = 0.0
    for j in range(1, len(close)):
        path += abs(close[j] - close[j - 1])
    net = close[len(close) - 1] - close[0]
    if np.isnan(path):
        return np.nan
    return net / path if path > 0.0 else 0.0


@kernel
def measure(
    h: Float64,
    first: int,
    last: int,
    window: int,
    prior_window: int,
    bars_per_year: float,
    history_sessions: int,
    history_bars: int,
    least: int,
    atr_window: int,
    atr_state: Float64,
    out: Any,
) -> None:
    """Fill the measures of the columns `first` to `last`, in `h` and in `out` (records with the fields of `MEASURES`).

    Parameters
    ----------
    window : bars of volatility, efficiency and width. prior_window : bars before that window, for the trend before it.
    bars_per_year : of this timeframe.
    history_sessions, history_bars, least : see `rank_in_history`.
    atr_window, atr_state : Wilder's; see `kernels.indicator.step_atr`.
    """
    for i in range(first, last):
        row = out[i - first]
        atr = step_atr(atr_state, h[_HIGH, i], h[_LOW, i], h[_CLOSE, i], atr_window)
        h[_ATR, i] = atr
        for field in (_VOLATILITY, _WIDTH, _MOMENTUM, _VOLUME_RATIO, _PRIOR):
            h[field, i] = np.nan
        row["atr"] = atr
        row["efficiency"] = np.nan
        begin = i - window
        if begin >= 0:
            changes = h[_CHANGE, begin + 1 : i + 1]
            closes = h[_CLOSE, begin : i + 1]
            deviation = spread(changes)
            h[_VOLATILITY, i] = deviation * math.sqrt(bars_per_year)
            row["efficiency"] = signed_efficiency(closes)
            mean = closes[1:].sum() / window
            h[_WIDTH, i] = 4.0 * spread(closes[1:]) / mean if mean > 0.0 else np.nan
            # Nights count on both sides or on neither (`append_bars`), so a driftless walk is N(0, 1) on any bars.
            if deviation > 0.0:
                h[_MOMENTUM, i] = changes.sum() / (deviation * math.sqrt(window))
            elif deviation == 0.0:
                h[_MOMENTUM, i] = 0.0
            volume = h[_VOLUME, begin + 1 : i + 1].sum() / window
            recent = h[_VOLUME, i - window // 4 + 1 : i + 1].sum() / max(1, window // 4)
            if volume > 0.0 and recent > 0.0:
                h[_VOLUME_RATIO, i] = math.log(recent / volume)
            before = begin - prior_window
            if before >= 0 and atr > 0.0:
                h[_PRIOR, i] = (h[_CLOSE, begin] - h[_CLOSE, before]) / (atr * math.sqrt(prior_window))
        row["volatility"] = h[_VOLATILITY, i]
        row["width"] = h[_WIDTH, i]
        row["momentum"] = h[_MOMENTUM, i]
        row["volume_ratio"] = h[_VOLUME_RATIO, i]
        row["prior_trend"] = h[_PRIOR, i]
        row["volatility_percentile"] = rank_in_history(h, _VOLATILITY, i, history_sessions, history_bars, least)
        row["width_percentile"] = rank_in_history(h, _WIDTH, i, history_sessions, history_bars, least)


@kernel
def hold(state: NDArray[np.int64], raw: int, bars: int) -> int:
    """Return a class with hysteresis: a new one is published once it has stood for `bars` bars in a row.

    `state` is (published, candidate, times seen, whether anything was published), zeros to begin with.
    """
    if state[3] == 0:
        state[0], state[1], state[2], state[3] = raw, raw, 0, 1
    elif raw == state[0]:
        state[2] = 0
    else:
        state[2] = state[2] + 1 if raw == state[1] and state[2] > 0 else 1
        state[1] = raw
        if state[2] >= bars:
            state[0] = raw
            state[2] = 0
    return int(state[0])


@kernel
def _volatility_class(c: Any, volatility: float, percentile: float) -> int:
    if c["uses_levels"] == 1:
        if np.isnan(volatility):
            return -1
        return 2 if volatility > c["volatile_level"] else 0 if volatility < c["calm_level"] else 1
    if np.isnan(percentile):
        return -1
    return 2 if percentile >= c["volatile_percentile"] else 0 if percentile <= c["calm_percentile"] else 1


@kernel
def _name(trend: int, volatility: int, is_range: int, phase: int) -> int:
    # Unrest outranks direction: what a trend promises is not kept in it. Then the trend, the phase, the range, the calm.
    if trend == -2:
        return 0
    if volatility == 2:
        return 4
    if trend > 0:
        return 1
    if trend < 0:
        return 2
    if phase == 0:
        return 6
    if phase == 2:
        return 7
    if is_range == 1:
        return 3
    if volatility == 0:
        return 5
    return 3


@kernel
def trend_class(c: Any, row: Any) -> int:
    """Return 1 in a trend up, -1 in a trend down, 0 in chop, -2 where the measure that decides is NaN.

    That measure is `efficiency`, or with `trend_by_return` the `momentum`: both have the sign of the move, a threshold counts
    as trend.
    """
    value, least = row["efficiency"], c["trend_efficiency"]
    if c["trend_by_return"] == 1:
        value, least = row["momentum"], c["trend_deviations"]
    if np.isnan(value):
        return -2
    return 1 if value >= least else -1 if value <= -least else 0


@kernel
def _trend_strength(c: Any, row: Any) -> float:
    """How much of a trend it is, 0..1: the efficiency, or which share of driftless walks returns less than this window did."""
    if c["trend_by_return"] == 1:
        return math.erf(abs(row["momentum"]) / math.sqrt(2.0))
    return float(abs(row["efficiency"]))


@kernel
def _confidence(name: int, trend: float, row: Any) -> float:
    """How sure a name is: the mean of what the axis that named it says and what the hidden model says, 0..1."""
    strength = np.nan
    hidden = np.nan
    if name == 1:
        strength, hidden = trend, row["p_markup"]
    elif name == 2:
        strength, hidden = trend, row["p_markdown"]
    elif name == 3:
        strength, hidden = 1.0 - trend, row["p_range"] + row["p_accumulation"] + row["p_distribution"]
    elif name == 4:
        strength, hidden = row["volatility_percentile"], row["p_wildest"]
    elif name == 5:
        strength, hidden = 1.0 - row["volatility_percentile"], 1.0 - row["p_wildest"]
    elif name == 6:
        strength, hidden = 1.0 - trend, row["p_accumulation"]
    elif name == 7:
        strength, hidden = 1.0 - trend, row["p_distribution"]
    if np.isnan(strength):
        return hidden
    if np.isnan(hidden):
        return strength
    return 0.5 * (strength + hidden)


@kernel
def observation(row: Any, change: float, scale: float, out: Float64) -> None:
    """Write what the hidden model sees of a bar: its change in long-run deviations, momentum, volume ratio, prior trend."""
    out[0] = change / scale if scale > 0.0 else np.nan
    out[1] = row["momentum"]
    out[2] = row["volume_ratio"]
    out[3] = row["prior_trend"]


@kernel
def classify(
    changes: Float64,
    setting: Any,
    is_fitted: bool,
    scale: float,
    transition: Float64,
    means: Float64,
    variances: Float64,
    phase_of: NDArray[np.int64],
    filtered: Float64,
    held: NDArray[np.int64],
    readings: NDArray[np.int64],
    out: Any,
) -> None:
    """Fill the axes, the filtered probabilities and the name of measured bars.

    Parameters
    ----------
    changes : log change of each bar. setting : one `REGIME_SETTING`.
    is_fitted, scale, transition, means, variances, phase_of : the hidden model; `phase_of[state]` is a `HiddenPhase`.
    filtered : (k,) probabilities after the bar before, carried from call to call. held : (HELD, 4), see `hold`.
    readings : (1,) bars in a row that looked like a crisis.
    """
    c = setting[0]
    states = len(filtered)
    predicted = np.zeros(states)
    densities = np.zeros(states)
    seen = np.zeros(4)
    by_phase = np.zeros(5)
    for n in range(len(out)):
        row = out[n]
        by_phase[:] = np.nan
        wildest = np.nan
        if is_fitted:
            predict(filtered, transition, predicted)
            observation(row, changes[n], scale, seen)
            if log_densities(seen, means, variances, densities):
                forward_step(predicted, densities, filtered)
            else:
                filtered[:] = predicted
            by_phase[:] = 0.0
            for state in range(states):
                by_phase[phase_of[state]] += filtered[state]
            wildest = filtered[states - 1]
        row["p_accumulation"] = by_phase[0]
        row["p_markup"] = by_phase[1]
        row["p_distribution"] = by_phase[2]
        row["p_markdown"] = by_phase[3]
        row["p_range"] = by_phase[4]
        row["p_wildest"] = wildest
        phase = -1
        for p in range(5):
            if by_phase[p] >= c["min_phase_probability"]:
                phase = p
        trend = trend_class(c, row)
        width = row["width_percentile"]
        narrow = width <= c["range_width_percentile"] and abs(row["efficiency"]) < c["range_efficiency"]
        bars = c["hold_bars"]
        row["trend"] = hold(held[0], trend, 1 if trend == -2 or held[0, 0] == -2 else bars)
        volatility = _volatility_class(c, row["volatility"], row["volatility_percentile"])
        row["volatility_class"] = hold(held[1], volatility, 1 if volatility == -1 or held[1, 0] == -1 else bars)
        row["is_range"] = hold(held[2], 1 if narrow else 0, bars)
        row["hidden_phase"] = hold(held[3], phase, bars)
        name = _name(row["trend"], row["volatility_class"], row["is_range"], row["hidden_phase"])
        row["regime"] = name
        row["regime_confidence"] = _confidence(name, _trend_strength(c, row), row)
        wild = wildest >= c["crisis_probability"] and row["volatility"] > c["crisis_volatility"]
        if wild and row["volatility_percentile"] > c["crisis_percentile"]:
            readings[0] += 1
        else:
            readings[0] = 0
        row["is_crisis"] = 1 if readings[0] >= c["crisis_readings"] else 0
