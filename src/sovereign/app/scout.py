"""Scouts put together from settings: one reads the news of each symbol now and then, one watches the tape all session long."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sovereign.core.errors import ConfigurationError, NotFoundError
from sovereign.core.news import Filing, NewsReading, NoData, Post
from sovereign.core.session import NS_PER_HOUR, NS_PER_SECOND, from_ns

if TYPE_CHECKING:
    from datetime import date

    from numpy.typing import NDArray

    from sovereign.app.configuration import Settings
    from sovereign.core.columns import Quotes
    from sovereign.core.port import SessionCalendar
    from sovereign.core.session import Session
    from sovereign.core.tape import TapeSnapshot
    from sovereign.feeds.alpaca.client import AlpacaKeys
    from sovereign.feeds.news.edgar import Edgar
    from sovereign.signals.tape import Explained, TapeScout

_SEARCH_DAYS = 14
MOST_TICKS = 2**31 - 1
LOOK_S = 0.25


class NewsScout:
    """Reads the news of symbols; posts that were seen are remembered as long as they count.

    Parameters
    ----------
    now_ns : the present, UTC ns. keep : takes every reading.
    """

    def __init__(self, settings: Settings, now_ns: Callable[[], int], keep: Callable[[NewsReading], object]) -> None:
        from sovereign.feeds.news.crowd import StockTwits, Yahoo, stocktwits_source, yahoo_source
        from sovereign.signals.lexicon import OWN, read_lexicon
        from sovereign.signals.news import NewsFilter

        config = settings.news
        self._settings, self._now_ns, self._keep = settings, now_ns, keep
        lexicon = OWN if config.filter.lexicon is None else read_lexicon(config.filter.lexicon)
        self._filter = NewsFilter(config.filter, lexicon)
        self._sources = [yahoo_source(config.sources), stocktwits_source(config.sources)]
        self._yahoo = Yahoo(self._sources[0], config.sources, now_ns)
        self._stocktwits = StockTwits(self._sources[1], config.sources, now_ns)
        self._edgar: Edgar | str = self._open_edgar()
        self._posts: dict[str, dict[int, Post]] = {}

    def _open_edgar(self) -> Edgar | str:
        from sovereign.feeds.news.edgar import Edgar, edgar_source

        config = self._settings.news.sources
        try:
            source = edgar_source(config)
        except ConfigurationError as fault:
            return str(fault)  # the other sources are read all the same
        self._sources.append(source)
        return Edgar(source, config, self._now_ns)

    def close(self) -> None:
        """Disconnect."""
        for source in self._sources:
            source.close()

    def read(self, symbol: str) -> NewsReading:
        """Ask all sources about a symbol, judge what they say, and keep the reading."""
        filings, headlines = self._filings(symbol), self._yahoo.headlines(symbol)
        told = self._stocktwits.posts(symbol)
        posts = told if isinstance(told, NoData) else self._remember(symbol, told)
        reading = self._filter.read(symbol, self._now_ns(), filings, headlines, posts)
        self._keep(reading)
        return reading

    def _filings(self, symbol: str) -> Sequence[Filing] | NoData:
        cik, now = self._settings.universe.ciks.get(symbol), self._now_ns()
        if cik is None:
            return NoData(source="EDGAR", reason=f"universe.ciks has no number for {symbol}", ts=now)
        if isinstance(self._edgar, str):
            return NoData(source="EDGAR", reason=self._edgar, ts=now)
        return self._edgar.filings(cik, now - round(self._settings.news.filter.filing_active_h * NS_PER_HOUR), now)

    def _remember(self, symbol: str, fresh: Sequence[Post]) -> list[Post]:
        start = self._now_ns() - self._settings.news.filter.posts_h * NS_PER_HOUR
        held = self._posts.setdefault(symbol, {})
        held.update((post.post_id, post) for post in fresh)
        self._posts[symbol] = {number: post for number, post in held.items() if post.known_ns > start}
        return list(self._posts[symbol].values())


class TapeWatch:
    """Quotes of one symbol as they come, cut into buckets; snapshots as they fall due."""

    def __init__(self, settings: Settings, symbol: str) -> None:
        from sovereign.core.instrument import find_instrument
        from sovereign.signals.tape import TapeScout

        self.symbol = symbol
        self.instrument = find_instrument(symbol)
        self.tick = float(self.instrument.tick_size)
        self._config = settings.tape
        self.scout: TapeScout = TapeScout(settings.tape)
        self._start = self._until = 0
        self._waiting: list[tuple[int, int, int, int, int]] = []

    def start(self, start_ns: int) -> None:
        """Begin a session."""
        self._start = self._until = start_ns
        self._waiting = []
        self.scout.start(start_ns)

    def interrupt(self) -> None:
        """Take note that quotes were missed: nothing is inferred across the gap."""
        self._waiting = []
        self.scout.interrupt()

    def take(self, ts: int, bid: float, ask: float, bid_size: int, ask_size: int) -> None:
        """Take a quote (UTC ns, prices); one that comes late counts as of now."""
        self._waiting.append((max(ts, self._until), round(bid / self.tick), round(ask / self.tick), bid_size, ask_size))

    def advance(self, until_ns: int) -> list[TapeSnapshot]:
        """Close the buckets that end at or before `until_ns`; return the snapshots that fell due."""
        import numpy as np

        from sovereign.core.columns import Quotes
        from sovereign.signals.tape import snapshots

        now = sorted((row for row in self._waiting if row[0] < until_ns), key=lambda row: row[0])
        self._waiting = [row for row in self._waiting if row[0] >= until_ns]
        columns = np.array(now, np.int64).reshape(-1, 5)
        rest = (columns[:, place].astype(np.int32) for place in range(1, 5))
        rows = self.scout.advance(Quotes(np.ascontiguousarray(columns[:, 0]), *rest), until_ns)
        self._until = max(self._until, until_ns)
        return snapshots(self.symbol, rows, self._start, float(self.instrument.tick_size), self._config)


class TapeSet:
    """Some symbols' quotes, session after session: snapshots are handed on as they fall due.

    Quotes may come from one thread while another looks.

    Parameters
    ----------
    keep : takes the snapshots of one moment. calendar, now_ns : of the sessions; the present, UTC ns.
    """

    def __init__(
        self,
        settings: Settings,
        symbols: Sequence[str],
        calendar: SessionCalendar,
        now_ns: Callable[[], int],
        keep: Callable[[list[TapeSnapshot]], object],
    ) -> None:
        self._settings, self._calendar, self._now_ns, self._keep = settings, calendar, now_ns, keep
        self._watches = {symbol: TapeWatch(settings, symbol) for symbol in symbols}
        self._session: Session | None = None
        self._lock = threading.Lock()

    def is_open(self) -> bool:
        """Say whether quotes are to be expected now."""
        return self._session is not None and self._session.is_regular(self._now_ns())

    def on_quote(self, message: dict[str, Any]) -> None:
        """Take a quote as Alpaca tells it; of a symbol that nobody watches it is left out."""
        watch = self._watches.get(message["S"])
        if watch is None:
            return
        stamp = message["t"]
        ts = stamp.seconds * NS_PER_SECOND + stamp.nanoseconds
        bid, ask, bid_size, ask_size = message["bp"], message["ap"], message["bs"], message["as"]
        if ts > self._now_ns() + self._settings.alpaca.ahead_s * NS_PER_SECOND:
            return  # it would wait for its time to come
        if not all(0 <= number < MOST_TICKS for number in (bid_size, ask_size)) or not all(
            0 <= price / watch.tick < MOST_TICKS for price in (bid, ask)
        ):
            return  # nor has a price or size that is none, NaN among them, a place in a column
        with self._lock:
            watch.take(ts, bid, ask, round(bid_size) if bid else 0, round(ask_size) if ask else 0)

    def interrupt(self) -> None:
        """Take note that quotes were missed: nothing is inferred across the gap."""
        with self._lock:
            for watch in self._watches.values():
                watch.interrupt()

    def look(self) -> int:
        """Hand on the snapshots that fell due; return how many."""
        now = self._now_ns()
        with self._lock:
            session = self._present(now)
            if session is None:
                return 0
            until = min(now - self._settings.alpaca.promise_delay_ms * 1_000_000, session.regular_close_ns)
            found = [one for watch in self._watches.values() for one in watch.advance(until)]
        fresh = [one for one in found if one.ts > until - NS_PER_SECOND * self._settings.tape.snapshot_s]
        if fresh:
            self._keep(fresh)
        return len(fresh)

    def _present(self, now: int) -> Session | None:
        """Return the session that is open; begin it when it is new."""
        if self._session is None or now >= self._session.regular_close_ns:
            today = from_ns(now).date()
            days = self._calendar.sessions(today - timedelta(days=1), today + timedelta(days=_SEARCH_DAYS))
            found = next((day for day in days if day.regular_close_ns > now), None)
            if found is not None and found != self._session:
                self._session = found
                for watch in self._watches.values():
                    watch.start(found.regular_open_ns)
        session = self._session
        return session if session is not None and session.regular_open_ns <= now < session.regular_close_ns else None


class LiveTape:
    """Watches symbols at Alpaca on a line of its own, and hands on snapshots.

    Parameters
    ----------
    keep : takes the snapshots of one moment. say : tells a person what the line does.
    calendar, now_ns : of the sessions; the present, UTC ns.
    """

    def __init__(
        self,
        settings: Settings,
        keys: AlpacaKeys,
        symbols: Sequence[str],
        calendar: SessionCalendar,
        now_ns: Callable[[], int],
        keep: Callable[[list[TapeSnapshot]], object],
        say: Callable[[str], object],
    ) -> None:
        from sovereign.feeds.alpaca.stream import MarketStream

        self._say = say
        self._tapes = TapeSet(settings, symbols, calendar, now_ns, keep)
        self._stream = MarketStream(
            keys,
            settings.alpaca,
            tuple(symbols),
            on_quote=self._tapes.on_quote,
            on_up=self._on_up,
            on_down=self._on_down,
            is_open=self._tapes.is_open,
        )

    def _on_up(self) -> None:
        self._say("the stream is up")

    def _on_down(self, reason: str) -> None:
        self._say(f"the stream is down: {reason}")
        self._tapes.interrupt()

    async def run(self, seconds: float | None = None) -> int:
        """Watch until canceled, or for so many seconds; return how many snapshots were handed on."""
        from sovereign.feeds.alpaca.stream import open_stream

        count, end = 0, None if seconds is None else time.monotonic() + seconds
        async with open_stream(self._stream):
            while end is None or time.monotonic() < end:
                count += self._tapes.look()
                await asyncio.sleep(LOOK_S)
        return count


def recorded_tape(settings: Settings, symbol: str, day: date) -> tuple[NDArray[Any], list[TapeSnapshot], Explained]:
    """Return the buckets of a recorded day's regular session, its snapshots, and how well its flow explains its moves.

    Raises
    ------
    NotFoundError : the catalog has no quotes of that day, or the market was closed.
    """
    from sovereign.app.plan import open_catalog
    from sovereign.core.instrument import find_instrument
    from sovereign.feeds.calendar import calendar_for
    from sovereign.signals.tape import explained_moves, snapshots, tape_rows

    instrument = find_instrument(symbol)
    session = calendar_for(instrument.calendar).session(day)
    if session is None:
        raise NotFoundError(f"date was {day}, on which {instrument.calendar} has no session; choose another")
    quotes: Quotes = open_catalog(settings).quotes(symbol, day)
    is_future = instrument.root != symbol or instrument.calendar != "XNYS"
    start, stop = (session.open_ns, session.close_ns) if is_future else (session.regular_open_ns, session.regular_close_ns)
    rows = tape_rows(quotes, start, stop, settings.tape)
    return rows, snapshots(symbol, rows, start, float(instrument.tick_size), settings.tape), explained_moves(rows)
