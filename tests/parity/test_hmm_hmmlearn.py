"""The hidden Markov model agrees with hmmlearn: likelihood, filtered probabilities, and what expectation-maximization finds."""

from __future__ import annotations

import numpy as np
import pytest

from sovereign.kernels.hmm import filter_forward, filter_last, fit

hmmlearn = pytest.importorskip("hmmlearn.hmm", reason="hmmlearn is an optional oracle: pip install hmmlearn")


def model(states: int, dimensions: int, seed: int):
    rng = np.random.default_rng(seed)
    start = rng.dirichlet(np.full(states, 2.0))
    transition = np.array([rng.dirichlet(np.full(states, 1.0) + 8.0 * np.eye(states)[s]) for s in range(states)])
    return start, transition, rng.normal(0, 2, (states, dimensions)), rng.uniform(0.2, 2.0, (states, dimensions))


def theirs(start, transition, means, variances, **more):
    oracle = hmmlearn.GaussianHMM(len(start), covariance_type="diag", init_params="", implementation="scaling", **more)
    oracle.startprob_, oracle.transmat_, oracle.means_, oracle.covars_ = (
        start.copy(),
        transition.copy(),
        means.copy(),
        variances.copy(),
    )
    return oracle


def sample(parts, rows: int, seed: int):
    oracle = theirs(*parts)
    x, _ = oracle.sample(rows, random_state=seed)
    return np.ascontiguousarray(x)


CASES = [(2, 1), (3, 2), (5, 4)]


@pytest.mark.parametrize(("states", "dimensions"), CASES)
@pytest.mark.parametrize("seed", [1, 2])
def test_likelihood_when_compared_with_hmmlearn_then_equal(states, dimensions, seed):
    parts = model(states, dimensions, seed)
    x = sample(parts, 400, seed)
    found = filter_forward(x, *parts, np.zeros((len(x), states)))
    assert found == pytest.approx(theirs(*parts).score(x), rel=1e-10)


@pytest.mark.parametrize(("states", "dimensions"), CASES)
def test_filtered_probabilities_when_compared_with_hmmlearn_then_equal(states, dimensions):
    """The smoothed posterior of the last row of a prefix knows nothing but the prefix: it is the filtered one."""
    parts = model(states, dimensions, 4)
    x = sample(parts, 120, 4)
    filtered = np.zeros((len(x), states))
    filter_forward(x, *parts, filtered)
    oracle = theirs(*parts)
    for row in (1, 2, 7, 50, 119):
        expected = oracle.predict_proba(x[: row + 1])[-1]
        np.testing.assert_allclose(filtered[row], expected, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(filter_last(x[: row + 1], *parts), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("states", "dimensions"), CASES)
def test_fit_when_compared_with_hmmlearn_then_finds_the_same_model(states, dimensions):
    true = model(states, dimensions, 6)
    x = sample(true, 600, 6)
    # Every state holds observations: one that holds none keeps what it was here, and collapses there.
    first = (*model(states, dimensions, 7)[:2], true[2] + 0.3, true[3] * 1.5)
    ours = tuple(part.copy() for part in first)
    steps = 12
    fit(x, *ours, steps, -1.0, 1e-9, 0.0)
    oracle = theirs(*first, n_iter=steps, tol=-np.inf, covars_prior=0.0, min_covar=1e-9)
    oracle.fit(x)
    for one, other in zip(ours, (oracle.startprob_, oracle.transmat_, oracle.means_), strict=False):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(ours[3], np.array([np.diag(c) for c in oracle.covars_]), rtol=1e-6, atol=1e-8)
    assert filter_forward(x, *ours, np.zeros((len(x), states))) > filter_forward(x, *first, np.zeros((len(x), states)))
