"""Counted levels of one instrument over its whole history, and the bars to count them again with other buckets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHUNK = 32_768
_PRICES = ("open", "high", "low", "close")


class BarHistory:
    """All bars of an instrument as int32 prices: 16 bytes a bar, in chunks that are never copied."""

    def __init__(self) -> None:
        self._chunks: list[NDArray[np.int32]] = []
        self._used = _CHUNK

    def __len__(self) -> int:
        return max(0, len(self._chunks) - 1) * _CHUNK + (self._used if self._chunks else 0)

    @property
    def nbytes(self) -> int:
        """Memory of the chunks, bytes."""
        return sum(chunk.nbytes for chunk in self._chunks)

    def append(self, bars: NDArray[Any]) -> None:
        """Add bars (fields `open`, `high`, `low`, `close`, in ticks) after those that are there."""
        at = 0
        while at < len(bars):
            if self._used == _CHUNK:
                self._chunks.append(np.empty((4, _CHUNK), np.int32))
                self._used = 0
            count = min(len(bars) - at, _CHUNK - self._used)
            for n, name in enumerate(_PRICES):
                self._chunks[-1][n, self._used : self._used + count] = bars[name][at : at + count]
            self._used += count
            at += count

    def chunks(self) -> Iterator[NDArray[np.int32]]:
        """Yield the bars in order, as arrays of shape (4, n): open, high, low, close."""
        for n, chunk in enumerate(self._chunks):
            yield chunk if n + 1 < len(self._chunks) else chunk[:, : self._used]


class LevelBook:
    """Counts of one instrument, and their growth.

    `state` is one `kernels.level.LEVELS`, `scores` the count of each bucket from `state["base"]` on; both are handed to
    kernels, which change them. Without a granularity (0) nothing is counted.
    """

    def __init__(self) -> None:
        from sovereign.kernels.level import LEVELS, count_bars

        self.history = BarHistory()
        self.state = np.zeros(1, LEVELS)
        self.scores = np.zeros(0, np.int32)
        self.rebuilds = 0
        self._count = count_bars

    @property
    def granularity(self) -> int:
        """Width of a bucket, ticks; 0 while it is not known."""
        return int(self.state["granularity"][0])

    def set_granularity(self, ticks: int) -> None:
        """Choose another width and count the whole history again."""
        self.rebuilds += self.granularity > 0
        self.state[:] = 0
        self.state["granularity"] = ticks
        self.scores = np.zeros(0, np.int32)
        for opens, highs, lows, closes in self.history.chunks():
            if not len(opens):
                continue
            self.make_room(int(highs.max()), int(lows.min()))
            at = 0
            while at < len(opens):
                at = self._count(self.state, self.scores, opens, highs, lows, closes, at)
                if at < len(opens):
                    self.make_room(int(highs[at]), int(lows[at]))

    def make_room(self, high: int, low: int) -> None:
        """Let `scores` reach over these prices, the last close and some more each way; counts stay as they are."""
        state, g = self.state[0], self.granularity
        if state["bars"]:
            high, low = max(high, int(state["high"]), int(state["last"])), min(low, int(state["low"]), int(state["last"]))
        # Half as much again beyond what is needed: a trend grows the array a few times in all, not every day.
        margin = max(8, (high - low) // g // 2)
        base, end = low // g - margin, high // g + margin + 1
        size = len(self.scores)
        if size:
            base, end = min(base, int(state["base"])), max(end, int(state["base"]) + size)
        scores = np.zeros(end - base, np.int32)
        if size:
            start = int(state["base"]) - base
            scores[start : start + size] = self.scores
        state["base"] = base
        self.scores = scores
