"""The router: which candidates of a bar may be traded in its regime.

The rules are data: one bit mask of sides per regime and pattern. A candidate carries the first gate it failed, so that what
each gate is worth can be measured later. Source: definitions 5.4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.kernels.compile import kernel
from sovereign.kernels.row import Gate, Pattern, Regime
from sovereign.kernels.setting import PATTERN_NAMES, RegimeRule, RouterConfig

__all__ = ["ROUTER_CONFIG", "RegimeRule", "RouterConfig", "route", "router_config"]

Records = NDArray[Any]

ROUTER_CONFIG = np.dtype(
    [
        ("patterns", np.int8, (len(Regime), len(Pattern))),
        ("longs", np.int8, (len(Regime),)),
        ("shorts", np.int8, (len(Regime),)),
        ("size_multiplier", np.float64, (len(Regime),)),
        ("min_strength", np.float64),
        ("min_confidence", np.float64),
        ("scale_size_by_confidence", np.bool_),
    ],
    align=True,
)
"""The router's tables, by regime code and pattern code."""

_NO_TRADE_REGIME = int(Regime.NO_TRADE)
_UNFINISHED = int(Pattern.UNFINISHED_AUCTION)
_PASSED = int(Gate.PASSED)
_NO_TRADE = int(Gate.NO_TRADE)
_PATTERN_DISABLED = int(Gate.PATTERN_DISABLED)
_SIDE_DISABLED = int(Gate.SIDE_DISABLED)
_CONTEXT_ONLY = int(Gate.CONTEXT_ONLY)
_STRENGTH = int(Gate.STRENGTH)
_CONFIDENCE = int(Gate.CONFIDENCE)


def router_config(config: RouterConfig) -> Records:
    """Return the rules as a one-element array of `ROUTER_CONFIG`."""
    record = np.zeros(1, ROUTER_CONFIG)
    rules = {
        Regime.TRENDING_UP: config.trending_up,
        Regime.TRENDING_DOWN: config.trending_down,
        Regime.RANGING: config.ranging,
        Regime.VOLATILE: config.volatile,
    }
    for regime, rule in rules.items():
        for name in rule.patterns:
            record["patterns"][0, regime, PATTERN_NAMES.index(name)] = True
        record["longs"][0, regime] = rule.sides in {"long", "both"}
        record["shorts"][0, regime] = rule.sides in {"short", "both"}
        record["size_multiplier"][0, regime] = rule.size_multiplier
    record["min_strength"] = config.min_strength
    record["min_confidence"] = config.min_confidence
    record["scale_size_by_confidence"] = config.scale_size_by_confidence
    return record


@kernel
def route(config: Records, rows: Records, i: int, candidates: Records, first: int, count: int) -> bool:
    """Judge the `count` candidates of bar `rows[i]` from `candidates[first]` on; return whether any passed.

    Reads `pattern`, `side` and `strength`; writes `gate`, `regime`, `confidence` (in the regime; NaN in NO_TRADE) and
    `size_multiplier` (0 in NO_TRADE). NaN strength or confidence fails its gate.
    """
    c = config[0]
    regime = rows[i]["regime"]
    confidence = rows[i]["regime_confidence"]
    size = c["size_multiplier"][regime]
    if c["scale_size_by_confidence"]:
        size *= confidence
    any_passed = False
    for n in range(first, first + count):
        candidate = candidates[n]
        pattern = candidate["pattern"]
        side = candidate["side"]
        candidate["regime"] = regime
        candidate["confidence"] = confidence
        candidate["size_multiplier"] = 0.0 if regime == _NO_TRADE_REGIME else size
        gate = _PASSED
        if regime == _NO_TRADE_REGIME:
            gate = _NO_TRADE
        elif not c["patterns"][regime, pattern]:
            gate = _PATTERN_DISABLED
        elif (side > 0 and not c["longs"][regime]) or (side < 0 and not c["shorts"][regime]):
            gate = _SIDE_DISABLED
        elif side == 0 or pattern == _UNFINISHED:
            gate = _CONTEXT_ONLY
        elif not candidate["strength"] >= c["min_strength"]:
            gate = _STRENGTH
        elif not confidence >= c["min_confidence"]:
            gate = _CONFIDENCE
        else:
            any_passed = True
        candidate["gate"] = gate
    return any_passed
