"""Settings of the tug of war: its bars, its two camps, the market's regime, the rule between them, positions, exits."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sovereign.core.configuration import Configuration
from sovereign.feeds.earnings import EarningsConfig
from sovereign.signals.calibration import CalibrationConfig
from sovereign.signals.tug_market import MarketConfig
from sovereign.signals.tug_of_war import CrowdConfig, InstitutionConfig
from sovereign.strategies.combiner import ConflictConfig

FULL_SIZE_FRAC = 0.05
"""Share of equity that a size multiplier of 1 asks for: `risk.value_frac` of the folder's assumptions."""

Part = Literal[
    "institutions",
    "momentum",
    "alpha",
    "breakout",
    "news",
    "tape",
    "crowd",
    "regime",
    "chop_rule",
    "veto",
    "earnings",
    "kelly",
    "flip_exit",
    "crowded_exit",
]


class ConfidenceConfig(Configuration):
    """What the thresholds of the rule are held against."""

    measure: Literal["raw", "rank", "probability"] = Field(
        default="rank",
        description="raw: share of points less a penalty; rank: share of the symbol's earlier convictions that were weaker; "
        "probability: how often convictions as strong came right. Source: definitions 1.1, mended.",
    )
    rank_rows: int = Field(
        default=1_000,
        ge=20,
        description="Earlier convictions a rank looks at (count). Source: own choice, two months of cycles.",
    )
    min_rank_rows: int = Field(
        default=40, ge=10, description="Least of them before a rank is known (count). Source: own choice."
    )
    calibration: CalibrationConfig = Field(default=CalibrationConfig(), description="What came of earlier convictions.")

    @model_validator(mode="after")
    def _fits(self) -> ConfidenceConfig:
        if self.min_rank_rows > self.rank_rows:
            raise ValueError(f"min_rank_rows was {self.min_rank_rows}; it must not be above rank_rows, {self.rank_rows}")
        return self


class KellyConfig(Configuration):
    """Half of Kelly's fraction, from the strategy's own closed trades."""

    fraction: float = Field(default=0.5, ge=0, le=1, description="Share of Kelly's fraction. Source: tug of war requirement.")
    max_fraction: float = Field(
        default=0.25, ge=0, le=1, description="Largest fraction (of equity). Source: tug of war requirement."
    )
    prior_trades: float = Field(
        default=30.0, gt=0, description="Trades of no edge that are added to the record (count). Source: own choice."
    )
    max_trades: int = Field(default=200, ge=10, description="Latest trades that count (count). Source: own choice.")
    max_kept_episodes: int = Field(
        default=20_000,
        ge=10,
        description="Entries kept in the store with their ends, the latest (count). Source: own choice, decades.",
    )

    @model_validator(mode="after")
    def _fits(self) -> KellyConfig:
        # A session run again must find every trade that it found the first time: those of the session come on top.
        if self.max_kept_episodes <= self.max_trades:
            raise ValueError(f"max_kept_episodes was {self.max_kept_episodes}; it must be above max_trades, {self.max_trades}")
        return self


class PositionConfig(Configuration):
    """Size, stop and target of a position."""

    min_size_frac: float = Field(
        default=0.02, gt=0, le=1, description="Size without an edge of its own (fraction of equity). Source: definitions 1.4."
    )
    max_size_frac: float = Field(
        default=0.05,
        gt=0,
        le=FULL_SIZE_FRAC,
        description="Largest size (fraction of equity); no more is allowed. Source: tug of war requirement.",
    )
    kelly_scale: float = Field(
        default=2.0, ge=0, description="Size added for half of Kelly's fraction (factor). Source: definitions 1.4."
    )
    max_risk_frac: float = Field(
        default=0.02, gt=0, le=1, description="Largest loss at the stop (fraction of equity). Source: tug of war requirement."
    )
    trend_stop_frac: float = Field(
        default=0.02, gt=0, le=0.5, description="Stop in a trend (fraction of price). Source: tug of war requirement."
    )
    trend_target_frac: float = Field(
        default=0.04, gt=0, le=1, description="Target in a trend (fraction of price). Source: tug of war requirement."
    )
    chop_stop_frac: float = Field(
        default=0.01, gt=0, le=0.5, description="Stop in chop (fraction of price). Source: tug of war requirement."
    )
    chop_target_frac: float = Field(
        default=0.02, gt=0, le=1, description="Target in chop (fraction of price). Source: tug of war requirement."
    )
    kelly: KellyConfig = Field(default=KellyConfig(), description="Half of Kelly's fraction.")

    @model_validator(mode="after")
    def _in_order(self) -> PositionConfig:
        if self.min_size_frac > self.max_size_frac:
            raise ValueError(f"min_size_frac was {self.min_size_frac}; it must not be above {self.max_size_frac}")
        return self


class EntryConfig(Configuration):
    """When and how a position is opened."""

    cycle_minutes: int = Field(
        default=15, ge=1, le=390, description="Entries are looked for this often (min). Source: tug of war requirement."
    )
    order: Literal["limit_ioc", "market"] = Field(
        default="limit_ioc",
        description="Limit that fills at once or not at all, or market; daily bars always enter at the market, at the next "
        "open. Source: tug of war requirement.",
    )
    slip_frac: float = Field(
        default=0.0005,
        ge=0,
        le=0.05,
        description="How far the limit may lie beyond its reference (fraction). Source: tug of war requirement, 5 bp.",
    )
    reference: Literal["micro", "mid", "last"] = Field(
        default="micro",
        description="What the limit is measured from. mid: the middle of the quote at the last trade; micro: within it by the "
        "sizes on both sides, and the middle where they are not known; last: the last price. Source: definitions 1.4.",
    )
    size_age_s: float = Field(
        default=90.0,
        gt=0,
        description="Oldest snapshot of the tape whose sizes make a micro-price (s). Source: own choice.",
    )
    fallback: Literal["last", "none"] = Field(
        default="last",
        description="Without a quote: last measures the limit from the last price, none refuses the entry. Source: own choice.",
    )
    is_unknown_report_blocked: bool = Field(
        default=True,
        description="Refuse a symbol whose next earnings report is unknown. Source: definitions 1.4, fail closed.",
    )


class ExitConfig(Configuration):
    """What closes a position beside its stop and target."""

    flip_bars: int = Field(
        default=3,
        ge=1,
        description="Bars in a row in which institutions point the other way (bars). Source: tug of war requirement.",
    )


class TugOfWarConfig(Configuration):
    """The tug of war."""

    bar_seconds: int = Field(
        default=300, ge=60, description="Width of the bars (s); 86,400 for daily ones. Source: own choice; any the data holds."
    )
    warm_up_sessions: int = Field(
        default=600,
        ge=0,
        description="Sessions before the first of a backtest on recorded bars that signals see and nobody trades, as far as "
        "the catalog has them (sessions). Source: own choice, the 570 that the daily hidden model needs and some to spare.",
    )
    benchmarks: tuple[str, ...] = Field(
        default=("SPY", "QQQ"),
        min_length=1,
        description="Symbols that are looked at and never traded; the first gives the regime, both explain returns.",
    )
    without: tuple[Part, ...] = Field(
        default=(), description="Parts that are left out, to see what they are worth. Source: own choice."
    )
    institution: InstitutionConfig = Field(default=InstitutionConfig(), description="What institutions do.")
    crowd: CrowdConfig = Field(default=CrowdConfig(), description="What the crowd does.")
    market: MarketConfig = Field(default=MarketConfig(), description="The regime of the market.")
    conflict: ConflictConfig = Field(default=ConflictConfig(), description="The rule between the two camps.")
    confidence: ConfidenceConfig = Field(default=ConfidenceConfig(), description="What the thresholds are held against.")
    earnings: EarningsConfig = Field(default=EarningsConfig(), description="The earnings calendar and its blackout.")
    entry: EntryConfig = Field(default=EntryConfig(), description="When and how a position is opened.")
    position: PositionConfig = Field(default=PositionConfig(), description="Size, stop and target.")
    exits: ExitConfig = Field(default=ExitConfig(), description="What else closes a position.")
