"""Secrets from the environment: the value itself, or the name of a file that holds it. They are never printed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from sovereign.core.errors import ConfigurationError


def read_secret(names: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Return the first secret that is set under one of the names or, with `_FILE` behind it, in a file.

    Raises
    ------
    ConfigurationError : none is set, or the file cannot be read.
    """
    values = os.environ if environment is None else environment
    for name in names:
        if value := values.get(name, "").strip():
            return value
        if file := values.get(f"{name}_FILE", "").strip():
            try:
                value = Path(file).read_text(encoding="utf-8").strip()
            except OSError as cause:
                raise ConfigurationError(f"{name}_FILE was '{file}'; it could not be read ({cause.strerror})") from cause
            if value:
                return value
    raise ConfigurationError(
        f"no key was set; set {' or '.join(names)} in the environment, or {names[0]}_FILE to a file with it"
    )
