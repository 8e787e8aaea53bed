"""What came of earlier convictions: counted by hand, never from the day itself."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sovereign.signals.calibration import CalibrationConfig, Outcomes, isotonic

DAY = date(2025, 1, 6)


def test_isotonic_when_values_fall_then_they_are_pooled_by_weight():
    # Barlow's textbook case: 1, then 3 and 2 with weights 1 and 3 become (3 + 6) / 4.
    np.testing.assert_allclose(isotonic(np.array([1.0, 3.0, 2.0, 4.0]), np.array([1.0, 1.0, 3.0, 1.0])), [1, 2.25, 2.25, 4])


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.1, 10)), min_size=1, max_size=12))
def test_isotonic_when_given_anything_then_never_falls_and_keeps_the_mean(pairs):
    values, weights = (np.array(column) for column in zip(*pairs, strict=True))
    found = isotonic(values, weights)
    assert (np.diff(found) >= -1e-12).all()
    np.testing.assert_allclose((found * weights).sum(), (values * weights).sum(), atol=1e-9)


def test_outcomes_within_the_day_when_judged_at_the_close_then_right_ones_are_counted_by_band():
    outcomes = Outcomes(CalibrationConfig(bands=2, min_cases=1, prior_cases=0.0))
    convictions = np.array([0.9, -0.9, 0.2, 0.8])
    outcomes.add("NVDA", DAY, convictions, np.array([100, 100, 100, 110], np.int32), 110.0, is_daily=False)
    # +0.9 was right, -0.9 wrong, +0.2 right; the last stood where the day ended and says nothing.
    np.testing.assert_array_equal(outcomes.counted(DAY + timedelta(1)), [[0, 1], [1, 1]])


def test_levels_when_the_day_itself_is_asked_for_then_its_own_outcomes_do_not_count():
    outcomes = Outcomes(CalibrationConfig(bands=2, min_cases=1))
    outcomes.add("NVDA", DAY, np.array([0.9]), np.array([100], np.int32), 110.0, is_daily=False)
    assert len(outcomes.levels(DAY)) == 0
    assert len(outcomes.levels(DAY + timedelta(1))) == 2


def test_outcomes_of_days_when_the_horizon_has_passed_then_are_judged_and_not_before():
    outcomes = Outcomes(CalibrationConfig(bands=2, min_cases=1, horizon_days=2))
    for n, close in enumerate((100, 90, 120)):
        day = DAY + timedelta(n)
        outcomes.add("NVDA", day, np.array([0.9]), np.array([close], np.int32), float(close), is_daily=True)
        assert outcomes.counted(day + timedelta(1)).sum() == (1 if n == 2 else 0)
    np.testing.assert_array_equal(outcomes.counted(DAY + timedelta(9)), [[0, 0], [0, 1]])


def test_levels_when_cases_are_few_then_lie_near_the_average_of_all():
    outcomes = Outcomes(CalibrationConfig(bands=2, min_cases=1, prior_cases=1_000.0))
    outcomes.add("NVDA", DAY, np.array([0.9] * 3 + [0.1] * 3), np.full(6, 100, np.int32), 110.0, is_daily=False)
    outcomes.add("JPM", DAY, np.array([-0.1] * 6), np.full(6, 100, np.int32), 110.0, is_daily=False)
    np.testing.assert_allclose(outcomes.levels(DAY + timedelta(1)), 0.5, atol=0.01)


@given(
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 14), st.integers(1, 4)), min_size=1, max_size=40),
    st.integers(5, 8),
)
def test_counts_when_sessions_come_and_are_asked_for_in_any_order_then_are_those_of_the_last_ones_before(steps, window):
    outcomes, added = Outcomes(CalibrationConfig(bands=2, min_cases=1, window_days=window)), {}
    for told, asked, rights in steps:
        convictions, closes = np.full(rights, 0.9), np.full(rights, 100, np.int32)
        outcomes.add("NVDA", DAY + timedelta(told), convictions, closes, 110.0, is_daily=False)
        added[told] = added.get(told, 0) + rights
        last = sorted(day for day in added if day < asked)[-window:]
        np.testing.assert_array_equal(outcomes.counted(DAY + timedelta(asked)), [[0, 0], [0, sum(added[d] for d in last)]])
