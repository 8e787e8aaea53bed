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
def _densities(columns: Float64, means: Float64, variances: Float64, out: Float64) -> None:
    # Log densities (k, n) of observations by column (d, n), as `log_densities` has them; many rows side by side.
    for state in range(len(means)):
        for t in range(columns.shape[1]):
            out[state, t] = 0.0
        for j in range(len(columns)):
            mean, variance = means[state, j], variances[state, j]
            scale = math.log(2.0 * math.pi * variance)
            for t in range(columns.shape[1]):
                gap = columns[j, t] - mean
                out[state, t] -= 0.5 * (scale + gap * gap / variance)


@kernel
def _expect(  # noqa: C901 - one loop nest, as below
    densities: Float64,
    seen: NDArray[np.bool_],
    start: Float64,
    transition: Float64,
    relative: Float64,
    out: Float64,
) -> float:
    """Do as `filter_forward` from log densities (k, n), for a fit that comes by again and again; fill `relative` as well.

    `relative` (n, k) are the densities over the largest of their row: the scale cancels wherever they are used.
    """
    states, rows = densities.shape
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
            top = max(top, densities[state, t])
        total = 0.0
        for state in range(states):
            gap = densities[state, t] - top
            relative[t, state] = 1.0 if gap == 0.0 else math.exp(gap)
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
def _move_states(  # noqa: C901, PLR0912 - one loop nest
    x: Float64, seen: NDArray[np.bool_], weight: Float64, floor: float, means: Float64, variances: Float64
) -> None:
    # Weighted means and variances: each is added up row after row, and all of them side by side.
    rows, dimensions = x.shape
    states = len(means)
    mass = np.zeros(states)
    mean = np.zeros((states, dimensions))
    spread = np.zeros((states, dimensions))
    for t in range(rows):
        if seen[t]:
            for state in range(states):
                share = weight[t, state]
                mass[state] += share
                for j in range(dimensions):
                    mean[state, j] += share * x[t, j]
    for state in range(states):
        for j in range(dimensions):
            mean[state, j] /= mass[state]
    for t in range(rows):
        if seen[t]:
            for state in range(states):
                share = weight[t, state]
                for j in range(dimensions):
                    spread[state, j] += share * (x[t, j] - mean[state, j]) ** 2
    for state in range(states):
        if mass[state] <= 1.0:
            continue  # a state that holds no observation keeps what it was
        for j in range(dimensions):
            means[state, j] = mean[state, j]
            variances[state, j] = max(floor, spread[state, j] / mass[state])


@kernel
def fit(
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
    rows, states = len(x), len(start)
    columns = np.ascontiguousarray(x.T)
    densities = np.empty((states, rows))
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
        _densities(columns, means, variances, densities)
        likelihood = _expect(densities, seen, start, transition, relative, filtered)
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
        _move_states(x, seen, weight, floor, means, variances)
    return last


def order_by_variance(
    start: Float64, transition: Float64, means: Float64, variances: Float64, dimension: int = 0
) -> tuple[Float64, Float64, Float64, Float64, NDArray[Any]]:
    """Return the model with its states by rising variance of one dimension, and the order: state i was `order[i]`.

    A likelihood does not know which state is called which; an order makes a refit comparable with the last one.
    """
    order = np.argsort(variances[:, dimension], kind="stable")
    return start[order], transition[np.ix_(order, order)], means[order], variances[order], order
