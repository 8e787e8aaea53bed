"""The tug of war on paper: several symbols at the simulated exchange, news and tape from local scouts, killed on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from example_scouts import READING
from fakes.commands import done
from fakes.news_server import NewsServer
from fakes.tug_paper import ENOUGH_S, SESSION, exchange, good_news, kill_at, set_words, window
from sovereign.app.cli.main import run
from sovereign.core.session import NS_PER_MINUTE
from sovereign.core.tape import TapeSnapshot
from sovereign.store.store import Store

SHARES = ("NVDA", "JPM", "PLTR")
SYMBOLS = (*SHARES, "QQQ", "SPY")  # benchmarks last: the session puts them first
SECONDS = 5_400
KILLED_AT_S = 1_800  # of market time, before the tape scout falls silent
TAPE_MINUTES = 45

SHORT = {"position.trend_stop_frac": 0.002, "position.trend_target_frac": 0.003}
"""Positions that are short."""
OTHER = {
    "venue.state": "data/venue",
    "risk.first_entry_after_open_minutes": 10,
    "news.every_min": 10,
    "news.sources.folder": "data/filings",
}


@pytest.fixture
def news() -> Iterator[NewsServer]:
    with good_news() as server:
        yield server


def words(server: NewsServer, **more: Any) -> list[str]:
    return set_words(server, SHORT, OTHER | more)


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Path]:
    """The simulated exchange with all symbols on one clock, in a process of its own; its folder."""
    # Its tape is what a scout writes who falls silent, below.
    more = ("--pace", "lockstep", "--set", "venue.state=data/venue", "--set", "venue.has_sizes=false")
    with exchange(tmp_path, SYMBOLS, SECONDS, *more) as folder:
        yield folder


def scout(folder: Path) -> None:
    """Write what scouts would have: good news, and for a while snapshots with selling absorbed in two shares, then silence."""
    opens, _ = window(SECONDS)
    snapshots = [
        TapeSnapshot(
            symbol=symbol,
            ts=opens + minute * NS_PER_MINUTE,
            ofi=-100.0,
            ofi_z=-0.5,
            queue_imbalance=-0.1,
            queue_imbalance_z=-0.2,
            mid=400.0,
            bid_size=300,
            ask_size=500,
            is_absorption=symbol != "NVDA",
        )
        for minute in range(1, TAPE_MINUTES + 1)
        for symbol in SHARES
    ]
    # What was known before the open: the market does not wait for the scout's first answers, which come with its own time.
    readings = [replace(READING, symbol=symbol, ts=opens - NS_PER_MINUTE, missing={}) for symbol in SHARES]
    with Store(f"sqlite:///{folder}/sovereign.sqlite") as store:
        store.scouts.add_snapshots(snapshots)
        for reading in readings:
            store.scouts.add_reading(reading)


def is_read(store: Store) -> bool:
    """Say whether the scout of the session itself has read the news."""
    reading = store.scouts.reading("JPM", 2**62)
    return reading is not None and reading.ts >= window(SECONDS)[0]


def test_run_when_killed_on_the_way_then_goes_on_with_the_same_evidence_and_fills_its_tables(
    venue: Path, news: NewsServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    scout(venue)
    arguments = ["--interval", "5", *words(news)]
    kill_at(venue, arguments, window(SECONDS)[0] + KILLED_AT_S * 10**9, is_read)
    code, out, err = done(venue, "run", "tug_of_war", "--json", *arguments, seconds=ENOUGH_S)
    assert code == 0, err
    (traded,) = json.loads(out)
    assert (traded["session_id"], traded["is_closed"]) == (SESSION, True)
    monkeypatch.chdir(venue)
    assert run(["audit", "verify", *words(news)]) == 0
    capsys.readouterr()
    assert run(["twin", SESSION, "--json", *words(news)]) == 0
    told = json.loads(capsys.readouterr().out)
    # The recording, played again, says what the two processes said: evidence, decisions, orders, every byte.
    assert told["replay"]["is_exact"], told["replay"]
    assert told["verdict"] in ("identical", "explained")
    with Store(f"sqlite:///{venue}/sovereign.sqlite") as store:
        assert not [kept for kept in store.live.notices(account="paper") if "differs from the stored" in kept.notice.text]
        assert [kept.notice.subject for kept in store.live.notices(account="paper") if kept.notice.code == "RECOVERED"]
        requests = [(kept.client_order_id, kept.request) for kept in store.live.requests(SESSION)]
        assert len(requests) == len(set(requests))
        check_evidence(store)
        check_tables(store)
        check_refusals(store)


def inputs_of(store: Store) -> list[tuple[int, str, dict[str, Any]]]:
    """What the strategy's candidates looked at: time, symbol, inputs by name."""
    found = [(row["ts"], row["symbol"], json.loads(row["inputs"])) for row in store.table(SESSION, "door_decisions")]
    return [(ts, symbol, inputs) for ts, symbol, inputs in found if "rule" in inputs]


def check_evidence(store: Store) -> None:
    seen = inputs_of(store)
    last = window(SECONDS)[0] + TAPE_MINUTES * NS_PER_MINUTE
    assert any("news_tone" in inputs for _, _, inputs in seen)
    for ts, symbol, inputs in seen:
        if "ofi_z" not in inputs:
            continue
        assert (inputs["ofi_z"], bool(inputs["is_absorption"])) == (-0.5, symbol != "NVDA")
        assert ts <= last + 5 * NS_PER_MINUTE, "a tape that is dead is no data"
    assert any("ofi_z" in inputs for _, _, inputs in seen)
    assert any(ts > last + 5 * NS_PER_MINUTE and inputs["is_absorption"] == -1 for ts, _, inputs in seen)
    # A market in lockstep may get ahead of the scouts' clock, and the second process may begin too late to miss the tape; what
    # counts is that silence is said, by each process once.
    notices = [kept.notice for kept in store.live.notices(account="paper")]
    restart = next(place for place, notice in enumerate(notices) if notice.code == "RECOVERED")
    tape = [[one.code for one in part if one.subject == "scout:tape"] for part in (notices[:restart], notices[restart:])]
    assert [code for said in tape for code in said][-1] == "DATA_STALE"
    assert all(one != other for said in tape for one, other in pairwise(said))


def check_tables(store: Store) -> None:
    scouts, opens = store.scouts, window(SECONDS)[0]
    signals, results, orders = (scouts.rows(name, "paper") for name in ("tug_signals", "tug_results", "tug_trades"))
    rounds = {opens + minute * NS_PER_MINUTE for minute in range(5, SECONDS // 60 + 1, 5)}
    # Every share, every round, once: also those that the first process had written before it died.
    assert sorted((one["ts"], one["symbol"]) for one in results) == sorted((ts, s) for ts in rounds for s in SHARES)
    assert sorted((one["ts"], one["symbol"], one["bot"]) for one in signals) == sorted(
        (ts, s, bot) for ts in rounds for s in SHARES for bot in ("sovereign", "madman")
    )
    assert any(one["bayesian_score"] is not None and one["ofi_z_score"] is not None for one in signals)
    entries = [one for one in orders if one["order_type_detail"].startswith("entry")]
    assert entries
    keys = {one["key"]: one for one in results}
    for one in entries:
        verdict = keys[one["tug_result_key"]]
        assert (verdict["symbol"], verdict["verdict"].endswith("execute")) == (one["symbol"], True)
        assert one["client_order_id"].startswith(verdict["decision_id"])
        assert one["status"] in ("filled", "canceled", "expired")
        assert one["implementation_shortfall_bps"] is not None if one["fill_qty"] else one["opportunity_bps"] is not None
    made = [one["pnl"] for one in orders if one["pnl"] is not None]
    assert sorted(made) == sorted(str(trade.net) for trade in store.trades(SESSION))
    assert made
    assert scouts.latest_snapshots(SHARES, 2**62)
    assert scouts.latest_readings(SHARES, 2**62)


def check_refusals(store: Store) -> None:
    """Nothing opens in the last quarter of an hour, and every refusal says what it would have made while bars followed."""
    closes = window(SECONDS)[1]
    refused = [row for row in store.table(SESSION, "door_decisions") if row["verdict"] == "REFUSED"]
    assert {"absorption", "trading_hours"} <= {row["failed_check"] for row in refused}
    late = closes - 15 * NS_PER_MINUTE
    assert {row["failed_check"] for row in refused if row["ts"] >= late} <= {"trading_hours", "session_open"}
    entries = [row for row in store.scouts.rows("tug_trades", "paper") if row["order_type_detail"].startswith("entry")]
    assert max(row["ts"] for row in entries) < late
    for row in refused:
        if row["ts"] < late:
            found = store.decision(row["decision_id"], SESSION).would_have_made
            assert found is not None, f"{row['decision_id']} ({row['failed_check']}) has no counterfactual"
            assert found.exit_ns > row["ts"]


def test_run_when_once_then_makes_one_round_says_what_was_decided_and_goes_on_at_the_next_call(
    venue: Path, news: NewsServer
) -> None:
    arguments = ["--once", "--interval", "5", "--json", *words(news, **{"live.heartbeat_s": 0.02, "news.every_min": 1})]
    opens = window(SECONDS)[0]
    rounds = []
    for _ in range(2):
        code, out, err = done(venue, "run", "tug_of_war", *arguments, seconds=ENOUGH_S)
        assert code == 0, err
        (traded,) = json.loads(out)
        assert (traded["rounds"], traded["is_closed"], traded["exit_code"]) == (1, False, 0)
        rounds.append((traded["reason"], [(one["symbol"], one["verdict"]) for one in traded["decisions"]]))
    first, second = rounds
    assert first[0] == "the round of 09:35 was decided"
    assert second[0] != first[0]
    assert "was decided" in second[0]
    with Store(f"sqlite:///{venue}/sovereign.sqlite") as store:
        kept = {(one["ts"] - opens) // NS_PER_MINUTE for one in store.scouts.rows("tug_results", "paper")}
        (session,) = store.live.sessions(account="paper")
        assert session.status == "stopped"
    assert {5} <= kept
    assert len(kept) >= 2
