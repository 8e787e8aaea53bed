"""Service files: what supervisors themselves say of them, and that the programs in them start."""

import json
import plistlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sovereign.app.cli.main import run
from sovereign.app.cli.service import check_start
from sovereign.app.ops.service import Kind, ServicePlan, control_words, files_of, own_program
from sovereign.core.errors import UsageError


def plan(place, **changes):
    settings = {
        "name": "sovereign",
        "program": own_program(),
        "arguments": ("order_flow", "--mode", "paper"),
        "folder": place,
        "environment_file": place / "sovereign.env",
        "is_user": True,
        "user": "trader",
        "python_path": str(Path(__file__).parents[4] / "src"),
    }
    return ServicePlan(**{**settings, **changes})


def unit_lines(text):
    return [tuple(line.split("=", 1)) for line in text.splitlines() if "=" in line and not line.startswith("#")]


@pytest.mark.parametrize("is_user", [True, False])
def test_systemd_units_when_made_then_notify_watchdog_and_restart(tmp_path, is_user):
    files = files_of(plan(tmp_path, is_user=is_user), Kind.SYSTEMD)
    assert set(files) == {"sovereign.service", "sovereign-guard.service"}
    for content in files.values():
        lines = unit_lines(content.decode())
        assert ("Type", "notify") in lines
        assert ("WatchdogSec", "60") in lines
        assert ("Restart", "always") in lines
        assert ("NoNewPrivileges", "yes") in lines
        assert (("User", "trader") in lines) == (not is_user)
    assert "RestartPreventExitStatus" not in files["sovereign-guard.service"].decode()


def test_units_when_commands_are_taken_by_telegram_then_a_third_one_listens(tmp_path):
    with_control = plan(tmp_path, has_control=True)
    systemd = files_of(with_control, Kind.SYSTEMD)
    assert set(systemd) == {"sovereign.service", "sovereign-guard.service", "sovereign-control.service"}
    listening = unit_lines(systemd["sovereign-control.service"].decode())
    assert any(name == "ExecStart" and value.endswith(" control") for name, value in listening)
    assert ("Type", "notify") in listening
    assert ("RestartPreventExitStatus", "2 4") in listening
    assert not any("HEALTH__PORT" in value for _, value in listening)
    session = unit_lines(systemd["sovereign.service"].decode())
    assert ("Wants", "sovereign-guard.service sovereign-control.service") in session
    lists = {name: plistlib.loads(content) for name, content in files_of(with_control, Kind.LAUNCHD).items()}
    assert lists["org.sovereign.sovereign-control.plist"]["ProgramArguments"][-1].endswith(" control")
    assert "  sovereign-control:\n" in files_of(with_control, Kind.DOCKER)["compose.yaml"].decode()
    assert "control" not in "".join(files_of(plan(tmp_path), Kind.SYSTEMD))
    assert set(check_start(with_control)) == {"sovereign", "sovereign-guard", "sovereign-control"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
@pytest.mark.parametrize("folder", ["plain", "with a blank", "percent%20 $HOME"])
def test_systemd_units_when_verified_by_systemd_then_no_complaint(tmp_path, folder):
    place = tmp_path / folder
    place.mkdir()
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    for name, content in files_of(plan(place, is_user=False, user=user), Kind.SYSTEMD).items():
        (tmp_path / name).write_bytes(content)
    units = [str(tmp_path / name) for name in ("sovereign.service", "sovereign-guard.service")]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    # Older versions do not know the growing back-off and say that they ignore it.
    newer = ("Unknown key 'RestartSteps'", "Unknown key 'RestartMaxDelaySec'")
    complaints = [
        line for line in done.stderr.splitlines() if str(tmp_path) in line and not any(word in line for word in newer)
    ]
    assert complaints == []


def test_launchd_lists_when_parsed_then_whole_and_kept_alive(tmp_path):
    folder = tmp_path / "with a blank"
    files = files_of(plan(folder), Kind.LAUNCHD)
    assert set(files) == {"org.sovereign.sovereign.plist", "org.sovereign.sovereign-guard.plist"}
    for content in files.values():
        found = plistlib.loads(content)
        assert found["KeepAlive"] is True
        assert found["RunAtLoad"] is True
        assert found["Umask"] == 0o077
        assert found["WorkingDirectory"] == str(folder)
        shell, flag, script = found["ProgramArguments"]
        assert (shell, flag) == ("/bin/sh", "-c")
        assert shlex.quote(str(folder / "sovereign.env")) in script


def test_launchd_script_when_run_then_reads_the_secrets_and_starts_the_program(tmp_path):
    folder = tmp_path / "with a blank"
    folder.mkdir()
    (folder / "sovereign.env").write_text("GIVEN_TOKEN='a secret with blanks'\n")
    program = (sys.executable, "-c", "import os, sys; print(os.environ['GIVEN_TOKEN'], sys.argv[1:])")
    content = plistlib.loads(files_of(plan(folder, program=program), Kind.LAUNCHD)["org.sovereign.sovereign.plist"])
    done = subprocess.run(content["ProgramArguments"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "a secret with blanks ['run', 'order_flow', '--mode', 'paper']"


def test_compose_when_read_then_two_services_without_rights_or_ports(tmp_path):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    found = yaml.safe_load(files_of(plan(tmp_path), Kind.DOCKER)["compose.yaml"])
    assert set(found["services"]) == {"sovereign", "sovereign-guard"}
    for service in found["services"].values():
        assert service["cap_drop"] == ["ALL"]
        assert service["user"] == "10001:10001"
        assert service["read_only"] is True
        assert "ports" not in service
        assert service["restart"] == "always"
        assert service["volumes"] == ["sovereign-data:/data"]
    assert found["services"]["sovereign"]["command"] == ["run", "order_flow", "--mode", "paper"]
    assert found["services"]["sovereign-guard"]["command"] == ["guard"]
    assert set(found["volumes"]) == {"sovereign-data"}


def test_compose_when_read_without_a_parser_then_indented_by_twos_and_quoted(tmp_path):
    text = files_of(plan(tmp_path), Kind.DOCKER)["compose.yaml"].decode()
    assert all((len(line) - len(line.lstrip())) % 2 == 0 for line in text.splitlines())
    assert "\t" not in text
    assert '    command: ["run", "order_flow", "--mode", "paper"]' in text


def test_dockerfile_when_read_then_not_root_with_a_health_check_of_the_endpoint(tmp_path):
    text = files_of(plan(tmp_path), Kind.DOCKER)["Dockerfile"].decode()
    assert "USER 10001:10001" in text
    assert "127.0.0.1:9108/healthz" in text
    (check,) = re.findall(r"HEALTHCHECK .*CMD (\[.*\])", text)
    program = json.loads(check)
    assert program[:2] == ["python", "-c"]
    compile(program[2], "health check", "exec")


def test_exec_start_when_words_hold_blanks_quotes_and_signs_then_systemd_s_quoting(tmp_path):
    words = ("a b", 'c"d', "e%f", "g$h", "i\\j")
    text = files_of(plan(tmp_path, program=words), Kind.SYSTEMD)["sovereign.service"].decode()
    assert 'ExecStart="a b" "c\\"d" e%%f g$$h "i\\\\j" run order_flow' in text


@pytest.mark.parametrize("change", [{"name": "a b"}, {"name": ""}, {"user": "x\ny"}, {"folder": Path("a\nUser=root")}])
def test_plan_when_a_word_could_write_other_lines_then_refused(tmp_path, change):
    with pytest.raises(UsageError):
        plan(tmp_path, **change)


def test_guard_unit_when_its_program_is_started_then_it_says_ready_and_ends_on_sigterm(tmp_path):
    text = files_of(plan(tmp_path), Kind.SYSTEMD)["sovereign-guard.service"].decode()
    (command,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    settings = dict(
        pair.split("=", 1) for line in re.findall(r"^Environment=(.*)$", text, re.MULTILINE) for pair in shlex.split(line)
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "n"))
        channel.settimeout(60)
        process = subprocess.Popen(
            shlex.split(command),
            cwd=tmp_path,
            env={
                "PATH": "/usr/bin:/bin",
                "NOTIFY_SOCKET": str(tmp_path / "n"),
                "SOVEREIGN__GUARD__TOKEN": "a-token-of-the-guard",
                "SOVEREIGN__GUARD__URL": "ws://127.0.0.1:9",
                **settings,
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert channel.recv(300).startswith(b"READY=1")
            assert channel.recv(300).startswith(b"WATCHDOG=1")
        finally:
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "the venue has not answered the guard" in log
    assert "a-token-of-the-guard" not in log


def test_check_when_a_program_does_not_start_then_says_which(tmp_path):
    with pytest.raises(Exception, match="unit 'sovereign' does not start"):
        check_start(plan(tmp_path, program=(sys.executable, "-c", "import nothing_of_this_name")))


def test_install_when_out_is_given_then_files_alone_and_uninstall_removes_them(tmp_path, capsys):
    words = ["--kind", "systemd", "--out", str(tmp_path / "out"), "--folder", str(tmp_path / "work"), "--json"]
    assert run(["service", "install", "order_flow", *words]) == 0
    written = json.loads(capsys.readouterr().out)["files"]
    assert [Path(file).name for file in written] == ["sovereign.service", "sovereign-guard.service"]
    assert not (tmp_path / "work").exists()
    assert run(["service", "uninstall", *words]) == 0
    assert list((tmp_path / "out").iterdir()) == []
    capsys.readouterr()
    assert run(["service", "uninstall", *words]) == 3


def test_install_when_live_then_the_flag_is_in_the_unit_and_the_other_consents_are_not(tmp_path, capsys):
    assert run(["service", "print", "order_flow", "--kind", "systemd", "--mode", "live", "--folder", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "run order_flow --mode live --live" in text
    assert "ENABLE_LIVE_TRADING" not in text


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("verb", ["start", "stop", "restart", "logs"])
def test_verb_when_the_supervisor_is_absent_then_says_so(kind, verb, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["service", verb, "--kind", kind.value]) == 3
    assert "was not found on this machine" in capsys.readouterr().err


def test_stop_when_asked_then_the_guard_stays():
    for kind in Kind:
        words = control_words(kind, "stop", ("sovereign", "sovereign-guard"), is_user=True, uid=1000, folder=Path())
        assert not any("guard" in word for line in words for word in line)


def test_grafana_when_written_then_json(tmp_path):
    assert run(["service", "grafana", "--out", str(tmp_path / "board.json")]) == 0
    assert json.loads((tmp_path / "board.json").read_text())["title"] == "Sovereign"
