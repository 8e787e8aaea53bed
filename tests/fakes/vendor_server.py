"""Local servers that speak as the data vendors do, with faults that can be queued.

`DatabentoServer`: the historical service over https (its client allows nothing else), with a certificate authority of its own.
`MassiveServer`: the aggregates service over http, with paging.
"""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import subprocess
import threading
from collections import deque
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

Answer = tuple[int, dict[str, str], bytes]


class _Server:
    """A server on a free loopback port; `faults` are used up first, `requests` is what arrived."""

    scheme = "http"

    def __init__(self, key: str) -> None:
        self.key = key
        self.faults: deque[int | str] = deque()
        self.requests: list[tuple[str, dict[str, Any]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                self._answer({k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                self._answer({k: v[0] for k, v in parse_qs(body).items()})

            def _answer(self, fields: dict[str, str]) -> None:
                path = urlsplit(self.path).path
                outer.requests.append((path, fields))
                fault = outer.faults.popleft() if outer.faults else None
                authorization = self.headers.get("Authorization", "")
                if fault is None or isinstance(fault, str):
                    status, headers, data = outer.answer(path, fields, authorization)
                else:
                    status, headers, data = fault, {}, outer.complaint(fault)
                    if fault == 429:
                        headers = {"Retry-After": "1"}
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if fault == "cut body":  # fewer bytes than announced
                    self.wfile.write(data[: len(data) // 2])
                    self.wfile.flush()
                    self.connection.shutdown(2)
                    self.close_connection = True
                else:
                    self.wfile.write(data)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"{self.scheme}://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, path: str, fields: dict[str, str], authorization: str) -> Answer:
        """Answer a request that met no fault."""
        raise NotImplementedError

    def complaint(self, status: int) -> bytes:
        """Return the body of an error."""
        raise NotImplementedError


class DatabentoServer(_Server):
    """POST /v0/metadata.get_cost and /v0/timeseries.get_range, basic authentication with the key as the user."""

    scheme = "https"

    def __init__(self, key: str, folder: Path, body: bytes, cost: float = 0.37) -> None:
        super().__init__(key)
        self.body = body
        self.cost = cost
        certificate, private, self.authority = _certificates(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, private)
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)

    def answer(self, path: str, fields: dict[str, str], authorization: str) -> Answer:
        """Answer as the service does."""
        del fields
        wanted = "Basic " + base64.b64encode(f"{self.key}:".encode()).decode()
        if authorization != wanted:
            return 401, {"Content-Type": "application/json"}, self.complaint(401)
        if path == "/v0/metadata.get_cost":
            return 200, {"Content-Type": "application/json"}, json.dumps(self.cost).encode()
        if path == "/v0/timeseries.get_range":
            return 200, {"Content-Type": "application/octet-stream"}, self.body
        return 404, {}, self.complaint(404)

    def complaint(self, status: int) -> bytes:
        """Return the service's error body; it repeats the key, which nobody may print."""
        return json.dumps({"detail": f"refused with {status} for {self.key}"}).encode()


class MassiveServer(_Server):
    """GET /v2/aggs/ticker/..., bearer authentication, `page` bars an answer."""

    def __init__(self, key: str, bars: list[dict[str, Any]], page: int = 2) -> None:
        super().__init__(key)
        self.bars = bars
        self.page = page

    def answer(self, path: str, fields: dict[str, str], authorization: str) -> Answer:
        """Answer as the service does."""
        if authorization != f"Bearer {self.key}":
            return 401, {"Content-Type": "application/json"}, self.complaint(401)
        start = int(fields.get("cursor", 0))
        answer: dict[str, Any] = {"status": "OK", "request_id": "1", "results": self.bars[start : start + self.page]}
        if not self.bars:
            del answer["results"]
        if start + self.page < len(self.bars):
            answer["next_url"] = f"{self.address}{path}?cursor={start + self.page}"
        data = json.dumps(answer).encode()
        if self.faults and self.faults[0] == "cut json":  # a whole answer of half a document
            self.faults.popleft()
            data = data[: len(data) // 2]
        return 200, {"Content-Type": "application/json"}, data

    def complaint(self, status: int) -> bytes:
        """Return the service's error body."""
        return json.dumps({"status": "ERROR", "request_id": "1", "error": f"Unknown API Key {self.key} ({status})"}).encode()


def _certificates(folder: Path) -> tuple[Path, Path, Path]:
    """Make a certificate authority and a certificate for 127.0.0.1; return certificate, private key and authority."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the program openssl was not found; it makes the certificates of the local https server")

    def run(*words: object) -> None:
        subprocess.run([openssl, *map(str, words)], check=True, capture_output=True, cwd=folder)  # type: ignore[list-item]

    paths: Callable[[str], Path] = folder.joinpath
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    # Python 3.13 verifies as RFC 5280 has it: an authority says that it signs, a certificate by whom it was signed.
    usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
    run("req", "-x509", *curve, *usage, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority")
    run("req", *curve[:-2], "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=127.0.0.1")
    paths("names").write_text("subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
    signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    run("x509", "-req", "-in", "server.csr", "-out", "server.pem", *signing)
    return paths("server.pem"), paths("server.key"), paths("ca.pem")
