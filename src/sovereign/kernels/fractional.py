"""Fractional differencing of a fixed width, the augmented Dickey-Fuller test, and the least squares both stand on.

Arrays in, arrays out; NaN in, NaN out. Nothing looks ahead: entry `i` of a differenced series depends on entries up to `i`.
Sources: Lopez de Prado, Advances in Financial Machine Learning, 2018, chapter 5 (differencing); MacKinnon, Approximate
asymptotic distribution functions for unit-root and cointegration tests, 1994, tables 3 and 4 (p-values, with a constant).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sovereign.kernels.compile import kernel

Float64 = NDArray[np.float64]


@kernel
def fractional_weights(d: float, width: int) -> Float64:
    """Return the first `width` weights of `(1 - L) ** d`, newest first: `w[0] = 1`, `w[k] = -w[k - 1] (d - k + 1) / k`."""
    weights = np.empty(width)
    weights[0] = 1.0
    for k in range(1, width):
        weights[k] = -weights[k - 1] * (d - k + 1.0) / k
    return weights


@kernel
def fractional_difference(values: Float64, d: float, width: int) -> Float64:
    """Return the series differenced `d` times with `width` weights; NaN where fewer than `width` values have come.

    Equivalent: `np.convolve(values, fractional_weights(d, width))[:len(values)]`, its first `width - 1` entries unknown.
    """
    weights = fractional_weights(d, width)
    out = np.full(len(values), np.nan)
    if len(values) >= width:
        out[width - 1 :] = weighted_sums(values, weights)
    return out


@kernel
def weighted_sums(values: Float64, weights: Float64) -> Float64:
    """Return, for each value that has enough before it, the sum of `weights` times the latest values, newest first."""
    width = len(weights)
    series = np.zeros(len(values) - width + 1)
    # Weight by weight: each sum is still added up newest first, and many of them side by side.
    whole = width - width % 4
    for k in range(0, whole, 4):
        # Four at a time, one after the other: what is added up stays at hand.
        first, second, third, fourth = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        latest = values[width - 4 - k :]
        for i in range(len(series)):
            series[i] = (
                ((series[i] + first * latest[i + 3]) + second * latest[i + 2]) + third * latest[i + 1]
            ) + fourth * latest[i]
    for k in range(whole, width):
        weight, start = weights[k], width - 1 - k
        for i in range(len(series)):
            series[i] += weight * values[start + i]
    return series


@kernel
def _products(x: Float64, y: Float64, work: Float64, moment: Float64) -> None:
    # x'x to the left half of `work` and x'y to `moment`, without a linear algebra library
    k = x.shape[1]
    for i in range(len(x)):
        for a in range(k):
            value = x[i, a]
            moment[a] += value * y[i]
            for b in range(a, k):
                work[a, b] += value * x[i, b]
    for a in range(k):
        for b in range(a):
            work[a, b] = work[b, a]


@kernel
def _eliminate(work: Float64) -> bool:
    # Turn [a | 1] into [1 | inverse of a] with pivots; False when a is singular.
    k = len(work)
    scale = 0.0
    for a in range(k):
        scale = max(scale, abs(work[a, a]))
    for column in range(k):
        pivot = column + int(np.argmax(np.abs(work[column:, column])))
        if not abs(work[pivot, column]) > 1e-14 * scale:
            return False
        for b in range(2 * k):
            work[column, b], work[pivot, b] = work[pivot, b], work[column, b]
        divisor = work[column, column]
        for b in range(2 * k):
            work[column, b] /= divisor
        for a in range(k):
            factor = work[a, column]
            if a != column:
                for b in range(2 * k):
                    work[a, b] -= factor * work[column, b]
    return True


@kernel
def least_squares(x: Float64, y: Float64, beta: Float64, inverse: Float64) -> float:
    """Fit `y` on the columns of `x`; fill `beta` (k,) and `inverse` (k, k) of x'x; return the sum of squared residuals.

    NaN, and NaN in `beta`, when the columns are not independent. Equivalent: `np.linalg.lstsq(x, y)`. Columns should be of
    similar size (pivoted elimination of the normal equations).
    """
    k = x.shape[1]
    work = np.zeros((k, 2 * k))
    moment = np.zeros(k)
    _products(x, y, work, moment)
    for a in range(k):
        work[a, k + a] = 1.0
    if not _eliminate(work):
        beta[:] = np.nan
        return math.nan
    for a in range(k):
        beta[a] = 0.0
        for b in range(k):
            inverse[a, b] = work[a, k + b]
            beta[a] += work[a, k + b] * moment[b]
    residual = 0.0
    for i in range(len(y)):
        fitted = 0.0
        for a in range(k):
            fitted += x[i, a] * beta[a]
        residual += (y[i] - fitted) ** 2
    return residual


@kernel
def dickey_fuller(values: Float64, lags: int) -> float:
    """Return the t statistic of the augmented Dickey-Fuller test with a constant and `lags` lagged changes.

    NaN with too few or constant values. Equivalent: `statsmodels.tsa.stattools.adfuller(values, lags, "c", None)[0]`.
    """
    count = len(values) - 1 - lags
    k = 2 + lags
    if count <= k + 1:
        return math.nan
    level = 0.0
    for value in values:
        level += value
    level /= len(values)
    x = np.empty((count, k))
    y = np.empty(count)
    for i in range(count):
        t = lags + 1 + i
        y[i] = values[t] - values[t - 1]
        x[i, 0] = values[t - 1] - level  # a shift of the level goes into the constant and leaves the statistic as it is
        x[i, 1] = 1.0
        for lag in range(lags):
            x[i, 2 + lag] = values[t - 1 - lag] - values[t - 2 - lag]
    scale = 0.0
    for i in range(count):
        scale = max(scale, abs(x[i, 0]))
    if not scale > 0.0:
        return math.nan
    part = 1.0 / scale
    for i in range(count):
        y[i] *= part
        x[i, 0] *= part
        for lag in range(lags):
            x[i, 2 + lag] *= part
    beta = np.empty(k)
    inverse = np.empty((k, k))
    residual = least_squares(x, y, beta, inverse)
    variance = residual / (count - k)
    if not variance > 0.0:
        return math.nan
    return float(beta[0]) / math.sqrt(variance * inverse[0, 0])


@kernel
def unit_root_p(statistic: float) -> float:
    """Return MacKinnon's p-value of a Dickey-Fuller statistic (constant, one variable). `statsmodels ...mackinnonp`."""
    if math.isnan(statistic):
        return math.nan
    if statistic > 2.74:
        return 1.0
    if statistic < -18.83:
        return 0.0
    if statistic <= -1.61:
        z = 2.1659 + statistic * (1.4412 + statistic * 0.038269)
    else:
        z = 1.7339 + statistic * (0.93202 + statistic * (-0.12745 + statistic * -0.010368))
    return 0.5 * math.erfc(-z / math.sqrt(2.0))


@kernel
def least_order(values: Float64, width: int, step: float, max_p: float, lags: int) -> float:
    """Return the least `d` of `0, step, 2 step, ... 1` whose differenced series has no unit root (`p < max_p`).

    1 when none has; NaN when the series is too short to say.
    """
    count = round(1.0 / step)
    for n in range(count + 1):
        d = min(1.0, n * step)
        # Every order is judged on the same stretch, so that the shorter memory of a larger one is no advantage.
        p = unit_root_p(dickey_fuller(fractional_difference(values, d, width)[width - 1 :], lags))
        if math.isnan(p):
            return math.nan
        if p < max_p:
            return d
    return 1.0
