"""Recorded bars as paths: what the prints of a bar are, and that the bar can be had back from them."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.core.columns import Bars, Trades
from sovereign.core.errors import DataError, NotFoundError, UsageError
from sovereign.core.instrument import find_instrument
from sovereign.core.session import NS_PER_MINUTE, NS_PER_SECOND, Session, from_ns
from sovereign.feeds.bars import BarFeed, path_of
from sovereign.feeds.calendar import calendar_for
from sovereign.signals.bars import BarBuilder

DAY = date(2025, 6, 3)


def session() -> Session:
    found = calendar_for("XNYS").session(DAY)
    assert found is not None
    return found


def bars_at(closes_ns: list[int], rows: list[tuple[int, int, int, int, int]]) -> Bars:
    opens, highs, lows, last = (np.array([row[i] for row in rows], np.int32) for i in range(4))
    return Bars(np.array(closes_ns, np.int64), opens, highs, lows, last, np.array([row[4] for row in rows], np.int64))


class Shelf:
    """Bars in memory, by symbol and date."""

    def __init__(self, held: dict[str, dict[date, Bars]]) -> None:
        self.held = held

    def dates(self, symbol: str, kind: str = "trades") -> list[date]:
        return sorted(self.held.get(symbol, {}))

    def bars(self, symbol: str, trade_date: date, seconds: int) -> Bars:
        return self.held[symbol][trade_date]

    def is_simulated(self, symbol: str, trade_date: date, kind: str = "trades") -> bool:
        return False


def test_path_when_bar_rises_then_it_fell_first_and_extremes_share_their_time() -> None:
    end = 600 * NS_PER_SECOND
    path = path_of(bars_at([end], [(100, 110, 95, 105, 10)]), 60)
    assert path.price.tolist() == [100, 95, 110, 105]
    assert path.ts.tolist() == [555 * NS_PER_SECOND, 570 * NS_PER_SECOND, 570 * NS_PER_SECOND, end - 1]
    assert path.size.tolist() == [2, 2, 2, 4]
    assert path.side.tolist() == [0, 0, 0, 0]


def test_path_when_bar_falls_then_it_rose_first() -> None:
    assert path_of(bars_at([60 * NS_PER_SECOND], [(105, 110, 95, 100, 4)]), 60).price.tolist() == [105, 110, 95, 100]


def test_path_when_volume_is_beyond_a_print_then_says_so() -> None:
    with pytest.raises(DataError, match="larger units"):
        path_of(bars_at([60 * NS_PER_SECOND], [(1, 1, 1, 1, 10_000_000_000)]), 60)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_bars_from_paths_when_cut_anywhere_then_equal_the_bars(data: st.DataObject) -> None:
    day = session()
    count = data.draw(st.integers(1, 12))
    slots = sorted(data.draw(st.sets(st.integers(1, 78), min_size=count, max_size=count)))
    rows = []
    for _ in slots:
        low = data.draw(st.integers(1, 50))
        high = low + data.draw(st.integers(0, 20))
        o, c = data.draw(st.integers(low, high)), data.draw(st.integers(low, high))
        rows.append((o, high, low, c, data.draw(st.integers(0, 1_000_000))))
    bars = bars_at([day.regular_open_ns + slot * 5 * NS_PER_MINUTE for slot in slots], rows)
    path = path_of(bars, 300)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(path)), max_size=6)) | {0, len(path)})
    builder = BarBuilder(300)
    builder.start_session(day)
    built = []
    for start, stop in pairwise(cuts):
        until = int(path.ts[stop]) if stop < len(path) else day.close_ns
        built.append(builder.advance(path.slice(start, stop), until).copy())
    built.append(builder.advance(Trades.empty(), day.close_ns).copy())
    whole = np.concatenate(built)
    assert whole["known_at"].tolist() == bars.ts.tolist()
    for name in ("open", "high", "low", "close", "volume"):
        assert whole[name].tolist() == getattr(bars, name).tolist()
    assert whole["seq"].tolist() == [4 * (n + 1) for n in range(len(slots))]


def test_hourly_bar_that_begins_before_the_session_when_fed_then_starts_with_it() -> None:
    day = session()
    first_close = day.regular_open_ns + 30 * NS_PER_MINUTE  # the file's 09:00 bar, known at 10:00
    shelf = Shelf({"SPY": {DAY: bars_at([first_close], [(10, 12, 9, 11, 8)])}})
    feed = BarFeed(shelf, ["SPY"], 3600, DAY, DAY, calendar_for("XNYS"))
    (block,) = feed.blocks(day)
    # what is left of it begins at 09:30: open a quarter of half an hour later, extremes at 09:45
    assert (block.trades.ts - day.regular_open_ns).tolist() == [450 * 10**9, 900 * 10**9, 900 * 10**9, 1_800 * 10**9 - 1]
    assert block.trades.is_path
    builder = BarBuilder(3600)
    builder.start_session(day)
    (bar,) = builder.advance(block.trades, block.until_ns)
    assert (int(bar["known_at"]), int(bar["volume"])) == (first_close, 8)


def test_daily_bar_when_fed_then_is_the_regular_session_and_known_at_its_close() -> None:
    day = session()
    shelf = Shelf({"SPY": {DAY: bars_at([day.close_ns], [(10, 12, 9, 11, 8)])}})
    feed = BarFeed(shelf, ["SPY"], 86_400, DAY, DAY, calendar_for("XNYS"))
    (block,) = feed.blocks(day)
    assert [from_ns(t, day.zone).strftime("%H:%M") for t in block.trades.ts] == ["09:30", "12:45", "12:45", "15:59"]
    builder = BarBuilder(86_400)
    builder.start_session(day)
    (bar,) = builder.advance(block.trades, block.until_ns)
    assert int(bar["known_at"]) == day.regular_close_ns
    assert (int(bar["open"]), int(bar["high"]), int(bar["low"]), int(bar["close"])) == (10, 12, 9, 11)


def test_daily_bar_when_built_from_ticks_then_leaves_extended_hours_out_and_counts_them() -> None:
    day = session()
    ts = [day.open_ns, day.regular_open_ns, day.regular_close_ns - 1, day.regular_close_ns]
    ticks = Trades(np.array(ts, np.int64), np.array([99, 10, 12, 1], np.int32), np.ones(4, np.int32), np.zeros(4, np.int8))
    builder = BarBuilder(86_400)
    builder.start_session(day)
    (bar,) = builder.advance(ticks, day.close_ns)
    assert (int(bar["high"]), int(bar["low"]), int(bar["seq"])) == (12, 10, 3)


def test_feed_when_a_symbol_has_no_bars_on_a_date_then_it_does_not_trade_then() -> None:
    other = date(2025, 6, 4)
    nxt = calendar_for("XNYS").session(other)
    assert nxt is not None
    one = lambda s: bars_at([s.regular_open_ns + 5 * NS_PER_MINUTE], [(10, 12, 9, 11, 8)])  # noqa: E731
    shelf = Shelf({"SPY": {DAY: one(session()), other: one(nxt)}, "NVDA": {other: one(nxt)}})
    feed = BarFeed(shelf, ["SPY", "NVDA"], 300, DAY, other, calendar_for("XNYS"))
    assert [[i.symbol for i in feed.instruments(s)] for s in feed.sessions()] == [["SPY"], ["SPY", "NVDA"]]


def test_feed_when_bars_lie_outside_regular_hours_then_they_are_left_out_and_counted() -> None:
    day = session()
    closes = [day.regular_open_ns - 5 * NS_PER_MINUTE, day.regular_open_ns + 5 * NS_PER_MINUTE]
    shelf = Shelf({"SPY": {DAY: bars_at(closes, [(10, 12, 9, 11, 8)] * 2)}})
    feed = BarFeed(shelf, ["SPY"], 300, DAY, DAY, calendar_for("XNYS"))
    (block,) = feed.blocks(day)
    assert len(block.trades) == 4
    assert feed.notes() == ("1 bars outside their session's hours were not used.",)
    assert list(feed.blocks_of("SPY", day))  # read again, as every variant of an ablation does
    assert feed.outside == 1


@pytest.mark.parametrize(
    ("symbols", "start", "end", "error"),
    [
        (["SPY", "SPY"], DAY, DAY, UsageError),
        ([], DAY, DAY, UsageError),
        (["SPY"], DAY, date(2025, 6, 2), UsageError),
        (["QQQ"], DAY, DAY, NotFoundError),
    ],
)
def test_feed_when_asked_for_what_cannot_be_then_says_so(
    symbols: list[str], start: date, end: date, error: type[Exception]
) -> None:
    shelf = Shelf({"SPY": {DAY: bars_at([session().regular_open_ns + 5 * NS_PER_MINUTE], [(10, 12, 9, 11, 8)])}})
    with pytest.raises(error):
        BarFeed(shelf, symbols, 300, start, end, calendar_for("XNYS"))


def test_equity_instrument_when_found_then_trades_on_the_new_york_calendar() -> None:
    assert find_instrument("SPY").calendar == "XNYS"
