"""The limits of a day as equity levels, and the prices at which a position reaches them.

Everything is exact: money is `Decimal` throughout, so that a guard and a look at equity never disagree by a tick.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from sovereign.core.position import Position
from sovereign.risk.number import FAR_HIGH, FAR_LOW, is_known

ZERO = Decimal(0)


class DayLimits(NamedTuple):
    """Limits in force, in account currency. None is unknown, except that no `profit_target` means none is set.

    `loss_limit` is the positive amount that may be lost in the day, `mark` the high-water mark drawdown is measured from.
    Equity at or below `loss_level` or `drawdown_level` trips, `lowest` is the higher of the two (None when either is
    unknown); equity at or above `profit_level` trips as well.
    """

    day_start: Decimal | None
    loss_limit: Decimal | None
    profit_target: Decimal | None
    mark: Decimal | None
    loss_level: Decimal | None
    drawdown_level: Decimal | None
    profit_level: Decimal | None
    lowest: Decimal | None


def day_limits(
    day_start: Decimal | None,
    loss_limit: Decimal | None,
    profit_target: Decimal | None,
    mark: Decimal | None,
    drawdown_frac: Decimal,
) -> DayLimits:
    """Work out the levels; `drawdown_frac` is the largest part of the mark that may be lost."""
    loss_level = None if day_start is None or loss_limit is None else day_start - loss_limit
    drawdown_level = None if mark is None else mark * (1 - drawdown_frac)
    profit_level = None if day_start is None or profit_target is None else day_start + profit_target
    lowest = None if loss_level is None or drawdown_level is None else max(loss_level, drawdown_level)
    return DayLimits(day_start, loss_limit, profit_target, mark, loss_level, drawdown_level, profit_level, lowest)


def held(positions: Mapping[str, Position]) -> Mapping[str, Position]:
    """Return the positions that are not flat."""
    if not positions:
        return positions
    return {symbol: position for symbol, position in positions.items() if position.quantity != 0}


def floating(positions: Iterable[Position], last_ticks: Mapping[str, int]) -> Decimal | None:
    """Return the floating profit and loss of positions, or None when a last price is not known."""
    total = ZERO
    for position in positions:
        last = last_ticks.get(position.tape)
        if not is_known(last):
            return None
        total += position.unrealized(last)
    return total


def room_left(
    limits: DayLimits,
    equity: Decimal | None,
    positions: Mapping[str, Position],
    last_ticks: Mapping[str, int],
    committed: Mapping[str, Decimal],
) -> Decimal | None:
    """Return what may still be lost today after what open and working orders can lose at their stops; None if unknown.

    Parameters
    ----------
    positions : those that are not flat. committed : what each approved order may lose at its stop, by traded symbol.
    """
    if equity is None or limits.lowest is None:
        return None
    room = equity - limits.lowest
    if not positions.keys() <= committed.keys():  # a position whose stop nobody knows can lose anything
        return None
    for symbol, loss in committed.items():
        so_far = floating((positions[symbol],), last_ticks) if symbol in positions else ZERO
        if so_far is None:
            return None
        room -= max(ZERO, loss + so_far)
    return room


def guard_prices(positions: Collection[Position], fixed: Decimal, lowest: Decimal, highest: Decimal | None) -> tuple[int, int]:
    """Return the outermost prices (ticks) of one tape at which equity has not reached a level.

    Equity at price p is `fixed` plus the positions' floating profit and loss at p, a straight line. A price below the first or
    above the second of the pair trips; those two and everything between them do not. A first above the second means that
    every price trips.
    """
    slope, offset = ZERO, fixed
    for position in positions:
        tick_value = position.instrument.tick_value
        slope += tick_value * position.quantity
        offset -= tick_value * position.cost_ticks
    if slope == 0:
        trips = offset <= lowest or (highest is not None and offset >= highest)
        return (FAR_HIGH, FAR_LOW) if trips else (FAR_LOW, FAR_HIGH)
    below: Decimal | None = lowest - offset
    above: Decimal | None = None if highest is None else highest - offset
    if slope < 0:
        below, above = above, below
    # just above the price of the level below, and just below that of the level above
    low = FAR_LOW if below is None else _floor(below, slope) + 1
    high = FAR_HIGH if above is None else -_floor(-above, slope) - 1
    return min(max(low, FAR_LOW), FAR_HIGH), max(min(high, FAR_HIGH), FAR_LOW)


def _floor(amount: Decimal, per_tick: Decimal) -> int:
    # exact: `divmod` of decimals truncates towards zero and keeps the rest
    ticks, rest = divmod(amount, per_tick)
    return int(ticks) - (rest != 0 and (rest < 0) != (per_tick < 0))
