"""Signs of life: the file, the supervisor's socket, and telling the dead from the living."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from sovereign.app.ops.heartbeat import (
    Beat,
    Heartbeat,
    HeartbeatConfig,
    Supervisor,
    beat_file,
    is_alive,
    memory_mb,
    read_beat,
    read_beats,
)
from sovereign.core.errors import CorruptFileError
from sovereign.core.session import NS_PER_SECOND
from sovereign.store.process import this_process

BEAT = Beat(
    ts=1_000 * NS_PER_SECOND,
    market_ns=5,
    pid=os.getpid(),
    host=socket.gethostname(),
    process_token=this_process().token,
    session_id="s1",
    strategy="order_flow",
    mode="paper",
    account="paper",
    state="ACTIVE",
    feed_age_s=0.5,
    positions={"ES": 2},
)


@pytest.fixture
def supervisor(tmp_path):
    """A socket that listens as a service supervisor does."""
    if not hasattr(socket, "AF_UNIX"):
        pytest.skip("the notification protocol needs Unix sockets")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "n"))
        channel.settimeout(60)
        yield channel, {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "4000000"}


def test_beat_when_written_then_read_back_whole(tmp_path):
    config = HeartbeatConfig(file=tmp_path / "deep" / "heartbeat.json")
    kept = []
    Heartbeat(config, store=kept.append, supervisor=Supervisor({})).beat(BEAT)
    assert read_beat(config.file) == BEAT
    assert kept == [BEAT]
    assert os.listdir(config.file.parent) == ["heartbeat.json"]


def test_beat_when_two_processes_share_a_folder_then_each_has_a_file_of_its_own_and_ends_it_alone(tmp_path):
    config = HeartbeatConfig(file=tmp_path / "heartbeat.json")
    who = [("venue", "a-b", "c"), ("venue", "a", "order_flow"), ("alpaca", "a", "order_flow"), ("venue", "../x/y z", "c")]
    beats, hearts = [], []
    for broker, account, strategy in who:
        file = beat_file(config.file, broker=broker, mode="paper", account=account, strategy=strategy)
        hearts.append(Heartbeat(config, supervisor=Supervisor({}), file=file))
        beats.append(replace(BEAT, account=account, strategy=strategy, broker=broker))
        hearts[-1].beat(beats[-1])
    assert len(os.listdir(tmp_path)) == 4
    assert sorted((b.broker, b.account, b.strategy) for _, b in read_beats(config.file)) == sorted(who)
    hearts[1].close()
    assert [b for _, b in read_beats(config.file) if b.account == "a"] == [beats[2]]


def test_beats_when_a_file_is_damaged_then_the_others_are_read(tmp_path):
    config = HeartbeatConfig(file=tmp_path / "heartbeat.json")
    Heartbeat(config, supervisor=Supervisor({})).beat(BEAT)
    (tmp_path / "heartbeat-venue-paper-x-y.json").write_text("{")
    assert [beat for _, beat in read_beats(config.file)] == [BEAT]


def test_files_left_behind_when_the_account_is_taken_over_then_they_go_and_those_of_the_living_and_of_others_stay(tmp_path):
    config = HeartbeatConfig(file=tmp_path / "heartbeat.json")

    def written(account, strategy, **changes):
        file = beat_file(config.file, broker="venue", mode="paper", account=account, strategy=strategy)
        heart = Heartbeat(config, supervisor=Supervisor({}), file=file)
        beat = replace(BEAT, account=account, strategy=strategy, broker="venue", **changes)
        heart.beat(beat)
        return heart, beat

    gone = {"process_token": "another boot"}
    written("paper", "council", **gone)
    written("other", "council", **gone)
    written("paper", "lossless")
    heart, beat = written("paper", "order_flow")
    heart.drop_left_behind(beat)
    left = sorted((b.account, b.strategy) for _, b in read_beats(config.file))
    assert left == [("other", "council"), ("paper", "lossless"), ("paper", "order_flow")]


def test_beat_when_process_fails_then_file_stays_and_ages_for_the_guard(tmp_path):
    heartbeat = Heartbeat(HeartbeatConfig(file=tmp_path / "h.json"), supervisor=Supervisor({}))
    heartbeat.beat(BEAT)
    heartbeat.close(is_orderly=False)
    assert read_beat(tmp_path / "h.json") == BEAT


def test_beat_when_process_ends_then_file_is_gone(tmp_path):
    heartbeat = Heartbeat(HeartbeatConfig(file=tmp_path / "h.json"), supervisor=Supervisor({}))
    heartbeat.beat(BEAT)
    heartbeat.close()
    assert read_beat(tmp_path / "h.json") is None


def test_beat_when_asked_for_then_due_every_so_often_and_after_a_clock_was_set_back(tmp_path):
    heartbeat = Heartbeat(HeartbeatConfig(file=tmp_path / "h.json", every_s=5), supervisor=Supervisor({}))
    assert heartbeat.is_due(BEAT.ts)
    heartbeat.beat(BEAT)
    assert not heartbeat.is_due(BEAT.ts + 4 * NS_PER_SECOND)
    assert heartbeat.is_due(BEAT.ts + 5 * NS_PER_SECOND)
    assert heartbeat.is_due(BEAT.ts - 3_600 * NS_PER_SECOND)


def test_beat_when_supervised_then_at_least_twice_a_watchdog_period(tmp_path, supervisor):
    _, environment = supervisor
    heartbeat = Heartbeat(HeartbeatConfig(file=tmp_path / "h.json", every_s=60), supervisor=Supervisor(environment))
    heartbeat.beat(BEAT)
    assert heartbeat.is_due(BEAT.ts + 2 * NS_PER_SECOND)


def test_supervisor_when_present_then_hears_ready_watchdog_and_stopping(tmp_path, supervisor):
    channel, environment = supervisor
    told = Supervisor(environment)
    assert told.is_present
    assert told.ready("trading")
    assert channel.recv(200) == b"READY=1\nSTATUS=trading"
    heartbeat = Heartbeat(HeartbeatConfig(file=tmp_path / "h.json"), supervisor=told)
    heartbeat.beat(BEAT)
    assert channel.recv(200) == b"WATCHDOG=1\nSTATUS=order_flow paper ACTIVE"
    heartbeat.close()
    assert channel.recv(200) == b"STOPPING=1"


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets exist on Linux alone")
def test_supervisor_when_address_is_abstract_then_hears():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"\0sovereign-test-{os.getpid()}")
        channel.settimeout(60)
        assert Supervisor({"NOTIFY_SOCKET": f"@sovereign-test-{os.getpid()}"}).ready()
        assert channel.recv(200) == b"READY=1"


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_supervisor_when_nobody_listens_then_says_so_and_goes_on(environment):
    assert Supervisor(environment).ready() is False


def test_beat_when_process_runs_then_alive_and_when_it_ended_then_not():
    program = "from sovereign.store.process import this_process as t; print(t().token, flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        beat = replace(BEAT, pid=child.pid, process_token=child.stdout.readline().strip())
        assert is_alive(beat) is True
    finally:
        child.communicate("\n")
    assert is_alive(beat) is False


def test_beat_when_pid_was_given_to_another_process_then_not_alive():
    assert is_alive(BEAT) is True
    assert is_alive(replace(BEAT, process_token="another boot")) is False


def test_beat_when_it_is_another_machine_s_then_nobody_knows():
    assert is_alive(replace(BEAT, host="elsewhere.invalid")) is None


def test_file_when_damaged_then_says_which(tmp_path):
    (tmp_path / "h.json").write_text(json.dumps({"pid": 1}))
    with pytest.raises(CorruptFileError, match=r"h\.json"):
        read_beat(tmp_path / "h.json")


def test_memory_when_read_then_a_python_process_has_megabytes():
    assert 5 < memory_mb() < 100_000
