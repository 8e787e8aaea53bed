"""One candidate at the door, with everything its checks may look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from sovereign.core.instrument import Instrument
from sovereign.core.order import OrderIntent
from sovereign.core.port import AccountView
from sovereign.core.position import Position
from sovereign.risk.configuration import RiskConfig, TierConfig
from sovereign.risk.halt import Halt
from sovereign.risk.limit import DayLimits, room_left
from sovereign.risk.number import known
from sovereign.risk.sizing import Size, Sizer, Streaks, make_wish, means_of
from sovereign.risk.tier import Families
from sovereign.risk.timetable import Timetable


@dataclass(slots=True, kw_only=True, eq=False)
class Case:
    """A candidate under judgement. `traded` is the symbol the tier trades; `instrument` is None when nobody knows it.

    `positions` are the account's without flat ones, `inputs` what the strategy looked at, `committed` what each approved order
    may lose at its stop; `is_tiered` says that the `tier` counts the contracts, `equity` and `day_pnl` are None when unknown.
    """

    config: RiskConfig
    intent: OrderIntent
    strength: float
    confidence: float
    inputs: Mapping[str, float | int | str]
    view: AccountView
    positions: Mapping[str, Position]
    traded: str
    instrument: Instrument | None
    is_tiered: bool
    tier: TierConfig | None
    families: Families
    sizer: Sizer
    streaks: Streaks
    committed: Mapping[str, Decimal]
    halts: tuple[Halt, ...]
    limits: DayLimits
    timetable: Timetable
    equity: Decimal | None = field(init=False)
    day_pnl: Decimal | None = field(init=False)
    currency: str = field(init=False)
    _size: Size | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.equity = known(self.view.equity)
        day_start = self.limits.day_start
        self.day_pnl = None if self.equity is None or day_start is None else self.equity - day_start
        self.currency = "USD" if self.instrument is None else self.instrument.currency

    @property
    def size(self) -> Size:
        """The size of the order, worked out when the first check asks for it."""
        if self._size is None:
            intent, view = self.intent, self.view
            room = room_left(self.limits, self.equity, self.positions, view.last_ticks, self.committed)
            means = means_of(intent, self.instrument, view, self.positions, room, self.config)
            wish = make_wish(self.traded, intent.quantity, intent.size_steps, intent.size_multiplier, intent.bracket)
            self._size = self.sizer.size(wish, means, self.instrument, self.tier, self.streaks, self.is_tiered)
        return self._size
