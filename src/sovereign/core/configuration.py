"""The base of every configuration section: frozen, keyword-only, unknown keys refused.

Each room declares its own section beside the code that obeys it; `app.configuration` composes them into the one file
that users edit. Every field carries a description with its unit and, for a trading constant, its source.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Configuration(BaseModel):
    """A frozen, validated group of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
