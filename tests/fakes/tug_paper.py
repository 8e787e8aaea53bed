"""The tug of war on paper in processes: an exchange with its symbols on one clock, its news, a session killed on the way."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Any

from fakes.commands import sovereign, wait_for
from fakes.news_server import NewsServer, submission
from sovereign.core.session import from_ns
from sovereign.feeds.calendar import calendar_for
from sovereign.store.store import Store

DAY = date(2025, 11, 17)
SESSION = "paper-tug_of_war-20251117"
ENOUGH_S = 300.0

QUICK = {
    "bar_seconds": 60,
    "institution.range_minutes": 5,
    "confidence.measure": "raw",
    "conflict.min_opposed": 0.5,
    "conflict.min_alone": 0.5,
    "without": '["earnings","regime","kelly"]',
}
"""A tug of war that needs no history: what is known within minutes decides."""
SESSIONS = {
    "execution.latency_ms": 250,
    "risk.min_reward_to_cost": 0,
    "risk.max_position_frac": 0.2,
    "news.sources.backoff_s": 0,
    "news.sources.edgar_identity": "Jane Doe jane@example.com",
    "live.backlog_ms": 600_000,
    "live.stale_data_s": 60,
    "live.poll_ms": 20,
    "live.retry_s": 0.1,
    "session.evidence_every_s": 0.02,  # a market in lockstep comes minutes further while a second passes
}


def window(seconds: int) -> tuple[int, int]:
    """Return when the market opens and when its tape of so many seconds ends (UTC ns)."""
    session = calendar_for("XNYS").session(DAY)
    assert session is not None
    return session.regular_open_ns, session.regular_open_ns + seconds * 10**9


@contextmanager
def good_news() -> Iterator[NewsServer]:
    """Serve good news of the morning."""
    with NewsServer() as server:
        opens = from_ns(window(0)[0]).astimezone(UTC)
        server.filings["0001-25-1"] = submission("0001-25-1", "20251117080000", "Record profit and strong growth")
        server.headlines.append(("Strong growth and record profit", opens - timedelta(hours=1)))
        yield server


def set_words(server: NewsServer, strategy: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    """Return the `--set` words of a quick session that reads these news, with settings of the strategy and others."""
    found = {f"strategies.tug_of_war.{key}": value for key, value in {**QUICK, **strategy}.items()} | SESSIONS | {**others}
    urls = ("edgar_files_url", "edgar_data_url", "yahoo_url", "stocktwits_url")
    found |= {f"news.sources.{name}": server.address for name in urls}
    return [word for key, value in found.items() for word in ("--set", f"{key}={value}")]


@contextmanager
def exchange(folder: Path, symbols: Sequence[str], seconds: int, *words: str) -> Iterator[Path]:
    """Run the simulated exchange; `words` say its pace and where it keeps its books."""
    names = [word for symbol in symbols for word in ("--symbol", symbol)]
    times = ("--seconds", str(seconds), "--latency", "250", "--slice", "10000", "--port", "0")
    more = ("--accounts", "paper:100000", "--set", "portfolio_market.step_seconds=10")
    with sovereign(folder, "venue", *names, *times, *more, *words) as venue:
        venue.said('"url"')
        yield folder


def kill_at(folder: Path, arguments: Sequence[str], ts: int, is_ready: Callable[[Store], bool] = lambda _: True) -> None:
    """Trade until the market has come to a time and the record is ready, then end the process without a word."""
    with Store(f"sqlite:///{folder}/sovereign.sqlite") as store, sovereign(folder, "run", "tug_of_war", *arguments) as session:

        def is_there() -> bool:
            results = store.scouts.rows("tug_results", "paper")
            return bool(results) and results[-1]["ts"] >= ts and is_ready(store)

        wait_for(is_there, f"the session to come to {from_ns(ts)}", ENOUGH_S, session.alive)
        session.alive()
        session.process.send_signal(signal.SIGKILL)
