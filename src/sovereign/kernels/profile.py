"""Volume profiles: point of control and value area of a dense array of volume per price level.

`volume` is int64, one entry per tick from the lowest to the highest price traded, gaps included as zero. Levels are returned
as indices into it. There is no NaN: volumes are integers, and an empty profile gives -1.
"""

from __future__ import annotations

from typing import Any

from sovereign.kernels.compile import kernel


@kernel
def point_of_control(volume: Any, levels: int) -> int:
    """Return the level with the largest volume; a tie goes to the level nearest the middle of the range, then to the lower.

    Equivalent: `k = flatnonzero(v == v.max()); k[abs(2 * k - (len(v) - 1)).argmin()]`.
    """
    best = -1
    largest = -1
    distance = 0
    for k in range(levels):
        v = volume[k]
        if v < largest:
            continue
        away = abs(2 * k - (levels - 1))
        if v > largest or away < distance:
            best = k
            largest = v
            distance = away
    return best


@kernel
def value_area(volume: Any, levels: int, poc: int, fraction: float, step: int) -> tuple[int, int]:
    """Return the contiguous levels `(low, high)` around `poc` that hold at least `fraction` of the volume.

    From the point of control outward: the next `step` levels above are held against the next `step` below, and the heavier
    side joins; equal sides join together, so a mirrored profile has the mirrored area. A side without levels left is never
    chosen while the other has some. `step` 1 adds single levels, 2 is the row pairing of the CBOT Market Profile handbook.
    """
    if poc < 0:
        return -1, -1
    total = 0
    for k in range(levels):
        total += volume[k]
    wanted = fraction * total
    low = poc
    high = poc
    held = volume[poc]
    while held < wanted and (low > 0 or high < levels - 1):
        above = -1
        below = -1
        top = min(high + step, levels - 1)
        bottom = max(low - step, 0)
        if top > high:
            above = 0
            for k in range(high + 1, top + 1):
                above += volume[k]
        if bottom < low:
            below = 0
            for k in range(bottom, low):
                below += volume[k]
        if above >= below:
            held += above
            high = top
        if below >= above:
            held += below
            low = bottom
    return low, high
