"""Secrets planted in the file, the environment, an address and an exception appear in nothing that is written or shown."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sovereign.store.store import Store

IN_FILE = "planted-in-the-file-4711"
IN_ENVIRONMENT = "planted-in-environment-4712"
IN_ADDRESS = "planted-in-address-4713"
IN_SECRET_FILE = "planted-in-a-file-of-its-own-4714"
WEBHOOK = "https://discord.com/api/webhooks/123456789012345678/planted_webhook_token_4715"
PLANTED = (IN_FILE, IN_ENVIRONMENT, IN_ADDRESS, IN_SECRET_FILE, "planted_webhook_token_4715")


@pytest.fixture
def place(tmp_path):
    """A working directory whose settings and environment are full of secrets."""
    (tmp_path / "sovereign.toml").write_text(
        f"""
[guard]
token = "{IN_FILE}"
url = "ws://me:{IN_ADDRESS}@127.0.0.1:9"
[kill]
wait_s = 1
attempts = 1
[log]
format = "json"
level = "DEBUG"
[risk.breakers]
stale_position_s = 100000
[synthetic]
ticks_per_session = 2000
[evidence]
null_sessions = 2
null_ticks = 1000
future_cuts = 1
future_ticks = 1000
"""
    )
    (tmp_path / "sovereign.toml").chmod(0o600)
    (tmp_path / "secret").write_text(IN_SECRET_FILE)
    (tmp_path / "secret").chmod(0o600)
    return tmp_path


def sovereign(place: Path, *words: str, program: str = "sovereign.app.cli.main") -> tuple[int, str]:
    """Run a command in the place; return its code and everything it said."""
    settings = {
        "DATABENTO_API_KEY": IN_ENVIRONMENT,
        "MASSIVE_API_KEY_FILE": str(place / "secret"),
        "SOVEREIGN__ALERTS__DISCORD__WEBHOOK_URL": WEBHOOK,
    }
    done = subprocess.run(
        [sys.executable, "-m", program, *words],
        cwd=place,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return done.returncode, done.stdout + done.stderr


def assert_clean(text: str, where: str) -> None:
    assert [secret for secret in PLANTED if secret in text] == [], where


def assert_clean_files(place: Path) -> None:
    for file in sorted(place.rglob("*")):
        if file.is_file() and file.name not in ("sovereign.toml", "secret"):
            assert_clean(file.read_bytes().decode("utf-8", "replace"), str(file))


def test_configuration_when_shown_then_no_secret(place):
    for words in (["config", "show"], ["config", "show", "--json"], ["config", "schema"]):
        code, said = sovereign(place, *words)
        assert code == 0
        assert_clean(said, " ".join(words))
    assert "********" in said or "guard" in said


def test_ledger_and_report_when_a_run_is_made_then_no_secret(place):
    day = ("--symbol", "ESZ5", "--from", "2025-11-17", "--to", "2025-11-17")
    assert sovereign(place, "data", "synth", "--symbol", "ESZ5", "--from", "2025-11-17")[0] == 0
    code, said = sovereign(place, "backtest", "order_flow", *day)
    assert code == 0, said
    assert_clean(said, "backtest")
    for words in (["runs", "list"], ["runs", "show", "last", "--json"]):
        assert_clean(sovereign(place, *words)[1], " ".join(words))
    assert any((place / "runs").rglob("*.html"))
    assert_clean_files(place)


def test_guard_kill_and_doctor_when_the_venue_is_gone_then_no_secret_in_log_report_or_notices(place):
    for words in (["guard", "--once"], ["kill", "--yes", "--reason", f"they know {IN_FILE}"], ["doctor"], ["doctor", "--json"]):
        code, said = sovereign(place, *words)
        assert code in (1, 7), said
        assert_clean(said, " ".join(words))
    with Store(f"sqlite:///{place}/sovereign.sqlite") as store:
        assert [stored.notice.code.value for stored in store.live.notices()] == ["GUARD", "KILLED"]
    assert_clean_files(place)


@pytest.mark.parametrize("options", [[], ["--traceback"]])
def test_error_when_its_text_holds_secrets_then_masked_in_message_and_traceback(place, options):
    (place / "broken.py").write_text(
        "import os\n"
        "from sovereign.app.cli.common import settings_from\n"
        "def command() -> None:\n"
        "    settings = settings_from(None, None).settings\n"
        "    token = settings.guard.token.get_secret_value()\n"
        "    raise RuntimeError(f'{token} and {os.environ[\"DATABENTO_API_KEY\"]} at {settings.guard.url}')\n"
    )
    (place / "start.py").write_text(
        "import sys\n"
        "from sovereign.app.cli import main\n"
        "main.COMMANDS['broken'] = ('broken', 'A command of the test.')\n"
        "sys.exit(main.run(['broken', *sys.argv[1:]]))\n"
    )
    code, said = sovereign(place, *options, program="start")
    assert code == 1
    assert_clean(said, "error")
    assert said.count("********") >= 3
    assert ("Traceback" in said) == ("--traceback" in options)


def test_log_when_everything_is_written_then_every_line_is_json_without_secrets(place):
    code, said = sovereign(place, "guard", "--once")
    assert code == 7
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert any("the venue has not answered" in line["event"] for line in lines)
    assert_clean(said, "guard")


def test_session_when_it_runs_with_secrets_then_none_in_health_answers_log_store_or_files(place):
    import urllib.error
    import urllib.request

    from fakes.commands import sovereign as started
    from fakes.commands import venue, wait_for

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    planted = {"DATABENTO_API_KEY": IN_ENVIRONMENT, "SOVEREIGN__ALERTS__DISCORD__WEBHOOK_URL": WEBHOOK}
    settings = ("--set", f"venue.state={place}/venue", "--set", f"health.port={port}", "--set", "alerts.discord.enabled=false")

    def answer(path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as reply:
                return str(reply.read().decode())
        except urllib.error.HTTPError as refusal:
            return str(refusal.read().decode())
        except OSError:
            return ""

    with (
        venue(place, "--pace", "realtime", "--offset", "7200") as market,
        started(place, "run", "order_flow", "--once", *settings, **planted) as session,
    ):
        session.said("our books equal the broker's", 150)
        assert sovereign(place, "halt", "--reason", f"they know {IN_FILE}", "--json", *settings)[0] == 0
        wait_for(lambda: "HALTED" in answer("/readyz"), "the halt in the answer", 90, session.alive)
        for path in ("/healthz", "/readyz", "/metrics"):
            said = answer(path)
            assert said, path
            assert_clean(said, path)
        for words in (["status", "--json"], ["orders"], ["positions"]):
            assert_clean(sovereign(place, *words, *settings)[1], " ".join(words))
        session.process.terminate()
        session.ended(60)
        assert_clean("".join([*session.out, *session.err]), "the session's log")
        tokens = market["tokens"]["paper"]
        assert not any(token in "".join([*session.out, *session.err]) for token in tokens.values())
