"""Market data as columns. Never one object per tick.

`ts` is int64 UTC nanoseconds, non-decreasing; prices are int32 ticks; sizes are int32 units; `side` is int8: the aggressor,
+1 buyer, -1 seller, 0 unknown or none (an auction). Columns are read-only views once built; slicing never copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sovereign.core.errors import DataError
from sovereign.core.record import maker, quick

Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]
Int8 = NDArray[np.int8]

_INT64, _INT32, _INT8 = np.dtype(np.int64), np.dtype(np.int32), np.dtype(np.int8)
BUYER = 1
SELLER = -1
NO_QUOTE = -(2**31)
"""Value of `Trades.bid` and `Trades.ask` where the quote is not known (prices may be negative, so zero will not do)."""


def _check(name: str, columns: dict[str, NDArray[Any] | None], dtypes: dict[str, type]) -> None:
    rows = len(columns["ts"])  # type: ignore[arg-type]
    for column, values in columns.items():
        if values is None:
            continue
        if values.dtype != dtypes[column]:
            raise DataError(f"{name}.{column} was {values.dtype}; allowed is {np.dtype(dtypes[column])}; convert it first")
        if len(values) != rows:
            raise DataError(f"{name}.{column} had {len(values)} rows and ts {rows}; columns must have one length")


@quick
@dataclass(frozen=True, slots=True, eq=False)
class Trades:
    """Trade ticks, with the best quote prevailing just before each trade where it is known (`bid`, `ask`, in ticks).

    `is_path` says that they stand for bars: two prints of one time are then a bar's extremes, whose order nobody knows. `bars`
    are these, where the trades are the path of all of them (see `Recorded`); whoever changes a column hands in none.
    """

    ts: Int64
    price: Int32
    size: Int32
    side: Int8
    bid: Int32 | None = None
    ask: Int32 | None = None
    is_path: bool = field(default=False, kw_only=True)
    bars: Recorded | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        ts, price, size, side, rows = self.ts, self.price, self.size, self.side, len(self.ts)
        if (
            ts.dtype is _INT64
            and price.dtype is _INT32
            and size.dtype is _INT32
            and side.dtype is _INT8
            and len(price) == len(size) == len(side) == rows
            and self.bid is None
            and self.ask is None
        ):
            return  # as nearly always; blocks are cut by the ten thousand
        _check(
            "Trades",
            {n: getattr(self, n) for n in ("ts", "price", "size", "side", "bid", "ask")},
            {"ts": np.int64, "price": np.int32, "size": np.int32, "side": np.int8, "bid": np.int32, "ask": np.int32},
        )
        if (self.bid is None) != (self.ask is None):
            raise DataError("Trades had only one of bid and ask; give both or neither")

    def __len__(self) -> int:
        return len(self.ts)

    def slice(self, start: int, stop: int) -> Trades:
        """Return rows `start`..`stop` as views."""
        s = slice(start, stop)
        bid = None if self.bid is None else self.bid[s]
        ask = None if self.ask is None else self.ask[s]
        return Trades(self.ts[s], self.price[s], self.size[s], self.side[s], bid, ask, is_path=self.is_path)

    @staticmethod
    @cache
    def empty() -> Trades:
        """Return columns without rows."""
        return Trades(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.int8))

    @staticmethod
    def concat(parts: Sequence[Trades]) -> Trades:
        """Join parts in order; quotes are kept only when every part that has rows has them."""
        if not parts:
            return Trades.empty()
        is_path = all(part.is_path for part in parts)
        # A part without rows, as a promise of time is, has none to lose.
        parts = [part for part in parts if len(part)] or parts[:1]
        quoted = all(p.bid is not None for p in parts)
        return Trades(
            np.concatenate([p.ts for p in parts]),
            np.concatenate([p.price for p in parts]),
            np.concatenate([p.size for p in parts]),
            np.concatenate([p.side for p in parts]),
            np.concatenate([p.bid for p in parts]) if quoted else None,
            np.concatenate([p.ask for p in parts]) if quoted else None,
            is_path=is_path,
        )


make_trades = maker(Trades)


@dataclass(frozen=True, slots=True, eq=False)
class Quotes:
    """Best bid and offer after each change; prices in ticks, sizes in units. A missing side has size 0."""

    ts: Int64
    bid: Int32
    ask: Int32
    bid_size: Int32
    ask_size: Int32

    def __post_init__(self) -> None:
        _check(
            "Quotes",
            {n: getattr(self, n) for n in ("ts", "bid", "ask", "bid_size", "ask_size")},
            {"ts": np.int64, "bid": np.int32, "ask": np.int32, "bid_size": np.int32, "ask_size": np.int32},
        )

    def __len__(self) -> int:
        return len(self.ts)

    def slice(self, start: int, stop: int) -> Quotes:
        """Return rows `start`..`stop` as views."""
        s = slice(start, stop)
        return Quotes(self.ts[s], self.bid[s], self.ask[s], self.bid_size[s], self.ask_size[s])

    @staticmethod
    def concat(parts: Sequence[Quotes]) -> Quotes:
        """Join parts in order."""
        if not parts:
            return Quotes(np.empty(0, np.int64), *(np.empty(0, np.int32) for _ in range(4)))
        names = ("ts", "bid", "ask", "bid_size", "ask_size")
        return Quotes(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Bars `[open, close)` stamped with their close; prices in ticks, volume in units."""

    ts: Int64
    open: Int32
    high: Int32
    low: Int32
    close: Int32
    volume: Int64

    def __post_init__(self) -> None:
        _check(
            "Bars",
            {n: getattr(self, n) for n in ("ts", "open", "high", "low", "close", "volume")},
            {
                "ts": np.int64,
                "open": np.int32,
                "high": np.int32,
                "low": np.int32,
                "close": np.int32,
                "volume": np.int64,
            },
        )

    def __len__(self) -> int:
        return len(self.ts)

    def slice(self, start: int, stop: int) -> Bars:
        """Return rows `start`..`stop` as views."""
        s = slice(start, stop)
        return Bars(self.ts[s], self.open[s], self.high[s], self.low[s], self.close[s], self.volume[s])


class Recorded(NamedTuple):
    """Bars that trades stand for, four prints each, and their width (ns)."""

    bars: Bars
    width_ns: int


make_recorded = maker(Recorded)
