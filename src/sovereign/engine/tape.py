"""Where an engine stands on one instrument's market data and signal rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.core.columns import NO_QUOTE, Int64, Trades
from sovereign.core.instrument import Instrument
from sovereign.core.session import NEVER
from sovereign.kernels.matching import extent

_NONE = np.zeros(0, np.int64)
FAR = 2**31
"""No price is so far."""
Quote = tuple[int | None, int | None]
"""Best bid and offer, in ticks; None is not known."""
UNQUOTED: Quote = (None, None)


class TapeClock:
    """The times of a block's ticks. Tapes whose ticks have the same times, as bars have, may share one.

    `told` is when the latest tick was that is known of any of its tapes, in whatever block (UTC ns); None before the first.
    """

    __slots__ = ("_asked", "_stop", "_times", "told", "ts")

    def __init__(self, ts: Int64, told: int | None = None) -> None:
        self.ts = ts
        self.told = told
        self._asked = NEVER
        self._stop = len(ts)
        self._times: bytes | None = None

    def is_like(self, other: TapeClock) -> bool:
        """Say whether the other has the same times."""
        if self.ts is other.ts:
            return True
        if len(self.ts) != len(other.ts):
            return False
        if self._times is None:
            self._times = self.ts.tobytes()
        return self._times == other.ts.tobytes()

    def before(self, ts: int) -> int:
        """Return how many ticks are earlier than `ts`; all of them at `NEVER`."""
        if ts != self._asked:
            self._asked = ts
            self._stop = len(self.ts) if ts == NEVER else int(self.ts.searchsorted(ts))
        return self._stop

    def tell(self, ts: int | None) -> None:
        """Take note of the time of a tick that is known."""
        if ts is not None and (self.told is None or ts > self.told):
            self.told = ts


_STOPPED = TapeClock(np.zeros(0, np.int64))
"""The clock of a tape without ticks."""


def shared_clock(own: TapeClock, others: list[TapeClock]) -> TapeClock:
    """Return that of the others which has the same times; `own` joins them when none has."""
    for other in others:
        if other.is_like(own):
            other.tell(own.told)
            return other
    others.append(own)
    return own


@dataclass(slots=True, eq=False)
class Tape:
    """Where the engine stands on one instrument's market data.

    Up to `cursor` the venue has met the ticks and the account has seen their extremes; up to `seen` the last price is known.
    Where nothing can happen on a tape, both follow when somebody asks (see `engine.course`).
    """

    instrument: Instrument
    order: int
    trades: Trades
    offset: int = 0  # ticks of the session before the present block
    cursor: int = 0  # next row of the present block
    seen: int = 0
    rows: NDArray[Any] | None = None
    candidates: NDArray[Any] | None = None
    waking: NDArray[np.int64] | None = None  # see `core.port.Signals`
    next_row: int = 0
    last_ticks: int | None = None
    is_busy: bool = True  # orders work on it, or something of it is held
    event: int = -1  # first row at which an order meets the tape, its length when none does; -1 not looked for
    event_ns: int = NEVER
    event_from: int = -1  # where the broker's last search began that found it; -1 where it has searched elsewhere since
    base: int | None = None  # last price before the present block
    base_quote: Quote = UNQUOTED  # before that trade
    low: int = FAR  # lowest and highest price from the block of the last moment up to the present one
    high: int = -FAR
    count: int = 0  # ticks of the present block
    clock: TapeClock = field(init=False)

    def __post_init__(self) -> None:
        self.count = len(self.trades.ts)
        self.clock = _STOPPED if not self.count else TapeClock(self.trades.ts)

    def remember(self, *, is_held: bool, is_new: bool) -> None:
        """Before the next block, remember the extremes of this one.

        `is_held`: something is held, else they do not matter. `is_new`: a moment was in it, so those of earlier ones do not.
        """
        if is_new or not is_held:
            self.low, self.high = FAR, -FAR
        if is_held:
            known = [] if self.base is None else [self.base]
            if self.count:
                known += extent(self.trades.price, 0, self.count)
            self.low, self.high = min([self.low, *known]), max([self.high, *known])

    def begin(self, trades: Trades, *, is_idle: bool = False) -> None:
        """Take the next block; `is_idle` says that no order works anywhere, and nothing is held."""
        self.offset += self.count
        self.base_quote = self.quote
        self.trades = trades
        self.count = len(trades.ts)
        self.clock = TapeClock(trades.ts, self.clock.told)
        self.cursor = self.seen = 0
        self.base = self.last_ticks
        self.event = -1
        if is_idle:
            self.is_busy, self.event, self.event_ns = False, self.count, NEVER

    @property
    def is_quoted(self) -> bool:
        """Whether a quote may be known in the present block."""
        return self.trades.bid is not None or self.base_quote is not UNQUOTED

    @property
    def quote(self) -> Quote:
        """The quote that prevailed at the last trade known, in whatever block that was."""
        if not self.seen:
            return self.base_quote
        bid, ask = self.trades.bid, self.trades.ask
        if bid is None or ask is None:
            return UNQUOTED
        low, high = int(bid[self.seen - 1]), int(ask[self.seen - 1])
        return (None if low == NO_QUOTE else low, None if high == NO_QUOTE else high)

    def take_waking(self) -> NDArray[np.int64]:
        """Return the places of the rows that wake and were not taken before."""
        rows, first = self.rows, self.next_row
        if rows is None or len(rows) <= first:
            return _NONE
        self.next_row = len(rows)
        if self.waking is None:
            found: NDArray[np.int64] = rows["wake"][first:].nonzero()[0] + first
            return found
        return self.waking[self.waking.searchsorted(first) :] if first else self.waking

    def before(self, ts: int) -> int:
        """Return how many rows of the block are earlier than `ts`; all of them at `NEVER`."""
        return self.clock.before(ts)

    def look(self, stop: int) -> None:
        """Know the last price of the rows up to `stop`."""
        if stop > self.seen:
            self.seen = stop
            self.last_ticks = self.trades.price.item(stop - 1)
            self.clock.tell(self.trades.ts.item(stop - 1))


class InStep:
    """Tapes that share a clock."""

    __slots__ = ("_prices", "clock", "tapes")

    def __init__(self, clock: TapeClock) -> None:
        self.clock = clock
        self.tapes: list[Tape] = []
        self._prices: NDArray[np.int32] | None = None

    @property
    def prices(self) -> NDArray[np.int32]:
        """The prices of the block, tape by tape (tapes, ticks): what is asked for is those of all tapes at one time."""
        if self._prices is None:
            prices = np.concatenate([tape.trades.price for tape in self.tapes])
            self._prices = prices.reshape(len(self.tapes), len(self.clock.ts))
        return self._prices

    def look(self, reach: int) -> None:
        """Know the last prices earlier than `reach` (UTC ns)."""
        stop = self.clock.before(reach)
        if stop:
            at = stop - 1
            self.clock.tell(self.clock.ts.item(at))
            for tape, price in zip(self.tapes, self.prices[:, at].tolist(), strict=True):
                if stop > tape.seen:
                    tape.seen = stop
                    tape.last_ticks = price
