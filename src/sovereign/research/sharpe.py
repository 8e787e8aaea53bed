"""How much a Sharpe ratio is worth: its probability, deflated by the number of trials, and the odds of overfitting.

Sources: Bailey and Lopez de Prado, "The Sharpe Ratio Efficient Frontier" (2012) and "The Deflated Sharpe Ratio" (2014);
Bailey, Borwein, Lopez de Prado and Zhu, "The Probability of Backtest Overfitting" (2015). All ratios here are per observation
(daily returns give daily ratios), not annualized; NaN in gives NaN out.
"""

from __future__ import annotations

from itertools import combinations
from math import e, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sovereign.core.errors import UsageError

EULER_MASCHERONI = 0.577_215_664_901_532_9
_NORMAL = NormalDist()


def probabilistic_sharpe(sharpe: float, benchmark: float, observations: int, skewness: float, kurtosis: float) -> float:
    """Return the probability that the true Sharpe ratio exceeds `benchmark`.

    PSR = Phi((SR - SR*) sqrt(T - 1) / sqrt(1 - skew SR + (kurtosis - 1) / 4 SR^2)); `kurtosis` is 3 for normal returns.
    NaN with fewer than two observations or when the variance of the estimate is not positive.
    """
    variance = 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    if observations < 2 or not variance > 0.0:
        return float("nan")
    return _NORMAL.cdf((sharpe - benchmark) * sqrt(observations - 1) / sqrt(variance))


def expected_maximum_sharpe(variance: float, trials: int) -> float:
    """Return the Sharpe ratio that the luckiest of `trials` worthless strategies is expected to show.

    SR0 = sqrt(V) ((1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e))) with g the Euler-Mascheroni constant; 0 for a single trial.
    """
    if trials < 2:
        return 0.0
    first, second = _NORMAL.inv_cdf(1.0 - 1.0 / trials), _NORMAL.inv_cdf(1.0 - 1.0 / (trials * e))
    return sqrt(variance) * ((1.0 - EULER_MASCHERONI) * first + EULER_MASCHERONI * second)


def deflated_sharpe(
    sharpe: float, observations: int, skewness: float, kurtosis: float, trials: int, trial_variance: float
) -> float:
    """Return the probability that the true Sharpe ratio exceeds what the luckiest of `trials` would show by chance.

    `trial_variance` is the variance of the trials' Sharpe ratios, in the same units as `sharpe`.
    """
    benchmark = expected_maximum_sharpe(trial_variance, trials)
    return probabilistic_sharpe(sharpe, benchmark, observations, skewness, kurtosis)


def sample_deviation(values: NDArray[np.float64]) -> float:
    """Return the sample standard deviation; exactly 0 when all values are alike, NaN with fewer than two."""
    if len(values) < 2:
        return float("nan")
    # Rounding gives equal values a tiny deviation, which would make an enormous ratio out of nothing.
    return float(np.std(values, ddof=1)) if np.ptp(values) != 0.0 else 0.0


def moments(returns: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return Sharpe ratio (mean over sample deviation), skewness and kurtosis (3 for normal); NaN when undefined."""
    deviation = sample_deviation(returns)
    if not deviation > 0.0:
        return float("nan"), float("nan"), float("nan")
    mean, population = float(np.mean(returns)), float(np.std(returns))
    scaled = (returns - mean) / population
    return mean / deviation, float(np.mean(scaled**3)), float(np.mean(scaled**4))


def overfitting_probability(returns: NDArray[np.float64], blocks: int = 16) -> float:
    """Return the probability of backtest overfitting by combinatorially symmetric cross-validation.

    Parameters
    ----------
    returns : shape (observations, configurations), finite, one column per configuration tried.
    blocks : even number of blocks that time is cut into; every half of them is used for choosing once.

    Returns
    -------
    The share of splits in which the configuration best in the chosen half is at or below the median in the other half.

    Raises
    ------
    UsageError : fewer than two configurations, an odd number of blocks, or fewer observations than blocks.
    """
    observations, configurations = returns.shape
    if configurations < 2 or blocks < 2 or blocks % 2 or observations < 2 * blocks:
        raise UsageError(
            f"returns had {observations} observations of {configurations} configurations in {blocks} blocks; needed are "
            f"two configurations or more, an even number of blocks, and two observations a block"
        )
    parts = np.array_split(np.arange(observations), blocks)
    counts = np.array([len(part) for part in parts], float)
    sums = np.array([returns[part].sum(axis=0) for part in parts])
    squares = np.array([(returns[part] ** 2).sum(axis=0) for part in parts])

    # One row a split, one column a block: 1 where the block is in the half that chooses.
    halves = list(combinations(range(blocks), blocks // 2))
    chosen = np.zeros((len(halves), blocks))
    chosen[np.arange(len(halves))[:, None], halves] = 1.0

    def ratios(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        count = (weights @ counts)[:, None]
        mean = weights @ sums / count
        deviation = np.sqrt(np.maximum(weights @ squares / count - mean**2, 0.0))
        ratio: NDArray[np.float64] = np.divide(mean, deviation, out=np.zeros_like(mean), where=deviation > 0.0)
        return ratio

    outside = ratios(1.0 - chosen)
    best = np.take_along_axis(outside, np.argmax(ratios(chosen), axis=1)[:, None], axis=1)
    ranks = (np.sum(outside < best, axis=1) + 0.5 * np.sum(outside == best, axis=1) + 0.5) / (configurations + 1.0)
    return float(np.mean(ranks <= 0.5))
