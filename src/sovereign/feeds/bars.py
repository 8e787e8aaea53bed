"""Recorded bars as a feed: each bar becomes a path of four prints, so that bars and ticks are traded by one engine.

A bar says where the price was, not in which order or when. Its prints are the open a quarter into the bar, both extremes at
its middle, and the close just before its end; an order that was decided at the end of the bar before, and takes a moment to
arrive, so meets the open. The extremes carry one and the same time: that is how everyone after this room knows that their
order is an assumption (the nearer extreme first: a rising bar is taken to have fallen before it rose), and a fill model may
assume the better or the worse of the two (`bar_order`). The volume is shared out evenly, the remainder goes to the close, so
that aggregating the path gives the bar back exactly. Nobody is known as the aggressor, and no quote is invented.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Protocol

import numpy as np

from sovereign.core.columns import Bars, Trades, make_recorded, make_trades
from sovereign.core.errors import DataError, NotFoundError, UsageError
from sovereign.core.instrument import Instrument, find_instrument
from sovereign.core.port import Block, SessionCalendar
from sovereign.core.session import NS_PER_DAY, NS_PER_SECOND, Session

_DAY_S = NS_PER_DAY // NS_PER_SECOND
_PRINTS = 4
_EVER = -(2**63)
_LARGEST = 2**31 - 1


class BarSource(Protocol):
    """What the feed needs of a catalog."""

    def dates(self, symbol: str, kind: str = "trades") -> list[date]:
        """Return the trade dates held, in order."""
        ...

    def bars(self, symbol: str, trade_date: date, seconds: int) -> Bars:
        """Return a trade date's bars of a width in seconds, stamped with their close."""
        ...

    def is_simulated(self, symbol: str, trade_date: date, kind: str = "trades") -> bool:
        """Say whether a day's rows were generated."""
        ...


class Paths:
    """Bars of one width as prints, `path_of` by `path_of`; shares whose bars have the same times get the same times of prints.

    Parameters
    ----------
    seconds : width of the bars.
    """

    def __init__(self, seconds: int) -> None:
        from sovereign.kernels.ohlcv import write_prints, write_times

        self._write_prints, self._write_times = write_prints, write_times
        self._width_ns = seconds * NS_PER_SECOND
        self._ends = self._ts = np.zeros(0, np.int64)  # of the bars and the prints before
        self._begin_ns = _EVER
        self._nobody = np.zeros(0, np.int8)

    def of(self, bars: Bars, opens_ns: int | None = None) -> Trades:
        """Return the path of some bars; see `path_of`."""
        begin_ns = _EVER if opens_ns is None else opens_ns
        ends, count = bars.ts, len(bars.ts)
        is_same = ends is self._ends or (len(self._ends) == count and bool((ends == self._ends).all()))
        if not is_same or begin_ns != self._begin_ns:
            ts = np.empty(count * _PRINTS, np.int64)
            self._write_times(ends, self._width_ns, begin_ns, ts)
            self._ends, self._ts, self._begin_ns = ends, ts, begin_ns
            if len(self._nobody) != len(ts):
                self._nobody = np.zeros(len(ts), np.int8)
        price, size = np.empty(count * _PRINTS, np.int32), np.empty(count * _PRINTS, np.int32)
        if self._write_prints(bars.open, bars.high, bars.low, bars.close, bars.volume, price, size) > _LARGEST:
            raise DataError(
                f"a bar's volume was {int(bars.volume.max()):,}; a print holds at most {_LARGEST:,} units; "
                f"import the volume in larger units"
            )
        return make_trades(self._ts, price, size, self._nobody, is_path=True, bars=make_recorded(bars, self._width_ns))


def path_of(bars: Bars, seconds: int, opens_ns: int | None = None) -> Trades:
    """Return bars as prints: four a bar, in the order open, nearer extreme, farther extreme, close.

    Parameters
    ----------
    bars : stamped with their close, not overlapping.
    seconds : their width.
    opens_ns : when the session begins; the prints of a bar that begins earlier (09:00 of an hourly one) lie after it.

    Raises
    ------
    DataError : a quarter of a bar's volume does not fit a print.
    """
    return Paths(seconds).of(bars, opens_ns)


class BarFeed:
    """Sessions of one or several symbols from recorded bars.

    Every session hands over one block a symbol, in the order of `symbols`; a symbol without bars on a date does not trade then.
    Intraday bars outside the session's regular hours are left out unless `hours` is "all". A daily bar is the regular day
    session, whatever clock its file was stamped with.

    Parameters
    ----------
    source : where the bars are; the market-data catalog.
    symbols : what to trade, benchmarks included; the first comes first at equal times.
    seconds : width of the bars; 86,400 for daily ones.
    start, end : first and last trade date, both included.
    calendar : the sessions of all symbols.

    Raises
    ------
    UsageError : no or repeated symbols, or `end` is before `start`.
    NotFoundError : a symbol has no bars of that width in the range.
    """

    def __init__(
        self,
        source: BarSource,
        symbols: Sequence[str],
        seconds: int,
        start: date,
        end: date,
        calendar: SessionCalendar,
        *,
        hours: str = "regular",
    ) -> None:
        if end < start:
            raise UsageError(f"dates were {start} to {end}; the end must not be before the start")
        if not symbols or len(set(symbols)) != len(symbols):
            raise UsageError(f"symbols were {', '.join(symbols) or 'none'}; name each symbol once")
        self._source = source
        self._seconds = seconds
        self._paths = Paths(seconds)
        self._hours = hours
        kind = f"bars-{seconds}"
        self._held: dict[date, list[str]] = {}
        self.is_simulated = False
        for symbol in symbols:
            days = [day for day in source.dates(symbol, kind) if start <= day <= end]
            if not days:
                raise NotFoundError(
                    f"no {seconds}-second bars of '{symbol}' from {start} to {end} were in the catalog; "
                    f"see 'sovereign data list'"
                )
            for day in days:
                self._held.setdefault(day, []).append(symbol)
            self.is_simulated |= any(source.is_simulated(symbol, day, kind) for day in days)
        by_date = {session.trade_date: session for session in calendar.sessions(start, end)}
        self._sessions = [by_date[day] for day in sorted(self._held) if day in by_date]
        self.unscheduled = tuple(day for day in sorted(self._held) if day not in by_date)
        self._outside: dict[tuple[str, date], int] = {}
        if not self._sessions:
            raise NotFoundError(f"the calendar had no session on any of the {len(self._held)} dates from {start} to {end}")

    @property
    def outside(self) -> int:
        """Bars outside their session's hours, each once, of what was read so far."""
        return sum(self._outside.values())

    def sessions(self) -> Iterator[Session]:
        """Yield the sessions on which any symbol has bars, in order."""
        yield from self._sessions

    def instruments(self, session: Session) -> Sequence[Instrument]:
        """Return what has bars on that date, in the order of the symbols."""
        return tuple(find_instrument(symbol) for symbol in self._held[session.trade_date])

    def blocks(self, session: Session) -> Iterator[Block]:
        """Yield one block a symbol, each over the whole session."""
        for symbol in self._held[session.trade_date]:
            yield Block(symbol=symbol, trades=self._path(symbol, session), until_ns=session.close_ns)

    def blocks_of(self, symbol: str, session: Session) -> Iterator[Block]:
        """Yield the blocks of one symbol alone; none when it has no bars on that date."""
        if symbol in self._held[session.trade_date]:
            yield Block(symbol=symbol, trades=self._path(symbol, session), until_ns=session.close_ns)

    def notes(self) -> tuple[str, ...]:
        """Say what of the data was not used, in sentences for the report."""
        notes = []
        if self.unscheduled:
            dates = ", ".join(day.isoformat() for day in self.unscheduled)
            notes.append(f"Not run, since the calendar has no session then: {dates}.")
        if self.outside:
            notes.append(f"{self.outside:,} bars outside their session's hours were not used.")
        return tuple(notes)

    def _path(self, symbol: str, session: Session) -> Trades:
        bars = self._source.bars(symbol, session.trade_date, self._seconds)
        if self._seconds >= _DAY_S:
            return _stretched(self._paths.of(bars.slice(len(bars) - 1, len(bars))), session)
        is_all = self._hours == "all"
        opens = session.open_ns if is_all else session.regular_open_ns
        closes = session.close_ns if is_all else session.regular_close_ns
        first = int(np.searchsorted(bars.ts, opens, side="right"))
        last = int(np.searchsorted(bars.ts, closes, side="right"))
        self._outside[symbol, session.trade_date] = len(bars) - (last - first)
        return self._paths.of(bars.slice(first, last), opens)


def _stretched(path: Trades, session: Session) -> Trades:
    opens, closes = session.regular_open_ns, session.regular_close_ns
    middle = opens + (closes - opens) // 2
    ts = np.array([opens, middle, middle, closes - 1][: len(path)], np.int64)
    return Trades(ts, path.price, path.size, path.side, is_path=True)
