"""`sovereign dashboard` as a process: says where it is, answers, ends on a signal; a real session is halted through it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

SOURCE = str(Path(__file__).parents[2] / "src")
SET = ("--set", "venue.state=data/venue", "--set", "execution.latency_ms=250")


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "sovereign.app.cli.main", *words]


@contextmanager
def started(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command(*words), cwd=folder, env={**os.environ, "PYTHONPATH": SOURCE}, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=60)


def said(process: subprocess.Popen[str]) -> Any:
    """Return the JSON document that a process prints first."""
    lines: list[str] = []
    assert process.stdout is not None
    while True:
        line = process.stdout.readline()
        assert line, f"the process ended after saying {lines}"
        lines.append(line)
        try:
            return json.loads("".join(lines))
        except ValueError:
            continue


def until(what: str, ask: Any, seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = ask()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds:g} s for {what}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_dashboard_when_started_then_answers_and_ends_on_a_signal(tmp_path: Path, number: int) -> None:
    with started(tmp_path, "dashboard", "--port", "0", "--json") as process:
        place = said(process)
        assert place["address"].startswith("http://127.0.0.1:")
        assert place["open"] == f"{place['address']}/#key={place['key']}"
        until("an answer", lambda: _answers(place["address"]))
        process.send_signal(number)
        assert process.wait(60) in (0, -number, 130)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_dashboard_when_port_is_taken_then_says_so_and_ends(tmp_path: Path) -> None:
    with started(tmp_path, "dashboard", "--port", "0", "--json") as first:
        port = said(first)["address"].rpartition(":")[2]
        second = subprocess.run(
            command("dashboard", "--port", port),
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": SOURCE},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert second.returncode == 4
    assert port in second.stderr
    assert "--port" in second.stderr


def test_session_when_halted_and_resumed_over_the_api_then_the_trading_process_obeys(tmp_path: Path) -> None:
    venue_words = ("--seconds", "3600", "--pace", "fast", "--speed", "20", "--port", "0", "--accounts", "paper:25000")
    with started(tmp_path, "venue", *venue_words, "--set", "venue.state=data/venue") as venue:
        said(venue)
        run_words = ("run", "order_flow", "--once", "--interval", "0", *SET)
        with started(tmp_path, *run_words), started(tmp_path, "dashboard", "--port", "0", "--json", *SET) as dashboard:
            place = said(dashboard)
            with httpx.Client(base_url=place["address"], timeout=30) as client:
                until("the server", lambda: _answers(place["address"]))
                seen = until("the session", lambda: _live(client))
                assert seen["state"] == "ACTIVE"
                login = client.post("/api/v1/token", json={"key": place["key"], "name": "test"}).json()
                allowed = {"Authorization": f"Bearer {login['token']}"}
                for kind, state in (("halt", "HALTED"), ("resume", "ACTIVE")):
                    answer = client.post(f"/api/v1/session/{kind}", json={"confirm": kind.upper()}, headers=allowed)
                    assert answer.status_code == 200, answer.text
                    assert answer.json()["asked"][0]["is_done"], answer.text
                    until(state, lambda wanted=state: client.get("/api/v1/overview").json()["state"] == wanted)
                until("bars", lambda: client.get("/api/v1/bars").json().get("open"))
                answer = client.post("/api/v1/session/stop", json={"confirm": "STOP"}, headers=allowed)
                assert answer.status_code == 200, answer.text
                until("the end", lambda: client.get("/api/v1/overview").json()["status"] != "running")


def _live(client: httpx.Client) -> Any:
    answer = client.get("/api/v1/overview")
    found = answer.json()
    return found if answer.status_code == 200 and found["is_live"] else None
