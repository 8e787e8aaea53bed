"""Lossless: support and resistance by counting, entered against capitulation volume."""

from __future__ import annotations

from sovereign.strategies.lossless.configuration import LosslessConfig
from sovereign.strategies.lossless.strategy import LosslessStrategy
from sovereign.strategies.lossless.universe import SECTORS

__all__ = ["CONFIGURATION", "DEFAULTS", "STRATEGY", "LosslessConfig", "LosslessStrategy"]

STRATEGY = LosslessStrategy
CONFIGURATION = LosslessConfig
DEFAULTS: dict[str, object] = {
    "account.starting_balance": 100_000,
    "evidence.future_sessions": 30,
    "evidence.null_sessions": 120,
    "live.stale_data_s": 90,
    "risk.can_enter_at_close": True,
    "risk.daily_loss_limit": "none",
    "risk.daily_profit_target": "none",
    "risk.excluded_windows": [],
    "risk.flatten_before_close_minutes": "none",
    "risk.last_entry_before_close_minutes": 0,
    "risk.max_daily_loss_frac": 0.20,
    "risk.max_margin_balance_frac": 1,
    "risk.max_margin_frac": 1,
    "risk.max_notional_frac": 4,
    "risk.max_orders_per_minute": 90,
    "risk.max_positions": 20,
    "risk.max_side_exposure_frac": 2,
    "risk.max_working_entries": 20,
    "risk.risk_frac": 0.01,
    "risk.sectors": {symbol: (sector,) for symbol, sector in SECTORS.items()},
    "risk.breakers.max_losses_in_a_row": "none",
    "risk.breakers.stale_position_s": 300,
    "session.warm_up_sessions": 10_000,
}
"""Portfolio of the requirement: 20 positions, 200% a side (so 400% in all), 1% of the balance at the stop, held until a level
says otherwise. What 20 positions lose at their stops, 20%, ends the day; 30 symbols with a bracket each make 90 orders a
minute. A session that is traded live first reads all that was recorded before it: levels are counted over the whole history.
Live, a symbol that is silent for 90 s takes no entries, and 300 s of silence with a position are an alarm, as the gaps of its
bars are judged. The honesty checks run for longer than usual, since the first 15 of their sessions say nothing."""
