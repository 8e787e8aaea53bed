"""`sovereign replay` over a recorded session: the backtest's result at any speed, and a clean stop."""

import json
import os
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from sovereign.app.cli.main import run

DAY = "2025-03-04"
LIVELY = [
    "--set",
    "strategies.order_flow.router.min_confidence=0",
    "--set",
    "strategies.order_flow.router.min_strength=0",
    "--set",
    "risk.can_inputs_be_unknown=true",
]


@pytest.fixture(autouse=True)
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A folder with a catalog of one session."""
    monkeypatch.chdir(tmp_path)
    assert run(["data", "synth", "--symbol", "ESH5", "--from", DAY, "--ticks", "40000", "--seed", "2"]) == 0
    capsys.readouterr()
    return tmp_path


def result_of(capsys, *words):
    assert run([*words, "--json", *LIVELY]) == 0
    return json.loads(capsys.readouterr().out)


def test_replay_when_its_speed_differs_then_the_result_is_the_backtests(capsys):
    backtest = result_of(capsys, "backtest", "order_flow", "--symbol", "ES", "--from", DAY, "--to", DAY, "--no-evidence")
    plain = result_of(capsys, "replay", "--date", DAY, "--symbol", "ES")
    paced = result_of(capsys, "replay", "--date", DAY, "--symbol", "ES", "--speed", "20000")
    late = result_of(capsys, "replay", "--date", DAY, "--symbol", "ES", "--speed", "20000", "--from-time", "15:00")
    assert backtest["metrics"]["trades"] == 0 or backtest["final_balance"] != "2500"
    for replay in (plain, paced, late):
        assert replay["final_balance"] == backtest["final_balance"]
        assert replay["metrics"] == backtest["metrics"]
        assert replay["hashes"]["data"] == backtest["hashes"]["data"]


def test_replay_when_nobody_watches_then_plain_lines_and_summary(capsys):
    assert run(["replay", "--date", DAY]) == 0
    out = capsys.readouterr().out
    assert f"SIMULATED  {DAY}" in out  # the catalog knows that this session was generated
    assert "report" in out.splitlines()[-1]


def test_replay_when_the_date_is_missing_then_says_what_to_run(capsys):
    assert run(["replay", "--date", "2025-03-05", "--symbol", "ES"]) == 3
    err = capsys.readouterr().err
    assert "it has 1 dates" in err
    assert "sovereign data download databento --symbol ES --from 2025-03-05 --to 2025-03-05" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--from-time", "noon"], "HH:MM"),
        (["--from-time", "17:30"], "lasts from 18:00 to 17:00"),
        (["--from-time", "10:00+01:00"], "leave the zone out"),
        (["--speed", "-1"], "speed"),
        (["--speed", "nan"], "speed"),
    ],
)
def test_replay_when_the_request_is_impossible_then_usage_error(capsys, words, message):
    assert run(["replay", "--date", DAY, *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="signals are sent as on POSIX")
def test_replay_when_interrupted_then_exit_code_130_and_the_run_is_kept(capsys, recorded):
    command = [sys.executable, "-m", "sovereign.app.cli.main", "replay", "--date", DAY, "--speed", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=recorded) as process:
        for line in process.stdout:
            if "position" in line:
                break
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=180)
    assert process.returncode == 130
    assert f"stopped at {DAY} 09:30:" in err
    assert "Traceback" not in err
    assert run(["runs", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    runs = listed if isinstance(listed, list) else listed["runs"]
    assert [(r["kind"], r["status"], r["from"]) for r in runs] == [("replay", "failed", date.fromisoformat(DAY).isoformat())]


def test_replay_when_the_venue_is_closed_then_says_so_instead_of_sending_for_data(capsys):
    assert run(["replay", "--date", "2025-01-04", "--symbol", "ES"]) == 3
    assert "2025-01-04 (Saturday), which is no trade date of ES" in capsys.readouterr().err
