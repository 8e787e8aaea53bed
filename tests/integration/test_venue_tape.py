"""The tape at the simulated exchange: quotes with sizes on the session's line, snapshots by market time, a kill on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.commands import done
from fakes.news_server import NewsServer
from fakes.tug_paper import DAY, ENOUGH_S, SESSION, exchange, good_news, kill_at, set_words, window
from sovereign.app.cli.main import run
from sovereign.app.configuration import Settings
from sovereign.app.venue import tape_opener
from sovereign.core.session import NS_PER_MINUTE, from_ns
from sovereign.core.tape import TapeSnapshot
from sovereign.execution.venue.configuration import TapeSpec
from sovereign.signals.tape import TapeConfig, snapshots, tape_rows
from sovereign.store.store import Store

SHARES = ("NVDA", "JPM")
SYMBOLS = (*SHARES, "QQQ", "SPY")
SECONDS = 3_600
KILLED_AT_S = 600
OLDEST_MINUTES = 30  # a market in lockstep comes minutes further while a snapshot is on its way
TAPE = {"min_buckets": 6}
"""A score needs a minute here, so that a short session has many."""

SETTINGS = {
    "venue.state": "venue",
    "risk.first_entry_after_open_minutes": 5,
    "news.sources.folder": "filings",
    "tape.min_buckets": TAPE["min_buckets"],
    "portfolio_market.step_seconds": 10,
}


@pytest.fixture
def news() -> Iterator[NewsServer]:
    with good_news() as server:
        yield server


def words(server: NewsServer) -> list[str]:
    return set_words(server, {"crowd.tape_age_minutes": OLDEST_MINUTES}, SETTINGS)


@pytest.fixture
def venue(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The simulated exchange in a process of its own; its folder. The parameter is its pace."""
    with exchange(tmp_path, SYMBOLS, SECONDS, *request.param, "--set", "venue.state=venue") as folder:
        yield folder


def made() -> dict[str, list[TapeSnapshot]]:
    """What the scout's arithmetic makes of the quotes as the market itself makes them."""
    spec = TapeSpec(symbol=SYMBOLS[0], others=SYMBOLS[1:], start=DAY, seconds=SECONDS)
    tape = tape_opener(Settings.model_validate({"portfolio_market": {"step_seconds": 10}}))(spec)
    (session,) = tape.sessions
    config, (opens, closes) = TapeConfig(**TAPE), window(SECONDS)
    return {
        symbol: snapshots(symbol, tape_rows(quotes, opens, closes, config), opens, 0.01, config)
        for symbol, quotes in tape.quotes(session).items()
    }


LOCKSTEP = ("--pace", "lockstep")


@pytest.mark.parametrize("venue", [LOCKSTEP], indirect=True, ids=["lockstep"])
def test_run_when_the_exchange_quotes_sizes_then_its_tape_is_scouted_and_decides_the_same_after_a_kill(
    venue: Path, news: NewsServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--interval", "5", *words(news)]
    kill_at(venue, arguments, window(SECONDS)[0] + KILLED_AT_S * 10**9)
    code, out, err = done(venue, "run", "tug_of_war", "--json", *arguments, seconds=ENOUGH_S)
    assert code == 0, err
    (traded,) = json.loads(out)
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
