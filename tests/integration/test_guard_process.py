"""Guard and kill as processes of their own, against a venue of its own, while the trading process hangs with a position."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from fakes.commands import Pacer
from sovereign.core.event import NoticeCode
from sovereign.core.session import to_ns
from sovereign.execution.brokers.venue_account import venue_account
from sovereign.store.store import Store

TESTS = Path(__file__).resolve().parents[1]

# The day after Thanksgiving 2025: the NYSE closes at 13:00 New York (18:00 UTC), so the flatten time is 12:55 and with a minute
# of grace the guard's moment is 17:56 UTC. The tape begins 3 h 21 min 30 s after the open of 09:30: 12:51:30 New York. It goes
# on when the test says so: no process has to be up before a bell rings.
DAY = date(2025, 11, 28)
HALF_DAY = ("--date", f"{DAY}", "--offset", str(3 * 3_600 + 21 * 60 + 30), "--slice", "5000", "--pace", "lockstep")
BELL = to_ns(datetime(2025, 11, 28, 17, 56, tzinfo=UTC))
CLOSE = to_ns(datetime(2025, 11, 28, 18, 0, tzinfo=UTC))


@contextmanager
def process(*words: str, folder: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    path = os.pathsep.join((str(TESTS), str(TESTS.parent / "src")))
    started = subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )
    try:
        yield started
    finally:
        if started.poll() is None:
            started.kill()
        started.communicate()


@contextmanager
def hung_session(folder: Path, *options: str) -> Iterator[str]:
    """Start a venue and a process that trades there; stop the latter dead with its position open, and yield the address."""
    command = ("sovereign.app.cli.main", "venue", "--port", "0", "--state", "venue", "--seed", "5", *options)
    with process(*command, "--set", "synthetic.ticks_per_session=100000", folder=folder) as venue:
        line = venue.stdout.readline()
        assert line, venue.stderr.read()
        url = json.loads(line)["url"]
        token = json.loads((folder / "venue" / "tokens.json").read_text())["paper"]["trade"]
        with process("fakes.trading_process", url, token, "data/heartbeat.json", folder=folder) as session:
            assert session.stdout.readline() == "OPEN\n", session.stderr.read()
            session.send_signal(signal.SIGSTOP)
            yield url


def held(folder: Path, url: str) -> tuple[dict[str, int], int]:
    token = json.loads((folder / "venue" / "tokens.json").read_text())["paper"]["guard"]
    with venue_account(url, token) as account:
        found = account.snapshot()
    working = sum(1 for order in found.orders if not order.status.is_closed)
    return {position.symbol: position.quantity for position in found.positions if position.quantity}, working


def pacer_of(folder: Path, url: str) -> Pacer:
    tokens = json.loads((folder / "venue" / "tokens.json").read_text())["pacer"]
    return Pacer(url, tokens["trade"], tokens["guard"], DAY)


pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop a process")


def test_guard_when_the_session_hangs_over_an_early_close_then_flattens_at_the_bell_and_says_so(tmp_path):
    with hung_session(tmp_path, *HALF_DAY, "--accounts", "paper,pacer") as url, closing(pacer_of(tmp_path, url)) as pacer:
        assert held(tmp_path, url) == ({"ES": 2}, 1)
        settings = ("--set", "guard.every_s=0.1", "--set", "guard.stale_flatten_s=none", "--set", "log.format=json")
        with process("sovereign.app.cli.main", "guard", *settings, folder=tmp_path) as guard:
            said = [json.loads(guard.stderr.readline())]
            while pacer.now_ns < BELL:
                pacer.step()
            for line in guard.stderr:
                said.append(json.loads(line))
                if "the venue says so" in said[-1]["event"] or "NOT flat" in said[-1]["event"]:
                    break
            assert held(tmp_path, url) == ({}, 0)
            guard.send_signal(signal.SIGTERM)
            guard.communicate(timeout=60)
        assert guard.returncode == 0
    assert said[-1]["event"].startswith("account 'paper' is flat, the venue says so; before: +2 ES, 1 working orders")
    assert "after the flatten time 12:55 America/New_York, early close" in said[-1]["event"]
    assert said[-1]["level"] == "critical"
    with Store(f"sqlite:///{tmp_path}/sovereign.sqlite") as store:
        kept = [stored.notice for stored in store.live.notices()]
        bell = [notice for notice in kept if notice.code is NoticeCode.GUARD and "flatten time" in notice.text]
        assert BELL <= bell[0].ts < CLOSE
        assert store.live.latched("paper").set_by == "guard"
        assert [beat.process for beat in store.live.heartbeats()] == ["guard"]


def test_guard_when_the_heartbeat_stops_with_a_position_open_then_flattens(tmp_path):
    with hung_session(tmp_path, "--date", "2025-11-17", "--offset", "3600", "--pace", "realtime") as url:
        settings = ("guard.every_s=0.1", "guard.stale_s=0.5", "guard.stale_flatten_s=1.0", "log.format=json")
        options = [word for setting in settings for word in ("--set", setting)]
        with process("sovereign.app.cli.main", "guard", *options, folder=tmp_path) as guard:
            said = []
            for line in guard.stderr:
                said.append(json.loads(line))
                if "the venue says so" in said[-1]["event"]:
                    break
        assert held(tmp_path, url) == ({}, 0)
    assert [line["code"] for line in said if line.get("code") == "HEARTBEAT_STALE"]


@pytest.mark.parametrize("pace", ["realtime", "lockstep"])
def test_kill_when_the_session_hangs_then_flat_latched_and_proven(tmp_path, pace):
    with hung_session(tmp_path, "--date", "2025-11-17", "--offset", "3600", *_pace(pace)) as url:
        words = ("sovereign.app.cli.main", "kill", "--reason", "the test hangs", "--json")
        with process(*words, folder=tmp_path) as unsure:
            assert unsure.wait(60) == 2
        assert held(tmp_path, url) == ({"ES": 2}, 1)
        with process(*words, "--yes", folder=tmp_path) as killed:
            out, err = killed.communicate(timeout=60)
        assert killed.returncode == 0, err
        assert held(tmp_path, url) == ({}, 0)
    done = json.loads(out)
    assert (done["is_flat"], done["is_latched"]) == (True, True)
    assert done["accounts"][0]["before"]["positions"] == {"ES": 2}
    assert done["accounts"][0]["after"]["positions"] == {}
    with Store(f"sqlite:///{tmp_path}/sovereign.sqlite") as store:
        assert store.live.latched("paper").reason == "the test hangs"


def _pace(name: str) -> tuple[str, ...]:
    return ("--pace", name)


def test_kill_when_the_venue_is_gone_then_exit_7_and_latched_all_the_same(tmp_path):
    options = ("--set", "guard.url=ws://127.0.0.1:9", "--set", "guard.token=a-guard-token-1", "--set", "kill.wait_s=1")
    with process("sovereign.app.cli.main", "kill", "--yes", "--json", *options, folder=tmp_path) as killed:
        out, err = killed.communicate(timeout=60)
    assert killed.returncode == 7
    assert json.loads(out)["is_flat"] is False
    assert json.loads(err)["error"]["type"] == "BrokerError"
    assert "a-guard-token-1" not in out + err
    with Store(f"sqlite:///{tmp_path}/sovereign.sqlite") as store:
        assert store.live.latched("anybody") is not None
