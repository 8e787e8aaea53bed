"""Room left under each limit of the risk door, as far as the store tells: what is used, what is allowed, and what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sovereign.app.notify.digest import limits_of
from sovereign.core.position import Trade
from sovereign.risk.configuration import RiskConfig

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """One limit: `used` of `limit`, both in `unit`; `source` is the setting that says so.

    `is_goal` marks a target: reaching it ends the day too, but is no loss.
    """

    name: str
    used: float
    limit: float
    unit: str
    source: str
    is_goal: bool = False

    @property
    def left(self) -> float:
        """What is left, at least 0."""
        return max(0.0, self.limit - self.used)

    @property
    def used_frac(self) -> float:
        """The used part, 0..1."""
        return min(1.0, max(0.0, self.used / self.limit)) if self.limit > 0 else 1.0

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        own = {name: getattr(self, name) for name in self.__slots__}
        return {**own, "left": self.left, "used_frac": self.used_frac}


def losses_in_a_row(trades: Sequence[Trade]) -> int:
    """Return how many of the latest trades in a row have lost."""
    count = 0
    for trade in reversed(trades):
        if trade.net >= 0:
            break
        count += 1
    return count


def rooms(
    risk: RiskConfig,
    *,
    day_start: Decimal,
    day_pnl: Decimal,
    equity: Decimal,
    high_water_mark: Decimal,
    tier: str | None,
    positions: int,
    entries: int,
    trades: Sequence[Trade],
    orders_last_minute: int,
) -> list[Room]:
    """Return the room under each limit.

    Parameters
    ----------
    positions, entries : open positions, and entry orders that work. trades : those of the session, in order of exit.
    """
    loss, target = limits_of(risk, day_start, tier)
    found = [
        Room(
            name="daily loss",
            used=float(max(_ZERO, -day_pnl)),
            limit=float(loss),
            unit="USD",
            source=f"risk.tiers.table ({tier}), risk.max_daily_loss_frac" if tier else "risk.daily_loss_limit",
        ),
        Room(
            name="drawdown",
            used=float(max(_ZERO, high_water_mark - equity)),
            limit=float(high_water_mark * risk.max_drawdown_frac),
            unit="USD",
            source="risk.max_drawdown_frac",
        ),
        Room(
            name="positions",
            used=positions + entries,
            limit=risk.max_positions,
            unit="count",
            source="risk.max_positions",
        ),
        Room(
            name="orders a minute",
            used=orders_last_minute,
            limit=risk.max_orders_per_minute,
            unit="count",
            source="risk.max_orders_per_minute",
        ),
    ]
    breakers = risk.breakers
    if breakers.max_losses_in_a_row is not None:
        found.append(
            Room(
                name="losses in a row",
                used=losses_in_a_row(trades),
                limit=breakers.max_losses_in_a_row,
                unit="count",
                source="risk.breakers.max_losses_in_a_row",
            )
        )
    if breakers.max_trades_per_session is not None:
        found.append(
            Room(
                name="trades today",
                used=len(trades) + positions,
                limit=breakers.max_trades_per_session,
                unit="count",
                source="risk.breakers.max_trades_per_session",
            )
        )
    if target is not None:
        found.append(
            Room(
                name="profit target",
                used=float(max(_ZERO, day_pnl)),
                limit=float(target),
                unit="USD",
                source="risk.daily_profit_target",
                is_goal=True,
            )
        )
    return found
