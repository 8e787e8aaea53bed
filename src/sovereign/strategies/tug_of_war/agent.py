"""The two camps. Each turns a row into a view; what is unknown makes a camp abstain, which is not the same as no direction."""

from __future__ import annotations

import math
from typing import Any

from sovereign.signals.tug_of_war import CrowdConfig
from sovereign.strategies.combiner import AgentRole, AgentView
from sovereign.strategies.tug_of_war.configuration import ConfidenceConfig

_SIGNALS = (("momentum_z", "momentum"), ("alpha_z", "alpha"), ("breakout", "breakout"), ("news_tone", "news"))

MEASURE_FIELDS = {"raw": "raw_confidence", "rank": "rank", "probability": "probability"}
"""Field of the row by measure of confidence."""


class InstitutionalAgent:
    """Momentum, alpha, opening range and news, weighed against each other."""

    name = "institutions"

    def __init__(self, config: ConfidenceConfig) -> None:
        self.field = MEASURE_FIELDS[config.measure]
        """Field of the row that is its confidence."""

    def view(self, row: Any) -> AgentView:
        """Return the conviction's direction with the confidence that the settings choose; abstain when nothing is known."""
        conviction, confidence = float(row["conviction"]), float(row[self.field])
        if math.isnan(conviction) or math.isnan(confidence):
            return AgentView(self.name, AgentRole.INSTITUTION, None, reason="history too short")
        words = [f"{word} {float(row[field]):+.2f}" for field, word in _SIGNALS if not math.isnan(row[field])]
        return AgentView(self.name, AgentRole.INSTITUTION, int(row["direction"]), confidence, ", ".join(words))


class CrowdAgent:
    """What the crowd does by itself: greed is long, fear is short. What institutions make of it is no part of its view."""

    name = "crowd"

    def __init__(self, config: CrowdConfig) -> None:
        self._base, self._span = config.base_confidence, config.share_confidence

    def view(self, row: Any) -> AgentView:
        """Return greed or fear with its share of the points; abstain when nothing is known."""
        if not row["crowd_known"]:
            return CROWD_UNKNOWN
        return self.told(int(row["crowd"]), float(row["crowd_share"]))

    def told(self, direction: int, share: float) -> AgentView:
        """Return the view of a crowd of which something is known: its direction, and the share of all points on that side."""
        confidence = min(1.0, self._base + self._span * share)
        return AgentView(self.name, AgentRole.CROWD, direction, confidence, _MOODS[direction])


_MOODS = {1: "greed", 0: "neither greed nor fear", -1: "fear"}
CROWD_UNKNOWN = AgentView(CrowdAgent.name, AgentRole.CROWD, None, reason="nothing is known of it")
"""The view of a crowd of which nothing is known."""
