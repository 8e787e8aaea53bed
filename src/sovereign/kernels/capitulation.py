"""How unusual a bar's volume is, ranked against the bars before it at the same time of day.

Volumes are counted in bins of 1/64 of an octave (1.1%; volumes below 64 units have a bin each), one set of bins for each slot
of the day, as Fenwick trees: a rank or an update takes a dozen steps however long the history, and the memory is fixed. Volumes
of one bin count as equal, so a rank is wrong by at most half the share of the history that lies within 1.1% of the volume.
Source: definitions 3.3; P. M. Fenwick, A new data structure for cumulative frequency tables, 1994.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sovereign.kernels.compile import kernel

BINS = 4_096
"""Bins of a slot: 63 octaves of 64 bins reach over every 64-bit volume. A slot's tree has one entry more, which is unused."""

_EXACT = 64
_PER_OCTAVE = 64.0


@kernel
def volume_bin(volume: int) -> int:
    """Return the bin of a volume, 0..`BINS` - 1; rises with the volume, and nothing or less is bin 0."""
    if volume < _EXACT:
        return max(volume, 0)
    return int(np.log2(float(volume)) * _PER_OCTAVE)


@kernel
def count_volume(tree: Any, volume: int) -> None:
    """Add a volume to the tree of its slot (int32, length `BINS` + 1, zeros to begin with)."""
    at = volume_bin(volume) + 1
    while at <= BINS:
        tree[at] += 1
        at += at & -at


@kernel
def _below(tree: Any, bins: int) -> int:
    total = 0
    at = bins
    while at > 0:
        total += tree[at]
        at -= at & -at
    return total


@kernel
def volume_rank(tree: Any, volume: int) -> float:
    """Return the mid-rank of a volume among those counted and itself, 0 < rank < 1: (less + equal / 2 + 1 / 2) / (n + 1).

    If the volume comes from the distribution of the history, the rank is at least 1 - p with probability of at most
    p + 1 / (2n + 2). It does not count the volume.
    """
    at = volume_bin(volume)
    less = _below(tree, at)
    return (less + 0.5 * (_below(tree, at + 1) - less) + 0.5) / (_below(tree, BINS) + 1.0)


@kernel
def joint_conviction(one: float, other: float) -> float:
    """Return 100 times the chance that two independent ranks have a smaller product of exceedances than these two have.

    With q = (1 - one)(1 - other), the chance that the product of two uniform variables is at most q is q(1 - ln q): Fisher's
    combination of two tests. 100 means that no pair of ranks is as extreme, 0 that all are; NaN in gives NaN out.
    """
    q = (1.0 - one) * (1.0 - other)
    if q <= 0.0:
        return 100.0
    return float(100.0 * (1.0 - q * (1.0 - np.log(q))))
