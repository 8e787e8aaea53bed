"""The feed of recorded sessions: same rows whatever the blocks, one session ahead, nothing from outside the hours."""

from __future__ import annotations

import threading
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.core.columns import Quotes, Trades
from sovereign.core.errors import NotFoundError, UsageError
from sovereign.core.instrument import find_instrument
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.historical import HistoricalFeed
from sovereign.feeds.joined import JoinedFeed
from sovereign.store.catalog import Catalog
from sovereign.store.manifest import Provenance

CALENDAR = calendar_for("CME_EQUITY")
DAYS = [date(2024, 3, 5), date(2024, 3, 6), date(2024, 3, 7)]


def rows(day: date, n: int = 100, before: int = 0, after: int = 0) -> Trades:
    session = CALENDAR.session(day)
    assert session is not None
    inside = session.open_ns + np.arange(n, dtype=np.int64) // 2 * 10**9
    ts = np.concatenate([session.open_ns - 1 - np.arange(before)[::-1], inside, session.close_ns + np.arange(after)])
    return Trades(
        ts.astype(np.int64),
        (20_000 + np.arange(len(ts)) % 7).astype(np.int32),
        np.ones(len(ts), np.int32),
        np.ones(len(ts), np.int8),
    )


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    held = Catalog(tmp_path_factory.mktemp("catalog"))
    for day in DAYS:
        held.write_trades("ESH4", day, rows(day, before=2, after=3), is_simulated=day == DAYS[2])
    held.write_trades("ESH4", date(2024, 3, 9), rows(DAYS[0]))  # a Saturday
    return held


def test_sessions_when_held_then_in_order_with_their_contract(catalog: Catalog) -> None:
    feed = HistoricalFeed(catalog, "ES", DAYS[0], date(2024, 3, 31), CALENDAR)
    assert [s.trade_date for s in feed.sessions()] == DAYS
    assert feed.unscheduled == (date(2024, 3, 9),)
    session = CALENDAR.session(DAYS[0])
    assert session is not None
    assert [i.symbol for i in feed.instruments(session)] == ["ESH4"]
    assert feed.is_simulated
    assert not HistoricalFeed(catalog, "ES", DAYS[0], DAYS[1], CALENDAR).is_simulated


@given(st.one_of(st.none(), st.integers(1, 130)))
def test_blocks_when_cut_anyhow_then_the_same_rows_inside_the_hours(catalog: Catalog, block_ticks: int | None) -> None:
    feed = HistoricalFeed(catalog, "ESH4", DAYS[0], DAYS[2], CALENDAR, block_ticks=block_ticks)
    for session in feed.sessions():
        blocks = list(feed.blocks(session))
        assert np.array_equal(np.concatenate([b.trades.ts for b in blocks]), rows(session.trade_date).ts)
        assert {b.symbol for b in blocks} == {"ESH4"}
        assert blocks[-1].until_ns == session.close_ns
        for block, following in pairwise(blocks):
            assert block.trades.ts[-1] <= block.until_ns <= following.trades.ts[0]
    assert feed.outside == dict.fromkeys(DAYS, 5)


def test_notes_when_something_was_left_out_then_say_what_and_how_much(catalog: Catalog) -> None:
    feed = HistoricalFeed(catalog, "ES", DAYS[2], date(2024, 3, 31), CALENDAR)
    for session in feed.sessions():
        list(feed.blocks(session))
    day = DAYS[2].isoformat()
    assert feed.notes()[-1] == f"Trades outside their session's hours were not used: 5 of {day}."


def test_notes_when_a_date_has_no_session_then_name_it(catalog: Catalog) -> None:
    feed = HistoricalFeed(catalog, "ES", DAYS[0], date(2024, 3, 31), CALENDAR)
    assert feed.notes() == ("Not run, since the calendar has no session then: 2024-03-09.",)


def test_blocks_when_asked_twice_or_alone_then_the_same(catalog: Catalog) -> None:
    feed = HistoricalFeed(catalog, "ESH4", DAYS[0], DAYS[2], CALENDAR)
    session = CALENDAR.session(DAYS[1])
    assert session is not None
    assert [len(b.trades) for b in feed.blocks(session)] == [len(b.trades) for b in feed.blocks(session)] == [100]


def test_sessions_when_one_is_used_then_the_next_one_alone_is_read_and_later_ones_expected(catalog: Catalog) -> None:
    class Watched:
        def __init__(self) -> None:
            self.read: list[tuple[date, str]] = []
            self.expected: list[date] = []
            self.arrived = threading.Event()

        dates = staticmethod(catalog.dates)
        resolve = staticmethod(catalog.resolve)
        is_simulated = staticmethod(catalog.is_simulated)

        def expect_trades(self, symbol: str, trade_date: date) -> None:
            self.expected.append(trade_date)

        def trades(self, symbol: str, trade_date: date) -> Trades:
            self.read.append((trade_date, threading.current_thread().name))
            if trade_date == DAYS[1]:
                self.arrived.set()
            return catalog.trades(symbol, trade_date)

    source = Watched()
    sessions = HistoricalFeed(source, "ESH4", DAYS[0], DAYS[2], CALENDAR).sessions()
    next(sessions)
    assert source.arrived.wait(60)
    assert [day for day, _ in source.read] == DAYS[:2]
    assert source.expected == DAYS[:3]
    assert all(name.startswith("read-ahead") for _, name in source.read)
    sessions.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name.startswith("read-ahead")]


def test_feed_when_nothing_is_held_then_not_found(catalog: Catalog, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"4 dates from 2024-03-05 to 2024-03-09"):
        HistoricalFeed(catalog, "ES", date(2023, 1, 2), date(2023, 1, 3), CALENDAR)
    with pytest.raises(NotFoundError, match="none of that symbol"):
        HistoricalFeed(Catalog(tmp_path), "ES", DAYS[0], DAYS[1], CALENDAR)


@pytest.mark.parametrize(("start", "end", "ticks"), [(DAYS[1], DAYS[0], None), (DAYS[0], DAYS[1], 0)])
def test_feed_when_asked_the_impossible_then_usage_error(catalog: Catalog, start: date, end: date, ticks: int | None) -> None:
    with pytest.raises(UsageError):
        HistoricalFeed(catalog, "ES", start, end, CALENDAR, block_ticks=ticks)


def test_quotes_when_recorded_then_those_inside_the_hours_and_none_of_a_day_without(tmp_path: Path) -> None:
    shares, hours = calendar_for("XNYS"), [calendar_for("XNYS").session(day) for day in DAYS[:2]]
    held = Catalog(tmp_path)
    for symbol in ("NVDA", "JPM"):
        for session in hours:
            assert session is not None
            ts = np.array([session.regular_open_ns], np.int64)
            held.write_trades(
                symbol, session.trade_date, Trades(ts, *(np.ones(1, np.int32) for _ in range(2)), np.ones(1, np.int8))
            )
    first = hours[0]
    assert first is not None
    ts = np.array([first.open_ns - 1, first.open_ns, first.close_ns - 1, first.close_ns], np.int64)
    quotes = Quotes(ts, *(np.array([n, n + 1, n + 2, n + 3], np.int32) for n in (100, 110, 1, 5)))
    with held.transaction() as writing:
        writing.write("quotes", find_instrument("NVDA"), DAYS[0], quotes, "q.csv", "a", Provenance())
    feed = JoinedFeed([HistoricalFeed(held, symbol, DAYS[0], DAYS[1], shares) for symbol in ("NVDA", "JPM")])
    nothing = Trades.empty()
    found = feed.quotes(first, "NVDA", nothing)
    assert found is not None
    assert (found.ts.tolist(), found.bid_size.tolist()) == ([first.open_ns, first.close_ns - 1], [2, 3])
    assert feed.quotes(first, "JPM", nothing) is None
    assert feed.quotes(first, "CAT", nothing) is None
    assert hours[1] is not None
    assert feed.quotes(hours[1], "NVDA", nothing) is None
