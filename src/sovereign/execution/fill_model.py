"""What happens to an order when it meets the tape: three named sets of assumptions, and what an execution costs.

A trade tape says what traded, not what would have traded with us in the queue. The three models bracket the truth, and every
backtest reports its profit under all of them:

- *optimistic*: a market order gets the next trade's price; a resting limit fills whole at the first touch; a stop fills at the
  first trade at or beyond it. Nobody should expect this.
- *realistic*: a market order crosses the spread; a limit fills when the tape trades through it, or at the touch once the
  lots queued ahead have traded, by the volume left over; a stop slips beyond the trade that triggered it.
- *pessimistic*: every taker slips further; a limit fills only when the tape trades through, by a share of that volume.

Under all three a gap through a stop fills at the gap, and no order fills on the event that caused it. Where recorded bars
stand for trades, nobody knows which of a bar's extremes came first: when both stop and target lie inside one, the optimistic
model takes the target, the pessimistic one the stop, the realistic one what lies on the side of the nearer extreme; the fill is
marked ambiguous.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from sovereign.core.configuration import Configuration
from sovereign.core.instrument import Instrument
from sovereign.execution.protection import UnprotectedAction


class FillModelName(StrEnum):
    """Which set of assumptions."""

    OPTIMISTIC = "optimistic"
    REALISTIC = "realistic"
    PESSIMISTIC = "pessimistic"


class BarOrder(StrEnum):
    """Which of a bar's extremes came first, where a bracket's stop and its target both lie inside one recorded bar."""

    PATH = "path"
    STOP = "stop"
    TARGET = "target"


class FillModel(Configuration):
    """One set of assumptions about fills."""

    crosses_spread: bool = Field(description="takers pay the quote's far side; false: they get the traded price")
    unquoted_spread_ticks: int = Field(
        ge=0, description="ticks a taker pays when no quote is known and the trade printed on the near side"
    )
    spread_factor: int = Field(
        default=1,
        ge=1,
        description="multiple of the quoted spread a round trip of takers pays; 1: the quotes as they are, 2: twice as wide",
    )
    market_slippage_ticks: int = Field(ge=0, description="further ticks against a market order")
    stop_slippage_ticks: int = Field(ge=0, description="ticks against a stop, beyond the trade that triggered it")
    through_ticks: int = Field(ge=0, description="ticks beyond a limit the tape must trade to fill it; 0: a touch is enough")
    queue_lots: int = Field(
        ge=-1, description="lots ahead of a new limit order that must trade at its price first; -1: a touch never fills"
    )
    participation_frac: float = Field(
        gt=0, le=1, description="share of the volume traded beyond a limit that fills it; 1: price priority fills it whole"
    )
    depth_lots: int = Field(ge=0, description="lots a taker finds at each price before paying one tick more; 0: no limit")
    bar_order: BarOrder = Field(
        default=BarOrder.PATH,
        description="what fills when stop and target both lie inside one recorded bar: path (the extreme nearer to the open "
        "came first), stop, target",
    )

    def scaled(self, factor: int) -> FillModel:
        """Return the model with `factor` times the slippage and the spread, quoted or assumed."""
        return self.model_copy(
            update={
                "unquoted_spread_ticks": self.unquoted_spread_ticks * factor,
                "spread_factor": self.spread_factor * factor,
                "market_slippage_ticks": self.market_slippage_ticks * factor,
                "stop_slippage_ticks": self.stop_slippage_ticks * factor,
            }
        )

    def slipped(self, ticks: int) -> FillModel:
        """Return the model with every taker paying `ticks` more; resting limits still fill at their price."""
        return self.model_copy(
            update={
                "market_slippage_ticks": self.market_slippage_ticks + ticks,
                "stop_slippage_ticks": self.stop_slippage_ticks + ticks,
            }
        )


OPTIMISTIC = FillModel(
    crosses_spread=False,
    unquoted_spread_ticks=0,
    market_slippage_ticks=0,
    stop_slippage_ticks=0,
    through_ticks=0,
    queue_lots=0,
    participation_frac=1.0,
    depth_lots=0,
    bar_order=BarOrder.TARGET,
)
REALISTIC = FillModel(
    crosses_spread=True,
    unquoted_spread_ticks=1,
    market_slippage_ticks=0,
    stop_slippage_ticks=1,
    through_ticks=1,
    queue_lots=50,
    participation_frac=1.0,
    depth_lots=50,
)
PESSIMISTIC = FillModel(
    crosses_spread=True,
    unquoted_spread_ticks=1,
    market_slippage_ticks=1,
    stop_slippage_ticks=2,
    through_ticks=1,
    queue_lots=-1,
    participation_frac=0.5,
    depth_lots=20,
    bar_order=BarOrder.STOP,
)


class PerUnitFees:
    """Commission, exchange and regulatory fees per unit and side, times a factor (1 normally; 2 and 3 in cost stress)."""

    def __init__(self, overrides: dict[str, Decimal] | None = None, factor: int = 1) -> None:
        self._overrides = overrides or {}
        self._factor = factor

    def fee(self, instrument: Instrument, quantity: int, price_ticks: int) -> Decimal:  # noqa: ARG002 - the port's shape
        """Return the fee of one fill, in the instrument's currency."""
        return self._overrides.get(instrument.root, instrument.fee_per_side) * (abs(quantity) * self._factor)


class FillModels(Configuration):
    """The three models; change a number here and the report's bands move."""

    optimistic: FillModel = Field(default=OPTIMISTIC, description="the friendliest assumptions, an upper bound")
    realistic: FillModel = Field(default=REALISTIC, description="the assumptions of headline figures")
    pessimistic: FillModel = Field(default=PESSIMISTIC, description="the unfriendliest assumptions, a lower bound")


class ExecutionConfig(Configuration):
    """Execution: the consent to live orders, and the assumptions of the simulated broker."""

    trading_enabled: bool = Field(
        default=False,
        description="consent to orders on a live account; the flag --live and ENABLE_LIVE_TRADING=1 are needed as well",
    )
    fill_model: FillModelName = Field(
        default=FillModelName.REALISTIC, description="model of headline figures: optimistic, realistic or pessimistic"
    )
    latency_ms: float = Field(
        default=50.0, ge=0, description="milliseconds from decision to the venue seeing the order, and for a cancel"
    )
    fees: dict[str, Annotated[Decimal, Field(ge=0)]] = Field(
        default_factory=dict, description="fee per unit and side by root (USD), replacing the instrument's own"
    )
    margins: dict[str, Annotated[Decimal, Field(ge=0)]] = Field(
        default_factory=dict,
        description="intraday margin per unit by root (USD) as the simulated broker charges it, replacing the instrument's own",
    )
    fill_models: FillModels = Field(default=FillModels(), description="the numbers of the three models")
    unprotected_alarm_s: float = Field(
        default=5.0,
        gt=0,
        description="seconds of market time a position that is meant to have a stop may be without one before it is an alarm",
    )
    unprotected_action: UnprotectedAction = Field(
        default=UnprotectedAction.PROTECT,
        description="what to do then: alarm (say so), protect (send a stop, and flatten when that does not help), flatten",
    )

    def model_of(self, name: FillModelName | str) -> FillModel:
        """Return the model of that name."""
        model: FillModel = getattr(self.fill_models, FillModelName(name).value)
        return model

    @property
    def latency_ns(self) -> int:
        """Latency in nanoseconds."""
        return round(self.latency_ms * 1_000_000)

    @property
    def unprotected_alarm_ns(self) -> int:
        """Limit of a position without a stop, nanoseconds."""
        return round(self.unprotected_alarm_s * 1_000_000_000)
