"""The base of every configuration section: frozen, keyword-only, unknown keys refused.

Each room declares its own section beside the code that obeys it; `app.configuration` composes them into the one file
that users edit. Every field carries a description with its unit and, for a trading constant, its source.
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

_INT64 = 2**63 - 1


class Configuration(BaseModel):
    """A frozen, validated group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @model_validator(mode="after")
    def _fits_columns(self) -> Self:
        # Settings reach compiled code and columns as 64-bit integers, which would wrap in silence.
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, int) and abs(value) > _INT64:
                raise ValueError(f"{name} was {value}; allowed is an integer of at most {_INT64} in size")
        return self
