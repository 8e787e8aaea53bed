"""The market-data catalog: Parquet files by kind, venue, symbol and trade date, and a manifest that vouches for them.

Place in the flow: imports and downloads write it, backtests and replays read it. Writing is a transaction: every file is
finished in a staging folder first, a redo record is made durable, and only then are files moved and the manifest replaced.
A process that dies before the record leaves the catalog as it was; one that dies after it is completed by the next opener.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from sovereign.core.columns import Bars, Quotes, Trades
from sovereign.core.errors import CorruptFileError, DataError, NotFoundError, UsageError, suggestion
from sovereign.core.instrument import Instrument, contract_root, find_instrument
from sovereign.store.columnar import (
    TRADE_BYTES,
    Rows,
    announce,
    columns_of,
    keep_mapped,
    read_mapped,
    read_parquet,
    rows_of,
    write_parquet,
)
from sovereign.store.lock import locked
from sovereign.store.manifest import (
    Entry,
    ImportRecord,
    Manifest,
    Provenance,
    Source,
    file_sha256,
    load_manifest,
    partition_key,
    save_manifest,
    write_atomically,
)

_KIND = re.compile(r"^(trades|quotes|bars-[1-9]\d*)$")
_MONTHS = "FGHJKMNQUVXZ"
_Index = dict[tuple[str, str], dict[date, dict[str, Entry]]]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that `verify` found wrong with one file: which check failed, and the numbers."""

    path: str
    check: str
    message: str


class Catalog:
    """Market data on disk. Reading never writes anything but the rebuildable cache.

    Parameters
    ----------
    path : the catalog's folder; it need not exist until something is written.
    arrow_cache : whether to keep and use the Arrow copies.
    """

    def __init__(self, path: Path | str, *, arrow_cache: bool = True) -> None:
        self.path = Path(path)
        self.has_arrow_cache = arrow_cache
        self._manifest = Manifest()
        self._manifest_stamp: tuple[int, int, int] | None = None
        self._index: _Index = {}
        self._manifest_file, self._staging = str(self.path / "manifest.json"), str(self.path / ".staging")

    # reading

    @property
    def manifest(self) -> Manifest:
        """The manifest as it is on disk now."""
        self._recover()
        try:
            stat = os.stat(self._manifest_file)
        except FileNotFoundError:
            return Manifest()
        stamp = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if stamp != self._manifest_stamp:
            manifest = load_manifest(Path(self._manifest_file))
            self._index = _index_of(manifest)
            self._manifest, self._manifest_stamp = manifest, stamp
        return self._manifest

    def entries(self) -> list[Entry]:
        """Return what the catalog holds, by kind, venue, symbol and trade date."""
        return list(self.manifest.entries.values())

    def symbols(self, kind: str = "trades") -> list[str]:
        """Return the symbols that have a kind of data."""
        return sorted({e.symbol for e in self.entries() if e.kind == kind})

    def dates(self, symbol: str, kind: str = "trades") -> list[date]:
        """Return the trade dates of a symbol, in order; those of a futures root are those of all its contracts."""
        return list(self._held(symbol, kind))

    def resolve(self, symbol: str, trade_date: date, kind: str = "trades") -> str:
        """Return the symbol whose partition serves `symbol` on a trade date: itself, or for a futures root a contract.

        The contract is the one with the largest volume on the latest earlier trade date that the catalog holds for the
        root, so nothing of the trade date itself is used; without an earlier one it is the nearest expiry.

        Raises
        ------
        NotFoundError : the catalog holds nothing of the symbol on that date; the message names the nearest dates.
        """
        held = self._held(symbol, kind)
        today = held.get(trade_date, {})
        if symbol in today:
            return symbol
        if not today:
            raise NotFoundError(self._missing(symbol, trade_date, kind))
        days = list(held)
        place = bisect_left(days, trade_date)
        earlier = held[days[place - 1]] if place else {}
        volume = {name: entry.volume for name, entry in earlier.items()}
        return min(today, key=lambda name: (-volume.get(name, 0), _expiry(name, trade_date)))

    def entry(self, symbol: str, trade_date: date, kind: str = "trades") -> Entry:
        """Return the manifest entry that serves a symbol (or futures root) on a trade date."""
        name = self.resolve(symbol, trade_date, kind)
        return self._held(symbol, kind)[trade_date][name]

    def is_simulated(self, symbol: str, trade_date: date, kind: str = "trades") -> bool:
        """Say whether a day's trades were generated."""
        return self.entry(symbol, trade_date, kind).provenance.is_simulated

    def read(self, symbol: str, trade_date: date, kind: str = "trades") -> Rows:
        """Return the columns of a partition, read-only; mapped from the Arrow copy when that is on."""
        entry = self.entry(symbol, trade_date, kind)
        parquet = self.path / entry.path
        if not parquet.exists():
            raise CorruptFileError(f"{parquet} is in the manifest but not on disk; restore it, or import its source again")
        if not self.has_arrow_cache:
            return read_parquet(parquet, kind)
        return read_mapped(parquet, self.arrow_copy(entry.key), kind)

    def arrow_copy(self, key: str) -> Path:
        """Return where the rebuildable Arrow copy of a partition lies."""
        return self.path / ".cache" / f"{key}.arrow"

    def trades(self, symbol: str, trade_date: date) -> Trades:
        """Return a trade date's trades."""
        rows = self.read(symbol, trade_date, "trades")
        return rows if isinstance(rows, Trades) else Trades.empty()

    def expect_trades(self, symbol: str, trade_date: date) -> None:
        """Say that a trade date's trades will be asked for soon, so that they can be read from disk in the meantime."""
        entry = self.entry(symbol, trade_date, "trades")
        if self.has_arrow_cache:
            announce(self.arrow_copy(entry.key), entry.rows * TRADE_BYTES)

    def quotes(self, symbol: str, trade_date: date) -> Quotes:
        """Return a trade date's quotes."""
        rows = self.read(symbol, trade_date, "quotes")
        if not isinstance(rows, Quotes):
            raise DataError(f"{symbol} {trade_date} quotes were {type(rows).__name__}; run 'sovereign data verify'")
        return rows

    def bars(self, symbol: str, trade_date: date, seconds: int) -> Bars:
        """Return a trade date's bars of a width in seconds, stamped with their close."""
        rows = self.read(symbol, trade_date, f"bars-{seconds}")
        if not isinstance(rows, Bars):
            raise DataError(f"{symbol} {trade_date} bars were {type(rows).__name__}; run 'sovereign data verify'")
        return rows

    def _held(self, symbol: str, kind: str) -> Mapping[date, Mapping[str, Entry]]:
        """Return the entries that serve a symbol: by trade date, in order, and symbol."""
        return self._index.get((kind, symbol), {}) if self.manifest.entries else {}

    def _missing(self, symbol: str, trade_date: date, kind: str) -> str:
        have = self.dates(symbol, kind)
        if have:
            near = min(have, key=lambda d: abs((d - trade_date).days))
            return (
                f"{kind} of '{symbol}' on {trade_date} were not in the catalog {self.path}; it has {len(have)} dates from "
                f"{have[0]} to {have[-1]}, the nearest {near}; see 'sovereign data list'"
            )
        known = self.symbols(kind)
        return (
            f"{kind} of '{symbol}' were not in the catalog {self.path}{suggestion(symbol, known)}; it has "
            f"{', '.join(known) or 'nothing yet'}; import a file with 'sovereign data import FILE'"
        )

    # writing

    @contextmanager
    def transaction(self, *, replace: bool = False) -> Iterator[Transaction]:
        """Open a transaction: everything written in it appears at once when the block ends, or not at all on an error.

        `replace` lets rows take the place of rows of another source that cover the same time.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path / ".lock"):
            self._redo_all()
            staging = self.path / ".staging" / uuid.uuid4().hex
            staging.mkdir(parents=True)
            try:
                work = Transaction(self, staging, is_replacing=replace)
                yield work
                work.commit()
            finally:
                shutil.rmtree(staging, ignore_errors=True)

    def write_trades(
        self,
        symbol: str,
        trade_date: date,
        trades: Trades,
        *,
        source: str = "",
        sha256: str = "",
        is_simulated: bool = False,
        aggressor: str = "as given",
        replace: bool = False,
    ) -> Entry:
        """Write one trade date's trades in a transaction of its own and return its entry."""
        provenance = Provenance(aggressor=aggressor, is_simulated=is_simulated)
        with self.transaction(replace=replace) as work:
            return work.write("trades", find_instrument(symbol), trade_date, trades, source, sha256, provenance)

    def _recover(self) -> None:
        # A redo record that outlives its writer means a crash between the decision and the last move. Nearly always there is
        # no folder of unfinished work at all, and a run over thousands of partitions looks as many times.
        try:
            begun = os.listdir(self._staging)
        except FileNotFoundError:
            return
        if any((Path(self._staging) / name / "commit.json").exists() for name in begun):
            with locked(self.path / ".lock"):
                self._redo_all()

    def _redo_all(self) -> None:
        for record in sorted((self.path / ".staging").glob("*/commit.json")):
            self._redo(record.parent)
        shutil.rmtree(self.path / ".staging", ignore_errors=True)

    def _redo(self, staging: Path) -> None:
        """Move staged files into place and replace the manifest; repeating it after a crash finishes what was begun."""
        for name in json.loads((staging / "commit.json").read_text())["files"]:
            staged, target = staging / "files" / name, self.path / name
            if staged.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                staged.replace(target)
        manifest = staging / "manifest.json"
        if manifest.exists():
            manifest.replace(self.path / "manifest.json")

    # checking

    def verify(self) -> list[Finding]:
        """Check every partition's hash, columns, row count, order and ranges, and look for stray files. Changes nothing."""
        findings: list[Finding] = []
        entries = self.entries()
        for entry in entries:
            findings += [Finding(entry.path, check, message) for check, message in self._inspect(entry)]
        known = {e.path for e in entries}
        for file in sorted(self.path.glob("*/*/*/*.parquet")):
            name = file.relative_to(self.path).as_posix()
            if name not in known and not name.startswith("."):
                findings.append(Finding(name, "manifest", "the file was not in the manifest; it is never read; remove it"))
        return findings

    def _inspect(self, entry: Entry) -> Iterator[tuple[str, str]]:
        file = self.path / entry.path
        if not file.exists():
            yield "presence", "the file was not on disk; restore it, or import its source again"
            return
        digest = file_sha256(file)
        if digest != entry.sha256:
            yield "hash", f"SHA-256 was {digest[:12]} and the manifest has {entry.sha256[:12]}; the file was changed"
        try:
            rows = read_parquet(file, entry.kind)
        except (DataError, TypeError) as cause:
            yield "columns", str(cause)
            return
        if len(rows) != entry.rows:
            yield "rows", f"rows were {len(rows)} and the manifest has {entry.rows}"
        if len(rows) and (int(rows.ts[0]), int(rows.ts[-1])) != (entry.first_ts, entry.last_ts):
            yield "range", f"times were {rows.ts[0]}..{rows.ts[-1]} and the manifest has {entry.first_ts}..{entry.last_ts}"
        yield from ((check, message) for check, message in disorders(rows))


def disorders(rows: Rows) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with columns themselves: times that run backwards, and values out of range."""
    backwards = int(np.count_nonzero(np.diff(rows.ts) < 0))
    if backwards:
        yield "order", f"{backwards} rows were earlier than the row before; times must not decrease"
    checks: dict[str, int] = {}
    if isinstance(rows, Trades):
        checks["size"] = int(np.count_nonzero(rows.size <= 0))
        checks["side"] = int(np.count_nonzero(np.abs(rows.side) > 1))
    elif isinstance(rows, Quotes):
        checks["size"] = int(np.count_nonzero((rows.bid_size < 0) | (rows.ask_size < 0)))
    else:
        inside = (rows.low <= np.minimum(rows.open, rows.close)) & (rows.high >= np.maximum(rows.open, rows.close))
        checks["price"] = int(np.count_nonzero(~inside))
        checks["volume"] = int(np.count_nonzero(rows.volume < 0))
    for name, count in checks.items():
        if count:
            yield name, f"{count} rows had a {name} out of range"


class Transaction:
    """Partitions being prepared; made by `Catalog.transaction`."""

    def __init__(self, catalog: Catalog, staging: Path, *, is_replacing: bool) -> None:
        self._catalog = catalog
        self._staging = staging
        self._is_replacing = is_replacing
        self._before = catalog.manifest
        self._entries: dict[str, Entry] = {}
        self._imports: dict[str, ImportRecord] = {}
        self._files: list[str] = []

    def write(
        self,
        kind: str,
        instrument: Instrument,
        trade_date: date,
        rows: Rows,
        source: str,
        sha256: str,
        provenance: Provenance,
    ) -> Entry:
        """Add rows of one source to a partition, beside rows of other sources that cover other times.

        Raises
        ------
        UsageError : rows of another source cover the same time and the transaction does not replace.
        DataError : the rows are empty, out of order or out of range.
        """
        if not _KIND.match(kind):
            raise UsageError(f"kind was '{kind}'; allowed are trades, quotes and bars-SECONDS, for example bars-60")
        name = f"{kind} of {instrument.symbol} on {trade_date}"
        if not len(rows):
            raise DataError(f"{name} had no rows; a partition needs at least one")
        for check, message in disorders(rows):
            raise DataError(f"{name} cannot be written: {check}: {message}")
        new = Source(file=source, sha256=sha256, rows=len(rows), first_ts=int(rows.ts[0]), last_ts=int(rows.ts[-1]))
        key = partition_key(kind, instrument.venue, instrument.symbol, trade_date)
        parts = [(new, rows)]
        old = self._entries.get(key) or self._before.entries.get(key)
        if old is not None:
            kept = self._kept(old, new, name)
            if kept:
                provenance = old.provenance.plus(provenance)
            parts = sorted([*kept, *parts], key=lambda p: (p[0].first_ts, p[0].last_ts))
            rows = _joined(kind, [p[1] for p in parts])
        entry = self._store(key, kind, instrument, trade_date, rows, tuple(p[0] for p in parts), provenance)
        self._entries[key] = entry
        return entry

    def _kept(self, old: Entry, new: Source, name: str) -> list[tuple[Source, Rows]]:
        staged = self._staging / "files" / old.path
        rows = read_parquet(staged if staged.exists() else self._catalog.path / old.path, old.kind)
        kept, start = [], 0
        for source in old.sources:
            part = rows.slice(start, start + source.rows)
            start += source.rows
            if not source.overlaps(new):
                kept.append((source, part))
            elif not self._is_replacing and (source.sha256 != new.sha256 or not new.sha256):
                raise UsageError(
                    f"{name} already came from '{source.file}' for the same time as '{new.file}'; "
                    f"repeat with --replace to put the new rows in the place of the old ones"
                )
        return kept

    def _store(
        self,
        key: str,
        kind: str,
        instrument: Instrument,
        trade_date: date,
        rows: Rows,
        sources: tuple[Source, ...],
        provenance: Provenance,
    ) -> Entry:
        file = self._staging / "files" / f"{key}.parquet"
        write_parquet(file, rows)
        if self._catalog.has_arrow_cache:
            keep_mapped(file, self._staging / "copies" / f"{key}.arrow", rows)
        volume = 0
        if isinstance(rows, Trades):
            volume = int(rows.size.sum(dtype=np.int64))
        elif isinstance(rows, Bars):
            volume = int(rows.volume.sum())
        if f"{key}.parquet" not in self._files:
            self._files.append(f"{key}.parquet")
        return Entry(
            kind=kind,
            venue=instrument.venue,
            symbol=instrument.symbol,
            trade_date=trade_date,
            rows=len(rows),
            first_ts=int(rows.ts[0]),
            last_ts=int(rows.ts[-1]),
            volume=volume,
            tick_size=str(instrument.tick_size),
            has_quotes="bid" in columns_of(rows) and kind == "trades",
            sha256=file_sha256(file),
            sources=sources,
            provenance=provenance,
        )

    def keep_text(self, name: str, text: str) -> None:
        """Add a text file (such as a list of quarantined rows) that appears together with the partitions."""
        file = self._staging / "files" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        self._files.append(name)

    def record(self, done: ImportRecord) -> None:
        """Remember an import, so that repeating it is recognized."""
        self._imports[done.import_id] = done

    def commit(self) -> None:
        """Make everything written visible."""
        if not self._files and not self._imports:
            return
        save_manifest(self._staging / "manifest.json", self._before.with_changes(self._entries, self._imports))
        for name in self._files:
            with (self._staging / "files" / name).open("rb") as stream:
                os.fsync(stream.fileno())
        write_atomically(self._staging / "commit.json", json.dumps({"files": self._files}).encode())
        for key in (name.removesuffix(".parquet") for name in self._files):
            copy = self._staging / "copies" / f"{key}.arrow"
            if copy.exists():
                place = self._catalog.arrow_copy(key)
                place.parent.mkdir(parents=True, exist_ok=True)
                copy.replace(place)
        self._catalog._redo(self._staging)


def _joined(kind: str, parts: Iterable[Rows]) -> Rows:
    columns = [columns_of(p) for p in parts]
    # Quotes are kept on trades only when every part has them; see Trades.concat.
    names = [n for n in columns[0] if all(n in c for c in columns)]
    return rows_of(kind, {n: np.concatenate([c[n] for c in columns]) for n in names})


def _index_of(manifest: Manifest) -> _Index:
    """Return the entries by kind and name; a futures contract is found under its own name and under its root."""
    index: _Index = {}
    for entry in sorted(manifest.entries.values(), key=lambda e: e.trade_date):
        for name in {entry.symbol, contract_root(entry.symbol) or entry.symbol}:
            index.setdefault((entry.kind, name), {}).setdefault(entry.trade_date, {})[entry.symbol] = entry
    return index


def _expiry(symbol: str, near: date) -> tuple[int, int]:
    """Return (year, month) of a contract; a one-digit year is the first such year from a year before `near` on."""
    digits = re.search(r"\d+$", symbol)
    root = contract_root(symbol)
    if digits is None or root is None:
        return (0, 0)
    number, base = int(digits[0]), 10 ** len(digits[0])
    year = near.year - 1
    year += (number - year) % base
    return year, _MONTHS.index(symbol[len(root)])


def import_is_present(manifest: Manifest, import_id: str) -> bool:
    """Say whether an import was carried out and every row of it is still in the catalog."""
    done = manifest.imports.get(import_id)
    return done is not None and all(
        key in manifest.entries and any(s.sha256 == done.sha256 for s in manifest.entries[key].sources)
        for key in done.partitions
    )


def by_symbol(entries: Iterable[Entry]) -> Mapping[tuple[str, str, str], list[Entry]]:
    """Group entries by kind, venue and symbol, in their order."""
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.kind, entry.venue, entry.symbol), []).append(entry)
    return groups
