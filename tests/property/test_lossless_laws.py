"""Laws of the lossless stream: no future, no matter how the ticks are cut, and a restart is a replay."""

from __future__ import annotations

from datetime import date

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from council_cases import rows_of
from lossless_reference import random_sessions
from sovereign.core.instrument import find_instrument
from sovereign.feeds.calendar import calendar_for
from sovereign.signals.lossless import LosslessStream

SPY = find_instrument("SPY")
SESSIONS = calendar_for("XNYS").sessions(date(2025, 1, 6), date(2025, 3, 14))


def walk(seed):
    return list(random_sessions(SESSIONS[:24], seed=seed, bars=40))


def same(one, other):
    for name in one.dtype.names:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@given(st.integers(0, 1_000), st.data())
@settings(max_examples=8)
def test_rows_when_ticks_are_cut_anywhere_then_are_the_same(seed, data):
    sessions = walk(seed)
    cuts = data.draw(st.lists(st.integers(1, 159), max_size=12))
    whole = rows_of(LosslessStream(SPY, 300), sessions)
    same(whole, rows_of(LosslessStream(SPY, 300), sessions, lambda _: cuts))
    assert whole["at_support"].any()


def test_rows_when_ticks_come_one_by_one_then_are_the_same():
    sessions = walk(1)
    same(rows_of(LosslessStream(SPY, 300), sessions), rows_of(LosslessStream(SPY, 300), sessions, range))


@given(st.integers(0, 1_000), st.integers(17, 23), st.integers(1, 39))
@settings(max_examples=8)
def test_rows_when_the_future_is_another_then_the_past_is_the_same(seed, day, bar):
    one, other = walk(seed), walk(seed + 5_000)
    session, trades = one[day]
    cut = 4 * bar
    # From the cut on: the other market, moved to where this one stands.
    foreign = other[day][1]
    price = foreign.price[cut:] - foreign.price[cut] + trades.price[cut - 1]
    mixed = type(trades).concat(
        [trades.slice(0, cut), type(trades)(foreign.ts[cut:], price, foreign.size[cut:], foreign.side[cut:])]
    )
    whole = rows_of(LosslessStream(SPY, 300), one[: day + 1])
    changed = rows_of(LosslessStream(SPY, 300), [*one[:day], (session, mixed)])
    known = int((whole["known_at"] <= trades.ts[cut]).sum())
    assert known == 40 * day + bar
    same(whole[:known], changed[:known])


def test_stream_when_restarted_mid_session_from_the_history_then_goes_on_as_if_nothing_had_happened():
    sessions = walk(7)
    whole = LosslessStream(SPY, 300)
    expected = rows_of(whole, sessions)
    session, trades = sessions[-1]
    again = LosslessStream(SPY, 300)
    earlier = rows_of(again, sessions[:-1])
    # The session so far is replayed as one block, then ticks arrive as they did.
    again.start_session(session)
    again.advance(trades.slice(0, 70), int(trades.ts[69]))
    for at in range(70, len(trades)):
        again.advance(trades.slice(at, at + 1), int(trades.ts[at]))
    again.advance(trades.slice(0, 0), session.close_ns)
    same(expected, np.concatenate([earlier, again.rows]))
    np.testing.assert_array_equal(whole.book.state, again.book.state)
    first, last = (
        int(x)
        for x in (whole.book.state["low"][0] // whole.book.granularity, whole.book.state["high"][0] // whole.book.granularity)
    )
    for book in (whole.book, again.book):
        assert book.scores[first - int(book.state["base"][0]) : last - int(book.state["base"][0])].any()


def test_streams_when_two_symbols_are_followed_then_neither_knows_the_other():
    sessions, others = walk(2), walk(3)
    alone = rows_of(LosslessStream(SPY, 300), sessions)
    one, two = LosslessStream(SPY, 300), LosslessStream(find_instrument("QQQ"), 300)
    found = []
    for (session, trades), (_, foreign) in zip(sessions, others, strict=True):
        for stream, ticks in ((two, foreign), (one, trades)):
            stream.start_session(session)
            stream.advance(ticks, session.close_ns)
        found.append(one.rows.copy())
    same(alone, np.concatenate(found))
