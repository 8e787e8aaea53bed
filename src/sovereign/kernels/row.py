"""The rows that order flow writes: one per closed footprint bar, and one per candidate pattern on it.

Prices are integer ticks, volumes units, times UTC nanoseconds. A float field is NaN until its indicator is warm, and NaN in
gives NaN out. `ROW` and `CANDIDATE` are the contract between the kernels that write them, the strategy that reads them, and
the audit, store and reports that keep them.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Pattern(IntEnum):
    """The ten order-flow patterns. The name says who was active: buying exhaustion is a reason to go short."""

    BUY_IMBALANCE = 0
    SELL_IMBALANCE = 1
    STACKED_BUY_IMBALANCE = 2
    STACKED_SELL_IMBALANCE = 3
    BUYING_EXHAUSTION = 4
    SELLING_EXHAUSTION = 5
    BUYING_ABSORPTION = 6
    SELLING_ABSORPTION = 7
    DELTA_DIVERGENCE = 8
    UNFINISHED_AUCTION = 9


class Regime(IntEnum):
    """What kind of market a bar closed in."""

    NO_TRADE = 0
    TRENDING_UP = 1
    TRENDING_DOWN = 2
    RANGING = 3
    VOLATILE = 4


class NoTrade(IntEnum):
    """Why a bar is not tradable; the first that applies, or NONE."""

    NONE = 0
    WARM_UP = 1
    CLOSED = 2
    SESSION_EDGE = 3
    NEWS = 4
    LOW_VOLUME = 5


class Gate(IntEnum):
    """The router's gates, in order; a candidate carries the first one it failed, or PASSED."""

    PASSED = 0
    NO_TRADE = 1
    PATTERN_DISABLED = 2
    SIDE_DISABLED = 3
    CONTEXT_ONLY = 4
    STRENGTH = 5
    CONFIDENCE = 6


ROW = np.dtype(
    [
        ("known_at", np.int64),
        ("seq", np.int64),
        ("wake", np.bool_),
        ("open_ns", np.int64),
        ("open", np.int32),
        ("high", np.int32),
        ("low", np.int32),
        ("close", np.int32),
        ("trades", np.int32),
        ("volume", np.int64),
        ("bid_volume", np.int64),
        ("ask_volume", np.int64),
        ("delta", np.int64),
        ("min_delta", np.int64),
        ("max_delta", np.int64),
        ("cumulative_delta", np.int64),
        ("poc", np.int32),
        ("value_area_low", np.int32),
        ("value_area_high", np.int32),
        ("session_poc", np.int32),
        ("session_value_area_low", np.int32),
        ("session_value_area_high", np.int32),
        ("session_vwap", np.float64),
        ("unfinished_high", np.bool_),
        ("unfinished_low", np.bool_),
        ("ema_fast", np.float64),
        ("ema_slow", np.float64),
        ("atr", np.float64),
        ("adx", np.float64),
        ("atr_percentile", np.float64),
        ("volume_ratio", np.float64),
        ("structure", np.int8),
        ("regime", np.int8),
        ("regime_confidence", np.float64),
        ("no_trade", np.int8),
        ("first_candidate", np.int32),
        ("candidates", np.int32),
    ],
    align=True,
)
"""One closed bar `[open_ns, known_at)`; `bid_volume` hit the bid (sellers), `ask_volume` lifted the ask (buyers)."""

CANDIDATE = np.dtype(
    [
        ("row", np.int32),
        ("pattern", np.int8),
        ("side", np.int8),
        ("gate", np.int8),
        ("regime", np.int8),
        ("price", np.int32),
        ("known_at", np.int64),
        ("strength", np.float64),
        ("confidence", np.float64),
        ("value", np.float64),
        ("size_multiplier", np.float64),
    ],
    align=True,
)
"""One pattern on one bar, the strongest of its kind: `side` +1 long, -1 short, 0 context only; `value` is its raw measure."""
