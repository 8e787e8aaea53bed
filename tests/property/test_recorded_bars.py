"""Bars that were recorded are taken as they are: the same as those that their prints make, wherever they lie."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.core.columns import Bars, Trades
from sovereign.core.session import NS_PER_SECOND
from sovereign.feeds.bars import Paths
from sovereign.feeds.calendar import calendar_for
from sovereign.signals.bars import BarBuilder

SESSION = calendar_for("XNYS").session(date(2025, 11, 28))  # a half day
MINUTE = 60 * NS_PER_SECOND


@st.composite
def recorded(draw):
    """Bars of five minutes: on the grid or off it, with holes, before the open and over the closes."""
    first = draw(st.sampled_from([SESSION.open_ns, SESSION.regular_open_ns, SESSION.regular_close_ns - 20 * MINUTE]))
    shift = draw(st.sampled_from([0, 0, 0, MINUTE, 1]))
    steps = draw(st.lists(st.integers(1, 4), min_size=1, max_size=12))
    ends = first + shift + 5 * MINUTE * np.cumsum(steps)
    count = len(ends)
    prices = np.array(draw(st.lists(st.integers(1, 50), min_size=4 * count, max_size=4 * count)), np.int32).reshape(4, count)
    volume = np.array(draw(st.lists(st.integers(0, 30), min_size=count, max_size=count)), np.int64)
    return Bars(ends.astype(np.int64), *prices, volume)


def told(builder, parts):
    return np.concatenate([builder.advance(trades, until_ns).copy() for trades, until_ns in parts])


@settings(deadline=None, max_examples=150)
@given(
    recorded(),
    st.sampled_from([300, 600]),
    st.integers(0, 12),
    st.sampled_from([None, SESSION.regular_open_ns]),
    st.integers(-2, 2),
)
def test_bars_when_they_were_recorded_then_are_those_that_their_prints_make(bars, seconds, cut, opens_ns, early):
    paths, opens_ns = Paths(300), opens_ns if opens_ns is not None and bars.ts[0] > opens_ns else None
    edge = int(bars.ts[min(cut, len(bars) - 1)])
    parts = [part for part in (bars.slice(0, cut), bars.slice(cut, len(bars))) if len(part)]
    untils = [edge + early * MINUTE, SESSION.close_ns][-len(parts) :]
    found = []
    for is_known in (True, False):
        builder = BarBuilder(seconds)
        builder.start_session(SESSION)
        trades = [paths.of(part, opens_ns) for part in parts]
        assert all(part.bars is not None for part in trades)
        some = trades if is_known else [replace(part, bars=None) for part in trades]
        found.append(told(builder, [*zip(some, untils, strict=True), (Trades.empty(), SESSION.close_ns + 10**15)]))
    for name in found[1].dtype.names:
        np.testing.assert_array_equal(found[0][name], found[1][name], err_msg=name)


def test_path_when_cut_then_stands_for_no_whole_bars():
    bars = Bars(
        np.array([SESSION.regular_open_ns + 5 * MINUTE], np.int64), *np.full((4, 1), 10, np.int32), np.array([8], np.int64)
    )
    path = Paths(300).of(bars)
    assert path.bars is not None
    assert path.slice(0, 2).bars is None
    assert Trades.concat([path, path]).bars is None
