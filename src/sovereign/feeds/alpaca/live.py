"""Alpaca's trades and quotes as a `LiveFeed`.

Trades carry the quote that prevailed when they came and a side by it. A gap, whether before the session was joined or while the
line was down, is fetched from history and put in before anything newer; until that is done nothing is handed on and no time is
promised, so the session sees the symbol as mute and opens nothing. What comes meanwhile waits, up to a number of trades; the
oldest beyond it are let go, said so, and fetched with the gap.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from logging import getLogger
from random import Random
from typing import Any

import numpy as np

from sovereign.core.columns import NO_QUOTE, Trades
from sovereign.core.errors import OperationTimeoutError, SovereignError
from sovereign.core.instrument import Instrument, find_instrument
from sovereign.core.port import Block, Clock, SessionCalendar
from sovereign.core.session import NS_PER_SECOND, Session, from_ns
from sovereign.feeds.alpaca.client import AlpacaKeys
from sovereign.feeds.alpaca.configuration import AlpacaConfig
from sovereign.feeds.alpaca.history import MOST, AlpacaHistory, is_skipped, time_ns
from sovereign.feeds.alpaca.stream import MarketStream, back_off
from sovereign.feeds.alpaca.symbols import need_equities
from sovereign.feeds.importing.aggressor import quote_rule, tick_rule

_OVERLAP_NS = 5 * NS_PER_SECOND  # prints may come this late; what is fetched again is known by its id
_LOGGER = getLogger("sovereign.alpaca")
_SEARCH_DAYS = 14  # no exchange is closed for longer
_QUOTES = 256  # latest quotes kept of a symbol: a trade may be told after quotes that are younger than it

Key = tuple[int, str, int]


def _nothing(*_: Any) -> None:
    """Take what nobody asked for."""


def _stamp_ns(stamp: Any) -> int:
    """Return the UTC ns of a time as messages have it."""
    return int(stamp.seconds * NS_PER_SECOND + stamp.nanoseconds)


@dataclass(slots=True)
class _Row:
    """A trade: UTC ns, ticks, shares, the quote before it, and what it is known by."""

    ts: int
    price: int
    size: int
    bid: int
    ask: int
    key: Key


@dataclass(slots=True)
class _Tape:
    """One symbol: where its reader stands, what waits for it, and the ids of what was handed on lately.

    `lost_ns` is the time of the latest trade that was let go because too many waited: history must reach beyond it.
    """

    instrument: Instrument
    waiting: deque[_Row] = field(default_factory=deque)
    lost: int = 0
    lost_ns: int = 0
    quotes: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=_QUOTES))  # UTC ns, bid, ask
    last: int | None = None
    heard: float = 0.0
    until_ns: int = 0
    skip: int = 0
    start_ns: int = 0
    is_whole: bool = False
    is_ahead: bool = False
    seen: dict[Key, None] = field(default_factory=dict)
    filling: asyncio.Task[None] | None = None


class AlpacaFeed:
    """Some symbols at Alpaca.

    Parameters
    ----------
    keys : of the account. symbols : what to subscribe to.
    clock : market time, which is the machine's. calendar : of the sessions.
    on_quote : called with every quote as it comes (Alpaca's plain dictionary), for tape scouts.
    on_gap : called when quotes are missed from now on, because the line is down.

    Raises
    ------
    ConfigurationError : one of the symbols is no US equity.
    """

    is_simulated = False

    def __init__(
        self,
        keys: AlpacaKeys,
        config: AlpacaConfig,
        symbols: Sequence[str],
        clock: Clock,
        calendar: SessionCalendar,
        history: AlpacaHistory,
        on_quote: Callable[[dict[str, Any]], None] = _nothing,
        on_gap: Callable[[], None] = _nothing,
    ) -> None:
        need_equities(symbols)
        self.clock = clock
        self.on_block: Callable[[Block], None] = _nothing
        self.on_connection: Callable[[bool, str], None] = _nothing
        self._config, self._calendar, self._history = config, calendar, history
        self._tell_quote = on_quote
        self._tell_gap = on_gap
        self._tapes = {symbol: _Tape(find_instrument(symbol)) for symbol in symbols}
        self._session: Session | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._random = Random(len(symbols))  # noqa: S311 - spreads attempts to fetch
        self._stream = MarketStream(
            keys,
            config,
            tuple(symbols),
            on_trade=self._on_trade,
            on_quote=self._on_quote,
            on_up=self._on_up,
            on_down=self._on_down,
            is_open=self._is_open,
        )

    # The port

    async def start(self) -> None:
        """Begin to connect, and stay connected until `close`."""
        self._stream.start()
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush_all(), name="Alpaca's feed: flushing")

    async def close(self) -> None:
        """Disconnect for good."""
        tasks = [tape.filling for tape in self._tapes.values() if tape.filling is not None]
        if self._flushing is not None:
            tasks.append(self._flushing)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._stream.close()

    async def reconnect(self, reason: str) -> None:
        """Drop the connection and make it anew."""
        self._stream.line.drop(reason)

    async def session(self) -> Session | None:
        """Return the present or the next session of the calendar."""
        now = self.clock.now_ns()
        today = from_ns(now).date()
        found = self._calendar.sessions(today - timedelta(days=1), today + timedelta(days=_SEARCH_DAYS))
        return next((session for session in found if session.close_ns > now), None)

    def instruments(self, session: Session) -> Sequence[Instrument]:  # noqa: ARG002 - the same every day
        """Return what trades in a session."""
        return tuple(tape.instrument for tape in self._tapes.values())

    async def resume_from(self, session: Session, symbol: str, until_ns: int, ticks: int) -> None:
        """Deliver what followed the first `ticks` ticks of a session, from history and then as it happens."""
        tape = self._tapes[symbol]
        if session != self._session:
            self._session = session
            for other in self._tapes.values():
                other.waiting, other.is_whole, other.start_ns = deque(), False, 0
                other.lost = other.lost_ns = 0
                other.seen.clear()
        tape.skip, tape.start_ns, tape.until_ns, tape.is_whole = ticks, session.open_ns, until_ns, False
        tape.seen.clear()
        self._fill(tape)

    def worked_through(self, until_ns: int) -> None:
        """Nothing waits for us."""

    def last_price(self, symbol: str) -> Decimal | None:
        """Return the last price of a symbol, None before its first trade."""
        tape = self._tapes.get(symbol)
        return None if tape is None or tape.last is None else tape.instrument.to_price(tape.last)

    # What comes

    def _is_open(self) -> bool:
        return self._session is not None and self._session.is_open(self.clock.now_ns())

    def _on_up(self) -> None:
        now = asyncio.get_running_loop().time()
        for tape in self._tapes.values():
            tape.heard = now
            if tape.start_ns:
                self._fill(tape)
        self.on_connection(True, "subscribed")

    def _on_down(self, reason: str) -> None:
        for tape in self._tapes.values():
            tape.is_whole = False
            tape.quotes.clear()
        self._tell_gap()
        self.on_connection(False, reason)

    def _on_quote(self, message: dict[str, Any]) -> None:
        tape = self._tapes[message["S"]]
        tape.heard = asyncio.get_running_loop().time()
        bid = self._ticks(tape, message["bp"]) if 0 < message["bp"] < MOST and message["bs"] > 0 else NO_QUOTE
        ask = self._ticks(tape, message["ap"]) if 0 < message["ap"] < MOST and message["as"] > 0 else NO_QUOTE
        tape.quotes.append((_stamp_ns(message["t"]), bid, ask))
        self._tell_quote(message)

    def _on_trade(self, message: dict[str, Any]) -> None:
        tape = self._tapes[message["S"]]
        tape.heard = asyncio.get_running_loop().time()
        if not is_skipped(message, self._config.skipped_conditions):
            ts = _stamp_ns(message["t"])
            if ts > self.clock.now_ns() + self._config.ahead_s * NS_PER_SECOND:
                self._say_ahead(tape, ts)
                return
            # The quote before the trade by the venue's clock, whichever was told first; none of a trade that comes very late.
            bid, ask = next((quote for when, *quote in reversed(tape.quotes) if when < ts), (NO_QUOTE, NO_QUOTE))
            tape.waiting.append(self._row(tape, message, ts, bid, ask))
            while not tape.is_whole and len(tape.waiting) > self._config.waiting_ticks:
                self._let_go(tape)

    def _say_ahead(self, tape: _Tape, ts: int) -> None:
        """Say once that a trade of the future was left out: with it the session would take its time for come."""
        if not tape.is_ahead:
            tape.is_ahead = True
            _LOGGER.warning("trades of %s are dated %s and left out; look at the clock", tape.instrument.symbol, from_ns(ts))

    def _let_go(self, tape: _Tape) -> None:
        """Drop the oldest trade that waits for a gap before it: it becomes a part of the gap."""
        if not tape.lost:
            _LOGGER.warning(
                "more than %d trades of %s wait for a gap before them; the oldest are let go, and fetched with the gap",
                self._config.waiting_ticks,
                tape.instrument.symbol,
            )
        tape.lost += 1
        tape.lost_ns = max(tape.lost_ns, tape.waiting.popleft().ts)

    @staticmethod
    def _ticks(tape: _Tape, price: float) -> int:
        # Prices between two ticks occur (midpoint and retail prints); the nearest tick is taken, a half to the even one.
        return round(Decimal(str(price)) / tape.instrument.tick_size)

    def _row(self, tape: _Tape, message: dict[str, Any], ts: int, bid: int, ask: int) -> _Row:
        key = (ts, str(message.get("x", "")), int(message.get("i") or 0))
        return _Row(ts, self._ticks(tape, message["p"]), round(message["s"]), bid, ask, key)

    # What is handed on

    async def _flush_all(self) -> None:
        while True:
            await asyncio.sleep(self._config.flush_ms / 1_000)
            session = self._session
            if session is None:
                continue
            now = self.clock.now_ns()
            for tape in self._tapes.values():
                if tape.is_whole:
                    self._flush(tape, session, now)

    def _flush(self, tape: _Tape, session: Session, now: int) -> None:
        rows, tape.waiting = tape.waiting, deque()
        self._deliver(tape, session, [row for row in rows if row.key not in tape.seen])
        silent = asyncio.get_running_loop().time() - tape.heard
        is_alive = self._stream.line.is_up and silent <= self._config.symbol_stale_s
        certain = min(now - self._config.promise_delay_ms * 1_000_000, session.close_ns)
        if is_alive and not rows and certain > tape.until_ns:
            tape.until_ns = certain
            self.on_block(Block(tape.instrument.symbol, Trades.empty(), certain))

    def _deliver(self, tape: _Tape, session: Session, rows: list[_Row]) -> None:
        rows = [row for row in rows if session.open_ns <= row.ts < session.close_ns]
        rows.sort(key=lambda row: row.ts)
        for row in rows:
            tape.seen[row.key] = None
        if not rows:
            return
        price = np.array([row.price for row in rows], np.int32)
        bid = np.array([row.bid for row in rows], np.int32)
        ask = np.array([row.ask for row in rows], np.int32)
        by_quote = quote_rule(price, bid, ask)
        side = np.where(bid != NO_QUOTE, by_quote, tick_rule(price)).astype(np.int8)
        trades = Trades(
            np.array([row.ts for row in rows], np.int64), price, np.array([row.size for row in rows], np.int32), side, bid, ask
        )
        tape.last = int(price[-1])
        # A print of the same nanosecond may follow; it is taken at this time, as one that comes late.
        tape.until_ns = max(tape.until_ns, rows[-1].ts + 1)
        self.on_block(Block(tape.instrument.symbol, trades, tape.until_ns))
        oldest = rows[-1].ts - 2 * _OVERLAP_NS
        while tape.seen and (first := next(iter(tape.seen)))[0] < oldest:
            del tape.seen[first]

    # What was missed

    def _fill(self, tape: _Tape) -> None:
        tape.is_whole = False
        if tape.filling is not None:
            tape.filling.cancel()
        tape.filling = asyncio.create_task(self._fill_gap(tape), name=f"Alpaca's feed: {tape.instrument.symbol}")

    async def _fill_gap(self, tape: _Tape) -> None:
        """Fetch what is missing, however often that takes; a subscription must stand first, so that nothing falls between."""
        waits = back_off(self._config, self._random)
        while True:
            if self._stream.line.is_up:
                await asyncio.sleep(self._config.settle_s)
                now = self.clock.now_ns()
                try:
                    rows = await asyncio.to_thread(self._missing, tape, now)
                except (SovereignError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as fault:
                    self._stream.line.reason = f"the gap of {tape.instrument.symbol} could not be fetched: {fault}"
                    rows = None
                if tape.lost_ns + round(self._config.settle_s * NS_PER_SECOND) >= now:
                    rows = None  # something that history may not have held yet was let go while it was fetched
                if rows is not None and self._stream.line.is_up and (session := self._session) is not None:
                    known = {row.key for row in rows}
                    waiting, tape.waiting = tape.waiting, deque()
                    self._deliver(tape, session, rows + [row for row in waiting if row.key not in known | tape.seen.keys()])
                    tape.is_whole = True
                    tape.lost = tape.lost_ns = 0
                    return
            await asyncio.sleep(next(waits))

    def _missing(self, tape: _Tape, now: int) -> list[_Row]:
        session = self._session
        if session is None:
            raise OperationTimeoutError("the session was over before its gap was fetched")
        is_new = not tape.seen
        start = session.open_ns if is_new else next(reversed(tape.seen))[0] - _OVERLAP_NS
        stop = min(now, session.close_ns)
        if stop <= start:
            return []
        found = self._history.rows("trades", tape.instrument.symbol, max(start, session.open_ns), stop)
        rows = [
            self._row(tape, row, time_ns(row["t"]), NO_QUOTE, NO_QUOTE)
            for row in found
            if not is_skipped(row, self._config.skipped_conditions)
        ]
        rows.sort(key=lambda row: row.ts)
        if is_new:
            return rows[tape.skip :]
        return [row for row in rows if row.key not in tape.seen]
