"""Settings of the lossless signals. Every number says in its `justification` where it comes from; a test demands it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from sovereign.core.configuration import Configuration


def justified(default: float, justification: str, **given: Any) -> Any:
    """Return a field whose number is justified, for the reader and for the test that asks."""
    return Field(default=default, json_schema_extra={"justification": justification}, **given)


class LevelConfig(Configuration):
    """Support and resistance by counting."""

    search: Literal["touched", "whole"] = Field(
        default="touched",
        description="Where a level is looked for: among the buckets that the bar meets, those crossed less often than "
        "their neighbors; or over the whole span, where the best is always the untouched margin. Source: definitions 3.2.",
    )
    atr_days: int = justified(
        14,
        "Wilder's own period, named by the requirement; with a decay of 1/14 a day the estimate rests on about 27 independent "
        "days, a relative standard error of some 10%, far below the factor 2 that rebuilds.",
        gt=0,
        description="Period of the average true range of daily bars that sets the granularity (days). Source: definitions 3.2.",
    )
    buckets_per_atr: float = justified(
        10.0,
        "A bucket is then smaller than a day's range by an order of magnitude, yet larger than the spread: touching one is an "
        "event of the intraday path, measured at 28% (SPY) and 31% (NVDA) of 5-minute bars; see docs/concepts/lossless.md.",
        gt=0,
        description="Buckets to one daily average true range (count). Source: definitions 3.2.",
    )
    rebuild_factor: float = justified(
        2.0,
        "A factor of 2 is ten standard errors of the range's estimate: it is passed when volatility has changed, not by noise, "
        "and buckets stay within half and double of what they should be.",
        gt=1,
        description="How far the ideal granularity must drift from the one in use, up or down, before everything is counted "
        "again with it (factor). Source: definitions 3.2.",
    )
    touch_frac: float = justified(
        0.5,
        "Rounding: half a bucket is the error of saying in which bucket a price lies.",
        ge=0,
        description="How near to a level's edge counts as touching it (fraction of a bucket). Source: definitions 3.2.",
    )
    stop_frac: float = justified(
        0.5,
        "Rounding, as for touching: a price half a bucket beyond the level can no longer be taken for one inside it.",
        ge=0,
        description="How far beyond the far edge of the level the stop lies (fraction of a bucket). Source: definitions 3.4.",
    )


class VolumeConfig(Configuration):
    """Capitulation and elevated volume, by rank among earlier bars at the same time of day."""

    slot_minutes: int = justified(
        30,
        "Volume over the day is U-shaped; half an hour is short against that shape and gathers 6 five-minute bars a day, so "
        "that the first rank is known within 7 days.",
        gt=0,
        le=1440,
        description="Length of the time of day within which volumes are compared (min). Source: definitions 3.3.",
    )
    capitulation_rank: float = justified(
        0.975,
        "The upper tail of a two-sided test at 5%: mean + 1.96 standard deviations of a normal log-volume, without assuming "
        "that it is normal.",
        gt=0.5,
        lt=1,
        description="Least rank of the volume of a capitulation (0..1). Source: definitions 3.3.",
    )
    elevated_rank: float = justified(
        0.8413,
        "The share below mean + 1 standard deviation of a normal distribution, which is how the requirement says elevated. "
        "Leaving a position asks for less evidence than entering one.",
        gt=0,
        lt=1,
        description="Least rank of the volume of a rejection that ends a position (0..1). Source: definitions 3.3.",
    )

    @model_validator(mode="after")
    def _rising(self) -> VolumeConfig:
        if self.elevated_rank > self.capitulation_rank:
            raise ValueError(
                f"elevated_rank was {self.elevated_rank} and capitulation_rank {self.capitulation_rank}; a capitulation is "
                f"elevated too, so elevated_rank must not be the larger"
            )
        return self

    @property
    def warm_up(self) -> int:
        """Volumes of a slot before any is ranked: so many that the largest of them all is as rare as a capitulation."""
        return max(1, round(1.0 / (1.0 - self.capitulation_rank)) - 1)


class GapConfig(Configuration):
    """Health of the bars: how long none may come."""

    note_s: int = justified(
        90,
        "One and a half minute bars: a single minute without a trade is common in quiet stocks, two in a row are not.",
        gt=0,
        description="Time in the hours without a bar that is noted (s). It only counts; live, `live.stale_data_s` acts. "
        "Source: definitions 3.4.",
    )
    alert_s: int = justified(
        300,
        "Five minute bars in a row are missing, the length of the trading pause of a stock that left its price band (limit "
        "up-limit down plan): a feed has failed, or trading has stopped.",
        gt=0,
        description="Time in the hours without a bar that is an alert (s). Source: definitions 3.4.",
    )

    @model_validator(mode="after")
    def _rising(self) -> GapConfig:
        if self.alert_s < self.note_s:
            raise ValueError(f"note_s was {self.note_s} and alert_s {self.alert_s}; an alert is noted too, so it comes later")
        return self
