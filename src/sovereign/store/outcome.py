"""What a refused candidate would have made, worked out on the stored bars of its session.

Entry at the open of the first bar that opens after the decision; the bracket counts from there. When stop and target lie in the
same bar the stop is taken; a stop that is jumped over fills at the bar's open. What is still open ends at the last close.
This is an estimate on bars for judging a gate, not a fill model: the tape inside the bar is not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BAR = np.dtype([("known_at", "<i8"), ("open", "<i4"), ("high", "<i4"), ("low", "<i4"), ("close", "<i4")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Result of one unit, in ticks before costs; `exit_kind` is STOP, TARGET or SESSION_END."""

    entry_ticks: int
    exit_ticks: int
    exit_ns: int
    ticks: int
    exit_kind: str


def pack_bars(rows: NDArray[Any]) -> bytes | None:
    """Return the bars among signal rows as bytes of `BAR`, or None when the rows are not bars."""
    names = rows.dtype.names
    if names is None or any(name not in names for name in BAR.names or ()):
        return None
    packed = np.empty(len(rows), BAR)
    for name in BAR.names or ():
        packed[name] = rows[name]
    return packed.tobytes()


def bracket_outcome(
    bars: NDArray[Any], ts: int, sign: int, stop_ticks: int, target_ticks: int | None, exit_by_ns: int | None = None
) -> Outcome | None:
    """Return what a bracket entered after `ts` would have made, or None when no bar follows.

    Parameters
    ----------
    bars : shape (n,) of `BAR`, in time order.
    sign : +1 long, -1 short.
    stop_ticks, target_ticks : distances from the entry; None means no target.
    exit_by_ns : bars that close later are not looked at (auto-flatten); None means the whole session.
    """
    end = len(bars) if exit_by_ns is None else int(np.searchsorted(bars["known_at"], exit_by_ns, side="right"))
    first = int(np.searchsorted(bars["known_at"], ts, side="right"))
    path = bars[first:end]
    if not len(path):
        return None
    entry = int(path["open"][0])
    worst = sign * ((path["low"] if sign > 0 else path["high"]).astype(np.int64) - entry)
    best = sign * ((path["high"] if sign > 0 else path["low"]).astype(np.int64) - entry)
    stopped = worst <= -stop_ticks
    reached = best >= target_ticks if target_ticks is not None else np.zeros(len(path), bool)
    closed = stopped | reached
    if not closed.any():
        at, move, kind = len(path) - 1, sign * (int(path["close"][-1]) - entry), "SESSION_END"
    else:
        at = int(np.argmax(closed))
        if stopped[at]:
            gap = sign * (int(path["open"][at]) - entry)
            move, kind = min(-stop_ticks, gap), "STOP"
        else:
            move, kind = int(target_ticks or 0), "TARGET"
    return Outcome(
        entry_ticks=entry, exit_ticks=entry + sign * move, exit_ns=int(path["known_at"][at]), ticks=move, exit_kind=kind
    )
