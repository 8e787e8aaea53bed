"""What counts as known. Unknown is None, NaN or infinity, and unknown means refuse."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, TypeGuard

NAN = float("nan")
INFINITY = float("inf")
FAR_LOW = -(2**31)
FAR_HIGH = 2**31 - 1
"""Prices no int32 column goes beyond: a guard that nothing can reach."""


def is_known(value: Any) -> TypeGuard[Any]:
    """Say whether a number is there and finite."""
    kind = type(value)
    if kind is float:
        return bool(-INFINITY < value < INFINITY)
    if kind is int:
        return True
    if kind is Decimal:
        return bool(value.is_finite())
    if value is None:
        return False
    try:
        return math.isfinite(value)
    except (TypeError, ValueError):
        return False


def known(value: Decimal | None) -> Decimal | None:
    """Return a money value when it is there and finite, else None."""
    if type(value) is Decimal:
        return value if value.is_finite() else None
    return value if is_known(value) else None


def number(value: Decimal | None) -> float:
    """Return money that is known, or None, as a float for a record; NaN for None."""
    return NAN if value is None else float(value)
