"""Council: agents that the regime calls in vote, and a memory of their own trades adjusts what they decide."""

from __future__ import annotations

from sovereign.strategies.council.configuration import FULL_SIZE_FRAC, CouncilConfig
from sovereign.strategies.council.strategy import CouncilStrategy

__all__ = ["CONFIGURATION", "DEFAULTS", "STRATEGY", "CouncilConfig", "CouncilStrategy"]

STRATEGY = CouncilStrategy
CONFIGURATION = CouncilConfig
DEFAULTS: dict[str, object] = {
    "account.starting_balance": 30_000,
    "risk.daily_loss_limit": -1_000_000,
    "risk.daily_profit_target": "none",
    "risk.excluded_windows": [],
    "risk.max_daily_loss_frac": 0.05,
    "risk.max_drawdown_frac": 0.10,
    "risk.max_notional_frac": 0.30,
    "risk.max_positions": 3,
    "risk.max_working_entries": 3,
    "risk.max_position_frac": 0.15,
    "risk.value_frac": FULL_SIZE_FRAC,
    "session.warm_up_sessions": 10_000,
    "risk.breakers.max_losses_in_a_row": "none",
}
"""Portfolio of the requirement: 3 positions, 30% of the balance in all, -5% a day and -10% from the high with floating losses.
The money limit is set out of the way of the fraction. `risk.value_frac` is what a full size multiplier asks for; smaller
positions are multipliers below 1. A session that is traded live first reads all that was recorded before it, as a backtest
does, so that the hidden model is fitted on the same bars."""
