"""The scouts beside a trading process: news by market time, a dead source no obstacle, the tape from the session's line."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fakes.commands import wait_for
from fakes.news_server import NewsServer, submission
from sovereign.app.configuration import Settings
from sovereign.app.scout import TapeSet
from sovereign.app.scout_desk import ScoutDesk, is_awaited, silence_limits
from sovereign.core.session import NS_PER_MINUTE, NS_PER_SECOND, from_ns
from sovereign.feeds.calendar import calendar_for
from sovereign.signals.evidence import EvidenceBook
from sovereign.store.store import Store
from sovereign.strategies.tug_of_war import TugOfWarConfig

SESSION = calendar_for("XNYS").session(date(2025, 11, 17))
OPEN = SESSION.regular_open_ns


class Market:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def news() -> Iterator[NewsServer]:
    with NewsServer() as server:
        opens = from_ns(OPEN).astimezone(UTC)
        server.filings["0001-25-1"] = submission("0001-25-1", "20251117080000", "Record profit and strong growth")
        server.headlines.append(("Strong growth", opens - timedelta(hours=1)))
        server.post(1, "buying more", opens - timedelta(minutes=5), label="Bullish")
        yield server


def settings_for(server: NewsServer, folder: Path) -> Settings:
    sources = server.config(folder / "filings").model_dump(mode="json")
    return Settings.model_validate(
        {"store": {"url": f"sqlite:///{folder}/s.sqlite"}, "news": {"sources": sources, "every_min": 30}}
    )


def readings(store: Store, until: int = 2**62) -> list[tuple[str, int]]:
    return [(one.symbol, one.ts) for one in store.scouts.latest_readings(("NVDA", "JPM"), until)]


def test_news_when_the_market_goes_on_then_are_read_at_once_and_every_half_hour_of_its_time(tmp_path, news):
    market, settings = Market(), settings_for(news, tmp_path)
    with Store(settings.store) as store:
        desk = ScoutDesk(settings, store)
        try:
            time.sleep(0.6)
            assert readings(store) == []  # no market, no time
            market.now = OPEN
            desk.watch(market, ["NVDA", "JPM"])
            wait_for(lambda: len(readings(store)) == 2, "the first readings", 60)
            assert {ts for _, ts in readings(store)} == {OPEN}
            asked = news.asked("/rss")
            market.now = OPEN + 29 * NS_PER_MINUTE
            time.sleep(0.8)
            assert news.asked("/rss") == asked
            market.now = OPEN + 30 * NS_PER_MINUTE
            wait_for(lambda: {ts for _, ts in readings(store)} == {market.now}, "the next readings", 60)
            market.now = SESSION.close_ns + 3 * 60 * NS_PER_MINUTE  # at night as well
            wait_for(lambda: {ts for _, ts in readings(store)} == {market.now}, "readings at night", 60)
            (found,) = store.scouts.latest_readings(("NVDA",), OPEN)
            assert found.filing_tone > 0
            assert found.filings == ("0001-25-1",)
        finally:
            desk.close()


def test_news_when_every_source_dies_then_are_no_data_and_come_back(tmp_path, news):
    market, settings = Market(), settings_for(news, tmp_path)
    for start in ("/submissions/", "/rss/", "/api/"):
        news.faults[start] = deque([503] * 3)
    market.now = OPEN
    with Store(settings.store) as store:
        desk = ScoutDesk(settings, store)
        try:
            desk.watch(market, ["NVDA"])
            wait_for(lambda: readings(store) == [("NVDA", OPEN)], "a reading without sources", 60)
            (dead,) = store.scouts.latest_readings(("NVDA",), OPEN)
            assert set(dead.missing) == {"EDGAR", "Yahoo", "StockTwits"}
            assert not dead.is_accepted
            book = EvidenceBook()
            book.take(OPEN, [], [dead])
            view = book.news("NVDA", OPEN)
            assert view is not None
            assert [str(value) for value in view[1:]] == ["nan", "nan", "nan"]
            market.now = OPEN + 31 * NS_PER_MINUTE
            wait_for(lambda: readings(store) == [("NVDA", market.now)], "the next reading", 60)
            (alive,) = store.scouts.latest_readings(("NVDA",), market.now)
            assert alive.missing == {}
            assert alive.tone > 0
        finally:
            desk.close()


def quote(symbol: str, ts: int, size: int) -> dict[str, Any]:
    stamp = SimpleNamespace(seconds=ts // NS_PER_SECOND, nanoseconds=ts % NS_PER_SECOND)
    return {"S": symbol, "t": stamp, "bp": 150.00, "ap": 150.02, "bs": size, "as": 5}


def test_tape_when_the_sessions_line_brings_quotes_then_a_snapshot_a_minute_is_kept_and_a_gap_is_not_bridged(tmp_path, news):
    market, settings = Market(), settings_for(news, tmp_path)
    market.now = OPEN + 1
    with Store(settings.store) as store:
        tapes = TapeSet(settings, ("NVDA",), calendar_for("XNYS"), market, store.scouts.add_snapshots)
        desk = ScoutDesk(settings, store, tapes)
        try:
            wait_for(tapes.is_open, "the session", 60)
            for second in range(1, 60, 2):
                tapes.on_quote(quote("NVDA", OPEN + second * NS_PER_SECOND, 5 + second))
            tapes.on_quote(quote("SPY", OPEN, 5))  # nobody watches it
            market.now = OPEN + NS_PER_MINUTE + NS_PER_SECOND
            wait_for(lambda: len(store.scouts.snapshots("NVDA", 0, 2**62)) == 1, "a snapshot", 60)
            (first,) = store.scouts.snapshots("NVDA", 0, 2**62)
            assert (first.ts, first.mid, first.bid_size) == (OPEN + NS_PER_MINUTE, 150.01, 64)
            tapes.interrupt()
            market.now += NS_PER_MINUTE
            wait_for(lambda: len(store.scouts.snapshots("NVDA", 0, 2**62)) == 2, "a second snapshot", 60)
            gap = store.scouts.snapshots("NVDA", 0, 2**62)[1]
            assert str(gap.ofi) == str(gap.mid) == "nan"
        finally:
            desk.close()


def test_scout_when_awaited_then_the_tape_in_regular_hours_and_news_while_the_session_is_on():
    assert is_awaited(SESSION, "tape", OPEN)
    assert not is_awaited(SESSION, "tape", SESSION.regular_close_ns)
    assert is_awaited(SESSION, "news", SESSION.regular_close_ns)
    assert not is_awaited(SESSION, "news", SESSION.close_ns)
    assert silence_limits(TugOfWarConfig()) == {"tape": 5.0, "news": 90.0}
    assert silence_limits(TugOfWarConfig(without=("news",))) == {"tape": 5.0}
    assert datetime.fromtimestamp(OPEN / 1e9, UTC).hour == 14


def test_tape_when_a_quote_is_of_the_future_or_has_no_number_then_it_is_left_out_and_the_scout_goes_on(tmp_path, news):
    market, settings = Market(), settings_for(news, tmp_path)
    market.now = OPEN + 1
    with Store(settings.store) as store:
        tapes = TapeSet(settings, ("NVDA",), calendar_for("XNYS"), market, store.scouts.add_snapshots)
        desk = ScoutDesk(settings, store, tapes)
        try:
            wait_for(tapes.is_open, "the session", 60)
            tapes.on_quote(quote("NVDA", OPEN + 3_600 * NS_PER_SECOND, 9))
            for strange in (float("nan"), float("inf"), -1.0, 1e18):
                tapes.on_quote({**quote("NVDA", OPEN, 9), "bp": strange})
                tapes.on_quote({**quote("NVDA", OPEN, 9), "bs": strange})
            assert tapes._watches["NVDA"]._waiting == []
            tapes.on_quote({**quote("NVDA", OPEN + 1, 9), "bp": 0.0})
            assert [row[1:] for row in tapes._watches["NVDA"]._waiting] == [(0, 15_002, 0, 5)]  # a side without a price is none
            tapes.on_quote(quote("NVDA", OPEN + NS_PER_SECOND, 7))
            market.now = OPEN + NS_PER_MINUTE + NS_PER_SECOND
            wait_for(lambda: len(store.scouts.snapshots("NVDA", 0, 2**62)) == 1, "a snapshot", 60)
            assert store.scouts.snapshots("NVDA", 0, 2**62)[0].bid_size == 7
        finally:
            desk.close()
