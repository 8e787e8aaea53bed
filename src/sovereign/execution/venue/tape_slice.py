"""Market data on the wire: a binary frame of a small JSON header and raw columns (docs/concepts/venue.md)."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from typing import Any, Literal

import numpy as np
from pydantic import Field, TypeAdapter

from sovereign.core.columns import Quotes, Trades
from sovereign.core.errors import DataError
from sovereign.execution.venue.terms import Message, Moment, decode


@dataclass(frozen=True, slots=True, eq=False)
class TapeSlice:
    """Ticks `first`..`first + len(trades)` of a session (counted from 0), complete up to `until_ns`.

    `after` is the last private message of the receiving account that happened before `until_ns`. `quotes`, for those who asked,
    are the best bids and offers with sizes of `[quotes_from_ns, quotes_until_ns)`, all of them; None says nothing of them.
    """

    session: date
    symbol: str
    first: int
    until_ns: int
    after: int
    trades: Trades
    quotes: Quotes | None = None
    quotes_from_ns: int = 0
    quotes_until_ns: int = 0

    @property
    def stop(self) -> int:
        """Number of ticks of the session up to and including this slice."""
        return self.first + len(self.trades)

    def behind(self, ticks: int, quoted_ns: int = 0) -> TapeSlice:
        """Return what follows the session's first `ticks` ticks, and of the quotes those of `quoted_ns` and later."""
        skip = min(max(0, ticks - self.first), len(self.trades))
        part = replace(self, first=self.first + skip, trades=self.trades.slice(skip, len(self.trades)))
        if part.quotes is None or quoted_ns <= part.quotes_from_ns:
            return part
        known = int(np.searchsorted(part.quotes.ts, quoted_ns))
        return replace(
            part,
            quotes=part.quotes.slice(known, len(part.quotes)),
            quotes_from_ns=quoted_ns,
            quotes_until_ns=max(quoted_ns, part.quotes_until_ns),
        )


_LENGTH = struct.Struct("<I")
_COLUMNS = (("ts", "<i8"), ("price", "<i4"), ("size", "<i4"), ("bid", "<i4"), ("ask", "<i4"), ("side", "<i1"))
_BOOK = (("ts", "<i8"), ("bid", "<i4"), ("ask", "<i4"), ("bid_size", "<i4"), ("ask_size", "<i4"))


def encode_slice(part: TapeSlice) -> bytes:
    """Return a slice as a binary frame: length of the header (uint32), header (JSON, padded to 8 bytes), columns.

    Columns follow in the order ts (int64), price, size, bid, ask (int32), side (int8), little-endian; bid and ask are there
    when the header's `quotes` is true. With `book` in the header, the quotes' columns come behind them: ts (int64), bid, ask,
    bid_size, ask_size (int32).
    """
    trades, book = part.trades, part.quotes
    said: dict[str, Any] = {
        "type": "slice",
        "session": part.session.isoformat(),
        "symbol": part.symbol,
        "first": part.first,
        "rows": len(trades),
        "until_ns": part.until_ns,
        "after": part.after,
        "quotes": trades.bid is not None,
    }
    if book is not None:
        said["book"] = {"rows": len(book), "from_ns": part.quotes_from_ns, "until_ns": part.quotes_until_ns}
    header = json.dumps(said, separators=(",", ":")).encode()
    header += b" " * (-(len(header) + _LENGTH.size) % 8)
    pieces = [_LENGTH.pack(len(header)), header]
    for name, dtype in _COLUMNS:
        column = getattr(trades, name)
        if column is not None:
            pieces.append(np.ascontiguousarray(column, dtype).tobytes())
    if book is not None:
        pieces += [np.ascontiguousarray(getattr(book, name), dtype).tobytes() for name, dtype in _BOOK]
    return b"".join(pieces)


class _BookHeader(Message):
    rows: int = Field(ge=0)
    from_ns: Moment
    until_ns: Moment


class _SliceHeader(Message):
    type: Literal["slice"]
    session: date
    symbol: str
    first: int = Field(ge=0)
    rows: int = Field(ge=0)
    until_ns: Moment
    after: int = Field(ge=0)
    quotes: bool
    book: _BookHeader | None = None


def decode_slice(frame: bytes) -> TapeSlice:
    """Read a binary frame; its columns are copies of their own.

    Raises
    ------
    DataError : the frame is shorter or longer than its header says, or the header is not understood.
    """
    length = _LENGTH.unpack_from(frame)[0] if len(frame) >= _LENGTH.size else -1
    start = _LENGTH.size + length
    if length < 0 or start > len(frame):
        raise DataError(f"a slice of {len(frame)} bytes was cut before the end of its header; ask for it again")
    header = decode(_slice_headers(), frame[_LENGTH.size : start])
    named = _COLUMNS if header.quotes else tuple(one for one in _COLUMNS if one[0] not in ("bid", "ask"))
    columns, start = _columns(frame, start, header.rows, named)
    book, told = None, header.book
    if told is not None:
        quoted, start = _columns(frame, start, told.rows, _BOOK)
        book = Quotes(**quoted)
    if start != len(frame):
        raise DataError(f"a slice of {header.rows} rows had {len(frame) - start} bytes too many; ask for it again")
    part = TapeSlice(header.session, header.symbol, header.first, header.until_ns, header.after, Trades(**columns))
    return part if told is None else replace(part, quotes=book, quotes_from_ns=told.from_ns, quotes_until_ns=told.until_ns)


def _columns(frame: bytes, start: int, rows: int, named: Sequence[tuple[str, str]]) -> tuple[dict[str, Any], int]:
    """Return copies of the columns that begin at `start`, and where they end."""
    columns: dict[str, Any] = {}
    for name, dtype in named:
        size = np.dtype(dtype).itemsize * rows
        if start + size > len(frame):
            raise DataError(f"a slice of {rows} rows was cut at its column '{name}'; ask for it again")
        columns[name] = np.frombuffer(frame, dtype, rows, start).astype(np.dtype(dtype).newbyteorder("="))
        start += size
    return columns, start


@cache
def _slice_headers() -> TypeAdapter[_SliceHeader]:
    return TypeAdapter(_SliceHeader)
