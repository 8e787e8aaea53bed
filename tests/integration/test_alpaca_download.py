"""History from Alpaca into the catalog, by its own client from a local server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pytest

pytest.importorskip("alpaca", reason="the extra 'alpaca' is not installed")

from fakes.alpaca_server import KEYS, AlpacaServer, Fault, minutes, stamp
from sovereign.app.cli.main import run
from sovereign.app.data_settings import DataSettings
from sovereign.app.download import DownloadOutcome, DownloadRequest, download_history
from sovereign.core.errors import ConfigurationError, OperationTimeoutError, UsageError
from sovereign.core.session import NS_PER_SECOND, to_ns
from sovereign.feeds.alpaca.history import time_ns
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.vendor import DownloadConfiguration
from sovereign.store.catalog import Catalog

DAY = date(2025, 11, 20)
OPEN = to_ns(datetime(2025, 11, 20, 14, 30, tzinfo=UTC))  # 09:30 in New York


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[AlpacaServer]:
    monkeypatch.setenv("ALPACA_API_KEY", KEYS.key)
    monkeypatch.setenv("ALPACA_SECRET_KEY", KEYS.secret)
    with AlpacaServer() as running:
        yield running


def download(server: AlpacaServer, path: Any, sleeps: list[float] | None = None, **options: Any) -> DownloadOutcome:
    named = {"vendor": "alpaca", "symbol": "NVDA", "start": DAY, "end": DAY, **options}
    settings = DataSettings(download=DownloadConfiguration(attempts=3))
    wait = [].append if sleeps is None else sleeps.append
    return download_history(
        Catalog(path), DownloadRequest(**named), settings, calendar_for, sleep=wait, alpaca=server.config(backoff_most_s=30.0)
    )


def test_download_when_minute_bars_then_they_are_in_the_catalog_stamped_with_their_close(server, catalog_path):
    server.history["bars"]["NVDA"] = minutes(OPEN, 390)
    server.page_rows = 100
    outcome = download(server, catalog_path, schema="bars-60")
    assert outcome.report is not None
    bars = Catalog(catalog_path).read("NVDA", DAY, "bars-60")
    assert len(bars) == 390
    assert int(bars.ts[0]) == OPEN + 60 * NS_PER_SECOND
    assert (int(bars.open[0]), int(bars.close[0]), int(bars.volume[0])) == (10_000, 10_001, 1_000)
    asked = [fields for _, path, fields in server.requests if path == "/v2/stocks/bars"]
    assert [fields.get("page_token") for fields in asked] == [None, "100", "200", "300"]
    assert asked[0]["feed"] == "iex"
    assert asked[0]["adjustment"] == "raw"


def test_download_when_daily_bars_then_each_belongs_to_its_trade_date(server, catalog_path):
    midnight = to_ns(datetime(2025, 11, 20, 5, 0, tzinfo=UTC))  # as Alpaca stamps a day: midnight in New York
    server.history["bars"]["NVDA"] = minutes(midnight, 1)
    download(server, catalog_path, schema="bars-86400")
    assert Catalog(catalog_path).dates("NVDA", "bars-86400") == [DAY]


def test_download_when_trades_then_what_is_no_market_is_set_aside(server, catalog_path):
    for k in range(50):
        server.trade("NVDA", 150 + k % 5 / 100, 100 + k, ts=OPEN + k * NS_PER_SECOND + 7)
    server.trade("NVDA", 120.0, ts=OPEN + 60 * NS_PER_SECOND, conditions=["W"])
    download(server, catalog_path, schema="trades")
    trades = Catalog(catalog_path).trades("NVDA", DAY)
    assert len(trades) == 50
    assert int(trades.ts[0]) == OPEN + 7  # to the nanosecond
    assert int(trades.price.min()) == 15_000
    assert set(np.unique(trades.side)) <= {-1, 0, 1}


def test_download_when_quotes_then_both_sides_are_kept(server, catalog_path):
    for k in range(20):
        server.quote("NVDA", 150.00, 150.02, (3 + k, 5), ts=OPEN + k * NS_PER_SECOND)
    download(server, catalog_path, schema="quotes")
    quotes = Catalog(catalog_path).quotes("NVDA", DAY)
    assert (int(quotes.bid[0]), int(quotes.ask[0]), int(quotes.bid_size[0]), int(quotes.ask_size[0])) == (15_000, 15_002, 3, 5)


def test_download_when_alpaca_is_busy_then_it_waits_as_asked_and_goes_on(server, catalog_path):
    server.history["bars"]["NVDA"] = minutes(OPEN, 5)
    server.fail("GET", "/v2/stocks/bars", Fault(status=429, headers={"Retry-After": "7"}), 500)
    sleeps: list[float] = []
    download(server, catalog_path, sleeps, schema="bars-60")
    assert sleeps == [7.0, 2.0]


def test_download_when_alpaca_never_answers_then_nothing_is_kept(server, catalog_path):
    server.fail("GET", "/v2/stocks/bars", 500, 502, 503)
    with pytest.raises(OperationTimeoutError, match="nothing was kept"):
        download(server, catalog_path, schema="bars-60")
    assert not list(catalog_path.rglob("*.csv"))


def test_download_when_feed_is_not_in_the_subscription_then_said_so_without_the_keys(server, catalog_path):
    server.fail("GET", "/v2/stocks/trades", Fault(status=403, body={"message": f"no SIP for {KEYS.key}"}))
    with pytest.raises(ConfigurationError, match=r"alpaca\.feed") as refusal:
        download(server, catalog_path, schema="trades")
    assert KEYS.key not in str(refusal.value)


@pytest.mark.parametrize("schema", ["bars-61", "mbo"])
def test_download_when_schema_is_not_offered_then_refused(server, catalog_path, schema):
    with pytest.raises(UsageError, match=r"bars-SECONDS|Alpaca offers"):
        download(server, catalog_path, schema=schema)


def test_download_when_nothing_is_there_then_said_so(server, catalog_path):
    with pytest.raises(UsageError, match="had no bars-60"):
        download(server, catalog_path, schema="bars-60")


def test_command_when_vendor_is_alpaca_then_bars_come_from_the_address_of_the_settings(server, catalog_path, capsys):
    server.history["bars"]["NVDA"] = minutes(OPEN, 5)
    words = ["data", "download", "alpaca", "--symbol", "NVDA", "--from", "2025-11-20", "--to", "2025-11-20"]
    assert run([*words, "--catalog", str(catalog_path), "--set", f"alpaca.data_url={server.address}"]) == 0
    assert "5 rows" in capsys.readouterr().out


def test_time_when_written_by_alpaca_then_to_the_nanosecond():
    assert time_ns("2025-11-20T14:30:00.123456789Z") == OPEN + 123_456_789
    assert time_ns("2025-11-20T14:30:00Z") == OPEN
    assert time_ns("2025-11-20T09:30:00.5-05:00") == OPEN + 500_000_000
    assert time_ns(stamp(OPEN + 1)) == OPEN + 1
