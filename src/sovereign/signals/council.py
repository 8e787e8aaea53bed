"""The rows of the council: regime, turns, liquidity and mood of every bar, computed ahead of the engine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Setting

from sovereign.core.configuration import Configuration
from sovereign.core.instrument import Instrument
from sovereign.core.session import Session
from sovereign.kernels.market_row import LIQUIDITY, REGIME, SENTIMENT, WYCKOFF
from sovereign.signals.bars import ROW_HEAD, BarStream
from sovereign.signals.market_regime import BarHistory, MarketRegimeConfig, RegimeService
from sovereign.signals.wyckoff import WyckoffConfig, WyckoffReader


class LiquidityConfig(Configuration):
    """Amihud's ratio, Kyle's lambda and the zones of the volume profile."""

    window_bars: int = Setting(
        default=60, ge=5, description="Bars of the measures (bars). Source: definitions 4.2, 60 minutes of minute bars."
    )
    profile_bins: int = Setting(default=20, ge=4, description="Price bins of the profile (count). Source: definitions 4.2.")
    zone_share: float = Setting(
        default=0.80, gt=0, lt=1, description="Quantile of bin volume above which a bin is a zone. Source: definitions 4.2."
    )


ROW = np.dtype(
    [
        *ROW_HEAD,
        *[
            (name, part.fields[name][0])
            for part in (REGIME, WYCKOFF, LIQUIDITY, SENTIMENT)
            for name in part.names or ()
            if part.fields is not None
        ],
    ],
    align=True,
)
"""One closed bar and everything the agents look at; see the kernels of each part for units."""


class CouncilStream(BarStream):
    """Bars of one instrument with what the council knows at each.

    Bars are of the regular hours, live as on recorded bars: what trades before and after them is left out.

    Parameters
    ----------
    seconds : width of the bars; from 86,400 on they are daily.
    """

    row_dtype = ROW

    def __init__(
        self,
        instrument: Instrument,
        seconds: int,
        regime: MarketRegimeConfig,
        wyckoff: WyckoffConfig,
        liquidity: LiquidityConfig,
    ) -> None:
        super().__init__(instrument, seconds, is_regular=True)
        self._regime_config = regime
        self._liquidity = liquidity
        self.regime = RegimeService(regime, seconds)
        self._wyckoff = WyckoffReader(wyckoff)
        keep = max(self.regime.history_bars, self._wyckoff.history_bars, liquidity.window_bars) + 2
        sessions = 0 if self.regime.is_daily else regime.history_sessions
        self._history = BarHistory(keep, is_linked=self.regime.is_daily, sessions=sessions)

    def start_session(self, session: Session) -> None:
        """Begin a trade date: rows anew, the hidden model refitted when it is due."""
        super().start_session(session)
        self._history.start_session()
        self.regime.start_session(self._history, session)

    def fill(self, bars: NDArray[Any], rows: NDArray[Any]) -> None:
        """Measure the next bars."""
        from sovereign.kernels.liquidity import measure_liquidity
        from sovereign.kernels.sentiment import measure_sentiment

        config, history = self._regime_config, self._history
        first, last = history.append(bars)
        regimes = self.regime.update(history, first, last)
        turns = self._wyckoff.update(history, first, last, np.ascontiguousarray(regimes["efficiency"]))
        is_daily = self.regime.is_daily
        sessions, reach = (2**31, config.daily_history_bars) if is_daily else (config.history_sessions, 2**31)
        ranks = (sessions, reach, config.min_history_bars)
        liquidity = np.zeros(len(bars), LIQUIDITY)
        own = self._liquidity
        measure_liquidity(history.values, first, last, own.window_bars, own.profile_bins, own.zone_share, *ranks, liquidity)
        mood = np.zeros(len(bars), SENTIMENT)
        momentum = np.ascontiguousarray(regimes["momentum"])
        vwap_bars = config.window_bars if is_daily else 0
        measure_sentiment(history.values, first, last, config.window_bars, vwap_bars, *ranks, momentum, mood)
        for part in (regimes, turns, liquidity, mood):
            for name in part.dtype.names or ():
                rows[name] = part[name]
