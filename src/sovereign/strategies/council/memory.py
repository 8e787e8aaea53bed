"""The memory of the council: its own closed trades, and what became of those that looked like the present one.

A state is a vector: features in deviations of the episodes kept, then one place for each regime and for each vote of each
agent. Cases are the closed trades of the same side that are most alike (cosine). Each counts by its age alone, never by its
outcome; the win rate is the mean of a Beta distribution, `(prior + wins) / (2 prior + weight)`. With enough weight it moves
the confidence a little, or vetoes; it never turns a direction.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sovereign.core.episode import Episode, flaw_of
from sovereign.core.session import NS_PER_DAY
from sovereign.kernels.market_row import MarketRegime
from sovereign.strategies.council.configuration import MemoryConfig

Float64 = NDArray[np.float64]

_REGIMES = {regime.name: index for index, regime in enumerate(MarketRegime)}
_VOTES = (1, 0, -1, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """What memory says of a candidate: `cases` asked, their `weight`, the win `probability`, and what it does to confidence."""

    cases: int = 0
    weight: float = 0.0
    probability: float = 0.5
    adjustment: float = 0.0
    is_veto: bool = False


class Memory:
    """Closed episodes, at most `max_episodes`, the latest.

    Parameters
    ----------
    features : how many numbers a state has; None takes it from the first episode. Others, as of another release, are ignored.
    """

    def __init__(self, config: MemoryConfig, agents: Iterable[str], features: int | None = None) -> None:
        self._config = config
        self._agents = tuple(agents)
        self._width = features
        self._ignored: set[str] = set()
        self._episodes: dict[str, Episode] = {}
        self._built = False
        self._features: Float64 = np.zeros((0, 0))
        self._marks: Float64 = np.zeros((0, 0))
        self._closed: NDArray[np.int64] = np.zeros(0, np.int64)
        self._side: NDArray[np.int64] = np.zeros(0, np.int64)
        self._outcome: Float64 = np.zeros(0)

    def __len__(self) -> int:
        return len(self._episodes)

    @property
    def episodes(self) -> tuple[Episode, ...]:
        """The episodes, oldest first."""
        return tuple(self._episodes.values())

    @property
    def ignored(self) -> int:
        """How many closed episodes could not be used: another number of features, or numbers that are none."""
        return len(self._ignored)

    def add(self, episode: Episode) -> None:
        """Take in a closed episode; one that is known already is replaced, and one that cannot be used is counted."""
        if episode.closed_ns is None or episode.outcome is None:
            return
        if self._width is None:
            self._width = len(episode.features)
        if len(episode.features) != self._width or flaw_of(episode):
            self._ignored.add(episode.episode_id)
            return
        self._episodes.pop(episode.episode_id, None)
        self._episodes[episode.episode_id] = episode
        while len(self._episodes) > self._config.max_episodes:
            del self._episodes[next(iter(self._episodes))]
        self._built = False

    def recall(self, now: Episode) -> Recall:
        """Return what the episodes closed before `now.opened_ns` say of it."""
        config = self._config
        if not self._episodes:
            return Recall()
        self._build()
        usable = np.flatnonzero((self._closed < now.opened_ns) & (self._side == now.side))
        own = np.array(now.features)
        if not len(usable) or self._features.shape[1] != len(own):
            return Recall()
        states, state = self._states(usable, own, self._mark(now))
        length = np.sqrt((states**2).sum(axis=1) * (state**2).sum())
        similarity = np.divide(states @ state, length, out=np.zeros(len(usable)), where=length > 0.0)
        # The most similar first; of equals the later one.
        order = np.lexsort((-usable, -similarity))[: config.neighbors]
        chosen = order[similarity[order] >= config.min_similarity]
        if not len(chosen):
            return Recall()
        age_days = (now.opened_ns - self._closed[usable[chosen]]) / NS_PER_DAY
        weights = np.exp2(-age_days / config.half_life_days)
        weight = math.fsum(weights.tolist())
        wins = math.fsum((weights * self._outcome[usable[chosen]]).tolist())
        probability = (config.prior + wins) / (2.0 * config.prior + weight)
        if weight < config.min_effective:
            return Recall(cases=len(chosen), weight=weight, probability=probability)
        return Recall(
            cases=len(chosen),
            weight=weight,
            probability=probability,
            adjustment=min(config.strength, max(-config.strength, 2.0 * config.strength * (probability - 0.5))),
            is_veto=probability < config.veto_below,
        )

    def _states(self, usable: NDArray[np.int64], own: Float64, mark: Float64) -> tuple[Float64, Float64]:
        """Return past states and the present one, their features in deviations of the past; what has none says nothing."""
        past = self._features[usable]
        known = ~np.isnan(past)
        count = np.maximum(1, known.sum(axis=0))
        with np.errstate(over="ignore", invalid="ignore"):  # a feature beyond any measure has no deviation
            mean = np.where(known, past, 0.0).sum(axis=0) / count
            deviation = np.sqrt(np.where(known, (past - mean) ** 2, 0.0).sum(axis=0) / count)
            deviation[deviation == 0.0] = 1.0
            seen, present = (np.nan_to_num((values - mean) / deviation, posinf=0.0, neginf=0.0) for values in (past, own))
        return np.hstack([seen, self._marks[usable]]), np.concatenate([present, mark])

    def _build(self) -> None:
        if self._built:
            return
        episodes = list(self._episodes.values())
        self._features = np.array([episode.features for episode in episodes], np.float64)
        self._marks = np.array([self._mark(episode) for episode in episodes], np.float64)
        self._closed = np.array([episode.closed_ns for episode in episodes], np.int64)
        self._side = np.array([episode.side for episode in episodes], np.int64)
        self._outcome = np.array([episode.outcome for episode in episodes], np.float64)
        self._built = True

    def _mark(self, episode: Episode) -> Float64:
        """Return the places for regime and votes; an agent that was not asked has a mark in none of its places."""
        marks = np.zeros(len(_REGIMES) + len(_VOTES) * len(self._agents))
        if episode.regime in _REGIMES:
            marks[_REGIMES[episode.regime]] = 1.0
        for agent, vote, _ in episode.views:
            if agent in self._agents:
                marks[len(_REGIMES) + len(_VOTES) * self._agents.index(agent) + _VOTES.index(vote)] = 1.0
        return marks
