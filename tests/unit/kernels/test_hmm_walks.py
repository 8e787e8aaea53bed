"""The hidden Markov model where rows are unknown or cannot be explained: both ways of filtering, and a fit, say the same."""

from __future__ import annotations

import numpy as np
import pytest

from sovereign.kernels.hmm import filter_forward, filter_last, fit


def model():
    start = np.array([1.0, 0.0])
    transition = np.array([[1.0, 0.0], [0.3, 0.7]])  # from the first state there is no way to the second
    return start, transition, np.array([[0.0, 0.0], [90.0, 0.0]]), np.ones((2, 2))


def rows(*, unknown: bool, far: bool):
    x = np.random.default_rng(3).normal(0, 1, (200, 2))
    if unknown:
        x[[0, 7, 60, 61, 199], 1] = np.nan
    if far:
        x[[20, 21, 150], 0] = 90.0
    return x


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("far", [False, True])
def test_walks_when_rows_are_unknown_or_out_of_reach_then_agree(unknown, far):
    x, parts = rows(unknown=unknown, far=far), model()
    filtered = np.zeros((len(x), 2))
    likelihood = filter_forward(x, *parts, filtered)
    np.testing.assert_allclose(filter_last(x, *parts), filtered[-1], rtol=1e-12)
    assert fit(x, *(part.copy() for part in parts), 1, 1e-4, 0.01, 0.0) == pytest.approx(likelihood, rel=1e-12)


def test_fit_when_rows_are_unknown_then_they_weigh_nothing():
    x = rows(unknown=True, far=False)
    start, transition = np.array([0.5, 0.5]), np.array([[0.5, 0.5], [0.5, 0.5]])
    means, variances = np.zeros((2, 2)), np.ones((2, 2))
    fit(x, start, transition, means, variances, 3, -1.0, 0.01, 0.0)
    seen = x[~np.isnan(x).any(axis=1)]  # two states that are the same share all of them alike
    np.testing.assert_allclose(means, np.tile(seen.mean(axis=0), (2, 1)), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(variances, np.tile(seen.var(axis=0), (2, 1)), rtol=1e-12)


def test_fit_when_there_is_one_row_then_nothing_is_known_of_moves_but_that_states_stay():
    start, transition = np.array([0.5, 0.5]), np.array([[0.9, 0.1], [0.2, 0.8]])
    means, variances = np.array([[0.0], [1.0]]), np.ones((2, 1))
    likelihood = fit(np.array([[0.0]]), start, transition, means, variances, 1, 1e-4, 0.01, 1.0)
    densities = np.array([1.0, np.exp(-0.5)]) / np.sqrt(2.0 * np.pi)
    assert likelihood == pytest.approx(np.log(densities.mean()), rel=1e-12)
    np.testing.assert_allclose(start, densities / densities.sum(), rtol=1e-12)
    np.testing.assert_array_equal(transition, np.eye(2))
