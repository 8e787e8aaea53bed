"""`sovereign backtest --symbols`: files of daily bars in, one portfolio on one clock out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from example_portfolio import example_strategies, write_daily
from sovereign.app.cli.main import run
from sovereign.feeds.calendar import calendar_for

DAYS = [session.trade_date for session in calendar_for("XNYS").sessions(date(2024, 1, 2), date(2024, 4, 30))]


def wave(period: int, shift: int, level: int = 10_000, swing: int = 60) -> list[int]:
    """Closes (cents) that rise for half a period and fall for the other."""
    closes, price = [], level
    for n in range(len(DAYS)):
        price += swing if (n + shift) % period < period // 2 else -swing
        closes.append(price)
    return closes


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("portfolio")
    shapes = {"SPY": (30, 0), "NVDA": (22, 3), "AMD": (26, 9)}
    files = [write_daily(folder / f"{name}.csv", name, DAYS, wave(*shape)) for name, shape in shapes.items()]
    assert run(["data", "import", *map(str, files), "--catalog", str(folder / "catalog")]) == 0
    return folder / "catalog"


@pytest.fixture(autouse=True)
def examples() -> Iterator[None]:
    with example_strategies():
        yield


class Backtest:
    """The command in a folder of its own."""

    def __init__(self, folder: Path, catalog: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.catalog, self._capsys = folder, catalog, capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        places = {
            "data.catalog": self.catalog,
            "report.folder": self.folder / "runs",
            "store.url": f"sqlite:///{self.folder}/store.sqlite",
        }
        sets = [word for key, value in places.items() for word in ("--set", f"{key}={value}")]
        self._capsys.readouterr()
        code = run(["backtest", "average_cross", *words, *sets])
        printed = self._capsys.readouterr()
        return code, printed.out, printed.err

    def plain(self, *words: str) -> dict[str, Any]:
        code, out, err = self(*words, "--no-evidence", "--json")
        assert code == 0, err
        found: dict[str, Any] = json.loads(out)
        return found


@pytest.fixture
def backtest(tmp_path: Path, catalog: Path, capsys: pytest.CaptureFixture[str]) -> Backtest:
    return Backtest(tmp_path, catalog, capsys)


def trades_of(found: dict[str, Any]) -> list[dict[str, str]]:
    import csv

    with (Path(found["report"]).parent / "trades.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_backtest_of_two_shares_when_run_then_one_account_holds_both_over_nights(backtest: Backtest) -> None:
    found = backtest.plain("--symbols", "NVDA,AMD")
    trades = trades_of(found)
    assert {trade["symbol"] for trade in trades} == {"NVDA", "AMD"}  # the benchmark is seen and not traded
    by_symbol = {group["key"]: group for group in found["breakdowns"]["symbol"]}
    assert set(by_symbol) == {"NVDA", "AMD"}
    assert sum(group["trades"] for group in by_symbol.values()) == len(trades)
    assert sum(Decimal(group["net"]) for group in by_symbol.values()) == sum(Decimal(trade["net"]) for trade in trades)
    days = [(trade["entry_utc"][:10], trade["exit_utc"][:10]) for trade in trades]
    assert any(entry < exit_ for entry, exit_ in days), "nothing was held overnight"


def test_backtest_when_nothing_limits_it_then_each_share_trades_as_it_does_alone(backtest: Backtest) -> None:
    one = ("--set", "risk.max_quantity=1")
    together = trades_of(backtest.plain("--symbols", "NVDA,AMD", *one))
    assert len(together) >= 4
    alone = [trade for name in ("NVDA", "AMD") for trade in trades_of(backtest.plain("--symbols", name, *one))]
    facts = ("symbol", "side", "quantity", "entry_ns", "exit_ns", "entry_price", "exit_price", "net")
    assert sorted(tuple(t[f] for f in facts) for t in together) == sorted(tuple(t[f] for f in facts) for t in alone)


def test_backtest_when_one_position_is_allowed_then_the_second_is_refused_by_name(backtest: Backtest) -> None:
    few = backtest.plain("--symbols", "NVDA,AMD", "--set", "risk.max_positions=1", "--set", "risk.max_working_entries=1")
    assert few["refused"].get("positions", 0) > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--symbols", "NVDA,AMD", "--symbol", "NVDA"), "give one of them"),
        (("--symbols", "NVDA,NVDA"), "name each symbol once"),
        (("--symbols", "NVDA,CRWD"), "no 86400-second bars of 'CRWD'"),
        (("--symbols", "NVDA,AMD", "--interval", "5x"), "--interval was '5x'"),
        (("--symbols", "NVDA,AMD", "--from", "2024-02-01", "--days", "10"), "give one of them"),
    ],
)
def test_backtest_when_asked_for_what_there_is_not_then_says_so(backtest: Backtest, words: tuple[str, ...], said: str) -> None:
    code, _, err = backtest(*words)
    assert code != 0
    assert said in err


def test_backtest_of_order_flow_on_bars_when_asked_then_refused_since_bars_tell_no_aggressor(
    backtest: Backtest, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(
        ["backtest", "order_flow", "--symbols", "NVDA,AMD", "--interval", "1d", "--set", f"data.catalog={backtest.catalog}"]
    )
    assert code != 0
    assert "needs ticks" in capsys.readouterr().err


def test_backtest_when_it_begins_later_then_signals_have_read_all_that_the_catalog_held_before(backtest: Backtest) -> None:
    def trades(*words: str) -> list[dict[str, str]]:
        return trades_of(backtest.plain("--symbols", "NVDA", *words))

    def entries(found: list[dict[str, str]], first: str) -> list[str]:
        return [trade["entry_utc"] for trade in found if trade["entry_utc"] > first]

    whole = trades()
    days = [day.isoformat() for day in DAYS]
    begin = days[days.index(whole[1]["entry_utc"][:10]) - 3]  # flat then: the first was closed before, the second not entered
    assert whole[0]["exit_utc"][:10] < begin
    warm = trades("--from", begin, "--set", "session.warm_up_sessions=60")
    cold = trades("--from", begin, "--set", "session.warm_up_sessions=0")
    assert entries(warm, begin) == entries(whole, begin)
    assert entries(cold, begin) != entries(whole, begin)


def test_backtest_when_there_is_too_little_history_for_a_strategy_then_says_so_and_why_nothing_was_traded(
    tmp_path: Path, catalog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = {
        "data.catalog": catalog,
        "report.folder": tmp_path / "runs",
        "store.url": f"sqlite:///{tmp_path}/store.sqlite",
        "strategies.tug_of_war.bar_seconds": 86_400,
        "strategies.tug_of_war.benchmarks": '["SPY"]',
        "risk.flatten_before_close_minutes": "none",
        "risk.can_enter_at_close": "true",
    }
    words = [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
    assert run(["backtest", "tug_of_war", "--symbols", "NVDA,AMD", "--interval", "1d", "--no-evidence", *words]) == 0
    printed = capsys.readouterr()
    note = "Signals need 570 sessions and saw 0 before the first one: in the first 570 some of them are not known"
    assert f"note: {note}" in printed.err
    assert "nothing was traded: there was no candidate" in printed.out
    report = next((tmp_path / "runs").glob("*/report.html")).read_text(encoding="utf-8")
    assert note in report


def test_backtest_when_the_catalog_has_nothing_of_it_then_says_what_it_has(backtest: Backtest) -> None:
    code, _, err = backtest("--symbols", "NVDA", "--interval", "ticks")
    assert code == 3
    assert "has no ticks of them, only bars-86400" in err
