"""A local HTTP server with fault switches, which the fakes of Discord and Telegram are made of."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, Mapping[str, str], bytes]


@dataclass(frozen=True)
class Fault:
    """What happens to one request.

    `status` answers with it; `reset` resets the connection; `slow_s` waits first. With `is_kept` the message counts as received
    all the same: the answer alone is lost.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    reset: bool = False
    slow_s: float = 0.0
    is_kept: bool = False


@dataclass(frozen=True)
class Request:
    """A request as it came: JSON or form fields in `fields`, files by name."""

    path: str
    query: str
    fields: dict[str, Any]
    files: dict[str, bytes]


def _parts(content_type: str, body: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    message = BytesParser().parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    fields: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    for part in message.get_payload():
        name = part.get_param("name", header="Content-Disposition")
        data = part.get_payload(decode=True)
        if part.get_filename():
            files[name] = data
        else:
            fields[name] = data.decode()
    return fields, files


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    outer: WebServer

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        outer = self.outer
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = self.headers.get("Content-Type", "")
        fields, files = _parts(kind, body) if kind.startswith("multipart/") else (json.loads(body or b"{}"), {})
        path, _, query = self.path.partition("?")
        request = Request(path, query, fields, files)
        with outer.lock:
            outer.requests.append(request)
            fault = outer.faults.popleft() if outer.faults else outer.choose(request) if outer.choose else None
        self._meet(fault or Fault(), request)

    def _meet(self, fault: Fault, request: Request) -> None:
        answer = self.outer.answer(request) if fault.is_kept else None
        time.sleep(fault.slow_s)
        if fault.reset:
            # zero linger: the other side sees a reset instead of an orderly end
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            self.wfile = _Nowhere()
        elif fault.status is not None:
            self._send(fault.status, fault.headers, fault.body)
        else:
            self._send(*(answer or self.outer.answer(request)))

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        try:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # the client has given up


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_: Any) -> None:
        """Say nothing: broken connections are what the faults are for."""


class WebServer:
    """A server on a free loopback port. `faults` are used up first, one a request; `requests` is all that arrived."""

    def __init__(self, port: int = 0) -> None:
        self.faults: deque[Fault | None] = deque()
        self.requests: list[Request] = []
        self.lock = threading.Lock()
        self.choose: Callable[[Request], Fault | None] | None = None
        self._start(port)

    def _start(self, port: int) -> None:
        self._http = _Server(("127.0.0.1", port), type("Handler", (_Handler,), {"outer": self}))
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._http.server_address[1])

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Go away; new connections are refused."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def restart(self) -> None:
        """Come back on the same port, with what was received."""
        self._start(self.port)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def answer(self, request: Request) -> Answer:
        """Answer a request that met no fault, and keep what it brought."""
        raise NotImplementedError


class _Nowhere:
    """A closed connection's writing side."""

    closed = False

    def write(self, _: bytes) -> int:
        return 0

    def flush(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""
