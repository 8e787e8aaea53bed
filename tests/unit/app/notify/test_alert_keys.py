"""Every key of the section `alerts` changes what is told, to whom, or when.

`KEYS` is data: the path of a key, another value for it, and a scenario whose outcome must differ between the default and that
value (some need further settings around the key).
"""

import logging
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from alert_cases import NOON, ZONE, alert, notice
from fakes.discord_server import DiscordServer, limited
from fakes.telegram_server import TOKEN, TelegramServer
from fakes.web_server import Fault
from sovereign.app.notify.alert import Topic
from sovereign.app.notify.channel import Kind, Message, Outcome
from sovereign.app.notify.configuration import AlertsConfig
from sovereign.app.notify.control import CommandAnswer, TelegramControl
from sovereign.app.notify.delivery import DeliveryWorker
from sovereign.app.notify.discord import DiscordChannel
from sovereign.app.notify.gate import Gate
from sovereign.app.notify.reader import AlertReader
from sovereign.app.notify.router import AlertRouter, spool_path
from sovereign.app.notify.setup import channels_of
from sovereign.app.notify.spool import Spool
from sovereign.app.notify.telegram import TelegramBot, TelegramChannel
from sovereign.core.event import NoticeCode, Severity
from sovereign.core.session import NS_PER_SECOND

HOOK = "http://127.0.0.1:9/api/webhooks/1/abcdefgh"


def gated(*moments: float, severity: Severity = Severity.INFO, **changes: Any) -> Any:
    """When, in seconds, deliveries become due for alerts of one matter (or of many, with `kinds`)."""

    def run(config: AlertsConfig) -> Any:
        kinds, spool = changes.get("kinds", False), Spool(None)
        gate = Gate(config, spool, ("discord", "telegram"))
        for at, second in enumerate(moments):
            now = NOON + int(second * NS_PER_SECOND)
            gate.take(alert(f"k{at}" if kinds else "k", now, severity, topic=Topic.TRADE), now)
            gate.tick(now)
        rows = spool._rows("SELECT channel, due_ns FROM deliveries ORDER BY id")
        return [(channel, int(str(due)) - NOON) for channel, due in rows]

    return run


class Failing:
    """A channel that always ends in the same way."""

    name = "discord"

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.calls = 0

    def fit(self, messages: Any) -> int:
        return 1

    def send(self, messages: Any) -> Outcome:
        self.calls += 1
        return self.outcome

    def close(self) -> None:
        """Nothing to close."""


def delivered(kind: Kind, severity: Severity = Severity.ALARM, steps: int = 12) -> Any:
    """The waits, s, of a delivery that ends in the same way each time; looked at every 0.5 s for `steps` minutes."""

    def run(config: AlertsConfig) -> Any:
        spool, now, calls = Spool(None), [NOON], []
        channel = Failing(Outcome(kind=kind))
        worker = DeliveryWorker(config, spool, channel, lambda: now[0], lambda: 0.0)
        told = alert("k", NOON, severity)
        spool.deliver(spool.add(told, NOON), told, ("discord",), NOON)
        for _ in range(steps * 120):
            before = channel.calls
            worker.step()
            if channel.calls > before:
                calls.append(now[0] - NOON)
            now[0] += NS_PER_SECOND // 2
        return calls

    return run


def asked_to_wait(seconds: float) -> Any:
    def run(config: AlertsConfig) -> Any:
        with DiscordServer() as server:
            server.faults.append(limited(seconds))
            channel = DiscordChannel(config, server.webhook)
            wait_s = channel.send([Message(alert=alert())]).wait_s
            channel.close()
            return wait_s

    return run


def patience(config: AlertsConfig) -> Any:
    with DiscordServer() as server:
        server.faults.append(Fault(slow_s=0.3))
        channel = DiscordChannel(config, server.webhook)
        kind = channel.send([Message(alert=alert())]).kind
        channel.close()
        return kind


def posted(config: AlertsConfig) -> Any:
    with DiscordServer() as server:
        channel = DiscordChannel(config, server.webhook)
        channel.send([Message(alert=alert())])
        channel.close()
        return server.messages


def configured(environment: dict[str, str]) -> Any:
    def run(config: AlertsConfig) -> Any:
        channels = channels_of(config, environment)
        for channel in channels:
            channel.close()
        return [(channel.name, getattr(channel, "_chat", None)) for channel in channels]

    return run


def queued(config: AlertsConfig) -> Any:
    router = AlertRouter(config, AlertReader(ZONE, 100), [])
    for number in range(100):
        router.post(alert(f"k{number}"))
    waiting = router.stats()["queue.waiting"]
    router.spool.close()
    return waiting


def flushed(config: AlertsConfig) -> Any:
    """Whether a channel that answers after 0.2 s has the alert when the platform has stopped."""
    with DiscordServer() as server:
        server.choose = lambda request: Fault(slow_s=0.2)
        router = AlertRouter(config, AlertReader(ZONE, 100), [DiscordChannel(config, server.webhook)]).start()
        router.post(alert())
        return router.close()


def kept(config: AlertsConfig) -> Any:
    spool = Spool(None)
    for number in range(300):
        spool.add(alert(f"k{number}"), NOON)
    Gate(config, spool, ()).prune(NOON)
    return len(spool.recent(1_000))


def forgotten(config: AlertsConfig) -> Any:
    spool = Spool(None)
    gate = Gate(config, spool, ("discord",))
    gate.take(alert(), NOON)
    gate.prune(NOON + 3_600 * NS_PER_SECOND)
    return spool.matter("k") is None


def read(config: AlertsConfig) -> Any:
    (told,) = AlertReader(config.zone, config.max_outside_text).read(notice(NoticeCode.FAILURE, text="word " * 60))
    return told.text, told.time_text


class Desk:
    """Says how long it was asked to wait."""

    def put(self, command: Any) -> None:
        """Take it."""

    def wait_answer(self, command_id: str, timeout_s: float) -> CommandAnswer:
        return CommandAnswer(is_done=True, text=f"waited {timeout_s}")


def commanded(*lines: tuple[float, str], age_s: float = 0) -> Any:
    """What a person reads who writes `lines` at their seconds, and how messages were asked for."""

    def run(config: AlertsConfig) -> Any:
        with TelegramServer() as server:
            telegram = config.telegram.model_copy(update={"base_url": server.address})
            config = config.model_copy(update={"telegram": telegram})
            now, bot = [NOON], TelegramBot(config, TOKEN)
            control = TelegramControl(config, bot, Desk(), Spool(None), lambda: now[0], lambda: "000111")  # type: ignore[arg-type]
            for second, text in lines:
                now[0] = NOON + int(second * NS_PER_SECOND)
                server.write(42, text, date=now[0] / NS_PER_SECOND - age_s)
                control.poll()
            bot.close()
            asked = [request.fields["timeout"] for request in server.requests if "timeout" in request.fields]
            return server.texts(42), asked

    return run


def addressed(config: AlertsConfig) -> Any:
    try:
        TelegramChannel(config, TOKEN, "42").close()
    except Exception as error:  # noqa: BLE001 - the outcome is what is looked at
        return str(error)
    return "taken"


LISTED = {"telegram": {"command_chats": [42], "poll_s": 0}}
TELEGRAM = {"TELEGRAM_BOT_TOKEN": TOKEN}
KEYS: list[tuple[str, Any, Any, dict[str, Any]]] = [
    ("folder", "elsewhere", lambda config: spool_path(config, "session"), {}),
    ("zone", "Europe/Berlin", read, {}),
    ("routes", {"INFO": ["telegram"]}, gated(0), {}),
    ("muted", ["trade"], gated(0), {}),
    ("quiet_from", "11:00", gated(0), {"quiet_from": "13:00", "quiet_until": "14:00"}),
    ("quiet_until", "15:00", gated(0), {"quiet_from": "11:00", "quiet_until": "14:00"}),
    ("quiet_below", "CRITICAL", gated(0, severity=Severity.ALARM), {"quiet_from": "11:00", "quiet_until": "14:00"}),
    ("queue_size", 20, queued, {}),
    ("repeat_after_s", 5, gated(0, 1, 6), {}),
    ("repeat_max_s", 61, gated(0, 1, 60, 61, 122), {}),
    ("forget_after_s", 600, forgotten, {}),
    ("max_per_minute", 3, gated(*range(10), kinds=True), {}),
    ("stale_after_s", 60, delivered(Kind.UNREACHABLE, Severity.INFO), {}),
    ("keep", 100, kept, {}),
    ("timeout_s", 0.1, patience, {}),
    ("backoff_s", 8, delivered(Kind.UNREACHABLE), {}),
    ("backoff_max_s", 5, delivered(Kind.UNREACHABLE), {}),
    ("retry_after_min_s", 2, asked_to_wait(0.5), {}),
    ("retry_after_max_s", 20, asked_to_wait(50), {}),
    ("flush_s", 0, flushed, {}),
    ("max_outside_text", 40, read, {}),
    ("discord.enabled", False, configured({"DISCORD_WEBHOOK_URL": HOOK}), {}),
    ("discord.webhook_url", HOOK, configured({}), {}),
    ("discord.username", "Night desk", posted, {}),
    ("telegram.enabled", False, configured({**TELEGRAM, "TELEGRAM_CHAT_ID": "42"}), {}),
    ("telegram.bot_token", TOKEN, configured({}), {"telegram": {"chat_id": "42", "enabled": True}}),
    ("telegram.chat_id", "43", configured(TELEGRAM), {"telegram": {"chat_id": "42"}}),
    ("telegram.base_url", "nowhere", addressed, {}),
    ("telegram.command_chats", [], commanded((0, "/help")), LISTED),
    ("telegram.poll_s", 1, commanded((0, "/help")), LISTED),
    ("telegram.confirm_s", 5, commanded((0, "/halt"), (10, "/confirm 000111")), LISTED),
    ("telegram.command_max_age_s", 5, commanded((0, "/help"), age_s=10), LISTED),
    ("telegram.answer_s", 3, commanded((0, "/halt"), (1, "/confirm 000111")), LISTED),
]


def changed(path: str, value: Any, around: dict[str, Any]) -> dict[str, Any]:
    section, _, name = path.rpartition(".")
    if not section:
        return {**around, name: value}
    return {**around, section: {**around.get(section, {}), name: value}}


def outcome(scenario: Any, values: dict[str, Any], folder: Any) -> Any:
    settings = {"folder": folder, **values}
    try:
        return scenario(AlertsConfig.model_validate(settings))
    except Exception as error:
        if isinstance(error, ValidationError):
            raise
        return str(error)


@pytest.mark.parametrize(("path", "value", "scenario", "around"), KEYS, ids=[key[0] for key in KEYS])
def test_key_when_changed_then_something_else_is_told(path, value, scenario, around, tmp_path, caplog):
    caplog.set_level(logging.CRITICAL)
    assert outcome(scenario, around, tmp_path) != outcome(scenario, changed(path, value, around), tmp_path)


def leaf_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, info in model.model_fields.items():
        kinds = [kind for kind in (info.annotation, *get_args(info.annotation)) if isinstance(kind, type)]
        section = next((kind for kind in kinds if issubclass(kind, BaseModel)), None)
        if section is None:
            yield f"{prefix}{name}"
        else:
            yield from leaf_keys(section, f"{prefix}{name}.")


def test_keys_when_listed_then_none_is_missing():
    assert sorted(key[0] for key in KEYS) == sorted(leaf_keys(AlertsConfig))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"quiet_from": "22:00"}, "belong together"),
        ({"repeat_after_s": 10, "repeat_max_s": 5}, "repeat_after_s was 10"),
        ({"zone": "Mars/Base"}, "Mars/Base"),
        ({"routes": {"INFO": ["pigeon"]}}, "discord"),
    ],
)
def test_section_when_wrong_then_refused_in_words(wrong, words):
    with pytest.raises(ValidationError, match=words):
        AlertsConfig.model_validate(wrong)


def test_routes_when_one_is_given_then_the_others_keep_their_default():
    config = AlertsConfig.model_validate({"routes": {"INFO": []}})
    assert config.routes[Severity.INFO] == ()
    assert config.routes[Severity.CRITICAL] == ("discord", "telegram")


def test_config_show_when_secrets_are_set_then_masked():
    from sovereign.app.configuration import load_settings
    from sovereign.app.configuration.rendering import commented_file, show_table, shown

    loaded = load_settings(None, (f"alerts.discord.webhook_url={HOOK}", f"alerts.telegram.bot_token={TOKEN}"), {})
    text = show_table(shown(loaded.settings, loaded.sources)) + repr(loaded.settings) + commented_file(type(loaded.settings)())
    assert HOOK not in text
    assert TOKEN not in text
