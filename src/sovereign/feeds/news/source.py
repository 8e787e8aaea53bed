"""Asking a source of news: with a deadline, no oftener than is allowed, again when it is busy, and never for ever."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sovereign.core.errors import DataError
from sovereign.feeds.news.configuration import NewsSourceConfig

if TYPE_CHECKING:
    import httpx

_BUSY = (429, 500, 502, 503, 504)


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
        self._config, self._headers = config, dict(headers)
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

    def get(self, url: str) -> bytes:
        """Return a body; one that the source says has not changed is the one before.

        Raises
        ------
        SourceDownError : no attempt brought it.
        """
        import httpx

        wait, said = self._config.backoff_s, ""
        for attempt in range(self._config.attempts):
            if attempt:
                self._sleep(wait)
                wait *= 2
            self._pace()
            try:
                status, body, asked = self._once(url)
            except httpx.HTTPError as fault:
                said = f"{type(fault).__name__}: {fault}"
                continue
            if status == 200:
                return body
            said = f"status {status}"
            if status not in _BUSY:
                break
            wait = max(wait, asked)
        raise SourceDownError(f"{self.name} did not answer {url} ({said}); nothing is known of it")

    def _pace(self) -> None:
        now = self._monotonic()
        early = self._due - (self._burst - 1) * self._gap - now
        if early > 0:
            self._sleep(early)
        self._due = max(self._due, now) + self._gap

    def _once(self, url: str) -> tuple[int, bytes, float]:
        import httpx

        if self._client is None:
            self._client = httpx.Client(timeout=self._config.request_s, headers=self._headers, follow_redirects=False)
        known = self._kept.get(url)
        headers = {} if known is None else {"If-None-Match": known[0]}
        limit = int(self._config.max_answer_mb * 1e6)
        with self._client.stream("GET", url, headers=headers) as answer:
            if answer.status_code == 304 and known is not None:
                return 200, known[1], 0.0
            parts: list[bytes] = []
            for part in answer.iter_bytes():
                parts.append(part)
                limit -= len(part)
                if limit < 0:
                    raise SourceDownError(f"{self.name} answered {url} with more than {self._config.max_answer_mb:g} MB")
            body = b"".join(parts)
            wait = answer.headers.get("Retry-After", "")
            if answer.status_code == 200 and (tag := answer.headers.get("ETag")):
                self._kept[url] = (tag, body)
            return answer.status_code, body, float(wait) if wait.isdigit() else 0.0
