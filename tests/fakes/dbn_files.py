"""DBN files made record by record with the vendor's own package, for tests and local servers."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

NANO = 10**9


def header(schema: str, symbols: dict[str, int], day: date, stype_in: str = "raw_symbol", days: int = 1) -> bytes:
    """Return a DBN header that maps symbols to instrument ids for some days from `day` on."""
    import databento_dbn as dbn

    end = day + timedelta(days=days)
    mappings = [
        SimpleNamespace(raw_symbol=s, intervals=[SimpleNamespace(start_date=day, end_date=end, symbol=str(i))])
        for s, i in symbols.items()
    ]
    start_ns = (day - date(1970, 1, 1)).days * 86_400 * NANO
    return bytes(
        dbn.Metadata(
            dataset="GLBX.MDP3",
            start=start_ns,
            end=start_ns + days * 86_400 * NANO,
            stype_in=getattr(dbn.SType, stype_in.upper()),
            stype_out=dbn.SType.INSTRUMENT_ID,
            schema=dbn.Schema.from_str(schema),
            symbols=list(symbols),
            mappings=mappings,
            version=3,
        )
    )


def _head(words: int, rtype: int, instrument: int, ts: int) -> bytes:
    return struct.pack("<BBHIQ", words, rtype, 1, instrument, ts)


def trade(instrument: int, ts: int, price: float | None, size: int, side: str) -> bytes:
    """Return one 48-byte trade record (schema trades)."""
    nano = 2**63 - 1 if price is None else round(price * NANO)
    body = struct.pack("<qIccBBQiI", nano, size, b"T", side.encode(), 0, 0, ts + 1_000, 0, 1)
    return _head(12, 0x00, instrument, ts) + body


def quoted(instrument: int, ts: int, action: str, side: str, price: float, size: int, quote: tuple[Any, ...]) -> bytes:
    """Return one 80-byte record of schema tbbo or mbp-1; `quote` is (bid, ask, bid size, ask size), None where undefined."""
    bid, ask = (2**63 - 1 if p is None else round(p * NANO) for p in quote[:2])
    body = struct.pack("<qIccBBQiI", round(price * NANO), size, action.encode(), side.encode(), 0, 0, ts + 1_000, 0, 1)
    return _head(20, 0x01, instrument, ts) + body + struct.pack("<qqIIII", bid, ask, quote[2], quote[3], 1, 1)


def bar(instrument: int, ts: int, prices: Iterable[float], volume: int) -> bytes:
    """Return one 56-byte minute bar (schema ohlcv-1m), stamped with its open."""
    return _head(14, 0x21, instrument, ts) + struct.pack("<qqqqQ", *(round(p * NANO) for p in prices), volume)
