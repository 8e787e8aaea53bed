"""Settings of the order-flow strategy: its signals, its router, its orders."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from sovereign.core.configuration import Configuration
from sovereign.kernels.order_flow_setting import FootprintConfig, PatternConfig
from sovereign.kernels.setting import RegimeConfig, RouterConfig


class BracketProfile(Configuration):
    """Distances of stop and target from the entry's fill."""

    stop_ticks: int = Field(gt=0, description="Stop distance (ticks). Source: definitions 5.1.")
    target_ticks: int = Field(gt=0, description="Target distance (ticks). Source: definitions 5.1.")


def _profile(stop_ticks: int, target_ticks: int) -> BracketProfile:
    return BracketProfile(stop_ticks=stop_ticks, target_ticks=target_ticks)


DEFAULT_PROFILES: dict[str, BracketProfile] = {
    "ES": _profile(16, 24),
    "MES": _profile(16, 24),
    "NQ": _profile(20, 32),
    "MNQ": _profile(20, 32),
    "CL": _profile(20, 30),
    "GC": _profile(20, 30),
}
"""By futures root. Source: definitions 5.1."""


class BracketConfig(Configuration):
    """Where stop and target go. A product without a profile (equities) always gets the ATR's distances."""

    mode: Literal["profile", "atr"] = Field(
        default="profile", description="Distances from the product's profile, or from the ATR. Source: definitions 5.1."
    )
    profiles: dict[str, BracketProfile] = Field(
        default=DEFAULT_PROFILES,
        description="Distances by futures root or equity symbol (ticks); entries given here are added to the defaults. "
        "Source: definitions 5.1.",
    )
    stop_atr: float = Field(
        default=1.0, gt=0, description="Stop distance (ATRs). Source: 16 ticks of ES, about one 5-minute ATR."
    )
    target_atr: float = Field(
        default=1.5, gt=0, description="Target distance (ATRs). Source: the 16:24 ratio of definitions 5.1."
    )
    min_stop_ticks: int = Field(
        default=4, ge=1, description="Least stop distance when it comes from the ATR (ticks). Source: own choice, one ES point."
    )

    @field_validator("profiles", mode="after")
    @classmethod
    def _add_to_defaults(cls, given: dict[str, BracketProfile]) -> dict[str, BracketProfile]:
        return {**DEFAULT_PROFILES, **given}


class EntryConfig(Configuration):
    """How a position is entered."""

    order_type: Literal["market", "limit"] = Field(
        default="market", description="Market order on the next tick, or a resting limit. Source: definitions 5.4."
    )
    limit_offset_ticks: int = Field(
        default=1, ge=0, description="How much better than the last price the limit rests (ticks). Source: own choice."
    )
    limit_life_s: int = Field(default=300, gt=0, description="Life of the resting limit (s). Source: own choice, one bar.")
    is_one_order_per_bar: bool = Field(
        default=True,
        description="Only the best of several agreeing patterns orders, the others confirm. Source: definitions 5.4.",
    )


class SizeConfig(Configuration):
    """Units asked for above the smallest size; the risk door decides what is taken."""

    confirming_signals: int = Field(
        default=2,
        ge=1,
        description="Passed patterns of one direction in a bar that confirm each other. Source: definitions 5.4.",
    )
    confirmation_steps: int = Field(default=1, ge=0, description="Units more when confirmed. Source: definitions 5.4.")
    trend_steps: int = Field(default=1, ge=0, description="Units more in a trending regime. Source: definitions 5.4.")


class OrderFlowConfig(Configuration):
    """The order-flow strategy."""

    footprint: FootprintConfig = Field(
        default=FootprintConfig.model_validate({}), description="Bars and volume profile. Source: definitions 5.1."
    )
    pattern: PatternConfig = Field(
        default=PatternConfig.model_validate({}), description="The ten patterns. Source: definitions 5.2."
    )
    regime: RegimeConfig = Field(default=RegimeConfig(), description="The kind of market. Source: definitions 5.3.")
    router: RouterConfig = Field(default=RouterConfig(), description="What is traded in which regime. Source: definitions 5.4.")
    bracket: BracketConfig = Field(default=BracketConfig(), description="Stop and target. Source: definitions 5.1.")
    entry: EntryConfig = Field(default=EntryConfig(), description="Entry orders. Source: definitions 5.4.")
    size: SizeConfig = Field(default=SizeConfig(), description="Units asked for. Source: definitions 5.4.")
