"""Databento Binary Encoding (`.dbn`, `.dbn.zst`): schemas trades, tbbo, mbp-1, mbo and ohlcv.

Records have a fixed layout, so they are read as one array a chunk and filtered there. Sources: the DBN specification
(databento.com/docs/standards-and-conventions/databento-binary-encoding); side of a trade is the aggressor's: `A` sell,
`B` buy, `N` none. In mbo files a trade is reported once as `T` (the aggressor's) and once as `F` for each order it filled; only
`T` is a trade. In tbbo and mbp-1 the quote of a trade record is the one before the trade.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.core.errors import CorruptFileError, UsageError
from sovereign.feeds.importing.bytes_of import chunks_of
from sovereign.feeds.importing.table import QUOTES, TRADES, ImportOptions, PriceForm, RawTable

_HEAD = [("length", "u1"), ("rtype", "u1"), ("publisher_id", "<u2"), ("instrument_id", "<u4"), ("ts_event", "<u8")]
_TRADE = [
    *_HEAD,
    ("price", "<i8"),
    ("size", "<u4"),
    ("action", "S1"),
    ("side", "S1"),
    ("flags", "u1"),
    ("depth", "u1"),
    ("ts_recv", "<u8"),
    ("ts_in_delta", "<i4"),
    ("sequence", "<u4"),
]
_LEVEL = [
    ("bid", "<i8"),
    ("ask", "<i8"),
    ("bid_size", "<u4"),
    ("ask_size", "<u4"),
    ("bid_orders", "<u4"),
    ("ask_orders", "<u4"),
]
_MBO = [
    *_HEAD,
    ("order_id", "<u8"),
    ("price", "<i8"),
    ("size", "<u4"),
    ("flags", "u1"),
    ("channel_id", "u1"),
    ("action", "S1"),
    ("side", "S1"),
    ("ts_recv", "<u8"),
    ("ts_in_delta", "<i4"),
    ("sequence", "<u4"),
]
_OHLCV = [*_HEAD, ("open", "<i8"), ("high", "<i8"), ("low", "<i8"), ("close", "<i8"), ("volume", "<u8")]

_LAYOUTS: dict[str, tuple[list[tuple[str, str]], frozenset[int]]] = {
    "trades": (_TRADE, frozenset({0x00})),
    "tbbo": ([*_TRADE, *_LEVEL], frozenset({0x01})),
    "mbp-1": ([*_TRADE, *_LEVEL], frozenset({0x01})),
    "mbo": (_MBO, frozenset({0xA0})),
    "ohlcv-1s": (_OHLCV, frozenset({0x20})),
    "ohlcv-1m": (_OHLCV, frozenset({0x21})),
    "ohlcv-1h": (_OHLCV, frozenset({0x22})),
    "ohlcv-1d": (_OHLCV, frozenset({0x23})),
}
_SECONDS = {"ohlcv-1s": 1, "ohlcv-1m": 60, "ohlcv-1h": 3_600, "ohlcv-1d": 86_400}
_UNDEFINED = 2**63 - 1
_HEADER_LIMIT = 1 << 28  # a quarter of a gigabyte of symbols; more is a damaged length
_NS_PER_DAY = 86_400 * 10**9


def read_dbn(path: Path, options: ImportOptions, faults: list[str]) -> list[RawTable]:
    """Read a DBN file into trades, quotes or bars.

    A file that ends early gives the whole records before the end and a line in `faults`.

    Raises
    ------
    CorruptFileError : not even the header is whole.
    UsageError : the schema holds no trades, quotes or bars, or the extra is not installed.
    """
    stream = chunks_of(path, faults)
    metadata, rest = _metadata(path, stream, faults)
    schema = str(metadata.schema) if metadata.schema is not None else "(mixed)"
    if schema not in _LAYOUTS:
        raise UsageError(f"schema of {path.name} was '{schema}'; allowed are {', '.join(_LAYOUTS)}; download one of them")
    fields, rtypes = _LAYOUTS[schema]
    layout = np.dtype([*fields, ("ts_out", "<u8")] if metadata.ts_out else fields)
    parts: dict[str, list[NDArray[Any]]] = {TRADES: [], "rest": []}
    numbers: dict[str, list[NDArray[np.int64]]] = {TRADES: [], "rest": []}
    for start, records in _records(path.name, stream, rest, layout, faults):
        kinds = np.isin(records["rtype"], list(rtypes))
        row = np.arange(start, start + len(records), dtype=np.int64) + 1
        is_trade = kinds & (records["action"] == b"T") if "action" in (layout.names or ()) else np.zeros(len(records), np.bool_)
        parts[TRADES].append(records[is_trade])
        numbers[TRADES].append(row[is_trade])
        if schema in {"mbp-1", *_SECONDS}:
            parts["rest"].append(records[kinds])
            numbers["rest"].append(row[kinds])
    joined = {k: (np.concatenate(v), np.concatenate(numbers[k])) for k, v in parts.items() if v}
    empty = (np.empty(0, layout), np.empty(0, np.int64))
    trades, others = joined.get(TRADES, empty), joined.get("rest", empty)
    guesses = {"format": f"DBN, schema {schema}, dataset {metadata.dataset}"}
    clock = options.columns.get("ts", "ts_event")
    if clock not in {"ts_event", "ts_recv"}:
        raise UsageError(f"--map ts was '{clock}'; a DBN file has ts_event (the exchange's) and ts_recv (the capture's)")
    names = _Names(metadata)
    if schema in _SECONDS:
        return [_bars(*others, schema, names, guesses)]
    tables = [_trades(*trades, clock, names, guesses, has_quotes=schema in {"tbbo", "mbp-1"})]
    if schema == "mbp-1":
        tables.append(_quotes(*others, clock, names, guesses))
    return tables


def _metadata(path: Path, stream: Iterator[bytes], faults: list[str]) -> tuple[Any, bytes]:
    try:
        import databento_dbn
    except ImportError as cause:
        raise UsageError(
            f"{path.name} is a DBN file and the package databento-dbn was not installed; run pip install 'sovereign[dbn]'"
        ) from cause
    buffer = b""
    for chunk in stream:
        buffer += chunk
        if len(buffer) < 8:
            continue
        if buffer[:3] != b"DBN":
            raise CorruptFileError(f"{path.name} starts with {buffer[:3]!r}; a DBN file starts with 'DBN'; download it again")
        end = 8 + int(struct.unpack_from("<I", buffer, 4)[0])
        if end > _HEADER_LIMIT:
            raise CorruptFileError(
                f"header of {path.name} claims {end} bytes; allowed are {_HEADER_LIMIT}; it is corrupt, download the file again"
            )
        if len(buffer) >= end:
            try:
                return databento_dbn.Metadata.decode(buffer[:end]), buffer[end:]
            except (databento_dbn.DBNError, ValueError) as cause:
                raise CorruptFileError(f"header of {path.name} did not decode ({cause}); download the file again") from cause
    why = faults[-1] if faults else "the file is too short"
    raise CorruptFileError(f"{path.name} ended inside its header ({why}); nothing could be read; download it again")


def _records(
    name: str, stream: Iterator[bytes], rest: bytes, layout: np.dtype[Any], faults: list[str]
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield (number of records before, records) chunk by chunk."""
    start, buffer = 0, rest
    while True:
        records, is_stuck = _leading(buffer, layout)
        if len(records):
            yield start, records
            start += len(records)
            buffer = buffer[len(records) * layout.itemsize :]
        if is_stuck:
            # A record of another length, a system message say, stands here; step over it.
            size = buffer[0] * 4
            if size < 16:
                faults.append(f"{name} is corrupt at record {start + 1} (length {size}); the records before it were read")
                return
            if len(buffer) >= size:
                buffer = buffer[size:]
                start += 1
                continue
        chunk = next(stream, None)
        if chunk is None:
            break
        buffer += chunk
    if buffer:
        faults.append(f"{name} ends early: the last {len(buffer)} bytes are not a whole record; record {start} is the last one")


def _leading(buffer: bytes, layout: np.dtype[Any]) -> tuple[NDArray[Any], bool]:
    """Return the records at the head of a buffer, and whether one of another length stands behind them."""
    records = np.frombuffer(buffer, layout, len(buffer) // layout.itemsize)
    wrong = np.flatnonzero(records["length"].astype(np.int64) * 4 != layout.itemsize)
    if len(wrong):
        return records[: int(wrong[0])], True
    rest = len(records) * layout.itemsize
    return records, rest < len(buffer) and buffer[rest] * 4 != layout.itemsize


class _Names:
    """Symbols by instrument id and UTC day, from the header."""

    def __init__(self, metadata: Any) -> None:
        self.single: str | None = None
        self._spans: dict[int, list[tuple[date, date, str]]] = {}
        for symbol, intervals in metadata.mappings.items():
            for interval in intervals:
                held = interval["symbol"]
                if held.isdigit():
                    span = (interval["start_date"], interval["end_date"], _product(symbol))
                    self._spans.setdefault(int(held), []).append(span)
        if not self._spans and len(metadata.symbols) == 1:
            self.single = _product(metadata.symbols[0])

    def of(self, records: NDArray[Any]) -> Any:
        """Return a polars column of symbols, null where the header does not know the instrument."""
        import polars as pl

        if self.single is not None:
            return pl.repeat(self.single, len(records), dtype=pl.String, eager=True)
        ids, inverse = np.unique(records["instrument_id"], return_inverse=True)
        if all(len({s for _, _, s in self._spans.get(int(i), [])}) == 1 for i in ids):
            names = pl.Series([self._spans[int(i)][0][2] for i in ids], dtype=pl.String)
            return names.gather(pl.Series(inverse.astype(np.uint32)))
        days = (records["ts_event"] // _NS_PER_DAY).astype(np.int64)
        pairs, inverse = np.unique(np.stack([records["instrument_id"].astype(np.int64), days]), axis=1, return_inverse=True)
        found = [self._at(int(i), int(d)) for i, d in pairs.T]
        return pl.Series(found, dtype=pl.String).gather(pl.Series(inverse.ravel().astype(np.uint32)))

    def _at(self, instrument_id: int, day: int) -> str | None:
        when = datetime.fromtimestamp(0, UTC).date() + timedelta(days=day)
        spans = self._spans.get(instrument_id, [])
        return next((symbol for start, end, symbol in spans if start <= when < end), None)


def _product(symbol: str) -> str:
    # A continuous name (ES.c.0, ES.v.0) is kept under its root: which contract it was is not in the file.
    root, _, rule = symbol.partition(".")
    return root if rule[:2] in {"c.", "v.", "n."} else symbol


def _times(column: NDArray[Any]) -> NDArray[np.int64]:
    # The largest unsigned value means "undefined"; it becomes -1, which no rule accepts as a time.
    return np.ascontiguousarray(column).view(np.int64)


def _price(column: NDArray[Any]) -> Any:
    import polars as pl

    values = pl.Series(np.ascontiguousarray(column))
    return pl.select(pl.when(values != _UNDEFINED).then(values)).to_series()


def _trades(
    records: NDArray[Any], row: NDArray[np.int64], clock: str, names: _Names, guesses: dict[str, str], *, has_quotes: bool
) -> RawTable:
    import polars as pl

    side = (records["side"] == b"B").astype(np.int8) - (records["side"] == b"A").astype(np.int8)
    columns = {
        "row": row,
        "ts": _times(records[clock]),
        "symbol": names.of(records),
        "price": _price(records["price"]),
        "size": records["size"].astype(np.int64),
        "side": side,
    }
    if has_quotes:
        columns |= {"bid": _price(records["bid"]), "ask": _price(records["ask"])}
    return RawTable(kind=TRADES, frame=pl.DataFrame(columns), form=PriceForm.NANO, guesses=dict(guesses))


def _quotes(records: NDArray[Any], row: NDArray[np.int64], clock: str, names: _Names, guesses: dict[str, str]) -> RawTable:
    import polars as pl

    columns = {"row": row, "ts": _times(records[clock]), "symbol": names.of(records)}
    for name in ("bid", "ask"):
        columns[name] = _price(records[name])
        columns[f"{name}_size"] = records[f"{name}_size"].astype(np.int64)
    return RawTable(kind=QUOTES, frame=pl.DataFrame(columns), form=PriceForm.NANO, guesses=dict(guesses))


def _bars(records: NDArray[Any], row: NDArray[np.int64], schema: str, names: _Names, guesses: dict[str, str]) -> RawTable:
    import polars as pl

    seconds = _SECONDS[schema]
    columns = {"row": row, "ts": _times(records["ts_event"]) + seconds * 10**9, "symbol": names.of(records)}
    for name in ("open", "high", "low", "close"):
        columns[name] = _price(records[name])
    columns["volume"] = records["volume"].astype(np.int64)
    guesses = {**guesses, "stamp": "ts_event is the bar's open; kept is its close"}
    return RawTable(kind=f"bars-{seconds}", frame=pl.DataFrame(columns), form=PriceForm.NANO, seconds=seconds, guesses=guesses)
