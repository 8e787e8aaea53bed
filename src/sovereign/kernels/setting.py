"""Settings of the regime and of the router, apart from their kernels so that reading a configuration compiles nothing.

Each field is copied into a one-element record that the kernels read; there are no other thresholds in them.
"""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import AwareDatetime, Field, model_validator

from sovereign.core.configuration import Configuration

MAX_LOOKBACK = 64
"""Capacity of the ring that holds the bars of the market structure."""

MAX_WINDOW = 512
"""Capacity of the rings of ATR and volume."""

MAX_NEWS = 1024
"""Capacity of the news list, in intervals."""

PatternName = Literal[
    "buy_imbalance",
    "sell_imbalance",
    "stacked_buy_imbalance",
    "stacked_sell_imbalance",
    "buying_exhaustion",
    "selling_exhaustion",
    "buying_absorption",
    "selling_absorption",
    "delta_divergence",
    "unfinished_auction",
]
"""The ten patterns as written in a configuration: the names of `kernels.row.Pattern` in lower case and in its order."""

PATTERN_NAMES: tuple[str, ...] = get_args(PatternName)

Sides = Literal["long", "short", "both", "none"]


class RegimePoints(Configuration):
    """How much each observation counts for a regime. Source of the defaults: definitions 5.3."""

    trend_adx_strong: float = Field(default=2.0, ge=0, description="Points for ADX above trend_adx. Source: definitions 5.3.")
    trend_adx_weak: float = Field(
        default=1.0, ge=0, description="Points for ADX above range_adx only. Source: definitions 5.3."
    )
    trend_ema: float = Field(
        default=1.5, ge=0, description="Points for the fast EMA on the trend's side of the slow one. Source: definitions 5.3."
    )
    trend_vwap: float = Field(
        default=1.0, ge=0, description="Points for a close on the trend's side of the session VWAP. Source: definitions 5.3."
    )
    trend_structure: float = Field(
        default=2.0, ge=0, description="Points for higher high and higher low (mirrored). Source: definitions 5.3."
    )
    trend_half_structure: float = Field(
        default=1.0, ge=0, description="Points for a higher low alone (mirrored). Source: definitions 5.3."
    )
    trend_delta: float = Field(
        default=1.5, ge=0, description="Points for cumulative delta and its slope with the trend. Source: definitions 5.3."
    )
    trend_delta_weak: float = Field(
        default=0.5, ge=0, description="Points for cumulative delta alone with the trend. Source: definitions 5.3."
    )
    trend_adx_slope: float = Field(default=0.5, ge=0, description="Points for a rising ADX. Source: definitions 5.3.")
    range_adx_strong: float = Field(default=2.0, ge=0, description="Points for ADX below range_adx. Source: definitions 5.3.")
    range_adx_weak: float = Field(
        default=1.0, ge=0, description="Points for ADX below trend_adx only. Source: definitions 5.3."
    )
    range_vwap: float = Field(
        default=1.0, ge=0, description="Points for a close near the session VWAP. Source: definitions 5.3."
    )
    range_structure: float = Field(
        default=1.5, ge=0, description="Points for neither a higher high nor a lower low. Source: definitions 5.3."
    )
    range_overlap_strong: float = Field(
        default=2.0, ge=0, description="Points for overlap_bars_strong overlapping bars. Source: definitions 5.3."
    )
    range_overlap_weak: float = Field(
        default=1.0, ge=0, description="Points for overlap_bars_weak overlapping bars. Source: definitions 5.3."
    )
    range_delta: float = Field(default=1.0, ge=0, description="Points for a flat cumulative delta. Source: definitions 5.3.")
    range_atr: float = Field(
        default=1.0, ge=0, description="Points for an ATR below calm_atr_percentile. Source: definitions 5.3."
    )
    volatile_atr_strong: float = Field(
        default=2.5, ge=0, description="Points for ATR above volatile_atr_percentile. Source: definitions 5.3."
    )
    volatile_atr_weak: float = Field(
        default=1.5, ge=0, description="Points for ATR above raised_atr_percentile only. Source: definitions 5.3."
    )
    volatile_range: float = Field(
        default=1.5, ge=0, description="Points for a bar longer than wide_bar_atr. Source: definitions 5.3."
    )
    volatile_volume: float = Field(
        default=1.0, ge=0, description="Points for volume above high_volume_ratio. Source: definitions 5.3."
    )
    volatile_adx: float = Field(
        default=1.0, ge=0, description="Points for a falling ADX between range_adx and trend_adx. Source: definitions 5.3."
    )
    volatile_delta: float = Field(
        default=1.0, ge=0, description="Points for a steep cumulative delta, either way. Source: definitions 5.3."
    )


class RegimeConfig(Configuration):
    """What makes a bar trending, ranging, volatile or not tradable. Distances are in ATRs and volumes, never in points."""

    hours: Literal["regular", "all"] = Field(
        default="regular",
        description="Trade the day session, or all the venue's hours of the trade date; risk.hours bounds every strategy. "
        "Source: definitions 5.4.",
    )
    open_edge_s: int = Field(default=300, ge=0, description="No trading this long after the open (s). Source: definitions 5.3.")
    close_edge_s: int = Field(
        default=900, ge=0, description="No trading when less than this is left to the close (s). Source: definitions 5.3."
    )
    news: tuple[AwareDatetime, ...] = Field(
        default=(),
        max_length=MAX_NEWS,
        description="Scheduled releases (time with zone) around which this strategy's regime is NO_TRADE; risk.news and "
        "risk.news_file keep every strategy and person out. Source: definitions 5.3.",
    )
    news_before_s: int = Field(
        default=300, ge=0, description="No trading this long before a release (s). Source: common practice, no study."
    )
    news_after_s: int = Field(
        default=300, ge=0, description="No trading this long after a release (s). Source: common practice, no study."
    )
    low_volume_ratio: float = Field(
        default=0.3,
        ge=0,
        description="No trading when volume is below this multiple of its average (ratio). Source: definitions 5.3.",
    )
    volume_lookback_bars: int = Field(
        default=20,
        ge=1,
        le=MAX_WINDOW,
        description="Previous bars whose volume is averaged (bars). Source: definitions 5.3, recent average.",
    )
    carry_over_sessions: bool = Field(
        default=True,
        description="Keep EMA, ATR, ADX and volume averages from the previous session instead of warming up anew. "
        "The gap between two sessions never counts as a bar's range.",
    )
    ema_fast_period: int = Field(default=9, ge=1, description="Fast EMA (bars). Source: definitions 5.3.")
    ema_slow_period: int = Field(default=21, ge=1, description="Slow EMA (bars). Source: definitions 5.3.")
    atr_period: int = Field(default=14, ge=1, description="Wilder ATR (bars). Source: Wilder 1978; definitions 5.3.")
    adx_period: int = Field(default=14, ge=2, description="Wilder ADX (bars). Source: Wilder 1978; definitions 5.3.")
    atr_window_bars: int = Field(
        default=50, ge=2, le=MAX_WINDOW, description="Bars among which the ATR is ranked (bars). Source: definitions 5.3."
    )
    structure_bars: int = Field(
        default=5, ge=3, le=MAX_LOOKBACK, description="Bars of the market structure (bars). Source: definitions 5.3."
    )
    structure_recent_bars: int = Field(
        default=2,
        ge=1,
        description="The latest of structure_bars, whose extremes are held against those of the earlier ones (bars). "
        "Source: definitions 5.3, mended: two groups of bars instead of the last bar against the lowest low.",
    )
    min_bars_in_regime: int = Field(
        default=2,
        ge=1,
        description="Bars in a row a new regime must last before it is adopted (bars). Source: definitions 5.3.",
    )
    min_score: float = Field(
        default=4.0, ge=0, description="A best score below this is VOLATILE (points). Source: definitions 5.3."
    )
    weak_confidence_frac: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Highest confidence when no score reaches min_score (fraction). Source: definitions 5.3.",
    )
    trend_adx: float = Field(default=25.0, ge=0, description="ADX above this is a trend. Source: Wilder 1978; definitions 5.3.")
    range_adx: float = Field(
        default=20.0, ge=0, description="ADX below this is no trend. Source: Wilder 1978; definitions 5.3."
    )
    near_vwap_atr: float = Field(
        default=0.2,
        ge=0,
        description="A close nearer to the session VWAP is near (ATRs). Source: definitions 5.3, 0.5 point on ES, scaled.",
    )
    overlap_bars_strong: int = Field(
        default=3,
        ge=0,
        description="Closes inside the previous bar's range for full points (bars). Source: definitions 5.3.",
    )
    overlap_bars_weak: int = Field(default=2, ge=0, description="The same for few points (bars). Source: definitions 5.3.")
    flat_delta_volume: float = Field(
        default=0.05,
        ge=0,
        description="Cumulative delta below this is flat (average bar volumes). Source: definitions 5.3, 500 on ES, scaled.",
    )
    steep_delta_volume: float = Field(
        default=0.1,
        ge=0,
        description="Slope of cumulative delta above this is steep (average bar volumes per bar). "
        "Source: definitions 5.3's 100 contracts on ES, scaled to what is rare.",
    )
    calm_atr_percentile: float = Field(
        default=50.0, ge=0, le=100, description="ATR below this rank is calm (percentile). Source: definitions 5.3."
    )
    raised_atr_percentile: float = Field(
        default=70.0, ge=0, le=100, description="ATR above this rank is raised (percentile). Source: definitions 5.3."
    )
    volatile_atr_percentile: float = Field(
        default=85.0, ge=0, le=100, description="ATR above this rank is high (percentile). Source: definitions 5.3."
    )
    wide_bar_atr: float = Field(
        default=1.5, ge=0, description="A bar longer than this is wide (ATRs). Source: definitions 5.3."
    )
    high_volume_ratio: float = Field(
        default=2.0, ge=0, description="Volume above this multiple of its average is high (ratio). Source: definitions 5.3."
    )
    points: RegimePoints = Field(default=RegimePoints(), description="Points of each observation. Source: definitions 5.3.")

    @model_validator(mode="after")
    def _ordered(self) -> RegimeConfig:
        pairs = (
            ("ema_fast_period", "ema_slow_period"),
            ("range_adx", "trend_adx"),
            ("overlap_bars_weak", "overlap_bars_strong"),
            ("raised_atr_percentile", "volatile_atr_percentile"),
        )
        for low, high in pairs:
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} was {getattr(self, low)}; allowed is at most {high} ({getattr(self, high)})")
        if self.structure_recent_bars >= self.structure_bars:
            raise ValueError(
                f"structure_recent_bars was {self.structure_recent_bars}; "
                f"allowed is less than structure_bars ({self.structure_bars})"
            )
        return self


class RegimeRule(Configuration):
    """What may be traded in one regime."""

    patterns: tuple[PatternName, ...] = Field(description="Patterns that may be traded. Source: definitions 5.4.")
    sides: Sides = Field(default="both", description="Directions that may be traded. Source: definitions 5.4.")
    size_multiplier: float = Field(
        default=1.0, gt=0, le=1, description="Fraction of the sized quantity. Source: definitions 5.4."
    )


class RouterConfig(Configuration):
    """Which patterns are traded in which regime, and how strong they must be.

    Single and stacked imbalances are left out of the trends by default: the originals lost there (definitions 5.4). Add them to
    `trending_up.patterns` and `trending_down.patterns` to follow the trend with them.
    """

    trending_up: RegimeRule = Field(
        default=RegimeRule(
            patterns=("buying_absorption", "selling_exhaustion", "delta_divergence"), sides="long", size_multiplier=1.0
        ),
        description="Rule in TRENDING_UP. Source: definitions 5.4.",
    )
    trending_down: RegimeRule = Field(
        default=RegimeRule(
            patterns=("selling_absorption", "buying_exhaustion", "delta_divergence"), sides="short", size_multiplier=1.0
        ),
        description="Rule in TRENDING_DOWN. Source: definitions 5.4.",
    )
    ranging: RegimeRule = Field(
        default=RegimeRule(
            patterns=(
                "buying_exhaustion",
                "selling_exhaustion",
                "buying_absorption",
                "selling_absorption",
                "unfinished_auction",
            ),
            size_multiplier=0.75,
        ),
        description="Rule in RANGING; an unfinished auction is context there, never an entry. Source: definitions 5.2, 5.4.",
    )
    volatile: RegimeRule = Field(
        default=RegimeRule(patterns=("stacked_buy_imbalance", "stacked_sell_imbalance"), size_multiplier=0.5),
        description="Rule in VOLATILE. Source: definitions 5.4.",
    )
    min_strength: float = Field(
        default=0.5, ge=0, le=1, description="Least strength of a pattern (0..1). Source: definitions 5.4."
    )
    min_confidence: float = Field(
        default=0.6, ge=0, le=1, description="Least confidence in the regime (0..1). Source: definitions 5.4."
    )
    scale_size_by_confidence: bool = Field(
        default=False,
        description="Multiply the size by the confidence in the regime too. Source: requirement, sizing by regime confidence.",
    )
