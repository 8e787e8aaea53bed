"""Effects of the council's own settings: regime, turns, liquidity, agents, activation, rules, positions, memory."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from council_cases import SESSIONS, moment_of, random_rows, restless, rows_of, stream_of
from episode_books import LimitBook
from key_effects import effect, effects_of
from sovereign.core.episode import Episode
from sovereign.signals.market_regime import CrisisConfig, MarketRegimeConfig, is_stale
from sovereign.signals.wyckoff import WyckoffConfig
from sovereign.strategies.combiner import CombinerConfig, ConflictConfig, ConsensusConfig
from sovereign.strategies.council import CouncilConfig, CouncilStrategy
from sovereign.strategies.council.agent import AGENTS, Reading
from sovereign.strategies.council.configuration import (
    ActivationConfig,
    HedgeConfig,
    LiquidityAgentConfig,
    MarkovConfig,
    MemoryConfig,
    PositionConfig,
    SentimentConfig,
    WyckoffAgentConfig,
)
from sovereign.strategies.council.memory import Memory

PLACE = "strategies.council"
QUICK = {"hidden": {"min_fit_bars": 100, "fit_bars": 300, "refit_sessions": 2, "min_phase_probability": 0.51}}
"""A hidden model that a few sessions can fit."""


@cache
def _seen(flat: str, seconds: int) -> tuple[bytes, ...]:
    config = CouncilConfig.model_validate_json(flat)
    days = restless(1, 24) if seconds < 86_400 else restless(2, 140, 2)
    rows = rows_of(stream_of(config), days)
    # By field: the bytes between the fields of a record are not data.
    return tuple(rows[name].tobytes() for name in rows.dtype.names)


def rows_under(seconds: int = 300, **sections: Any) -> object:
    """Every field of every row of some weeks under these settings."""
    return _seen(CouncilConfig.model_validate({"bar_seconds": seconds, **sections}).model_dump_json(), seconds)


def votes_under(**sections: Any) -> object:
    """What every agent says of random rows."""
    config = CouncilConfig.model_validate(sections)
    readings = [Reading._make(row.item()) for row in random_rows()]
    return [agent(seen, config) for seen in readings for agent in AGENTS.values()]


def plain(config: Any) -> Any:
    """A section as plain values, to be nested."""
    return config.model_dump()


REGIME = MarketRegimeConfig.model_validate(QUICK)
effects_of(
    f"{PLACE}.regime",
    REGIME,
    lambda config: rows_under(regime=plain(config)),
    {
        "window_bars": (20, 12),
        "prior_bars": (50, 30),
        "atr_bars": (14, 7),
        "sessions_per_year": (None, 365.0),
        "session_seconds": (None, 82_800),
        "history_sessions": (20, 3),
        "min_history_bars": (50, 200),
        "volatile_percentile": (0.8, 0.6),
        "calm_percentile": (0.2, 0.4),
        "trend_by": ("efficiency", "return"),
        "trend_efficiency": (0.3, 0.5),
        "range_width_percentile": (0.2, 0.5),
        "range_efficiency": (0.3, 0.1),
        "hold_bars": (3, 1),
    },
)
effects_of(
    f"{PLACE}.regime",
    MarketRegimeConfig.model_validate({**QUICK, "trend_by": "return"}),
    lambda config: rows_under(regime=plain(config)),
    {"trend_deviations": (1.0, 2.0)},
)
effects_of(
    f"{PLACE}.regime",
    MarketRegimeConfig.model_validate({**QUICK, "min_history_bars": 10, "daily_history_bars": 60, "calm_level": 0.005}),
    lambda config: rows_under(86_400, regime=plain(config)),
    {"daily_history_bars": (60, 20), "volatile_level": (0.25, 0.02), "calm_level": (0.005, 0.1)},
)
effects_of(
    f"{PLACE}.regime",
    REGIME,
    lambda config: [is_stale(0, 300 * 10**9 * bars, 300, config) for bars in range(6)],
    {"stale_bars": (2, 4)},
)
effects_of(
    f"{PLACE}.regime.hidden",
    REGIME.hidden,
    lambda config: rows_under(regime={"hidden": plain(config)}),
    {
        "states": (5, 3),
        "min_fit_bars": (100, 250),
        "fit_bars": (300, 600),
        "refit_sessions": (2, 5),
        "iterations": (30, 2),
        "tolerance": (1e-4, 0.1),
        "variance_floor": (0.01, 0.5),
        "stickiness": (10.0, 0.0),
        "min_phase_probability": (0.51, 0.95),
    },
)
effects_of(
    f"{PLACE}.regime.crisis",
    CrisisConfig(probability=0.1, volatility=0.05, percentile=0.5, readings=1),
    lambda config: rows_under(regime={**QUICK, "crisis": plain(config)}),
    {"probability": (0.1, 0.95), "volatility": (0.05, 0.5), "percentile": (0.5, 0.98), "readings": (1, 4)},
)
effects_of(
    f"{PLACE}.turn",
    WyckoffConfig(min_trend=0.0, quiet_ratio=0.6, heavy_ratio=1.2, test_atr=2.0),
    lambda config: rows_under(turn=plain(config)),
    {
        "range_bars": (50, 30),
        "trend_bars": (50, 20),
        "level_share": (0.1, 0.3),
        "min_trend": (0.0, 0.8),
        "recover_bars": (3, 0),
        "max_break_atr": (1.0, 0.2),
        "quiet_ratio": (0.6, 0.9),
        "heavy_ratio": (1.2, 0.8),
        "test_bars": (20, 1),
        "test_atr": (2.0, 0.0),
        "phase_efficiency": (0.3, 0.6),
    },
)
effects_of(
    f"{PLACE}.profile",
    CouncilConfig().profile,
    lambda config: rows_under(profile=plain(config)),
    {"window_bars": (60, 30), "profile_bins": (20, 10), "zone_share": (0.8, 0.5)},
)
for _name, _defaults, _values in (
    ("hedge", HedgeConfig(), {"min_percentile": (0.8, 0.5), "base_confidence": (0.5, 0.2)}),
    (
        "liquidity",
        LiquidityAgentConfig(),
        {
            "max_distance_atr": (5.0, 1.0),
            "base_confidence": (0.5, 0.2),
            "share_weight": (0.5, 0.0),
            "illiquidity_discount": (0.2, 0.0),
        },
    ),
    (
        "sentiment",
        SentimentConfig(),
        {
            "balance_weight": (0.3, 0.0),
            "unrest_weight": (0.5, 0.0),
            "min_score": (0.5, 1.5),
            "base_confidence": (0.5, 0.9),
            "momentum_weight": (0.2, 0.01),
            "max_momentum": (0.2, 0.1),
            "unrest_discount": (0.1, 0.0),
            "turn_weight": (0.7, 0.1),
            "turn_base": (0.3, 0.5),
            "turn_unrest": (0.2, 0.0),
            "turn_momentum": (0.1, 0.0),
            "min_turn": (0.1, 0.4),
            "max_turn": (0.9, 0.5),
        },
    ),
    (
        "wyckoff",
        WyckoffAgentConfig(),
        {"turn_bars": (3, 8), "turn_confidence": (0.85, 0.6), "base_confidence": (0.5, 0.3)},
    ),
    ("markov", MarkovConfig(), {"min_probability": (0.5, 0.9), "turning_factor": (0.8, 1.0)}),
):
    effects_of(f"{PLACE}.{_name}", _defaults, lambda config, name=_name: votes_under(**{name: plain(config)}), _values)


def _called(config: ActivationConfig) -> object:
    strategy = CouncilStrategy(CouncilConfig(activation=config))
    return [[view.agent for view in strategy.views(Reading._make(row.item()))] for row in random_rows()]


effects_of(
    f"{PLACE}.activation",
    ActivationConfig(),
    _called,
    {
        "wyckoff_efficiency": (0.4, 0.9),
        "markov_max_volatility": (0.3, 0.5),
        "markov_confidence": (0.7, 0.9),
        "markov_efficiency": (0.5, 0.9),
    },
)


def proposals_under(**sections: Any) -> list[Any]:
    """What the strategy proposes at random rows, one symbol a row, some of them held already."""
    strategy = CouncilStrategy(CouncilConfig.model_validate(sections))
    rows, found = random_rows(), []
    for number in range(len(rows)):
        moment = moment_of(rows, number, symbol=f"S{number}", held=number % 25 == 0)
        found += strategy.decide(replace(moment, open_positions=number % 6))
    return found


def _combined(config: CombinerConfig) -> object:
    return [
        (p.symbol, p.side, p.name, p.confidence, p.intent)
        for p in proposals_under(combiner=plain(config), position={"min_confidence": 0.1})
    ]


effects_of(f"{PLACE}.combiner", CombinerConfig(), _combined, {"rule": ("consensus", "conflict")})
effects_of(
    f"{PLACE}.combiner.consensus",
    ConsensusConfig(),
    lambda config: _combined(CombinerConfig(consensus=config)),
    {"min_votes": (2, 3), "voters_per_vote": (2, 1)},
)
effects_of(
    f"{PLACE}.combiner.conflict",
    ConflictConfig(min_opposed=0.5, min_alone=0.5),
    lambda config: _combined(CombinerConfig(rule="conflict", conflict=config)),
    {"min_opposed": (0.5, 0.7), "min_alone": (0.5, 0.7), "alone_factor": (0.6, 0.3)},
)
effects_of(
    f"{PLACE}.position",
    PositionConfig(min_confidence=0.2),
    # The order alone: what is only written down of a size has no effect.
    lambda config: [(p.symbol, p.intent) for p in proposals_under(position=plain(config))],
    {
        "min_confidence": (0.2, 0.6),
        "max_size_frac": (0.15, 0.10),
        "min_size_frac": (0.01, 0.06),
        "target_volatility": (0.15, 0.30),
        "min_volatility": (0.05, 0.30),
        "min_volatility_factor": (0.5, 0.8),
        "max_volatility_factor": (2.0, 1.0),
        "crowding_step": (0.15, 0.02),
        "min_crowding_factor": (0.5, 0.2),
        "stop_frac": (0.02, 0.01),
        "unsure_below": (0.6, 0.4),
        "unsure_factor": (1.5, 1.1),
        "restless_above": (0.20, 0.35),
        "max_stop_frac": (0.05, 0.03),
        "reward_ratio": (2.0, 3.0),
    },
)


def _held(config: PositionConfig) -> object:
    strategy, rows = CouncilStrategy(CouncilConfig(position=config)), random_rows()
    return [len(strategy.decide(moment_of(rows, number, held=10))) for number in range(40)]


effects_of(f"{PLACE}.position", PositionConfig(), _held, {"max_bars": (24, 12)})


def random_episodes(count: int, seed: int = 3, closed: bool = True) -> list[Episode]:
    """Episodes of a few kinds, an hour apart, long and short."""
    rng, found = np.random.default_rng(seed), []
    for number in range(count):
        kind = int(rng.integers(0, 3))
        opened = number * 3_600 * 10**9
        found.append(
            Episode(
                episode_id=f"{seed}-{number}",
                strategy="council",
                symbol="SPY",
                opened_ns=opened,
                side=1 if number % 3 else -1,
                regime=("CALM", "VOLATILE", "RANGING")[kind],
                features=tuple(rng.normal(kind, 1.0, 4)),
                views=(("hedge", None, 0.0), ("sentiment", int(rng.integers(-1, 2)), 0.7)),
                confidence=0.6,
                size_frac=0.1,
                closed_ns=opened + 10**9 if closed else None,
                outcome=float(rng.random() < (0.2, 0.5, 0.8)[kind]) if closed else None,
            )
        )
    return found


def _recalled(config: MemoryConfig) -> object:
    memory = Memory(config, AGENTS)
    for episode in random_episodes(300):
        memory.add(episode)
    now = 320 * 3_600 * 10**9
    return [memory.recall(replace(e, opened_ns=now)) for e in random_episodes(60, seed=9, closed=False)]


effects_of(
    f"{PLACE}.memory",
    MemoryConfig(),
    _recalled,
    {
        "max_episodes": (2_000, 50),
        "neighbors": (50, 20),
        "min_similarity": (0.5, 0.9),
        "half_life_days": (30.0, 3.0),
        "prior": (2.0, 8.0),
        "min_effective": (10.0, 30.0),
        "strength": (0.3, 0.1),
        "veto_below": (0.35, 0.5),
    },
)


def taken(strategy: CouncilStrategy) -> tuple[int, Any]:
    """Go through random rows until the strategy wants to enter; returns the row's number and the proposal."""
    rows = random_rows()
    for number in range(len(rows)):
        for proposal in strategy.decide(moment_of(rows, number)):
            if proposal.intent is not None:
                return number, proposal
    raise LookupError("no random row made an entry")


@effect(f"{PLACE}.memory.max_kept_episodes")
def _kept() -> tuple[object, object]:
    seen = []
    for limit in (20_000, 5_000):
        book, strategy = LimitBook(), CouncilStrategy(CouncilConfig(memory=MemoryConfig(max_kept_episodes=limit)))
        strategy.use_book(book)
        strategy.start_session(SESSIONS[0], None)  # type: ignore[arg-type]
        number, _ = taken(strategy)
        strategy.decide(moment_of(random_rows(), number, held=5))
        seen.append(book.limits)
    return seen[0], seen[1]


@effect(f"{PLACE}.bar_seconds")
def _bars() -> tuple[object, object]:
    return rows_under(300, regime=QUICK), rows_under(900, regime=QUICK)


@effect(f"{PLACE}.without")
def _without() -> tuple[object, object]:
    rows = random_rows()
    one, other = (CouncilStrategy(CouncilConfig(without=parts)) for parts in ((), ("sentiment",)))
    return tuple([[v.agent for v in s.views(Reading._make(r.item()))] for r in rows[:20]] for s in (one, other))  # type: ignore[return-value]
