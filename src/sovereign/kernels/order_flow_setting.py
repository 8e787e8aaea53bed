"""Settings of footprint bars and order-flow patterns, apart from the kernels so that reading a configuration compiles nothing.

Volumes are contracts for futures and shares for equities; a fraction is 0..1.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from sovereign.core.configuration import Configuration
from sovereign.core.errors import ConfigurationError, suggestion
from sovereign.core.instrument import AssetClass, Instrument

MAX_HISTORY = 512
"""Capacity of the ring of absorption zones, in bars."""

EQUITY = "equity"
"""Key of the volume minimums that hold for every equity without a key of its own."""


class FootprintConfig(Configuration):
    """What closes a bar and how its profile is read."""

    kind: Literal["time", "tick", "volume", "range"] = Field(
        default="time",
        description="What closes a bar: the clock, a number of trades, a volume or a price range. Source: definitions 5.1.",
    )
    bar_s: int = Field(default=300, ge=1, le=86_400, description="Length of a time bar (s). Source: definitions 5.1.")
    bar_trades: int = Field(
        default=2_000, ge=1, description="Length of a tick bar (trades). Source: common practice on ES, no study."
    )
    bar_volume: int = Field(
        default=10_000,
        ge=1,
        description="Length of a volume bar (contracts or shares). Source: common practice on ES, no study.",
    )
    bar_range_ticks: int = Field(
        default=8,
        ge=1,
        description="High minus low at which a range bar closes (ticks). Source: common practice on ES, no study.",
    )
    alignment: Literal["regular_open", "epoch"] = Field(
        default="regular_open",
        description="Where the grid of time bars is anchored: the day session's open, or 1970-01-01 UTC.",
    )
    value_area_frac: float = Field(
        default=0.70,
        gt=0,
        le=1,
        description="Share of the volume that the value area holds (fraction). Source: definitions 5.2.",
    )
    value_area_step_levels: int = Field(
        default=1,
        ge=1,
        description="Levels compared at a time when the value area grows (levels); 2 is the pairing of the CBOT handbook. "
        "Source: definitions 5.2.",
    )
    kept_bars: int = Field(
        default=60, ge=0, le=100_000, description="Closed bars whose levels stay readable for the console and dashboard (bars)."
    )
    max_levels: int = Field(
        default=1_000_000,
        ge=1,
        description="Widest price range of a bar or session that is believed (ticks); beyond it the data is refused.",
    )


class VolumeMinimums(Configuration):
    """How much volume counts on one market."""

    imbalance: int = Field(
        ge=0, description="Least aggressor volume of an imbalance (contracts or shares). Source: definitions 5.1."
    )
    absorption: int = Field(
        ge=0, description="Least volume of an absorption zone (contracts or shares). Source: definitions 5.1."
    )
    exhaustion: int = Field(
        ge=0,
        description="Least aggressor volume of an exhaustion zone (contracts or shares). Source: as absorption.",
    )


def _minimums(imbalance: int, absorption: int) -> VolumeMinimums:
    return VolumeMinimums(imbalance=imbalance, absorption=absorption, exhaustion=absorption)


DEFAULT_MINIMUMS: dict[str, VolumeMinimums] = {
    "ES": _minimums(20, 150),
    "MES": _minimums(5, 30),
    "NQ": _minimums(15, 100),
    "MNQ": _minimums(5, 25),
    "CL": _minimums(30, 200),
    "GC": _minimums(15, 100),
    "RTY": _minimums(10, 60),
    "YM": _minimums(10, 60),
    EQUITY: _minimums(1_000, 10_000),
}
"""By futures root. Source: definitions 5.1; RTY, YM and equities are scaled from ES by typical volume, no study."""


class PatternConfig(Configuration):
    """When one of the ten patterns is seen."""

    minimums: dict[str, VolumeMinimums] = Field(
        default=DEFAULT_MINIMUMS,
        description="Volume minimums by symbol, futures root or 'equity'; a symbol's own entry comes first, then its root's. "
        "Entries given here are added to the defaults. Source: definitions 5.1.",
    )
    imbalance_ratio: float = Field(
        default=3.0,
        gt=0,
        description="Least ratio of the aggressors to the diagonal opposite (ratio). Source: definitions 5.2.",
    )
    imbalance_full_ratio: float = Field(
        default=10.0, gt=0, description="Ratio at which strength is 1 (ratio). Source: definitions 5.2."
    )
    zero_opposite_as_one: bool = Field(
        default=True,
        description="Take a diagonal neighbor without volume for 1; off: it never makes an imbalance. Source: definitions 5.2.",
    )
    stacked_levels: int = Field(
        default=3, ge=2, description="Least consecutive imbalances of a stack (levels). Source: definitions 5.2."
    )
    stacked_full_levels: int = Field(
        default=5, ge=1, description="Length at which strength is 1 (levels). Source: definitions 5.2."
    )
    exhaustion_levels: int = Field(
        default=3,
        ge=2,
        description="Least levels of strictly declining volume up to the extreme (levels). Source: definitions 5.2.",
    )
    exhaustion_extreme_frac: float = Field(
        default=0.30,
        ge=0,
        le=1,
        description="Most volume at the extreme, of the zone's largest level (fraction). Source: definitions 5.2.",
    )
    absorption_levels: int = Field(
        default=3, ge=1, description="Levels of an absorption zone (levels). Source: definitions 5.2."
    )
    absorption_aggressor_frac: float = Field(
        default=0.60,
        ge=0,
        le=1,
        description="Least share of the aggressors in the zone's volume (fraction). Source: definitions 5.2.",
    )
    absorption_delta_frac: float = Field(
        default=0.30, ge=0, le=1, description="Least delta of the zone over its volume (fraction). Source: definitions 5.2."
    )
    absorption_close_frac: float = Field(
        default=0.50,
        ge=0,
        le=1,
        description="Part of the bar's range, from the far end, where it must close (fraction). Source: definitions 5.2.",
    )
    absorption_progress_ticks: int = Field(
        default=2, ge=0, description="Most progress of price beyond the zone (ticks). Source: definitions 5.2."
    )
    absorption_rank_frac: float = Field(
        default=0.90,
        ge=0,
        le=1,
        description="Quantile of recent zone volumes that the zone must reach (fraction). Source: definitions 5.2.",
    )
    absorption_history_bars: int = Field(
        default=50,
        ge=1,
        le=MAX_HISTORY,
        description="Bars whose zones are ranked, across sessions (bars). Source: definitions 5.2.",
    )
    absorption_warmup_bars: int = Field(
        default=20,
        ge=0,
        le=MAX_HISTORY,
        description="Bars to be known before absorption is reported at all (bars). Source: none, a choice.",
    )
    divergence_swing_bars: int = Field(
        default=2, ge=1, description="Bars on either side that make a swing (bars). Source: definitions 5.2, five bars in all."
    )
    divergence_max_bars: int = Field(
        default=30, ge=1, description="Farthest that two compared swings may lie apart (bars). Source: none, a choice."
    )
    divergence_strength: float = Field(
        default=0.7, ge=0, le=1, description="Strength of a divergence (0..1). Source: definitions 5.2."
    )
    unfinished_kept: int = Field(
        default=50,
        ge=0,
        description="Unfinished auctions remembered until they are revisited (auctions). Source: definitions 5.2.",
    )

    @field_validator("minimums", mode="after")
    @classmethod
    def _add_to_defaults(cls, given: dict[str, VolumeMinimums]) -> dict[str, VolumeMinimums]:
        return {**DEFAULT_MINIMUMS, **given}

    @model_validator(mode="after")
    def _warmup_fits(self) -> PatternConfig:
        if self.absorption_warmup_bars > self.absorption_history_bars:
            raise ValueError(
                f"absorption_warmup_bars was {self.absorption_warmup_bars}; allowed is at most absorption_history_bars "
                f"({self.absorption_history_bars}), or absorption would never be reported"
            )
        return self

    def minimums_of(self, instrument: Instrument) -> VolumeMinimums:
        """Return the volume minimums of an instrument.

        Raises
        ------
        ConfigurationError : neither the symbol nor its root has an entry, and it is no equity.
        """
        keys = [instrument.symbol, instrument.root]
        if instrument.asset_class is AssetClass.EQUITY:
            keys.append(EQUITY)
        for key in keys:
            if key in self.minimums:
                return self.minimums[key]
        raise ConfigurationError(
            f"volume minimums of '{instrument.symbol}' were missing{suggestion(instrument.root, self.minimums)}; known are "
            f"{', '.join(self.minimums)}; add an entry '{instrument.root}' to the patterns' minimums"
        )
