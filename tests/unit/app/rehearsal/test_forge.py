"""The forge makes processes, tells how they ended, and leaves none behind."""

import time
from pathlib import Path

import pytest

from sovereign.app.rehearsal.forge import Forge
from sovereign.app.rehearsal.processes import POINTS, is_rare
from sovereign.core.errors import SovereignError


def is_alive(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="this system does not list its processes")


@pytest.fixture(scope="module")
def forge(tmp_path_factory):
    with Forge(tmp_path_factory.mktemp("forge") / "forge.log", ()) as made:
        yield made


def venue(forge, tmp_path, **market):
    tape = {"start": "2025-11-17", "seed": 1, "offset_s": 1_800, "seconds": 60}
    return forge.start(
        "venue", tmp_path / "log", folder=str(tmp_path), latency_ms=250.0, tape=tape, market={"pace": "lockstep", **market}
    )


def test_process_when_killed_then_the_forge_says_so(forge, tmp_path):
    pid = venue(forge, tmp_path)
    assert forge.wait(pid, 0.0) is None
    forge.kill(pid)
    assert forge.wait(pid, 60.0) == -9
    assert forge.wait(pid, 0.0) == -9


def test_process_when_it_fails_then_its_code_is_told_and_the_log_has_why(forge, tmp_path):
    pid = venue(forge, tmp_path, pace="sideways")
    assert forge.wait(pid, 60.0) == 1
    assert "sideways" in (tmp_path / "log").read_text()


def test_forge_when_it_ends_then_its_processes_are_gone(tmp_path):
    with Forge(tmp_path / "forge.log", ()) as forge:
        pid = venue(forge, tmp_path)
        assert is_alive(pid)
    deadline = time.monotonic() + 60
    while is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} outlived its forge"
        time.sleep(0.01)
    with pytest.raises((SovereignError, OSError, ValueError)):
        forge.wait(pid, 0.0)


def test_points_when_listed_then_those_of_a_sessions_end_are_rare():
    assert is_rare("before the state is saved")
    assert not is_rare("after a request is kept")
    assert len(set(POINTS)) == len(POINTS)
