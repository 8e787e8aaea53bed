"""The root of the command line: lazy, one line per error, the right exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sovereign import __version__
from sovereign.app.cli import main as root
from sovereign.core import errors

HEAVY = ("numpy", "pydantic", "rich", "polars", "pyarrow", "sqlalchemy", "numba", "plotly", "pandas")


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Mount a module whose one command raises what the test asks for."""

    def mount(body):
        (tmp_path / "mounted_command.py").write_text(
            "from sovereign.app.cli.common import JsonOption\n"
            "from sovereign.core import errors\n"
            "def command(as_json: JsonOption = False) -> None:\n"
            f"    {body}\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "mounted_command", raising=False)
        monkeypatch.setitem(root.COMMANDS, "mounted", ("mounted_command", "A command of the test."))

    return mount


def test_help_when_asked_then_nothing_heavy_is_imported():
    script = (
        "import sys\nfrom sovereign.app.cli.main import run\nassert run(['--help']) == 0\n"
        f"print('LOADED', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[-1] == "LOADED []"


def test_help_when_asked_of_every_command_then_no_room_is_imported():
    script = (
        "import sys\nfrom sovereign.app.cli.main import COMMANDS, _is_installed, run\n"
        "assert [run([*words.split(), '--help']) for words, (module, _) in COMMANDS.items() if _is_installed(module)]\n"
        # typer itself reads options with pydantic
        f"print('LOADED', sorted(set({HEAVY!r}) & set(sys.modules) - {{'pydantic'}}))"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[-1] == "LOADED []"


def test_help_when_asked_then_lists_installed_commands_only(capsys, monkeypatch):
    monkeypatch.setitem(root.COMMANDS, "absent", ("sovereign.app.cli.no_such_module", "Not there."))
    assert root.run(["--help"]) == 0
    output = capsys.readouterr().out
    assert "config" in output
    assert "absent" not in output


@pytest.mark.parametrize("words", [words for words, (module, _) in root.COMMANDS.items() if root._is_installed(module)])
def test_help_when_asked_of_each_command_then_shown(capsys, words):
    assert root.run([*words.split(), "--help"]) == 0
    assert f"sovereign {words}" in capsys.readouterr().out


def test_version_when_asked_then_printed(capsys):
    assert root.run(["--version"]) == 0
    assert capsys.readouterr().out == f"sovereign {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["backtset"], "No such command"),
        (["config", "shwo"], "Did you mean 'show'?"),
        (["config", "show", "--jsno"], "--jsno"),
        (["data", "synth", "--sessions", "many"], "--sessions"),
    ],
)
def test_run_when_usage_is_wrong_then_one_line_and_exit_2(capsys, arguments, part):
    assert root.run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert part in captured.err


def test_run_when_no_command_is_given_then_help_and_exit_2(capsys):
    assert root.run([]) == 2
    assert "Usage: sovereign" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("SovereignError", 1),
        ("DataError", 1),
        ("CorruptFileError", 1),
        ("UsageError", 2),
        ("NotFoundError", 3),
        ("ConfigurationError", 4),
        ("OperationTimeoutError", 5),
        ("RiskHaltError", 6),
        ("BrokerError", 7),
        ("NotRunningError", 8),
    ],
)
def test_run_when_command_raises_then_one_line_and_the_code_of_its_class(capsys, command, name, code):
    command(f"raise errors.{name}('run was 9;\\n allowed is 1')")
    assert root.run(["mounted"]) == code
    captured = capsys.readouterr()
    assert captured.err == "error: run was 9; allowed is 1\n"
    assert captured.out == ""
    assert root.run(["mounted", "--json"]) == code
    expected = {"error": {"type": name, "message": "run was 9; allowed is 1", "exit_code": code}}
    assert json.loads(capsys.readouterr().err) == expected


def test_run_when_defect_is_met_then_short_line_and_traceback_on_request(capsys, command):
    command("raise ZeroDivisionError('inside')")
    assert root.run(["mounted"]) == 1
    short = capsys.readouterr().err
    assert short == "error: unexpected ZeroDivisionError: inside (run again with --traceback for details)\n"
    assert root.run(["mounted", "--traceback"]) == 1
    assert "mounted_command.py" in capsys.readouterr().err


def test_run_when_interrupted_then_130(capsys, command):
    command("raise KeyboardInterrupt")
    assert root.run(["mounted"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_run_when_package_is_missing_then_names_it(capsys, command):
    command("import no_such_vendor_package")
    assert root.run(["mounted"]) == 1
    assert "'no_such_vendor_package' is not installed" in capsys.readouterr().err


def test_exit_codes_when_listed_then_page_has_each_class():
    page = (Path(__file__).resolve().parents[4] / "docs" / "reference" / "exit_codes.md").read_text(encoding="utf-8")
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.SovereignError)]
    wanted = {f"| {kind.exit_code} | `{kind.__name__}` |" for kind in classes}
    assert {row for row in wanted if row not in page} == set()


@pytest.mark.parametrize(
    "words",
    [
        ["--symbols", "NVDA,JPM,BRK.B"],
        ["--symbols", "NVDA JPM  BRK.B"],
        ["--symbols", "NVDA,", "JPM,", "BRK.B"],
        ["--symbols", "NVDA", "JPM", "BRK.B"],
        ["--symbols=NVDA", "JPM", ",", "BRK.B"],
        ["-s", "NVDA", "JPM", "BRK.B"],
        ["--symbols", "NVDA", "--symbols", "JPM", "BRK.B"],
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_symbols_when_given_any_way_then_the_same_and_nothing_else_is_taken_for_one(
    monkeypatch, tmp_path, capsys, words, is_first
):
    (tmp_path / "symbols_command.py").write_text(
        "from typing import Annotated\nimport typer\nfrom sovereign.app.cli.common import JsonOption, emit, split_symbols\n"
        "def command(strategy: str, symbols: Annotated[list[str] | None, typer.Option('--symbols', '-s')] = None,\n"
        "            days: Annotated[int, typer.Option('--days')] = 0, as_json: JsonOption = False) -> None:\n"
        "    emit([strategy, split_symbols(symbols), days], as_json, str)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "symbols_command", raising=False)
    monkeypatch.setitem(root.COMMANDS, "named", ("symbols_command", "A command of the test."))
    rest = ["--days", "365", "--json"]
    line = ["tug_of_war", *words, *rest] if is_first else [*words, "tug_of_war", *rest]
    assert root.run(["named", *line]) == 0
    assert json.loads(capsys.readouterr().out) == ["tug_of_war", ["NVDA", "JPM", "BRK.B"], 365]


def test_symbols_when_none_is_named_then_said(capsys):
    assert root.run(["backtest", "tug_of_war", "--symbols", " , "]) == 2
    assert "name at least one" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["backtest"], ["evidence", "ablation"], ["evidence", "costs"]])
def test_symbols_when_several_words_are_given_then_each_is_looked_up(capsys, words):
    dates = ["--from", "2025-01-06", "--to", "2025-01-07"]
    assert root.run([*words, "tug_of_war", "--symbols", "NVDA", "N0SUCH", "JPM", *dates]) != 0
    assert "N0SUCH" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["backtest", "evidence ablation", "run", "venue", "scout tape", "scout news"])
def test_help_when_a_command_takes_symbols_then_says_how(capsys, monkeypatch, words):
    monkeypatch.setenv("COLUMNS", "200")
    assert root.run([*words.split(), "--help"]) == 0
    assert "SPY NVDA" in " ".join(capsys.readouterr().out.split())
