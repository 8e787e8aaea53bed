"""What the tug of war says of many rows at once: which it refuses by itself, and where a holder has something to decide.

The tests are those of `strategy` candidate by candidate, here of all of them together; that both say the same is a law
(tests/property/test_refusal_laws.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.core.decision import Check
from sovereign.strategies.tug_of_war.configuration import TugOfWarConfig

UNKNOWN, CHOP, TREND, CRISIS = range(4)
"""Codes of the field `regime`."""

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
)
"""What a candidate is refused for by itself, in order."""
_EARNINGS, _STOP = OWN_CHECKS.index("earnings") + 1, OWN_CHECKS.index("stop") + 1

_SEEN = (
    "known_at",
    "close",
    "direction",
    "crowd",
    "crowd_known",
    "regime",
    "can_enter",
    "is_halted",
    "breakout",
    "rsi",
    "ofi_z",
    "is_absorption",
)
"""Fields that say, beside the confidence, what a candidate is refused for."""

EarningsCheck = Callable[[str, int], Check]


class Screen:
    """The strategy's tests of whole blocks of rows.

    Parameters
    ----------
    confidence : field of the rows that the thresholds are held against.
    """

    def __init__(self, config: TugOfWarConfig, confidence: str) -> None:
        self._config = config
        self._confidence = confidence
        self._without = frozenset(config.without)

    def codes(
        self, symbols: Sequence[str], rows: NDArray[Any], are_candidates: NDArray[np.bool_], earnings: EarningsCheck
    ) -> NDArray[np.int8]:
        """Return -1 where there is no candidate, 0 where one passes, else the number of the check that refuses it (from 1)."""
        codes = np.full(len(rows), -1, np.int8)
        index = (are_candidates & ~np.isnan(rows["conviction"])).nonzero()[0]
        if len(index):
            seen = {name: rows[name][index] for name in (*_SEEN, self._confidence)}
            codes[index] = self._refused_by([symbols[place] for place in index.tolist()], seen, earnings)
        return codes

    def _refused_by(
        self, symbols: Sequence[str], rows: Mapping[str, NDArray[Any]], earnings: EarningsCheck
    ) -> NDArray[np.int8]:
        conflict, crowd_config, without = self._config.conflict, self._config.crowd, self._without
        direction, regime, is_halted = rows["direction"], rows["regime"], rows["is_halted"]
        crowd = np.where(rows["crowd_known"], rows["crowd"], 0)
        nowhere = np.zeros(len(symbols), np.bool_)
        is_vetoed = direction == 1 if "veto" not in without else nowhere
        fails = (
            crowd * direction == 1,
            ~(rows[self._confidence] >= np.where(crowd == 0, conflict.min_alone, conflict.min_opposed)),
            ~rows["crowd_known"],
            is_halted,
            ~(rows["can_enter"] | is_halted),
            nowhere if "chop_rule" in without else (regime == CHOP) & ~(direction * rows["breakout"] > 0.0),
            is_vetoed & (rows["rsi"] >= crowd_config.fade_rsi) & (rows["ofi_z"] < crowd_config.fade_ofi),
            is_vetoed & (rows["is_absorption"] == 1),
        )
        found = np.zeros(len(symbols), np.int8)
        for code in range(len(fails), 0, -1):
            found[fails[code - 1]] = code
        if "earnings" not in without:
            for place in (found == 0).nonzero()[0].tolist():
                if not earnings(symbols[place], int(rows["known_at"][place])).passed:
                    found[place] = _EARNINGS
        # A stop is a fraction above 0 of the price, rounded up: less than a tick only where the price is 0 or below.
        found[(found == 0) & (rows["close"] < 1)] = _STOP
        return found

    def due(self, rows: NDArray[Any]) -> NDArray[np.int8]:
        """Return where something closes a position: 1 a long one, 2 a short one, 3 either, 0 none."""
        direction, crowd, is_halted = rows["direction"], rows["crowd"], rows["is_halted"]
        has_turned = rows["streak"] >= self._config.exits.flip_bars
        if "flip_exit" in self._without:
            has_turned = np.zeros(len(rows), np.bool_)
        has_joined = np.array("crowded_exit" not in self._without)
        long = (has_turned & (direction == -1)) | (has_joined & (crowd == 1)) | is_halted
        short = (has_turned & (direction == 1)) | (has_joined & (crowd == -1)) | is_halted
        due: NDArray[np.int8] = long.astype(np.int8) + np.int8(2) * short.astype(np.int8)
        return due
