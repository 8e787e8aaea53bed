"""What counts as known, and how money is said. Unknown is None, NaN or infinity, and unknown means refuse."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any, TypeGuard

NAN = float("nan")
FAR_LOW = -(2**31)
FAR_HIGH = 2**31 - 1
"""Prices no int32 column goes beyond: a guard that nothing can reach."""


def is_known(value: Any) -> TypeGuard[Any]:
    """Say whether a number is there and finite."""
    if value is None:
        return False
    if isinstance(value, Decimal):
        return value.is_finite()
    try:
        return math.isfinite(value)
    except TypeError:
        return False


def known(value: Decimal | None) -> Decimal | None:
    """Return a money value when it is there and finite, else None."""
    return value if is_known(value) else None


def number(value: Any) -> float:
    """Return a float for a record; NaN when the value is not known."""
    return float(value) if is_known(value) else NAN


def money(value: Decimal | None) -> str:
    """Return money as text, or `unknown`."""
    return f"{value:,.2f}" if value is not None else "unknown"
