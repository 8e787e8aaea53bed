"""Probabilities that rise with strength: pool adjacent violators, and what came of convictions by band."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sovereign.kernels.compile import kernel

Float64 = NDArray[np.float64]


@kernel
def make_rising(values: Float64, weights: Float64, out: Float64) -> None:
    """Write the non-decreasing values nearest to `values` in weighted least squares to `out` (n,); no NaN.

    Neighbors that fall are pooled. Source: Barlow, Bartholomew, Bremner and Brunk, Statistical Inference under Order
    Restrictions, 1972.
    """
    count = len(values)
    means, totals, ends = np.empty(count), np.empty(count), np.empty(count, np.int64)
    blocks = 0
    for i in range(count):
        mean, total = values[i], weights[i]
        while blocks > 0 and means[blocks - 1] > mean:
            blocks -= 1
            earlier, held = means[blocks], totals[blocks]
            both = held + total
            mean = (earlier * held + mean * total) / both if both != 0.0 else (earlier + mean) / 2.0
            total = both
        means[blocks], totals[blocks], ends[blocks] = mean, total, i + 1
        blocks += 1
    at = 0
    for block in range(blocks):
        while at < ends[block]:
            out[at] = means[block]
            at += 1


@kernel
def weigh_bands(counts: NDArray[np.int64], prior: float, min_cases: int, out: Float64) -> bool:
    """Write the probability of each band to `out` (bands,); False, and nothing is written, while fewer cases are known.

    Parameters
    ----------
    counts : (bands, 2) wrong and right convictions. prior : cases of average outcome that are added to each band.
    """
    total = right = 0
    for band in range(len(counts)):
        total += counts[band, 0] + counts[band, 1]
        right += counts[band, 1]
    if total < min_cases:
        return False
    expected = max(prior, 1e-9) * (right / total)
    shares, weights = np.empty(len(counts)), np.empty(len(counts))
    for band in range(len(counts)):
        weights[band] = max(counts[band, 0] + counts[band, 1] + prior, 1e-9)
        shares[band] = (counts[band, 1] + expected) / weights[band]
    make_rising(shares, weights, out)
    return True
