"""Fractional weights by hand, the Dickey-Fuller test against statsmodels, least squares against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.kernels.fractional import (
    dickey_fuller,
    fractional_difference,
    fractional_weights,
    least_order,
    least_squares,
    unit_root_p,
)


def test_weights_when_the_order_is_four_tenths_then_are_those_of_the_binomial_series():
    np.testing.assert_allclose(fractional_weights(0.4, 5), [1, -0.4, -0.12, -0.064, -0.0416], atol=1e-15)


def test_weights_when_the_order_is_whole_then_nothing_and_a_plain_difference_remain():
    np.testing.assert_array_equal(fractional_weights(0.0, 4), [1, 0, 0, 0])
    np.testing.assert_array_equal(fractional_weights(1.0, 4), [1, -1, 0, 0])


@given(st.integers(0, 10_000), st.floats(0, 1), st.integers(1, 30))
@settings(max_examples=40)
def test_difference_when_compared_with_a_convolution_then_equal_and_unknown_before_the_width(seed, d, width):
    values = np.cumsum(np.random.default_rng(seed).normal(size=60)) + 4.0
    found = fractional_difference(values, d, width)
    assert np.isnan(found[: width - 1]).all()
    expected = np.convolve(values, fractional_weights(d, width))[: len(values)][width - 1 :]
    np.testing.assert_allclose(found[width - 1 :], expected, atol=1e-10)


def test_difference_when_the_price_is_in_another_unit_then_its_score_is_the_same():
    logs = np.log(400.0 + np.cumsum(np.random.default_rng(4).normal(size=200)))
    one, other = (fractional_difference(values, 0.3, 20)[19:] for values in (logs, logs + np.log(100.0)))
    np.testing.assert_allclose((one - one.mean()) / one.std(), (other - other.mean()) / other.std(), atol=1e-9)


@pytest.mark.parametrize("lags", [0, 1, 4])
@pytest.mark.parametrize("kind", ["walk", "noise", "near", "level"])
def test_dickey_fuller_when_compared_with_statsmodels_then_equal(kind, lags):
    stattools = pytest.importorskip("statsmodels.tsa.stattools", reason="statsmodels is an optional oracle")
    rng = np.random.default_rng(11)
    noise = rng.normal(size=300)
    series = {"walk": np.cumsum(noise), "noise": noise, "level": 5_000.0 + np.cumsum(noise)}.get(kind)
    if series is None:
        series = np.zeros(300)
        for i in range(1, 300):
            series[i] = 0.95 * series[i - 1] + noise[i]
    expected = stattools.adfuller(series, maxlag=lags, regression="c", autolag=None, result_object=False)
    found = dickey_fuller(series, lags)
    np.testing.assert_allclose(found, expected[0], rtol=1e-7)
    np.testing.assert_allclose(unit_root_p(found), expected[1], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("statistic", [-19.0, -6.0, -3.0, -1.62, -1.60, 0.0, 2.0, 2.8])
def test_p_value_when_compared_with_statsmodels_then_equal(statistic):
    adfvalues = pytest.importorskip("statsmodels.tsa.adfvalues", reason="statsmodels is an optional oracle")
    expected = adfvalues.mackinnonp(statistic, regression="c", N=1)
    np.testing.assert_allclose(unit_root_p(statistic), expected, rtol=1e-9, atol=1e-15)


@given(st.integers(0, 10_000), st.integers(1, 5))
@settings(max_examples=40)
def test_least_squares_when_compared_with_numpy_then_equal(seed, k):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(60, k)), rng.normal(size=60)
    beta, inverse = np.zeros(k), np.zeros((k, k))
    left = least_squares(x, y, beta, inverse)
    expected, residual, _, _ = np.linalg.lstsq(x, y, rcond=None)
    np.testing.assert_allclose(beta, expected, atol=1e-9)
    np.testing.assert_allclose(left, residual[0], rtol=1e-9)
    np.testing.assert_allclose(inverse, np.linalg.inv(x.T @ x), atol=1e-9)


def test_least_squares_when_two_columns_are_one_then_says_that_it_does_not_know():
    x = np.ones((20, 2))
    beta, inverse = np.zeros(2), np.zeros((2, 2))
    assert np.isnan(least_squares(x, np.arange(20.0), beta, inverse))
    assert np.isnan(beta).all()


def test_least_order_when_the_series_is_noise_then_needs_none_and_a_walk_needs_more():
    noise = np.random.default_rng(3).normal(size=400)
    assert least_order(noise, 20, 0.1, 0.05, 1) == 0.0
    assert 0.0 < least_order(np.cumsum(noise), 20, 0.1, 0.05, 1) <= 1.0


def test_least_order_when_there_is_too_little_or_nothing_moves_then_is_unknown():
    assert np.isnan(least_order(np.arange(20.0), 20, 0.1, 0.05, 1))
    assert np.isnan(least_order(np.full(200, 4.0), 20, 0.1, 0.05, 1))
