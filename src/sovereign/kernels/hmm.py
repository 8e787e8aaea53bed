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

_SMALL = 1e-20
"""Scale of a row below which it is taken out."""

_PER_LN_2 = 1.4426950408889634
_LN_2_HIGH, _LN_2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_TO_WHOLE = 6755399441055744.0
_LEAST_EXPONENT = -708.0


@kernel
def log_densities(row: Float64, means: Float64, variances: Float64, out: Float64) -> bool:
    """Write each state's log density of one observation to `out` (k,); zeros and False when the row holds a NaN."""
    return _log_densities(row, means, variances, np.log(2.0 * math.pi * variances), out)


@kernel
def _log_densities(row: Float64, means: Float64, variances: Float64, scales: Float64, out: Float64) -> bool:
    for j in range(len(row)):
        if np.isnan(row[j]):
            out[:] = 0.0
            return False
    for state in range(len(means)):
        total = 0.0
        for j in range(len(row)):
            gap = row[j] - means[state, j]
            total -= 0.5 * (scales[state, j] + gap * gap / variances[state, j])
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
    scales = np.log(2.0 * math.pi * variances)
    total = 0.0
    for t in range(len(x)):
        if t:
            predict(out[t - 1], transition, predicted)
        if _log_densities(x[t], means, variances, scales, densities):
            total += forward_step(predicted, densities, out[t])
        else:
            out[t] = predicted
    return total


@kernel
def _leave_out(columns: Float64, seen: Float64) -> None:
    # Rows (columns of these) with a NaN are not seen; zeros stand for them.
    for t in range(len(seen)):
        if np.isnan(columns[:, t]).any():
            seen[t] = 0.0
            columns[:, t] = 0.0


@kernel
def exponential(x: float) -> float:
    """Return e**x of x <= 0, within two units of its last place; 0 below -708.

    A power of two times a polynomial (Cody and Waite, Software Manual for the Elementary Functions, 1980, chapter 6; Taylor's
    terms up to the 13th). Loops of it are worked out several at a time, which those of a library's function are not.
    """
    # Added to so large a number, what lies behind the point is rounded away, and the last bits are a whole number.
    shifted = x * _PER_LN_2 + _TO_WHOLE
    whole = shifted - _TO_WHOLE
    r = (x - whole * _LN_2_HIGH) - whole * _LN_2_LOW
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    power = np.int64((np.float64(shifted).view(np.int64) + np.int64(1023)) << np.int64(52)).view(np.float64)
    return p * power if x > _LEAST_EXPONENT else 0.0


@kernel
def _over_largest(relative: Float64, seen: Float64) -> float:
    """Put log densities (k, n) to densities over the largest of their row; return the sum of the logs of the largest.

    One array after the other: such loops are worked out several rows at a time. Whatever is larger than all before it changes
    places with them, so that the largest, which is 1, need not be raised to a power.
    """
    states, rows = relative.shape
    top = relative[0].copy()
    is_larger = np.empty((states, rows), np.bool_)
    for state in range(1, states):
        own, larger = relative[state], is_larger[state]
        for t in range(rows):
            value, held = own[t], top[t]
            larger[t] = value > held
            own[t] = held if value > held else value
            top[t] = value if value > held else held
    tops = 0.0
    for t in range(rows):
        tops += top[t] * seen[t]
    for state in range(1, states):
        own = relative[state]
        for t in range(rows):
            own[t] = exponential((own[t] - top[t]) * seen[t])
    for t in range(rows):
        top[t] = 1.0 if (top[t] - top[t]) * seen[t] == 0.0 else 0.0  # 0 where no state has a density
    # Back to whose they are, from the last state on
    for state in range(states - 1, 0, -1):
        own, larger = relative[state], is_larger[state]
        for t in range(rows):
            value, held = own[t], top[t]
            own[t] = held if larger[t] else value
            top[t] = value if larger[t] else held
    relative[0] = top
    return tops


@kernel
def _weigh(columns: Float64, seen: Float64, means: Float64, variances: Float64, relative: Float64) -> float:
    """Write densities of observations by column (d, n), over the largest of their row, to `relative` (k, n).

    That scale cancels wherever they are used; returned is the sum of the logs of it. A row that is not seen weighs all alike.
    """
    states, rows = relative.shape
    for state in range(states):
        own = relative[state]
        own[:] = 0.0
        for j in range(len(columns)):
            column, mean = columns[j], means[state, j]
            scale, half = 0.5 * math.log(2.0 * math.pi * variances[state, j]), 0.5 / variances[state, j]
            for t in range(rows):
                gap = column[t] - mean
                own[t] -= scale + half * gap * gap
    return _over_largest(relative, seen)


@kernel
def _walk(  # noqa: C901 - one loop nest: calls in it would take longer than what they do
    places: tuple[int, ...],
    relative: Float64,
    start: Float64,
    transition: Float64,
    before: Float64,
    after: Float64,
    ahead: Float64,
) -> float:
    """Walk forward and backward and return the log likelihood but for the scale of `relative` (k, n).

    Written are, (k, n) and each row to a scale of its own: the filtered probabilities to `before`, the likelihood of what comes
    after a row to `after`, and that of the row and what comes after it to `ahead`. Every row waits for its neighbor, so both
    walks go in one loop; a scale that has become small is taken out. `places` : a place for each state; how many there are is
    then known when this is compiled, and loops over them are laid out.
    """
    states, rows = len(places), relative.shape[1]
    if states == 3:
        return _walk_three(relative, start, transition, before, after, ahead)
    likelihood = 0.0
    predicted = start.copy()
    coming = np.zeros(states)
    for i in range(rows):
        total = 0.0
        for state in range(states):
            before[state, i] = predicted[state] * relative[state, i]
            total += before[state, i]
        if not total > 0.0:
            # No state that could be reached explains the observation: keep what was predicted.
            before[:, i] = predicted
        elif total < _SMALL:
            likelihood += math.log(total)
            for state in range(states):
                before[state, i] /= total
        for to in range(states):
            value = 0.0
            for state in range(states):
                value += before[state, i] * transition[state, to]
            predicted[to] = value
        t = rows - 1 - i
        total = 0.0
        for state in range(states):
            value = 0.0
            for to in range(states):
                value += transition[state, to] * coming[to]
            after[state, t] = value
            total += value
        if not total > 0.0:
            after[:, t] = 1.0  # of the last row, or where nothing that comes could be reached
        scale = 1.0 / total if 0.0 < total < _SMALL else 1.0
        for state in range(states):
            coming[state] = ahead[state, t] = relative[state, t] * after[state, t] * scale
    return likelihood + math.log(before[:, rows - 1].sum())


@kernel
def _walk_three(
    relative: Float64, start: Float64, transition: Float64, before: Float64, after: Float64, ahead: Float64
) -> float:
    # What `_walk` does, bit for bit, of three states: what a row needs of its neighbor never leaves the registers.
    rows = relative.shape[1]
    relative_a, relative_b, relative_c = relative[0], relative[1], relative[2]
    before_a, before_b, before_c = before[0], before[1], before[2]
    after_a, after_b, after_c = after[0], after[1], after[2]
    ahead_a, ahead_b, ahead_c = ahead[0], ahead[1], ahead[2]
    aa, ab, ac = transition[0, 0], transition[0, 1], transition[0, 2]
    ba, bb, bc = transition[1, 0], transition[1, 1], transition[1, 2]
    ca, cb, cc = transition[2, 0], transition[2, 1], transition[2, 2]
    predicted_a, predicted_b, predicted_c = start[0], start[1], start[2]
    coming_a = coming_b = coming_c = 0.0
    likelihood = 0.0
    for i in range(rows):
        a, b, c = predicted_a * relative_a[i], predicted_b * relative_b[i], predicted_c * relative_c[i]
        total = a + b + c
        if not total >= _SMALL:
            if total > 0.0:
                likelihood += math.log(total)
                a, b, c = a / total, b / total, c / total
            else:
                a, b, c = predicted_a, predicted_b, predicted_c
        before_a[i], before_b[i], before_c[i] = a, b, c
        predicted_a = a * aa + b * ba + c * ca
        predicted_b = a * ab + b * bb + c * cb
        predicted_c = a * ac + b * bc + c * cc
        t = rows - 1 - i
        a = aa * coming_a + ab * coming_b + ac * coming_c
        b = ba * coming_a + bb * coming_b + bc * coming_c
        c = ca * coming_a + cb * coming_b + cc * coming_c
        total = a + b + c
        scale = 1.0
        if not total >= _SMALL:
            if total > 0.0:
                scale = 1.0 / total
            else:
                a = b = c = 1.0
        after_a[t], after_b[t], after_c[t] = a, b, c
        coming_a, coming_b, coming_c = relative_a[t] * a * scale, relative_b[t] * b * scale, relative_c[t] * c * scale
        ahead_a[t], ahead_b[t], ahead_c[t] = coming_a, coming_b, coming_c
    return likelihood + math.log(before[:, rows - 1].sum())


@kernel
def _dot(one: Float64, other: Float64, work: Float64) -> float:
    """Return the sum of products; `work` has room for a sixteenth of them, and is written.

    Sixteen stretches are added up side by side, then halves of what is left: in an order that no machine changes.
    """
    count = len(one)
    if not count:
        return 0.0
    step = (count + 15) // 16
    sums = work[:step]
    sums[:] = 0.0
    begin = 0
    # Four stretches at a time as long as they are whole: what is added up stays at hand.
    while begin + 4 * step <= count:
        a, b = one[begin : begin + step], other[begin : begin + step]
        c, d = one[begin + step : begin + 2 * step], other[begin + step : begin + 2 * step]
        e, f = one[begin + 2 * step : begin + 3 * step], other[begin + 2 * step : begin + 3 * step]
        g, h = one[begin + 3 * step : begin + 4 * step], other[begin + 3 * step : begin + 4 * step]
        for i in range(step):
            sums[i] = (((sums[i] + a[i] * b[i]) + c[i] * d[i]) + e[i] * f[i]) + g[i] * h[i]
        begin += 4 * step
    while begin < count:
        a, b = one[begin : begin + step], other[begin : begin + step]
        for i in range(len(a)):
            sums[i] += a[i] * b[i]
        begin += step
    while step > 1:
        half = (step + 1) // 2
        for i in range(step - half):
            sums[i] += sums[half + i]
        step = half
    return float(sums[0])


@kernel
def _share_out(before: Float64, after: Float64, weight: Float64) -> None:
    """Write the probabilities of the states at each row, given all rows, to `weight` (k, n); put `before` to their scale."""
    states, rows = before.shape
    total = np.zeros(rows)
    for state in range(states):
        for t in range(rows):
            weight[state, t] = before[state, t] * after[state, t]
            total[t] += weight[state, t]
    for t in range(rows):
        total[t] = 1.0 / total[t] if total[t] > 0.0 else 0.0
    for state in range(states):
        for t in range(rows):
            weight[state, t] *= total[t]
            before[state, t] *= total[t]


@kernel
def _move_states(
    columns: Float64, squares: Float64, seen: Float64, weight: Float64, floor: float, means: Float64, variances: Float64
) -> None:
    # Weighted means and variances; a state that holds no observation keeps what it was. `squares` are those of `columns`.
    work = np.empty(len(seen) // 16 + 1)
    for state in range(len(means)):
        own = weight[state]
        mass = _dot(own, seen, work)
        if mass <= 1.0:
            continue
        for j in range(len(columns)):
            mean = means[state, j] = _dot(own, columns[j], work) / mass
            variances[state, j] = max(floor, _dot(own, squares[j], work) / mass - mean * mean)


@kernel
def _fit(
    places: tuple[int, ...],
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
    rows, states = len(x), len(start)
    columns = np.ascontiguousarray(x.T)
    seen = np.ones(rows)
    _leave_out(columns, seen)
    relative = np.empty((states, rows))
    before = np.empty((states, rows))
    after = np.empty((states, rows))
    ahead = np.empty((states, rows))
    weight = np.empty((states, rows))
    moves = np.empty(states)
    squares, work = columns * columns, np.empty(rows // 16 + 1)
    last = -np.inf
    for _ in range(iterations):
        likelihood = _weigh(columns, seen, means, variances, relative)
        likelihood += _walk(places, relative, start, transition, before, after, ahead)
        if likelihood - last < tolerance * rows:
            return max(last, likelihood)
        last = likelihood
        _share_out(before, after, weight)
        start[:] = weight[:, 0]
        for state in range(states):
            for to in range(states):
                moves[to] = transition[state, to] * _dot(before[state, :-1], ahead[to, 1:], work)
            moves[state] += stickiness
            total = moves.sum()
            if total > 0.0:
                transition[state] = moves / total
        _move_states(columns, squares, seen, weight, floor, means, variances)
    return last


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
    return _fit((0,) * len(start), x, start, transition, means, variances, iterations, tolerance, floor, stickiness)


@kernel
def _filter_last(
    places: tuple[int, ...],
    x: Float64,
    start: Float64,
    transition: Float64,
    means: Float64,
    variances: Float64,
    out: Float64,
) -> None:
    columns = np.ascontiguousarray(x.T)
    seen = np.ones(len(x))
    _leave_out(columns, seen)
    relative = np.empty((len(start), len(x)))
    before, after, ahead = np.empty_like(relative), np.empty_like(relative), np.empty_like(relative)
    _weigh(columns, seen, means, variances, relative)
    _walk(places, relative, start, transition, before, after, ahead)
    out[:] = before[:, len(x) - 1] / before[:, len(x) - 1].sum()


def filter_last(x: Float64, start: Float64, transition: Float64, means: Float64, variances: Float64) -> Float64:
    """Return P(state at the last row | x), (k,): what `filter_forward` ends with, but for rounding, far sooner."""
    out = np.empty(len(start))
    _filter_last((0,) * len(start), x, start, transition, means, variances, out)
    return out


def order_by_variance(
    start: Float64, transition: Float64, means: Float64, variances: Float64, dimension: int = 0
) -> tuple[Float64, Float64, Float64, Float64, NDArray[Any]]:
    """Return the model with its states by rising variance of one dimension, and the order: state i was `order[i]`.

    A likelihood does not know which state is called which; an order makes a refit comparable with the last one.
    """
    order = np.argsort(variances[:, dimension], kind="stable")
    return start[order], transition[np.ix_(order, order)], means[order], variances[order], order
