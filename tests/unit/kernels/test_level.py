"""Counted levels: the worked example of the method, and what counting means at the edges."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossless_reference import Levels
from sovereign.kernels.level import (
    LEVELS,
    NEED_ROOM,
    best_above,
    best_below,
    count_bar,
    count_bars,
    count_leg,
    is_resistance,
    is_support,
    opposite_above,
    opposite_below,
    span,
    strength,
    touched_above,
    touched_below,
)


def counts(path: list[int], granularity: int, buckets: range) -> dict[int, int]:
    scores = np.zeros(len(buckets), np.int64)
    for start, stop in itertools.pairwise(path):
        count_leg(scores, buckets.start, granularity, start, stop)
    return dict(zip(buckets, scores.tolist(), strict=True))


@pytest.mark.parametrize(
    ("path", "eight", "nine"),
    [
        ([900, 1000], 0, -1),
        ([900, 1000, 900], 0, -2),
        ([900, 1000, 900, 815], -1, -2),
        ([900, 1000, 900, 815, 1000], -2, -3),
    ],
)
def test_count_leg_when_the_worked_example_is_walked_then_gives_its_counts(path: list[int], eight: int, nine: int) -> None:
    # definitions 3.2: 9 -> 10 -> 9 -> 8.15 -> 10 dollars in cents, buckets of one dollar
    found = counts(path, 100, range(7, 12))
    assert found == {7: 0, 8: eight, 9: nine, 10: 0, 11: 0}


def test_count_leg_when_it_stays_in_its_bucket_then_counts_nothing() -> None:
    assert set(counts([910, 990, 905], 100, range(8, 11)).values()) == {0}


@given(st.lists(st.integers(0, 400), min_size=2, max_size=30), st.integers(1, 50))
def test_count_leg_when_any_path_is_walked_then_each_leg_takes_at_most_one_from_a_bucket(path: list[int], g: int) -> None:
    buckets = range(-1, 402)
    whole = counts(path, g, buckets)
    legs = [counts(list(leg), g, buckets) for leg in itertools.pairwise(path)]
    assert all(set(leg.values()) <= {0, -1} for leg in legs)
    assert whole == {k: sum(leg[k] for leg in legs) for k in buckets}


def new(granularity: int, base: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    state = np.zeros(1, LEVELS)
    state["granularity"], state["base"] = granularity, base
    return state, np.zeros(size, np.int64)


def test_count_bar_when_rising_then_walks_open_low_high_close() -> None:
    state, scores = new(10, 0, 20)
    assert count_bar(state, scores, 50, 80, 40, 70) == 0
    # 50->40 takes bucket 4; 40->80 takes 4..7; 80->70 takes 7
    assert scores.tolist()[:10] == [0, 0, 0, 0, -2, -1, -1, -2, 0, 0]
    assert span(state) == (3, 9)


def test_count_bar_when_the_next_opens_elsewhere_then_the_gap_is_a_leg_too() -> None:
    state, scores = new(10, 0, 20)
    count_bar(state, scores, 50, 50, 50, 50)
    count_bar(state, scores, 80, 80, 80, 80)
    assert scores.tolist()[:10] == [0, 0, 0, 0, 0, -1, -1, -1, 0, 0]


def test_count_bar_when_prices_do_not_fit_then_nothing_is_counted() -> None:
    state, scores = new(10, 0, 8)
    assert count_bar(state, scores, 50, 80, 40, 70) == NEED_ROOM
    assert not scores.any()
    assert int(state["bars"][0]) == 0


def test_levels_when_untouched_buckets_lie_at_the_edges_then_they_are_the_strongest_and_the_nearest_wins() -> None:
    state, scores = new(10, 0, 30)
    for close in (50, 90, 50, 90, 50):
        count_bar(state, scores, close, close, close, close)
    assert best_below(state, scores, 75) == 4  # untouched, one below the lowest price
    assert best_above(state, scores, 75) == 9  # the highest price's own bucket was never crossed
    assert strength(state, scores, 4) > strength(state, scores, 6)
    assert np.isnan(strength(state, scores, 29))


def test_best_below_when_there_is_no_bucket_below_then_says_one_before_the_span() -> None:
    state, scores = new(10, 0, 30)
    count_bar(state, scores, 50, 50, 50, 50)
    first, last = span(state)
    assert best_below(state, scores, 35) == first - 1
    assert best_above(state, scores, 75) == last + 1


def book(path: list[int], g: int) -> tuple[np.ndarray, np.ndarray, Levels]:
    state, scores = new(g, -10, 120)
    plain = Levels(g)
    for close in path:
        assert count_bar(state, scores, close, close, close, close) == 0
        plain.bar(close, close, close, close)
    return state, scores, plain


PATHS = st.lists(st.integers(0, 400), min_size=2, max_size=40)


@given(PATHS, st.integers(5, 40), st.integers(0, 400), st.integers(0, 400))
def test_searches_when_any_path_was_walked_then_agree_with_the_definition_written_down(
    path: list[int], g: int, low: int, high: int
) -> None:
    state, scores, plain = book(path, g)
    first, last = span(state)
    last_price = path[-1]
    assert (first, last) == (plain.span()[0], plain.span()[-1])
    assert [k for k in plain.span() if is_support(state, scores, k)] == plain.supports()
    assert [k for k in plain.span() if is_resistance(state, scores, k)] == plain.resistances()
    support = plain.touched_support(low)
    assert touched_below(state, scores, last_price, low, 0.5) == (first - 1 if support is None else support)
    resistance = plain.touched_resistance(high)
    assert touched_above(state, scores, last_price, high, 0.5) == (last + 1 if resistance is None else resistance)
    for k in plain.span():
        assert strength(state, scores, k) == pytest.approx(plain.strength(k), abs=1e-12)


@given(PATHS, st.integers(5, 40), st.integers(-8, 0))
def test_opposite_level_when_asked_for_a_score_then_is_the_nearest_that_has_it(path: list[int], g: int, score: int) -> None:
    state, scores, plain = book(path, g)
    first, last = span(state)
    price = path[-1]
    above = [k for k in plain.resistances() if k > price // g and plain.score(k) >= score]
    below = [k for k in plain.supports() if (k + 1) * g < price and plain.score(k) >= score]
    assert opposite_above(state, scores, price, score) == min(above, default=last + 1)
    assert opposite_below(state, scores, price, score) == max(below, default=first - 1)


def test_opposite_below_when_the_price_stands_on_the_top_of_a_support_then_looks_further_down() -> None:
    # Bucket 6 ends at 70: from 70 there is no way down to it, and a target of no distance is none.
    state, scores = new(10, 0, 20)
    scores[:11] = [0, 0, -3, -1, -5, -6, -4, -7, -7, -2, 0]
    state["bars"], state["low"], state["high"], state["last"] = 9, 15, 95, 85
    assert opposite_below(state, scores, 71, -9) == 6
    assert opposite_below(state, scores, 70, -9) == 3


def test_touched_below_when_several_are_met_then_the_score_decides_before_the_distance() -> None:
    # Buckets of 10: 3 and 6 are crossed less than those around them, 3 the least of all.
    state, scores = new(10, 0, 20)
    scores[:11] = [0, 0, -3, -1, -5, -6, -4, -7, -7, -2, 0]
    state["bars"], state["low"], state["high"], state["last"] = 9, 15, 95, 85
    assert touched_below(state, scores, 85, 72, 0.5) == 6
    assert touched_below(state, scores, 85, 76, 0.5) == -1  # none: the span begins at bucket 0
    assert touched_below(state, scores, 85, 42, 0.5) == 3
    assert touched_below(state, scores, 85, 46, 0.5) == 6  # 46 is more than half a bucket above 40


def test_count_bars_when_room_ends_then_says_where_to_go_on() -> None:
    state, scores = new(10, 0, 12)
    prices = np.array([50, 60, 500, 70], np.int32)
    assert count_bars(state, scores, prices, prices, prices, prices, 0) == 2
    assert int(state["bars"][0]) == 2
