"""Queues at the best prices of a simulated market: trades eat them, time fills them, and nothing of them is told early."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.core.columns import NO_QUOTE, Quotes, Trades
from sovereign.core.instrument import find_instrument
from sovereign.core.session import NS_PER_SECOND
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import (
    PortfolioMarket,
    QueueConfig,
    SyntheticConfig,
    SyntheticFeed,
    SyntheticMarket,
    queue_quotes,
)
from sovereign.signals.tape import TapeConfig, explained_moves, tape_rows

DAY = date(2025, 11, 17)
COLUMNS = ("ts", "bid", "ask", "bid_size", "ask_size")
EVEN = QueueConfig(depth_trades=5, depth_deviation=0, refill_s=-1 / math.log(0.4), step_ms=1_000)
"""Every queue wants to be 10 long, and a second brings it three fifths of the way."""


def trades_of(*rows: tuple[float, int, int, int, int, int]) -> Trades:
    """Trades of (second, price, size, side, bid, ask)."""
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    whole = [column.astype(np.int32) for column in columns[1:]]
    price, size, side, bid, ask = whole
    return Trades((columns[0] * NS_PER_SECOND).astype(np.int64), price, size, side.astype(np.int8), bid, ask)


def told(trades: Trades, seconds: int, config: QueueConfig = EVEN, seed: int = 1) -> list[tuple[float, int, int, int, int]]:
    quotes = queue_quotes(trades, (0, seconds * NS_PER_SECOND), [seed], config, lot=1, mean_size=2.0)
    return rows_of(quotes)


def rows_of(quotes: Quotes) -> list[tuple[float, int, int, int, int]]:
    found = zip(*(getattr(quotes, name).tolist() for name in COLUMNS), strict=True)
    return [(ts / NS_PER_SECOND, *rest) for ts, *rest in found]


def test_queues_when_trades_hit_them_and_time_passes_then_as_worked_by_hand() -> None:
    trades = trades_of(
        (0.5, 101, 3, 1, 100, 101),
        (1.2, 100, 4, -1, 100, 101),
        (2.5, 100, 20, -1, 100, 101),
        (3.2, 101, 2, 1, 99, 101),
    )
    assert told(trades, 4) == [
        (0.5, 100, 101, 10, 10),  # what the first trade met
        (0.5, 100, 101, 10, 7),  # a buyer takes 3 of the offers
        (1.0, 100, 101, 10, 9),  # 0.6 of the 3 that lack come back
        (1.2, 100, 101, 6, 9),  # a seller takes 4 of the bids
        (2.0, 100, 101, 8, 10),
        (2.5, 100, 101, 1, 10),  # more than there was; the price stands, so one lot does
        (3.0, 100, 101, 6, 10),
        (3.2, 99, 101, 10, 10),  # the bid gave way: what was left is gone, the new price has its own queue
        (3.2, 99, 101, 10, 8),
    ]


def test_quotes_when_trades_name_none_then_the_tick_rule_tells_who_hit_what() -> None:
    nothing = NO_QUOTE
    trades = trades_of(
        (0.1, 95, 1, 0, nothing, nothing),  # by a coin
        (0.2, 101, 2, 0, nothing, nothing),
        (0.3, 101, 3, 0, nothing, nothing),
        (0.4, 97, 4, 0, nothing, nothing),
    )
    assert [row for row in told(trades, 1) if row[0] > 0.1] == [
        (0.2, 100, 101, 10, 10),
        (0.2, 100, 101, 10, 8),
        (0.3, 100, 101, 10, 5),
        (0.4, 97, 98, 10, 10),
        (0.4, 97, 98, 6, 10),
    ]


def test_quotes_when_nothing_traded_or_the_market_pauses_then_none() -> None:
    empty = Trades.empty()
    assert told(empty, 10) == []
    trades = trades_of((0.5, 101, 3, 1, 100, 101), (5.5, 101, 3, 1, 100, 101))
    pause = (2 * NS_PER_SECOND, 5 * NS_PER_SECOND)
    quotes = queue_quotes(trades, (0, 7 * NS_PER_SECOND), [1], EVEN, lot=1, mean_size=2.0, breaks=(pause,))
    assert [row[0] for row in rows_of(quotes)] == [0.5, 0.5, 1.0, 5.0, 5.5, 6.0]


@st.composite
def tapes(draw: st.DrawFn) -> Trades:
    rows = draw(st.integers(1, 40))
    steps = draw(st.lists(st.integers(0, 1_500_000_000), min_size=rows, max_size=rows))
    mids = 1_000 + np.cumsum(draw(st.lists(st.integers(-2, 2), min_size=rows, max_size=rows)))
    sides = np.array(draw(st.lists(st.sampled_from([-1, 0, 1]), min_size=rows, max_size=rows)))
    sizes = draw(st.lists(st.integers(1, 5_000), min_size=rows, max_size=rows))
    is_quoted = np.array(draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    return Trades(
        np.cumsum(steps, dtype=np.int64),
        (mids + (sides > 0)).astype(np.int32),
        np.array(sizes, np.int32),
        sides.astype(np.int8),
        np.where(is_quoted, mids, NO_QUOTE).astype(np.int32),
        np.where(is_quoted, mids + 1, NO_QUOTE).astype(np.int32),
    )


@settings(max_examples=60, deadline=None)
@given(trades=tapes(), cut=st.integers(0, 40), lot=st.sampled_from([1, 100]), seed=st.integers(0, 2**32))
def test_quotes_when_the_future_is_another_then_the_past_is_the_same_and_a_queue_is_never_empty(
    trades: Trades, cut: int, lot: int, seed: int
) -> None:
    cut = min(cut, len(trades) - 1)
    now, span = int(trades.ts[cut]), (0, int(trades.ts[-1]) + NS_PER_SECOND)
    whole, past = (
        queue_quotes(part, span, [seed], QueueConfig(), lot=lot, mean_size=1_000.0) for part in (trades, trades.slice(0, cut))
    )
    assert len(trades) <= len(whole)
    assert np.all(np.diff(whole.ts) >= 0)
    assert min(whole.bid_size.min(), whole.ask_size.min()) >= lot
    known = int(np.searchsorted(whole.ts, now))
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(whole, name)[:known], getattr(past, name)[: np.searchsorted(past.ts, now)])


def feed_of(symbol: str, *, queues: QueueConfig | None = None, seed: int = 7, **config: float) -> SyntheticFeed:
    instrument = find_instrument(symbol)
    market = SyntheticMarket(SyntheticConfig(ticks_per_session=20_000, **config), seed)  # type: ignore[arg-type]
    return SyntheticFeed(market, instrument, calendar_for(instrument.calendar), DAY, 1, queues=queues)


def quotes_and_trades(feed: SyntheticFeed | PortfolioMarket, symbol: str) -> tuple[Quotes, Trades]:
    session = next(feed.sessions())
    trades = next(block.trades for block in feed.blocks(session) if block.symbol == symbol)
    quotes = feed.quotes(session, symbol, trades)
    assert quotes is not None
    return quotes, trades


def bytes_of(columns: Quotes | Trades) -> bytes:
    return b"".join(
        np.ascontiguousarray(getattr(columns, name)).tobytes()
        for name in type(columns).__slots__
        if name not in ("is_path", "bars")
    )


@pytest.mark.parametrize("symbol", ["ES", "NVDA"])
def test_market_when_asked_for_quotes_then_the_same_bytes_each_time_and_trades_know_nothing_of_them(symbol: str) -> None:
    one, trades = quotes_and_trades(feed_of(symbol), symbol)
    again, same = quotes_and_trades(feed_of(symbol), symbol)
    deep, beside = quotes_and_trades(feed_of(symbol, queues=QueueConfig(depth_trades=60)), symbol)
    assert bytes_of(one) == bytes_of(again) != bytes_of(deep)
    assert bytes_of(trades) == bytes_of(same) == bytes_of(beside)
    assert bytes_of(one) != bytes_of(quotes_and_trades(feed_of(symbol, seed=8), symbol)[0])
    # The quote before a trade is the one that the trade itself names.
    before = np.searchsorted(one.ts, trades.ts, side="right") - 1
    assert trades.bid is not None
    is_alone = np.concatenate([np.diff(trades.ts) > 0, [True]])
    np.testing.assert_array_equal(one.bid[before][is_alone], trades.bid[is_alone])


def test_shares_when_quoted_then_each_has_queues_of_its_own_and_the_order_of_asking_does_not_matter() -> None:
    symbols = ["NVDA", "JPM"]
    one, other = (PortfolioMarket(symbols, calendar_for("XNYS"), DAY, 1, 7) for _ in range(2))
    first = {symbol: bytes_of(quotes_and_trades(one, symbol)[0]) for symbol in symbols}
    second = {symbol: bytes_of(quotes_and_trades(other, symbol)[0]) for symbol in reversed(symbols)}
    assert first == second
    assert first["NVDA"] != first["JPM"]


@pytest.mark.parametrize("is_null", [False, True])
def test_flow_when_held_against_the_moves_then_explains_the_same_bucket_and_not_the_next(is_null: bool) -> None:
    feed = feed_of("NVDA", is_null=is_null)
    session = next(feed.sessions())
    quotes, _ = quotes_and_trades(feed, "NVDA")
    rows = tape_rows(quotes, session.regular_open_ns, session.regular_close_ns, TapeConfig())
    assert explained_moves(rows).r_squared > 0.3
    flow, following = rows["ofi_z"][:-1], rows["move_ticks"][1:]
    is_known = ~np.isnan(flow) & ~np.isnan(following)
    found = float(np.corrcoef(flow[is_known], following[is_known])[0, 1])
    assert abs(found) < 4 / math.sqrt(int(is_known.sum()))  # four standard errors of no correlation
