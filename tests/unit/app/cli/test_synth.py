"""`sovereign data synth` from the command line."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from sovereign.app.cli.synth import command
from sovereign.core.errors import UsageError
from sovereign.core.instrument import find_instrument
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import SyntheticConfig, SyntheticMarket
from sovereign.store.catalog import Catalog

WEEK = ["--symbol", "ES", "--from", "2025-11-26", "--sessions", "2", "--seed", "3", "--ticks", "2000"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # so that no configuration file of the checkout is read


def _run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, list(arguments))


def test_synth_when_run_then_the_catalog_holds_the_market_marked_simulated(tmp_path: Path) -> None:
    result = _run(*WEEK, "--catalog", str(tmp_path / "c"), "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["is_simulated"] is True
    assert told["label"] == "simulated market, seed 3"
    assert [row["trade_date"] for row in told["sessions"]] == ["2025-11-26", "2025-11-28"]
    assert told["ticks"] == 2_000 + round(2_000 * 210 / 390)
    catalog = Catalog(tmp_path / "c")
    day = date(2025, 11, 26)
    assert catalog.is_simulated("ES", day)
    session = calendar_for("CME_EQUITY").session(day)
    assert session is not None
    expected = SyntheticMarket(SyntheticConfig(ticks_per_session=2_000), 3).session_trades(find_instrument("ES"), session)
    assert catalog.trades("ES", day).price.tolist() == expected.price.tolist()
    assert catalog.verify() == []


def test_synth_when_not_json_then_the_text_says_simulated(tmp_path: Path) -> None:
    result = _run(*WEEK, "--null", "--catalog", str(tmp_path / "c"))
    assert result.exit_code == 0, result.output
    assert "SIMULATED (simulated null market, seed 3)" in result.stdout
    prices = Catalog(tmp_path / "c").trades("ES", date(2025, 11, 26))
    assert prices.bid is not None
    assert prices.bid.tolist() == prices.price.tolist()


def test_synth_when_sessions_exist_then_refused_unless_replaced(tmp_path: Path) -> None:
    where = ["--catalog", str(tmp_path / "c")]
    _run(*WEEK, *where)
    again = _run(*WEEK, *where)
    assert isinstance(again.exception, UsageError)
    assert "--replace" in str(again.exception)
    assert _run(*WEEK, *where, "--replace").exit_code == 0


def test_synth_when_the_catalog_holds_traded_data_then_refused_even_with_replace(tmp_path: Path) -> None:
    es = find_instrument("ESZ5")
    session = calendar_for("CME_EQUITY").session(date(2025, 11, 28))
    assert session is not None
    trades = SyntheticMarket(SyntheticConfig(ticks_per_session=100)).session_trades(es, session)
    Catalog(tmp_path / "c").write_trades("ESZ5", session.trade_date, trades, source="stands for a traded tape")
    result = _run(*WEEK, "--catalog", str(tmp_path / "c"), "--replace")
    assert isinstance(result.exception, UsageError)
    assert "as traded data" in str(result.exception)
    assert Catalog(tmp_path / "c").dates("ES") == [session.trade_date]


def test_synth_when_all_hours_then_the_evening_before_is_there(tmp_path: Path) -> None:
    result = _run(*WEEK, "--hours", "all", "--catalog", str(tmp_path / "c"))
    assert result.exit_code == 0, result.output
    session = calendar_for("CME_EQUITY").session(date(2025, 11, 26))
    assert session is not None
    assert Catalog(tmp_path / "c").trades("ES", session.trade_date).ts[0] < session.regular_open_ns
