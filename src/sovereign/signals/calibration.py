"""What came of earlier convictions: the share that was followed by a move in their direction, by how strong they were.

Convictions and their outcomes are counted in bands of strength, over all symbols, session by session. The probability of a band
is the share of right ones, drawn to the share of all of them while cases are few, and made to rise with strength (pool adjacent
violators: Barlow, Bartholomew, Bremner and Brunk, 1972). Only outcomes that were complete before a session count in it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sovereign.core.configuration import Configuration

Float64 = NDArray[np.float64]


class CalibrationConfig(Configuration):
    """How convictions are held against what came of them."""

    bands: int = Field(default=10, ge=2, le=100, description="Bands of strength (count). Source: own choice, deciles.")
    horizon_days: int = Field(
        default=5,
        ge=1,
        description="Sessions after which a daily conviction is judged; one within the day is judged at its close (sessions). "
        "Source: own choice.",
    )
    window_days: int = Field(default=250, ge=5, description="Sessions that are counted (sessions). Source: own choice, a year.")
    prior_cases: float = Field(
        default=50.0, ge=0, description="Cases of average outcome added to each band (count). Source: own choice."
    )
    min_cases: int = Field(
        default=200, ge=1, description="Cases of all bands before a probability is known (count). Source: own choice."
    )


@dataclass(frozen=True, slots=True, eq=False)
class Forecasts:
    """What a session's rows of one symbol forecast, for those who hold it against what came.

    `direction` (n,) is -1 or +1, `price` (n,) ticks when it was said, `last` the session's last price (ticks); `measures` say
    by name how sure each was, (n,) 0..1, NaN unknown.
    """

    direction: NDArray[np.int8]
    price: NDArray[np.int64]
    last: int
    measures: Mapping[str, Float64]


def isotonic(values: Float64, weights: Float64) -> Float64:
    """Return the non-decreasing values nearest to `values` in weighted least squares; NaN is not allowed."""
    from sovereign.kernels.calibration import make_rising

    found = np.empty(len(values))
    make_rising(values, weights, found)
    return found


class Outcomes:
    """Right and wrong convictions of all symbols, by session and band."""

    def __init__(self, config: CalibrationConfig) -> None:
        self._config = config
        self._counts: dict[date, NDArray[np.int64]] = {}
        self._waiting: dict[str, deque[tuple[int, float, float]]] = {}
        self._seen: dict[str, int] = {}
        self._days: list[date] = []  # of `_counts`, in order
        # The sum of the days from the first to the last, which follows the sessions.
        self._first: date | None = None
        self._last: date | None = None
        self._total: NDArray[np.int64] = np.zeros((config.bands, 2), np.int64)
        self._version = 0
        self._answer: tuple[date, int, Float64] | None = None

    def add(
        self, symbol: str, day: date, convictions: Float64, closes: NDArray[np.int32], last: float, *, is_daily: bool
    ) -> None:
        """Take a completed session of a symbol: convictions (-1..1) with the price at each, and the session's last close."""
        if is_daily:
            self.wait(symbol, day, convictions.tolist()[-1] if len(convictions) else np.nan, last)
        else:
            self.count(day, self._judged(convictions, closes, last))

    def wait(self, symbol: str, day: date, conviction: float, last: float) -> None:
        """Take a completed session of daily bars: its conviction, NaN without one, waits to be judged by a later close."""
        waiting = self._waiting.setdefault(symbol, deque())
        number = self._seen[symbol] = self._seen.get(symbol, 0) + 1
        found = self.new_counts()
        while waiting and waiting[0][0] + self._config.horizon_days <= number:
            _, earlier, close = waiting.popleft()
            found += self._judged(np.array([earlier]), np.array([close]), last)
        self.count(day, found)
        if not np.isnan(conviction):
            waiting.append((number, conviction, last))

    def count(self, day: date, found: NDArray[np.int64]) -> None:
        """Take what came of a completed session's convictions: wrong and right ones by band, (bands, 2)."""
        counts = self.opened(day)
        counts += found

    def opened(self, day: date) -> NDArray[np.int64]:
        """Return a session's wrong and right ones by band, (bands, 2), for more to be added to them at once."""
        self._version += 1
        self._begin(day)
        if self._first is not None and self._last is not None and self._first <= day <= self._last:
            self._first = self._last = None  # what is added up has to be so again
        return self._counts[day]

    def new_counts(self) -> NDArray[np.int64]:
        """Return (bands, 2) zeros."""
        return np.zeros((self._config.bands, 2), np.int64)

    def _judged(self, convictions: Float64, closes: NDArray[Any], last: float) -> NDArray[np.int64]:
        from sovereign.kernels.tug_day import count_outcomes

        found = self.new_counts()
        count_outcomes(convictions, closes, last, found)
        return found

    def _begin(self, day: date) -> None:
        if day in self._counts:
            return
        self._counts[day] = self.new_counts()
        insort(self._days, day)
        if self._first is not None and self._last is not None and self._first <= day <= self._last:
            self._first = self._last = None  # among those that are added up, of which there are so many

    def counted(self, day: date) -> NDArray[np.int64]:
        """Return (bands, 2) wrong and right ones of the sessions before `day` that count."""
        end = bisect_left(self._days, day)
        begin = max(0, end - self._config.window_days)
        if begin == end:
            return self.new_counts()
        first, last = self._days[begin], self._days[end - 1]
        if self._first is None or self._last is None or not self._first <= first <= self._last <= last:
            self._total = self.new_counts()
            added, gone = self._days[begin:end], []
        else:
            added = self._days[bisect_right(self._days, self._last) : end]
            gone = self._days[bisect_left(self._days, self._first) : begin]
        for one in added:
            self._total += self._counts[one]
        for one in gone:
            self._total -= self._counts[one]
        self._first, self._last = first, last
        return self._total.copy()

    def levels(self, day: date) -> Float64:
        """Return the probability of each band in a session; empty while too few cases are known."""
        if self._answer is None or self._answer[:2] != (day, self._version):
            self._answer = (day, self._version, self._levels(day))
        return self._answer[2]

    def _levels(self, day: date) -> Float64:
        from sovereign.kernels.calibration import weigh_bands

        found = np.empty(self._config.bands)
        is_known = weigh_bands(self.counted(day), self._config.prior_cases, self._config.min_cases, found)
        return found if is_known else found[:0]
