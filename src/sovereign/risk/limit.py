"""The limits of a day as equity levels, and the prices at which a position reaches them.

Everything is exact: money is `Decimal`, and the guard prices are found in rational arithmetic, so that a guard and a look
at equity never disagree by a tick.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from sovereign.core.position import Position
from sovereign.risk.number import FAR_HIGH, FAR_LOW, is_known


@dataclass(frozen=True, slots=True, kw_only=True)
class DayLimits:
    """Limits in force, in account currency. None is unknown, except that no `profit_target` means none is set.

    `loss_limit` is the positive amount that may be lost in the day, `mark` the high-water mark drawdown is measured from,
    `drawdown_frac` its largest part that may be lost.
    """

    day_start: Decimal | None
    loss_limit: Decimal | None
    profit_target: Decimal | None
    mark: Decimal | None
    drawdown_frac: Decimal

    @property
    def loss_level(self) -> Decimal | None:
        """Equity at or below which the daily loss limit trips."""
        return None if self.day_start is None or self.loss_limit is None else self.day_start - self.loss_limit

    @property
    def drawdown_level(self) -> Decimal | None:
        """Equity at or below which the drawdown limit trips."""
        return None if self.mark is None else self.mark * (1 - self.drawdown_frac)

    @property
    def profit_level(self) -> Decimal | None:
        """Equity at or above which the profit target trips; None without a target or when the day's start is unknown."""
        return None if self.day_start is None or self.profit_target is None else self.day_start + self.profit_target

    @property
    def lowest(self) -> Decimal | None:
        """The higher of the two levels below; None when either is unknown."""
        if self.loss_level is None or self.drawdown_level is None:
            return None
        return max(self.loss_level, self.drawdown_level)


def held(positions: Mapping[str, Position]) -> dict[str, Position]:
    """Return the positions that are not flat."""
    return {symbol: position for symbol, position in positions.items() if not position.is_flat}


def floating(positions: Iterable[Position], last_ticks: Mapping[str, int]) -> Decimal | None:
    """Return the floating profit and loss of positions, or None when a last price is not known."""
    total = Decimal(0)
    for position in positions:
        last = last_ticks.get(position.tape)
        if not is_known(last):
            return None
        total += position.unrealized(last)
    return total


def guard_prices(positions: Iterable[Position], fixed: Decimal, lowest: Decimal, highest: Decimal | None) -> tuple[int, int]:
    """Return the outermost prices (ticks) of one tape at which equity has not reached a level.

    Equity at price p is `fixed` plus the positions' floating profit and loss at p, a straight line. A price below the first or
    above the second of the pair trips; those two and everything between them do not. A first above the second means that
    every price trips.
    """
    slope, offset = Fraction(0), Fraction(fixed)
    for position in positions:
        tick_value = Fraction(position.instrument.tick_value)
        slope += tick_value * position.quantity
        offset -= tick_value * position.cost_ticks
    if slope == 0:
        trips = offset <= Fraction(lowest) or (highest is not None and offset >= Fraction(highest))
        return (FAR_HIGH, FAR_LOW) if trips else (FAR_LOW, FAR_HIGH)
    at_lowest = (Fraction(lowest) - offset) / slope
    at_highest = None if highest is None else (Fraction(highest) - offset) / slope
    below, above = (at_lowest, at_highest) if slope > 0 else (at_highest, at_lowest)
    low = FAR_LOW if below is None else math.floor(below) + 1
    high = FAR_HIGH if above is None else math.ceil(above) - 1
    return min(max(low, FAR_LOW), FAR_HIGH), max(min(high, FAR_HIGH), FAR_LOW)
