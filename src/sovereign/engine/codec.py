"""Frozen values as plain JSON and back, by their type hints: what a recording keeps of an input.

Decimal and dates become text, enumerations their value, tuples lists; arrays do not come here (a recording keeps them raw).
What is read back equals what was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from sovereign.core.errors import CorruptFileError


def to_plain(value: Any) -> Any:
    """Return a value as JSON-ready values; a field that has its default is left out."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, (bool, int, str, float)):
        return value
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in value]
    return {f.name: to_plain(item) for f in fields(value) if (item := getattr(value, f.name)) != f.default}


def from_plain(kind: Any, plain: Any) -> Any:
    """Return the value of type `kind` that `to_plain` described.

    Raises
    ------
    CorruptFileError : the description is not one of that type.
    """
    try:
        return _read(kind, plain)
    except (KeyError, TypeError, ValueError, ArithmeticError) as cause:
        raise CorruptFileError(f"a recorded {getattr(kind, '__name__', kind)} could not be read: {cause!r}") from cause


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _read(kind: Any, plain: Any) -> Any:
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _read_union(get_args(kind), plain)
    if origin is tuple:
        items = get_args(kind)
        if len(items) == 2 and items[1] is Ellipsis:
            return tuple(_read(items[0], item) for item in plain)
        return tuple(_read(item, part) for item, part in zip(items, plain, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        _, item = get_args(kind)
        return {key: _read(item, part) for key, part in plain.items()}
    if kind is Any:
        return plain
    if is_dataclass(kind) and isinstance(kind, type):
        hints = _hints(kind)
        return kind(**{name: _read(hints[name], part) for name, part in plain.items()})
    if kind is date:
        return date.fromisoformat(plain)
    if kind in (bool, int, str):
        return plain
    return kind(plain)


def _read_union(kinds: tuple[Any, ...], plain: Any) -> Any:
    if plain is None:
        return None
    left = [kind for kind in kinds if kind is not NoneType]
    if len(left) == 1:
        return _read(left[0], plain)
    return plain  # a union of JSON's own kinds
