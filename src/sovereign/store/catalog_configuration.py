"""The catalog's settings."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from sovereign.core.configuration import Configuration


class DataConfiguration(Configuration):
    """Where market data is kept and how it is read."""

    catalog: Path = Field(default=Path("catalog"), description="folder of the market-data catalog")
    arrow_cache: bool = Field(
        default=True,
        description="keep an uncompressed Arrow copy of each partition, so that a run maps it into memory "
        "(about 25 bytes a trade; the folder .cache in the catalog may be deleted at any time)",
    )
