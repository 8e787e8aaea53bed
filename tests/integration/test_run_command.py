"""`sovereign run` against a venue in another process: a whole session, and one that is killed on the way."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.commands import done, sovereign, wait_for

LATENCY = ("--set", "execution.latency_ms=250")
ENOUGH_S = 300.0


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[dict[str, Any]]:
    words = ("--seconds", "1200", "--offset", "600", "--pace", "lockstep", "--latency", "250", "--port", "0")
    more = ("--accounts", "paper:25000", "--set", "venue.state=data/venue")
    with sovereign(tmp_path, "venue", *words, *more) as running:
        yield json.loads(running.said('"url"'))


SET = ("--set", "venue.state=data/venue", *LATENCY)


def test_run_when_killed_on_the_way_then_the_next_start_goes_on_and_the_audit_chain_is_whole(
    tmp_path: Path, venue: dict[str, Any]
) -> None:
    recording = tmp_path / "data/sessions/paper-order_flow-20251117.rec"
    with sovereign(tmp_path, "run", "order_flow", "--once", "--interval", "0", *SET) as first:
        wait_for(
            lambda: recording.is_file() and recording.stat().st_size > 20_000, "a recording of 20 kB", ENOUGH_S, first.alive
        )
        first.process.send_signal(signal.SIGKILL)
    code, out, err = done(tmp_path, "run", "order_flow", "--once", "--interval", "0", *SET, seconds=ENOUGH_S)
    assert code == 0, err
    assert "the session closed" in out
    assert done(tmp_path, "audit", "verify", *SET, seconds=ENOUGH_S)[0] == 0
    status = json.loads(done(tmp_path, "status", "--json", *SET)[1])
    assert [(row["session"], row["status"]) for row in status["sessions"]] == [("paper-order_flow-20251117", "ended")]
    assert venue["accounts"] == ["paper"]


def test_run_when_live_without_all_three_consents_then_names_each_that_is_missing(tmp_path: Path) -> None:
    code, _, err = done(tmp_path, "run", "order_flow", "--mode", "live")
    assert code == 4
    for consent in ("execution.trading_enabled", "--live", "ENABLE_LIVE_TRADING"):
        assert consent in err
    two = ("--live", "--set", "execution.trading_enabled=true")
    code, _, err = done(tmp_path, "run", "order_flow", "--mode", "live", *two)
    assert code == 4
    assert "ENABLE_LIVE_TRADING" in err


def test_run_when_no_venue_was_ever_started_then_says_what_to_do(tmp_path: Path) -> None:
    code, _, err = done(tmp_path, "run", "order_flow")
    assert code == 4
    assert "token" in err
