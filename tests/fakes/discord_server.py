"""A Discord webhook on this machine: limits of an embed enforced, messages kept.

From Discord's documentation: POST to the webhook answers 204, with `wait=true` 200 and the message; 429 names the wait in
the header `Retry-After` and in the body as `retry_after`, in seconds; an invalid form is answered with 400.
"""

from __future__ import annotations

import json
from typing import Any

from fakes.web_server import Answer, Fault, Request, WebServer

TOKEN = "hook-Secret_Token-0123456789abcdef"


def limited(seconds: float, *, has_header: bool = True, has_body: bool = True, unit: float = 1.0) -> Fault:
    """A 429; `unit` 1000 puts milliseconds into the body."""
    headers = {"Retry-After": f"{seconds:g}"} if has_header else {}
    body = json.dumps({"message": "You are being rate limited.", "retry_after": seconds * unit, "global": False})
    return Fault(status=429, headers=headers, body=body.encode() if has_body else b"")


class DiscordServer(WebServer):
    """The webhook at `webhook`; `messages` is what its channel shows, `embeds` the same embed by embed."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[dict[str, Any]] = []
        self.files: list[dict[str, bytes]] = []

    @property
    def webhook(self) -> str:
        """The secret address."""
        return f"{self.address}/api/webhooks/4711/{TOKEN}"

    @property
    def embeds(self) -> list[dict[str, Any]]:
        """All embeds in order."""
        with self.lock:
            return [embed for message in self.messages for embed in message.get("embeds", ())]

    @property
    def titles(self) -> list[str]:
        """Titles of all embeds, without the escapes that Discord does not show."""
        return [shown(embed["title"]) for embed in self.embeds]

    def answer(self, request: Request) -> Answer:
        """Answer as Discord does."""
        if request.path != f"/api/webhooks/4711/{TOKEN}":
            return 404, {}, b'{"message": "Unknown Webhook", "code": 10015}'
        message = json.loads(request.fields["payload_json"]) if "payload_json" in request.fields else request.fields
        wrong = _wrong(message)
        if wrong:
            return 400, {}, json.dumps({"message": "Invalid Form Body", "code": 50035, "errors": wrong}).encode()
        with self.lock:
            self.messages.append(message)
            self.files.append(request.files)
            number = len(self.messages)
        if "wait=true" not in request.query:
            return 204, {}, b""
        return 200, {}, json.dumps({"id": str(number), **{k: v for k, v in message.items() if k == "content"}}).encode()


def shown(text: str) -> str:
    """Return text as Discord shows it: a backslash before a sign that is no letter or digit escapes it."""
    out, escaped = [], False
    for character in text:
        if character == "\\" and not escaped:
            escaped = True
            continue
        if escaped and character.isalnum():
            out.append("\\")
        escaped = False
        out.append(character)
    return "".join(out)


def _wrong(message: dict[str, Any]) -> str:
    embeds = message.get("embeds", [])
    total = 0
    for embed in embeds:
        fields = embed.get("fields", [])
        if not 0 < len(embed["title"]) <= 256 or len(embed["description"]) > 4096 or len(fields) > 25:
            return "embed"
        if any(not 0 < len(one["name"]) <= 256 or not 0 < len(one["value"]) <= 1024 for one in fields):
            return "field"
        total += len(embed["title"]) + len(embed["description"]) + len(embed["footer"]["text"])
        total += sum(len(one["name"]) + len(one["value"]) for one in fields)
    if len(embeds) > 10 or total > 6000 or len(message.get("content", "")) > 2000 or not (embeds or message.get("content")):
        return "message"
    return ""
