"""Every key of the scouts, the earnings calendar and the watchlist changes what they see."""

from __future__ import annotations

import math
import tempfile
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.news_server import NewsServer, submission
from sovereign.app.cli import scout as command
from sovereign.app.configuration import Settings
from sovereign.app.configuration.keys import nest
from sovereign.app.scout import NewsScout
from sovereign.app.scout_settings import NewsSettings
from sovereign.core.columns import Quotes
from sovereign.core.news import Filing, Headline, NoData, Post
from sovereign.core.session import NS_PER_HOUR, NS_PER_SECOND, to_ns
from sovereign.feeds.earnings import EarningsConfig, read_earnings
from sovereign.feeds.news.configuration import NewsSourceConfig
from sovereign.feeds.news.crowd import StockTwits, Yahoo, stocktwits_source, yahoo_source
from sovereign.feeds.news.edgar import Edgar, edgar_source
from sovereign.feeds.news.filing import NEW_YORK
from sovereign.feeds.universe import UniverseConfig
from sovereign.signals.news import NewsConfig, NewsFilter
from sovereign.signals.tape import TapeConfig, snapshots, tape_rows

NOW = datetime(2026, 3, 7, 12, 0, tzinfo=UTC)
NS = to_ns(NOW)
S = NS_PER_SECOND


# News sources


def asked(server: NewsServer, config: NewsSourceConfig) -> Any:
    """Return what all sources said, what they slept, and what they asked."""
    slept: list[float] = []
    clock = [0.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    timing: dict[str, Any] = {"sleep": sleep, "monotonic": lambda: clock[0]}
    accepted = (NOW - timedelta(hours=5)).astimezone(NEW_YORK).strftime("%Y%m%d%H%M%S")
    server.filings["0001-26-1"] = submission("0001-26-1", accepted, "Profit", form="8-K")
    server.post(1, "x" * 3_000, NOW)
    server.headlines.append(("Title", NOW))
    sources = [yahoo_source(config, **timing), stocktwits_source(config, **timing)]
    said: list[Any] = []
    try:
        filings: Any = None
        if "@" in config.edgar_identity:
            sources.append(edgar_source(config, **timing))
            filings = Edgar(sources[-1], config, lambda: NS).filings(1, NS - 48 * NS_PER_HOUR, NS)
        answers = [filings, Yahoo(sources[0], config, lambda: NS).headlines("A")]
        answers += [StockTwits(sources[1], config, lambda: NS).posts("A") for _ in range(2)]
        said.extend("no data" if isinstance(answer, NoData) else len(answer or ()) for answer in answers)
    finally:
        for source in sources:
            source.close()
    agents = {headers.get("User-Agent") for path, headers in server.requests if path.startswith("/submissions")}
    return said, slept, len(server.requests), agents


def kept(server: NewsServer, config: NewsSourceConfig) -> Any:
    asked(server, config)
    return list(config.folder.glob("*.gz"))


def busy(server: NewsServer, config: NewsSourceConfig) -> Any:
    for start in ("/submissions", "/rss", "/api"):
        server.faults[start] = deque([500] * 2)
    return asked(server, config)


def busy_for_a_while(server: NewsServer, config: NewsSourceConfig) -> Any:
    server.faults["/api"] = deque([429])  # with the wish to wait three seconds
    return asked(server, config)


def deadline(_: NewsServer, config: NewsSourceConfig) -> Any:
    source = yahoo_source(config)
    try:
        Yahoo(source, config, lambda: NS).headlines("A")
        assert source._client is not None
        return source._client.timeout
    finally:
        source.close()


SOURCES: dict[str, tuple[Any, Any, Callable[[NewsServer, NewsSourceConfig], Any]]] = {
    "edgar_identity": ("A a@example.com", "B b@example.com", asked),
    "edgar_files_url": (None, "http://127.0.0.1:9", asked),
    "edgar_data_url": (None, "http://127.0.0.1:9", asked),
    "edgar_per_s": (10.0, 1.0, asked),
    "forms": (("8-K",), ("6-K",), asked),
    "folder": ("one", "two", kept),
    "yahoo_url": (None, "http://127.0.0.1:9", asked),
    "stocktwits_url": (None, "http://127.0.0.1:9", asked),
    "stocktwits_per_hour": (6.0, 180.0, asked),
    "request_s": (3.0, 4.0, deadline),
    "attempts": (2, 3, busy),
    "backoff_s": (0.5, 2.0, busy),
    "most_wait_s": (1.0, 60.0, busy_for_a_while),
    "max_answer_mb": (0.001, 1.0, asked),
}


@pytest.mark.parametrize("key", NewsSourceConfig.model_fields)
def test_source_key_when_its_value_changes_then_something_observable_changes(key, tmp_path):
    one, other, probe = SOURCES[key]
    seen = []
    for place, value in enumerate((one, other)):
        with NewsServer() as server:
            folder = tmp_path / (value if key == "folder" else str(place))
            change = {} if value is None or key == "folder" else {key: value}
            seen.append(probe(server, server.config(folder, **change)))
    assert seen[0] != seen[1]


# The filter


def judged(config: NewsConfig) -> Any:
    def post(number: int, body: str, hours: float) -> Post:
        return Post(post_id=number, author=f"a{number}", body=body, known_ns=NS - round(hours * NS_PER_HOUR))

    filing = Filing(
        accession="f",
        cik=1,
        company="c",
        form="8-K",
        items=(),
        known_ns=NS - 30 * NS_PER_HOUR,
        text="Item 8.01 not quite so profitable, lawsuit",
    )
    told = [
        Headline(source="y", headline_id=str(hours), title="profit", published_ns=NS - hours * NS_PER_HOUR, known_ns=NS)
        for hours in (1, 30)
    ]
    posts = [post(n, f"{'qw' * n} we all should go up to the bright moon", 1) for n in range(10)] + [post(99, "one two", 30)]
    judge = NewsFilter(config)
    cases = [([filing], told, posts), ([], [], posts[:3]), ([], told, []), ([filing], [], []), ([], [], posts)]
    readings = [judge.read("A", NS, *case) for case in cases]
    names = ("probability", "is_accepted", "clusters", "posts", "headlines", "filings", "tone", "filing_tone", "post_tone")
    return [[str(getattr(one, name)) for name in names] for one in readings]


def lexicon(path: Path | None) -> Any:
    settings = Settings.model_validate({"news": {"filter": {"lexicon": path}}})
    scout = NewsScout(settings, lambda: NS, lambda _: None)
    scout.close()
    return scout._filter._lexicon.name


FILTER: dict[str, tuple[Any, Any]] = {
    "base_log_odds": (0.619, 1.0),
    "filing_log_odds": (1.578, 3.0),
    "duplicate_log_odds": (-2.354, -1.0),
    "silence_log_odds": (-0.405, 0.2),
    "filing_alone_log_odds": (1.024, 2.0),
    "accept_probability": (0.5, 0.7),
    "filing_active_h": (48.0, 24.0),
    "posts_h": (24.0, 48.0),
    "phrase_words": (4, 6),
    "phrase_word_letters": (2, 4),
    "duplicate_posts": (10, 11),
    "min_authors": (3, 5),
    "headlines_h": (24.0, 48.0),
    "prior_words": (4.0, 1.0),
    "negation_words": (3, 1),
    "filing_weight": (3.0, 1.0),
    "headline_weight": (2.0, 5.0),
    "post_weight": (0.0, 1.0),
}


@pytest.mark.parametrize("key", NewsConfig.model_fields)
def test_filter_key_when_its_value_changes_then_the_judgment_changes(key, tmp_path):
    if key == "lexicon":
        file = tmp_path / "mine.csv"
        file.write_text("Word,Positive,Negative\nup,1,0\n")
        assert lexicon(None) != lexicon(file)
        return
    base: dict[str, Any] = {"phrase_word_letters": 2} if key == "phrase_words" else {}
    if key == "post_weight":
        base = {"duplicate_posts": 50}
    one, other = (judged(NewsConfig.model_validate({**base, key: value})) for value in FILTER[key])
    assert one != other


@pytest.mark.parametrize("key", NewsSettings.model_fields)
def test_news_key_when_its_value_changes_then_something_observable_changes(key, monkeypatch, tmp_path):
    if key != "every_min":
        assert {"sources": NewsSourceConfig, "filter": NewsConfig}[key].model_fields  # each of its keys is shown above
        return
    monkeypatch.chdir(tmp_path)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        raise KeyboardInterrupt

    import time

    monkeypatch.setattr(time, "sleep", sleep)
    for minutes in (7, 8):
        offline = [f"news.sources.{name}=http://127.0.0.1:9" for name in ("yahoo_url", "stocktwits_url", "edgar_data_url")]
        command.news(
            symbols=["NVDA"], overrides=[f"news.every_min={minutes}", "news.sources.attempts=1", *offline], as_json=True
        )
    assert slept == [420, 480]


# The tape


def watched(config: TapeConfig) -> Any:
    random = np.random.default_rng(2)
    count = 3_000
    ts = np.sort(random.integers(0, 2_000, count)) * S + np.arange(count)
    ts = ts[(ts < 900 * S) | (ts > 1_100 * S)]
    bid = 10_000 + np.cumsum(random.integers(-1, 2, len(ts)))
    sizes = [random.integers(1, 50, len(ts)).astype(np.int32) for _ in range(2)]
    tape = Quotes(ts.astype(np.int64), bid.astype(np.int32), (bid + 1).astype(np.int32), *sizes)
    rows = tape_rows(tape, 0, 2_000 * S, config)
    shown = [[f"{value:.9g}" for value in rows[name].astype(float)] for name in ("ofi", "ofi_z", "mid_ticks", "is_absorption")]
    return shown, len(snapshots("A", rows, 0, 0.01, config))


TAPE: dict[str, tuple[Any, Any]] = {
    "bucket_s": (10, 20),
    "window_buckets": (60, 40),
    "min_buckets": (20, 10),
    "stale_s": (60.0, 300.0),
    "absorption_z": (-1.5, -0.5),
    "absorption_frac": (0.001, 0.0),
    "absorption_s": (60, 120),
    "snapshot_s": (60, 120),
}


@pytest.mark.parametrize("key", TapeConfig.model_fields)
def test_tape_key_when_its_value_changes_then_its_rows_or_snapshots_change(key):
    one, other = (watched(TapeConfig.model_validate({key: value})) for value in TAPE[key])
    assert one != other


# The earnings calendar and the watchlist


def reports(**changes: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "e.csv"
        file.write_text("symbol,date,when,as_of\nA,2026-02-25,after,2026-01-10\nA,2026-06-25,after,2026-01-10\n")
        calendar = read_earnings(EarningsConfig.model_validate({"file": file, **changes}))
        start = to_ns(datetime(2026, 2, 20, tzinfo=UTC))
        return [calendar.at("A", start + k * 6 * NS_PER_HOUR).state for k in range(400)]


EARNINGS: dict[str, tuple[Any, Any]] = {
    "file": (None, "given"),
    "blackout_h": (48.0, 24.0),
    "after_h": (0.0, 24.0),
    "max_age_days": (120.0, 60.0),
}


@pytest.mark.parametrize("key", EarningsConfig.model_fields)
def test_earnings_key_when_its_value_changes_then_the_blackout_changes(key):
    one, other = (reports(**({} if value == "given" else {key: value})) for value in EARNINGS[key])
    assert one != other


def looked_at(universe: UniverseConfig) -> Any:
    return universe.symbols, universe.groups_of("NVDA"), [universe.ciks.get(symbol, math.nan) for symbol in ("NVDA", "AAPL")]


UNIVERSE: dict[str, Any] = {
    "targets": ("NVDA",),
    "benchmarks": ("SPY",),
    "groups": {"all": UniverseConfig().targets},
    "ciks": {"NVDA": 1},
}


@pytest.mark.parametrize("key", UniverseConfig.model_fields)
def test_universe_key_when_its_value_changes_then_what_is_looked_at_changes(key):
    changed = Settings.model_validate(nest({f"universe.{key}": UNIVERSE[key]})).universe
    assert looked_at(changed) != looked_at(Settings().universe)
