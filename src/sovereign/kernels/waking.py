"""Rows that wake a strategy, put together."""

from __future__ import annotations

from typing import Any

from sovereign.kernels.compile import kernel


@kernel
def gather(rows: Any, places: Any, found: Any, index: Any, at: int) -> None:
    """Copy the rows at some places to `found[at:]`, and the places to `index[at:]`.

    Parameters
    ----------
    rows, found : records of one type, `found` with room for all. places, index : int64.
    """
    for place in places:
        found[at] = rows[place]
        index[at] = place
        at += 1
