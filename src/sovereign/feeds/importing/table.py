"""What a reader hands to the cleaner: one kind of data under canonical column names, rows numbered as in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from sovereign.core.configuration import Configuration

if TYPE_CHECKING:
    import polars as pl

TRADES = "trades"
QUOTES = "quotes"


class PriceForm(StrEnum):
    """How prices are written: as decimal numbers, or as integers of 1e-9."""

    DECIMAL = "decimal"
    NANO = "nano"


class AggressorRule(StrEnum):
    """Where aggressor sides come from. AUTO takes the first of the others that the data allows."""

    AUTO = "auto"
    GIVEN = "given"
    QUOTE = "quote"
    TICK = "tick"


class BarStamp(StrEnum):
    """Which end of a bar its time names."""

    OPEN = "open"
    CLOSE = "close"


class ImportConfiguration(Configuration):
    """What counts as a usable row."""

    tick_tolerance_frac: float = Field(
        default=1e-3,
        gt=0,
        lt=0.5,
        description="how far a price may lie from a tick, as a fraction of the tick, before it is off-tick; "
        "wide enough for prices stored as 32-bit floats",
    )
    earliest_date: date = Field(
        default=date(1980, 1, 1), description="rows with an earlier time are set aside: they are zeros or another unit"
    )
    latest_date: date = Field(
        default=date(2100, 1, 1),
        description="rows of this date or later are set aside: they are another unit or a typing error",
    )
    max_text_mb: int = Field(
        default=4_096,
        ge=1,
        le=1_000_000,
        description="most decompressed text of one CSV file, in MB; compression may hide a thousand times as much",
    )
    max_rows: int = Field(
        default=150_000_000,
        ge=1,
        description="most rows of one Parquet file; a row needs some 80 bytes of memory while it is read",
    )
    negative_roots: tuple[str, ...] = Field(
        default=("CL",),
        description="futures whose prices may be zero or negative (NYMEX crude oil traded at -37.63 on 2020-04-20)",
    )
    skip_suspicious: bool = Field(
        default=True, description="set aside the prints that the source itself marks as suspicious (column 'suspicious')"
    )
    off_market_frac: float = Field(
        default=0.002,
        ge=0,
        description="equities: a print is off the market when it lies further than this fraction of its price from the median "
        "of the prints before it and from that of the prints after it (late and average-price reports); 0 keeps them all",
    )
    off_market_ticks: int = Field(
        default=5, ge=0, description="ticks by which a print must at least differ from both medians to be off the market"
    )
    off_market_prints: int = Field(
        default=21, ge=4, description="prints on either side whose median is the market; a quarter of them must be there"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What the user said about a file. None and empty mean: guess, and say what was guessed."""

    symbol: str | None = None
    kind: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    zone: str = "UTC"
    stamp: BarStamp = BarStamp.OPEN
    aggressor: AggressorRule = AggressorRule.AUTO
    quotes: Path | None = None
    rules: ImportConfiguration = field(default_factory=ImportConfiguration)


@dataclass(slots=True, kw_only=True)
class RawTable:
    """Rows of one kind as they were in a file.

    `frame` has `row` (its number in the file, from 1), `ts` (UTC ns or null), and by kind `price`, `size`, `side`, `bid`,
    `ask`, `bid_size`, `ask_size`, `open`, `high`, `low`, `close`, `volume`, `trade_id`, `symbol`, `suspicious`, `problem` (why
    the reader cannot use the row, or null). `side` is +1, -1 or 0. `seconds` is the width of bars.
    """

    kind: str
    frame: pl.DataFrame
    form: PriceForm = PriceForm.DECIMAL
    seconds: int = 0
    guesses: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
