"""A row as the strategy reads it: all at once, since one by one its fields take longer than all that is made of them."""

from __future__ import annotations

from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

ROW_INPUTS = (
    "close",
    "volume",
    "momentum_z",
    "alpha_z",
    "residual_volatility",
    "breakout",
    "rsi",
    "pump",
    "volume_ratio",
    "news_tone",
    "post_tone",
    "ofi_z",
    "conviction",
    "raw_confidence",
    "rank",
    "probability",
    "p_crisis",
    "market_volatility",
    "market_momentum",
)
"""Fields of the bar that a decision records where they are known."""


class Seen(NamedTuple):
    """What of a row an entry looks at; fields of the row, and `confidence`, the one that the settings choose."""

    cycle: bool
    direction: int
    conviction: float
    confidence: float
    crowd: int
    crowd_known: bool
    crowd_share: float
    regime: int
    can_enter: bool
    is_halted: bool
    breakout: float
    rsi: float
    ofi_z: float
    is_absorption: int
    close: int
    raw_confidence: float
    rank: float
    probability: float


class RowLayout:
    """Where the fields lie in a record of one kind."""

    def __init__(self, dtype: np.dtype[Any], confidence: str) -> None:
        at = {name: place for place, name in enumerate(dtype.names or ())}
        self.dtype = dtype
        self.seen = itemgetter(*(at[confidence if name == "confidence" else name] for name in Seen._fields))
        self._inputs = itemgetter(*(at[name] for name in ROW_INPUTS))

    def inputs(self, values: tuple[Any, ...]) -> dict[str, float | int | str]:
        """Return what a decision records of a row: the inputs that are known."""
        return {name: value for name, value in zip(ROW_INPUTS, self._inputs(values), strict=True) if value == value}  # noqa: PLR0124
