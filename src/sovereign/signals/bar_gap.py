"""Health of a stream of bars: how long, in the hours, no bar has come."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from sovereign.core.session import NS_PER_SECOND
from sovereign.kernels.lossless_setting import GapConfig


class GapState(IntEnum):
    """How bad a silence is."""

    NONE = 0
    NOTED = 1
    ALERT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BarGaps:
    """Silences of a session so far: how many were noted, how many of those were alerts, and the longest (s)."""

    noted: int = 0
    alerts: int = 0
    longest_s: int = 0

    def after(self, gaps_s: list[int], config: GapConfig) -> BarGaps:
        """Return the count after further bars, given the silence before each (s)."""
        return BarGaps(
            noted=self.noted + sum(gap >= config.note_s for gap in gaps_s),
            alerts=self.alerts + sum(gap >= config.alert_s for gap in gaps_s),
            longest_s=max(self.longest_s, *gaps_s, 0),
        )


def gap_state(ended_ns: int, now_ns: int, width_s: int, config: GapConfig) -> GapState:
    """Return how bad it is that no bar has come since the one that ended at `ended_ns`.

    The bar that is under way is given its width: silence is what goes beyond it.
    """
    silent_ns = now_ns - ended_ns - width_s * NS_PER_SECOND
    if silent_ns >= config.alert_s * NS_PER_SECOND:
        return GapState.ALERT
    return GapState.NOTED if silent_ns >= config.note_s * NS_PER_SECOND else GapState.NONE
