"""What an order cost against the price at which it was decided, and what the part of it that did not fill has missed.

Implementation shortfall in the sense of Perold (1988): what filled is held against the price at the decision, fees in; what
did not fill, against the same price at a later moment, is opportunity cost. Both are positive when they cost.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from sovereign.core.order import OrderRole

_BPS = 10_000.0


class Against(StrEnum):
    """What the price at a decision was."""

    MID = "middle of the quote"
    LAST = "last price"
    OWN = "its own price"


class Arrival(NamedTuple):
    """The price that an order is measured against, in ticks, and what that was."""

    ticks: float
    against: Against


def arrival_of(role: OrderRole, arrival_ticks: int | None, mid_ticks: float | None) -> Arrival | None:
    """Return the price that an order is measured against; None when none is known.

    Parameters
    ----------
    arrival_ticks : the order's own: the last price when it was decided, or the price at which a stop or a target stands.
    mid_ticks : middle of the quote at the decision that the order came of; None where no quote was recorded.
    """
    if mid_ticks is not None and role in (OrderRole.ENTRY, OrderRole.EXIT):
        return Arrival(mid_ticks, Against.MID)
    if arrival_ticks is None:
        return None
    return Arrival(float(arrival_ticks), Against.OWN if role in (OrderRole.STOP, OrderRole.TARGET) else Against.LAST)


def shortfall_bps(sign: int, average: float, arrival: float, fee: float) -> float:
    """Return what the filled part cost, in basis points of the price at the decision (above 0).

    Parameters
    ----------
    sign : +1 bought, -1 sold. average, arrival, fee : average price of the fills, price at the decision, and fee of a unit, all
        in the same unit of price. NaN gives NaN.
    """
    return sign * (average - arrival) / arrival * _BPS + fee / arrival * _BPS


def opportunity_bps(sign: int, price: float, arrival: float, missed_frac: float) -> float:
    """Return what the unfilled part missed, in basis points of the price at the decision (above 0).

    Parameters
    ----------
    price : the later price, in the unit of `arrival`. missed_frac : the unfilled part of the order. NaN gives NaN.
    """
    return sign * (price - arrival) / arrival * missed_frac * _BPS
