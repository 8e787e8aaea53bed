"""The tape scout at the simulated exchange: quotes with sizes come with the tape, and snapshots by its time alone."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sovereign.core.errors import NotFoundError
from sovereign.core.session import NS_PER_SECOND

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.core.columns import Quotes
    from sovereign.core.port import Block
    from sovereign.core.session import Session
    from sovereign.core.tape import TapeSnapshot
    from sovereign.execution.brokers.venue import VenueClient


class _Watch:
    """One symbol: what has come and was not looked at, and the scout that looks."""

    def __init__(self, settings: Settings, symbol: str, session: Session) -> None:
        from sovereign.core.instrument import find_instrument
        from sovereign.signals.tape import TapeScout

        self.symbol = symbol
        self.until_ns = self.seen_ns = session.regular_open_ns
        self.waiting: list[Quotes] = []
        self._tick = float(find_instrument(symbol).tick_size)
        self._config = settings.tape
        self._start, self._end = session.regular_open_ns, session.regular_close_ns
        self._scout = TapeScout(settings.tape)
        self._scout.start(self._start)

    def snapshots_due(self) -> int:
        """Return how many snapshots fell due since the last look."""
        step = self._config.snapshot_s * NS_PER_SECOND
        return (min(self.until_ns, self._end) - self._start) // step - (self.seen_ns - self._start) // step

    def look(self) -> list[TapeSnapshot]:
        """Close the buckets that are whole; return the snapshots that fell due."""
        from sovereign.core.columns import Quotes
        from sovereign.signals.tape import snapshots

        until, parts, self.waiting = min(self.until_ns, self._end), self.waiting, []
        quotes = Quotes.concat(parts)
        rows = self._scout.advance(quotes, until)
        self.seen_ns = max(self.seen_ns, until)
        return snapshots(self.symbol, rows, self._start, self._tick, self._config)


class MarketTapes:
    """Some symbols' quotes, session after session, fed with columns in market time: nothing here asks for another clock.

    Quotes come in one thread while another looks. Of a session that is gone on with, they come from its open on: so the
    snapshots are those of a scout that was never away, and are kept again in the place of the same ones.

    Parameters
    ----------
    keep : takes the snapshots that fell due. What it could not take it is given again, at the next look.

    Attributes
    ----------
    on_due : called when a snapshot falls due; must return at once.
    """

    def __init__(self, settings: Settings, keep: Callable[[list[TapeSnapshot]], object]) -> None:
        self._settings, self._keep = settings, keep
        self.on_due: Callable[[], object] = _nothing
        self._watches: dict[str, _Watch] = {}
        self._unkept: list[TapeSnapshot] = []
        self._lock = threading.Lock()

    def begin(self, session: Session, symbols: Sequence[str]) -> None:
        """Watch these symbols through a session; what was seen of the last one stays to be kept."""
        with self._lock:
            self._look()
            self._watches = {symbol: _Watch(self._settings, symbol, session) for symbol in symbols}

    def take(self, symbol: str, quotes: Quotes, until_ns: int) -> None:
        """Take a symbol's next quotes, whole up to `until_ns` (UTC ns); what is known or not watched is left out."""
        with self._lock:
            watch = self._watches.get(symbol)
            if watch is None:
                return
            fresh = quotes.slice(int(quotes.ts.searchsorted(watch.until_ns)), len(quotes))
            if len(fresh):
                watch.waiting.append(fresh)
            watch.until_ns = max(watch.until_ns, until_ns)
            is_due = watch.snapshots_due() > 0
        if is_due:
            self.on_due()

    def look(self) -> int:
        """Hand on the snapshots that fell due; return how many. One caller at a time."""
        with self._lock:
            self._look()
            found = list(self._unkept)
        if found:
            self._keep(found)
            with self._lock:
                self._unkept = self._unkept[len(found) :]
        return len(found)

    def _look(self) -> None:
        for watch in self._watches.values():
            if watch.snapshots_due():
                self._unkept += watch.look()


class VenueTape:
    """Watches symbols at the simulated exchange on a line of its own, and hands on snapshots.

    Parameters
    ----------
    client : not started yet. symbols : those that are watched, where the exchange has them.
    keep : takes the snapshots that fell due. say : tells a person what the line does.
    """

    def __init__(
        self,
        settings: Settings,
        client: VenueClient,
        symbols: Sequence[str],
        keep: Callable[[list[TapeSnapshot]], object],
        say: Callable[[str], object],
    ) -> None:
        self._client, self._symbols, self._say = client, frozenset(symbols), say
        self._tapes = MarketTapes(settings, keep)
        self._untold: dict[str, int] = {}
        client.on_quotes = self._tapes.take
        client.on_block = self._on_block
        client.on_connection = self._on_connection
        self._patience_s = settings.venue.client.request_s

    def _on_connection(self, is_up: bool, reason: str) -> None:
        self._say("the line is up" if is_up else f"the line is down: {reason}")

    def _on_block(self, block: Block) -> None:
        self._untold[block.symbol] = block.until_ns
        self._client.worked_through(min(self._untold.values()))  # a market in lockstep waits for every reader

    async def run(self, seconds: float | None = None) -> int:
        """Watch until the tape ends, for so many seconds, or until canceled; return how many snapshots were handed on.

        Raises
        ------
        BrokerError : the exchange cannot be reached. NotFoundError : it has none of the symbols.
        """
        from sovereign.app.scout import LOOK_S

        count, end = 0, None if seconds is None else time.monotonic() + seconds
        await self._client.start()
        try:
            await self._client.wait_connected(self._patience_s)
            session: Session | None = None
            while end is None or time.monotonic() < end:
                if session is None or self._client.clock.now_ns() >= session.close_ns:
                    session = await self._next(session, end)
                    if session is None:
                        break
                await asyncio.sleep(LOOK_S)
                count += self._tapes.look()
        finally:
            await self._client.close()
        return count + self._tapes.look()

    async def _next(self, before: Session | None, end: float | None) -> Session | None:
        """Return the session that is on, begun when it is new; None when there is none any more or the time is over."""
        session: Session | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if end is None else max(0.0, end - time.monotonic())):
                session = await self._client.session()
        if session is None or session == before:
            return session
        instruments = [one.symbol for one in self._client.instruments(session)]
        watched = [symbol for symbol in instruments if symbol in self._symbols]
        if not watched:
            raise NotFoundError(f"the exchange trades {', '.join(instruments)}; name one of them with --symbol")
        self._tapes.begin(session, watched)
        self._untold = dict.fromkeys(instruments, session.open_ns)
        for symbol in instruments:
            await self._client.resume_from(session, symbol, session.open_ns, 0)
        return session


def _nothing() -> None:
    """Nobody waits for a snapshot."""
