"""Daily figures of the tug of war: sums that are NumPy's to the last bit, a regression, a sorted window, outcomes by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sovereign.kernels.fractional import fractional_weights
from sovereign.kernels.tug_day import (
    count_outcomes,
    deviation,
    market_line,
    momentum_of_day,
    move_shelves,
    pairwise_sum,
    slide_sorted,
)
from sovereign.kernels.tug_of_war import SHELVES, place_all, place_in

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("count", [*range(1, 20), 127, 128, 129, 136, 231, 255, 256, 257, 1_000, 4_097])
def test_sum_and_deviation_when_taken_then_are_those_of_numpy_to_the_last_bit(count):
    values = RNG.normal(size=count) * 10.0 ** RNG.integers(-6, 6, count)
    assert pairwise_sum(values) == float(values.sum())
    assert deviation(values) == float(values.std())


def test_deviation_when_there_is_nothing_then_is_unknown():
    assert math.isnan(deviation(np.zeros(0)))
    assert pairwise_sum(np.zeros(0)) == 0.0


@pytest.mark.parametrize("order", [0.0, 0.4, 1.0])
def test_momentum_when_made_of_logs_then_is_that_of_the_convolution(order):
    logs, width = 5.0 + np.cumsum(RNG.normal(0, 0.02, 90)), 20
    weights = fractional_weights(order, width)
    series = np.convolve(logs, weights)[width - 1 : len(logs)]
    base, total, mean, spread = momentum_of_day(logs, weights, 4)
    assert base == pytest.approx(np.dot(weights[1:], logs[:-width:-1]), abs=1e-12)
    assert total == pytest.approx(series[-4:].sum(), abs=1e-12)
    assert mean == pytest.approx(series.mean(), abs=1e-12)
    assert spread == pytest.approx(series.std(), rel=1e-9)
    # Today's own value: the newest log close counts whole.
    assert np.convolve(np.append(logs, 5.5), weights)[len(logs)] == pytest.approx(5.5 + base, abs=1e-12)


def test_line_when_days_are_missing_then_is_that_of_the_others():
    changes = RNG.normal(0, 0.01, (60, 3))
    changes[:, 0] = 0.001 + 0.7 * changes[:, 1] - 0.2 * changes[:, 2] + RNG.normal(0, 0.002, 60)
    changes[[3, 17], 1:] = np.nan
    there = changes[~np.isnan(changes[:, 1])]
    x = np.column_stack([np.ones(len(there)), there[:, 1:]])
    expected, left, *_ = np.linalg.lstsq(x, there[:, 0])
    out = np.zeros(4)
    assert market_line(changes, 30, out) == 58
    np.testing.assert_allclose(out[:3], expected, rtol=1e-9)
    assert out[3] == pytest.approx(math.sqrt(float(left[0]) / 55), rel=1e-9)
    assert market_line(changes, 59, out) == 58
    assert np.isnan(out).all()


def test_line_when_benchmarks_move_alike_then_is_unknown():
    changes = RNG.normal(0, 0.01, (40, 3))
    changes[:, 2] = changes[:, 1]
    out = np.zeros(4)
    market_line(changes, 10, out)
    assert np.isnan(out).all()


def test_window_when_it_slides_then_is_sorted_anew():
    values = np.round(RNG.random(400), 2)  # many of them twice
    first, stop, ranked = 0, 100, np.sort(values[:100])
    for begin, end in ((0, 100), (0, 126), (26, 152), (30, 152), (30, 152), (90, 200), (200, 200), (200, 230)):
        out = np.zeros(400)
        ranked = out[: slide_sorted(ranked, values[first:begin].copy(), values[stop:end].copy(), out)]
        np.testing.assert_array_equal(ranked, np.sort(values[begin:end]))
        first, stop = begin, end


def test_shelves_when_values_are_looked_for_then_each_is_where_numpy_finds_it():
    ranked = np.sort(np.concatenate([np.round(RNG.random(300), 2), [0.0, 0.0, 1.0, 1.0]]))
    shelves = np.zeros(SHELVES + 1, np.int64)
    assert place_in(np.zeros(0), shelves, 0.5) == 0
    places = np.ones(2, np.int64)
    place_all(np.zeros(0), shelves, np.array([0.5, np.nan]), places)
    np.testing.assert_array_equal(places, 0)
    gone, come = np.zeros(0), ranked
    while True:
        move_shelves(shelves, gone, come)
        values = np.array([*ranked, *RNG.random(200), 0.0, 1.0, 0.005, np.nextafter(1.0, 2.0)])
        places = np.empty(len(values), np.int64)
        place_all(ranked, shelves, values, places)
        np.testing.assert_array_equal(places, np.searchsorted(ranked, values))
        np.testing.assert_array_equal([place_in(ranked, shelves, value) for value in values], places)
        if not len(ranked):
            break
        is_gone = RNG.random(len(ranked)) < 0.4 if len(ranked) > 20 else np.ones(len(ranked), bool)
        gone, come = ranked[is_gone], RNG.random(len(ranked) // 5)
        ranked = np.sort(np.concatenate([ranked[~is_gone], come]))


def test_outcomes_when_counted_then_stand_in_the_band_of_their_strength():
    counts = np.zeros((4, 2), np.int64)
    convictions = np.array([0.1, -0.3, 0.9, 1.0, -1.0, 0.0, 0.6])
    closes = np.array([100, 100, 100, 120, 120, 100, 110], np.int32)
    count_outcomes(convictions, closes, 110.0, counts)
    # up 10 from 100: right, wrong (short), right; down 10 from 120: wrong, right; no direction and no move count nothing
    np.testing.assert_array_equal(counts, [[0, 1], [1, 0], [0, 0], [1, 2]])
