"""Massive (Polygon) aggregates, by its own client (extra `massive`). They are stored as bars, never passed off as ticks."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sovereign.core.errors import ConfigurationError, UsageError
from sovereign.feeds.vendor import BusyError, DownloadConfiguration, patiently, without_key

_SPANS = {1: "second", 60: "minute", 3_600: "hour", 86_400: "day"}
_PAGE_ROWS = 50_000  # the service's own maximum


class _StrictJson:
    """JSON for the client: what it would take for an empty answer (a body cut short) is an error here."""

    @staticmethod
    def loads(text: str) -> Any:
        try:
            answer = json.loads(text)
        except ValueError as cause:
            raise BusyError(f"the answer was cut off after {len(text)} characters") from cause
        if not isinstance(answer, dict) or answer.get("status") not in {"OK", "DELAYED"}:
            raise BusyError("the answer had no status OK")
        return answer


class MassiveHistory:
    """The aggregates service.

    Parameters
    ----------
    key : the account's key; it appears in no message.
    sleep : how to wait between attempts, in seconds.
    """

    def __init__(self, key: str, rules: DownloadConfiguration, sleep: Callable[[float], None]) -> None:
        try:
            import massive
            from urllib3.exceptions import HTTPError  # type: ignore[import-not-found,unused-ignore]
        except ImportError as cause:
            raise UsageError("the package massive was not installed; run pip install 'sovereign[massive]'") from cause
        # Waiting is done here, with a pause that grows; the client's own retries are too quick for a rate limit.
        self._client: Any = massive.RESTClient(key, base=rules.massive_base, custom_json=_StrictJson(), retries=0)
        self._failures: tuple[type[Exception], ...] = (HTTPError,)
        self._refusals: tuple[type[Exception], ...] = (massive.BadResponse,)
        self._key = key
        self._rules = rules
        self._sleep = sleep

    def fetch(self, symbol: str, seconds: int, start_ns: int, end_ns: int, path: Path) -> int:
        """Download bars as traded (not adjusted) into a CSV file; it appears only when it is whole. Return the row count.

        Raises
        ------
        ConfigurationError : the key was refused.
        UsageError : the bar width is not offered, or the vendor refuses the query.
        OperationTimeoutError : it did not come whole in any attempt.
        """
        if seconds not in _SPANS:
            raise UsageError(f"bars were {seconds} s wide; Massive offers {', '.join(f'bars-{s}' for s in _SPANS)}")

        def once() -> list[tuple[Any, ...]]:
            return self._guarded(lambda: list(self._bars(symbol, seconds, start_ns, end_ns)))

        rows = patiently(once, f"the download of {symbol}", self._rules, self._sleep)
        part = path.with_name(f"{path.name}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["timestamp", "open", "high", "low", "close", "volume"])
            writer.writerows(rows)
        part.replace(path)
        return len(rows)

    def _bars(self, symbol: str, seconds: int, start_ns: int, end_ns: int) -> Iterator[tuple[Any, ...]]:
        bars = self._client.list_aggs(
            symbol,
            1,
            _SPANS[seconds],
            from_=start_ns // 10**6,
            to=end_ns // 10**6 - 1,
            adjusted=False,
            sort="asc",
            limit=_PAGE_ROWS,
        )
        for bar in bars:
            # Volumes of fractional shares are rounded to whole ones.
            volume = None if bar.volume is None else round(bar.volume)
            yield (bar.timestamp, bar.open, bar.high, bar.low, bar.close, volume)

    def _guarded(self, call: Callable[[], list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
        try:
            return call()
        except self._refusals as cause:
            said = without_key(" ".join(str(cause).split()), self._key)
            if any(word in said.lower() for word in ("api key", "not_authorized", "unauthorized", "not authorized")):
                raise ConfigurationError(
                    f"Massive refused the key ({said}); set POLYGON_API_KEY or MASSIVE_API_KEY to a valid one"
                ) from None
            raise UsageError(f"Massive refused the query: {said}") from None
        except self._failures as cause:
            raise BusyError(without_key(" ".join(str(cause).split()), self._key)) from None
