"""Settings of a trading process."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import Field

from sovereign.core.configuration import Configuration


class BrokerName(StrEnum):
    """Where a trading process trades."""

    VENUE = "venue"
    ALPACA = "alpaca"


class SessionSettings(Configuration):
    """Where sessions of paper and live trading are kept, and what they begin with."""

    account: str = Field("paper", min_length=1, description="Name of the account at the venue.")
    broker: BrokerName = Field(
        BrokerName.VENUE,
        description="Where is traded: venue (the simulated exchange of section 'venue') or alpaca (section 'alpaca').",
    )
    symbols: tuple[str, ...] = Field(
        (),
        description="What is traded at a broker; at the simulated venue, its tape says so. Benchmarks of a strategy included.",
    )
    folder: Path = Field(
        Path("data/sessions"), description="Folder of the sessions' recordings; relative to the working directory."
    )
    warm_up_sessions: int = Field(
        5,
        ge=0,
        description="Sessions before, as recorded, that signals see first; 0 starts them cold. Own choice: a week.",
    )
    evidence_every_s: float = Field(
        0.5,
        gt=0,
        le=60,
        description="How often what scouts have seen is looked for in the store, in seconds of the machine. Own choice.",
    )
    runs_scouts: bool = Field(
        True,
        description="Run the scouts of a strategy that looks at tape and news in the trading process; off when "
        "'sovereign scout' runs beside it on the same store.",
    )
