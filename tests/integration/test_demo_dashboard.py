"""`sovereign demo` on the dashboard: its address at once, a session to be watched, a report, and an end in good order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import sovereign
from dashboard_stage import wait_for
from sovereign.app.cli.main import run

SOURCE = str(Path(sovereign.__file__).parents[1])
SMALL = ("--set", "synthetic.ticks_per_session=60000", "--set", "dashboard.port=0")
PATIENCE_S = 300.0


@contextmanager
def demo(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Start the command with its output in a file; whatever happens it is over at the end."""
    said = folder / "said.txt"
    with said.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "sovereign.app.cli.main", "demo", *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": SOURCE, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process, said
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(30)


def address_in(said: Path) -> str | None:
    text = said.read_text(encoding="utf-8")
    return text.split("dashboard  ")[1].split("/#key=")[0] if "/#key=" in text else None


def overview(address: str) -> dict:
    try:
        answer = httpx.get(f"{address}/api/v1/overview", timeout=60)
    except httpx.TransportError:
        return {}
    return answer.json() if answer.status_code == 200 else {}


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_demo_when_on_the_dashboard_then_is_watched_ends_with_a_report_and_goes_on_for_as_long_as_asked(tmp_path: Path) -> None:
    words = ("--dashboard", "--strategy", "order_flow", "--no-evidence", "--seconds", "4", "--serve", "3", *SMALL)
    with demo(tmp_path, *words) as (process, said):
        address = wait_for("the address", lambda: address_in(said), PATIENCE_S)
        seen = wait_for("the session", lambda: overview(address) or process.poll() is not None, PATIENCE_S)
        assert isinstance(seen, dict), said.read_text(encoding="utf-8")
        assert (seen["kind"], seen["account"], seen["is_simulated"]) == ("demo", "demo", True)
        assert process.wait(PATIENCE_S) == 0
        text = said.read_text(encoding="utf-8")
        assert "SIMULATED markets" in text
        report = tmp_path / text.split("\nreport")[1].split("\n")[0].strip()
        assert report.is_file()
        assert "or 3 seconds" in text
        wait_for("the end of what was served", lambda: not overview(address))


def test_demo_when_interrupted_while_it_trades_then_nothing_of_it_goes_on(tmp_path: Path) -> None:
    with demo(tmp_path, "--dashboard", "--strategy", "order_flow", "--seconds", "300", *SMALL) as (process, said):
        address = wait_for("the address", lambda: address_in(said), PATIENCE_S)
        wait_for("a running session", lambda: overview(address).get("is_live"), PATIENCE_S)
        sessions = httpx.get(f"{address}/api/v1/operations", timeout=60).json()["sessions"]
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
        wait_for("the session's end", lambda: is_gone(sessions[0]["pid"]))
    from sovereign.store.store import Store

    with Store(f"sqlite:///{tmp_path / 'sovereign.sqlite'}") as store:
        assert [(one.mode, one.status) for one in store.live.sessions()] == [("demo", "stopped")]


@pytest.fixture
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_demo_when_the_dashboard_is_not_installed_then_says_so_in_a_line_and_goes_on(
    in_a_folder_of_its_own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)  # as if it were not there
    assert run(["demo", "--dashboard", "--no-evidence", *SMALL]) == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        "no dashboard: uvicorn not installed (pip install 'sovereign[dashboard]'); it goes on without"
    ]
    assert (in_a_folder_of_its_own / printed.out.splitlines()[-1].removeprefix("report").strip()).is_file()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--terminal", "--dashboard"), 2, "choose one"),
        (("--strategy", "order_flow", "--strategy", "council"), 2, "dashboard alone"),
        (("--dashboard", "--strategy", "nothing"), 3, "nothing"),
    ],
)
def test_demo_when_it_cannot_be_shown_as_asked_then_its_exit_code(
    in_a_folder_of_its_own: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, message: str
) -> None:
    assert run(["demo", *words]) == code
    assert message in capsys.readouterr().err
