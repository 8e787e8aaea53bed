"""The tape at the simulated exchange: quotes with sizes on the session's line, snapshots by market time, a kill on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Any

import pytest

from fakes.news_server import NewsServer, submission
from sovereign.app.cli.main import run
from sovereign.app.configuration import Settings
from sovereign.app.venue import tape_opener
from sovereign.core.session import NS_PER_MINUTE, from_ns
from sovereign.core.tape import TapeSnapshot
from sovereign.execution.venue.configuration import TapeSpec
from sovereign.feeds.calendar import calendar_for
from sovereign.signals.tape import TapeConfig, snapshots, tape_rows
from sovereign.store.store import Store

SHARES = ("NVDA", "JPM")
SYMBOLS = (*SHARES, "QQQ", "SPY")
DAY = date(2025, 11, 17)
SECONDS = 3_600
ENOUGH_S = 150
SESSION = "paper-tug_of_war-20251117"
KILLED_AT_S = 600
OLDEST_MINUTES = 30  # a market in lockstep comes minutes further while a snapshot is on its way
TAPE = {"min_buckets": 6}
"""A score needs a minute here, so that a short session has many."""

SETTINGS = {
    "strategies.tug_of_war.bar_seconds": 60,
    "strategies.tug_of_war.institution.range_minutes": 5,
    "strategies.tug_of_war.confidence.measure": "raw",
    "strategies.tug_of_war.conflict.min_opposed": 0.5,
    "strategies.tug_of_war.conflict.min_alone": 0.5,
    "strategies.tug_of_war.without": '["earnings","regime","kelly"]',
    "strategies.tug_of_war.crowd.tape_age_minutes": OLDEST_MINUTES,
    "venue.state": "venue",
    "execution.latency_ms": 250,
    "risk.min_reward_to_cost": 0,
    "risk.first_entry_after_open_minutes": 5,
    "risk.max_position_frac": 0.2,
    "news.sources.backoff_s": 0,
    "news.sources.edgar_identity": "Jane Doe jane@example.com",
    "news.sources.folder": "filings",
    "live.backlog_ms": 600_000,
    "live.stale_data_s": 60,
    "live.poll_ms": 20,
    "live.retry_s": 0.1,
    "session.evidence_every_s": 0.02,
    "tape.min_buckets": TAPE["min_buckets"],
    "portfolio_market.step_seconds": 10,
}


@pytest.fixture
def news() -> Iterator[NewsServer]:
    with NewsServer() as server:
        opens = from_ns(window()[0]).astimezone(UTC)
        server.filings["0001-25-1"] = submission("0001-25-1", "20251117080000", "Record profit and strong growth")
        server.headlines.append(("Strong growth and record profit", opens - timedelta(hours=1)))
        yield server


def window() -> tuple[int, int]:
    session = calendar_for("XNYS").session(DAY)
    assert session is not None
    return session.regular_open_ns, session.regular_open_ns + SECONDS * 10**9


def words(server: NewsServer) -> list[str]:
    urls = ("edgar_files_url", "edgar_data_url", "yahoo_url", "stocktwits_url")
    found: dict[str, Any] = {**SETTINGS, **{f"news.sources.{name}": server.address for name in urls}}
    return [word for key, value in found.items() for word in ("--set", f"{key}={value}")]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "sovereign.app.cli.main", *arguments]


def variables() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src"), "ENABLE_LIVE_TRADING": ""}


def sovereign(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=folder, env=variables(), capture_output=True, text=True, check=False, timeout=ENOUGH_S
    )


@pytest.fixture
def venue(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The simulated exchange in a process of its own; its folder. The parameter is its pace."""
    symbols = [word for symbol in SYMBOLS for word in ("--symbol", symbol)]
    times = ("--seconds", str(SECONDS), *request.param, "--latency", "250", "--slice", "10000", "--port", "0")
    more = ("--accounts", "paper:100000", "--set", "venue.state=venue", "--set", "portfolio_market.step_seconds=10")
    process = subprocess.Popen(command("venue", *symbols, *times, *more), cwd=tmp_path, env=variables(), stdout=subprocess.PIPE)
    try:
        if process.stdout is None or not process.stdout.readline():
            raise AssertionError("the venue did not start")
        yield tmp_path
    finally:
        process.kill()
        process.communicate(timeout=60)


def made() -> dict[str, list[TapeSnapshot]]:
    """What the scout's arithmetic makes of the quotes as the market itself makes them."""
    spec = TapeSpec(symbol=SYMBOLS[0], others=SYMBOLS[1:], start=DAY, seconds=SECONDS)
    tape = tape_opener(Settings.model_validate({"portfolio_market": {"step_seconds": 10}}))(spec)
    (session,) = tape.sessions
    config, (opens, closes) = TapeConfig(**TAPE), window()
    return {
        symbol: snapshots(symbol, tape_rows(quotes, opens, closes, config), opens, 0.01, config)
        for symbol, quotes in tape.quotes(session).items()
    }


def kill_on_the_way(folder: Path, arguments: list[str]) -> None:
    """Trade until the market has come some way, with the tape in the record, then end the process without a word."""
    process = subprocess.Popen(
        command("run", "tug_of_war", *arguments), cwd=folder, env=variables(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + ENOUGH_S
    try:
        with Store(f"sqlite:///{folder}/sovereign.sqlite") as store:
            while process.poll() is None:
                assert time.monotonic() < deadline, f"the session had not come to {KILLED_AT_S} s after {ENOUGH_S} s"
                results = store.scouts.rows("tug_results", "paper")
                if results and results[-1]["ts"] >= window()[0] + KILLED_AT_S * 10**9:
                    break
                time.sleep(0.02)
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.communicate(timeout=60)


LOCKSTEP = ("--pace", "lockstep")


@pytest.mark.parametrize("venue", [LOCKSTEP], indirect=True, ids=["lockstep"])
def test_run_when_the_exchange_quotes_sizes_then_its_tape_is_scouted_and_decides_the_same_after_a_kill(
    venue: Path, news: NewsServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--interval", "5", *words(news)]
    kill_on_the_way(venue, arguments)
    done = sovereign(venue, "run", "tug_of_war", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    (traded,) = json.loads(done.stdout)
    assert (traded["session_id"], traded["is_closed"]) == (SESSION, True)
    monkeypatch.chdir(venue)
    assert run(["twin", SESSION, "--json", *words(news)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["replay"]["is_exact"], told["replay"]
    expected = made()
    with Store(f"sqlite:///{venue}/sovereign.sqlite") as store:
        for symbol in SHARES:
            # Every minute of the session, once, whoever of the two processes kept it: the flow of the wire is the market's.
            kept = store.scouts.snapshots(symbol, 0, 2**62)
            assert [str(one) for one in kept] == [str(one) for one in expected[symbol]]
        assert store.scouts.snapshots("SPY", 0, 2**62) == []  # benchmarks are not traded
        check_rows(store, expected)


def check_rows(store: Store, expected: dict[str, list[TapeSnapshot]]) -> None:
    """Both the record of the agents and the decisions at the door hold scores of snapshots that were known."""
    signals = [
        (row["ts"], row["symbol"], row["ofi_z_score"])
        for row in store.scouts.rows("tug_signals", "paper")
        if row["ofi_z_score"] is not None
    ]
    decided = [
        (row["ts"], row["symbol"], inputs["ofi_z"])
        for row in store.table(SESSION, "door_decisions")
        if "ofi_z" in (inputs := json.loads(row["inputs"]))
    ]
    assert signals
    assert decided
    for ts, symbol, score in signals + decided:
        known = [one.ofi_z for one in expected[symbol] if ts - OLDEST_MINUTES * NS_PER_MINUTE <= one.ts <= ts]
        assert any(score == pytest.approx(one, abs=1e-9) for one in known), (from_ns(ts), symbol, score, known)


@pytest.mark.parametrize("venue", [("--pace", "fast", "--speed", "600")], indirect=True, ids=["fast"])
def test_scout_when_told_to_watch_the_exchange_then_keeps_its_snapshots_until_the_tape_ends(
    venue: Path, news: NewsServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(venue)
    symbols = [word for symbol in (*SHARES, "CAT") for word in ("--symbol", symbol)]
    assert run(["scout", "tape", "--broker", "venue", "--json", *symbols, *words(news)]) == 0
    assert json.loads(capsys.readouterr().out) == {"snapshots": len(SHARES) * SECONDS // 60}
    expected = made()
    with Store(f"sqlite:///{venue}/sovereign.sqlite") as store:
        for symbol in SHARES:
            kept = store.scouts.snapshots(symbol, 0, 2**62)
            assert [str(one) for one in kept] == [str(one) for one in expected[symbol]]


@pytest.mark.parametrize("venue", [LOCKSTEP], indirect=True, ids=["lockstep"])
def test_scout_when_the_exchange_has_none_of_its_symbols_then_says_what_it_has(
    venue: Path, news: NewsServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(venue)
    assert run(["scout", "tape", "--broker", "venue", "--symbol", "CAT", *words(news)]) == 3
    assert "NVDA, JPM, QQQ, SPY" in capsys.readouterr().err
    assert run(["scout", "tape", "--broker", "venu"]) == 2
    assert "venue" in capsys.readouterr().err
