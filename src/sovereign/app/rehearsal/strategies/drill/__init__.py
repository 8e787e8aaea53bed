"""The drill: orders of every kind, as often as may be. For rehearsals; it knows nothing of markets."""

from __future__ import annotations

from sovereign.app.rehearsal.drill import DrillConfig, DrillStrategy

__all__ = ["CONFIGURATION", "STRATEGY"]

STRATEGY = DrillStrategy
CONFIGURATION = DrillConfig
