"""The five agents and when they are asked. Each turns a row into a view; what is unknown makes an agent abstain.

| Agent | Looks at | Asked |
|---|---|---|
| hedge | percentile of volatility, price against VWAP | always |
| liquidity | zones of the volume profile, Amihud, Kyle's lambda | always |
| sentiment | momentum, volume balance, volatility; no news, no options | always |
| wyckoff | springs, upthrusts, markup, markdown | in trends, strong moves, accumulation and distribution |
| markov | filtered phase probabilities | in clear regimes; never in a range or in high volatility |
"""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Callable
from typing import Any

from sovereign.kernels.market_row import MarketRegime, Phase
from sovereign.signals.council import ROW
from sovereign.strategies.combiner import AgentRole, AgentView
from sovereign.strategies.council.configuration import ActivationConfig, CouncilConfig

Reading = namedtuple("Reading", ROW.names or ())  # type: ignore[misc]
"""A row of `signals.council.ROW` as plain Python values: reading fields of a record one by one costs more than deciding."""

_TRENDS = (MarketRegime.TRENDING_UP, MarketRegime.TRENDING_DOWN)
_TURNING = (MarketRegime.ACCUMULATION, MarketRegime.DISTRIBUTION)


def hedge(row: Any, config: CouncilConfig) -> AgentView:
    """Vote short when volatility is high in its own history and price is below the average paid; abstain otherwise."""
    own, percentile = config.hedge, row.volatility_percentile
    if not percentile > own.min_percentile or not row.close < row.vwap:
        return AgentView("hedge", AgentRole.INSTITUTION, None, reason="nothing to hedge")
    share = (percentile - own.min_percentile) / (1.0 - own.min_percentile)
    confidence = own.base_confidence + (1.0 - own.base_confidence) * min(1.0, share)
    return AgentView("hedge", AgentRole.INSTITUTION, -1, confidence, "restless and below the average paid")


def liquidity(row: Any, config: CouncilConfig) -> AgentView:
    """Vote towards the nearest busy zone; 0 inside one or far from all, abstain without a profile."""
    own = config.liquidity
    if math.isnan(row.magnet) or math.isnan(row.atr):
        return AgentView("liquidity", AgentRole.INSTITUTION, None, reason="no profile")
    gap = row.magnet - row.close
    known = [value for value in (row.amihud_percentile, row.impact_percentile) if not math.isnan(value)]
    discount = own.illiquidity_discount * (sum(known) / len(known)) if known else own.illiquidity_discount
    confidence = min(1.0, max(0.0, own.base_confidence + own.share_weight * row.magnet_share - discount))
    if row.is_at_magnet or abs(gap) > own.max_distance_atr * row.atr:
        where = "in a zone" if row.is_at_magnet else "no zone near"
        return AgentView("liquidity", AgentRole.INSTITUTION, 0, confidence, where)
    return AgentView("liquidity", AgentRole.INSTITUTION, 1 if gap > 0 else -1, confidence, "zone near")


def sentiment(row: Any, config: CouncilConfig) -> AgentView:
    """Vote with the mood of price and volume: score = momentum + balance - unrest; abstain when one of them is unknown."""
    own = config.sentiment
    momentum_z, unrest = row.momentum, row.volatility_z
    score = row.momentum_ratio + own.balance_weight * row.volume_balance - own.unrest_weight * unrest
    if math.isnan(score):
        return AgentView("sentiment", AgentRole.CROWD, None, reason="history too short")
    turn = own.turn_base + own.turn_unrest * abs(unrest) - own.turn_momentum * abs(momentum_z)
    confidence = (
        own.base_confidence
        + min(own.max_momentum, own.momentum_weight * abs(momentum_z))
        - own.unrest_discount * abs(unrest)
        - own.turn_weight * min(own.max_turn, max(own.min_turn, turn))
    )
    vote = 1 if score > own.min_score else -1 if score < -own.min_score else 0
    return AgentView("sentiment", AgentRole.CROWD, vote, min(1.0, max(0.0, confidence)), f"score {score:.2f}")


def wyckoff(row: Any, config: CouncilConfig) -> AgentView:
    """Vote with the latest spring or upthrust while it is fresh, else with markup and markdown; 0 between them."""
    own = config.wyckoff
    spring = row.bars_since_spring if 0 <= row.bars_since_spring <= own.turn_bars else None
    upthrust = row.bars_since_upthrust if 0 <= row.bars_since_upthrust <= own.turn_bars else None
    if spring is not None and (upthrust is None or spring < upthrust):
        return AgentView("wyckoff", AgentRole.INSTITUTION, 1, own.turn_confidence, "spring")
    if upthrust is not None and (spring is None or upthrust < spring):
        return AgentView("wyckoff", AgentRole.INSTITUTION, -1, own.turn_confidence, "upthrust")
    if math.isnan(row.efficiency):
        return AgentView("wyckoff", AgentRole.INSTITUTION, None, reason="history too short")
    confidence = min(1.0, own.base_confidence + abs(row.efficiency) / 2.0)
    phase = Phase(row.phase)
    vote = 1 if phase is Phase.MARKUP else -1 if phase is Phase.MARKDOWN else 0
    return AgentView("wyckoff", AgentRole.INSTITUTION, vote, confidence, phase.name.lower())


def markov(row: Any, config: CouncilConfig) -> AgentView:
    """Vote with the most probable hidden phase; 0 in a range or when none is probable enough, abstain before the first fit."""
    own = config.markov
    if math.isnan(row.p_markup):
        return AgentView("markov", AgentRole.INSTITUTION, None, reason="no model yet")
    phases = (
        (row.p_markup, 1, 1.0, "markup"),
        (row.p_markdown, -1, 1.0, "markdown"),
        (row.p_accumulation, 1, own.turning_factor, "accumulation"),
        (row.p_distribution, -1, own.turning_factor, "distribution"),
        (row.p_range, 0, 1.0, "range"),
    )
    probability, vote, factor, name = max(phases, key=lambda phase: phase[0])
    if probability < own.min_probability:
        vote = 0
    return AgentView("markov", AgentRole.INSTITUTION, vote, min(1.0, probability * factor), name)


AGENTS: dict[str, Callable[[Any, CouncilConfig], AgentView]] = {
    "hedge": hedge,
    "liquidity": liquidity,
    "sentiment": sentiment,
    "wyckoff": wyckoff,
    "markov": markov,
}
"""The agents by name, in the order they are asked and shown."""


def is_called(agent: str, row: Any, config: ActivationConfig) -> bool:
    """Say whether the regime calls an agent in: vetoes first, then what lets it in; hedge, liquidity, sentiment always."""
    efficiency = abs(row.efficiency)
    if agent == "wyckoff":
        return row.regime in _TRENDS or efficiency > config.wyckoff_efficiency or row.regime in _TURNING
    if agent == "markov":
        if row.regime in (MarketRegime.RANGING, MarketRegime.UNKNOWN) or not row.volatility <= config.markov_max_volatility:
            return False
        is_trending = row.regime in _TRENDS and efficiency > config.markov_efficiency
        return bool(row.regime_confidence > config.markov_confidence or is_trending)
    return True
