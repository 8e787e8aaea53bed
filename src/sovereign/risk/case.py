"""One candidate at the door, with everything its checks may look at."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from sovereign.core.event import TradingState
from sovereign.core.instrument import Instrument
from sovereign.core.order import OrderIntent
from sovereign.core.port import AccountView
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.limit import DayLimits
from sovereign.risk.number import known
from sovereign.risk.sizing import Size
from sovereign.risk.window import Schedule


@dataclass(frozen=True, slots=True)
class Halt:
    """A halt that the door has latched: the state it asks for, what caused it, and the numbers."""

    state: TradingState
    cause: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A candidate under judgement. `traded` is the symbol the tier trades; `instrument` is None when nobody knows it."""

    config: RiskConfig
    intent: OrderIntent
    strength: float
    confidence: float
    unknown_inputs: tuple[str, ...]
    view: AccountView
    traded: str
    instrument: Instrument | None
    tier_name: str
    halts: tuple[Halt, ...]
    limits: DayLimits
    schedule: Schedule
    size: Size

    @property
    def day_pnl(self) -> Decimal | None:
        """Profit and loss of the day, realized and floating; None when equity or the day's start is unknown."""
        equity = known(self.view.equity)
        return None if equity is None or self.limits.day_start is None else equity - self.limits.day_start

    @property
    def currency(self) -> str:
        """Currency of the money in this case."""
        return self.instrument.currency if self.instrument is not None else "USD"
