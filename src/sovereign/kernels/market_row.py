"""Names and record types of market regime, turns, liquidity and mood; free of compiled code, so that it loads at once."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Field(IntEnum):
    """Rows of a history."""

    OPEN = 0
    HIGH = 1
    LOW = 2
    CLOSE = 3
    VOLUME = 4
    SIGNED_VOLUME = 5
    SESSION = 6
    CHANGE = 7
    VOLATILITY = 8
    WIDTH = 9
    ATR = 10
    MOMENTUM = 11
    VOLUME_RATIO = 12
    PRIOR_TREND = 13
    AMIHUD = 14
    IMPACT = 15


FIELDS = len(Field)
"""Rows of a history array."""

MEASURES = np.dtype(
    [
        ("volatility", np.float64),
        ("volatility_percentile", np.float64),
        ("efficiency", np.float64),
        ("width", np.float64),
        ("width_percentile", np.float64),
        ("atr", np.float64),
        ("momentum", np.float64),
        ("volume_ratio", np.float64),
        ("prior_trend", np.float64),
    ],
    align=True,
)
"""What is measured at a bar: volatility a year (fraction), percentiles 0..1, efficiency -1..1, width as a fraction of the mean,
ATR in ticks, momentum (the window's log change in standard deviations of a driftless walk; 0 without volatility), log
volume ratio, the trend before the window in ATRs times root bars."""


class VolatilityClass(IntEnum):
    """How restless a market is, against its own history."""

    UNKNOWN = -1
    CALM = 0
    NORMAL = 1
    VOLATILE = 2


class MarketRegime(IntEnum):
    """The seven names of a market, and UNKNOWN while measures warm up."""

    UNKNOWN = 0
    TRENDING_UP = 1
    TRENDING_DOWN = 2
    RANGING = 3
    VOLATILE = 4
    CALM = 5
    ACCUMULATION = 6
    DISTRIBUTION = 7


class HiddenPhase(IntEnum):
    """What a state of the hidden Markov model stands for."""

    NONE = -1
    ACCUMULATION = 0
    MARKUP = 1
    DISTRIBUTION = 2
    MARKDOWN = 3
    RANGE = 4


PHASES = 5
"""Number of hidden phases."""

REGIME = np.dtype(
    [
        *[(name, MEASURES.fields[name][0]) for name in MEASURES.names or ()],  # type: ignore[index]
        ("trend", np.int8),
        ("volatility_class", np.int8),
        ("is_range", np.int8),
        ("hidden_phase", np.int8),
        ("p_accumulation", np.float64),
        ("p_markup", np.float64),
        ("p_distribution", np.float64),
        ("p_markdown", np.float64),
        ("p_range", np.float64),
        ("p_wildest", np.float64),
        ("is_crisis", np.int8),
        ("regime", np.int8),
        ("regime_confidence", np.float64),
    ],
    align=True,
)
"""The regime of a bar: the measures; the axes, each held against flicker (`trend` -1, 0, +1, -2 unknown; `volatility_class`;
`is_range`; `hidden_phase` of the hidden model); filtered probabilities (NaN before the first fit); the name, how sure it is."""

REGIME_SETTING = np.dtype(
    [
        ("trend_by_return", np.int64),
        ("trend_efficiency", np.float64),
        ("trend_deviations", np.float64),
        ("range_width_percentile", np.float64),
        ("range_efficiency", np.float64),
        ("volatile_percentile", np.float64),
        ("calm_percentile", np.float64),
        ("volatile_level", np.float64),
        ("calm_level", np.float64),
        ("uses_levels", np.int64),
        ("hold_bars", np.int64),
        ("min_phase_probability", np.float64),
        ("crisis_probability", np.float64),
        ("crisis_volatility", np.float64),
        ("crisis_percentile", np.float64),
        ("crisis_readings", np.int64),
    ],
    align=True,
)
"""The settings of `classify`; see `signals.market_regime.MarketRegimeConfig` for their meaning."""

HELD = 4
"""Axes with hysteresis: trend, volatility, range, phase."""


class Swing(IntEnum):
    """What became certain at a bar; the numbers are the types."""

    NONE = 0
    QUIET = 1
    ORDINARY = 2
    HEAVY = 3
    TESTED = 4


TURN_STATE = np.dtype(
    [
        ("is_open", np.int64),
        ("age", np.int64),
        ("level", np.float64),
        ("atr", np.float64),
        ("extreme", np.float64),
        ("ratio", np.float64),
        ("is_waiting", np.int64),
        ("waited", np.int64),
        ("test_level", np.float64),
        ("test_extreme", np.float64),
        ("test_ratio", np.float64),
    ],
    align=True,
)
"""A break that is not taken back yet (`is_open`: 1, or 2 when it counts no more), or one that waits for its test."""


class Phase(IntEnum):
    """Where in Wyckoff's cycle a market is."""

    NONE = 0
    ACCUMULATION = 1
    MARKUP = 2
    DISTRIBUTION = 3
    MARKDOWN = 4


WYCKOFF = np.dtype(
    [
        ("spring", np.int8),
        ("upthrust", np.int8),
        ("bars_since_spring", np.int32),
        ("bars_since_upthrust", np.int32),
        ("phase", np.int8),
    ],
    align=True,
)
"""What is known at a bar; `bars_since_*` count from the last turn that may be traded, -1 when there was none."""

WYCKOFF_SETTING = np.dtype(
    [
        ("range_bars", np.int64),
        ("trend_bars", np.int64),
        ("level_share", np.float64),
        ("min_trend", np.float64),
        ("recover_bars", np.int64),
        ("max_break_atr", np.float64),
        ("quiet_ratio", np.float64),
        ("heavy_ratio", np.float64),
        ("test_bars", np.int64),
        ("test_atr", np.float64),
        ("trend_efficiency", np.float64),
    ],
    align=True,
)
"""The settings of `find_turns`; see `signals.wyckoff.WyckoffConfig` for their meaning."""

LIQUIDITY = np.dtype(
    [
        ("amihud", np.float64),
        ("amihud_percentile", np.float64),
        ("impact", np.float64),
        ("impact_percentile", np.float64),
        ("magnet", np.float64),
        ("magnet_share", np.float64),
        ("is_at_magnet", np.int8),
    ],
    align=True,
)
"""What is known of liquidity at a bar; percentiles 0..1 of its own history, `magnet` in ticks."""

SENTIMENT = np.dtype(
    [
        ("vwap", np.float64),
        ("momentum_ratio", np.float64),
        ("volume_balance", np.float64),
        ("volatility_z", np.float64),
    ],
    align=True,
)
"""`vwap` in ticks; changes' mean over deviation; (rising - falling) / all volume; volatility in deviations of the past."""
