"""The catalog's manifest: what each partition holds, where it came from and how it was made fit to use.

One JSON file, replaced atomically. It is the only thing that says a Parquet file belongs to the catalog, so a file that an
interrupted import left behind is never read by mistake.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sovereign.core.errors import CorruptFileError, UsageError

SCHEMA_VERSION = 1
"""Version of the column layout and of this manifest; a catalog of another version is refused, never guessed at."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Record):
    """One file (or download) that contributed a run of consecutive rows to a partition."""

    file: str = Field(description="file name as it was given, without its folder")
    sha256: str = Field(description="SHA-256 of the file's bytes, hexadecimal")
    rows: int = Field(description="rows it contributed")
    first_ts: int = Field(description="its first row, UTC nanoseconds")
    last_ts: int = Field(description="its last row, UTC nanoseconds")

    def overlaps(self, other: Source) -> bool:
        """Say whether both cover common time; touching at one instant is not overlapping unless they are that instant."""
        if (self.first_ts, self.last_ts) == (other.first_ts, other.last_ts):
            return True
        return self.first_ts < other.last_ts and other.first_ts < self.last_ts


class Provenance(_Record):
    """How rows came to be what they are; counts are rows."""

    aggressor: str = Field(default="as given", description="where the aggressor side came from")
    rounded: int = Field(default=0, description="prices between two ticks, rounded to the nearest (equities only)")
    quarantined: int = Field(default=0, description="rows set aside because they cannot be used")
    unordered: int = Field(default=0, description="rows whose time was earlier than that of the row before, sorted")
    unquoted: int = Field(default=0, description="trades whose prevailing bid or ask is not known (NO_QUOTE)")
    is_simulated: bool = Field(default=False, description="whether the rows were generated and not traded")
    note: str = Field(default="", description="what a reader of this data must know")

    def plus(self, other: Provenance) -> Provenance:
        """Join the provenance of two runs of rows."""
        words = [w for w in dict.fromkeys([*self.aggressor.split(" + "), *other.aggressor.split(" + ")]) if w]
        notes = [n for n in dict.fromkeys([self.note, other.note]) if n]
        return Provenance(
            aggressor=" + ".join(words),
            rounded=self.rounded + other.rounded,
            quarantined=self.quarantined + other.quarantined,
            unordered=self.unordered + other.unordered,
            unquoted=self.unquoted + other.unquoted,
            is_simulated=self.is_simulated or other.is_simulated,
            note="; ".join(notes),
        )


class Entry(_Record):
    """One partition: a kind of data of one symbol on one trade date."""

    kind: str
    venue: str
    symbol: str
    trade_date: date
    rows: int
    first_ts: int
    last_ts: int
    volume: int = Field(description="sum of sizes (trades) or volumes (bars); 0 for quotes")
    tick_size: str = Field(description="price units of one tick, as an exact decimal")
    has_quotes: bool = Field(description="whether trades carry the best quote that prevailed before them")
    sha256: str = Field(description="SHA-256 of the Parquet file, hexadecimal")
    sources: tuple[Source, ...]
    provenance: Provenance
    schema_version: int = SCHEMA_VERSION

    @property
    def key(self) -> str:
        """The partition's name: its path in the catalog without the suffix."""
        return partition_key(self.kind, self.venue, self.symbol, self.trade_date)

    @property
    def path(self) -> str:
        """The Parquet file, relative to the catalog."""
        return f"{self.key}.parquet"


class ImportRecord(_Record):
    """One import that was carried out: the same bytes read with the same options are recognized by `import_id`."""

    import_id: str
    file: str
    sha256: str
    options: str
    partitions: tuple[str, ...]
    rows: int
    quarantined: int
    is_partial: bool


class Manifest(_Record):
    """Everything the catalog holds, by partition key, and the imports that filled it, by id."""

    schema_version: int = SCHEMA_VERSION
    entries: dict[str, Entry] = Field(default_factory=dict)
    imports: dict[str, ImportRecord] = Field(default_factory=dict)

    def with_changes(self, entries: Mapping[str, Entry], imports: Mapping[str, ImportRecord]) -> Manifest:
        """Return a manifest with entries and imports added or replaced, in key order so that equal content is equal bytes."""
        merged = {**self.entries, **entries}
        done = {**self.imports, **imports}
        return Manifest(entries={k: merged[k] for k in sorted(merged)}, imports={k: done[k] for k in sorted(done)})


def partition_key(kind: str, venue: str, symbol: str, trade_date: date) -> str:
    """Return `kind/venue/symbol/yyyy-mm-dd`."""
    return f"{kind}/{venue}/{symbol}/{trade_date.isoformat()}"


def load_manifest(path: Path) -> Manifest:
    """Read a manifest; one that does not exist is empty.

    Raises
    ------
    UsageError : it was written by another version of the platform.
    CorruptFileError : it is not a manifest.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return Manifest()
    try:
        version = json.loads(text).get("schema_version")
        if version != SCHEMA_VERSION:
            raise UsageError(
                f"catalog {path.parent} was written with schema version '{version}'; this version reads {SCHEMA_VERSION}; "
                f"import the source files into a new catalog"
            )
        return Manifest.model_validate_json(text)
    except (ValueError, AttributeError, ValidationError) as cause:
        raise CorruptFileError(
            f"manifest {path} could not be read ({str(cause).splitlines()[0]}); restore it from a backup, or import the "
            f"source files into a new catalog"
        ) from cause


def save_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest beside its place and move it there in one step."""
    write_atomically(path, (manifest.model_dump_json(indent=1) + "\n").encode())


def write_atomically(path: Path, data: bytes) -> None:
    """Write bytes beside `path`, make them durable, and move them there in one step."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
