"""A strategy that trades for the sake of trading: the load of a rehearsal, and nothing anybody should run for money.

What it does is a function of the bar and the position alone, drawn from the bar by a mixing of its numbers: entries at the
market, at a limit and at a stop, with and without a target, in different sizes, and exits before the bracket. The same tape
gives the same orders, so a session that was disturbed can be held against one that was not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sovereign.core.configuration import Configuration
from sovereign.core.decision import Check, Proposal, RefusedColumns
from sovereign.core.instrument import Instrument
from sovereign.core.order import Bracket, OrderIntent, OrderRole, OrderType, Side, TimeInForce
from sovereign.core.port import Moment, SignalStream
from sovereign.core.session import NS_PER_SECOND, Session
from sovereign.signals.bars import ROW_HEAD, BarStream

_ROW = np.dtype(ROW_HEAD)
_KINDS = (OrderType.MARKET, OrderType.MARKET, OrderType.LIMIT, OrderType.STOP)


class DrillConfig(Configuration):
    """How busy the drill is."""

    bar_s: int = Field(default=1, ge=1, description="width of a bar, s; each is asked once")
    entry_frac: float = Field(default=0.7, ge=0, le=1, description="share of the bars without a position that enter")
    exit_frac: float = Field(default=0.2, ge=0, le=1, description="share of the bars with a position that leave it")
    target_frac: float = Field(default=0.8, ge=0, le=1, description="share of the brackets with a target")
    max_quantity: int = Field(default=3, ge=1, description="largest entry, units")
    min_stop_ticks: int = Field(default=2, ge=1, description="nearest stop, ticks")
    max_stop_ticks: int = Field(default=8, ge=1, description="farthest stop and target, ticks")
    limit_life_s: int = Field(default=3, ge=1, description="life of an entry that rests, s")


class _Bars(BarStream):
    row_dtype = _ROW

    def fill(self, bars: NDArray[Any], rows: NDArray[Any]) -> None:
        """Add nothing: the bar is all there is to know."""


class _Draw:
    """Numbers from a bar: SplitMix64 of what it was, so that they depend on nothing else."""

    def __init__(self, *seeds: int) -> None:
        self._state = 0x9E3779B97F4A7C15
        for seed in seeds:
            self._state ^= seed & 0xFFFFFFFFFFFFFFFF
            self._next()

    def _next(self) -> int:
        self._state = (self._state + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        return z ^ (z >> 31)

    def is_below(self, share: float) -> bool:
        """Say yes in `share` of the cases."""
        return self._next() < share * 2.0**64

    def between(self, low: int, high: int) -> int:
        """Return a whole number in `low`..`high`."""
        return low + self._next() % (max(high, low) - low + 1)


class DrillStrategy:
    """See the module; the shape is `core.port.Strategy`."""

    name = "drill"
    gate_names = ("passed",)
    is_stateless = True

    def __init__(self, config: DrillConfig) -> None:
        self.config = config

    def signal_stream(self, instrument: Instrument) -> SignalStream:
        """Return bars."""
        return _Bars(instrument, self.config.bar_s)

    def start_session(self, session: Session, instrument: Instrument) -> None:
        """Prepare nothing."""

    def decide(self, moment: Moment) -> Sequence[Proposal]:
        """Return an entry when flat, an exit when not, or nothing, as the bar has it."""
        row, config = moment.row, self.config
        draw = _Draw(int(row["seq"]), int(row["close"]), int(row["volume"]))
        if moment.position_quantity:
            if not draw.is_below(config.exit_frac):
                return ()
            side = Side.SELL if moment.position_quantity > 0 else Side.BUY
            leaving = OrderIntent(
                symbol=moment.symbol,
                side=side,
                quantity=abs(moment.position_quantity),
                role=OrderRole.EXIT,
                reduce_only=True,
                reason="drill: out",
            )
            return (_proposal(moment, leaving, "out"),)
        if not draw.is_below(config.entry_frac):
            return ()
        return (_proposal(moment, self._entry(moment, draw), "in"),)

    def _entry(self, moment: Moment, draw: _Draw) -> OrderIntent:
        config = self.config
        kind = _KINDS[draw.between(0, len(_KINDS) - 1)]
        side = Side.BUY if draw.is_below(0.5) else Side.SELL
        has_target = draw.is_below(config.target_frac)
        bracket = Bracket(
            stop_ticks=draw.between(config.min_stop_ticks, config.max_stop_ticks),
            target_ticks=draw.between(1, config.max_stop_ticks) if has_target else None,
        )
        away = side.sign * draw.between(1, 2)
        rests = kind is not OrderType.MARKET
        return OrderIntent(
            symbol=moment.symbol,
            side=side,
            order_type=kind,
            quantity=draw.between(1, config.max_quantity),
            limit_ticks=moment.last_ticks - away if kind is OrderType.LIMIT else None,
            stop_ticks=moment.last_ticks + away if kind is OrderType.STOP else None,
            time_in_force=TimeInForce.GTD if rests else TimeInForce.DAY,
            expire_ns=moment.ts + config.limit_life_s * NS_PER_SECOND if rests else None,
            bracket=bracket,
            reason=f"drill: {kind.value.lower()}",
        )

    def refused(self, rows: NDArray[Any], candidates: NDArray[Any]) -> RefusedColumns | None:  # noqa: ARG002 - the port's shape
        """Return nothing: it has no gates."""
        return None

    def usual_bracket(self, instrument: Instrument) -> Bracket | None:  # noqa: ARG002 - the port's shape
        """Return the farthest bracket."""
        return Bracket(stop_ticks=self.config.max_stop_ticks, target_ticks=self.config.max_stop_ticks)


def _proposal(moment: Moment, intent: OrderIntent, name: str) -> Proposal:
    return Proposal(
        name=name,
        symbol=moment.symbol,
        side=intent.side,
        strength=1.0,
        confidence=1.0,
        inputs={"close": float(moment.row["close"])},
        checks=(Check("drill", 1.0, 1.0, "", True),),
        intent=intent,
    )
