"""Scouts from their sources to the store: the tape live and recorded, the news with sources up and down."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.alpaca_bench import AroundNow
from fakes.news_server import NewsServer, submission
from sovereign.app.cli.main import run
from sovereign.app.configuration import Settings
from sovereign.core.session import NS_PER_SECOND, to_ns
from sovereign.feeds.news.filing import NEW_YORK
from sovereign.store.store import Store


@pytest.fixture
def news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewsServer]:
    monkeypatch.chdir(tmp_path)
    with NewsServer() as running:
        yield running


def words(server: NewsServer, *more: str) -> list[str]:
    urls = ("edgar_files_url", "edgar_data_url", "yahoo_url", "stocktwits_url")
    sets = [f"news.sources.{name}={server.address}" for name in urls]
    sets += ["news.sources.edgar_identity=Jane Doe jane@example.com", "news.sources.backoff_s=0"]
    return ["scout", "news", "--once", "--json", *more, *(word for one in sets for word in ("--set", one))]


class TestNews:
    def test_news_when_a_report_is_active_and_a_crowd_copies_then_read_judged_and_kept(
        self, news: NewsServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        now = datetime.now(UTC)
        accepted = (now - timedelta(hours=2)).astimezone(NEW_YORK).strftime("%Y%m%d%H%M%S")
        news.filings["0001-26-1"] = submission("0001-26-1", accepted, "Record profit and strong growth", ("Other Events",))
        news.headlines.append(("Lawsuit over fraud", now - timedelta(hours=1)))
        for number in range(12):
            news.post(number, f"{'ab' * number} everyone should load the boat", now - timedelta(minutes=number))
        assert run(words(news, "--symbol", "NVDA")) == 0
        (found,) = json.loads(capsys.readouterr().out)
        assert found["probability"] == pytest.approx(0.461, abs=0.001)
        assert found["is_accepted"] is False
        assert found["items"] == ["8.01"]
        assert found["clusters"][0]["phrase"] == "everyone should load the"
        assert len(found["clusters"][0]["post_ids"]) == 12
        assert found["filing_tone"] > 0 > found["headline_tone"]
        assert found["missing"] == {}
        with Store("sqlite:///sovereign.sqlite") as store:
            kept = store.scouts.reading("NVDA", time.time_ns())
            assert kept is not None
            assert kept.filings == ("0001-26-1",)

    def test_news_when_sources_are_down_then_no_data_and_the_command_goes_on(
        self, news: NewsServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for start in ("/submissions/", "/rss/", "/api/"):
            news.faults[start] = deque([503] * 9)
        assert run([word for word in words(news, "--symbol", "NVDA", "--symbol", "SPY") if word != "--json"]) == 0
        text = capsys.readouterr().out
        assert "NVDA: real no data, tone unknown" in text
        assert "StockTwits: no data" in text
        assert "universe.ciks has no number for SPY" in text

    def test_news_when_nobody_is_named_to_edgar_then_its_filings_are_no_data_and_nothing_is_asked(
        self, news: NewsServer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run([*words(news, "--symbol", "NVDA"), "--set", "news.sources.edgar_identity="]) == 0
        (found,) = json.loads(capsys.readouterr().out)
        assert "name and a mail address" in found["missing"]["EDGAR"]
        assert news.asked("/submissions/") == 0

    def test_news_when_both_once_and_interval_are_given_then_refused(self, news: NewsServer) -> None:
        assert run(["scout", "news", "--once", "--interval", "5"]) == 2


class TestRecordedTape:
    def test_tape_when_a_day_is_recorded_then_snapshots_are_kept_and_the_flow_explains_the_moves(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        start = to_ns(datetime(2025, 11, 20, 14, 30, tzinfo=UTC))
        random = np.random.default_rng(1)
        steps = random.integers(-1, 2, 3_000)
        bid = 15_000 + np.cumsum(steps)
        lines = ["timestamp,bid,ask,bid_size,ask_size"]
        lines += [f"{start + k * NS_PER_SECOND},{bid[k] / 100},{(bid[k] + 1) / 100},{5 + k % 3},{5}" for k in range(3_000)]
        file = tmp_path / "NVDA_quotes.csv"
        file.write_text("\n".join(lines))
        assert run(["data", "import", str(file), "--symbol", "NVDA"]) == 0
        capsys.readouterr()
        assert run(["scout", "tape", "--symbol", "NVDA", "--date", "2025-11-20", "--json"]) == 0
        (found,) = json.loads(capsys.readouterr().out)
        assert found["buckets"] == 2_340
        assert found["snapshots"] == 390
        assert found["explained"]["r_squared"] > 0.8
        with Store("sqlite:///sovereign.sqlite") as store:
            kept = store.scouts.snapshots("NVDA", start, start + 3_600 * NS_PER_SECOND)
            assert len(kept) == 60
            assert kept[4].ts == start + 300 * NS_PER_SECOND

    def test_tape_when_the_market_was_closed_then_said_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert run(["scout", "tape", "--symbol", "NVDA", "--date", date(2025, 11, 22).isoformat()]) == 3
        assert "has no session" in capsys.readouterr().err


class TestLiveTape:
    @pytest.fixture(autouse=True)
    def client(self) -> None:
        pytest.importorskip("alpaca", reason="the extra 'alpaca' is not installed")

    def test_tape_when_quotes_stream_then_snapshots_come_and_a_gap_is_not_filled_with_flow(self, tmp_path: Path) -> None:
        from fakes.alpaca_server import KEYS, AlpacaServer
        from sovereign.app.scout import LiveTape

        kept: list[Any] = []
        said: list[str] = []
        with AlpacaServer() as server:
            settings = Settings.model_validate(
                {
                    "alpaca": server.config().model_dump(),
                    "tape": {"bucket_s": 1, "snapshot_s": 1, "absorption_s": 1, "min_buckets": 2},
                }
            )
            watch = LiveTape(settings, KEYS, ("NVDA",), AroundNow(), time.time_ns, kept.extend, said.append)

            def trade() -> None:
                end = time.monotonic() + 60
                while not server.listeners("data") and time.monotonic() < end:
                    time.sleep(0.01)
                for k in range(20):
                    server.quote("NVDA", 150.00, 150.02, (5 + k, 5))
                    time.sleep(0.1)
                server.drop("data")

            market = threading.Thread(target=trade)
            market.start()
            count = asyncio.run(watch.run(8.0))
            market.join(60)
        assert count == len(kept) >= 3
        known = [one for one in kept if not np.isnan(one.ofi)]
        assert known
        assert sum(one.ofi for one in known) <= 19
        assert known[-1].mid == pytest.approx(150.01)
        assert said[0] == "the stream is up"
        assert any("is down" in line for line in said)

    def test_tape_when_keys_are_not_set_then_said_which(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        for name in ("ALPACA_API_KEY", "ALPACA_SECRET_KEY"):
            monkeypatch.delenv(name, raising=False)
        assert run(["scout", "tape", "--symbol", "NVDA", "--seconds", "1"]) == 4
        assert "ALPACA_API_KEY" in capsys.readouterr().err
