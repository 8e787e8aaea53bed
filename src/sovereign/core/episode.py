"""Episodes: what a strategy saw when it entered, and what came of it. The book of them outlives a process."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from sovereign.core.record import quick


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One entry and, once `closed_ns` is known, its end.

    Parameters
    ----------
    episode_id : unique for a strategy and account, and the same when a session is run again.
    side : +1 long, -1 short.
    features : the numbers of the state at entry, in the order of `feature_names` of the strategy that wrote it; NaN unknown.
    views : (agent, vote or None for an abstention, confidence) of every agent that was asked.
    confidence, size_frac : of the decision, 0..1 and as a fraction of the balance.
    outcome : 1 won, 0 lost, 0.5 neither, after costs; None while open, and for good when the end is not known.
    return_frac : of the price in the direction of the trade, before costs; None while open.
    held_bars : (trade date as ISO text, bars) for every session it was held in.
    exit_reason, held_ns, lesson : how it ended, after how long, and in one sentence what it was.
    """

    episode_id: str
    strategy: str
    symbol: str
    opened_ns: int
    side: int
    regime: str
    features: tuple[float, ...]
    views: tuple[tuple[str, int | None, float], ...]
    confidence: float
    size_frac: float
    held_bars: tuple[tuple[str, int], ...] = ()
    closed_ns: int | None = None
    outcome: float | None = None
    return_frac: float | None = None
    exit_reason: str = ""
    held_ns: int = 0
    lesson: str = ""


def flaw_of(episode: Episode) -> str:
    """Return what is wrong with an episode, in words; empty when nothing is.

    Prices, votes and outcomes go into statistics, where one bad number spoils all: a vote is +1, 0, -1 or None, an outcome
    lies in 0..1 or is None, and every number is finite, but for features, which may be NaN.
    """
    whole = (
        episode.opened_ns,
        episode.side,
        episode.held_ns,
        episode.opened_ns if episode.closed_ns is None else episode.closed_ns,
    )
    if not all(isinstance(value, int) for value in whole):
        return f"(opened, side, held, closed) were {whole}; they must be whole numbers"
    if episode.side not in (1, -1):
        return f"side was {episode.side}; it must be +1 or -1"
    if not all(_is_number(value) and not math.isinf(value) for value in episode.features):
        return f"features were {episode.features}; each must be finite or NaN"
    votes = [vote for _, vote, _ in episode.views if vote is not None and vote not in (1, 0, -1)]
    if votes:
        return f"a vote was {votes[0]!r}; it must be 1, 0, -1 or None"
    numbers = [episode.confidence, episode.size_frac, *(confidence for _, _, confidence in episode.views)]
    numbers += [value for value in (episode.outcome, episode.return_frac) if value is not None]
    if not all(_is_number(value) and math.isfinite(value) for value in numbers):
        return f"confidence, size, confidence of agents, outcome and return were {numbers}; each must be a finite number"
    if episode.outcome is not None and not 0.0 <= episode.outcome <= 1.0:
        return f"outcome was {episode.outcome}; it must lie in 0..1"
    return ""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


class EpisodeBook(Protocol):
    """Where episodes are kept. Keeping one again replaces it, so that a session run again changes nothing."""

    def closed_before(self, strategy: str, ts: int, limit: int) -> Sequence[Episode]:
        """Return at most `limit` episodes closed before `ts` (UTC ns) with an outcome, the latest of them, oldest first."""
        ...

    def open_at(self, strategy: str, ts: int) -> Sequence[Episode]:
        """Return the episodes opened before `ts` (UTC ns) and not closed before it, oldest first."""
        ...

    def keep(self, episode: Episode, limit: int) -> None:
        """Keep an episode; at most `limit` of its strategy stay, the latest."""
        ...

    def drop(self, episode: Episode) -> None:
        """Forget an episode: an entry that never came to be. One that is not kept is no error."""
        ...


@runtime_checkable
class EpisodeKeeper(Protocol):
    """A strategy that keeps episodes, beside `core.port.Strategy`."""

    def use_book(self, book: EpisodeBook) -> None:
        """Keep episodes in `book` from now on, and remember what it holds."""
        ...
