"""Settings of a trading process."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from sovereign.core.configuration import Configuration


class SessionSettings(Configuration):
    """Where sessions of paper and live trading are kept, and what they begin with."""

    account: str = Field("paper", min_length=1, description="Name of the account at the venue.")
    folder: Path = Field(
        Path("data/sessions"), description="Folder of the sessions' recordings; relative to the working directory."
    )
    warm_up_sessions: int = Field(
        5,
        ge=0,
        description="Sessions before, as recorded, that signals see first; 0 starts them cold. Own choice: a week.",
    )
