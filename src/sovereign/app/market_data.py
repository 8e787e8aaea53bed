"""Files into the catalog: what `sovereign data import` and `sovereign data download` do, without the command line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np

from sovereign.core.columns import Trades
from sovereign.core.errors import DataError, SovereignError
from sovereign.feeds.importing.importer import Imported, import_file
from sovereign.feeds.importing.table import TRADES, ImportOptions
from sovereign.feeds.importing.trade_date import CalendarFor
from sovereign.store.catalog import Catalog, Transaction, import_is_present
from sovereign.store.manifest import ImportRecord, Provenance, file_sha256

OnStep = Callable[[str, int], Callable[[], object]]
"""Takes a step's name and how many parts it has; returns what to call after each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPart:
    """One partition as the import wrote it; counts are rows of this import."""

    kind: str
    symbol: str
    trade_date: date
    rows: int
    buyers: int = 0
    sellers: int = 0
    without_side: int = 0
    aggressor: str = "none"
    rounded: int = 0
    quarantined: int = 0
    unordered: int = 0
    unquoted: int = 0


@dataclass(slots=True, kw_only=True)
class FileReport:
    """What became of one file. `status` is imported, partial, already there or failed."""

    file: str
    status: str
    import_id: str = ""
    rows: int = 0
    quarantined: int = 0
    quarantine_file: str | None = None
    reasons: dict[str, int] = field(default_factory=dict)
    partitions: list[WrittenPart] = field(default_factory=list)
    guesses: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    error: str | None = None
    error_type: str | None = None
    exit_code: int = 0


def import_files(
    catalog: Catalog,
    files: Sequence[Path],
    options: ImportOptions,
    calendar_for: CalendarFor,
    *,
    replace: bool = False,
    note: str = "",
    on_step: OnStep | None = None,
) -> list[FileReport]:
    """Import files one by one; each is a transaction of its own, and a file that fails does not stop the others.

    `on_step` is told of each file and its partitions, and returns what to call after each partition, for progress.

    Raises
    ------
    SovereignError : only one file was given and it failed.
    """
    reports = []
    for path in files:
        try:
            reports.append(import_one(catalog, path, options, calendar_for, replace=replace, note=note, on_step=on_step))
        except SovereignError as error:
            if len(files) == 1:
                raise
            reports.append(
                FileReport(
                    file=str(path),
                    status="failed",
                    error=str(error),
                    error_type=type(error).__name__,
                    exit_code=error.exit_code,
                )
            )
    return reports


def import_one(
    catalog: Catalog,
    path: Path,
    options: ImportOptions,
    calendar_for: CalendarFor,
    *,
    replace: bool = False,
    note: str = "",
    on_step: OnStep | None = None,
) -> FileReport:
    """Import one file, or say that it is there already. On an error the catalog is as it was.

    Raises
    ------
    NotFoundError, UsageError, CorruptFileError, DataError : see `import_file`; and as `Transaction.write` says.
    """
    sha256 = file_sha256(path) if path.is_file() else ""
    import_id, wording = _identity(sha256, options)
    done = catalog.manifest.imports.get(import_id)
    if done is not None and not replace and import_is_present(catalog.manifest, import_id):
        return FileReport(
            file=path.name,
            status="already there",
            import_id=import_id,
            rows=done.rows,
            quarantined=done.quarantined,
            faults=["the file was not whole when it was imported"] if done.is_partial else [],
            exit_code=int(done.is_partial),
        )
    imported = import_file(path, options, calendar_for)
    reasons = _reasons(imported)
    if not imported.parts:
        listed = "; ".join(f"{count} x {reason}" for reason, count in list(reasons.items())[:5])
        raise DataError(f"{path.name} had no usable row ({listed}); nothing was imported; check the columns with --map")
    report = FileReport(
        file=path.name,
        status="partial" if imported.is_partial else "imported",
        import_id=import_id,
        rows=sum(len(p.rows) for p in imported.parts),
        quarantined=len(imported.quarantine),
        reasons=reasons,
        guesses=imported.guesses,
        notes=imported.notes,
        faults=imported.faults,
        exit_code=int(imported.is_partial),
    )
    advance = on_step(path.name, len(imported.parts)) if on_step is not None else _nothing
    with catalog.transaction(replace=replace) as work:
        _write(work, imported, report, path.name, sha256, wording, note, advance)
    return report


def _identity(sha256: str, options: ImportOptions) -> tuple[str, str]:
    """Return the id of an import (same bytes, same reading) and the options in words."""
    words = {
        "symbol": options.symbol,
        "kind": options.kind,
        "columns": dict(sorted(options.columns.items())),
        "zone": options.zone,
        "stamp": options.stamp.value,
        "aggressor": options.aggressor.value,
        "quotes": file_sha256(options.quotes) if options.quotes is not None and options.quotes.is_file() else None,
        "rules": options.rules.model_dump(mode="json"),
    }
    wording = json.dumps(words, sort_keys=True)
    return hashlib.sha256(f"{sha256} {wording}".encode()).hexdigest()[:16], wording


def _reasons(imported: Imported) -> dict[str, int]:
    import polars as pl

    # Values differ from row to row; the kind of fault is what is counted.
    kind = pl.col("reason").str.replace(r"was '?-?[^ ,']+'?, ", "was ").alias("kind")
    counts = imported.quarantine.select(kind).group_by("kind").len().sort(["len", "kind"], descending=[True, False])
    return {str(row[0]): int(row[1]) for row in counts.iter_rows()}


def _nothing() -> None:
    """Nobody watches."""


def _write(
    work: Transaction,
    imported: Imported,
    report: FileReport,
    name: str,
    sha256: str,
    wording: str,
    note: str,
    advance: Callable[[], object],
) -> None:
    keys = []
    for part in imported.parts:
        provenance = Provenance(
            aggressor=part.aggressor,
            rounded=part.rounded,
            quarantined=part.quarantined,
            unordered=part.unordered,
            unquoted=part.unquoted,
            note=note or ("bars, never ticks" if part.kind.startswith("bars-") else ""),
        )
        entry = work.write(part.kind, part.instrument, part.trade_date, part.rows, name, sha256, provenance)
        keys.append(entry.key)
        side = part.rows.side if isinstance(part.rows, Trades) else None
        report.partitions.append(
            WrittenPart(
                kind=part.kind,
                symbol=part.instrument.symbol,
                trade_date=part.trade_date,
                rows=len(part.rows),
                buyers=0 if side is None else int(np.count_nonzero(side > 0)),
                sellers=0 if side is None else int(np.count_nonzero(side < 0)),
                without_side=0 if side is None or part.kind != TRADES else int(np.count_nonzero(side == 0)),
                aggressor=part.aggressor,
                rounded=part.rounded,
                quarantined=part.quarantined,
                unordered=part.unordered,
                unquoted=part.unquoted,
            )
        )
        advance()
    if len(imported.quarantine):
        import polars as pl

        report.quarantine_file = f"quarantine/{report.import_id}.csv"
        table = imported.quarantine.select(pl.lit(name).alias("file"), "row", "reason", "ts")
        work.keep_text(report.quarantine_file, table.write_csv())
    work.record(
        ImportRecord(
            import_id=report.import_id,
            file=name,
            sha256=sha256,
            options=wording,
            partitions=tuple(keys),
            rows=report.rows,
            quarantined=report.quarantined,
            is_partial=imported.is_partial,
        )
    )
