"""Episodes: what a strategy saw when it entered, and what came of it. The book of them outlives a process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


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
