"""Where the SQL store lives and how it waits."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from sovereign.core.configuration import Configuration

_PASSWORD = re.compile(r"(?<=://)([^:/@\s]*):(\S*)@")
_PARAMETER = re.compile(r"(?i)((?:ssl)?password=)('(?:[^'\\]|\\.)*'|[^&\s'\"]*)")
MASK = "********"


def hide_password(text: str) -> str:
    """Return a text with the passwords inside its URLs masked, `?password=` too; a password may hold an @ itself."""
    return _PARAMETER.sub(rf"\1{MASK}", _PASSWORD.sub(rf"\1:{MASK}@", text))


class StoreConfig(Configuration):
    """Settings of the SQL store."""

    url: str = Field(
        default="sqlite:///sovereign.sqlite",
        description="Database URL as SQLAlchemy writes it; a relative SQLite path is taken from the working directory.",
    )
    busy_timeout_ms: int = Field(
        default=30_000,
        ge=0,
        description="How long to wait for another process that writes, and for a PostgreSQL server that does not answer, "
        "in milliseconds; own choice.",
    )
    synchronous: Literal["NORMAL", "FULL"] = Field(
        default="NORMAL",
        description="SQLite durability: NORMAL survives a crash of the process, FULL a power loss too (sqlite.org). "
        "The journal of orders is always FULL.",
    )
    prepared_statements: bool = Field(
        default=True,
        description="PostgreSQL: keep prepared statements on a connection; false behind a pooler in transaction mode, "
        "such as port 6543 of Supabase (psycopg, prepare_threshold).",
    )
    audit_batch: int = Field(
        default=64,
        ge=1,
        description="Audit events of a live session that are written together; a request of an order writes what waits in its "
        "own commit, however few; own choice.",
    )
    audit_pending: int = Field(
        default=100_000,
        ge=1,
        description="Audit events that may wait in memory while the database cannot be written; beyond that the session stops "
        "rather than leave a gap; own choice.",
    )
