"""The Bot API of Telegram on this machine: sendMessage, sendPhoto and getUpdates with its offset.

From the Bot API's documentation: `{"ok": true, "result": ...}` or `{"ok": false, "error_code", "description"}`; a flood is
answered with 429 and `parameters.retry_after` in seconds; getUpdates forgets what lies below the offset.
"""

from __future__ import annotations

import json
import time
from typing import Any

from fakes.web_server import Answer, Fault, Request, WebServer

TOKEN = "123456:AAE-bot_Secret-Token0123456789"


def flooded(seconds: float) -> Fault:
    """A 429 as Telegram words it, with the wait in the body alone."""
    body = {"ok": False, "error_code": 429, "description": "Too Many Requests", "parameters": {"retry_after": seconds}}
    return Fault(status=429, body=json.dumps(body).encode())


class TelegramServer(WebServer):
    """`sent` holds (chat, text) of what was sent, `photos` (chat, caption, picture); `write` is a message from a person."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, str]] = []
        self.silent: list[bool] = []
        self.photos: list[tuple[str, str, bytes]] = []
        self.updates: list[dict[str, Any]] = []
        self.moved: dict[str, int] = {}
        self._number = 100

    def write(self, chat: int, text: str, sender: int = 7, date: float | None = None) -> int:
        """Send the bot a message and return the number of its update."""
        with self.lock:
            self._number += 1
            message = {
                "message_id": self._number,
                "date": int(time.time() if date is None else date),
                "chat": {"id": chat},
                "from": {"id": sender},
                "text": text,
            }
            self.updates.append({"update_id": self._number, "message": message})
            return self._number

    def texts(self, chat: int | str) -> list[str]:
        """Return what a chat was sent."""
        with self.lock:
            return [text for to, text in self.sent if to == str(chat)]

    def answer(self, request: Request) -> Answer:
        """Answer as Telegram does."""
        method = request.path.removeprefix(f"/bot{TOKEN}/")
        if method == request.path:
            return 404, {}, b'{"ok":false,"error_code":404,"description":"Not Found"}'
        handler = getattr(self, f"_{method}", None)
        if handler is None:
            return 404, {}, b'{"ok":false,"error_code":404,"description":"Not Found: method not found"}'
        status, result = handler(request)
        return status, {}, json.dumps(result).encode()

    def _sendMessage(self, request: Request) -> tuple[int, dict[str, Any]]:
        chat, text = str(request.fields["chat_id"]), request.fields["text"]
        if chat in self.moved:
            parameters = {"migrate_to_chat_id": self.moved[chat]}
            return 400, {"ok": False, "error_code": 400, "description": "group upgraded", "parameters": parameters}
        if not 0 < len(text.encode("utf-16-le")) // 2 <= 4096:
            return 400, {"ok": False, "error_code": 400, "description": "Bad Request: message is too long"}
        with self.lock:
            self.sent.append((chat, text))
            self.silent.append(bool(request.fields.get("disable_notification")))
            return 200, {"ok": True, "result": {"message_id": len(self.sent)}}

    def _sendPhoto(self, request: Request) -> tuple[int, dict[str, Any]]:
        with self.lock:
            self.photos.append((request.fields["chat_id"], request.fields["caption"], request.files["photo"]))
            return 200, {"ok": True, "result": {"message_id": 1}}

    def _getUpdates(self, request: Request) -> tuple[int, dict[str, Any]]:
        offset, end = request.fields.get("offset", 0), time.monotonic() + min(request.fields.get("timeout", 0), 1)
        while True:
            with self.lock:
                self.updates = [update for update in self.updates if update["update_id"] >= offset]
                if self.updates or time.monotonic() >= end:
                    return 200, {"ok": True, "result": list(self.updates)}
            time.sleep(0.01)
