"""Recorded sessions as a feed. While one session is being traded, the next one is read in the background.

Of those after it the system is told, so that the disk is never waited for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from itertools import zip_longest
from typing import Protocol

import numpy as np

from sovereign.core.columns import Quotes, Trades
from sovereign.core.errors import NotFoundError, UsageError
from sovereign.core.instrument import Instrument, find_instrument
from sovereign.core.port import Block, SessionCalendar
from sovereign.core.session import Session

_PAGE = 4096
_EXPECTED = 3  # sessions ahead that the disk is told of


class TradeSource(Protocol):
    """What the feed needs of a catalog."""

    def dates(self, symbol: str, kind: str = "trades") -> list[date]:
        """Return the trade dates held, in order."""
        ...

    def resolve(self, symbol: str, trade_date: date, kind: str = "trades") -> str:
        """Return the contract that serves a symbol on a trade date."""
        ...

    def trades(self, symbol: str, trade_date: date) -> Trades:
        """Return a trade date's trades."""
        ...

    def quotes(self, symbol: str, trade_date: date) -> Quotes:
        """Return a trade date's quotes; `NotFoundError` where none are held."""
        ...

    def expect_trades(self, symbol: str, trade_date: date) -> None:
        """Say that a trade date's trades will be asked for soon."""
        ...

    def is_simulated(self, symbol: str, trade_date: date) -> bool:
        """Say whether a day's trades were generated."""
        ...


class HistoricalFeed:
    """Sessions of one symbol from recorded trades.

    For a futures root each session carries the contract that the source chooses for that date. Rows outside the session's hours
    (a print after the close, a test before the open) stay in the catalog and are not fed; `outside` counts them by date.

    Parameters
    ----------
    source : where the trades are; the market-data catalog.
    symbol : a futures root, a contract or an equity.
    start, end : first and last trade date, both included.
    calendar : the symbol's sessions.
    block_ticks : rows a block, or None for the whole session in one block. Results do not depend on it.

    Raises
    ------
    UsageError : `end` is before `start`, or `block_ticks` is below 1.
    NotFoundError : no session of the range is held.
    """

    def __init__(
        self,
        source: TradeSource,
        symbol: str,
        start: date,
        end: date,
        calendar: SessionCalendar,
        *,
        block_ticks: int | None = None,
    ) -> None:
        if end < start:
            raise UsageError(f"dates were {start} to {end}; the end must not be before the start")
        if block_ticks is not None and block_ticks < 1:
            raise UsageError(f"block_ticks was {block_ticks}; allowed is 1 or more, or none for whole sessions")
        self._source = source
        self._symbol = symbol
        self._block_ticks = block_ticks
        held = [d for d in source.dates(symbol) if start <= d <= end]
        by_date = {s.trade_date: s for s in calendar.sessions(start, end)}
        self._sessions = [by_date[d] for d in held if d in by_date]
        self.unscheduled = tuple(d for d in held if d not in by_date)
        if not self._sessions:
            have = source.dates(symbol)
            span = f"it has {len(have)} dates from {have[0]} to {have[-1]}" if have else "it has none of that symbol"
            raise NotFoundError(
                f"no session of '{symbol}' from {start} to {end} was in the catalog; {span}; see 'sovereign data list'"
            )
        self.contracts = {s.trade_date: source.resolve(symbol, s.trade_date) for s in self._sessions}
        self.is_simulated = any(source.is_simulated(symbol, s.trade_date) for s in self._sessions)
        self.outside: dict[date, int] = {}
        self._current: tuple[date, Trades] | None = None

    def sessions(self) -> Iterator[Session]:
        """Yield the sessions that are held, in order; the next one is read while one is being used."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="read-ahead") as reader:
            self._expect(self._sessions[:_EXPECTED])
            pending: Future[Trades] = reader.submit(self._load, self._sessions[0])
            for number, (session, following) in enumerate(zip_longest(self._sessions, self._sessions[1:])):
                self._expect(self._sessions[number + _EXPECTED : number + 1 + _EXPECTED])
                self._current = (session.trade_date, pending.result())
                if following is not None:
                    pending = reader.submit(self._load, following)
                yield session
            self._current = None

    def instruments(self, session: Session) -> Sequence[Instrument]:
        """Return the one instrument of a session: for a futures root the contract of that date."""
        return (find_instrument(self.contracts[session.trade_date]),)

    def blocks(self, session: Session) -> Iterator[Block]:
        """Yield a session's blocks in time order; the last one promises the session's end."""
        trades = self._trades_of(session)
        symbol = self.contracts[session.trade_date]
        step = self._block_ticks or max(1, len(trades))
        for start in range(0, max(1, len(trades)), step):
            part = trades.slice(start, start + step)
            is_last = start + step >= len(trades)
            until = session.close_ns if is_last else int(trades.ts[start + step])
            yield Block(symbol=symbol, trades=part, until_ns=until)

    def quotes(self, session: Session, symbol: str, trades: Trades) -> Quotes | None:  # noqa: ARG002 - they are recorded
        """Return a session's recorded quotes; None where the source holds none."""
        try:
            quotes = self._source.quotes(symbol, session.trade_date)
        except NotFoundError:
            return None
        first, last = np.searchsorted(quotes.ts, [session.open_ns, session.close_ns], side="left").tolist()
        return quotes.slice(first, last)

    def notes(self) -> tuple[str, ...]:
        """Say what of the data was not used so far, in sentences for the report; nothing when all of it was."""
        notes = []
        if self.unscheduled:
            dates = ", ".join(day.isoformat() for day in self.unscheduled)
            notes.append(f"Not run, since the calendar has no session then: {dates}.")
        left_out = {day: count for day, count in self.outside.items() if count}
        if left_out:
            dates = ", ".join(f"{count:,} of {day.isoformat()}" for day, count in sorted(left_out.items()))
            notes.append(f"Trades outside their session's hours were not used: {dates}.")
        return tuple(notes)

    def _expect(self, sessions: Sequence[Session]) -> None:
        for session in sessions:
            self._source.expect_trades(self.contracts[session.trade_date], session.trade_date)

    def _trades_of(self, session: Session) -> Trades:
        if self._current is not None and self._current[0] == session.trade_date:
            return self._current[1]
        return self._load(session)

    def _load(self, session: Session) -> Trades:
        trades = self._source.trades(self.contracts[session.trade_date], session.trade_date)
        first, last = np.searchsorted(trades.ts, [session.open_ns, session.close_ns], side="left").tolist()
        self.outside[session.trade_date] = len(trades) - (last - first)
        inside = trades.slice(first, last)
        _touch(inside)
        return inside


def _touch(trades: Trades) -> None:
    """Bring mapped columns into memory by reading one byte of each page; quotes are looked at only where an order trades."""
    for column in (trades.ts, trades.price, trades.size, trades.side):
        if len(column):
            column.view(np.uint8)[::_PAGE].max()
