"""The book of episodes in the SQL store (`core.episode.EpisodeBook`): durable, bounded, one per account."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, insert, select

from sovereign.core.episode import Episode
from sovereign.core.errors import UsageError
from sovereign.store.database import Database
from sovereign.store.live_schema import episodes


class SqlEpisodeBook:
    """Episodes of one account."""

    def __init__(self, database: Database, account: str) -> None:
        self._database = database
        self._account = account

    def closed_before(self, strategy: str, ts: int, limit: int) -> Sequence[Episode]:
        """Return at most `limit` episodes closed before `ts` (UTC ns) with an outcome, the latest of them, oldest first."""
        table = episodes
        query = (
            select(table.c.state)
            .where(table.c.account == self._account, table.c.strategy == strategy, table.c.closed_ns < ts)
            .where(table.c.outcome.is_not(None))
            .order_by(table.c.closed_ns.desc(), table.c.opened_ns.desc(), table.c.episode_id.desc())
            .limit(limit)
        )
        with self._database.reading() as connection:
            found = connection.execute(query).scalars().all()
        return [_episode(json.loads(state)) for state in reversed(found)]

    def open_at(self, strategy: str, ts: int) -> Sequence[Episode]:
        """Return the episodes opened before `ts` (UTC ns) and not closed before it, oldest first."""
        table = episodes
        query = (
            select(table.c.state)
            .where(table.c.account == self._account, table.c.strategy == strategy, table.c.opened_ns < ts)
            .where(table.c.closed_ns.is_(None) | (table.c.closed_ns >= ts))
            .order_by(table.c.opened_ns, table.c.episode_id)
        )
        with self._database.reading() as connection:
            found = connection.execute(query).scalars().all()
        return [_episode(json.loads(state)) for state in found]

    def keep(self, episode: Episode, limit: int) -> None:
        """Keep an episode; one of the same id is replaced, and of all of its strategy the latest `limit` stay.

        Raises
        ------
        UsageError : `limit` is below 1.
        """
        if limit < 1:
            raise UsageError(f"limit of episodes was {limit}; keep at least 1")
        table, own = episodes, (episodes.c.account == self._account, episodes.c.strategy == episode.strategy)
        with self._database.writing() as connection:
            self._database.lock(connection, "episodes")
            connection.execute(delete(table).where(*own, table.c.episode_id == episode.episode_id))
            connection.execute(
                insert(table).values(
                    account=self._account,
                    strategy=episode.strategy,
                    episode_id=episode.episode_id,
                    symbol=episode.symbol,
                    opened_ns=episode.opened_ns,
                    closed_ns=episode.closed_ns,
                    side=episode.side,
                    regime=episode.regime,
                    outcome=episode.outcome,
                    state=json.dumps(_plain(episode), sort_keys=True, allow_nan=False),
                )
            )
            newest = select(table.c.opened_ns).where(*own).order_by(table.c.opened_ns.desc()).offset(limit - 1).limit(1)
            oldest = connection.execute(newest).scalar()
            if oldest is not None:
                connection.execute(delete(table).where(*own, table.c.opened_ns < oldest))

    def drop(self, episode: Episode) -> None:
        """Forget an episode; one that is not kept is no error."""
        table = episodes
        own = (table.c.account == self._account, table.c.strategy == episode.strategy)
        with self._database.writing() as connection:
            self._database.lock(connection, "episodes")
            connection.execute(delete(table).where(*own, table.c.episode_id == episode.episode_id))


def _plain(episode: Episode) -> dict[str, Any]:
    # JSON has no NaN; unknown is null.
    plain = asdict(episode)
    plain["features"] = [None if math.isnan(value) else value for value in episode.features]
    return plain


def _episode(plain: dict[str, Any]) -> Episode:
    features = tuple(math.nan if value is None else float(value) for value in plain["features"])
    views = tuple((str(agent), vote, float(confidence)) for agent, vote, confidence in plain["views"])
    held = tuple((str(day), int(bars)) for day, bars in plain["held_bars"])
    return Episode(**{**plain, "features": features, "views": views, "held_bars": held})
