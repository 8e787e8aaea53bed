"""What the tug of war says of many rows at once: which it refuses by itself, and where a holder has something to decide.

The tests are those of `strategy` and `entry_checks` candidate by candidate, here of all of them together; that both say the
same is a law (tests/property/test_refusal_laws.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.core.decision import Check
from sovereign.kernels.tug_screen import EARNINGS, STOP, due_rows, screen_rows
from sovereign.strategies.tug_of_war.configuration import TugOfWarConfig

UNKNOWN, CHOP, TREND, CRISIS = range(4)
"""Codes of the field `regime`."""

REGIMES = {UNKNOWN: "UNKNOWN", CHOP: "CHOP", TREND: "TREND", CRISIS: "CRISIS"}
"""Their names."""

OWN_CHECKS = (
    "crowded",
    "conviction",
    "crowd_known",
    "halt",
    "regime",
    "opening_range",
    "fade",
    "absorption",
    "earnings",
    "stop",
    "quote",
)
"""What a candidate is refused for by itself, in order; a row knows nothing of the last."""

EarningsCheck = Callable[[str, int], Check]


class Screen:
    """The strategy's tests of whole blocks of rows."""

    def __init__(self, config: TugOfWarConfig) -> None:
        without, conflict, crowd = frozenset(config.without), config.conflict, config.crowd
        self._tests = (
            ("raw", "rank", "probability").index(config.confidence.measure),
            conflict.min_opposed,
            conflict.min_alone,
            crowd.fade_rsi,
            crowd.fade_ofi,
            "chop_rule" not in without,
            "veto" not in without,
        )
        self._exits = (config.exits.flip_bars, "flip_exit" not in without, "crowded_exit" not in without)
        self._knows_earnings = "earnings" not in without

    def codes(self, symbols: Sequence[str], rows: NDArray[Any], earnings: EarningsCheck) -> NDArray[np.int8]:
        """Return -1 where there is no candidate, 0 where one passes, else the number of the check that refuses it (from 1)."""
        codes = np.empty(len(rows), np.int8)
        screen_rows(rows, *self._tests, codes)
        if self._knows_earnings:
            for place in ((codes == 0) | (codes == STOP)).nonzero()[0].tolist():
                if not earnings(symbols[place], int(rows["known_at"][place])).passed:
                    codes[place] = EARNINGS
        return codes

    def due(self, rows: NDArray[Any]) -> NDArray[np.int8]:
        """Return where something closes a position: 1 a long one, 2 a short one, 3 either, 0 none."""
        due = np.empty(len(rows), np.int8)
        due_rows(rows, *self._exits, due)
        return due
