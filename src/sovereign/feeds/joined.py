"""Several symbols' feeds as one: their sessions by date, their blocks one symbol after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import chain
from typing import Protocol

from sovereign.core.columns import Quotes, Trades
from sovereign.core.errors import UsageError
from sovereign.core.instrument import Instrument
from sovereign.core.port import Block, Feed, QuoteSource
from sovereign.core.session import Session


class NotedFeed(Feed, Protocol):
    """A feed that has something to say about its data."""

    def notes(self) -> Sequence[str]:
        """Say what of the data was not used, in sentences."""
        ...


class JoinedFeed:
    """Feeds of one calendar; a symbol without data on a date does not trade then.

    Parameters
    ----------
    feeds : one a symbol; the first comes first at equal times.

    Raises
    ------
    UsageError : there is no feed, or two of them keep different sessions on one date.
    """

    def __init__(self, feeds: Sequence[NotedFeed]) -> None:
        if not feeds:
            raise UsageError("feeds were none; give at least one")
        self._feeds = tuple(feeds)
        self.is_simulated = any(feed.is_simulated for feed in feeds)
        self._sessions: dict[date, Session] = {}
        self._traded: dict[date, list[NotedFeed]] = {}
        for feed in feeds:
            for session in feed.sessions():
                known = self._sessions.setdefault(session.trade_date, session)
                if known != session:
                    raise UsageError(
                        f"calendars were {known.calendar} and {session.calendar} on {session.trade_date}; symbols that trade "
                        f"together need one calendar"
                    )
                self._traded.setdefault(session.trade_date, []).append(feed)

    def sessions(self) -> Iterator[Session]:
        """Yield the sessions on which any symbol has data, in order."""
        for day in sorted(self._sessions):
            yield self._sessions[day]

    def instruments(self, session: Session) -> Sequence[Instrument]:
        """Return what has data on that date, in the order of the feeds."""
        return tuple(chain.from_iterable(feed.instruments(session) for feed in self._traded[session.trade_date]))

    def blocks(self, session: Session) -> Iterator[Block]:
        """Yield the symbols' blocks, one symbol after the other."""
        for feed in self._traded[session.trade_date]:
            yield from feed.blocks(session)

    def quotes(self, session: Session, symbol: str, trades: Trades) -> Quotes | None:
        """Return a symbol's quotes with sizes; None where its feed has none."""
        for feed in self._traded[session.trade_date]:
            if any(instrument.symbol == symbol for instrument in feed.instruments(session)):
                return feed.quotes(session, symbol, trades) if isinstance(feed, QuoteSource) else None
        return None

    def notes(self) -> tuple[str, ...]:
        """Say what of the data was not used, in sentences for the report."""
        return tuple(dict.fromkeys(chain.from_iterable(feed.notes() for feed in self._feeds)))
