"""`sovereign twin` on sessions that real processes have traded: a venue, a session, and what was planted between them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sovereign.app.cli.main import run
from sovereign.app.configuration import load_settings
from sovereign.app.plan import recipe_of
from sovereign.core.command import Command, CommandKind
from sovereign.core.event import encode
from sovereign.research.twin.playback import exact, read_recorded
from sovereign.store.store import Store

PATIENCE_S = 120.0
SESSION = "paper-order_flow-20251117"
CONFIG = """
[execution]
latency_ms = 1000
[synthetic]
ticks_per_session = 400000
[venue]
state = "data/venue"
[risk]
excluded_windows = []
can_inputs_be_unknown = true
min_reward_to_cost = 0
max_quantity = 2
daily_loss_limit = -100000
[risk.tiers]
enabled = false
[strategies.order_flow.footprint]
kind = "tick"
bar_trades = 100
[strategies.order_flow.pattern]
absorption_warmup_bars = 5
[strategies.order_flow.pattern.minimums.ES]
imbalance = 5
absorption = 20
exhaustion = 10
[strategies.order_flow.regime]
min_score = 1.0
[strategies.order_flow.router]
min_confidence = 0.0
min_strength = 0.0
[strategies.order_flow.bracket.profiles.ES]
stop_ticks = 4
target_ticks = 6
"""
TAPE = ("--seconds", "1800", "--offset", "1800", "--seed", "11", "--pace", "lockstep", "--port", "0")


class House:
    """A folder in which processes run; whatever still runs at the end is killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []
        (folder / "sovereign.toml").write_text(CONFIG, encoding="utf-8")

    def start(self, *words: str, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        source = str(Path(__file__).parents[2] / "src")
        process = subprocess.Popen(
            [sys.executable, "-m", "sovereign.app.cli.main", *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": source, "ENABLE_LIVE_TRADING": ""},
            stdout=stdout,
            stderr=subprocess.DEVNULL,
        )
        self.started.append(process)
        return process

    def venue(self, *words: str) -> None:
        process = self.start("venue", *TAPE, "--accounts", "paper:100000", *words, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["accounts"] == ["paper"]

    def trade(self) -> subprocess.Popen[bytes]:
        return self.start("run", "order_flow", "--mode", "paper", "--once", "--interval", "0")

    def until_recorded(self, size: int) -> None:
        recording = self.folder / "data/sessions" / f"{SESSION}.rec"
        deadline = time.monotonic() + PATIENCE_S
        while not (recording.is_file() and recording.stat().st_size > size):
            assert time.monotonic() < deadline, f"the session did not record {size} bytes"
            time.sleep(0.01)

    def store(self) -> Store:
        return Store(f"sqlite:///{self.folder / 'sovereign.sqlite'}")

    def close(self) -> None:
        for process in self.started:
            process.kill()
            process.communicate(timeout=60)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.chdir(tmp_path)
    found = House(tmp_path)
    yield found
    found.close()


def twin(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = run(["twin", *words, "--json"])
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    parts = [Decimal(one["net"]) for one in result["causes"].values()]
    assert sum(parts, Decimal(0)) == Decimal(result["net_difference"])
    return code, result


def changed(result: dict[str, Any]) -> set[str]:
    counts = ("decisions", "orders", "fills", "trades")
    return {cause for cause, one in result["causes"].items() if any(one[name] for name in counts) or Decimal(one["net"])}


def test_twin_when_paper_session_had_no_faults_then_identical_and_the_run_shows_it(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    house.venue()
    assert house.trade().wait(PATIENCE_S) == 0
    code, result = twin(capsys, "last", "--report", "twin.html")
    assert (code, result["verdict"], result["differences"]) == (0, "identical", [])
    assert changed(result) == set()
    assert result["live"] == result["twin"]
    assert result["live"]["trades"] > 3
    assert result["replay"]["is_exact"]
    assert result["replay"]["stored"] == result["replay"]["replayed"] > 50
    assert "identical" in (house.folder / "twin.html").read_text(encoding="utf-8")
    assert run(["runs", "show", SESSION]) == 0
    assert "twin: identical, 0 differences" in capsys.readouterr().out
    check_played_again(house)


def check_played_again(house: House) -> None:
    """The recording alone gives the decisions, the orders in the journal, and the audit stream byte for byte."""
    path = house.folder / "data/sessions" / f"{SESSION}.rec"
    recipe = recipe_of(load_settings(None, ()).settings, "order_flow")
    again: list[str] = []
    recorded = read_recorded(path, recipe, is_simulated_data=True)
    exact(recorded, lambda event: again.append(encode(event).decode().rstrip("\n")))
    with house.store() as store:
        stored = store.live.audit_events(SESSION)
        asked = [request.client_order_id for request in store.live.requests(SESSION) if request.request == "NEW"]
    assert again == [row.text for row in stored]
    kinds = [row.kind for row in stored]
    assert kinds.count("DecisionMade") > 5
    assert kinds.count("OrderFilled") > 5
    sent = [json.loads(text) for text in again if '"event":"OrderChanged"' in text]
    assert asked == [one["client_order_id"] for one in sent if one["cause"] == "SUBMIT" and one["parent_id"] is None]


def test_twin_when_the_venue_charged_and_filled_otherwise_then_fee_and_fill(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    faults = [
        {"kind": "reject", "at_ms": 0, "count": 1},
        {"kind": "partial_fill", "at_ms": 350_000, "count": 2},
        {"kind": "delay", "at_ms": 300_000, "count": 20, "wall_ms": 5, "channel": "private"},
    ]
    (house.folder / "faults.json").write_text(json.dumps(faults), encoding="utf-8")
    house.venue("--faults", "faults.json", "--set", "execution.fees={ES=3.10}")
    assert house.trade().wait(PATIENCE_S) == 0
    code, result = twin(capsys)
    assert (code, result["verdict"]) == (0, "explained")
    assert changed(result) == {"fill", "fee"}
    assert "rejected by a fault of the venue" in result["causes"]["fill"]["evidence"][0]
    assert result["causes"]["fee"]["evidence"] == ["ES: charged 3.1 a side and unit, settings say 2.25"]
    rejected = [
        one for one in result["differences"] if one["kind"] == "order" and (one["live"] or {}).get("status") == "REJECTED"
    ]
    assert [one["causes"] for one in rejected] == [["fill"]]


def test_twin_when_killed_and_halted_by_hand_then_one_twin_of_both_lives_and_person(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    house.venue()
    first = house.trade()
    house.until_recorded(280_000)
    first.send_signal(signal.SIGKILL)
    first.wait(PATIENCE_S)
    with house.store() as store:  # waits for the second life
        halt = Command(command_id="by-hand", kind=CommandKind.HALT, by="ann", reason="lunch")
        store.live.commands.put(halt, account="paper", strategy="order_flow", ts=time.time_ns())
    assert house.trade().wait(PATIENCE_S) == 0
    code, result = twin(capsys)
    assert (code, result["verdict"], result["lives"]) == (0, "explained", 2)
    # What fell into the time between the two lives was told late; what ticks not seen then would have filled is fill's part.
    assert {"person"} <= changed(result) <= {"person", "latency", "fill"}
    assert "HALT by ann (lunch)" in result["causes"]["person"]["evidence"][0]
    assert result["replay"]["is_exact"]
