"""The catalog: what is written is what is read, and an error or a crash leaves it as it was."""

from __future__ import annotations

import json
import multiprocessing
import threading
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.core.columns import NO_QUOTE, Bars, Quotes, Trades
from sovereign.core.errors import CorruptFileError, DataError, NotFoundError, UsageError
from sovereign.core.instrument import find_instrument
from sovereign.store.catalog import Catalog
from sovereign.store.manifest import Provenance

MONDAY, TUESDAY, WEDNESDAY = date(2024, 3, 4), date(2024, 3, 5), date(2024, 3, 6)


def trades(ts: list[int], size: int = 1, price: int = 20_000) -> Trades:
    n = len(ts)
    return Trades(
        np.array(ts, np.int64),
        np.full(n, price, np.int32),
        np.full(n, size, np.int32),
        np.resize(np.array([1, -1, 0], np.int8), n),
    )


def same(left: Trades, right: Trades) -> bool:
    return all(np.array_equal(getattr(left, c), getattr(right, c)) for c in ("ts", "price", "size", "side"))


@pytest.mark.parametrize("arrow_cache", [False, True])
def test_read_when_written_then_equal_and_read_only(tmp_path: Path, arrow_cache: bool) -> None:
    rows = Trades(
        np.array([1, 1, 5], np.int64),
        np.array([-3, 7, 2**31 - 1], np.int32),
        np.array([1, 2, 3], np.int32),
        np.array([1, 0, -1], np.int8),
        np.array([NO_QUOTE, 6, 7], np.int32),
        np.array([NO_QUOTE, 8, 9], np.int32),
    )
    catalog = Catalog(tmp_path, arrow_cache=arrow_cache)
    entry = catalog.write_trades("ESH4", MONDAY, rows)
    for _ in range(2):  # the second read comes from the Arrow copy
        back = catalog.trades("ESH4", MONDAY)
        assert same(back, rows)
        assert back.bid is not None
        assert back.bid.tolist() == [NO_QUOTE, 6, 7]
        assert not back.ts.flags.writeable
    assert (entry.rows, entry.first_ts, entry.last_ts, entry.volume, entry.has_quotes) == (3, 1, 5, 6, True)
    assert (tmp_path / "trades" / "XCME" / "ESH4" / "2024-03-04.parquet").is_file()
    assert (tmp_path / ".cache").exists() == arrow_cache


def test_read_when_parquet_is_opened_by_polars_then_the_documented_columns(tmp_path: Path) -> None:
    Catalog(tmp_path).write_trades("ESH4", MONDAY, trades([1, 2]))
    frame = pl.read_parquet(tmp_path / "trades/XCME/ESH4/2024-03-04.parquet")
    assert dict(frame.schema) == {"ts": pl.Int64, "price": pl.Int32, "size": pl.Int32, "side": pl.Int8}


def test_read_when_partition_is_replaced_then_the_old_copy_is_not_used(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    catalog.write_trades("ESH4", MONDAY, trades([1, 2], price=100), sha256="a")
    assert catalog.trades("ESH4", MONDAY).price[0] == 100
    catalog.write_trades("ESH4", MONDAY, trades([1, 2], price=200), sha256="b", replace=True)
    assert catalog.trades("ESH4", MONDAY).price[0] == 200


def test_read_when_arrow_copy_is_damaged_then_rebuilt(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    catalog.write_trades("ESH4", MONDAY, trades([1, 2, 3]))
    expected = catalog.trades("ESH4", MONDAY)
    copy = next((tmp_path / ".cache").rglob("*.arrow"))
    for damage in (b"", b"ARROW1\x00\x00nonsense", copy.read_bytes()[:-20]):
        copy.unlink()
        copy.write_bytes(damage)
        assert same(catalog.trades("ESH4", MONDAY), expected)


def test_quotes_and_bars_when_written_then_read_back(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    four = [np.array([v, v + 1], np.int32) for v in (10, 12, 1, 2)]
    quotes = Quotes(np.array([1, 2], np.int64), *four)
    bars = Bars(
        np.array([60, 120], np.int64),
        np.array([5, 6], np.int32),
        np.array([9, 9], np.int32),
        np.array([1, 2], np.int32),
        np.array([6, 7], np.int32),
        np.array([2**40, 0], np.int64),
    )
    with catalog.transaction() as work:
        work.write("quotes", find_instrument("SPY"), MONDAY, quotes, "q.csv", "a", Provenance())
        work.write("bars-60", find_instrument("SPY"), MONDAY, bars, "b.csv", "b", Provenance())
    assert catalog.quotes("SPY", MONDAY).ask.tolist() == [12, 13]
    assert catalog.bars("SPY", MONDAY, 60).volume.tolist() == [2**40, 0]
    assert catalog.symbols("bars-60") == ["SPY"]
    assert catalog.dates("SPY") == []


def test_write_when_sources_cover_other_times_of_a_date_then_joined_in_time_order(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    catalog.write_trades("ESH4", MONDAY, trades([50, 60]), source="day", sha256="b")
    entry = catalog.write_trades("ESH4", MONDAY, trades([10, 20]), source="evening", sha256="a")
    assert catalog.trades("ESH4", MONDAY).ts.tolist() == [10, 20, 50, 60]
    assert [(s.file, s.rows) for s in entry.sources] == [("evening", 2), ("day", 2)]


def test_write_when_another_source_covers_the_same_time_then_refused_and_unchanged(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    catalog.write_trades("ESH4", MONDAY, trades([10, 30]), source="one.csv", sha256="a")
    with pytest.raises(UsageError, match=r"already came from 'one\.csv'.*--replace"):
        catalog.write_trades("ESH4", MONDAY, trades([20, 40]), source="two.csv", sha256="b")
    assert catalog.trades("ESH4", MONDAY).ts.tolist() == [10, 30]
    assert not (tmp_path / ".staging").exists() or not list((tmp_path / ".staging").iterdir())


def test_write_when_replacing_then_only_overlapping_rows_go(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    catalog.write_trades("ESH4", MONDAY, trades([10, 20]), source="a", sha256="a")
    catalog.write_trades("ESH4", MONDAY, trades([50, 60]), source="b", sha256="b")
    catalog.write_trades("ESH4", MONDAY, trades([55, 70]), source="c", sha256="c", replace=True)
    assert catalog.trades("ESH4", MONDAY).ts.tolist() == [10, 20, 55, 70]


def test_transaction_when_the_block_raises_then_nothing_is_visible(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    catalog.write_trades("ESH4", MONDAY, trades([1]))
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def stop_midway() -> None:
        with catalog.transaction() as work:
            work.write("trades", find_instrument("ESH4"), TUESDAY, trades([2]), "x", "x", Provenance())
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        stop_midway()
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    assert catalog.dates("ESH4") == [MONDAY]


def test_open_when_a_writer_died_between_decision_and_last_move_then_completed(tmp_path: Path) -> None:
    other = Catalog(tmp_path / "other")
    other.write_trades("ESH4", TUESDAY, trades([7, 8]))
    catalog = Catalog(tmp_path / "catalog")
    catalog.write_trades("ESH4", MONDAY, trades([1, 2]))
    # The state a crash leaves: redo record and manifest are durable, no file has been moved yet.
    staging = catalog.path / ".staging" / "dead"
    target = "trades/XCME/ESH4/2024-03-05.parquet"
    (staging / "files" / target).parent.mkdir(parents=True)
    (other.path / target).rename(staging / "files" / target)
    both = catalog.manifest.with_changes(other.manifest.entries, {})
    (staging / "manifest.json").write_text(both.model_dump_json())
    (staging / "commit.json").write_text(json.dumps({"files": [target]}))
    reopened = Catalog(catalog.path)
    assert reopened.dates("ESH4") == [MONDAY, TUESDAY]
    assert reopened.trades("ESH4", TUESDAY).ts.tolist() == [7, 8]
    assert reopened.verify() == []


def test_open_when_a_writer_died_before_the_decision_then_ignored(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    catalog.write_trades("ESH4", MONDAY, trades([1, 2]))
    dead = tmp_path / ".staging" / "dead" / "files" / "trades" / "XCME" / "ESH4"
    dead.mkdir(parents=True)
    (dead / "2024-03-05.parquet").write_bytes(b"half")
    assert Catalog(tmp_path).dates("ESH4") == [MONDAY]
    catalog.write_trades("ESH4", WEDNESDAY, trades([3]))  # the next writer clears what is left over
    assert Catalog(tmp_path).dates("ESH4") == [MONDAY, WEDNESDAY]
    assert catalog.verify() == []


def _write_in_process(path: str, day: int) -> None:
    Catalog(path).write_trades("ESH4", date(2024, 3, day), trades([day]))


def test_write_when_processes_write_at_once_then_none_is_lost(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_write_in_process, args=(str(tmp_path), day)) for day in (4, 5, 6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert Catalog(tmp_path).dates("ESH4") == [MONDAY, TUESDAY, WEDNESDAY]


def test_read_when_threads_read_at_once_then_all_equal(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    catalog.write_trades("ESH4", MONDAY, trades(list(range(1_000))))
    seen: list[int] = []
    threads = [threading.Thread(target=lambda: seen.append(int(catalog.trades("ESH4", MONDAY).ts.sum()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [499_500] * 8


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (trades([]), "no rows"),
        (trades([2, 1]), "earlier than the row before"),
        (trades([1], size=0), "size out of range"),
    ],
)
def test_write_when_rows_cannot_be_used_then_data_error(tmp_path: Path, rows: Trades, why: str) -> None:
    with pytest.raises(DataError, match=why):
        Catalog(tmp_path).write_trades("ESH4", MONDAY, rows)
    assert Catalog(tmp_path).entries() == []


def test_read_when_symbol_is_unknown_then_not_found_names_what_there_is(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    catalog.write_trades("ESH4", MONDAY, trades([1]))
    with pytest.raises(NotFoundError, match=r"'ESH5'.*did you mean 'ESH4'"):
        catalog.trades("ESH5", MONDAY)
    with pytest.raises(NotFoundError, match=r"1 dates from 2024-03-04 to 2024-03-04, the nearest 2024-03-04"):
        catalog.trades("ESH4", TUESDAY)


def test_read_when_the_file_is_gone_then_corrupt(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    entry = catalog.write_trades("ESH4", MONDAY, trades([1]))
    (tmp_path / entry.path).unlink()
    with pytest.raises(CorruptFileError, match="not on disk"):
        catalog.trades("ESH4", MONDAY)


def test_resolve_when_contracts_roll_then_the_leader_of_the_session_before(tmp_path: Path) -> None:
    # Volumes by date: the lead passes to June on the 5th, so June is chosen from the 6th on, not on the 5th itself.
    catalog = Catalog(tmp_path)
    for day, march, june in ((MONDAY, 90, 10), (TUESDAY, 40, 60), (WEDNESDAY, 95, 5)):
        catalog.write_trades("ESH4", day, trades([1], size=march))
        catalog.write_trades("ESM4", day, trades([1], size=june))
    assert catalog.resolve("ES", MONDAY) == "ESH4"  # nothing earlier is held: the nearest expiry
    assert catalog.resolve("ES", TUESDAY) == "ESH4"
    assert catalog.resolve("ES", WEDNESDAY) == "ESM4"
    assert catalog.resolve("ESH4", WEDNESDAY) == "ESH4"
    assert catalog.dates("ES") == [MONDAY, TUESDAY, WEDNESDAY]


def test_resolve_when_the_future_is_changed_then_the_same_contract(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    catalog.write_trades("ESH4", MONDAY, trades([1], size=9))
    catalog.write_trades("ESM4", MONDAY, trades([1], size=8))
    catalog.write_trades("ESH4", TUESDAY, trades([1]))
    catalog.write_trades("ESM4", TUESDAY, trades([1], size=1_000))
    chosen = catalog.resolve("ES", TUESDAY)
    catalog.write_trades("ESM4", WEDNESDAY, trades([1], size=1_000_000))
    assert chosen == catalog.resolve("ES", TUESDAY) == "ESH4"


def test_resolve_when_nothing_earlier_and_the_decade_turns_then_the_nearest_expiry(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    for symbol in ("ESH0", "ESZ9"):
        catalog.write_trades(symbol, date(2019, 12, 16), trades([1]))
    assert catalog.resolve("ES", date(2019, 12, 16)) == "ESZ9"


def test_verify_when_whole_then_nothing_and_nothing_changes(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    catalog.write_trades("ESH4", MONDAY, trades([1, 2]))
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    assert catalog.verify() == []
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


def test_verify_when_files_were_changed_removed_or_added_then_each_is_found(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    paths = [tmp_path / catalog.write_trades("ESH4", day, trades([1, 2])).path for day in (MONDAY, TUESDAY, WEDNESDAY)]
    paths[0].write_bytes(paths[0].read_bytes()[:-1] + b"X")
    paths[1].unlink()
    pl.DataFrame({"ts": [2, 1], "price": [1, 1], "size": [1, -1], "side": [1, 5]}).cast(
        {"price": pl.Int32, "size": pl.Int32, "side": pl.Int8}
    ).write_parquet(paths[2])
    (tmp_path / "trades/XCME/ESH4/2024-03-07.parquet").write_bytes(b"stray")
    found = {(Path(f.path).stem, f.check) for f in catalog.verify()}
    assert found == {
        ("2024-03-04", "hash"),
        ("2024-03-04", "columns"),
        ("2024-03-05", "presence"),
        ("2024-03-06", "hash"),
        ("2024-03-06", "range"),
        ("2024-03-06", "order"),
        ("2024-03-06", "size"),
        ("2024-03-06", "side"),
        ("2024-03-07", "manifest"),
    }


def test_open_when_the_manifest_is_damaged_or_of_another_version_then_said(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    catalog.write_trades("ESH4", MONDAY, trades([1]))
    manifest = tmp_path / "manifest.json"
    whole = manifest.read_text()
    manifest.write_text(whole[:40])
    with pytest.raises(CorruptFileError, match="could not be read"):
        Catalog(tmp_path).entries()
    manifest.write_text(whole.replace('"schema_version": 1', '"schema_version": 99'))
    with pytest.raises(UsageError, match="schema version '99'"):
        Catalog(tmp_path).entries()


@given(
    st.lists(
        st.tuples(st.integers(0, 2**62), st.integers(-(2**31) + 1, 2**31 - 1), st.integers(1, 2**31 - 1), st.integers(-1, 1)),
        min_size=1,
        max_size=50,
    )
)
def test_read_when_any_rows_are_written_then_equal(
    tmp_path_factory: pytest.TempPathFactory, data: list[tuple[int, ...]]
) -> None:
    ts, price, size, side = (np.array(c) for c in zip(*sorted(data), strict=True))
    rows = Trades(ts.astype(np.int64), price.astype(np.int32), size.astype(np.int32), side.astype(np.int8))
    catalog = Catalog(tmp_path_factory.mktemp("catalog"))
    catalog.write_trades("SPY", MONDAY, rows)
    assert same(catalog.trades("SPY", MONDAY), rows)
    assert same(Catalog(catalog.path, arrow_cache=False).trades("SPY", MONDAY), rows)


def test_expect_trades_when_there_is_a_copy_or_none_then_what_is_read_is_the_same(tmp_path: Path) -> None:
    rows = trades([1, 2, 3])
    for has_copy in (True, False):
        catalog = Catalog(tmp_path / str(has_copy), arrow_cache=has_copy)
        catalog.write_trades("ESH4", MONDAY, rows)
        catalog.expect_trades("ESH4", MONDAY)
        assert same(catalog.trades("ESH4", MONDAY), rows)
        catalog.arrow_copy(catalog.entry("ESH4", MONDAY).key).unlink(missing_ok=True)
        catalog.expect_trades("ESH4", MONDAY)
        assert same(catalog.trades("ESH4", MONDAY), rows)
