"""`sovereign run` against a venue in another process: a whole session, and one that is killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

LATENCY = ("--set", "execution.latency_ms=250")


def sovereign(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), cwd=folder, env=variables(**environment), capture_output=True, text=True, check=False
    )


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "sovereign.app.cli.main", *words]


def variables(**more: str) -> dict[str, str]:
    source = str(Path(__file__).parents[2] / "src")
    return {**os.environ, "PYTHONPATH": source, "ENABLE_LIVE_TRADING": "", **more}


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[dict[str, Any]]:
    words = ("--seconds", "1200", "--offset", "600", "--pace", "lockstep", "--latency", "250", "--port", "0")
    process = subprocess.Popen(
        command("venue", *words, "--accounts", "paper:25000", "--set", "venue.state=data/venue"),
        cwd=tmp_path,
        env=variables(),
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.communicate(timeout=60)


SET = ("--set", "venue.state=data/venue", *LATENCY)


def test_run_when_killed_on_the_way_then_the_next_start_goes_on_and_the_audit_chain_is_whole(
    tmp_path: Path, venue: dict[str, Any]
) -> None:
    recording = tmp_path / "data/sessions/paper-order_flow-20251117.rec"
    first = subprocess.Popen(
        command("run", "order_flow", "--once", "--interval", "0", *SET),
        cwd=tmp_path,
        env=variables(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not (recording.is_file() and recording.stat().st_size > 20_000) and first.poll() is None:
        assert time.monotonic() < deadline, "the session recorded nothing"
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    first.wait()
    again = sovereign(tmp_path, "run", "order_flow", "--once", "--interval", "0", *SET)
    assert again.returncode == 0, again.stderr
    assert "the session closed" in again.stdout
    assert sovereign(tmp_path, "audit", "verify", *SET).returncode == 0
    status = json.loads(sovereign(tmp_path, "status", "--json", *SET).stdout)
    assert [(row["session"], row["status"]) for row in status["sessions"]] == [("paper-order_flow-20251117", "ended")]
    assert venue["accounts"] == ["paper"]


def test_run_when_live_without_all_three_consents_then_names_each_that_is_missing(tmp_path: Path) -> None:
    refused = sovereign(tmp_path, "run", "order_flow", "--mode", "live")
    assert refused.returncode == 4
    for consent in ("execution.trading_enabled", "--live", "ENABLE_LIVE_TRADING"):
        assert consent in refused.stderr
    two = ("--live", "--set", "execution.trading_enabled=true")
    refused = sovereign(tmp_path, "run", "order_flow", "--mode", "live", *two)
    assert refused.returncode == 4
    assert "ENABLE_LIVE_TRADING" in refused.stderr


def test_run_when_no_venue_was_ever_started_then_says_what_to_do(tmp_path: Path) -> None:
    refused = sovereign(tmp_path, "run", "order_flow")
    assert refused.returncode == 4
    assert "token" in refused.stderr
