"""Settings of the council: its bars, its agents, how they are called in and combined, its positions, its memory."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sovereign.core.configuration import Configuration
from sovereign.signals.council import LiquidityConfig
from sovereign.signals.market_regime import MarketRegimeConfig
from sovereign.signals.wyckoff import WyckoffConfig
from sovereign.strategies.combiner import CombinerConfig

FULL_SIZE_FRAC = 0.15
"""Share of equity that a size multiplier of 1 asks for: `risk.value_frac` of the folder's assumptions."""

Part = Literal["hedge", "liquidity", "sentiment", "wyckoff", "markov", "memory", "regime_gating"]


class HedgeConfig(Configuration):
    """The hedge agent: short when unrest meets a falling market, else silent."""

    min_percentile: float = Field(
        default=0.80,
        ge=0,
        lt=1,
        description="Percentile of volatility that must be exceeded (fraction). Source: definitions 4.2.",
    )
    base_confidence: float = Field(
        default=0.5, ge=0, le=1, description="Confidence at that percentile; it rises to 1 at the top. Source: definitions 4.2."
    )


class LiquidityAgentConfig(Configuration):
    """The liquidity agent: towards the nearest busy zone of the volume profile."""

    max_distance_atr: float = Field(
        default=5.0, gt=0, description="Farthest zone that still attracts (ATRs). Source: own choice, a move of an hour or two."
    )
    base_confidence: float = Field(
        default=0.5, ge=0, le=1, description="Confidence without a zone's share. Source: own choice."
    )
    share_weight: float = Field(
        default=0.5, ge=0, le=1, description="Confidence for holding all busy volume (fraction). Source: own choice."
    )
    illiquidity_discount: float = Field(
        default=0.2, ge=0, le=1, description="Confidence lost in the least liquid bars, by Amihud and Kyle. Source: own choice."
    )


class SentimentConfig(Configuration):
    """The sentiment agent: momentum, volume balance and unrest."""

    balance_weight: float = Field(default=0.3, ge=0, description="Weight of the volume balance. Source: definitions 4.2.")
    unrest_weight: float = Field(default=0.5, ge=0, description="Weight of the volatility score. Source: definitions 4.2.")
    min_score: float = Field(
        default=0.5, gt=0, description="Score beyond which risk is on, or off below minus it. Source: definitions 4.2."
    )
    base_confidence: float = Field(default=0.5, ge=0, le=1, description="Confidence to begin with. Source: definitions 4.2.")
    momentum_weight: float = Field(
        default=0.2, ge=0, description="Confidence for a standard error of momentum. Source: definitions 4.2."
    )
    max_momentum: float = Field(
        default=0.2, ge=0, le=1, description="Most confidence that momentum adds. Source: definitions 4.2."
    )
    unrest_discount: float = Field(
        default=0.1, ge=0, description="Confidence lost for a deviation of volatility. Source: definitions 4.2."
    )
    turn_weight: float = Field(
        default=0.7, ge=0, description="Confidence lost for the chance that the mood turns. Source: definitions 4.2."
    )
    turn_base: float = Field(
        default=0.3, ge=0, le=1, description="Chance that the mood turns, to begin with. Source: definitions 4.2."
    )
    turn_unrest: float = Field(
        default=0.2, ge=0, description="What a deviation of volatility adds to that chance. Source: definitions 4.2."
    )
    turn_momentum: float = Field(
        default=0.1, ge=0, description="What a standard error of momentum takes from it. Source: definitions 4.2."
    )
    min_turn: float = Field(default=0.1, ge=0, le=1, description="Least chance that the mood turns. Source: definitions 4.2.")
    max_turn: float = Field(default=0.9, ge=0, le=1, description="Most of it. Source: definitions 4.2.")

    @model_validator(mode="after")
    def _in_order(self) -> SentimentConfig:
        if self.min_turn > self.max_turn:
            raise ValueError(f"min_turn was {self.min_turn}; it must not be above max_turn, {self.max_turn}")
        return self


class WyckoffAgentConfig(Configuration):
    """The Wyckoff agent: springs, upthrusts, markup and markdown."""

    turn_bars: int = Field(
        default=3, ge=0, description="Bars after a spring or upthrust in which it still votes (bars). Source: own choice."
    )
    turn_confidence: float = Field(default=0.85, ge=0, le=1, description="Of a spring or upthrust. Source: definitions 4.2.")
    base_confidence: float = Field(
        default=0.5, ge=0, le=1, description="Of a trend phase; the efficiency ratio is added, up to 1. Source: own choice."
    )


class MarkovConfig(Configuration):
    """The Markov agent: the most probable phase of the hidden model."""

    min_probability: float = Field(
        default=0.5, gt=0, le=1, description="Least probability of a phase, below it the vote is 0. Source: own choice."
    )
    turning_factor: float = Field(
        default=0.8, ge=0, le=1, description="Confidence of accumulation and distribution (factor). Source: definitions 4.2."
    )


class ActivationConfig(Configuration):
    """Which regimes call in the agents that are not always asked."""

    wyckoff_efficiency: float = Field(
        default=0.4, ge=0, le=1, description="Efficiency ratio that calls Wyckoff in. Source: council requirement."
    )
    markov_max_volatility: float = Field(
        default=0.30,
        gt=0,
        description="Volatility above which Markov is sent out (fraction a year). Source: council requirement.",
    )
    markov_confidence: float = Field(
        default=0.7, ge=0, le=1, description="Confidence of the regime that calls Markov in. Source: council requirement."
    )
    markov_efficiency: float = Field(
        default=0.5, ge=0, le=1, description="Efficiency ratio of a trend that calls Markov in. Source: definitions 4.1."
    )


class PositionConfig(Configuration):
    """Size, stop, target and life of a position."""

    min_confidence: float = Field(
        default=0.5, ge=0, le=1, description="Least confidence of an entry (fraction). Source: definitions 4.3."
    )
    max_size_frac: float = Field(
        default=0.15,
        gt=0,
        le=FULL_SIZE_FRAC,
        description="Largest position (fraction of the balance); no more is allowed. Source: council requirement.",
    )
    min_size_frac: float = Field(
        default=0.01, gt=0, le=1, description="Smallest position (fraction of the balance). Source: definitions 4.3."
    )
    target_volatility: float = Field(
        default=0.15,
        gt=0,
        description="Volatility of a full size and of the usual stop (fraction a year). Source: definitions 4.3.",
    )
    min_volatility: float = Field(
        default=0.05, gt=0, description="Least volatility a size is made for (fraction a year). Source: definitions 4.3."
    )
    min_volatility_factor: float = Field(default=0.5, gt=0, description="Least size factor. Source: definitions 4.3.")
    max_volatility_factor: float = Field(default=2.0, gt=0, description="Largest size factor. Source: definitions 4.3.")
    crowding_step: float = Field(
        default=0.15, ge=0, le=1, description="Size taken off for each open position (fraction). Source: definitions 4.3."
    )
    min_crowding_factor: float = Field(default=0.5, gt=0, le=1, description="Least that is left. Source: definitions 4.3.")
    stop_frac: float = Field(
        default=0.02, gt=0, le=0.5, description="Usual stop distance (fraction of price). Source: council requirement."
    )
    unsure_below: float = Field(
        default=0.6, ge=0, le=1, description="Confidence below which the stop is wider. Source: definitions 4.3."
    )
    unsure_factor: float = Field(default=1.5, ge=1, description="How much wider. Source: definitions 4.3.")
    restless_above: float = Field(
        default=0.20,
        gt=0,
        description="Volatility from which the stop grows with it (fraction a year). Source: definitions 4.3.",
    )
    max_stop_frac: float = Field(
        default=0.05, gt=0, le=0.5, description="Widest stop (fraction of price). Source: definitions 4.3."
    )
    reward_ratio: float = Field(default=2.0, gt=0, description="Target over stop. Source: council requirement, 2:1.")
    max_bars: int = Field(
        default=24, ge=1, description="Bars of this timeframe after which a position is closed (bars). Source: definitions 4.3."
    )

    @model_validator(mode="after")
    def _in_order(self) -> PositionConfig:
        for low, high in (
            ("min_size_frac", "max_size_frac"),
            ("min_volatility_factor", "max_volatility_factor"),
            ("stop_frac", "max_stop_frac"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} was {getattr(self, low)}; it must not be above {high}, {getattr(self, high)}")
        return self


class MemoryConfig(Configuration):
    """The memory of its own closed trades."""

    max_episodes: int = Field(
        default=2_000, ge=10, description="Episodes kept in mind, the latest (count). Source: own choice."
    )
    max_kept_episodes: int = Field(
        default=20_000,
        ge=10,
        description="Episodes kept in the store, the latest (count). Source: own choice, decades.",
    )
    neighbors: int = Field(
        default=50,
        ge=1,
        description="Most similar cases that are asked (count). Source: own choice: 10, as in definitions 4.4, "
        "weighted by age could never weigh `min_effective`.",
    )
    min_similarity: float = Field(
        default=0.5, ge=-1, le=1, description="Least cosine of a similar case. Source: definitions 4.4."
    )
    half_life_days: float = Field(
        default=30.0, gt=0, description="Age at which a case counts half (days). Source: definitions 4.4."
    )
    prior: float = Field(
        default=2.0, gt=0, description="Wins and losses assumed before any case (count each). Source: definitions 4.4."
    )
    min_effective: float = Field(
        default=10.0, gt=0, description="Weight of cases below which memory is silent (count). Source: definitions 4.4."
    )
    strength: float = Field(
        default=0.3, ge=0, le=1, description="How strongly the win rate moves the confidence. Source: definitions 4.4."
    )
    veto_below: float = Field(
        default=0.35, ge=0, lt=1, description="Win probability below which an entry is vetoed. Source: definitions 4.4."
    )

    @model_validator(mode="after")
    def _can_act(self) -> MemoryConfig:
        if self.max_kept_episodes < self.max_episodes:
            raise ValueError(
                f"max_kept_episodes was {self.max_kept_episodes}; it must not be below max_episodes, {self.max_episodes}"
            )
        if self.neighbors <= self.min_effective:
            raise ValueError(
                f"neighbors was {self.neighbors}; with min_effective {self.min_effective} the memory could never act: cases "
                f"weigh less than 1 each, so ask for more of them"
            )
        return self


class CouncilConfig(Configuration):
    """The council."""

    bar_seconds: int = Field(
        default=300, ge=60, description="Width of the bars (s); 86,400 for daily ones. Source: own choice; any the data holds."
    )
    without: tuple[Part, ...] = Field(
        default=(), description="Parts that are left out, to see what they are worth. Source: own choice."
    )
    regime: MarketRegimeConfig = Field(default=MarketRegimeConfig(), description="The kind of market.")
    turn: WyckoffConfig = Field(default=WyckoffConfig(), description="Springs and upthrusts.")
    profile: LiquidityConfig = Field(default=LiquidityConfig(), description="Liquidity and volume profile.")
    hedge: HedgeConfig = Field(default=HedgeConfig(), description="The hedge agent.")
    liquidity: LiquidityAgentConfig = Field(default=LiquidityAgentConfig(), description="The liquidity agent.")
    sentiment: SentimentConfig = Field(default=SentimentConfig(), description="The sentiment agent.")
    wyckoff: WyckoffAgentConfig = Field(default=WyckoffAgentConfig(), description="The Wyckoff agent.")
    markov: MarkovConfig = Field(default=MarkovConfig(), description="The Markov agent.")
    activation: ActivationConfig = Field(default=ActivationConfig(), description="Who is called in when.")
    combiner: CombinerConfig = Field(default=CombinerConfig(), description="How views become one direction.")
    position: PositionConfig = Field(default=PositionConfig(), description="Size, stop, target and life.")
    memory: MemoryConfig = Field(default=MemoryConfig(), description="The memory of its own trades.")
