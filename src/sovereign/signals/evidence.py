"""What scouts told a running strategy, by the time from which it was known.

A row asks for the latest snapshot or reading that was known at its own time. It depends on those times alone, never on when the
row was computed, so a session, its recovery and its twin read the same. Nothing is made up where nobody looked: no snapshot is
None, a source that was down is NaN, and neither is a neutral value.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Sequence

from sovereign.core.news import NewsReading
from sovereign.core.tape import TapeSnapshot
from sovereign.signals.tug_market import NewsView, TapeView


class _Column:
    """Views of one symbol: when they were known, when they were taken, and their numbers, side by side."""

    def __init__(self, width: int) -> None:
        self.known, self.taken = array("q"), array("q")
        self.numbers = tuple(array("d") for _ in range(width))

    def add(self, known_ns: int, ts: int, numbers: Sequence[float]) -> None:
        """Take a view; one that is not newer than the last says nothing (a restart tells some again)."""
        if self.taken and ts <= self.taken[-1]:
            return
        self.known.append(max(known_ns, self.known[-1]) if self.known else known_ns)
        self.taken.append(ts)
        for column, number in zip(self.numbers, numbers, strict=True):
            column.append(number)

    def at(self, ts: int) -> int:
        """Return the place of the latest view that was known at `ts`; -1 for none."""
        return bisect_right(self.known, ts) - 1


class EvidenceBook:
    """Evidence (`tug_market.Evidence`) that arrives piece by piece."""

    def __init__(self) -> None:
        self._tape: dict[str, _Column] = {}
        self._news: dict[str, _Column] = {}

    def take(self, known_ns: int, snapshots: Sequence[TapeSnapshot], readings: Sequence[NewsReading]) -> None:
        """Take what may be used from `known_ns` (UTC ns) on; what was taken before is not taken again."""
        for one in snapshots:
            seen = (one.ofi_z, float(one.is_absorption), float(one.bid_size), float(one.ask_size))
            self._tape.setdefault(one.symbol, _Column(4)).add(known_ns, one.ts, seen)
        for reading in readings:
            posts = reading.post_tone if reading.is_accepted else math.nan  # what a crowd of machines posts is no mood
            # The filter has weighed its sources; of posts only what its `post_weight` lets into the whole.
            numbers = (reading.tone, posts, reading.probability)
            self._news.setdefault(reading.symbol, _Column(3)).add(known_ns, reading.ts, numbers)

    def tape(self, symbol: str, ts: int) -> TapeView | None:
        """Return the latest snapshot of the tape that was known at `ts` (UTC ns)."""
        column = self._tape.get(symbol)
        place = -1 if column is None else column.at(ts)
        if column is None or place < 0:
            return None
        score, absorption, bid_size, ask_size = column.numbers
        return TapeView(column.taken[place], score[place], absorption[place] > 0.0, bid_size[place], ask_size[place])

    def news(self, symbol: str, ts: int) -> NewsView | None:
        """Return the latest reading of the news that was known at `ts` (UTC ns)."""
        column = self._news.get(symbol)
        place = -1 if column is None else column.at(ts)
        if column is None or place < 0:
            return None
        tone, posts, probability = column.numbers
        return NewsView(column.taken[place], tone[place], posts[place], probability[place])
