"""Files made to hurt: each ends in a clear error or in rows set aside, never in a stack trace or an exhausted machine."""

from __future__ import annotations

import struct
from datetime import date
from pathlib import Path

import polars as pl
import pytest
import zstandard

from sovereign.core.columns import NO_QUOTE, Trades
from sovereign.core.errors import CorruptFileError, UsageError
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.importing.importer import Imported, import_file
from sovereign.feeds.importing.table import ImportConfiguration, ImportOptions

WHEN = "2024-03-06T15:00:00Z"
EPOCH = 1_709_737_200_000_000_000  # the same instant


def load(file: Path, symbol: str = "ES", **rules: object) -> Imported:
    return import_file(file, ImportOptions(symbol=symbol, rules=ImportConfiguration(**rules)), calendar_for)  # type: ignore[arg-type]


def parquet(folder: Path, **columns: object) -> Path:
    file = folder / "x.parquet"
    pl.DataFrame({"ts": [WHEN], "price": [5000.25], "size": [1]} | columns).write_parquet(file)
    return file


@pytest.mark.parametrize(
    "columns",
    [
        {"price": [[1.0, 2.0]]},
        {"size": [{"a": 1}]},
        {"price": [b"5"]},
        {"ts": pl.Series([5], dtype=pl.Duration)},
        {"ts": pl.Series([5], dtype=pl.Time)},
    ],
)
def test_parquet_when_a_column_has_an_impossible_type_then_is_a_usage_error(tmp_path: Path, columns: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="column"):
        load(parquet(tmp_path, **columns))


def test_parquet_when_an_unsigned_time_does_not_fit_then_sets_that_row_aside(tmp_path: Path) -> None:
    times = pl.Series([2**63 + 5, EPOCH], dtype=pl.UInt64)
    found = load(parquet(tmp_path, ts=times, price=[5000.25] * 2, size=[1] * 2))
    assert (len(found.parts[0].rows), found.quarantine["reason"].to_list()) == (1, ["time could not be read"])


def test_csv_when_times_reach_the_end_of_the_clock_then_sets_them_aside(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    ends = [EPOCH, 2**63 - 1, 2**63, -(2**63), 0, -1, 7_258_118_400 * 10**9]  # the last is the year 2200
    file.write_text("ts,price,size\n" + "".join(f"{t},5000.25,1\n" for t in ends))
    found = load(file)
    assert [part.trade_date for part in found.parts] == [date(2024, 3, 6)]
    assert found.quarantine["row"].to_list() == [3, 4, 5, 6, 7, 8]
    assert found.quarantine.filter(pl.col("row") == 8)["reason"].to_list() == ["time was after 2100-01-01"]


@pytest.mark.parametrize(("symbol", "ticks"), [("CL", [-3763, -3760, 0]), ("ES", [])])
def test_csv_when_prices_are_not_positive_then_are_kept_where_the_contract_allows_them(
    tmp_path: Path, symbol: str, ticks: list[int]
) -> None:
    file = tmp_path / "x.csv"
    file.write_text(
        "ts,price,size,bid,ask\n"
        "2020-04-20T18:00:00Z,-37.63,1,-37.65,-37.63\n2020-04-20T18:00:01Z,-37.60,1,,-37.60\n2020-04-20T18:00:02Z,0,2,NaN,0.01\n"
    )
    found = load(file, symbol)
    kept = [part.rows for part in found.parts]
    assert [int(p) for rows in kept if isinstance(rows, Trades) for p in rows.price] == ticks
    if ticks:
        rows = kept[0]
        assert isinstance(rows, Trades)
        assert rows.bid is not None
        assert rows.ask is not None
        assert rows.bid.tolist() == [-3765, NO_QUOTE, NO_QUOTE]
        assert rows.ask.tolist() == [-3763, -3760, 1]
    else:
        assert len(found.quarantine) == 3


def test_csv_when_a_small_file_unpacks_to_a_flood_then_stops_at_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "bomb.csv.zst"
    file.write_bytes(zstandard.ZstdCompressor().compress(b"ts,price,size\n" + b"0" * (64 << 20)))
    assert file.stat().st_size < 10_000
    with pytest.raises(UsageError, match="more than 8 MB of text"):
        load(file, max_text_mb=8)


def test_parquet_when_it_has_more_rows_than_allowed_then_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="had 3 rows; allowed are 2"):
        load(parquet(tmp_path, ts=[WHEN] * 3, price=[5000.25] * 3, size=[1] * 3), max_rows=2)


def test_dbn_when_the_header_claims_gigabytes_then_is_corrupt_at_once(tmp_path: Path) -> None:
    file = tmp_path / "x.dbn"
    file.write_bytes(b"DBN\x03" + struct.pack("<I", 2**32 - 1) + b"\0" * 1_000)
    with pytest.raises(CorruptFileError, match="claims 4294967303 bytes"):
        load(file)


def test_csv_when_it_has_thousands_of_strange_columns_then_the_message_stays_short(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text(",".join(f"c{i}" for i in range(5_000)) + "\n" + ",".join("1" * 5_000) + "\n")
    with pytest.raises(UsageError) as raised:
        load(file)
    assert len(str(raised.value)) < 600
