"""The wall in front of the API: host names, origins, sizes, rates, and the headers of every answer.

A plain ASGI layer, since it must also see requests that the application never gets and the handshake of the stream.
"""

from __future__ import annotations

import ipaddress
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from sovereign.app.dashboard.configuration import DashboardConfig

_LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})
_MOST_ADDRESSES = 4_096
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
"""What every answer carries. A run's report is one page with its script inside; it gets a sandbox instead."""


def is_loopback(host: str) -> bool:
    """Say whether an address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Bucket:
    """A rate: so many a second, and so many at once, by key."""

    def __init__(self, per_s: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._burst, self._clock = per_s, max(1.0, burst), clock
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> bool:
        """Take one; False when there is none left for now."""
        with self._lock:
            now = self._clock()
            left, then = self._left.pop(key, (self._burst, now))
            left = min(self._burst, left + (now - then) * self._per_s)
            is_given = left >= 1.0
            self._left[key] = (left - 1.0 if is_given else left, now)
            while len(self._left) > _MOST_ADDRESSES:
                self._left.popitem(last=False)
            return is_given


class Wall:
    """The layer. `own_port` is told once the port is known.

    Refusals: 400 an unknown host name, 403 a foreign origin, 413 too large, 429 too fast.
    """

    def __init__(self, app: Any, config: DashboardConfig) -> None:
        self._app = app
        self._config = config
        self._names = {name.lower() for name in config.names} | _LOCAL | {config.host.lower()}
        self._requests = Bucket(config.requests_per_s, 2 * config.requests_per_s)
        self._writes = Bucket(config.writes_per_minute / 60, config.writes_per_minute / 2)
        self._logins = Bucket(config.logins_per_minute / 60, config.logins_per_minute / 2)
        self._most = config.max_body_kb * 1024

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refusal(scope, headers)
        if scope["type"] == "websocket":
            if refused is not None:
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": refused[1]})
                return
            await self._app(scope, receive, send)
            return
        sender = _with_headers(send, scope["path"])
        if refused is not None:
            await _answer(sender, *refused)
            return
        await self._app(scope, _limited(receive, self._most), sender)

    def _refusal(self, scope: Any, headers: dict[str, str]) -> tuple[int, str, str] | None:
        host = headers.get("host", "")
        if _name_of(host) not in self._names:
            return 400, "host", "the request came under a host name that is not this dashboard's; see dashboard.names"
        method = scope.get("method", "GET")
        is_write = method in _WRITES
        origin = headers.get("origin")
        if (is_write or scope["type"] == "websocket") and origin is not None and not self._is_own(origin, host):
            return 403, "origin", "the request came from a page of another origin"
        address = scope["client"][0] if scope.get("client") else "?"
        if not self._requests.take(address) or (is_write and not self._writes.take(address)):
            return 429, "rate", "too many requests; wait a little"
        if is_write and scope["path"].endswith("/token") and not self._logins.take(address):
            return 429, "rate", "too many attempts; wait a minute"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._most:
            return 413, "size", f"the body was {length[:20]} bytes; allowed are {self._most}"
        return None

    def _is_own(self, origin: str, host: str) -> bool:
        parts = urlsplit(origin)
        return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()


def _name_of(host: str) -> str:
    host = host.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def _with_headers(send: Any, path: str) -> Any:
    async def sender(message: Any) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            own = dict(HEADERS)
            if path.endswith("/report"):
                own["Content-Security-Policy"] = _REPORT_POLICY
            extra = [
                (name.lower().encode(), value.encode()) for name, value in own.items() if name.lower().encode() not in present
            ]
            message = {**message, "headers": [*message["headers"], *extra]}
        await send(message)

    return sender


def _limited(receive: Any, most: int) -> Any:
    seen = 0

    async def limited() -> Any:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > most:
                return {"type": "http.disconnect"}  # a body that grew without saying so
        return message

    return limited


async def _answer(send: Any, status: int, error: str, message: str) -> None:
    body = json.dumps({"error": error, "message": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 429:
        headers.append((b"retry-after", b"5"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
