"""`sovereign run --broker alpaca` as a process of its own: it connects, waits for the market or trades, and ends when told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("alpaca", reason="the extra 'alpaca' is not installed")

from fakes.alpaca_server import KEYS, AlpacaServer
from sovereign.store.store import Store

PATIENCE_S = 180.0  # with an empty cache the process compiles its kernels first


@pytest.fixture
def server() -> Iterator[AlpacaServer]:
    with AlpacaServer(cash="25000") as running:
        yield running


def said_by_run(server: AlpacaServer, folder: Path, words: list[str], sets: list[str], is_begun: Callable[[], bool]) -> str:
    """Trade at the server until it `is_begun`, tell the process to end, and return what it said."""
    config = server.config()
    sets = [f"alpaca.{name}={getattr(config, name)}" for name in ("data_url", "stream_url", "paper_url")] + sets
    words = ["run", *words, "--broker", "alpaca", *(word for one in sets for word in ("--set", one))]
    output = folder / "out.txt"
    with output.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "sovereign.app.cli.main", *words],
            cwd=folder,
            env={**os.environ, "ALPACA_API_KEY": KEYS.key, "ALPACA_SECRET_KEY": KEYS.secret},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        try:
            end = time.monotonic() + PATIENCE_S
            while "begun" not in output.read_text() or not is_begun():
                assert process.poll() is None, output.read_text()
                assert time.monotonic() < end, f"waited {PATIENCE_S} s for a session; it said {output.read_text()}"
                time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0, output.read_text()
        finally:
            process.kill()
            process.wait(PATIENCE_S)
    return output.read_text()


def test_run_when_the_broker_is_alpaca_then_it_subscribes_takes_the_cash_and_ends_when_told(
    server: AlpacaServer, tmp_path: Path
) -> None:
    words = ["order_flow", "--symbol", "NVDA", "--once"]
    said = said_by_run(server, tmp_path, words, [], lambda: bool(server.listeners("data") and server.listeners("updates")))
    assert KEYS.secret not in said
    assert server.subscribed[0] == {"trades": ["NVDA"], "quotes": ["NVDA"]}
    assert server.posted() == []
    with Store(f"sqlite:///{tmp_path}/sovereign.sqlite") as store:
        session = store.live.session("last")
        assert (session.account, session.strategy, session.mode) == ("paper", "order_flow", "paper")
        assert session.status == "stopped"


def test_run_when_the_tug_of_war_is_traded_then_its_watchlist_and_benchmarks_are_subscribed_and_scouts_stop_nothing(
    server: AlpacaServer, tmp_path: Path
) -> None:
    # Nobody answers there: news are no data, and the session goes on.
    sets = [f"news.sources.{name}=http://127.0.0.1:9" for name in ("yahoo_url", "stocktwits_url", "edgar_data_url")]
    sets += ["news.sources.backoff_s=0", 'universe.targets=["NVDA","JPM"]']
    with Store(f"sqlite:///{tmp_path}/sovereign.sqlite") as store:
        said_by_run(server, tmp_path, ["tug_of_war"], sets, lambda: bool(store.scouts.latest_readings(("JPM",), 2**62)))
    symbols = ["JPM", "NVDA", "QQQ", "SPY"]
    assert {name: sorted(found) for name, found in server.subscribed[0].items()} == {"trades": symbols, "quotes": symbols}
    with Store(f"sqlite:///{tmp_path}/sovereign.sqlite") as store:
        (reading,) = store.scouts.latest_readings(("JPM",), 2**62)
        assert set(reading.missing) == {"EDGAR", "Yahoo", "StockTwits"}
        assert store.run(store.live.session("last").id).record.symbols == ("SPY", "QQQ", "NVDA", "JPM")
