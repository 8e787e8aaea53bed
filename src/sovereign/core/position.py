"""Fills, positions and closed trades. Positions change on fills only; money is Decimal."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from sovereign.core.instrument import Instrument
from sovereign.core.order import OrderRole, Side
from sovereign.core.record import maker, quick


class Liquidity(StrEnum):
    """Whether a fill took liquidity or rested."""

    MAKER = "MAKER"
    TAKER = "TAKER"


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution. `trade_id` is the venue's own and is the key that makes applying it twice impossible.

    `slippage_ticks` is the adverse distance from the price that triggered or was asked for (0 for resting limits);
    `is_ambiguous` marks a fill that another fill model would have decided differently.
    """

    trade_id: str
    client_order_id: str
    instrument: Instrument
    side: Side
    quantity: int
    price_ticks: int
    ts: int
    fee: Decimal
    liquidity: Liquidity
    role: OrderRole
    slippage_ticks: int = 0
    is_ambiguous: bool = False


make_fill = maker(Fill)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """A closed round trip, from flat to flat. Prices are average fills in ticks (float, statistics only).

    `mae_ticks` and `mfe_ticks` are the worst and best excursion per unit against the entry average (both >= 0).
    `slippage_ticks` is that of all its fills, each times its quantity: ticks x units, not per unit.
    """

    trade_id: str
    instrument: Instrument
    side: Side
    quantity: int
    entry_ns: int
    exit_ns: int
    entry_ticks: float
    exit_ticks: float
    gross: Decimal
    fees: Decimal
    mae_ticks: float
    mfe_ticks: float
    slippage_ticks: int
    exit_role: OrderRole
    decision_id: str | None
    labels: dict[str, str]
    is_ambiguous: bool = False

    @property
    def net(self) -> Decimal:
        """Profit and loss after fees."""
        return self.gross - self.fees


@dataclass(slots=True, kw_only=True, eq=False)
class Position:
    """An open position. `instrument` is frozen at the first fill, so a later switch of symbol never revalues it."""

    instrument: Instrument
    tape: str
    quantity: int = 0
    cost_ticks: int = 0
    opened_ns: int = 0
    fees: Decimal = Decimal(0)
    high_ticks: int = 0
    low_ticks: int = 0

    @property
    def average_ticks(self) -> float:
        """Average entry price in ticks; NaN when flat."""
        return self.cost_ticks / self.quantity if self.quantity else float("nan")

    def copy(self) -> Position:
        """Return one like it, which later fills leave as it is."""
        return make_position(
            instrument=self.instrument,
            tape=self.tape,
            quantity=self.quantity,
            cost_ticks=self.cost_ticks,
            opened_ns=self.opened_ns,
            fees=self.fees,
            high_ticks=self.high_ticks,
            low_ticks=self.low_ticks,
        )

    def unrealized(self, price_ticks: int) -> Decimal:
        """Floating profit and loss, before fees, if closed at `price_ticks`."""
        return self.instrument.tick_value * (int(price_ticks) * self.quantity - self.cost_ticks)


make_position = maker(Position)
