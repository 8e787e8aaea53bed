"""The router's gates as checks: for candidates that passed, one by one; for those refused, by the column."""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.core.decision import Check, RefusedCheck, RefusedColumns
from sovereign.kernels.row import ROW, Gate, NoTrade, Pattern, Regime
from sovereign.kernels.setting import RouterConfig

Records = NDArray[Any]

PATTERN_WORDS: tuple[str, ...] = tuple(pattern.name for pattern in Pattern)
REGIME_WORDS: tuple[str, ...] = tuple(regime.name for regime in Regime)

ROW_INPUTS = (
    "open",
    "high",
    "low",
    "close",
    "volume",
    "delta",
    "cumulative_delta",
    "session_vwap",
    "poc",
    "ema_fast",
    "ema_slow",
    "atr",
    "adx",
    "atr_percentile",
    "volume_ratio",
    "structure",
    "regime_confidence",
)
"""Fields of the bar that every decision records."""


_WORDS = {
    NoTrade.WARM_UP: "indicators warming up",
    NoTrade.CLOSED: "outside the hours of strategies.order_flow.regime.hours",
    NoTrade.SESSION_EDGE: "edge of the session",
    NoTrade.NEWS: "news",
    NoTrade.LOW_VOLUME: "low volume",
}


@dataclass(frozen=True, slots=True)
class GateCheck:
    """One gate of the router as a check: `reason` says in words what failing it means."""

    gate: Gate
    name: str
    unit: str
    reason: str


GATE_CHECKS = (
    GateCheck(
        Gate.NO_TRADE,
        "tradable",
        "no-trade code",
        f"the bar is not to be traded ({', '.join(f'{why:d} {_WORDS[why]}' for why in NoTrade if why)})",
    ),
    GateCheck(Gate.PATTERN_DISABLED, "pattern_enabled", "0 or 1", "the regime does not trade this pattern"),
    GateCheck(Gate.SIDE_DISABLED, "side_enabled", "0 or 1", "the regime does not trade this direction"),
    GateCheck(Gate.CONTEXT_ONLY, "is_entry", "0 or 1", "the pattern is context, never an entry"),
    GateCheck(Gate.STRENGTH, "strength", "fraction", "the pattern is weaker than the least strength"),
    GateCheck(Gate.CONFIDENCE, "confidence", "fraction", "the regime is less sure than the least confidence"),
)
"""The gates in the order of the router: gate code `n` is entry `n - 1`. The first passes at 0, the others at value >= limit."""


_IN_ROW = itemgetter(*[(ROW.names or ()).index(name) for name in ROW_INPUTS])
_CONSTANT = tuple(
    (
        Check(GATE_CHECKS[0].name, 0.0, 0.0, GATE_CHECKS[0].unit, True, regime),
        *(Check(gate.name, 1.0, 1.0, gate.unit, True, regime) for gate in GATE_CHECKS[1:4]),
    )
    for regime in REGIME_WORDS
)


def row_inputs(row: np.void) -> dict[str, Any]:
    """Return the fields of a bar that a decision records, as plain Python values."""
    return dict(zip(ROW_INPUTS, _IN_ROW(row.item()), strict=True))


def constant_checks(regime: int) -> tuple[Check, ...]:
    """Return the checks without a threshold, as they read for a candidate that passed them in `regime`."""
    return _CONSTANT[regime]


def threshold_checks(strength: float, confidence: float, config: RouterConfig) -> tuple[Check, Check]:
    """Return the checks of strength and of confidence for a candidate that passed them."""
    by_strength, by_confidence = GATE_CHECKS[4], GATE_CHECKS[5]
    return (
        Check(by_strength.name, strength, config.min_strength, by_strength.unit, True),
        Check(by_confidence.name, confidence, config.min_confidence, by_confidence.unit, True),
    )


def refused_columns(rows: Records, candidates: Records, config: RouterConfig) -> RefusedColumns:
    """Return the router's refusals of a session, by column.

    Parameters
    ----------
    rows : the session's bars, of `ROW`.
    candidates : the session's candidates, of `CANDIDATE`; those that passed are left out.
    config : the router they met.
    """
    index = np.flatnonzero(candidates["gate"] != Gate.PASSED)
    refused = candidates[index]
    at = refused["row"].astype(np.int64)
    bars = rows[at]
    failed = refused["gate"].astype(np.int64) - 1
    strength = refused["strength"].astype(np.float64)
    confidence = refused["confidence"].astype(np.float64)
    values: tuple[NDArray[np.float64], ...] = (
        bars["no_trade"].astype(np.float64),
        (failed != Gate.PATTERN_DISABLED - 1).astype(np.float64),
        (failed != Gate.SIDE_DISABLED - 1).astype(np.float64),
        (failed != Gate.CONTEXT_ONLY - 1).astype(np.float64),
        strength,
        confidence,
    )
    limits = (0.0, 1.0, 1.0, 1.0, config.min_strength, config.min_confidence)
    checks = tuple(
        RefusedCheck(name=gate.name, value=value, limit=limit, unit=gate.unit, reason=gate.reason)
        for gate, value, limit in zip(GATE_CHECKS, values, limits, strict=True)
    )
    inputs: dict[str, NDArray[Any]] = {"price": refused["price"], "value": refused["value"], "regime": refused["regime"]}
    inputs.update((name, bars[name]) for name in ROW_INPUTS)
    return RefusedColumns(
        index=index,
        row=at,
        ts=refused["known_at"].astype(np.int64),
        name=refused["pattern"].astype(np.int64),
        names=PATTERN_WORDS,
        side=refused["side"],
        strength=strength,
        confidence=confidence,
        checks=checks,
        failed=failed,
        inputs=inputs,
    )
