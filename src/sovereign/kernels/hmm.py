"""A hidden Markov model with Gaussian emissions: filtering forward, and fitting by expectation-maximization.

Shapes: observations `x` (n, d); `start` (k,); `transition` (k, k), rows sum to 1; `means` and `variances` (k, d). A row of `x`
that holds a NaN says nothing: it moves the state by the transition alone and takes no part in the fit. The dimensions of an
observation are independent given the state, so its likelihood is the product of theirs.

`filter_forward` never looks ahead: its row t depends on `x[: t + 1]` alone. `fit` does look at all of `x`; hand it the past.
Source: Rabiner, A tutorial on hidden Markov models, Proc. IEEE 77(2), 1989, sections III and V (scaling).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.kernels.compile import kernel

Float64 = NDArray[np.float64]


@kernel
def log_densities(row: Float64, means: Float64, variances: Float64, out: Float64) -> bool:
    """Write each state's log density of one observation to `out` (k,); zeros and False when the row holds a NaN."""
    for j in range(len(row)):
        if np.isnan(row[j]):
            out[:] = 0.0
            return False
    for state in range(len(means)):
        total = 0.0
        for j in range(len(row)):
            gap = row[j] - means[state, j]
            total -= 0.5 * (math.log(2.0 * math.pi * variances[state, j]) + gap * gap / variances[state, j])
        out[state] = total
    return True


@kernel
def forward_step(predicted: Float64, densities: Float64, out: Float64) -> float:
    """Weigh the predicted probabilities with the log densities; write the filtered ones to `out`, return the log likelihood."""
    top = densities[0]
    for state in range(1, len(densities)):
        top = max(top, densities[state])
    total = 0.0
    for state in range(len(densities)):
        out[state] = predicted[state] * math.exp(densities[state] - top)
        total += out[state]
    if total <= 0.0:
        # No state that could be reached explains the observation: keep what was predicted.
        out[:] = predicted
        return float(top)
    for state in range(len(densities)):
        out[state] /= total
    return float(math.log(total) + top)


@kernel
def predict(filtered: Float64, transition: Float64, out: Float64) -> None:
    """Write the probabilities one step ahead to `out`."""
    for to in range(len(filtered)):
        total = 0.0
        for state in range(len(filtered)):
            total += filtered[state] * transition[state, to]
        out[to] = total


@kernel
def filter_forward(x: Float64, start: Float64, transition: Float64, means: Float64, variances: Float64, out: Float64) -> float:
    """Write P(state at t | x[:t + 1]) to `out` (n, k) and return the log likelihood of the whole."""
    states = len(start)
    predicted = start.copy()
    densities = np.zeros(states)
    total = 0.0
    for t in range(len(x)):
        if t:
            predict(out[t - 1], transition, predicted)
        if log_densities(x[t], means, variances, densities):
            total += forward_step(predicted, densities, out[t])
        else:
            out[t] = predicted
    return total


@kernel
def _expect(  # noqa: C901, PLR0912 - one loop nest, as below
    x: Float64,
    seen: NDArray[np.bool_],
    start: Float64,
    transition: Float64,
    means: Float64,
    variances: Float64,
    relative: Float64,
    out: Float64,
) -> float:
    """Do as `filter_forward`, for a fit that comes by again and again; fill `relative` as well.

    `relative` (n, k) are the densities over the largest of their row: the scale cancels wherever they are used.
    """
    rows, dimensions = x.shape
    states = len(start)
    scale = np.empty((states, dimensions))
    for state in range(states):
        for j in range(dimensions):
            scale[state, j] = math.log(2.0 * math.pi * variances[state, j])
    densities = np.empty(states)
    predicted = start.copy()
    likelihood = 0.0
    for t in range(rows):
        if t:
            for to in range(states):
                weight = 0.0
                for state in range(states):
                    weight += out[t - 1, state] * transition[state, to]
                predicted[to] = weight
        if not seen[t]:
            for state in range(states):
                relative[t, state] = 1.0
                out[t, state] = predicted[state]
            continue
        top = -math.inf
        for state in range(states):
            density = 0.0
            for j in range(dimensions):
                gap = x[t, j] - means[state, j]
                density -= 0.5 * (scale[state, j] + gap * gap / variances[state, j])
            densities[state] = density
            top = max(top, density)
        total = 0.0
        for state in range(states):
            relative[t, state] = math.exp(densities[state] - top)
            out[t, state] = predicted[state] * relative[t, state]
            total += out[t, state]
        if total <= 0.0:
            # No state that could be reached explains the observation: keep what was predicted.
            for state in range(states):
                out[t, state] = predicted[state]
            likelihood += top
            continue
        for state in range(states):
            out[t, state] /= total
        likelihood += math.log(total) + top
    return likelihood


@kernel
def _backward(relative: Float64, transition: Float64, beta: Float64) -> None:
    rows, states = relative.shape
    beta[rows - 1] = 1.0
    for t in range(rows - 2, -1, -1):
        total = 0.0
        for state in range(states):
            value = 0.0
            for to in range(states):
                value += transition[state, to] * relative[t + 1, to] * beta[t + 1, to]
            beta[t, state] = value
            total += value
        for state in range(states):
            beta[t, state] = beta[t, state] / total if total > 0.0 else 1.0


@kernel
def _count_moves(filtered: Float64, relative: Float64, transition: Float64, beta: Float64, moves: Float64) -> None:
    rows, states = filtered.shape
    one = np.zeros((states, states))
    moves[:] = 0.0
    for t in range(rows - 1):
        total = 0.0
        for state in range(states):
            for to in range(states):
                one[state, to] = filtered[t, state] * transition[state, to] * relative[t + 1, to] * beta[t + 1, to]
                total += one[state, to]
        if total > 0.0:
            for state in range(states):
                for to in range(states):
                    moves[state, to] += one[state, to] / total


@kernel
def fit(  # noqa: C901, PLR0912 - one loop nest, split it would copy arrays
    x: Float64,
    start: Float64,
    transition: Float64,
    means: Float64,
    variances: Float64,
    iterations: int,
    tolerance: float,
    floor: float,
    stickiness: float,
) -> float:
    """Fit the model to `x` in place and return the log likelihood before the last step.

    Parameters
    ----------
    iterations, tolerance : at most so many steps; fewer when one raises the log likelihood by less than `tolerance` per row.
    floor : least variance of a state.
    stickiness : pseudo-count of staying, added to the diagonal of the transitions (0 is plain maximum likelihood).
    """
    rows, dimensions = x.shape
    states = len(start)
    filtered = np.zeros((rows, states))
    beta = np.zeros((rows, states))
    relative = np.zeros((rows, states))
    weight = np.zeros((rows, states))
    moves = np.zeros((states, states))
    seen = np.zeros(rows, np.bool_)
    last = -np.inf
    for t in range(rows):
        seen[t] = not np.isnan(x[t]).any()
    for _ in range(iterations):
        likelihood = _expect(x, seen, start, transition, means, variances, relative, filtered)
        if likelihood - last < tolerance * rows:
            return max(last, likelihood)
        last = likelihood
        _backward(relative, transition, beta)
        _count_moves(filtered, relative, transition, beta, moves)
        for t in range(rows):
            total = 0.0
            for state in range(states):
                weight[t, state] = filtered[t, state] * beta[t, state]
                total += weight[t, state]
            for state in range(states):
                weight[t, state] = weight[t, state] / total if total > 0.0 else filtered[t, state]
        start[:] = weight[0]
        for state in range(states):
            moves[state, state] += stickiness
            total = moves[state].sum()
            if total > 0.0:
                transition[state] = moves[state] / total
            mass = 0.0
            for t in range(rows):
                if seen[t]:
                    mass += weight[t, state]
            if mass <= 1.0:
                continue  # a state that holds no observation keeps what it was
            for j in range(dimensions):
                mean = 0.0
                for t in range(rows):
                    if seen[t]:
                        mean += weight[t, state] * x[t, j]
                mean /= mass
                spread = 0.0
                for t in range(rows):
                    if seen[t]:
                        spread += weight[t, state] * (x[t, j] - mean) ** 2
                means[state, j] = mean
                variances[state, j] = max(floor, spread / mass)
    return last


def order_by_variance(
    start: Float64, transition: Float64, means: Float64, variances: Float64, dimension: int = 0
) -> tuple[Float64, Float64, Float64, Float64, NDArray[Any]]:
    """Return the model with its states by rising variance of one dimension, and the order: state i was `order[i]`.

    A likelihood does not know which state is called which; an order makes a refit comparable with the last one.
    """
    order = np.argsort(variances[:, dimension], kind="stable")
    return start[order], transition[np.ix_(order, order)], means[order], variances[order], order
