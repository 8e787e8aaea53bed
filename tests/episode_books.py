"""Books of episodes for tests: one in memory, one that tells how much it was told to keep."""

from __future__ import annotations

from collections.abc import Iterable

from sovereign.core.episode import Episode


class ListBook:
    """A book in memory."""

    def __init__(self, episodes: Iterable[Episode] = ()) -> None:
        self.kept = {e.episode_id: e for e in episodes}

    def closed_before(self, strategy: str, ts: int, limit: int) -> list[Episode]:
        found = [e for e in self.kept.values() if e.strategy == strategy and e.outcome is not None]
        ended = [e for e in found if e.closed_ns is not None and e.closed_ns < ts]
        return sorted(ended, key=lambda e: e.closed_ns or 0)[-limit:]

    def open_at(self, strategy: str, ts: int) -> list[Episode]:
        found = [e for e in self.kept.values() if e.strategy == strategy and e.opened_ns < ts]
        return [e for e in found if e.closed_ns is None or e.closed_ns >= ts]

    def keep(self, episode: Episode, limit: int) -> None:
        self.kept[episode.episode_id] = episode

    def drop(self, episode: Episode) -> None:
        self.kept.pop(episode.episode_id, None)


class LimitBook:
    """A book that remembers how much it was told to keep."""

    def __init__(self) -> None:
        self.limits: list[int] = []

    def closed_before(self, strategy: str, ts: int, limit: int) -> list[Episode]:
        return []

    def open_at(self, strategy: str, ts: int) -> list[Episode]:
        return []

    def keep(self, episode: Episode, limit: int) -> None:
        self.limits.append(limit)

    def drop(self, episode: Episode) -> None:
        """Nothing is kept."""
