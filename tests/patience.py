"""How long a test looks for what a setting changes: a short while, and longer again where a slow machine showed nothing yet."""

from __future__ import annotations

from collections.abc import Callable

_TRIES = (1.0, 4.0, 16.0)
_factor = _TRIES[0]


def stretched(seconds: float) -> float:
    """Return a time to look in, as long as the present try of `differ` wants it."""
    return seconds * _factor


def differ(one: Callable[[], object], other: Callable[[], object]) -> bool:
    """Say whether two looks find something else.

    What a look waits for may come late on a slow machine, and then both find nothing; so equal looks are taken again with more
    time. The settings compared must lie so far apart that no look is long enough for the slower one.
    """
    global _factor  # noqa: PLW0603 - the looks are deep inside of scenarios
    try:
        for _factor in _TRIES:
            if one() != other():
                return True
    finally:
        _factor = _TRIES[0]
    return False
