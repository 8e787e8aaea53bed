"""`sovereign alerts test` and `list`, as a person runs them."""

import json

import pytest

from alert_cases import NOON, ZONE, alert, alerts_config
from fakes.discord_server import TOKEN, DiscordServer
from fakes.web_server import Fault
from sovereign.app.cli.main import run
from sovereign.app.notify.discord import DiscordChannel
from sovereign.app.notify.reader import AlertReader
from sovereign.app.notify.router import AlertRouter


@pytest.fixture(autouse=True)
def no_channels_from_outside(monkeypatch):
    for name in ("DISCORD_WEBHOOK_URL", "TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_ID"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)


@pytest.fixture
def discord():
    with DiscordServer() as server:
        yield server


def test_test_when_a_channel_works_then_sent(discord, monkeypatch, capsys):
    monkeypatch.setenv("DISCORD_WEBHOOK_URL", discord.webhook)
    assert run(["alerts", "test"]) == 0
    assert capsys.readouterr().out == "discord: sent (200)\n"
    assert discord.titles == ["Test alert"]


def test_test_when_a_channel_refuses_then_told_without_the_secret(discord, monkeypatch, capsys):
    monkeypatch.setenv("DISCORD_WEBHOOK_URL", discord.webhook)
    discord.faults.append(Fault(status=401, body=discord.webhook.encode()))
    assert run(["alerts", "test", "--json"]) == 1
    seen = capsys.readouterr()
    assert json.loads(seen.out)[0]["outcome"] == "LOCKED_OUT"
    assert TOKEN not in seen.out + seen.err


def test_test_when_nothing_is_configured_then_says_what_to_set(capsys):
    assert run(["alerts", "test"]) == 4
    assert "DISCORD_WEBHOOK_URL" in capsys.readouterr().err


def test_list_when_alerts_were_told_then_newest_first(discord, tmp_path, capsys):
    config = alerts_config(tmp_path)
    router = AlertRouter(config, AlertReader(ZONE, 200), [DiscordChannel(config, discord.webhook)]).start()
    router.post(alert("a", NOON))
    router.post(alert("b", NOON + 1_000_000_000))
    assert router.close()
    assert run(["alerts", "list", "--set", f"alerts.folder={tmp_path}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2025-11-20 12:00:01 EST  INFO      About b  [discord sent]"
    assert run(["alerts", "list", "--limit", "1", "--json", "--set", f"alerts.folder={tmp_path}"]) == 0
    assert [row["title"] for row in json.loads(capsys.readouterr().out)] == ["About b"]


def test_list_when_there_are_none_or_the_part_is_unknown_then_said(tmp_path, capsys):
    assert run(["alerts", "list", "--set", f"alerts.folder={tmp_path}"]) == 0
    assert capsys.readouterr().out == "no alerts yet\n"
    assert run(["alerts", "list", "--part", "guard", "--set", f"alerts.folder={tmp_path}"]) == 3


NO_VENUE = ("guard.url=ws://127.0.0.1:9", "guard.token=a-guard-token-1", "kill.wait_s=0.5", "kill.attempts=1")


def kill(*words):
    return run(
        ["kill", "--yes", "--by", "ann", "--reason", "storm", *[part for word in NO_VENUE for part in ("--set", word)], *words]
    )


def test_kill_when_no_session_runs_then_the_channels_hear_of_it_and_of_what_came_of_it(discord, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISCORD_WEBHOOK_URL", discord.webhook)
    assert kill("--json") == 7
    assert json.loads(capsys.readouterr().out)["alert_error"] == ""
    assert discord.titles == ["Kill switch", "Kill: NOT FLAT"]
    said = json.dumps(discord.embeds)
    assert "storm" in said
    assert "ann" in said
    assert "a-guard-token-1" not in said
    assert kill() == 7  # a second one is no repeat of the first
    assert discord.titles == ["Kill switch", "Kill: NOT FLAT"] * 2


def test_kill_when_a_channel_is_gone_then_the_kill_is_done_and_says_what_nobody_was_told(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISCORD_WEBHOOK_URL", "not an address")
    assert kill("--json") == 7
    seen = capsys.readouterr()
    found = json.loads(seen.out)
    assert found["is_latched"]
    assert "nobody was told" in found["alert_error"]
