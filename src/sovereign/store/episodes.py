"""The book of episodes in the SQL store (`core.episode.EpisodeBook`): durable, bounded, one per account."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import delete, insert, select

from sovereign.core.episode import Episode, flaw_of
from sovereign.core.errors import DataError, UsageError
from sovereign.store.database import Database
from sovereign.store.live_schema import episodes

_VERSION = 1
"""Of the JSON that an episode is kept as. Keys may come with a default and without a new number; a new meaning needs one."""


def _nowhere(_: str) -> None:
    """Nobody listens."""


class SqlEpisodeBook:
    """Episodes of one account. A row that cannot be used, damaged or of a later release, is passed over: a session goes on.

    Parameters
    ----------
    on_skipped : told in words when rows were passed over; `skipped` counts them.
    """

    def __init__(self, database: Database, account: str, on_skipped: Callable[[str], None] = _nowhere) -> None:
        self._database = database
        self._account = account
        self._on_skipped = on_skipped
        self.skipped = 0

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
        return self._read(strategy, reversed(found))

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
        return self._read(strategy, found)

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

    def _read(self, strategy: str, states: Iterable[str]) -> list[Episode]:
        read: list[Episode] = []
        flaws: list[str] = []
        for state in states:
            try:
                read.append(_episode(state))
            except DataError as flaw:
                flaws.append(str(flaw))
        if flaws:
            self.skipped += len(flaws)
            count = f"{len(flaws)} of {len(flaws) + len(read)} episodes"
            self._on_skipped(f"{count} of {strategy} on account '{self._account}' were passed over; the first: {flaws[0]}")
        return read


_FIELDS = tuple(field.name for field in fields(Episode))


def _plain(episode: Episode) -> dict[str, Any]:
    # JSON has neither NaN nor infinity; unknown is null.
    plain = asdict(episode)
    plain["features"] = [value if math.isfinite(value) else None for value in episode.features]
    return {**plain, "version": _VERSION}


def _episode(state: str) -> Episode:
    """Return the episode of a kept row.

    Raises
    ------
    DataError : it is damaged, or of a later release.
    """
    try:
        plain = json.loads(state)
        version = plain.get("version", _VERSION)
        if version != _VERSION:
            raise DataError(f"it is of version {version!r}, and {_VERSION} can be read; use the release that wrote it")
        features = tuple(math.nan if value is None else float(value) for value in plain["features"])
        views = tuple((str(agent), vote, float(confidence)) for agent, vote, confidence in plain["views"])
        held = tuple((str(day), int(bars)) for day, bars in plain.get("held_bars", ()))
        known = {name: plain[name] for name in _FIELDS if name in plain}
        episode = Episode(**{**known, "features": features, "views": views, "held_bars": held})
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as cause:
        raise DataError(f"it cannot be read ({type(cause).__name__}: {cause}); it begins with {state[:80]!r}") from cause
    if flaw := flaw_of(episode):
        raise DataError(f"episode '{episode.episode_id}': {flaw}")
    return episode
