"""Where the SQL store lives and how it waits."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from sovereign.core.configuration import Configuration

_PASSWORD = re.compile(r"(?<=://)([^:/@\s]*):(\S*)@")
MASK = "********"


def hide_password(text: str) -> str:
    """Return a text with the passwords inside its URLs masked; a password may hold an @ itself."""
    return _PASSWORD.sub(rf"\1:{MASK}@", text)


class StoreConfig(Configuration):
    """Settings of the SQL store."""

    url: str = Field(
        default="sqlite:///sovereign.sqlite",
        description="Database URL as SQLAlchemy writes it; a relative SQLite path is taken from the working directory.",
    )
    busy_timeout_ms: int = Field(
        default=30_000, ge=0, description="How long a writer waits for another process (SQLite), in milliseconds; own choice."
    )
    synchronous: Literal["NORMAL", "FULL"] = Field(
        default="NORMAL",
        description="SQLite durability: NORMAL survives a crash of the process, FULL a power loss too (sqlite.org).",
    )
