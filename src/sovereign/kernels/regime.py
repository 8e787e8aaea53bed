"""The kind of market a bar closed in: trending up or down, ranging, volatile, or not to be traded.

Four scores are added up from indicators of the bar and of those before it; the highest names the regime, and how far it
leads says how sure that is. A regime is adopted after it has led for `min_bars_in_regime` bars in a row. NO_TRADE lies over
all that: hours, edges of the session, news, thin volume, indicators that are not warm. Distances are measured in ATRs and
volumes in average bars, so one setting serves every market. Nothing looks ahead: a row depends on itself and earlier rows.

State is one element of `REGIME_STATE`, settings one element of `REGIME_CONFIG`. A NaN indicator earns no points.
Source: definitions 5.3; Wilder 1978 for ADX and ATR.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.core.configuration import Configuration
from sovereign.core.errors import ConfigurationError
from sovereign.core.session import NS_PER_SECOND, to_ns
from sovereign.kernels.compile import kernel
from sovereign.kernels.indicator import ADX_STATE, ATR_STATE, AVERAGE_STATE, step_adx, step_atr, step_ema, unlink
from sovereign.kernels.row import NoTrade, Regime
from sovereign.kernels.setting import MAX_LOOKBACK, MAX_NEWS, MAX_WINDOW, RegimeConfig, RegimePoints

__all__ = [
    "REGIME_CONFIG",
    "REGIME_STATE",
    "RegimeConfig",
    "RegimePoints",
    "new_regime_state",
    "regime_config",
    "start_regime_session",
    "update_regime",
]

Records = NDArray[Any]

_NO_TRADE = int(Regime.NO_TRADE)
_UP = int(Regime.TRENDING_UP)
_DOWN = int(Regime.TRENDING_DOWN)
_RANGING = int(Regime.RANGING)
_VOLATILE = int(Regime.VOLATILE)
_NONE = int(NoTrade.NONE)
_WARM_UP = int(NoTrade.WARM_UP)
_CLOSED = int(NoTrade.CLOSED)
_SESSION_EDGE = int(NoTrade.SESSION_EDGE)
_NEWS = int(NoTrade.NEWS)
_LOW_VOLUME = int(NoTrade.LOW_VOLUME)

_SPECIAL = {"hours", "news", "news_before_s", "news_after_s", "points"}


def _numbers(config: type[Configuration], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, field in config.model_fields.items():
        if prefix or name not in _SPECIAL:
            yield prefix + name, np.float64 if field.annotation is float else np.int64


REGIME_CONFIG = np.dtype(
    [
        *_numbers(RegimeConfig),
        *_numbers(RegimePoints, "points_"),
        ("all_hours", np.int64),
        ("news_count", np.int64),
        ("news", np.int64, (MAX_NEWS, 2)),
    ],
    align=True,
)
"""Every number of `RegimeConfig`, points prefixed with `points_`; `news` holds sorted intervals `[start, end)` in UTC ns."""

REGIME_STATE = np.dtype(
    [
        ("open_ns", np.int64),
        ("close_ns", np.int64),
        ("session_bars", np.int64),
        ("ema_fast", np.float64, (AVERAGE_STATE,)),
        ("ema_slow", np.float64, (AVERAGE_STATE,)),
        ("atr", np.float64, (ATR_STATE,)),
        ("adx", np.float64, (ADX_STATE,)),
        ("previous_adx", np.float64),
        ("high", np.float64, (MAX_LOOKBACK,)),
        ("low", np.float64, (MAX_LOOKBACK,)),
        ("cumulative_delta", np.float64, (MAX_LOOKBACK,)),
        ("overlaps", np.int8, (MAX_LOOKBACK,)),
        ("atr_count", np.int64),
        ("atr_ring", np.float64, (MAX_WINDOW,)),
        ("volume_count", np.int64),
        ("volume_ring", np.float64, (MAX_WINDOW,)),
        ("regime", np.int64),
        ("challenger", np.int64),
        ("challenger_bars", np.int64),
        ("scores", np.float64, (5,)),
    ],
    align=True,
)
"""What the regime remembers between bars. `scores` are the last bar's, by regime code."""


def new_regime_state() -> Records:
    """Return a one-element array of `REGIME_STATE` that has seen nothing."""
    state = np.zeros(1, REGIME_STATE)
    state["previous_adx"] = np.nan
    return state


def regime_config(config: RegimeConfig, news: Iterable[tuple[int, int]] = ()) -> Records:
    """Return the settings as a one-element array of `REGIME_CONFIG`.

    Parameters
    ----------
    config : the settings; each of its `news` times becomes an interval.
    news : further intervals `[start, end)` in UTC ns in which nothing is traded.

    Raises
    ------
    ConfigurationError : an interval ends before it starts, or there are more than `MAX_NEWS`.
    """
    intervals = [
        (to_ns(moment) - config.news_before_s * NS_PER_SECOND, to_ns(moment) + config.news_after_s * NS_PER_SECOND)
        for moment in config.news
        if isinstance(moment, datetime)
    ]
    for start, end in news:
        if end < start:
            raise ConfigurationError(f"news interval was {start}..{end}; allowed is an end (UTC ns) not before the start")
        intervals.append((int(start), int(end)))
    if len(intervals) > MAX_NEWS:
        raise ConfigurationError(
            f"news had {len(intervals)} intervals; allowed are {MAX_NEWS}; drop those outside the run's dates"
        )
    record = np.zeros(1, REGIME_CONFIG)
    for name, _ in _numbers(RegimeConfig):
        record[name] = getattr(config, name)
    for name, _ in _numbers(RegimePoints):
        record["points_" + name] = getattr(config.points, name)
    record["all_hours"] = config.hours == "all"
    record["news_count"] = len(intervals)
    for n, interval in enumerate(sorted(intervals)):
        record["news"][0, n] = interval
    return record


@kernel
def start_regime_session(
    state: Records, config: Records, regular_open_ns: int, regular_close_ns: int, open_ns: int, close_ns: int
) -> None:
    """Begin a trade date: structure and regime start anew, indicators go on or start anew as `carry_over_sessions` says."""
    s = state[0]
    c = config[0]
    s["open_ns"] = open_ns if c["all_hours"] else regular_open_ns
    s["close_ns"] = close_ns if c["all_hours"] else regular_close_ns
    s["session_bars"] = 0
    s["regime"] = _NO_TRADE
    s["challenger"] = _NO_TRADE
    s["challenger_bars"] = 0
    s["scores"][:] = 0.0
    if c["carry_over_sessions"]:
        unlink(s["atr"])
        unlink(s["adx"])
        return
    s["ema_fast"][:] = 0.0
    s["ema_slow"][:] = 0.0
    s["atr"][:] = 0.0
    s["adx"][:] = 0.0
    s["previous_adx"] = np.nan
    s["atr_count"] = 0
    s["volume_count"] = 0


@kernel
def percentile_rank(ring: NDArray[np.float64], count: int, window: int, value: float) -> float:
    """Return the rank (0..100) of `value` among the last `window` values, itself being one of them; ties count half.

    NaN until there are `window` values. Equivalent: `scipy.stats.percentileofscore(last, value, kind="mean")`.
    """
    if count < window or np.isnan(value):
        return np.nan
    below = 0
    same = 0
    for k in range(window):
        if ring[k] < value:
            below += 1
        elif ring[k] == value:
            same += 1
    return 100.0 * (below + 0.5 * same) / window


@kernel
def swing_structure(
    high: NDArray[np.float64], low: NDArray[np.float64], bars: int, lookback: int, recent: int
) -> tuple[bool, bool, bool, bool]:
    """Return (higher high, lower high, higher low, lower low) of the last `lookback` bars.

    The extremes of the latest `recent` bars are held against those of the `lookback - recent` bars before them. `high` and
    `low` are rings of `lookback` values in which bar `n` (from 0) lies at `n % lookback`; `bars` is how many have been
    written. All False until `lookback` bars are there.
    """
    if bars < lookback:
        return False, False, False, False
    late_high = -np.inf
    late_low = np.inf
    early_high = -np.inf
    early_low = np.inf
    for age in range(lookback):
        k = (bars - 1 - age) % lookback
        if age < recent:
            late_high = max(late_high, high[k])
            late_low = min(late_low, low[k])
        else:
            early_high = max(early_high, high[k])
            early_low = min(early_low, low[k])
    return late_high > early_high, late_high < early_high, late_low > early_low, late_low < early_low


@kernel
def _trend_points(
    c: Any, row: Any, sign: float, slope: float, adx_change: float, has_new_extreme: bool, has_held_pullback: bool
) -> float:
    # `sign` +1 scores an uptrend, -1 a downtrend. Comparisons with NaN are false, so what is unknown earns nothing.
    points = 0.0
    if row["adx"] > c["trend_adx"]:
        points += c["points_trend_adx_strong"]
    elif row["adx"] > c["range_adx"]:
        points += c["points_trend_adx_weak"]
    if adx_change > 0.0:
        points += c["points_trend_adx_slope"]
    if sign * (row["ema_fast"] - row["ema_slow"]) > 0.0:
        points += c["points_trend_ema"]
    if sign * (float(row["close"]) - row["session_vwap"]) > 0.0:
        points += c["points_trend_vwap"]
    if has_held_pullback:
        points += c["points_trend_structure"] if has_new_extreme else c["points_trend_half_structure"]
    if sign * row["cumulative_delta"] > 0.0:
        points += c["points_trend_delta"] if sign * slope > 0.0 else c["points_trend_delta_weak"]
    return points


@kernel
def _range_points(c: Any, row: Any, average_volume: float, overlaps: int, is_inside: bool) -> float:
    points = 0.0
    if row["adx"] < c["range_adx"]:
        points += c["points_range_adx_strong"]
    elif row["adx"] < c["trend_adx"]:
        points += c["points_range_adx_weak"]
    if abs(float(row["close"]) - row["session_vwap"]) < c["near_vwap_atr"] * row["atr"]:
        points += c["points_range_vwap"]
    if is_inside:
        points += c["points_range_structure"]
    if overlaps >= c["overlap_bars_strong"]:
        points += c["points_range_overlap_strong"]
    elif overlaps >= c["overlap_bars_weak"]:
        points += c["points_range_overlap_weak"]
    if abs(float(row["cumulative_delta"])) < c["flat_delta_volume"] * average_volume:
        points += c["points_range_delta"]
    if row["atr_percentile"] < c["calm_atr_percentile"]:
        points += c["points_range_atr"]
    return points


@kernel
def _volatile_points(c: Any, row: Any, average_volume: float, slope: float, adx_change: float) -> float:
    points = 0.0
    if row["atr_percentile"] > c["volatile_atr_percentile"]:
        points += c["points_volatile_atr_strong"]
    elif row["atr_percentile"] > c["raised_atr_percentile"]:
        points += c["points_volatile_atr_weak"]
    if float(row["high"]) - float(row["low"]) > c["wide_bar_atr"] * row["atr"]:
        points += c["points_volatile_range"]
    if row["volume_ratio"] > c["high_volume_ratio"]:
        points += c["points_volatile_volume"]
    if c["range_adx"] <= row["adx"] <= c["trend_adx"] and adx_change < 0.0:
        points += c["points_volatile_adx"]
    if abs(slope) > c["steep_delta_volume"] * average_volume:
        points += c["points_volatile_delta"]
    return points


@kernel
def _leader(scores: NDArray[np.float64]) -> int:
    # Equal scores: the more cautious regime, VOLATILE, then RANGING; two equal trends are no trend.
    trend = _UP if scores[_UP] > scores[_DOWN] else _DOWN
    calmer = _VOLATILE if scores[_VOLATILE] >= scores[_RANGING] else _RANGING
    if scores[trend] <= scores[calmer]:
        return calmer
    return trend if scores[_UP] != scores[_DOWN] else _VOLATILE


@kernel
def _adopt(s: Any, c: Any) -> float:
    # Name the leader, let it become the regime after enough bars in a row, and return the confidence in the regime in force.
    scores = s["scores"]
    is_weak = scores.max() < c["min_score"]
    leader = _VOLATILE if is_weak else _leader(scores)
    if leader == s["regime"]:
        s["challenger_bars"] = 0
    elif leader == s["challenger"] and s["challenger_bars"] > 0:
        s["challenger_bars"] += 1
    else:
        s["challenger"] = leader
        s["challenger_bars"] = 1
    if s["challenger_bars"] >= c["min_bars_in_regime"]:
        s["regime"] = leader
        s["challenger_bars"] = 0
    own = scores[s["regime"]]
    rival = 0.0
    for code in (_VOLATILE, _RANGING, _UP, _DOWN):
        if code != s["regime"]:
            rival = max(rival, scores[code])
    # A regime that still leads has .5 .. 1 (definitions 5.3); one that is being overtaken has less than .5.
    confidence = 0.5
    if max(own, rival) > 0.0:
        confidence = 0.5 + 0.5 * (own - rival) / max(own, rival)
    return min(confidence, c["weak_confidence_frac"]) if is_weak else confidence


@kernel
def _no_trade(s: Any, c: Any, ts: int, volume_ratio: float) -> int:
    if ts < s["open_ns"] or ts >= s["close_ns"]:
        return _CLOSED
    if ts - s["open_ns"] < c["open_edge_s"] * NS_PER_SECOND or s["close_ns"] - ts < c["close_edge_s"] * NS_PER_SECOND:
        return _SESSION_EDGE
    for n in range(c["news_count"]):
        if c["news"][n, 0] <= ts < c["news"][n, 1]:
            return _NEWS
    return _LOW_VOLUME if volume_ratio < c["low_volume_ratio"] else _NONE


@kernel
def _update_indicators(s: Any, c: Any, row: Any) -> tuple[float, float]:
    # Write the indicators of the row; return the average volume of the bars before it and the change of the ADX.
    high = float(row["high"])
    low = float(row["low"])
    close = float(row["close"])
    volume = float(row["volume"])
    row["ema_fast"] = step_ema(s["ema_fast"], close, c["ema_fast_period"])
    row["ema_slow"] = step_ema(s["ema_slow"], close, c["ema_slow_period"])
    row["atr"] = step_atr(s["atr"], high, low, close, c["atr_period"])
    _plus, _minus, adx = step_adx(s["adx"], high, low, close, c["adx_period"])
    row["adx"] = adx
    adx_change = adx - s["previous_adx"]
    s["previous_adx"] = adx

    window = c["atr_window_bars"]
    if not np.isnan(row["atr"]):
        s["atr_ring"][s["atr_count"] % window] = row["atr"]
        s["atr_count"] += 1
    row["atr_percentile"] = percentile_rank(s["atr_ring"], s["atr_count"], window, row["atr"])

    window = c["volume_lookback_bars"]
    average_volume = np.nan
    if s["volume_count"] >= window:
        total = 0.0  # volumes are whole numbers, so the sum is exact in any order
        for k in range(window):
            total += s["volume_ring"][k]
        average_volume = total / window
    row["volume_ratio"] = volume / average_volume if average_volume > 0.0 else np.nan
    s["volume_ring"][s["volume_count"] % window] = volume
    s["volume_count"] += 1
    return average_volume, adx_change


@kernel
def _remember_bar(s: Any, row: Any, lookback: int) -> tuple[int, float]:
    # Put the bar into the session's rings; return how many of them closed inside the bar before, and the slope of delta.
    bars = s["session_bars"]
    here = bars % lookback
    before = (bars - 1) % lookback
    close = float(row["close"])
    is_inside = bars > 0 and s["low"][before] <= close <= s["high"][before]
    s["overlaps"][here] = 1 if is_inside else 0
    s["high"][here] = float(row["high"])
    s["low"][here] = float(row["low"])
    s["cumulative_delta"][here] = float(row["cumulative_delta"])
    bars += 1
    s["session_bars"] = bars
    known = min(bars, lookback)
    overlaps = 0
    for k in range(known):
        overlaps += s["overlaps"][k]
    if known < 2:
        return overlaps, np.nan
    return overlaps, (s["cumulative_delta"][here] - s["cumulative_delta"][(bars - known) % lookback]) / (known - 1)


@kernel
def update_regime(state: Records, config: Records, rows: Records, i: int) -> None:
    """Take the closed bar `rows[i]` and write its indicators and its regime.

    Reads `high`, `low`, `close`, `volume`, `cumulative_delta`, `session_vwap`, `known_at`; writes `ema_fast`, `ema_slow`,
    `atr` (ticks), `adx`, `atr_percentile` (0..100), `volume_ratio` (volume over the average of the bars before),
    `structure` (+2 higher high and higher low, +1 higher low alone, mirrored below zero, else 0), `regime`,
    `regime_confidence` (0..1; NaN in NO_TRADE) and `no_trade`. To be called once for each bar, in order.
    """
    s = state[0]
    c = config[0]
    row = rows[i]
    average_volume, adx_change = _update_indicators(s, c, row)
    lookback = c["structure_bars"]
    overlaps, slope = _remember_bar(s, row, lookback)
    higher_high, lower_high, higher_low, lower_low = swing_structure(
        s["high"], s["low"], s["session_bars"], lookback, c["structure_recent_bars"]
    )
    structure = 0
    if higher_low and not lower_high:
        structure = 2 if higher_high else 1
    elif lower_high and not higher_low:
        structure = -2 if lower_low else -1
    row["structure"] = structure
    row["regime"] = _NO_TRADE
    row["regime_confidence"] = np.nan
    if np.isnan(row["adx"] + row["ema_slow"] + row["atr"] + average_volume):
        row["no_trade"] = _WARM_UP
        return
    scores = s["scores"]
    scores[_UP] = _trend_points(c, row, 1.0, slope, adx_change, higher_high, higher_low)
    scores[_DOWN] = _trend_points(c, row, -1.0, slope, adx_change, lower_low, lower_high)
    is_inside = s["session_bars"] >= lookback and not higher_high and not lower_low
    scores[_RANGING] = _range_points(c, row, average_volume, overlaps, is_inside)
    scores[_VOLATILE] = _volatile_points(c, row, average_volume, slope, adx_change)
    confidence = _adopt(s, c)
    reason = _no_trade(s, c, row["known_at"], row["volume_ratio"])
    if reason == _NONE and s["regime"] == _NO_TRADE:
        reason = _WARM_UP  # no regime has lasted long enough yet
    row["no_trade"] = reason
    if reason == _NONE:
        row["regime"] = s["regime"]
        row["regime_confidence"] = confidence
