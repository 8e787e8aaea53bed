"""Alerts against Discord and Telegram on this machine: limits, faults, restarts, and secrets that stay secret."""

import json
import logging
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from alert_cases import NOON, ZONE, alert, alerts_config, notice, until
from fakes.discord_server import TOKEN as HOOK
from fakes.discord_server import DiscordServer, limited
from fakes.telegram_server import TOKEN as BOT
from fakes.telegram_server import TelegramServer, flooded
from fakes.web_server import Fault
from sovereign.app.notify.channel import Kind, Message
from sovereign.app.notify.discord import DiscordChannel
from sovereign.app.notify.reader import AlertReader
from sovereign.app.notify.router import AlertRouter, spool_path
from sovereign.app.notify.setup import channels_of
from sovereign.app.notify.spool import Spool
from sovereign.app.notify.telegram import TelegramChannel
from sovereign.core.errors import ConfigurationError
from sovereign.core.event import NoticeCode, Severity


@pytest.fixture
def discord():
    with DiscordServer() as server:
        yield server


@pytest.fixture
def telegram():
    with TelegramServer() as server:
        yield server


def router_of(folder, *channels, **changes):
    config = alerts_config(folder, **changes)
    made = [make(config) for make in channels]
    return AlertRouter(config, AlertReader(ZONE, config.max_outside_text), made).start()


def to_discord(server):
    return lambda config: DiscordChannel(config, server.webhook)


def to_telegram(server, chat="42"):
    def make(config):
        changed = config.model_copy(update={"telegram": config.telegram.model_copy(update={"base_url": server.address})})
        return TelegramChannel(changed, BOT, chat)

    return make


def sent_by(channel, told=None):
    """The outcome of sending one alert directly."""
    outcome = channel.send([told or Message(alert=alert())])
    channel.close()
    return outcome


def test_notice_when_it_passes_the_sink_then_both_channels_have_it(tmp_path, discord, telegram):
    router = router_of(tmp_path, to_discord(discord), to_telegram(telegram))
    router.sink(notice(NoticeCode.CONNECTION_LOST))
    assert router.close()
    assert discord.titles == ["Connection lost: feed"]
    assert discord.messages[0]["allowed_mentions"] == {"parse": []}
    assert discord.messages[0]["content"].startswith("ALARM")
    assert telegram.texts(42)[0].startswith("ALARM: Connection lost: feed\nNo word for 30 s.\n2025-11-20 12:00:00 EST #")


@pytest.mark.parametrize(
    "fault",
    [
        limited(0.05),
        limited(0.05, has_body=False),
        limited(0.05, has_header=False),
        limited(0.05, unit=1_000),
        Fault(status=429, headers={"Retry-After": "soon"}, body=b"<html>"),
        Fault(status=500),
        Fault(status=502, body=b"<html>bad gateway</html>"),
        Fault(reset=True),
        Fault(slow_s=0.8),
        Fault(status=200, body=b"<html>log in to this network</html>"),
        Fault(status=302, headers={"Location": "http://127.0.0.1:9/"}),
        Fault(status=401),
    ],
)
def test_delivery_when_a_fault_passes_then_the_alert_arrives(tmp_path, discord, fault):
    discord.faults.extend([fault, fault])
    router = router_of(tmp_path, to_discord(discord), timeout_s=0.4 if fault.slow_s else 5.0)
    router.post(alert("a", severity=Severity.ALARM))
    until(lambda: discord.titles)
    assert router.close()
    assert set(discord.titles) == {"About a"}


def test_delivery_when_limited_then_the_channel_waits_as_asked(tmp_path):
    with DiscordServer() as server:
        server.faults.append(limited(7.5))
        config = alerts_config(tmp_path, retry_after_max_s=60)
        outcome = sent_by(DiscordChannel(config, server.webhook))
        assert (outcome.kind, outcome.wait_s) == (Kind.LIMITED, 7.5)


@pytest.mark.parametrize(("asked", "waited"), [(0.0, 0.1), (3_600, 60.0), (1.5, 1.5)])
def test_wait_when_asked_for_then_clamped(tmp_path, discord, asked, waited):
    discord.faults.append(limited(asked))
    config = alerts_config(tmp_path, retry_after_min_s=0.1, retry_after_max_s=60)
    assert sent_by(DiscordChannel(config, discord.webhook)).wait_s == waited


def test_wait_when_telegram_asks_then_taken_from_its_body(tmp_path, telegram):
    telegram.faults.append(flooded(3))
    channel = to_telegram(telegram)(alerts_config(tmp_path, retry_after_max_s=60))
    assert sent_by(channel).wait_s == 3


def test_wait_when_the_last_call_of_a_bucket_then_the_next_waits(tmp_path, discord):
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": "0.15"}
    discord.faults.append(Fault(status=200, headers=headers, body=b'{"id": "1"}'))
    outcome = sent_by(to_discord(discord)(alerts_config(tmp_path)))
    assert (outcome.kind, outcome.wait_s) == (Kind.SENT, 0.15)


def test_answer_when_it_was_lost_after_arrival_then_sent_again_and_said(tmp_path, discord):
    discord.faults.append(Fault(reset=True, is_kept=True))
    router = router_of(tmp_path, to_discord(discord))
    router.post(alert("a", severity=Severity.ALARM))
    until(lambda: len(discord.titles) == 2)
    assert router.close()
    footers = [embed["footer"]["text"] for embed in discord.embeds]
    assert "may have arrived before" not in footers[0]
    assert "may have arrived before" in footers[1]


def test_batch_when_one_alert_is_refused_then_the_others_arrive_and_it_is_tried_bare(tmp_path, discord):
    refused = json.dumps({"message": "Invalid Form Body"}).encode()

    def choose(request):
        spoils = any("bad" in json.dumps(embed) and embed["fields"] for embed in request.fields["embeds"])
        return Fault(status=400, body=refused) if spoils else None

    discord.choose = choose
    discord.faults.append(Fault(status=503))  # so that all three wait together
    router = router_of(tmp_path, to_discord(discord), backoff_s=0.1)
    for key in ("a", "bad", "c"):
        router.post(alert(key, severity=Severity.ALARM, fields=(("Name", "value"),)))
    assert router.close()
    assert sorted(discord.titles) == ["About a", "About bad", "About c"]


def test_alerts_when_many_wait_then_ten_to_a_message_within_discords_limits(tmp_path, discord):
    discord.stop()
    router = router_of(tmp_path, to_discord(discord), max_per_minute=100)
    for number in range(40):
        fields = tuple((f"Name {at}", "*value* " * 30) for at in range(20))
        router.post(alert(f"k{number}", NOON + number, Severity.ALARM, fields=fields if number % 2 else (), text="word " * 60))
    until(lambda: router.stats().get("discord.waiting", 0) == 40 and router.stats()["discord.calls.unreachable"])
    discord.restart()
    assert router.close()
    assert sorted(discord.titles) == sorted(f"About k{number}" for number in range(40))
    assert len(discord.messages) < 40


def test_alerts_when_they_wait_then_the_gravest_goes_first(tmp_path, telegram):
    telegram.stop()
    router = router_of(tmp_path, to_telegram(telegram), backoff_s=0.05)
    for number, severity in enumerate((Severity.WARNING, Severity.ALARM, Severity.CRITICAL)):
        router.post(alert(f"k{number}", NOON + number, severity))
    until(lambda: router.stats().get("telegram.waiting", 0) == 3)
    telegram.restart()
    assert router.close()
    text = "\n".join(telegram.texts(42))
    assert text.index("About k2") < text.index("About k1") < text.index("About k0")


def test_channel_when_one_is_down_then_the_other_is_not_kept_waiting(tmp_path, discord, telegram):
    discord.choose = lambda request: Fault(slow_s=2, status=500)
    router = router_of(tmp_path, to_discord(discord), to_telegram(telegram))
    router.post(alert("a", severity=Severity.CRITICAL))
    until(lambda: telegram.sent)
    assert not router.close(0.2)


def test_process_when_stopped_with_alerts_waiting_then_the_next_delivers_them(tmp_path, discord):
    discord.stop()
    router = router_of(tmp_path, to_discord(discord))
    router.post(alert("a", severity=Severity.CRITICAL))
    assert not router.close(0.3)
    discord.restart()
    router = router_of(tmp_path, to_discord(discord))
    assert router.close()
    assert discord.titles == ["About a"]


def test_process_when_killed_in_the_middle_of_sending_then_the_next_delivers_it(tmp_path, discord):
    program = f"""
        import os, sys
        sys.path.insert(0, {str(tmp_path)!r})
        from pathlib import Path
        from sovereign.app.notify.alert import Alert, Topic
        from sovereign.app.notify.configuration import AlertsConfig
        from sovereign.app.notify.discord import DiscordChannel
        from sovereign.app.notify.reader import AlertReader
        from sovereign.app.notify.router import AlertRouter
        from sovereign.core.event import Severity
        config = AlertsConfig(folder=Path({str(tmp_path)!r}), timeout_s=3)  # what it held is free after four of these

        class Dying(DiscordChannel):
            def send(self, messages):
                super().send(messages)
                os._exit(9)

        router = AlertRouter(config, AlertReader("UTC", 200), [Dying(config, {discord.webhook!r})]).start()
        router.post(Alert(key="a", ts=1, severity=Severity.CRITICAL, topic=Topic.RISK, title="Fire", text="", zone="UTC"))
        router.close(60)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False, timeout=120)
    assert done.returncode == 9
    assert discord.titles == ["Fire"]
    router = router_of(tmp_path, to_discord(discord))
    until(lambda: len(discord.titles) == 2, 120)  # whether it arrived nobody can know, so it is told again, and said
    assert router.close()
    assert "may have arrived before" in discord.embeds[1]["footer"]["text"]


def test_small_alerts_when_stale_then_summed_up_and_serious_ones_delivered(tmp_path, discord):
    discord.stop()
    router = router_of(tmp_path, to_discord(discord), stale_after_s=0.2, max_per_minute=100)
    for number in range(5):
        router.post(alert(f"k{number}", NOON + number))
    router.post(alert("fire", severity=Severity.ALARM))
    until(lambda: router.stats().get("discord.expired", 0) >= 5)
    discord.restart()
    until(lambda: "About fire" in discord.titles)
    router.close()
    assert not any(title.startswith("About k") for title in discord.titles)


def test_queue_when_full_then_the_least_severe_go_and_are_counted(tmp_path):
    from sovereign.app.notify.router import AlertQueue

    queue = AlertQueue(16)
    for number in range(30):
        queue.put(alert(f"k{number}"), 1)
    queue.put(alert("fire", severity=Severity.CRITICAL), 4)
    for number in range(30):
        queue.put(alert(f"late{number}"), 0)
    kept = [queue.get(0).key for _ in range(len(queue))]
    assert kept == [*(f"k{number}" for number in range(15, 30)), "fire"]
    assert sum(queue.dropped) == 45
    assert queue.get(0) is None


def test_spool_when_damaged_then_set_aside_and_alerts_go_on(tmp_path, discord):
    path = spool_path(alerts_config(tmp_path), "session")
    path.write_bytes(b"not a database at all, not at all" * 100)
    router = router_of(tmp_path, to_discord(discord))
    router.post(alert("a", severity=Severity.ALARM))
    assert router.close()
    assert discord.titles == ["About a"]
    assert path.with_name("session.sqlite.damaged").exists()


def test_spool_when_no_folder_can_be_made_then_alerts_go_on_in_memory(tmp_path, discord):
    (tmp_path / "file").write_text("in the way")
    router = router_of(tmp_path / "file", to_discord(discord))
    router.post(alert("a", severity=Severity.ALARM))
    assert router.close()
    assert discord.titles == ["About a"]


def test_spool_when_it_fails_while_running_then_what_waits_is_taken_into_memory(tmp_path, discord):
    discord.stop()
    router = router_of(tmp_path, to_discord(discord))
    router.post(alert("a", severity=Severity.ALARM))
    until(lambda: router.stats().get("discord.waiting", 0))
    router.spool.fall_back(sqlite3.OperationalError("disk is full"))
    router.post(alert("b", severity=Severity.ALARM))
    discord.restart()
    assert router.close()
    assert sorted(discord.titles) == ["About a", "About b"]


def test_group_when_it_has_moved_then_the_new_chat_is_written_to(tmp_path, telegram):
    telegram.moved["42"] = -1009
    channel = to_telegram(telegram)(alerts_config(tmp_path))
    assert sent_by(channel).kind is Kind.SENT
    assert telegram.texts(-1009)


def test_chart_when_given_then_attached_and_shown(tmp_path, discord, telegram):
    picture = b"\x89PNG\r\n\x1a\n and so on"
    config = alerts_config(tmp_path)
    told = Message(alert=alert(chart=picture))
    assert sent_by(to_discord(discord)(config), told).kind is Kind.SENT
    assert discord.files == [{"files[0]": picture}]
    assert discord.embeds[0]["image"] == {"url": "attachment://chart.png"}
    assert sent_by(to_telegram(telegram)(config), told).kind is Kind.SENT
    assert telegram.photos == [("42", "About k", picture)]


def test_secrets_when_everything_fails_then_in_no_log_error_or_spool(tmp_path, discord, telegram, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    echo = f"no such hook {discord.webhook} for {BOT}".encode()
    faults = [Fault(status=404, body=echo), Fault(status=500, body=echo), Fault(reset=True), Fault(status=400, body=echo)]
    discord.faults.extend(faults)
    telegram.faults.extend(faults)
    router = router_of(tmp_path, to_discord(discord), to_telegram(telegram))
    router.post(alert("a", severity=Severity.CRITICAL))
    router.post(alert("b", severity=Severity.CRITICAL))
    until(lambda: "About a" in discord.titles and telegram.sent)
    stats = router.stats()
    router.close()
    discord.stop()
    router = router_of(tmp_path, to_discord(discord))
    router.post(alert("c", severity=Severity.CRITICAL))
    until(lambda: router.stats()["discord.calls.unreachable"])
    router.close(0.1)
    seen = caplog.text + str(stats) + "".join(capfd.readouterr())
    seen += "".join(path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file())
    assert "POST" in caplog.text  # the HTTP library did log
    assert HOOK not in seen
    assert BOT not in seen
    assert BOT.split(":")[1] not in seen
    discord.restart()


@pytest.mark.parametrize("webhook", ["discord.com/api/webhooks/1/abcdefgh", "ftp://x/y-secret", "nonsense-secret"])
def test_webhook_when_no_address_then_refused_without_showing_it(tmp_path, webhook):
    with pytest.raises(ConfigurationError) as refusal:
        DiscordChannel(alerts_config(tmp_path), webhook)
    assert webhook not in str(refusal.value)


def test_token_when_not_like_one_then_refused_without_showing_it(tmp_path):
    with pytest.raises(ConfigurationError) as refusal:
        TelegramChannel(alerts_config(tmp_path), "half-a-token", "42")
    assert "half-a-token" not in str(refusal.value)


def test_channels_when_secrets_are_in_variables_or_files_then_made(tmp_path, discord):
    (tmp_path / "hook").write_text(f"{discord.webhook}\n")
    config = alerts_config(tmp_path)
    given = {"DISCORD_WEBHOOK_URL_FILE": str(tmp_path / "hook"), "TELEGRAM_BOT_TOKEN": BOT, "TELEGRAM_CHAT_ID": "42"}
    channels = channels_of(config, given)
    assert [channel.name for channel in channels] == ["discord", "telegram"]
    assert sent_by(channels[0]).kind is Kind.SENT
    channels[1].close()
    assert channels_of(config, {}) == []


def test_channels_when_telegram_is_half_set_then_said(tmp_path):
    with pytest.raises(ConfigurationError, match="TELEGRAM_CHAT_ID"):
        channels_of(alerts_config(tmp_path), {"TELEGRAM_BOT_TOKEN": BOT})


def test_list_when_asked_then_says_what_became_of_each(tmp_path, discord):
    router = router_of(tmp_path, to_discord(discord))
    router.post(alert("a"))
    router.post(alert("a", NOON + 1))
    assert router.close()
    spool = Spool(spool_path(alerts_config(tmp_path), "session"))
    found = [(listed.alert.key, listed.fate, [state for _, state, _ in listed.deliveries]) for listed in spool.recent(10)]
    spool.close()
    assert found == [("a", "REPEATED", []), ("a", "ROUTED", ["SENT"])]
