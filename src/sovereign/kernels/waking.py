"""Rows that wake a strategy, put together."""

from __future__ import annotations

from typing import Any

from sovereign.kernels.compile import kernel


@kernel
def gather_waking(rows: Any, first: int, found: Any, index: Any, at: int) -> int:
    """Copy the rows from `first` on whose field `wake` is set to `found[at:]`, and their places to `index[at:]`.

    Parameters
    ----------
    rows, found : records of one type. index : int64, as long as `found`.

    Returns
    -------
    Where the next would go; beyond the end of `found` those that had no room were not copied.
    """
    room = len(found)
    for n in range(first, len(rows)):
        if rows[n].wake:
            if at < room:
                found[at] = rows[n]
                index[at] = n
            at += 1
    return at
