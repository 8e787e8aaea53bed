"""DBN files: made with the vendor's package, and one real day."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import zstandard

from sovereign.core.columns import NO_QUOTE, Bars, Quotes, Trades
from sovereign.core.errors import CorruptFileError, NotFoundError, UsageError
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.importing.importer import Imported, import_file
from sovereign.feeds.importing.table import ImportOptions

dbn = pytest.importorskip("databento_dbn", reason="the extra 'dbn' is not installed")

from fakes import dbn_files as files  # noqa: E402

DAY = date(2024, 3, 5)
NOON = 1_709_661_600 * 10**9  # 18:00 UTC
REAL = "es_mbo_cme_20231225/esh4-glbx-mdp3-20231225.mbo.dbn.zst"


def load(path: Path, data: bytes, name: str = "x.dbn", **options: object) -> Imported:
    (path / name).write_bytes(data)
    return import_file(path / name, ImportOptions(**options), calendar_for)  # type: ignore[arg-type]


def test_real_day_when_imported_then_equal_to_the_reference_trades(shared_data: Path) -> None:
    found = import_file(shared_data / REAL, ImportOptions(), calendar_for)
    (part,) = found.parts
    rows = part.rows
    assert isinstance(rows, Trades)
    assert (len(rows), (rows.side == 1).sum(), (rows.side == -1).sum(), (rows.side == 0).sum()) == (2973, 1542, 1430, 1)
    truth = pl.read_parquet(shared_data / "es_mbo_cme_20231225/ESH4_trades.parquet")
    assert np.array_equal(rows.ts, truth["ts_event"].dt.epoch("ns"))
    assert np.array_equal(rows.price * 0.25, truth["price"])
    assert np.array_equal(rows.size, truth["size"])
    assert np.array_equal(rows.side, truth["side"].replace_strict({"B": 1, "A": -1, "N": 0}))
    assert (part.instrument.symbol, part.trade_date, part.aggressor) == ("ESH4", date(2023, 12, 26), "as given")


def test_real_day_when_sides_are_inferred_from_the_rebuilt_book_then_the_exchange_agrees(shared_data: Path) -> None:
    folder = shared_data / "es_mbo_cme_20231225"
    options = ImportOptions(aggressor="quote", quotes=folder / "ESH4_bbo.parquet")  # type: ignore[arg-type]
    (part,) = import_file(folder / "ESH4_trades.parquet", options, calendar_for).parts
    truth = pl.read_parquet(folder / "ESH4_trades.parquet")["side"].replace_strict({"B": 1, "A": -1, "N": 0}).to_numpy()
    assert isinstance(part.rows, Trades)
    assert np.mean(part.rows.side == truth) > 0.999


def test_trades_when_of_two_instruments_then_named_from_the_header(tmp_path: Path) -> None:
    data = files.header("trades", {"ESH4": 1, "NQH4": 2}, DAY)
    data += (
        files.trade(1, NOON, 5100.25, 3, "B") + files.trade(2, NOON + 1, 18_000.5, 1, "A") + files.trade(9, NOON, 1.0, 1, "A")
    )
    found = load(tmp_path, data)
    assert {p.instrument.symbol: p.rows.price.tolist() for p in found.parts} == {"ESH4": [20_401], "NQH4": [72_002]}  # type: ignore[union-attr]
    assert found.quarantine["reason"].to_list() == ["symbol was 'unknown', not a supported instrument"]
    assert found.quarantine["row"].to_list() == [3]


def test_trades_when_the_receive_time_is_asked_for_then_it(tmp_path: Path) -> None:
    data = files.header("trades", {"ESH4": 1}, DAY) + files.trade(1, NOON, 5100.25, 3, "B")
    assert load(tmp_path, data).parts[0].rows.ts.tolist() == [NOON]
    assert load(tmp_path, data, columns={"ts": "ts_recv"}).parts[0].rows.ts.tolist() == [NOON + 1_000]


def test_trades_when_off_tick_or_undefined_then_set_aside(tmp_path: Path) -> None:
    data = files.header("trades", {"ESH4": 1}, DAY)
    data += files.trade(1, NOON, 5100.30, 1, "B") + files.trade(1, NOON, None, 1, "B")
    data += files.trade(1, NOON, 5100.25, 0, "B") + files.trade(1, NOON, 5100.25, 1, "B")
    found = load(tmp_path, data)
    assert len(found.parts[0].rows) == 1
    assert found.quarantine["reason"].to_list()[0] == "price was 5100.3, not on a tick of 0.25"
    assert found.quarantine["row"].to_list() == [1, 2, 3]


def test_equity_trades_when_half_a_tick_then_to_even_and_counted(tmp_path: Path) -> None:
    data = files.header("trades", {"SPY": 1}, DAY)
    data += b"".join(files.trade(1, NOON + k, p, 1, "N") for k, p in enumerate((10.005, 10.015, 10.025, 10.0151, 10.01)))
    (part,) = load(tmp_path, data).parts
    assert isinstance(part.rows, Trades)
    assert part.rows.price.tolist() == [1000, 1002, 1002, 1002, 1001]
    assert part.rounded == 4
    assert part.rows.side.tolist() == [0, 1, 1, 1, -1]  # no side is given: the tick rule


def test_tbbo_when_imported_then_trades_carry_their_quotes(tmp_path: Path) -> None:
    data = files.header("tbbo", {"ESH4": 1}, DAY)
    data += files.quoted(1, NOON, "T", "B", 5100.25, 3, (5100.0, 5100.25, 7, 8))
    data += files.quoted(1, NOON + 1, "T", "A", 5100.0, 1, (None, 5100.25, 0, 8))
    (part,) = load(tmp_path, data).parts
    assert isinstance(part.rows, Trades)
    assert part.rows.bid is not None
    assert part.rows.ask is not None
    assert (part.rows.bid.tolist(), part.rows.ask.tolist()) == ([20_400, NO_QUOTE], [20_401, 20_401])
    assert part.unquoted == 1


def test_mbp1_when_imported_then_trades_and_quotes(tmp_path: Path) -> None:
    data = files.header("mbp-1", {"ESH4": 1}, DAY)
    data += files.quoted(1, NOON, "A", "B", 5100.0, 1, (5100.0, 5100.25, 7, 8))
    data += files.quoted(1, NOON + 1, "T", "B", 5100.25, 2, (5100.0, 5100.25, 7, 8))
    data += files.quoted(1, NOON + 2, "C", "A", 5100.25, 2, (5100.0, 5100.25, 7, 6))
    found = load(tmp_path, data)
    kinds = {p.kind: p.rows for p in found.parts}
    assert len(kinds["trades"]) == 1
    quotes = kinds["quotes"]
    assert isinstance(quotes, Quotes)
    assert quotes.ask_size.tolist() == [8, 8, 6]
    assert [p.kind for p in load(tmp_path, data, kind="quotes").parts] == ["quotes"]


def test_bars_when_imported_then_stamped_with_the_close(tmp_path: Path) -> None:
    data = files.header("ohlcv-1m", {"ESH4": 1}, DAY) + files.bar(1, NOON, (5100.0, 5101.0, 5099.75, 5100.5), 2**33)
    (part,) = load(tmp_path, data).parts
    assert isinstance(part.rows, Bars)
    assert (part.kind, part.rows.ts.tolist(), part.rows.low.tolist()) == ("bars-60", [NOON + 60 * 10**9], [20_399])
    assert part.rows.volume.tolist() == [2**33]


def test_continuous_when_imported_then_kept_under_the_root(tmp_path: Path) -> None:
    data = files.header("trades", {"ES.v.0": 1}, DAY, "continuous") + files.trade(1, NOON, 5100.25, 1, "B")
    assert load(tmp_path, data).parts[0].instrument.symbol == "ES"


def test_spread_alone_when_imported_then_unknown_symbol(tmp_path: Path) -> None:
    data = files.header("trades", {"ESH4-ESM4": 1}, DAY) + files.trade(1, NOON, 50.25, 1, "B")
    with pytest.raises(NotFoundError, match="ESH4-ESM4"):
        load(tmp_path, data)


@pytest.mark.parametrize("lost", [1, 47, 48 * 3 + 5])
def test_file_when_cut_off_then_the_whole_records_and_a_fault(tmp_path: Path, lost: int) -> None:
    data = files.header("trades", {"ESH4": 1}, DAY) + b"".join(files.trade(1, NOON + k, 5100.25, 1, "B") for k in range(10))
    found = load(tmp_path, data[:-lost])
    assert len(found.parts[0].rows) == 10 - -(-lost // 48)
    assert "ends early" in found.faults[0]


def test_file_when_zstd_is_cut_off_then_the_whole_records_and_a_fault(tmp_path: Path, shared_data: Path) -> None:
    packed = (shared_data / REAL).read_bytes()
    found = load(tmp_path, packed[: len(packed) * 3 // 4], "cut.dbn.zst")
    rows, whole = found.parts[0].rows, import_file(shared_data / REAL, ImportOptions(), calendar_for).parts[0].rows
    assert 0 < len(rows) < 2973
    assert np.array_equal(rows.ts, whole.ts[: len(rows)])
    assert found.is_partial


def test_file_when_zstd_is_corrupt_then_what_precedes_and_a_fault(tmp_path: Path, shared_data: Path) -> None:
    packed = bytearray((shared_data / REAL).read_bytes())
    packed[len(packed) // 2 : len(packed) // 2 + 64] = b"\x00" * 64
    found = load(tmp_path, bytes(packed), "bad.dbn.zst")
    assert found.is_partial


def test_file_when_of_several_zstd_frames_then_all_are_read(tmp_path: Path) -> None:
    data = files.header("trades", {"ESH4": 1}, DAY) + b"".join(files.trade(1, NOON + k, 5100.25, 1, "B") for k in range(10))
    pack = zstandard.ZstdCompressor().compress
    assert len(load(tmp_path, pack(data[:301]) + pack(data[301:]), "x.dbn.zst").parts[0].rows) == 10


def test_file_when_other_records_are_mixed_in_then_stepped_over(tmp_path: Path) -> None:
    other = files.bar(1, NOON, (1.0, 1.0, 1.0, 1.0), 1)
    records = [files.trade(1, NOON + k, 5100.25, 1, "B") for k in range(6)]
    data = files.header("trades", {"ESH4": 1}, DAY) + b"".join([*records[:2], other, *records[2:], other])
    found = load(tmp_path, data)
    assert found.parts[0].rows.ts.tolist() == [NOON + k for k in range(6)]
    assert not found.faults


@pytest.mark.parametrize("data", [b"DBN\x03", b"DBN\x03\xff\x00\x00\x00abc", b"garbage, not dbn"])
def test_file_when_the_header_is_not_whole_then_corrupt(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(CorruptFileError):
        load(tmp_path, data)


def test_file_when_of_another_schema_then_usage_error_names_the_allowed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"schema of x\.dbn was 'mbp-10'; allowed are trades"):
        load(tmp_path, files.header("mbp-10", {"ESH4": 1}, DAY))
