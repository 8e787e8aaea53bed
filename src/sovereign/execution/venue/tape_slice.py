"""Market data on the wire: a binary frame of a small JSON header and raw columns (docs/concepts/venue.md)."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from typing import Any, Literal

import numpy as np
from pydantic import Field, TypeAdapter

from sovereign.core.columns import Trades
from sovereign.core.errors import DataError
from sovereign.execution.venue.terms import Message, Moment, decode


@dataclass(frozen=True, slots=True, eq=False)
class TapeSlice:
    """Ticks `first`..`first + len(trades)` of a session (counted from 0), complete up to `until_ns`.

    `after` is the last private message of the receiving account that happened before `until_ns`.
    """

    session: date
    symbol: str
    first: int
    until_ns: int
    after: int
    trades: Trades

    @property
    def stop(self) -> int:
        """Number of ticks of the session up to and including this slice."""
        return self.first + len(self.trades)

    def behind(self, ticks: int) -> TapeSlice:
        """Return what follows the session's first `ticks` ticks."""
        skip = min(max(0, ticks - self.first), len(self.trades))
        return replace(self, first=self.first + skip, trades=self.trades.slice(skip, len(self.trades)))


_LENGTH = struct.Struct("<I")
_COLUMNS = (("ts", "<i8"), ("price", "<i4"), ("size", "<i4"), ("bid", "<i4"), ("ask", "<i4"), ("side", "<i1"))
_NATIVE = {"ts": np.int64, "price": np.int32, "size": np.int32, "bid": np.int32, "ask": np.int32, "side": np.int8}


def encode_slice(part: TapeSlice) -> bytes:
    """Return a slice as a binary frame: length of the header (uint32), header (JSON, padded to 8 bytes), columns.

    Columns follow in the order ts (int64), price, size, bid, ask (int32), side (int8), little-endian; bid and ask are there
    when the header's `quotes` is true.
    """
    trades = part.trades
    header = json.dumps(
        {
            "type": "slice",
            "session": part.session.isoformat(),
            "symbol": part.symbol,
            "first": part.first,
            "rows": len(trades),
            "until_ns": part.until_ns,
            "after": part.after,
            "quotes": trades.bid is not None,
        },
        separators=(",", ":"),
    ).encode()
    header += b" " * (-(len(header) + _LENGTH.size) % 8)
    pieces = [_LENGTH.pack(len(header)), header]
    for name, dtype in _COLUMNS:
        column = getattr(trades, name)
        if column is not None:
            pieces.append(np.ascontiguousarray(column, dtype).tobytes())
    return b"".join(pieces)


class _SliceHeader(Message):
    type: Literal["slice"]
    session: date
    symbol: str
    first: int = Field(ge=0)
    rows: int = Field(ge=0)
    until_ns: Moment
    after: int = Field(ge=0)
    quotes: bool


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
    columns: dict[str, Any] = {}
    for name, dtype in _COLUMNS:
        if name in ("bid", "ask") and not header.quotes:
            continue
        size = np.dtype(dtype).itemsize * header.rows
        if start + size > len(frame):
            raise DataError(f"a slice of {header.rows} rows was cut at its column '{name}'; ask for it again")
        columns[name] = np.frombuffer(frame, dtype, header.rows, start).astype(_NATIVE[name])
        start += size
    if start != len(frame):
        raise DataError(f"a slice of {header.rows} rows had {len(frame) - start} bytes too many; ask for it again")
    return TapeSlice(header.session, header.symbol, header.first, header.until_ns, header.after, Trades(**columns))


@cache
def _slice_headers() -> TypeAdapter[_SliceHeader]:
    return TypeAdapter(_SliceHeader)
