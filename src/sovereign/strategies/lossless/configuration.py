"""Settings of the lossless strategy. Each number carries its justification; see `kernels.lossless_setting.justified`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sovereign.core.configuration import Configuration
from sovereign.kernels.lossless_setting import GapConfig, LevelConfig, VolumeConfig, justified


class LosslessConfig(Configuration):
    """The lossless strategy: counted levels and volume capitulation, each symbol by itself."""

    bar_seconds: int = justified(
        300,
        "No threshold: every rank and level is relative to bars of this width. Five minutes is what the share of bars at a "
        "level was measured on; recorded bars are traded at their own width.",
        gt=0,
        description="Width of the bars that decide (s); 86,400 decides once a day. Source: definitions 3.",
    )
    hours: Literal["regular", "all"] = Field(
        default="regular",
        description="Bars that are judged and counted: those of the day session, or of everything the venue trades.",
    )
    max_symbols: int = justified(
        30,
        "The requirement's universe. Four words of memory a bar and symbol: 30 symbols with five years of minute bars take "
        "about a quarter of a gigabyte.",
        gt=0,
        description="Largest universe (symbols). Source: lossless requirement, universe.",
    )
    level: LevelConfig = Field(default=LevelConfig(), description="Support and resistance. Source: definitions 3.2.")
    volume: VolumeConfig = Field(default=VolumeConfig(), description="Capitulation. Source: definitions 3.3.")
    gap: GapConfig = Field(default=GapConfig(), description="Bars that do not come. Source: definitions 3.4.")
