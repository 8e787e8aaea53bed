"""Where an engine stands on one instrument's market data and signal rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from sovereign.core.columns import Trades
from sovereign.core.instrument import Instrument


@dataclass(slots=True, eq=False)
class Tape:
    """Where the engine stands on one instrument's market data."""

    instrument: Instrument
    order: int
    trades: Trades
    offset: int = 0  # ticks of the session before the present block
    cursor: int = 0  # next row of the present block
    rows: NDArray[Any] | None = None
    candidates: NDArray[Any] | None = None
    next_row: int = 0
    last_ticks: int | None = None
    data_ns: int | None = None

    def next_wake(self) -> int:
        """Return the index of the next row that wakes the strategy, or -1."""
        if self.rows is None:
            return -1
        wake = self.rows["wake"]
        for index in range(self.next_row, len(wake)):
            if wake[index]:
                self.next_row = index
                return index
        self.next_row = len(wake)
        return -1
