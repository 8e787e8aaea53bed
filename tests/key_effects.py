"""For every setting, a way to see that it matters: the same thing done under two values, and what was observed.

An effect is a function without arguments that returns the two observations; they must differ. Register it under its key:

    @effect("risk.max_positions")
    def _() -> tuple[object, object]:
        return observe(max_positions=1), observe(max_positions=2)

When one function serves several keys of a section, `effects_of` takes the section, a probe that gets a section instance and
returns what it saw, and two values for each key.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sovereign.core.configuration import Configuration

Effect = Callable[[], tuple[object, object]]

EFFECTS: dict[str, Effect] = {}


def effect(key: str) -> Callable[[Effect], Effect]:
    """Register the effect of one key."""

    def register(function: Effect) -> Effect:
        if key in EFFECTS:
            raise ValueError(f"key was '{key}', which has an effect already")
        EFFECTS[key] = function
        return function

    return register


def effects_of(
    section: str,
    defaults: Configuration,
    probe: Callable[[Any], object],
    values: Mapping[str, tuple[Any, Any]],
) -> None:
    """Register one probe for several keys of a section: `values` maps each field to two values to compare."""
    for name, (one, other) in values.items():

        def compare(name: str = name, one: Any = one, other: Any = other) -> tuple[object, object]:
            kind = type(defaults)
            fields = {field: getattr(defaults, field) for field in kind.model_fields}
            return probe(kind.model_validate({**fields, name: one})), probe(kind.model_validate({**fields, name: other}))

        effect(f"{section}.{name}")(compare)


def temporary_folder() -> Path:
    """Return a new empty folder for a probe that writes."""
    return Path(tempfile.mkdtemp(prefix="sovereign-effect-"))


import order_flow_effects  # noqa: E402, F401  (registers its effects; it needs the functions above)
