"""The lossless stream: granularity from days that are over, judgement before counting, and what makes a setup."""

from __future__ import annotations

import math
from datetime import date
from itertools import pairwise

import numpy as np
import pytest

from lossless_reference import Levels, path, random_sessions
from sovereign.core.columns import Trades
from sovereign.core.instrument import find_instrument
from sovereign.core.session import NS_PER_SECOND
from sovereign.feeds.calendar import calendar_for
from sovereign.signals.bar_gap import GapState
from sovereign.signals.levels import BarHistory
from sovereign.signals.lossless import LevelConfig, LosslessStream

SPY = find_instrument("SPY")
SESSIONS = calendar_for("XNYS").sessions(date(2025, 1, 6), date(2025, 6, 30))


def feed(stream, sessions):
    rows = []
    for session, trades in sessions:
        stream.start_session(session)
        stream.advance(trades, session.close_ns)
        rows.append(stream.rows.copy())
    return rows


def days(closes_of, count, first=0, volume=1_000, wick=0):
    return [(s, path(s, closes_of(n), [volume] * len(closes_of(n)), wick)) for n, s in enumerate(SESSIONS[first:][:count])]


def test_granularity_when_fifteen_days_are_over_then_is_a_tenth_of_the_average_range_and_stays() -> None:
    # Every day runs from 10,000 to 10,300 and back to 10,100: the true range is 300 and so is its average.
    stream = LosslessStream(SPY, 300)
    rows = feed(stream, days(lambda _: [10_000, 10_300, 10_100], 20))
    assert [int(day["granularity"][0]) for day in rows] == [0] * 15 + [30] * 5
    assert stream.average_range == pytest.approx(300.0)
    assert stream.book.rebuilds == 0


def test_granularity_when_the_range_is_below_ten_ticks_then_is_one_tick() -> None:
    rows = feed(LosslessStream(SPY, 300), days(lambda _: [10_000, 10_002, 10_001], 17))
    assert int(rows[-1]["granularity"][0]) == 1


def test_granularity_when_it_has_drifted_beyond_double_then_everything_is_counted_again() -> None:
    stream = LosslessStream(SPY, 300)
    rows = feed(stream, days(lambda n: [10_000, 10_100 if n < 20 else 10_600, 10_050], 45))
    widths = [int(day["granularity"][0]) for day in rows]
    assert widths[15] == 10
    assert stream.book.rebuilds >= 1
    assert all(b == a or b > 2 * a for a, b in pairwise(widths[15:]))
    plain = Levels(stream.book.granularity)
    for bar in np.concatenate(rows):
        plain.bar(*(int(bar[name]) for name in ("open", "high", "low", "close")))
    state = stream.book.state[0]
    counted = {k: int(stream.book.scores[k - state["base"]]) for k in plain.span()}
    assert counted == {k: plain.score(k) for k in plain.span()}


def test_rows_when_any_market_then_each_is_judged_by_the_bars_before_it_alone() -> None:
    rows = feed(LosslessStream(SPY, 300), random_sessions(SESSIONS[:22], seed=3))
    plain, touched = None, 0
    history = [tuple(int(bar[name]) for name in ("open", "high", "low", "close")) for day in rows[:15] for bar in day]
    for bar in np.concatenate(rows[15:]):
        if plain is None or plain.g != bar["granularity"]:
            plain = Levels(int(bar["granularity"]))
            for past in history:
                plain.bar(*past)
        support, resistance = plain.touched_support(bar["low"]), plain.touched_resistance(bar["high"])
        assert bar["at_support"] == (support is not None)
        assert bar["at_resistance"] == (resistance is not None)
        if support is not None:
            touched += 1
            top = (support + 1) * plain.g
            assert (bar["support"], bar["support_score"]) == (top, plain.score(support))
            assert bar["support_strength"] == pytest.approx(plain.strength(support))
            assert bar["is_bounce"] == (bar["close"] > top)
        if resistance is not None:
            assert (bar["resistance"], bar["resistance_score"]) == (resistance * plain.g, plain.score(resistance))
            assert bar["is_rejection"] == (bar["close"] < resistance * plain.g)
        history.append(tuple(int(bar[name]) for name in ("open", "high", "low", "close")))
        plain.bar(*history[-1])
    assert touched > 100


def test_volume_rank_when_slots_differ_then_only_the_same_time_of_day_is_compared() -> None:
    # The first half hour always trades 100 times what the second does; each bar is ordinary for its time.
    stream = LosslessStream(SPY, 300)
    sessions = [(s, path(s, [10_000 + n % 2 for n in range(12)], [100_000] * 6 + [1_000] * 6)) for s in SESSIONS[:10]]
    rows = feed(stream, sessions)
    assert np.isnan(np.concatenate(rows[:6])["volume_rank"]).all()  # 36 bars a slot after six days, 39 are wanted
    assert np.isfinite(rows[7]["volume_rank"]).all()
    assert rows[8]["volume_rank"] == pytest.approx(0.5)
    assert not rows[9]["is_elevated"].any()


def test_setup_when_a_falling_bar_on_huge_volume_bounces_off_a_support_then_is_a_long_with_its_stop_and_target() -> None:
    sessions = list(random_sessions(SESSIONS[:30], seed=5))
    probe = LosslessStream(SPY, 300)
    feed(probe, sessions[:29])
    g, last = probe.book.granularity, int(probe.book.state["last"][0])
    plain = Levels(g)
    for chunk in probe.book.history.chunks():
        for bar in chunk.T.tolist():
            plain.bar(*bar)
    support = max(k for k in plain.supports() if (k + 1) * g < last - 3 and k < last // g)
    top = (support + 1) * g
    ts = SESSIONS[29].regular_open_ns + np.arange(4, dtype=np.int64)
    ticks = Trades(ts, np.array([last, top - 1, top - 1, top + 1], np.int32), np.full(4, 10**7, np.int32), np.zeros(4, np.int8))
    probe.start_session(SESSIONS[29])
    probe.advance(ticks, SESSIONS[29].close_ns)
    row = probe.rows[0]
    met = plain.touched_support(top - 1)
    edge = (met + 1) * g
    assert row["setup"] == 1
    assert row["is_capitulation"]
    assert row["is_held"] == (top + 1 > edge)
    assert (row["support"], row["stop"]) == (edge, edge - math.ceil(1.5 * g))
    target = min(k for k in plain.resistances() if k > (top + 1) // g and plain.score(k) >= plain.score(met))
    assert row["target"] == target * g
    assert row["exit_short"] == row["is_bounce"]
    assert row["wake"]


def test_setup_when_the_same_bar_rises_then_there_is_none() -> None:
    # Capitulation at a support asks for a falling bar.
    rows = np.concatenate(feed(LosslessStream(SPY, 300), random_sessions(SESSIONS[:40], seed=6)))
    setups = rows[rows["setup"] != 0]
    before = np.concatenate([[0], rows["close"][:-1]])[rows["setup"] != 0]
    assert len(setups) > 5
    assert (np.sign(before - setups["close"]) == setups["setup"]).all()


def test_search_when_the_whole_span_is_searched_then_the_best_level_lies_beyond_every_price_that_was() -> None:
    rows = np.concatenate(feed(LosslessStream(SPY, 300, LevelConfig(search="whole")), random_sessions(SESSIONS[:40], seed=6)))
    highest = np.maximum.accumulate(rows["high"])
    at = np.flatnonzero(rows["at_resistance"])
    assert len(at) > 20
    assert (rows["resistance"][at] >= highest[at - 1] - rows["granularity"][at]).all()
    assert not rows["at_support"].any()  # this walk never comes back to its lowest price


def test_bars_when_outside_the_hours_then_are_neither_judged_nor_counted() -> None:
    session = SESSIONS[0]
    early = path(session, [10_000, 10_050], [400, 400])
    early = Trades(early.ts - 3_600 * NS_PER_SECOND, early.price, early.size, early.side)
    for hours, counted in (("regular", 3), ("all", 5)):
        stream = LosslessStream(SPY, 300, hours=hours)
        stream.start_session(session)
        stream.advance(Trades.concat([early, path(session, [10_000, 10_100, 10_000], [400] * 3)]), session.close_ns)
        assert len(stream.rows) == 5
        assert len(stream.book.history) == counted


def test_gap_when_bars_stay_away_then_is_noted_after_90_seconds_and_an_alert_after_300() -> None:
    session = SESSIONS[0]
    minute = 60 * NS_PER_SECOND
    starts = session.regular_open_ns + np.array([0, 1, 3, 6, 20]) * minute
    ticks = Trades(starts, np.full(5, 10_000, np.int32), np.full(5, 100, np.int32), np.zeros(5, np.int8))
    stream = LosslessStream(SPY, 60)
    assert stream.gap(session.regular_open_ns) is GapState.NONE
    stream.start_session(session)
    stream.advance(ticks, int(starts[-1]) + minute)
    assert stream.rows["gap_s"].tolist() == [0, 0, 60, 120, 780]
    assert (stream.gaps.noted, stream.gaps.alerts, stream.gaps.longest_s) == (2, 1, 780)
    ended = int(starts[-1]) + minute
    states = [stream.gap(ended + 60 * NS_PER_SECOND + silence * NS_PER_SECOND) for silence in (0, 89, 90, 299, 300)]
    assert states == [GapState.NONE, GapState.NONE, GapState.NOTED, GapState.NOTED, GapState.ALERT]
    assert stream.gap(session.regular_close_ns) is GapState.NONE


def test_history_when_bars_come_in_pieces_then_keeps_all_in_order() -> None:
    history = BarHistory()
    bars = np.zeros(70_000, [(name, np.int32) for name in ("open", "high", "low", "close")])
    bars["open"] = np.arange(len(bars))
    for start in range(0, len(bars), 9_999):
        history.append(bars[start : start + 9_999])
    assert len(history) == 70_000
    assert np.concatenate([chunk[0] for chunk in history.chunks()]).tolist() == list(range(70_000))
    assert history.nbytes == 3 * 32_768 * 16


def test_crypto_when_weekends_come_then_sessions_follow_each_other_without_a_gap() -> None:
    btc = find_instrument("BTCUSD")
    sessions = calendar_for(btc.calendar).sessions(date(2025, 3, 7), date(2025, 3, 10))
    stream = LosslessStream(btc, 3_600)
    for session in sessions:
        stream.start_session(session)
        stream.advance(path(session, [6_000_000 + n for n in range(24)], [400] * 24, seconds=3_600), session.close_ns)
        assert len(stream.rows) == 24
        assert stream.gaps.noted == 0
    assert len(stream.book.history) == 96
