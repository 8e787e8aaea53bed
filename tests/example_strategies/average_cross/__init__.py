"""A strategy of the tests: crosses of two moving averages of the close, long and short, on any number of shares.

It is fed a benchmark first, sees it, and never trades it. A cross against an open position closes it; the next one opens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sovereign.core.configuration import Configuration
from sovereign.core.decision import Proposal, RefusedColumns
from sovereign.core.instrument import Instrument
from sovereign.core.order import Bracket, OrderIntent, OrderRole, Side, TimeInForce
from sovereign.core.port import Moment, SignalStream
from sovereign.core.session import Session
from sovereign.signals.bars import ROW_HEAD, BarStream

ROW = np.dtype([*ROW_HEAD, ("fast", np.float64), ("slow", np.float64), ("cross", np.int8)])


class AverageCrossConfig(Configuration):
    """Widths and distances."""

    bar_seconds: int = Field(default=86_400, ge=1, description="width of a bar, s")
    benchmarks: tuple[str, ...] = Field(default=("SPY",), description="fed first, never traded")
    fast: int = Field(default=3, ge=1, description="bars of the fast average")
    slow: int = Field(default=8, ge=2, description="bars of the slow average")
    peeks: bool = Field(default=False, description="look at the next bar, as no honest strategy can")
    stop_frac: float = Field(default=0.05, gt=0, description="distance of the stop, fraction of the price")
    target_frac: float = Field(default=0.10, gt=0, description="distance of the target, fraction of the price")


class CrossStream(BarStream):
    """Rows with both averages; only a cross wakes the strategy."""

    row_dtype = ROW

    def __init__(self, instrument: Instrument, config: AverageCrossConfig) -> None:
        super().__init__(instrument, config.bar_seconds)
        self._config = config
        self._closes = np.zeros(0)
        self._above = 0

    def fill(self, bars: NDArray[Any], rows: NDArray[Any]) -> None:
        """Fill the averages; the last `slow` closes are remembered."""
        config = self._config
        if config.peeks:
            bars = bars.copy()
            bars["close"][:-1] = bars["close"][1:]
        closes = np.concatenate([self._closes, bars["close"].astype(np.float64)])
        total = np.concatenate([[0.0], np.cumsum(closes)])
        last = np.arange(len(closes) - len(bars), len(closes)) + 1
        for name, width in (("fast", config.fast), ("slow", config.slow)):
            means = (total[last] - total[np.maximum(last - width, 0)]) / width
            rows[name] = np.where(last >= width, means, np.nan)
        sign = np.sign(rows["fast"] - rows["slow"])
        for n, above in enumerate(np.where(np.isnan(sign), 0, sign).astype(np.int8).tolist()):
            # Averages that are equal have not crossed yet.
            rows["cross"][n] = above if above * self._above < 0 else 0
            self._above = above or self._above
        rows["wake"] = rows["cross"] != 0
        self._closes = closes[-config.slow :]


class AverageCross:
    """Buys when the fast average crosses above the slow one, sells short when below."""

    name = "average_cross"
    market = "portfolio"
    gate_names: Sequence[str] = ()
    is_stateless = True

    def __init__(self, config: AverageCrossConfig) -> None:
        self.config = config

    def signal_stream(self, instrument: Instrument) -> SignalStream:
        """Create the averages of one share."""
        return CrossStream(instrument, self.config)

    def start_session(self, session: Session, instrument: Instrument) -> None:
        """Nothing to prepare."""

    def decide(self, moment: Moment) -> Sequence[Proposal]:
        """Close what the cross contradicts, else open."""
        if moment.symbol in self.config.benchmarks:
            return ()
        row, held = moment.row, moment.position_quantity
        sign = int(row["cross"])
        if held * sign > 0:
            return ()
        side = Side.BUY if sign > 0 else Side.SELL
        if held:
            intent = OrderIntent(
                symbol=moment.symbol,
                side=side,
                quantity=abs(held),
                role=OrderRole.EXIT,
                reduce_only=True,
                time_in_force=TimeInForce.GTC,
                reason="opposite cross",
            )
        else:
            stop = max(1, round(self.config.stop_frac * int(row["close"])))
            target = max(1, round(self.config.target_frac * int(row["close"])))
            intent = OrderIntent(
                symbol=moment.symbol,
                side=side,
                time_in_force=TimeInForce.GTC,
                bracket=Bracket(stop_ticks=stop, target_ticks=target),
                reason="cross",
            )
        label = {1: "cross up", -1: "cross down"}[sign]
        inputs = {"fast": float(row["fast"]), "slow": float(row["slow"]), "label": label}
        return (
            Proposal(
                name=label,
                symbol=moment.symbol,
                side=side,
                strength=1.0,
                confidence=1.0,
                inputs=inputs,
                checks=(),
                intent=intent,
            ),
        )

    def refused(self, rows: NDArray[Any], candidates: NDArray[Any]) -> RefusedColumns | None:
        """None: it has no gates of its own."""
        return None

    def usual_bracket(self, instrument: Instrument) -> Bracket | None:
        """None: distances follow the price."""
        return None


STRATEGY = AverageCross
CONFIGURATION = AverageCrossConfig
DEFAULTS = {
    "account.starting_balance": 100_000,
    "risk.flatten_before_close_minutes": "none",
    "risk.last_entry_before_close_minutes": 0,
    "risk.can_enter_at_close": True,
    "risk.excluded_windows": (),
    "risk.max_positions": 20,
    "risk.max_working_entries": 20,
    "risk.max_orders_per_minute": 200,
    "risk.daily_profit_target": "none",
    "risk.daily_loss_limit": -1_000_000,
    "risk.breakers.max_losses_in_a_row": "none",
}
