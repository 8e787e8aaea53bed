"""What a bracket would have made on the tape: for candidates that were not taken, so that each gate can be priced.

Looks ahead, and is meant to: results belong in reports and ledgers, never in a decision. Shapes: `price` (ticks,) of int32; one
value per candidate in every other array. One unit, before costs.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.kernels.compile import kernel

__all__ = ["ExitKind", "counterfactual"]


class ExitKind(IntEnum):
    """How an imagined trade ended; NONE when there was no tick to enter on."""

    NONE = 0
    STOP = 1
    TARGET = 2
    END = 3


_STOP = int(ExitKind.STOP)
_TARGET = int(ExitKind.TARGET)
_END = int(ExitKind.END)
_BLOCK = 256  # ticks per block whose extremes say whether it can be skipped; changes speed, never a result


@kernel
def _extremes(price: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    # Lowest and highest price of each whole block.
    blocks = len(price) // _BLOCK
    low = np.empty(blocks, np.int32)
    high = np.empty(blocks, np.int32)
    for b in range(blocks):
        part = price[b * _BLOCK : (b + 1) * _BLOCK]
        low[b] = part.min()
        high[b] = part.max()
    return low, high


@kernel
def _first_outside(
    price: NDArray[np.int32],
    low: NDArray[np.int32],
    high: NDArray[np.int32],
    start: int,
    end: int,
    floor: Any,
    ceiling: Any,
) -> int:
    # First tick of start..end that is at or below `floor` or at or above `ceiling`; `end` when there is none.
    i = start
    while i < end:
        block = i // _BLOCK
        if i % _BLOCK == 0 and i + _BLOCK <= end and low[block] > floor and high[block] < ceiling:
            i += _BLOCK
        elif price[i] <= floor or price[i] >= ceiling:
            return i
        else:
            i += 1
    return end


@kernel
def counterfactual(
    price: NDArray[np.int32],
    entry: NDArray[np.int64],
    side: NDArray[np.int8],
    stop_ticks: NDArray[np.int64],
    target_ticks: NDArray[np.int64],
    end: NDArray[np.int64],
    is_target_through: bool,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int8]]:
    """Return (result in ticks, index of the exit tick, `ExitKind` code) of each imagined bracket.

    Parameters
    ----------
    price : the session's trades, in ticks.
    entry : index of the first tick that the decision did not know (`seq` of its row): entered at that tick's price.
    side : +1 long, -1 short; 0 gives NaN.
    stop_ticks, target_ticks : distances from the entry; 0 means none.
    end : index after the last tick that may be traded; still open there, the trade ends at the price of tick `end - 1`.
    is_target_through : True needs a trade beyond the target before it counts as filled, False a trade at it.

    Notes
    -----
    The stop triggers on the first later tick at or beyond it and fills at that tick's price, so a gap through it is
    paid in full. The target fills at its own price, never better. No latency, no fees. With no tick in `entry`..`end`
    the result is NaN, the index -1 and the kind NONE.
    """
    count = len(entry)
    result = np.full(count, np.nan)
    exit_index = np.full(count, -1, np.int64)
    kind = np.zeros(count, np.int8)
    low, high = _extremes(price)
    far = np.int64(1) << 40
    beyond = 1 if is_target_through else 0
    for n in range(count):
        start = entry[n]
        stop = min(end[n], len(price))
        sign = np.int64(side[n])
        if sign == 0 or start < 0 or start >= stop:
            continue
        paid = np.int64(price[start])
        loss = stop_ticks[n] if stop_ticks[n] > 0 else far
        gain = target_ticks[n] + beyond if target_ticks[n] > 0 else far
        floor = paid - (loss if sign > 0 else gain)
        ceiling = paid + (gain if sign > 0 else loss)
        at = _first_outside(price, low, high, start + 1, stop, floor, ceiling)
        if at == stop:
            at = stop - 1
            result[n] = sign * (price[at] - paid)
            kind[n] = _END
        elif sign * (price[at] - paid) < 0:
            result[n] = sign * (price[at] - paid)
            kind[n] = _STOP
        else:
            result[n] = target_ticks[n]
            kind[n] = _TARGET
        exit_index[n] = at
    return result, exit_index, kind
