"""One file to clean partitions by symbol and trade date, ready to be written."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sovereign.core.columns import NO_QUOTE, Bars, Int8, Quotes, Trades
from sovereign.core.errors import DataError, NotFoundError, UsageError
from sovereign.core.instrument import Instrument, find_instrument
from sovereign.feeds.importing.aggressor import prevailing_quotes, quote_rule, tick_rule
from sovereign.feeds.importing.clean import Cleaned, clean
from sovereign.feeds.importing.dbn import read_dbn
from sovereign.feeds.importing.guess import guess_symbol
from sovereign.feeds.importing.table import QUOTES, TRADES, AggressorRule, ImportOptions, RawTable
from sovereign.feeds.importing.tabular import read_csv, read_parquet_file
from sovereign.feeds.importing.trade_date import CalendarFor, to_date, trade_dates

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedPart:
    """Rows of one kind, symbol and trade date; counts are rows of this part."""

    kind: str
    instrument: Instrument
    trade_date: date
    rows: Trades | Quotes | Bars
    aggressor: str
    rounded: int
    quarantined: int
    unordered: int
    unquoted: int


@dataclass(slots=True, kw_only=True)
class Imported:
    """What one file gave: partitions, rows set aside (`row`, `ts`, `reason`), what was guessed, and what is not whole."""

    parts: list[ImportedPart]
    quarantine: pl.DataFrame
    guesses: dict[str, str]
    notes: list[str]
    faults: list[str] = field(default_factory=list)

    @property
    def is_partial(self) -> bool:
        """Say whether the file ended early or was damaged."""
        return bool(self.faults)


def read_tables(path: Path, options: ImportOptions, faults: list[str]) -> list[RawTable]:
    """Read a file by its content: DBN, Parquet or CSV, each perhaps compressed.

    Raises
    ------
    NotFoundError : there is no such file.
    UsageError, CorruptFileError : as the readers say.
    """
    if not path.is_file():
        raise NotFoundError(f"file was '{path}'; it does not exist or is a folder; check the path")
    name = path.name.lower()
    with path.open("rb") as stream:
        head = stream.read(4)
    if head[:3] == b"DBN" or name.endswith((".dbn", ".dbn.zst")):
        return read_dbn(path, options, faults)
    if head == b"PAR1" or name.endswith((".parquet", ".pq")):
        return read_parquet_file(path, options, faults)
    return read_csv(path, options, faults)


def import_file(path: Path, options: ImportOptions, calendar_for: CalendarFor) -> Imported:
    """Read, clean and cut one file.

    Raises
    ------
    NotFoundError : the file or the symbol is not known.
    UsageError : columns are missing, or an option does not fit the file.
    CorruptFileError : nothing of the file could be read.
    DataError : the file has no usable row.
    """
    import polars as pl

    faults: list[str] = []
    try:
        tables = read_tables(path, options, faults)
    except pl.exceptions.PolarsError as cause:
        why = " ".join(str(cause).split("\n", 1)[0].split())
        raise UsageError(
            f"{path.name} has a column of a type that cannot be read ({why}); allowed are numbers, texts and times; name other "
            f"columns with --map"
        ) from cause
    guesses: dict[str, str] = {}
    notes: list[str] = []
    parts: list[ImportedPart] = []
    aside: list[pl.DataFrame] = []
    wanted = [t for t in tables if options.kind is None or t.kind == options.kind or t.kind.startswith(f"{options.kind}-")]
    if not wanted:
        raise UsageError(f"--kind was '{options.kind}'; {path.name} holds {', '.join(t.kind for t in tables)}")
    for table in wanted:
        guesses |= table.guesses
        notes += table.notes
        for symbol, rows in _by_symbol(table, path, options, guesses, aside):
            instrument = find_instrument(symbol)
            quotes = _quotes_beside(options, symbol, instrument) if table.kind == TRADES else None
            cleaned = clean(rows, instrument, options.rules)
            aside.append(cleaned.quarantine)
            parts += _cut(table.kind, cleaned, quotes, instrument, options, calendar_for, notes)
    guesses["kind"] = ", ".join(t.kind for t in wanted)
    quarantine = pl.concat(aside) if aside else pl.DataFrame(schema={"row": pl.Int64, "ts": pl.Int64, "reason": pl.String})
    if not parts and not len(quarantine):
        why = f": {faults[-1]}" if faults else ""
        raise DataError(f"{path.name} had no rows of the kind {guesses['kind']}{why}; nothing to import")
    return Imported(
        parts=parts, quarantine=quarantine.sort("row"), guesses=guesses, notes=list(dict.fromkeys(notes)), faults=faults
    )


def _by_symbol(
    table: RawTable, path: Path, options: ImportOptions, guesses: dict[str, str], aside: list[pl.DataFrame]
) -> list[tuple[str, RawTable]]:
    import polars as pl

    frame = table.frame
    if options.symbol is not None or "symbol" not in frame.columns:
        symbol = options.symbol or guess_symbol(path.name)
        if symbol is None:
            raise UsageError(
                f"the symbol was not in {path.name} nor in its name; say it with --symbol, for example --symbol ESH4"
            )
        find_instrument(symbol)
        if options.symbol is not None and "symbol" in frame.columns and frame["symbol"].n_unique() > 1:
            names = frame["symbol"].unique().drop_nulls().sort().to_list()
            if options.symbol not in names:
                raise NotFoundError(f"symbol was '{options.symbol}'; {path.name} holds {', '.join(names[:12])}")
            frame = frame.filter(pl.col("symbol") == options.symbol)
        guesses.setdefault("symbol", f"{symbol}{'' if options.symbol else ' (from the file name)'}")
        return [(symbol, _with(table, frame))] if len(frame) else []
    known, unknown = [], []
    for name in frame["symbol"].unique().drop_nulls().sort().to_list():
        try:
            find_instrument(name)
            known.append(name)
        except NotFoundError as cause:
            unknown.append((name, cause))
    if unknown and not known:
        raise unknown[0][1]
    lost = frame.filter(pl.col("symbol").is_null() | ~pl.col("symbol").is_in(known))
    if len(lost):
        why = pl.lit("symbol was '") + pl.col("symbol").fill_null("unknown") + pl.lit("', not a supported instrument")
        aside.append(lost.select("row", "ts", reason=why))
    guesses["symbol"] = f"{', '.join(known)} (from the file)"
    if len(known) == 1 and not len(lost):
        return [(known[0], table)]
    return [(name, _with(table, frame.filter(pl.col("symbol") == name))) for name in known]


def _with(table: RawTable, frame: pl.DataFrame) -> RawTable:
    return RawTable(
        kind=table.kind, frame=frame, form=table.form, seconds=table.seconds, guesses=table.guesses, notes=table.notes
    )


def _quotes_beside(options: ImportOptions, symbol: str, instrument: Instrument) -> Quotes | None:
    """Read the file given with --quotes; its own bad rows are left out of the rule and not imported."""
    if options.quotes is None:
        return None
    faults: list[str] = []
    beside = ImportOptions(symbol=symbol, kind=QUOTES, zone=options.zone, rules=options.rules)
    tables = [t for t in read_tables(options.quotes, beside, faults) if t.kind == QUOTES]
    if not tables or faults:
        raise UsageError(f"--quotes was {options.quotes.name}; {faults[0] if faults else 'it holds no quotes'}")
    rows = clean(tables[0], instrument, options.rules).rows
    return rows if isinstance(rows, Quotes) else None


def _cut(
    kind: str,
    cleaned: Cleaned,
    quotes: Quotes | None,
    instrument: Instrument,
    options: ImportOptions,
    calendar_for: CalendarFor,
    notes: list[str],
) -> list[ImportedPart]:
    calendar = calendar_for(instrument.calendar)
    # A bar belongs to the day in which it lies, not to the day that begins at the instant it closes.
    instants = cleaned.rows.ts - (1 if isinstance(cleaned.rows, Bars) else 0)
    days = trade_dates(instants, instrument, calendar)
    bad = cleaned.quarantine["ts"].drop_nulls().to_numpy().astype(np.int64)
    bad_days = trade_dates(bad[bad >= 0], instrument, calendar)
    if quotes is not None:  # a quote says nothing about another trade date
        quote_days = trade_dates(quotes.ts, instrument, calendar)
    starts = np.flatnonzero(np.concatenate([[True], np.diff(days) != 0])) if len(days) else np.empty(0, np.int64)
    parts = []
    bounds = [*starts.tolist(), len(days)]
    for start, stop in pairwise(bounds):
        rows = cleaned.rows.slice(start, stop)
        aggressor, unquoted = "none", 0
        if isinstance(rows, Trades):
            if quotes is not None:
                same = quotes.slice(*np.searchsorted(quote_days, [days[start], days[start] + 1]).tolist())
                if len(same):
                    rows = Trades(rows.ts, rows.price, rows.size, rows.side, *prevailing_quotes(rows.ts, same))
                else:
                    notes.append(f"the file of --quotes has none of {to_date(days[start])}; that date is imported without them")
            if rows.bid is not None and rows.ask is not None:
                unquoted = int(np.count_nonzero((rows.bid == NO_QUOTE) | (rows.ask == NO_QUOTE)))
            rows, aggressor = _with_sides(rows, options.aggressor, is_given=cleaned.is_side_known)
        parts.append(
            ImportedPart(
                kind=kind,
                instrument=instrument,
                trade_date=to_date(days[start]),
                rows=rows,
                aggressor=aggressor,
                rounded=int(np.count_nonzero(cleaned.rounded[start:stop])),
                quarantined=int(np.count_nonzero(bad_days == days[start])),
                unordered=int(np.count_nonzero(cleaned.backwards[start:stop])),
                unquoted=unquoted,
            )
        )
    return parts


def _with_sides(rows: Trades, rule: AggressorRule, *, is_given: bool) -> tuple[Trades, str]:
    """Return the trades with aggressor sides and the method in words."""
    if rule is AggressorRule.GIVEN and not is_given:
        raise UsageError("--aggressor was 'given'; the file has no column for the side; use auto, quote or tick")
    if rule is AggressorRule.QUOTE and rows.bid is None:
        raise UsageError("--aggressor was 'quote'; the trades have no quotes; give them with --quotes FILE, or use tick")
    if rule is AggressorRule.GIVEN or (rule is AggressorRule.AUTO and is_given):
        return rows, "as given"
    ticked = tick_rule(rows.price)
    if rule is AggressorRule.TICK or rows.bid is None or rows.ask is None:
        side, method = ticked, "tick rule"
    else:
        quoted: Int8 = quote_rule(rows.price, rows.bid, rows.ask)
        side = np.where(quoted != 0, quoted, ticked).astype(np.int8)
        method = "quote rule, tick rule at the midpoint"
    return Trades(rows.ts, rows.price, rows.size, side, rows.bid, rows.ask), method
