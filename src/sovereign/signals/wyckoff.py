"""Springs, upthrusts and phases of one instrument, bar after bar."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Setting
from pydantic import model_validator

from sovereign.core.configuration import Configuration
from sovereign.kernels.market_row import TURN_STATE, WYCKOFF, WYCKOFF_SETTING
from sovereign.signals.market_regime import BarHistory


class WyckoffConfig(Configuration):
    """Springs and upthrusts out of a trading range."""

    range_bars: int = Setting(
        default=50, ge=5, description="Bars before the event that make the trading range (bars). Source: definitions 4.2."
    )
    trend_bars: int = Setting(
        default=50,
        ge=2,
        description="Bars before the range that must have fallen into it (bars). Source: own choice, one range.",
    )
    level_share: float = Setting(
        default=0.10, gt=0, lt=0.5, description="Percentile of the lows that is support (fraction). Source: definitions 4.2."
    )
    min_trend: float = Setting(
        default=0.5,
        ge=0,
        description="Least fall into the range (ATRs times root bars). Source: own choice; a driftless walk shows it on a "
        "fifth of its bars.",
    )
    recover_bars: int = Setting(
        default=3, ge=0, description="Bars after the break within which a close is back (bars). Source: definitions 4.2."
    )
    max_break_atr: float = Setting(
        default=1.0, gt=0, description="Deepest break that is still a spring (ATRs). Source: definitions 4.2."
    )
    quiet_ratio: float = Setting(
        default=1.0,
        gt=0,
        description="Volume of the break, against the range's mean, below which it trades at once. Source: "
        "definitions 4.2, type 1.",
    )
    heavy_ratio: float = Setting(
        default=1.5, gt=0, description="Volume of the break above which it never trades. Source: definitions 4.2, type 3."
    )
    test_bars: int = Setting(
        default=20, ge=1, description="Bars within which an ordinary break must be tested (bars). Source: own choice."
    )
    test_atr: float = Setting(default=0.5, ge=0, description="How near to the level a test comes (ATRs). Source: own choice.")
    phase_efficiency: float = Setting(
        default=0.30, gt=0, le=1, description="Efficiency ratio that is markup or markdown. Source: definitions 4.1."
    )

    @model_validator(mode="after")
    def _in_order(self) -> WyckoffConfig:
        if self.quiet_ratio > self.heavy_ratio:
            raise ValueError(f"quiet_ratio was {self.quiet_ratio}; it must not be above heavy_ratio, {self.heavy_ratio}")
        return self


class WyckoffReader:
    """Turns and phases of one instrument; `update` takes the bars in order."""

    def __init__(self, config: WyckoffConfig) -> None:
        self._state = np.zeros(2, TURN_STATE)
        self._since = np.full(2, -1, np.int64)
        self._setting = np.zeros(1, WYCKOFF_SETTING)
        for name in WYCKOFF_SETTING.names or ():
            self._setting[name] = getattr(config, "phase_efficiency" if name == "trend_efficiency" else name)
        self.history_bars = config.range_bars + config.trend_bars + 2

    def update(self, history: BarHistory, first: int, last: int, efficiency: NDArray[np.float64]) -> NDArray[Any]:
        """Return what is known (`kernels.wyckoff.WYCKOFF`) at the bars in the columns `first` to `last`.

        `history` must hold their ATR already; `efficiency` is theirs.
        """
        from sovereign.kernels.wyckoff import count_since, find_turns

        out = np.zeros(last - first, WYCKOFF)
        find_turns(history.values, first, last, self._setting, self._state, efficiency, out)
        count_since(self._since, out)
        return out
