"""Laws that every calendar keeps."""

from __future__ import annotations

from datetime import date, time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.core.session import NS_PER_DAY, local_ns
from sovereign.feeds.calendar import CALENDARS, calendar_for

FIRST = local_ns(date(2016, 1, 1), time(0), "UTC")
LAST = local_ns(date(2029, 12, 31), time(0), "UTC")


@pytest.mark.parametrize("name", CALENDARS)
def test_sessions_when_listed_then_ordered_disjoint_and_well_formed(name: str) -> None:
    sessions = calendar_for(name).sessions(date(2015, 9, 21), date(2030, 12, 31))
    for before, after in pairwise(sessions):
        assert before.trade_date < after.trade_date
        assert before.close_ns <= after.open_ns
    for s in sessions:
        edges = [s.open_ns, *(edge for pause in s.breaks for edge in pause), s.close_ns]
        assert edges == sorted(edges)
        assert len(set(edges)) == len(edges)
        assert s.open_ns <= s.regular_open_ns <= s.regular_close_ns <= s.close_ns
        assert s.close_ns - s.open_ns <= 5 * NS_PER_DAY
        assert s.trade_date.weekday() < 5 or name == "CRYPTO"


@given(name=st.sampled_from(CALENDARS), ts=st.integers(FIRST, LAST))
def test_session_of_when_it_answers_then_the_session_contains_the_time(name: str, ts: int) -> None:
    session = calendar_for(name).session_of(ts)
    if session is not None:
        assert session.open_ns <= ts < session.close_ns
        assert calendar_for(name).session(session.trade_date) == session


@given(name=st.sampled_from(CALENDARS), day=st.dates(date(2015, 9, 21), date(2029, 12, 31)), share=st.floats(0, 1))
def test_session_of_when_time_is_inside_a_session_then_that_session(name: str, day: date, share: float) -> None:
    session = calendar_for(name).session(day)
    if session is not None:
        inside = min(session.open_ns + int(share * (session.close_ns - session.open_ns)), session.close_ns - 1)
        assert calendar_for(name).session_of(inside) == session
        before = calendar_for(name).session_of(session.open_ns - 1)
        assert before is None or before.trade_date < session.trade_date
