"""A local server that answers as EDGAR, Yahoo and StockTwits do, with ETags and faults."""

from __future__ import annotations

import json
import threading
from collections import deque
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

from sovereign.feeds.news.configuration import NewsSourceConfig

IDENTITY = "Jane Doe jane@example.com"


def submission(
    accession: str, accepted: str, body: str, items: tuple[str, ...] = (), form: str = "8-K", cik: int = 1045810
) -> str:
    """Return a complete submission text file: header, the form, an exhibit, and what is not to be read."""
    lines = "".join(f"ITEM INFORMATION:\t\t{title}\n" for title in items)
    return (
        f"<SEC-DOCUMENT>{accession}.txt : {accepted[:8]}\n<SEC-HEADER>{accession}.hdr.sgml : {accepted[:8]}\n"
        f"<ACCEPTANCE-DATETIME>{accepted}\nACCESSION NUMBER:\t\t{accession}\nCONFORMED SUBMISSION TYPE:\t{form}\n{lines}"
        f"FILER:\n\n\tCOMPANY DATA:\t\n\t\tCOMPANY CONFORMED NAME:\t\t\tACME & CO\n\t\tCENTRAL INDEX KEY:\t\t\t{cik:010d}\n"
        f"</SEC-HEADER>\n<DOCUMENT>\n<TYPE>{form}\n<TEXT>\n<html><head><title>strong</title><style>gain</style></head><body>"
        f"<p>FORM 8-K Emerging growth company</p><p>Item 2.02 {body}</p></body></html>\n</TEXT>\n</DOCUMENT>\n"
        f"<DOCUMENT>\n<TYPE>EX-99.1\n<TEXT>\n<p>Exhibit: {escape(body)}</p>\n</TEXT>\n</DOCUMENT>\n"
        f"<DOCUMENT>\n<TYPE>GRAPHIC\n<TEXT>\nbegin 644 logo.jpg\nfraud fraud fraud\n</TEXT>\n</DOCUMENT>\n"
        f"<DOCUMENT>\n<TYPE>EX-101.SCH\n<TEXT>\n<x>bankruptcy</x>\n</TEXT>\n</DOCUMENT>\n"
    )


class NewsServer:
    """All three services on one free port.

    Attributes
    ----------
    filings : submission text by accession; the list of a company is made of them. posts, headlines : what the others answer.
    faults : statuses used up first, by the path's beginning; `broken` answers nonsense. `say` fixes what is answered to all.
    """

    def __init__(self) -> None:
        self.filings: dict[str, str] = {}
        self.posts: list[dict[str, Any]] = []
        self.headlines: list[tuple[str, datetime]] = []
        self.faults: dict[str, deque[int | str]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.unchanged = 0
        self._said: tuple[int, bytes, dict[str, str]] | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                status, body, headers = outer.answer(self.path, dict(self.headers))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(30)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def config(self, folder: Path, **changes: Any) -> NewsSourceConfig:
        """Return settings that lead here."""
        quick = {
            "edgar_identity": IDENTITY,
            "edgar_files_url": self.address,
            "edgar_data_url": self.address,
            "yahoo_url": self.address,
            "stocktwits_url": self.address,
            "folder": folder,
            "request_s": 5.0,
            "backoff_s": 0.0,
        }
        return NewsSourceConfig.model_validate({**quick, **changes})

    def say(self, body: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        """Answer this from now on, whatever is asked."""
        self._said = (status, body, headers or {})

    def asked(self, start: str) -> int:
        """Return how many requests had a path that begins so."""
        return sum(path.startswith(start) for path, _ in self.requests)

    def answer(self, target: str, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
        path = urlsplit(target).path
        self.requests.append((path, headers))
        if self._said is not None:
            return self._said
        for start, queue in self.faults.items():
            if path.startswith(start) and queue:
                fault = queue.popleft()
                return (
                    (200, b"<<<", {}) if fault == "broken" else (int(fault), b"", {"Retry-After": "3"} if fault == 429 else {})
                )
        if path.startswith("/submissions/"):
            return 200, json.dumps({"filings": {"recent": self._recent()}}).encode(), {}
        if path.startswith("/Archives/"):
            text = self.filings.get(Path(path).stem)
            return (404, b"", {}) if text is None else (200, text.encode(), {"ETag": f'"{len(text)}"'})
        if path.startswith("/rss/"):
            body = self._rss(parse_qs(urlsplit(target).query)["s"][0])
            tag = f'"{len(self.headlines)}"'
            if headers.get("If-None-Match") == tag:
                self.unchanged += 1
                return 304, b"", {}
            return 200, body, {"ETag": tag}
        return 200, json.dumps({"messages": self.posts, "cursor": {}}).encode(), {}

    def _recent(self) -> dict[str, list[str]]:
        rows: dict[str, list[str]] = {"form": [], "filingDate": [], "accessionNumber": [], "acceptanceDateTime": []}
        for accession, text in self.filings.items():
            stamp = text.partition("<ACCEPTANCE-DATETIME>")[2][:14]
            rows["form"].append(text.partition("SUBMISSION TYPE:\t")[2].partition("\n")[0])
            rows["filingDate"].append(f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}")
            rows["accessionNumber"].append(accession)
            # As EDGAR has it in part of its rows: New York's clock with a Z.
            rows["acceptanceDateTime"].append(f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}T{stamp[8:10]}:{stamp[10:12]}:00.000Z")
        return rows

    def _rss(self, symbol: str) -> bytes:
        items = "".join(
            f"<item><guid>{number}</guid><title>{escape(title)}</title><pubDate>{format_datetime(when)}</pubDate></item>"
            for number, (title, when) in enumerate(self.headlines)
        )
        return f'<?xml version="1.0"?><rss version="2.0"><channel><title>{symbol}</title>{items}</channel></rss>'.encode()

    def post(self, number: int, body: str, when: datetime, author: str = "", label: str | None = None) -> None:
        """Let somebody post."""
        self.posts.append(
            {
                "id": number,
                "body": body,
                "created_at": when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "user": {"id": number, "username": author or f"user{number}"},
                "entities": {"sentiment": None if label is None else {"basic": label}},
            }
        )
