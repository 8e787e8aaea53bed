"""Alerts to a Discord channel by its webhook: one embed an alert, ten to a message, nobody mentioned.

Discord, "Execute Webhook" and "Embed limits": 10 embeds, 6,000 characters in all, title 256, description 4,096, 25 fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sovereign.app.notify.alert import SERIOUS, Alert
from sovereign.app.notify.channel import Caller, Kind, Message, Outcome, as_json, fitting
from sovereign.app.notify.configuration import AlertsConfig
from sovereign.core.errors import ConfigurationError
from sovereign.core.event import Severity

_MOST_EMBEDS, _MOST_CHARACTERS = 10, 6_000
_TITLE, _TEXT, _NAME, _VALUE, _FIELDS = 200, 2_000, 50, 130, 18  # together below the limit of one message
_COLORS: Mapping[Severity, int] = {
    Severity.INFO: 0x3B82F6,
    Severity.WARNING: 0xEAB308,
    Severity.ALARM: 0xF97316,
    Severity.CRITICAL: 0xDC2626,
}
_OVER = 0x16A34A
_MARKUP = re.compile(r"[\\*_~`|>#\[\]()<@:]")
_WEBHOOK = re.compile(r"https?://[^\s/?#]+/\S+")


def plain(text: str, limit: int) -> str:
    """Return text that Discord shows as it is, at most `limit` characters with the escapes."""
    pieces: list[str] = []
    length, is_line_start = 0, True
    for character in text:
        is_markup = _MARKUP.match(character) or (is_line_start and character in "-+.")
        piece = f"\\{character}" if is_markup else character
        if length + len(piece) > limit - 1:
            pieces.append("\u2026")
            break
        pieces.append(piece)
        length += len(piece)
        is_line_start = character == "\n"
    return "".join(pieces)


def embed(message: Message) -> dict[str, Any]:
    """Return an alert as an embed."""
    alert = message.alert
    color = _OVER if alert.resolves else _COLORS[alert.severity]
    return {
        "title": plain(alert.title, _TITLE) or "-",
        "description": plain(alert.text, _TEXT),
        "color": color,
        "fields": [
            {"name": plain(name, _NAME) or "-", "value": plain(value, _VALUE) or "-", "inline": len(value) <= 40}
            for name, value in alert.fields[:_FIELDS]
        ],
        "footer": {"text": f"{alert.severity} {alert.time_text} {message.note}"},
        "timestamp": datetime.fromtimestamp(alert.ts // 1_000_000_000, tz=UTC).isoformat(),
    }


def _size(one: dict[str, Any]) -> int:
    fields = sum(len(field["name"]) + len(field["value"]) for field in one["fields"])
    return len(one["title"]) + len(one["description"]) + len(one["footer"]["text"]) + fields


class DiscordChannel:
    """A Discord webhook; the address is the secret.

    Raises
    ------
    ConfigurationError : the webhook is no address.
    """

    name = "discord"

    def __init__(self, config: AlertsConfig, webhook_url: str) -> None:
        if not _WEBHOOK.fullmatch(webhook_url):
            raise ConfigurationError(
                "alerts.discord.webhook_url was no address (its value is not shown); copy the webhook's URL from Discord, "
                "https and all"
            )
        address, _, query = webhook_url.partition("#")[0].partition("?")
        self._url = f"{address}?{query}&wait=true" if query else f"{address}?wait=true"
        path = re.sub(r"^https?://[^/]+", "", address)
        self._caller = Caller(config, (webhook_url, self._url, address, path, *path.split("/")[-1:]))
        self._username = config.discord.username

    def fit(self, messages: Sequence[Message]) -> int:
        """Return how many of the first messages go into one; one with a chart goes alone."""
        return fitting(messages, lambda message: _size(embed(message)), _MOST_EMBEDS, _MOST_CHARACTERS)

    def send(self, messages: Sequence[Message]) -> Outcome:
        """Post the messages, and wait for Discord's word that they are there."""
        embeds = [embed(message) for message in messages]
        payload: dict[str, Any] = {
            "username": self._username,
            "embeds": embeds,
            "allowed_mentions": {"parse": []},
        }
        # A phone's notification shows the content, not the embeds.
        urgent = [message.alert for message in messages if message.alert.rank >= SERIOUS]
        if urgent:
            payload["content"] = plain("; ".join(_short(alert) for alert in urgent), _TITLE)
        chart = next((message.alert.chart for message in messages if message.alert.chart is not None), None)
        if chart is None:
            outcome = self._caller.post(self._url, json=payload)
        else:
            embeds[0]["image"] = {"url": "attachment://chart.png"}
            files = {"files[0]": ("chart.png", chart, "image/png")}
            outcome = self._caller.post(self._url, data={"payload_json": as_json(payload)}, files=files)
        if outcome.kind is Kind.SENT and not (isinstance(outcome.answer, Mapping) and "id" in outcome.answer):
            return Outcome(kind=Kind.UNSURE, detail="the answer was not Discord's; something in between answers for it")
        return outcome

    def close(self) -> None:
        """Close the connections."""
        self._caller.close()


def _short(alert: Alert) -> str:
    return f"{alert.severity}: {alert.title}"
