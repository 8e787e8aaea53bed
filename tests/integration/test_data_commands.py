"""`sovereign data import | list | verify` as a user meets them: good files, and every kind of bad one."""

from __future__ import annotations

import csv
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from sovereign.app.cli.main import run
from sovereign.store.catalog import Catalog

NOON = 1_709_661_600  # 2024-03-05 18:00:00 UTC
REAL = "es_mbo_cme_20231225/esh4-glbx-mdp3-20231225.mbo.dbn.zst"


class Command:
    """`sovereign data ...` on a catalog of the test's own: exit code, standard output and errors."""

    def __init__(self, catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.catalog, self._capsys = catalog, capsys

    def __call__(self, *words: object) -> tuple[int, str, str]:
        code = run(["data", *map(str, words), "--catalog", str(self.catalog)])
        printed = self._capsys.readouterr()
        return code, printed.out, printed.err

    def as_json(self, *words: object) -> tuple[int, Any]:
        code, out, _ = self(*words, "--json")
        return code, json.loads(out)

    def quarantine(self) -> list[dict[str, str]]:
        rows = []
        for file in sorted((self.catalog / "quarantine").glob("*.csv")):
            with file.open() as stream:
                rows += list(csv.DictReader(stream))
        return rows

    def contents(self) -> dict[str, bytes]:
        files = [p for p in self.catalog.rglob("*") if p.is_file() and p.name != ".lock"]
        return {str(p.relative_to(self.catalog)): p.read_bytes() for p in files}


@pytest.fixture
def data(catalog_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(catalog_path, capsys)


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_import_when_a_symbol_has_many_dates_then_they_are_one_line_and_the_list_has_each(
    data: Command, tmp_path: Path
) -> None:
    days = [f"2024-03-{day:02}" for day in (4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 18)]
    some = {"SPY": days, "QQQ": days[:2]}
    rows = [f"{day},{symbol},10,11.004,9,10.5,7" for symbol in some for day in some[symbol]]
    file = write(tmp_path / "bars.csv", "date,symbol,open,high,low,close,volume", *rows)
    code, out, _ = data("import", file, "--kind", "bars-86400")
    assert code == 0
    lines = [line.strip() for line in out.splitlines() if line.strip().startswith("bars-86400")]
    assert lines == [
        "bars-86400 QQQ 2024-03-04: 1 rows, 1 rounded",
        "bars-86400 QQQ 2024-03-05: 1 rows, 1 rounded",
        "bars-86400 SPY 11 dates, 2024-03-04 to 2024-03-18: 11 rows, 11 rounded",
    ]
    assert data("list", "--days")[1].count("bars-86400 SPY 2024-03-") == 11


# The five kinds of bad input.


def test_import_when_dbn_is_truncated_then_the_whole_part_is_kept_and_said(
    data: Command, shared_data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("databento_dbn", reason="the extra 'dbn' is not installed")
    packed = (shared_data / REAL).read_bytes()
    file = tmp_path / "esh4.mbo.dbn.zst"
    file.write_bytes(packed[: len(packed) // 2])
    code, out, _ = data("import", file)
    assert code == 1
    assert "NOT WHOLE" in out
    assert "partial" in out
    rows = Catalog(data.catalog).trades("ESH4", date(2023, 12, 26))
    assert 0 < len(rows) < 2973
    assert data("verify")[0] == 0
    code, result = data.as_json("import", file)  # repeating it changes nothing and still says so
    assert (code, result["files"][0]["status"]) == (1, "already there")
    code, result = data.as_json("import", shared_data / REAL, "--replace")
    assert (code, result["rows"]) == (0, 2973)
    assert len(Catalog(data.catalog).trades("ESH4", date(2023, 12, 26))) == 2973


def test_import_when_csv_lacks_columns_then_usage_error_and_nothing_written(data: Command, tmp_path: Path) -> None:
    file = write(tmp_path / "ESH4.csv", "time,last_trade,comment", f"{NOON},5100.25,x")
    code, _, err = data("import", file)
    assert code == 2
    assert "columns found were time, last_trade, comment" in err
    assert "trades need ts, price, size" in err
    assert "--map" in err
    assert data.contents() == {}
    assert data("import", file, "--map", "last_trade=price", "--map", "comment=size")[0] == 1  # 'x' is no size
    assert data.contents() == {}


def test_import_when_prices_are_nan_or_negative_then_quarantined_and_counted(data: Command, tmp_path: Path) -> None:
    file = write(
        tmp_path / "ESH4.csv", "ts,price,size", f"{NOON},5100.25,1", f"{NOON},NaN,1", f"{NOON},-3.25,1", f"{NOON},5100.5,2"
    )
    code, result = data.as_json("import", file)
    assert code == 0
    assert (result["rows"], result["quarantined"]) == (2, 2)
    assert data.quarantine() == [
        {"file": "ESH4.csv", "row": "3", "reason": "price was NaN", "ts": str(NOON * 10**9)},
        {"file": "ESH4.csv", "row": "4", "reason": "price was -3.25, not positive", "ts": str(NOON * 10**9)},
    ]
    assert result["files"][0]["quarantine_file"] in data.contents()
    assert Catalog(data.catalog).trades("ESH4", date(2024, 3, 5)).price.tolist() == [20_401, 20_402]
    assert Catalog(data.catalog).entries()[0].provenance.quarantined == 2


def test_import_when_times_are_out_of_order_or_repeated_then_sorted_once_and_counted(data: Command, tmp_path: Path) -> None:
    file = write(
        tmp_path / "ESH4.csv",
        "trade_id,ts,price,size",
        f"1,{NOON + 2},5100.25,1",
        f"2,{NOON},5100.50,2",
        f"3,{NOON},5100.75,3",
        f"2,{NOON},5100.50,2",
    )
    code, result = data.as_json("import", file)
    assert code == 0
    (part,) = result["files"][0]["partitions"]
    assert (part["rows"], part["unordered"], part["quarantined"]) == (3, 1, 1)
    assert data.quarantine()[0]["row"] == "5"
    assert "trade id 2" in data.quarantine()[0]["reason"]
    assert Catalog(data.catalog).trades("ESH4", date(2024, 3, 5)).size.tolist() == [2, 3, 1]


def test_import_when_symbol_is_unknown_then_not_found_and_nothing_written(data: Command, tmp_path: Path) -> None:
    file = write(tmp_path / "ticks.csv", "ts,price,size", f"{NOON},5100.25,1")
    code, _, err = data("import", file, "--symbol", "ES_FRONT")
    assert code == 3
    assert "symbol was 'ES_FRONT'" in err
    assert data.contents() == {}


# The rest of a user's day.


def test_import_when_the_real_day_then_counts_by_side(data: Command, shared_data: Path) -> None:
    pytest.importorskip("databento_dbn", reason="the extra 'dbn' is not installed")
    code, out, _ = data("import", shared_data / REAL)
    assert code == 0
    assert "2,973 rows (1,542 buy, 1,430 sell, 1 none; as given)" in out


def test_import_when_five_days_of_equity_ticks_then_nothing_is_lost(data: Command, shared_data: Path) -> None:
    files = sorted((shared_data / "us_equity_ticks_2013").glob("SPY_trades_*.parquet"))
    code, result = data.as_json("import", *files)
    assert code == 0
    # The source marks ten prints of the fourth day as suspicious, 93 are off the market; rows in files: 1,887,460.
    assert (result["rows"], result["quarantined"]) == (1_887_357, 103)
    days = [p["trade_date"] for f in result["files"] for p in f["partitions"]]
    assert days == [f"2013-10-{d:02}" for d in (7, 8, 9, 10, 11)]
    assert {p["aggressor"] for f in result["files"] for p in f["partitions"]} == {"tick rule"}


def test_import_when_repeated_then_already_there_and_unchanged(data: Command, tmp_path: Path) -> None:
    file = write(tmp_path / "ESH4.csv", "ts,price,size", f"{NOON},5100.25,1", f"{NOON},0,1")
    assert data("import", file)[0] == 0
    before = data.contents()
    code, out, _ = data("import", file)
    assert (code, data.contents()) == (0, before)
    assert "already there (1 rows)" in out


def test_import_when_another_file_covers_the_same_time_then_refused_unless_replacing(data: Command, tmp_path: Path) -> None:
    one = write(tmp_path / "ESH4_a.csv", "ts,price,size", f"{NOON},5100.25,1", f"{NOON + 9},5100.25,1")
    two = write(tmp_path / "ESH4_b.csv", "ts,price,size", f"{NOON + 5},5100.50,7")
    assert data("import", one)[0] == 0
    before = data.contents()
    code, _, err = data("import", two)
    assert code == 2
    assert "--replace" in err
    assert data.contents() == before
    assert data("import", two, "--replace")[0] == 0
    assert Catalog(data.catalog).trades("ESH4", date(2024, 3, 5)).size.tolist() == [7]
    assert data("import", one, "--replace")[0] == 0
    assert data("verify")[0] == 0


def test_import_when_one_file_of_several_fails_then_the_others_are_imported(data: Command, tmp_path: Path) -> None:
    good = write(tmp_path / "ESH4.csv", "ts,price,size", f"{NOON},5100.25,1")
    bad = write(tmp_path / "NQH4.csv", "a,b", "1,2")
    code, result = data.as_json("import", bad, good, tmp_path / "none.csv")
    assert code == 2
    assert [(f["status"], f["exit_code"]) for f in result["files"]] == [("failed", 2), ("imported", 0), ("failed", 3)]
    assert Catalog(data.catalog).symbols() == ["ESH4"]


def test_import_when_the_guess_is_made_then_it_is_printed(data: Command, tmp_path: Path) -> None:
    file = write(tmp_path / "ESH4.csv", "when;LastPx;qty", "2024-03-05 13:00:00;5100,25;1")
    code, out, _ = data("import", file, "--map", "when=ts", "--zone", "America/New_York")
    assert code == 0
    for said in ("delimiter ';'", "LastPx", "America/New_York", "ESH4 (from the file name)", "tick rule"):
        assert said in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--map", "price"], "write COLUMN=NAME"),
        (["--zone", "Mars/Olympus"], "zone was 'Mars/Olympus'"),
        (["--aggressor", "tik"], "did you mean 'tick'"),
        (["--stamp", "middle"], "allowed are open, close"),
        (["--kind", "tickz"], "--kind was 'tickz'"),
    ],
)
def test_import_when_an_option_is_wrong_then_usage_error(data: Command, tmp_path: Path, words: list[str], said: str) -> None:
    file = write(tmp_path / "ESH4.csv", "ts,price,size", f"{NOON},5100.25,1")
    code, _, err = data("import", file, *words)
    assert code == 2
    assert said in err


def test_list_when_filled_then_symbols_and_days(data: Command, tmp_path: Path) -> None:
    assert "nothing yet" in data("list")[1]
    data("import", write(tmp_path / "ESH4.csv", "ts,price,size", f"{NOON},5100.25,1", f"{NOON + 86_400},5100.25,1"))
    data("import", write(tmp_path / "SPY_1m.csv", "ts,open,high,low,close,volume", f"{NOON},1,2,1,1.5,9"))
    code, out, _ = data("list")
    assert code == 0
    assert "trades ESH4 (XCME): 2 dates 2024-03-05 to 2024-03-06, 2 rows" in out
    assert "bars-60 SPY" in out
    assert "bars-60" not in data("list", "--symbol", "ES")[1]
    code, result = data.as_json("list", "--kind", "trades")
    assert [p["trade_date"] for p in result["partitions"]] == ["2024-03-05", "2024-03-06"]
    assert "  trades ESH4 2024-03-06: 1 rows" in data("list", "--days")[1]


def test_list_when_simulated_then_labeled(data: Command) -> None:
    import numpy as np

    from sovereign.core.columns import Trades

    ones = np.ones(1, np.int32)
    Catalog(data.catalog).write_trades(
        "ES", date(2024, 3, 5), Trades(np.ones(1, np.int64), ones, ones, ones.astype(np.int8)), is_simulated=True
    )
    assert "SIMULATED" in data("list")[1]


def test_verify_when_a_file_was_changed_then_exit_code_one_and_the_finding(data: Command, tmp_path: Path) -> None:
    data("import", write(tmp_path / "ESH4.csv", "ts,price,size", f"{NOON},5100.25,1"))
    assert data("verify")[:2] == (0, f"1 partitions in {data.catalog}: all whole\n")
    file = data.catalog / "trades/XCME/ESH4/2024-03-05.parquet"
    file.write_bytes(file.read_bytes() + b"!")
    code, result = data.as_json("verify")
    assert code == 1
    assert {f["check"] for f in result["findings"]} >= {"hash"}


def test_settings_when_they_name_a_catalog_then_it_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "ESH4.csv", "ts,price,size", f"{NOON},5100.25,1")
    assert run(["data", "import", str(file), "--set", f"data.catalog={tmp_path / 'elsewhere'}"]) == 0
    capsys.readouterr()
    assert Catalog(tmp_path / "elsewhere").symbols() == ["ESH4"]
