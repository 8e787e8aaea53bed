"""Asking a source of news: with a deadline, no oftener than is allowed, again when it is busy, and never for ever."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sovereign.core.errors import DataError, SovereignError
from sovereign.feeds.news.configuration import NewsSourceConfig

if TYPE_CHECKING:
    import httpx

_BUSY = (429, 500, 502, 503, 504)
_WORDS = 200
_GZIP = 16 + zlib.MAX_WBITS


STRANGE = (SovereignError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError, SyntaxError)
"""What reading an answer of any shape may raise (an XML parser's complaint is a `SyntaxError`)."""


def said(fault: Exception) -> str:
    """Return what went wrong in words fit for a log, a table and a screen: a line of some length, no control characters."""
    text = f"{type(fault).__name__}: {fault}"[:_WORDS]
    return "".join(letter if letter.isprintable() else "?" for letter in text)


class SourceDownError(DataError):
    """A source did not answer as it should; what it would have said is not known."""


class Source:
    """Requests to one service.

    Parameters
    ----------
    name : for messages. per_s : requests a second at most.
    headers : sent with each request. burst : requests that may follow each other at once, after a pause long enough.
    sleep, monotonic : seconds of the machine.
    """

    def __init__(
        self,
        name: str,
        config: NewsSourceConfig,
        per_s: float,
        headers: Mapping[str, str],
        *,
        burst: int = 1,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._config, self._headers = config, {"Accept-Encoding": "gzip", **headers}
        self._gap = 1 / per_s
        self._sleep, self._monotonic = sleep, monotonic
        self._burst = burst
        self._due = float("-inf")  # when the requests so far would be done, were they spaced evenly
        self._client: httpx.Client | None = None
        self._kept: dict[str, tuple[str, bytes]] = {}  # by address: ETag and body

    def close(self) -> None:
        """Disconnect."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def get(self, url: str, *, is_asked_once: bool = False) -> bytes:
        """Return a body; one that the source says has not changed is the one before.

        What `is_asked_once` is not remembered for a second time.

        Raises
        ------
        SourceDownError : no attempt brought it.
        """
        import httpx

        wait, why = self._config.backoff_s, ""
        for attempt in range(self._config.attempts):
            if attempt:
                self._sleep(wait)
                wait *= 2
            self._pace()
            try:
                status, body, asked = self._once(url, is_asked_once)
            except (httpx.HTTPError, zlib.error) as fault:
                why = said(fault)
                continue
            except (httpx.InvalidURL, httpx.StreamError) as fault:
                why = said(fault)
                break
            if status == 200:
                return body
            why = f"status {status}"
            if status not in _BUSY:
                break
            wait = max(wait, asked)
            if wait > self._config.most_wait_s:
                why += f", and asked to wait {wait:g} s"
                break
        raise SourceDownError(f"{self.name} did not answer {url} ({why}); nothing is known of it")

    def _pace(self) -> None:
        now = self._monotonic()
        early = self._due - (self._burst - 1) * self._gap - now
        if early > 0:
            self._sleep(early)
        self._due = max(self._due, now) + self._gap

    def _once(self, url: str, is_asked_once: bool) -> tuple[int, bytes, float]:
        import httpx

        if self._client is None:
            self._client = httpx.Client(timeout=self._config.request_s, headers=self._headers, follow_redirects=False)
        known = self._kept.get(url)
        headers = {} if known is None else {"If-None-Match": known[0]}
        with self._client.stream("GET", url, headers=headers) as answer:
            if answer.status_code == 304 and known is not None:
                return 200, known[1], 0.0
            body = self._body(url, answer)
            wait = answer.headers.get("Retry-After", "")
            if answer.status_code == 200 and not is_asked_once and (tag := answer.headers.get("ETag")):
                self._kept[url] = (tag, body)
            return answer.status_code, body, float(wait) if wait.isascii() and wait.isdigit() else 0.0

    def _body(self, url: str, answer: httpx.Response) -> bytes:
        """Return what is answered, unpacked no further than is allowed: some kilobytes may unpack to gigabytes.

        Raises
        ------
        SourceDownError : it is too long, comes too slowly, or is packed in a way that nobody asked for.
        """
        packing = answer.headers.get("Content-Encoding", "identity").strip().lower()
        if packing not in ("identity", "gzip"):
            raise SourceDownError(f"{self.name} answered {url} packed as '{packing[:20]}', and was asked for gzip")
        unpack = zlib.decompressobj(_GZIP) if packing == "gzip" else None
        limit, end = int(self._config.max_answer_mb * 1e6), self._monotonic() + self._config.request_s
        body = bytearray()
        for part in answer.iter_raw():
            body += part if unpack is None else unpack.decompress(part, limit + 1 - len(body))
            if len(body) > limit:
                raise SourceDownError(f"{self.name} answered {url} with more than {self._config.max_answer_mb:g} MB")
            if self._monotonic() > end:
                raise SourceDownError(f"{self.name} did not finish its answer to {url} within {self._config.request_s:g} s")
        if unpack is not None and not unpack.eof:
            raise SourceDownError(f"{self.name} broke its answer to {url} off")
        return bytes(body)
