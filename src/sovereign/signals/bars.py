"""Bars as signals: what every strategy that decides on bars builds its rows from.

`BarBuilder` turns ticks (or the paths of recorded bars) into closed bars. `BarStream` is a signal stream around it: a
strategy's stream says which columns a row has and fills them, whole blocks at a time, in compiled code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.core.columns import Trades
from sovereign.core.errors import UsageError
from sovereign.core.instrument import Instrument
from sovereign.core.session import NS_PER_DAY, NS_PER_SECOND, Session

_DAY_S = NS_PER_DAY // NS_PER_SECOND
ROW_HEAD: list[tuple[str, Any]] = [
    ("known_at", np.int64),
    ("seq", np.int64),
    ("wake", np.bool_),
    ("open_ns", np.int64),
    ("open", np.int32),
    ("high", np.int32),
    ("low", np.int32),
    ("close", np.int32),
    ("volume", np.int64),
    ("first_candidate", np.int32),
    ("candidates", np.int32),
]
"""Fields every bar row begins with: those of the `SignalStream` contract, and the bar."""

NO_CANDIDATES = np.zeros(0, [("row", np.int32), ("gate", np.int8)])
"""Candidates of a stream that leaves them to its strategy."""


_GRID = ("seq", "end_ns", "cut_ns", "close_ns", "anchor_ns", "length_ns")
"""The first fields of `kernels.ohlcv.BAR_STATE`, in their order."""


@lru_cache(maxsize=16)
def _begin(seconds: int, opens_ns: int, cut_ns: int, close_ns: int) -> tuple[int, NDArray[np.int64]]:
    """Return how long a bar is (ns), and what `_GRID` of a session's bars of a width begins with."""
    is_daily = seconds >= _DAY_S
    length = max(1, cut_ns - opens_ns) if is_daily else seconds * NS_PER_SECOND
    return length, np.array((0, 0, cut_ns, close_ns, opens_ns if is_daily else 0, length), np.int64)


class BarBuilder:
    """Closed time bars of one instrument.

    Parameters
    ----------
    seconds : width; bars lie on the clock's grid and never reach over the regular or the session's close. From 86,400 on a bar
        is the regular day session; ticks outside it are left out.
    is_regular : leave out ticks outside the regular day session from bars of any width.
    room : returns an array for at least so many bars (`kernels.ohlcv.BAR`), to which the next are written; None has its own.
    """

    def __init__(self, seconds: int, *, is_regular: bool = False, room: Callable[[int], NDArray[Any]] | None = None) -> None:
        from sovereign.kernels.ohlcv import BAR, BAR_STATE, build_bars, take_bars

        if seconds < 1:
            raise UsageError(f"bar width was {seconds} s; allowed is 1 s or more")
        self.seconds = seconds
        self._is_regular = is_regular or seconds >= _DAY_S
        self._bar = BAR
        self._build, self._take = build_bars, take_bars
        self._state = np.zeros(1, BAR_STATE)
        self._grid: NDArray[np.int64] = self._state.view(np.int64)[: len(_GRID)]
        self._open_trades: NDArray[np.int32] = self._state["bar"]["trades"]
        self._none = np.empty(0, BAR)
        self._out = np.empty(64 if room is None else 0, BAR)
        self._room = self._own_room if room is None else room

    def start_session(self, session: Session) -> None:
        """Begin a trade date; a bar left open is dropped."""
        opens, closes = session.regular_open_ns, session.regular_close_ns
        self._length_ns, grid = _begin(self.seconds, opens, closes, session.close_ns)
        self._grid[:] = grid
        self._open_trades[0] = 0
        self._span = (opens, closes) if self._is_regular else None

    def advance(self, trades: Trades, until_ns: int) -> NDArray[Any]:
        """Take the next ticks and return the bars that became certain (`kernels.ohlcv.BAR`); read them before the next call."""
        if not len(trades.ts) and not self._open_trades[0]:
            return self._none  # nothing is open that time could close
        if self._span is not None:
            # Ticks before and after the day session count for `seq`, and make no bar of their own.
            return self._advance_regular(trades, until_ns, *self._span)
        if trades.bars is not None and trades.bars.width_ns == self._length_ns and not self._open_trades[0]:
            bars = trades.bars.bars
            out = self._room(len(bars.ts))
            if self._take(bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume, until_ns, self._state, out):
                return out[: len(bars.ts)]
        return self._built(trades, until_ns)

    def _built(self, trades: Trades, until_ns: int) -> NDArray[Any]:
        rows = len(trades.ts)
        if rows:
            # Each boundary of the grid ends a bar, and so may the two closes.
            rows = min(rows, (trades.ts.item(-1) - trades.ts.item(0)) // self._length_ns + 4)
        out = self._room(rows + 1)
        return out[: self._build(trades.ts, trades.price, trades.size, trades.side, until_ns, self._state, out)]

    def _own_room(self, count: int) -> NDArray[Any]:
        if count > len(self._out):
            self._out = np.empty(max(count, 2 * len(self._out)), self._bar)
        return self._out

    def _advance_regular(self, trades: Trades, until_ns: int, opens: int, closes: int) -> NDArray[Any]:
        first, last = int(trades.ts.searchsorted(opens)), int(trades.ts.searchsorted(closes))
        self._state["seq"] += first
        inside = trades if not first and last == len(trades) else trades.slice(first, last)
        bars = self._built(inside, until_ns if last == len(trades) else closes)
        self._state["seq"] += len(trades) - last
        return bars


class BarStream(ABC):
    """A signal stream (`core.port.SignalStream`) with one row a bar.

    A subclass gives `row_dtype` (fields of `ROW_HEAD` first) and `fill`, which must keep its own state over blocks and over
    sessions, and may look at nothing but the bars handed to it so far. Rows wake the strategy unless `fill` clears `wake`.

    Parameters
    ----------
    instrument : whose ticks are coming.
    seconds : width of the bars.
    is_regular : leave out ticks outside the regular day session; see `BarBuilder`.
    """

    row_dtype: np.dtype[Any]
    wakes = True
    """Whether a row wakes the strategy unless `fill` says otherwise."""

    def __init__(self, instrument: Instrument, seconds: int, *, is_regular: bool = False) -> None:
        self.instrument = instrument
        self.session: Session | None = None
        from sovereign.kernels.ohlcv import place_bars

        self._place = place_bars
        self._builder = BarBuilder(seconds, is_regular=is_regular)
        self._rows = np.zeros(64, self.row_dtype)
        self._count = 0

    @property
    def rows(self) -> NDArray[Any]:
        """Rows completed so far in this session; a view that later rows do not change."""
        return self._rows[: self._count]

    @property
    def candidates(self) -> NDArray[Any]:
        """None: a strategy on bars proposes from the row itself."""
        return NO_CANDIDATES

    def start_session(self, session: Session) -> None:
        """Begin a trade date: rows in an array of their own, what `fill` remembers stays."""
        self.session = session
        self._builder.start_session(session)
        self._rows = np.zeros(max(64, len(self._rows)), self.row_dtype)
        self._count = 0

    def advance(self, trades: Trades, until_ns: int) -> None:
        """Consume the next ticks and write a row for every bar that became certain."""
        bars = self._builder.advance(trades, until_ns)
        if not len(bars):
            return
        end = self._count + len(bars)
        rows = self._room(len(bars))[self._count : end]
        self._place(bars, rows, self.wakes)
        self.fill(bars, rows)
        self._count = end

    def _room(self, count: int) -> NDArray[Any]:
        """Return the session's rows with room for some more."""
        end = self._count + count
        if end > len(self._rows):
            # Rows handed out stay as they are; the new array begins with a copy.
            larger = np.zeros(max(end, 2 * len(self._rows)), self.row_dtype)
            larger[: self._count] = self._rows[: self._count]
            self._rows = larger
        return self._rows

    @abstractmethod
    def fill(self, bars: NDArray[Any], rows: NDArray[Any]) -> None:
        """Fill a row for each of the next bars; `rows` has the bar's own fields already.

        The next bars are written where these are: copy what is kept of `bars`.
        """
