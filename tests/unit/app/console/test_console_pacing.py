"""Market time on the wall: how long is waited, by a clock that the test turns."""

from datetime import date, time

import numpy as np
import pytest

from sovereign.app.console.pacing import PacedFeed, Pacer
from sovereign.app.console.watch import _from_ns
from sovereign.core.columns import Trades
from sovereign.core.errors import UsageError
from sovereign.core.instrument import find_instrument
from sovereign.core.port import Block
from sovereign.core.session import NS_PER_SECOND, from_ns
from sovereign.feeds.calendar import calendar_for

SESSION = calendar_for("CME_EQUITY").session(date(2025, 3, 4))
OPEN = SESSION.regular_open_ns


class Wall:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now = 100.0
        self.slept = []

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


class TradesFeed:
    """One session of given trades in one block."""

    is_simulated = True

    def __init__(self, seconds):
        ts = OPEN + (np.array(seconds) * NS_PER_SECOND).astype(np.int64)
        n = len(ts)
        self.trades = Trades(ts, np.full(n, 20_000, np.int32), np.ones(n, np.int32), np.ones(n, np.int8))

    def sessions(self):
        yield SESSION

    def instruments(self, _session):
        return (find_instrument("ES"),)

    def blocks(self, session):
        yield Block("ES", self.trades, session.close_ns)


def pacer(speed, wall, on_wait=None, **more):
    return Pacer(speed, on_wait, clock=wall.clock, sleep=wall.sleep, **more)


def test_wait_when_speed_is_fifty_then_a_market_minute_lasts_1_2_seconds():
    wall = Wall()
    keeper = pacer(50, wall)
    keeper.start(OPEN)
    keeper.wait(OPEN + 60 * NS_PER_SECOND)
    assert wall.now - 100.0 == pytest.approx(1.2)


def test_wait_when_speed_is_zero_then_never_sleeps():
    wall = Wall()
    keeper = pacer(0, wall)
    keeper.start(OPEN)
    keeper.wait(OPEN + 3_600 * NS_PER_SECOND)
    assert wall.slept == []


def test_wait_when_the_gap_is_long_then_market_time_is_shown_passing():
    wall, seen = Wall(), []
    keeper = pacer(8, wall, seen.append, step_s=0.125)
    keeper.start(OPEN)
    keeper.wait(OPEN + 5 * NS_PER_SECOND)
    assert [round((ts - OPEN) / NS_PER_SECOND) for ts in seen] == [1, 2, 3, 4]


def test_wait_when_the_run_has_fallen_behind_then_it_does_not_rush():
    wall = Wall()
    keeper = pacer(1, wall)
    keeper.start(OPEN)
    wall.now += 10.0
    keeper.wait(OPEN + NS_PER_SECOND)
    assert wall.slept == []
    keeper.wait(OPEN + 2 * NS_PER_SECOND)
    assert sum(wall.slept) == pytest.approx(1.0)


@pytest.mark.parametrize("speed", [-1.0, float("nan"), float("inf")])
def test_pacer_when_speed_is_impossible_then_refused(speed):
    with pytest.raises(UsageError, match="speed was"):
        Pacer(speed)


def test_blocks_when_paced_then_each_comes_at_its_end_and_quiet_stretches_last():
    wall = Wall()
    feed = PacedFeed(TradesFeed([0.5, 1.5, 9.5]), pacer(1, wall), NS_PER_SECOND)
    arrivals = [
        (wall.now - 100.0, len(block.trades), (block.until_ns - OPEN) / NS_PER_SECOND) for block in feed.blocks(SESSION)
    ]
    # The first block comes at once; then a block a second, seven of them empty; the last trade half a second later.
    assert [round(at, 6) for at, _, _ in arrivals] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8.5]
    assert [ticks for _, ticks, _ in arrivals] == [1, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert [until for _, _, until in arrivals[:3]] == [1, 2, 3]
    assert OPEN + arrivals[-1][2] * NS_PER_SECOND == SESSION.close_ns
    assert feed.spans["ES"] == (OPEN + NS_PER_SECOND // 2, OPEN + 19 * NS_PER_SECOND // 2)


def test_blocks_when_a_time_to_begin_is_given_then_everything_before_comes_at_once():
    wall = Wall()
    feed = PacedFeed(
        TradesFeed([0.5, 1.5, 9.5, 11.5]), pacer(1, wall), NS_PER_SECOND, from_ns=lambda _: OPEN + 9 * NS_PER_SECOND
    )
    blocks = feed.blocks(SESSION)
    first = next(blocks)
    assert (len(first.trades), wall.slept) == (3, [])
    assert sum(len(block.trades) for block in blocks) == 1
    assert sum(wall.slept) == pytest.approx(1.5)


def test_blocks_when_a_length_is_wanted_then_the_speed_follows_from_the_span():
    wall = Wall()
    feed = PacedFeed(TradesFeed([0.0, 600.0]), pacer(0, wall), NS_PER_SECOND, speed_of=lambda span: span / NS_PER_SECOND / 20)
    assert sum(len(block.trades) for block in feed.blocks(SESSION)) == 2
    assert feed.pacer.speed == pytest.approx(30.0)
    assert wall.now - 100.0 == pytest.approx(599 / 30)


@pytest.mark.parametrize(("clock", "shown"), [(time(20), "2025-03-03 20:00"), (time(10, 30), "2025-03-04 10:30")])
def test_from_time_when_it_is_an_evening_then_the_night_before_the_trade_date(clock, shown):
    assert f"{from_ns(_from_ns(clock)(SESSION), SESSION.zone):%Y-%m-%d %H:%M}" == shown


def test_from_time_when_the_market_is_closed_then_says_its_hours():
    with pytest.raises(UsageError, match="lasts from 18:00 to 17:00"):
        _from_ns(time(17, 30))(SESSION)
