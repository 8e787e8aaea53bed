"""`/healthz`, `/readyz` and `/metrics` on loopback, for a supervisor, a load balancer and Prometheus.

`/healthz` says whether the trading thread is alive (it beat lately); `/readyz` whether it would trade now, and if not, why.
Both answer 200 or 503 with a JSON text. Nothing here can change anything, and a port that is taken never stops trading.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from sovereign.app.ops.configuration import HealthConfig
from sovereign.app.ops.heartbeat import Beat
from sovereign.app.ops.metrics import Metrics
from sovereign.core.session import NS_PER_SECOND

_HOST = "127.0.0.1"
_NAMES = frozenset({"127.0.0.1", "localhost"})
_logger = logging.getLogger("sovereign.health")


class Vitals:
    """What the trading thread says of itself, for the endpoints to read."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self._lock = Lock()
        self._beat: Beat | None = None
        self._obstacles: tuple[str, ...] = ("the session has not started",)

    def beat(self, beat: Beat, obstacles: Sequence[str]) -> None:
        """Take a sign of life, with everything that keeps the session from opening a position now (empty: it would)."""
        with self._lock:
            self._beat, self._obstacles = beat, tuple(obstacles)
        self.metrics.beat(beat)

    def health(self, now_ns: int, stale_s: float) -> tuple[bool, dict[str, Any]]:
        """Return whether the process is well, and what it says."""
        with self._lock:
            beat = self._beat
        if beat is None:
            return False, {"status": "starting"}
        age_s = (now_ns - beat.ts) / NS_PER_SECOND
        is_well = age_s <= stale_s
        return is_well, {
            "status": "ok" if is_well else "stale",
            "age_s": round(age_s, 3),
            "session": beat.session_id,
            "state": beat.state,
        }

    def readiness(self, now_ns: int, stale_s: float) -> tuple[bool, dict[str, Any]]:
        """Return whether the session would trade now, and what keeps it from it."""
        is_well, said = self.health(now_ns, stale_s)
        with self._lock:
            obstacles = list(self._obstacles)
        if not is_well:
            obstacles.append(f"heartbeat is {said['status']}")
        return not obstacles, {**said, "status": "not ready" if obstacles else "ready", "obstacles": obstacles}


class HealthServer:
    """The endpoints, in a thread of their own. `now_ns` is the system clock's UTC ns."""

    def __init__(self, config: HealthConfig, vitals: Vitals, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._config, self._vitals, self._now_ns = config, vitals, now_ns
        self._server: ThreadingHTTPServer | None = None
        self._thread: Thread | None = None

    @property
    def port(self) -> int | None:
        """The open port, or None."""
        return None if self._server is None else self._server.server_port

    def start(self, *, any_port: bool = False) -> bool:
        """Open the port (`any_port`: a free one); False when none is set or it is taken, which is said in the log."""
        if self._config.port == 0 and not any_port:
            return False
        try:
            server = ThreadingHTTPServer((_HOST, 0 if any_port else self._config.port), self._handler())
        except OSError as error:
            _logger.warning(
                "health port %d could not be opened (%s); set health.port to another one", self._config.port, error.strerror
            )
            return False
        server.daemon_threads = True
        self._server = server
        self._thread = Thread(target=server.serve_forever, name="health", daemon=True, kwargs={"poll_interval": 0.1})
        self._thread.start()
        return True

    def close(self) -> None:
        """Close the port."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    def answer(self, path: str) -> tuple[int, str, str]:
        """Return status, content type and text for a path."""
        if path == "/metrics":
            return 200, "text/plain; version=0.0.4; charset=utf-8", self._vitals.metrics.text()
        asked = {"/healthz": self._vitals.health, "/readyz": self._vitals.readiness}.get(path)
        if asked is None:
            return (
                404,
                "application/json",
                json.dumps({"error": f"path was '{path}'; there are /healthz, /readyz and /metrics"}),
            )
        is_good, said = asked(self._now_ns(), self._config.stale_s)
        return 200 if is_good else 503, "application/json", json.dumps(said)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self.answer

        class Handler(BaseHTTPRequestHandler):
            timeout = 5.0  # a client that says nothing does not keep a thread

            def do_GET(self) -> None:
                # A page in a browser must not read this through a name that leads here.
                if self.headers.get("Host", "").rpartition(":")[0] not in _NAMES:
                    self._send(403, "text/plain; charset=utf-8", "ask for 127.0.0.1 or localhost")
                else:
                    self._send(*answer(self.path.partition("?")[0]))

            do_HEAD = do_GET  # noqa: N815

            def _send(self, status: int, kind: str, text: str) -> None:
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        return Handler
