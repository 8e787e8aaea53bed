"""What a running strategy was told by scouts: by the time from which it was known, and never made up."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from example_scouts import READING, SNAPSHOT
from sovereign.core.news import Filing, Headline, Post
from sovereign.signals.evidence import EvidenceBook
from sovereign.signals.news import NewsConfig, NewsFilter
from sovereign.strategies.tug_of_war import TugOfWarStrategy
from tug_cases import MINUTE, config_of, market, run_session, streams_of

NAN = math.nan


def test_snapshot_when_it_came_late_then_is_seen_from_its_coming_on_and_keeps_its_own_time():
    book = EvidenceBook()
    book.take(500, [replace(SNAPSHOT, ts=60)], [])
    assert book.tape("NVDA", 499) is None
    assert book.tape("NVDA", 500) == (60, -1.75, True, 300, 500)
    assert book.tape("JPM", 500) is None


def test_snapshot_when_told_again_or_older_than_the_last_then_changes_nothing():
    book = EvidenceBook()
    book.take(100, [replace(SNAPSHOT, ts=60)], [])
    book.take(200, [replace(SNAPSHOT, ts=60, ofi_z=9.0), replace(SNAPSHOT, ts=30, ofi_z=8.0)], [])
    assert book.tape("NVDA", 300) == (60, -1.75, True, 300, 500)
    book.take(400, [replace(SNAPSHOT, ts=120, ofi_z=2.0, is_absorption=False)], [])
    assert book.tape("NVDA", 399) == (60, -1.75, True, 300, 500)
    assert book.tape("NVDA", 400) == (120, 2.0, False, 300, 500)


def test_reading_when_posts_were_not_accepted_then_the_crowds_tone_is_unknown_and_not_neutral():
    book = EvidenceBook()
    book.take(100, [], [READING])
    view = book.news("NVDA", 100)
    assert view is not None
    assert (view.ts, view.tone, view.probability) == (60, 0.5, 0.15)
    assert math.isnan(view.post_tone)
    book.take(200, [], [replace(READING, ts=90, is_accepted=True)])
    accepted = book.news("NVDA", 200)
    assert accepted is not None
    assert accepted.post_tone == -0.1


def told_tone(has_filing=True, has_headline=True, **weights):
    """The tone that a row has of a filing (0.2), a headline (-1/3) and accepted posts (1/5), by the weights of the filter."""
    session, tapes = market(1, 3)[-1]
    now = session.regular_open_ns + 30 * MINUTE
    told = {"source": "y", "headline_id": "1", "title": "lawsuit, probe", "published_ns": now, "known_ns": now}
    filing = Filing(accession="f", cik=1, company="c", form="8-K", items=(), known_ns=now, text="Item 8.01 profit")
    posts = [Post(post_id=n, author=f"a{n}", body=f"{'qw' * n} profit", known_ns=now) for n in range(6)]
    reading = NewsFilter(NewsConfig(**weights)).read(
        "NVDA", now, [filing] if has_filing else [], [Headline(**told)] if has_headline else [], posts
    )
    assert reading.is_accepted
    strategy = TugOfWarStrategy(config_of())
    strategy.on_evidence(now, [], [reading])
    rows = run_session(streams_of(strategy), (session, tapes))["NVDA"]
    return float(rows["news_tone"][rows["known_at"] >= now][0])


@pytest.mark.parametrize(("key", "other"), [("filing_weight", 1.0), ("headline_weight", 5.0), ("post_weight", 1.0)])
def test_weight_of_a_source_when_it_changes_then_the_tone_that_is_traded_on_does(key, other):
    assert told_tone() != told_tone(**{key: other})


def test_tone_when_all_sources_speak_then_is_their_mean_by_weight_and_posts_are_the_crowds_alone():
    # one word of tone: 1 / (1 + 4); two: 2 / (2 + 4)
    assert told_tone() == pytest.approx((3 * 0.2 - 2 / 3) / 5)
    assert told_tone(post_weight=1.0) == pytest.approx((3 * 0.2 - 2 / 3 + 0.2) / 6)


def test_tone_when_a_source_is_silent_then_is_that_of_the_other_and_unknown_without_any():
    assert told_tone(has_headline=False) == pytest.approx(0.2)
    assert told_tone(has_filing=False) == pytest.approx(-1 / 3)
    assert math.isnan(told_tone(has_filing=False, has_headline=False))


def told(strategy, session, pieces):
    """Tell a strategy snapshots and readings of the day, each known some minutes after it was taken."""
    for at, age, score in pieces:
        known = session.regular_open_ns + at * MINUTE
        snapshot = replace(SNAPSHOT, ts=known - age * MINUTE, ofi_z=score)
        reading = replace(READING, ts=known - age * MINUTE, filing_tone=score / 3)
        strategy.on_evidence(known, [snapshot], [reading])


@given(
    st.lists(st.tuples(st.integers(1, 389), st.integers(0, 4), st.floats(-3, 3)), max_size=12),
    st.lists(st.integers(1, 999), max_size=8),
)
@settings(max_examples=8, deadline=None)
def test_rows_when_evidence_is_told_at_its_time_or_all_of_it_before_then_are_the_same(pieces, cuts):
    """A live session is told piece by piece, its twin everything at first: rows look at the time alone."""
    session, tapes = market(1, 1)[0]
    pieces.sort()
    config = config_of(bar_seconds=300)
    before = TugOfWarStrategy(config)
    told(before, session, pieces)
    whole = run_session(streams_of(before), (session, tapes))["NVDA"]
    piecewise = TugOfWarStrategy(config)
    streams, left = streams_of(piecewise), list(pieces)
    for stream in streams.values():
        stream.start_session(session)
    span = session.regular_close_ns - session.regular_open_ns
    start = session.open_ns
    for stop in [*(session.regular_open_ns + span * cut // 1_000 for cut in sorted(set(cuts))), session.close_ns]:
        while left and session.regular_open_ns + left[0][0] * MINUTE <= stop:
            told(piecewise, session, [left.pop(0)])
        for symbol, trades in tapes.items():
            first, last = np.searchsorted(trades.ts, [start, stop]).tolist()
            streams[symbol].advance(trades.slice(first, last), stop)
        start = stop
    rows = streams["NVDA"].rows
    for name in rows.dtype.names:
        np.testing.assert_array_equal(rows[name], whole[name], err_msg=name)


def test_row_when_the_snapshot_is_older_than_allowed_then_the_tape_is_no_data():
    session, tapes = market(1, 1)[0]
    strategy = TugOfWarStrategy(config_of(bar_seconds=300))
    told(strategy, session, [(60, 0, -2.0)])
    rows = run_session(streams_of(strategy), (session, tapes))["NVDA"]
    minutes = (rows["known_at"] - session.regular_open_ns) // MINUTE
    assert minutes[~np.isnan(rows["ofi_z"])].tolist() == [60, 65]  # five minutes old at the most
    assert rows["is_absorption"][minutes == 65].tolist() == [1]
    assert rows["is_absorption"][minutes == 70].tolist() == [-1]
    news = minutes[~np.isnan(rows["news_tone"])]
    assert (news.min(), news.max()) == (60, 150)  # ninety minutes
    assert not rows["crowd_known"][minutes == 0].any()
