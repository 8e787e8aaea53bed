"""Tug of war: institutions against the crowd. It buys what institutions buy while the crowd looks the other way."""

from __future__ import annotations

from sovereign.strategies.tug_of_war.configuration import FULL_SIZE_FRAC, TugOfWarConfig
from sovereign.strategies.tug_of_war.strategy import TugOfWarStrategy

__all__ = ["CONFIGURATION", "DEFAULTS", "STRATEGY", "TugOfWarConfig", "TugOfWarStrategy"]

STRATEGY = TugOfWarStrategy
CONFIGURATION = TugOfWarConfig
DEFAULTS: dict[str, object] = {
    "account.starting_balance": 100_000,
    "evidence.future_sessions": 90,
    "evidence.null_sessions": 250,
    "portfolio_market.step_seconds": 60,
    "risk.breakers.max_losses_in_a_row": "none",
    "risk.can_short": False,
    "risk.daily_loss_limit": "none",
    "risk.daily_profit_target": "none",
    "risk.excluded_windows": [],
    "risk.first_entry_after_open_minutes": 30,
    "risk.flatten_before_close_minutes": 15,
    "risk.last_entry_before_close_minutes": 15,
    "risk.max_notional_frac": 0.20,
    "risk.max_per_sector": 2,
    "risk.max_position_frac": 0.05,
    "risk.max_positions": 4,
    "risk.max_risk_frac": 0.02,
    "risk.max_working_entries": 4,
    "risk.sectors": {
        "NVDA": ["tech_growth"],
        "CRWD": ["tech_growth"],
        "PLTR": ["tech_growth", "crypto_proxy"],
        "MSTR": ["crypto_proxy"],
        "LLY": ["healthcare"],
        "JPM": ["financials"],
        "CAT": ["industrials"],
        "NEE": ["utilities"],
        "TSM": ["international"],
        "SONY": ["international"],
    },
    "risk.value_frac": FULL_SIZE_FRAC,
    "session.warm_up_sessions": 600,
}
"""Portfolio of the requirement: 4 positions, 2 of a sector group, no shorts, nothing after 15:45, at most 5% of equity each.
`risk.value_frac` is what a full size multiplier asks for; smaller positions are multipliers below 1. Entries begin at 10:00:
the opening range must be over. Sessions warm up for as long as the daily hidden model needs. The driftless market is long
enough for daily signals to be known."""
