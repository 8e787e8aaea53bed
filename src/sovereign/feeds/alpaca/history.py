"""Historical bars, quotes and trades of US equities, page by page, as the client's plain rows or as a CSV file."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from sovereign.core.errors import UsageError
from sovereign.core.session import NS_PER_HOUR, from_ns, to_ns
from sovereign.feeds.alpaca.client import AlpacaKeys, harden, need_package, raise_for_query
from sovereign.feeds.alpaca.configuration import AlpacaConfig
from sovereign.feeds.vendor import DownloadConfiguration, patiently

SPANS = {60: (1, "Min"), 300: (5, "Min"), 900: (15, "Min"), 1_800: (30, "Min"), 3_600: (1, "Hour"), 86_400: (1, "Day")}
"""Widths of bars that Alpaca makes, in seconds, in its own words."""
_COLUMNS = {
    "trades": ("timestamp", "price", "size", "trade_id", "suspicious"),
    "quotes": ("timestamp", "bid", "ask", "bid_size", "ask_size"),
    "bars": ("timestamp", "open", "high", "low", "close", "volume"),
}
_TIME = re.compile(r"^(?P<whole>[-\d]+T[:\d]+)(?:\.(?P<part>\d+))?(?P<zone>Z|[+-]\d\d:\d\d|)Z?$")
MOST = float(2**31 - 1)
"""Prices and sizes from here on are none: no share costs or trades so much, and they have no place in a column."""
_WINDOW_NS = NS_PER_HOUR  # ticks are asked for hour by hour: the client holds a whole answer in memory


def time_ns(text: str) -> int:
    """Return the UTC ns of a time as Alpaca writes it (RFC 3339, up to nine decimals)."""
    found = _TIME.match(text)
    if found is None:
        raise UsageError(f"time was '{text}'; it is written as 2025-11-20T14:30:00.123456789Z")
    zone = "+00:00" if found["zone"] in ("", "Z") else found["zone"]
    return to_ns(datetime.fromisoformat(found["whole"] + zone)) + int((found["part"] or "").ljust(9, "0")[:9])


class AlpacaHistory:
    """The historical service.

    Parameters
    ----------
    sleep : how to wait between attempts, in seconds.
    """

    def __init__(
        self, keys: AlpacaKeys, config: AlpacaConfig, rules: DownloadConfiguration, sleep: Callable[[float], None]
    ) -> None:
        need_package()
        from alpaca.common.exceptions import APIError
        from alpaca.data.historical import StockHistoricalDataClient
        from requests.exceptions import RequestException

        client = StockHistoricalDataClient(keys.key, keys.secret, raw_data=True, url_override=config.data_url)
        self._client: Any = harden(client, config.request_s)
        self._failures: tuple[type[Exception], ...] = (APIError, RequestException, ValueError, AttributeError)
        self._keys = keys
        self._config = config
        self._rules = rules
        self._sleep = sleep

    def rows(self, kind: str, symbol: str, start_ns: int, end_ns: int, seconds: int = 60) -> list[dict[str, Any]]:
        """Return rows with `start_ns <= t < end_ns` (bars by their opening time), in order, as Alpaca's plain dictionaries.

        Parameters
        ----------
        kind : `trades`, `quotes` or `bars`, those of `seconds` seconds.

        Raises
        ------
        ConfigurationError : the keys were refused, or do not include this feed.
        UsageError : the query was refused. OperationTimeoutError : every attempt was in vain.
        """
        return patiently(
            lambda: self._once(kind, symbol, start_ns, end_ns, seconds), f"the download of {symbol}", self._rules, self._sleep
        )

    def _once(self, kind: str, symbol: str, start_ns: int, end_ns: int, seconds: int) -> list[dict[str, Any]]:
        from alpaca.data.enums import Adjustment, DataFeed
        from alpaca.data.requests import StockBarsRequest, StockQuotesRequest, StockTradesRequest
        from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

        common: dict[str, Any] = {
            "symbol_or_symbols": symbol,
            "start": from_ns(start_ns),
            "end": from_ns(end_ns + 999),  # the service takes microseconds at best and includes the end
            "feed": DataFeed(self._config.feed.value),
        }
        try:
            if kind == "bars":
                count, unit = SPANS[seconds]
                frame = TimeFrame(count, TimeFrameUnit(unit))
                found = self._client.get_stock_bars(
                    StockBarsRequest(timeframe=frame, adjustment=Adjustment(self._config.adjustment.value), **common)
                )
            elif kind == "quotes":
                found = self._client.get_stock_quotes(StockQuotesRequest(**common))
            else:
                found = self._client.get_stock_trades(StockTradesRequest(**common))
        except self._failures as error:
            raise_for_query(error, self._keys, self._config.backoff_most_s)
            raise
        rows = found.get(symbol) or []
        return [row for row in rows if start_ns <= time_ns(row["t"]) < end_ns]

    def fetch(self, kind: str, symbol: str, start_ns: int, end_ns: int, path: Path) -> int:
        """Download bars (see `alpaca.adjustment`), trades or quotes into a CSV file; it appears only when whole.

        Parameters
        ----------
        kind : `trades`, `quotes` or `bars-SECONDS`.

        Returns
        -------
        The number of rows.

        Raises
        ------
        UsageError : the width is not offered, or the query was refused. ConfigurationError, OperationTimeoutError : see `rows`.
        """
        name, _, width = kind.partition("-")
        seconds = int(width or 60)
        if name == "bars" and seconds not in SPANS:
            raise UsageError(f"bars were {seconds} s wide; Alpaca offers {', '.join(f'bars-{s}' for s in SPANS)}")
        part = path.with_name(f"{path.name}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        count = 0
        with part.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(_COLUMNS[name])
            for first, last in _windows(start_ns, end_ns, name):
                for row in self.rows(name, symbol, first, last, seconds):
                    writer.writerow(_cells(name, row, self._config.skipped_conditions))
                    count += 1
        part.replace(path)
        return count


def _windows(start_ns: int, end_ns: int, kind: str) -> Iterator[tuple[int, int]]:
    step = end_ns - start_ns if kind == "bars" else _WINDOW_NS
    for first in range(start_ns, end_ns, step):
        yield first, min(first + step, end_ns)


def _cells(kind: str, row: dict[str, Any], skipped: Collection[str]) -> tuple[Any, ...]:
    stamp = time_ns(row["t"])
    if kind == "trades":
        return (stamp, row["p"], round(row["s"]), row.get("i"), int(is_skipped(row, skipped)))
    if kind == "quotes":
        return (stamp, row["bp"], row["ap"], row["bs"], row["as"])
    return (stamp, row["o"], row["h"], row["l"], row["c"], round(row["v"]))


def is_skipped(row: dict[str, Any], conditions: Collection[str]) -> bool:
    """Say whether a trade has a sale condition that is not taken, or no whole share and price; NaN is neither."""
    if any(code in conditions for code in row.get("c") or ()):
        return True
    return not 0 < row["p"] < MOST or not 0.5 < row["s"] < MOST
