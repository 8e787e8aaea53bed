"""The synthetic market through the `Feed` port."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from sovereign.core.columns import Trades
from sovereign.core.errors import UsageError
from sovereign.core.instrument import find_instrument
from sovereign.core.port import Feed
from sovereign.core.session import NS_PER_MINUTE
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import SyntheticConfig, SyntheticFeed, SyntheticMarket

MARKET = SyntheticMarket(SyntheticConfig(ticks_per_session=5_000), seed=9)
ES = find_instrument("ES")
CALENDAR = calendar_for("CME_EQUITY")


def _feed(start: date, sessions: int, **options: object) -> SyntheticFeed:
    return SyntheticFeed(MARKET, ES, CALENDAR, start, sessions, **options)  # type: ignore[arg-type]


def test_feed_when_asked_then_it_says_simulated() -> None:
    feed: Feed = _feed(date(2025, 11, 20), 1)
    assert feed.is_simulated
    assert "simulated" in _feed(date(2025, 11, 20), 1).label


def test_sessions_when_holidays_lie_between_then_they_are_passed_over() -> None:
    days = [s.trade_date for s in _feed(date(2025, 11, 26), 3).sessions()]
    assert days == [date(2025, 11, 26), date(2025, 11, 28), date(2025, 12, 1)]


def test_sessions_when_a_date_has_no_day_session_then_only_all_hours_has_it() -> None:
    good_friday = date(2026, 4, 3)
    assert [s.trade_date for s in _feed(good_friday, 1).sessions()] == [date(2026, 4, 6)]
    assert [s.trade_date for s in _feed(good_friday, 1, hours="all").sessions()] == [good_friday]


def test_sessions_when_many_are_asked_for_then_that_many_without_repeats() -> None:
    days = [s.trade_date for s in _feed(date(2025, 1, 2), 108).sessions()]
    assert len(set(days)) == 108
    assert days == sorted(days)


@pytest.mark.parametrize("hours", ["regular", "all"])
@pytest.mark.parametrize("block_ns", [None, 7 * NS_PER_MINUTE])
def test_blocks_when_joined_then_the_session_in_order_and_promises_kept(hours: str, block_ns: int | None) -> None:
    feed = _feed(date(2025, 11, 20), 1, hours=hours, block_ns=block_ns)
    (session,) = feed.sessions()
    whole = MARKET.session_trades(ES, session, feed.hours)
    blocks = list(feed.blocks(session))
    joined = Trades.concat([b.trades for b in blocks])
    for name in ("ts", "price", "size", "side", "bid", "ask"):
        assert np.array_equal(getattr(joined, name), getattr(whole, name))
    promised = -1
    for block in blocks:
        assert block.symbol == "ES"
        assert block.until_ns > promised
        if len(block.trades):
            assert block.trades.ts[0] >= promised
            assert block.trades.ts[-1] < block.until_ns
        promised = block.until_ns
    assert promised == (session.regular_close_ns if hours == "regular" else session.close_ns)
    assert (len(blocks) == 1) == (block_ns is None)


def test_feed_when_numbers_are_impossible_then_usage_error() -> None:
    with pytest.raises(UsageError, match="sessions was 0"):
        _feed(date(2025, 1, 2), 0)
    with pytest.raises(UsageError, match="block_ns was 0"):
        _feed(date(2025, 1, 2), 1, block_ns=0)
