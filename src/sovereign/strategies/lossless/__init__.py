"""Lossless: support and resistance by counting, entered against capitulation volume."""

from __future__ import annotations

from sovereign.strategies.lossless.configuration import LosslessConfig
from sovereign.strategies.lossless.strategy import LosslessStrategy

__all__ = ["CONFIGURATION", "DEFAULTS", "STRATEGY", "LosslessConfig", "LosslessStrategy"]

STRATEGY = LosslessStrategy
CONFIGURATION = LosslessConfig
DEFAULTS: dict[str, object] = {
    "account.starting_balance": 100_000,
    "risk.daily_loss_limit": -10_000,
    "risk.daily_profit_target": "none",
    "risk.excluded_windows": [],
    "risk.max_daily_loss_frac": 0.10,
    "risk.max_margin_balance_frac": 1,
    "risk.max_notional_frac": 4,
    "risk.max_orders_per_minute": 90,
    "risk.max_positions": 20,
    "risk.max_working_entries": 20,
    "risk.risk_frac": 0.01,
    "risk.breakers.max_losses_in_a_row": "none",
}
"""Portfolio of the requirement: 20 positions, 200% a side, 1% of the balance at the stop, held until a level says otherwise."""
