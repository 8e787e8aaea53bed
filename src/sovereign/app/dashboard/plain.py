"""Values as the API gives them: times in UTC nanoseconds as text, money as exact text, what is not a number as null.

Nanoseconds since 1970 do not fit into the numbers of a browser (53 bits), so they are text wherever a field's name says that it
is a time (`ts`, `..._ns`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, overload

from sovereign.app.cli.common import to_plain

_NS = re.compile(r"(^|_)(ts|ns)$")
_UNSAFE = 2**53


@overload
def plain(value: Mapping[str, Any]) -> dict[str, Any]: ...


@overload
def plain(value: Sequence[Any]) -> list[dict[str, Any]]: ...


def plain(value: Any) -> Any:
    """Return any result as JSON's types."""
    return _times(to_plain(value))


def _times(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: str(item) if isinstance(item, int) and not isinstance(item, bool) and _NS.search(name) else _times(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_times(item) for item in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _UNSAFE:
        return str(value)
    return value


def to_ms(ts: int) -> float:
    """Return UTC milliseconds since 1970, for drawing."""
    return ts / 1e6
