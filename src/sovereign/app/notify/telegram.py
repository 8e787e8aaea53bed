"""Alerts to a Telegram chat by the Bot API: plain text, so that no markup can be smuggled in.

Bot API, "sendMessage": 4,096 characters; "sendPhoto": a caption of 1,024.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sovereign.app.notify.alert import SERIOUS
from sovereign.app.notify.channel import Caller, Kind, Message, Outcome, as_json, fitting
from sovereign.app.notify.configuration import AlertsConfig
from sovereign.core.errors import ConfigurationError

_MOST_TEXT, _MOST_CAPTION, _MOST_JOINED = 4_000, 1_000, 20
_TOKEN = re.compile(r"\d{3,20}:[A-Za-z0-9_-]{8,200}")
_ADDRESS = re.compile(r"https?://[^\s?#]+")


def cut(text: str, limit: int) -> str:
    """Return at most `limit` UTF-16 units of a text, which is how Telegram counts."""
    if len(text.encode("utf-16-le")) // 2 <= limit:
        return text
    return text.encode("utf-16-le")[: 2 * (limit - 1)].decode("utf-16-le", "ignore") + "\u2026"


def words(message: Message) -> str:
    """Return an alert as plain text."""
    alert = message.alert
    lines = [f"{alert.severity}: {alert.title}" if alert.rank >= SERIOUS else alert.title]
    if alert.text:
        lines.append(alert.text)
    lines += [f"{name}: {value}" for name, value in alert.fields]
    lines.append(f"{alert.time_text} {message.note}")
    return "\n".join(lines)


def _joined_size(message: Message) -> int:
    return len(words(message).encode("utf-16-le")) // 2 + 2


class TelegramBot:
    """The calls of the Bot API that alerts and commands need; the token is the secret.

    Raises
    ------
    ConfigurationError : the token does not look like one, or the address is none.
    """

    def __init__(self, config: AlertsConfig, token: str) -> None:
        if not _TOKEN.fullmatch(token):
            raise ConfigurationError(
                "alerts.telegram.bot_token was not like 123456:ABC... (its value is not shown); copy it from BotFather"
            )
        if not _ADDRESS.fullmatch(config.telegram.base_url):
            raise ConfigurationError(
                f"alerts.telegram.base_url was '{config.telegram.base_url}'; write an address such as https://api.telegram.org"
            )
        self._base = f"{config.telegram.base_url.rstrip('/')}/bot{token}/"
        self._caller = Caller(config, (token, token.split(":", 1)[1]))

    def call(self, method: str, *, wait_more_s: float = 0.0, files: Any = None, **fields: Any) -> Outcome:
        """Call a method; the outcome's `answer` is Telegram's `result`."""
        if files is None:
            outcome = self._caller.post(self._base + method, wait_more_s=wait_more_s, json=fields)
        else:
            data = {name: value if isinstance(value, str) else as_json(value) for name, value in fields.items()}
            outcome = self._caller.post(self._base + method, data=data, files=files)
        if outcome.kind is not Kind.SENT:
            return outcome
        if not (isinstance(outcome.answer, Mapping) and outcome.answer.get("ok") is True):
            return Outcome(kind=Kind.UNSURE, detail="the answer was not Telegram's; something in between answers for it")
        return Outcome(kind=Kind.SENT, detail=outcome.detail, answer=outcome.answer.get("result"))

    def say(self, chat_id: int | str, text: str, *, is_silent: bool = False) -> Outcome:
        """Send plain text; addresses in it get no preview."""
        return self.call(
            "sendMessage",
            chat_id=chat_id,
            text=cut(text, _MOST_TEXT),
            link_preview_options={"is_disabled": True},
            disable_notification=is_silent,
        )

    def show(self, chat_id: int | str, picture: bytes, caption: str) -> Outcome:
        """Send a PNG picture."""
        files = {"photo": ("chart.png", picture, "image/png")}
        return self.call("sendPhoto", files=files, chat_id=str(chat_id), caption=cut(caption, _MOST_CAPTION))

    def close(self) -> None:
        """Close the connections."""
        self._caller.close()


class TelegramChannel:
    """Alerts to one chat."""

    name = "telegram"

    def __init__(self, config: AlertsConfig, token: str, chat_id: str) -> None:
        self._bot = TelegramBot(config, token)
        self._chat = chat_id

    def fit(self, messages: Sequence[Message]) -> int:
        """Return how many of the first messages go into one; one with a chart goes alone."""
        return fitting(messages, _joined_size, _MOST_JOINED, _MOST_TEXT)

    def send(self, messages: Sequence[Message]) -> Outcome:
        """Send the messages as one; a chart follows its text, and is left out when it cannot be sent."""
        text = "\n\n".join(words(message) for message in messages)
        is_silent = all(message.alert.rank == 0 for message in messages)
        outcome = self._bot.say(self._chat, text, is_silent=is_silent)
        moved = outcome.answer.get("parameters") if isinstance(outcome.answer, Mapping) else None
        if outcome.kind is Kind.REFUSED and isinstance(moved, Mapping) and moved.get("migrate_to_chat_id"):
            self._chat = str(moved["migrate_to_chat_id"])  # the group became a supergroup
            outcome = self._bot.say(self._chat, text, is_silent=is_silent)
        chart = messages[0].alert.chart
        if outcome.kind is Kind.SENT and chart is not None:
            self._bot.show(self._chat, chart, messages[0].alert.title)
        return outcome

    def close(self) -> None:
        """Close the connections."""
        self._bot.close()
