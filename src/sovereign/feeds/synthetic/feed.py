"""The synthetic market as a feed: sessions of a calendar, each one block or cut by time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from sovereign.core.columns import Quotes, Trades
from sovereign.core.errors import UsageError
from sovereign.core.instrument import Instrument
from sovereign.core.port import Block, SessionCalendar
from sovereign.core.session import Session
from sovereign.feeds.synthetic.market import Hours, SyntheticMarket
from sovereign.feeds.synthetic.queue import QueueConfig


class SyntheticFeed:
    """Sessions of a simulated market, from `start` on.

    Parameters
    ----------
    market : where the trades come from.
    instrument : what is traded; its symbol names the blocks.
    calendar : which trade dates there are.
    start : first trade date, or the next one after it.
    sessions : how many sessions.
    hours : `regular` for the day session (trade dates without one are passed over), `all` for everything the venue trades.
    block_ns : length of a block, nanoseconds; None gives a session in one block.
    queues : what waits at the best prices.
    """

    is_simulated = True

    def __init__(
        self,
        market: SyntheticMarket,
        instrument: Instrument,
        calendar: SessionCalendar,
        start: date,
        sessions: int,
        hours: Hours = "regular",
        block_ns: int | None = None,
        queues: QueueConfig | None = None,
    ) -> None:
        if sessions < 1:
            raise UsageError(f"sessions was {sessions}; ask for at least 1")
        if block_ns is not None and block_ns < 1:
            raise UsageError(f"block_ns was {block_ns}; it must be at least 1 nanosecond, or None for one block a session")
        self.market = market
        self.instrument = instrument
        self.calendar = calendar
        self.start = start
        self.hours = hours
        self._wanted = sessions
        self._block_ns = block_ns
        self._queues = queues or QueueConfig()

    @property
    def label(self) -> str:
        """How this data is called wherever it appears."""
        return self.market.label

    def sessions(self) -> Iterator[Session]:
        """Yield the sessions, in order."""
        found = 0
        begin = self.start
        while found < self._wanted:
            end = begin + timedelta(days=max(14, (self._wanted - found) * 2))
            for session in self.calendar.sessions(begin, end):
                if self.hours == "regular" and session.regular_open_ns >= session.regular_close_ns:
                    continue
                yield session
                found += 1
                if found == self._wanted:
                    return
            begin = end + timedelta(days=1)

    def instruments(self, session: Session) -> Sequence[Instrument]:  # noqa: ARG002 - the port's shape
        """Return the one instrument that trades."""
        return (self.instrument,)

    def blocks(self, session: Session) -> Iterator[Block]:
        """Yield a session's blocks in time order; the last one promises everything up to the end of its hours."""
        trades = self.market.session_trades(self.instrument, session, self.hours)
        opened, closed = self._span(session)
        start = 0
        if self._block_ns is not None:
            for until in range(opened + self._block_ns, closed, self._block_ns):
                stop = int(trades.ts.searchsorted(until, side="left"))
                if stop > start:
                    yield Block(self.instrument.symbol, trades.slice(start, stop), until)
                start = stop
        yield Block(self.instrument.symbol, trades.slice(start, len(trades)), closed)

    def quotes(self, session: Session, symbol: str, trades: Trades) -> Quotes | None:  # noqa: ARG002 - one symbol alone
        """Return best bids and offers with sizes beside a session's trades; the same seed gives the same bytes."""
        return self.market.session_quotes(self.instrument, session, trades, self._span(session), self._queues)

    def _span(self, session: Session) -> tuple[int, int]:
        if self.hours == "regular":
            return session.regular_open_ns, session.regular_close_ns
        return session.open_ns, session.close_ns
