"""What a market of the venue publishes: the sessions of any feed, one after another, as whole columns.

A session may be cut to a window, so that a rehearsal of a minute needs no whole day. Everything here can be asked for again in
any order: a client that was away is served from the same columns.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date

from sovereign.core.columns import Quotes, Trades
from sovereign.core.errors import NotFoundError, SovereignError, UsageError
from sovereign.core.instrument import FUTURES, Instrument
from sovereign.core.port import Feed, QuoteSource, SessionCalendar
from sovereign.core.session import NS_PER_SECOND, Session

_KEPT = 2
_logger = logging.getLogger("sovereign.venue")


class WindowedCalendar:
    """A calendar whose sessions are cut to a window, as if the venue traded only then.

    Parameters
    ----------
    hours : `regular` for the day session, `all` for everything the venue trades.
    offset_s, seconds : where the window begins in those hours, and how long it is; None is up to their end.
    """

    def __init__(
        self, calendar: SessionCalendar, hours: str = "all", offset_s: float = 0.0, seconds: float | None = None
    ) -> None:
        self.name = calendar.name
        self._calendar = calendar
        self._hours = hours
        self._offset_ns = round(offset_s * NS_PER_SECOND)
        self._length_ns = None if seconds is None else round(seconds * NS_PER_SECOND)

    def session(self, trade_date: date) -> Session | None:
        """Return the window of a trade date, or None when nothing of it is traded."""
        found = self._calendar.session(trade_date)
        return None if found is None else self._cut(found)

    def sessions(self, start: date, end: date) -> list[Session]:
        """Return the windows of the trade dates `start`..`end`."""
        return [cut for found in self._calendar.sessions(start, end) if (cut := self._cut(found)) is not None]

    def session_of(self, ts: int) -> Session | None:
        """Return the window that contains `ts`, or None."""
        found = self._calendar.session_of(ts)
        cut = None if found is None else self._cut(found)
        return cut if cut is not None and cut.open_ns <= ts < cut.close_ns else None

    def _cut(self, session: Session) -> Session | None:
        is_regular = self._hours == "regular"
        opened = (session.regular_open_ns if is_regular else session.open_ns) + self._offset_ns
        closed = session.regular_close_ns if is_regular else session.close_ns
        if self._length_ns is not None:
            closed = min(closed, opened + self._length_ns)
        if opened >= closed:
            return None
        return replace(
            session,
            open_ns=opened,
            close_ns=closed,
            regular_open_ns=min(max(session.regular_open_ns, opened), closed),
            regular_close_ns=min(max(session.regular_close_ns, opened), closed),
            breaks=tuple((max(a, opened), min(b, closed)) for a, b in session.breaks if a < closed and b > opened),
        )


class Tape:
    """Sessions of a feed with random access.

    Parameters
    ----------
    feed : where sessions and ticks come from.
    sessions : the feed's sessions, if they are known without reading it.
    is_quoting : whether best bids and offers with sizes are published where the feed has them.
    """

    def __init__(self, feed: Feed, sessions: Iterable[Session] | None = None, *, is_quoting: bool = True) -> None:
        self._feed = feed
        self.sessions: tuple[Session, ...] = tuple(feed.sessions() if sessions is None else sessions)
        if not self.sessions:
            raise NotFoundError("the tape had no session; choose dates on which the market trades")
        self._columns: dict[date, dict[str, Trades]] = {}
        self._quoting = feed if is_quoting and isinstance(feed, QuoteSource) else None
        self._quotes: dict[date, dict[str, Quotes]] = {}

    @property
    def is_simulated(self) -> bool:
        """Whether the market is invented."""
        return self._feed.is_simulated

    def instruments(self, session: Session) -> Sequence[Instrument]:
        """Return whose ticks a session has."""
        return tuple(self._feed.instruments(session))

    def columns(self, session: Session) -> dict[str, Trades]:
        """Return a session's ticks by symbol; those of the last few sessions asked for are kept."""
        found = self._columns.pop(session.trade_date, None)
        if found is None:
            parts: dict[str, list[Trades]] = {i.symbol: [] for i in self._feed.instruments(session)}
            for block in self._feed.blocks(session):
                parts[block.symbol].append(block.trades)
            found = {symbol: blocks[0] if len(blocks) == 1 else Trades.concat(blocks) for symbol, blocks in parts.items()}
        self._columns[session.trade_date] = found
        while len(self._columns) > _KEPT:
            del self._columns[next(iter(self._columns))]
        return found

    def session_on(self, trade_date: date | None) -> Session | None:
        """Return the session of a trade date; None when the tape has none."""
        return next((session for session in self.sessions if session.trade_date == trade_date), None)

    def quotes(self, session: Session) -> Mapping[str, Quotes]:
        """Return a session's best bids and offers with sizes by symbol; a symbol without any is left out."""
        found = self._quotes.pop(session.trade_date, None)
        if found is None:
            found = self.made_quotes(session, self.columns(session))
        self.keep_quotes(session, found)
        return found

    def made_quotes(self, session: Session, columns: Mapping[str, Trades]) -> dict[str, Quotes]:
        """Make what `quotes` returns, from `columns`; may run in a thread of its own."""
        feed = self._quoting
        if feed is None:
            return {}
        made = {symbol: feed.quotes(session, symbol, trades) for symbol, trades in columns.items()}
        return {symbol: quotes for symbol, quotes in made.items() if quotes is not None}

    def keep_quotes(self, session: Session, made: dict[str, Quotes]) -> None:
        """Keep what `made_quotes` returned; of the last few sessions alone."""
        self._quotes[session.trade_date] = made
        while len(self._quotes) > _KEPT:
            del self._quotes[next(iter(self._quotes))]

    async def load_quotes(self, session: Session) -> None:
        """Make what `quotes` returns in a thread of its own; what cannot be read is not known, and the tape goes on."""
        if session.trade_date in self._quotes:
            return
        made: dict[str, Quotes] = {}
        try:
            made = await asyncio.to_thread(self.made_quotes, session, self.columns(session))
        except (SovereignError, OSError) as fault:
            _logger.warning("quotes of %s could not be read (%s)", session.trade_date, str(fault).split("\n", 1)[0])
        self.keep_quotes(session, made)

    def is_loaded(self, session: Session) -> bool:
        """Say whether `columns` would answer at once."""
        return session.trade_date in self._columns


def tradable(instruments: Sequence[Instrument]) -> dict[str, tuple[Instrument, str]]:
    """Return what can be ordered on these tapes: (instrument, tape) by symbol; a future's micro or full sibling included."""
    found = {i.symbol: (i, i.symbol) for i in instruments}
    for instrument in instruments:
        if instrument.root not in FUTURES:
            continue
        suffix = instrument.symbol.removeprefix(instrument.root)
        for root in (f"M{instrument.root}", instrument.root.removeprefix("M")):
            sibling = FUTURES.get(root)
            if sibling is not None and sibling.tick_size == instrument.tick_size:
                symbol = root + suffix
                found.setdefault(symbol, (replace(sibling, symbol=symbol), instrument.symbol))
    return found


def check_window(hours: str, offset_s: float, seconds: float | None) -> None:
    """Refuse a window that no session could have.

    Raises
    ------
    UsageError : it is a day long or more.
    """
    if offset_s + (seconds or 0.0) >= 86_400:
        raise UsageError(f"the window was {offset_s} s and {seconds} s of {hours} hours; a session is shorter than a day")
