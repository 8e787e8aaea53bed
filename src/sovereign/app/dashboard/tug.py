"""What both camps of the tug of war say of every share at its last closed bar, candidate or not, and of the market.

Read from the rows that the session decided on; what was a verdict is counted over its rounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sovereign.app.dashboard.replica import regime_of
from sovereign.strategies.tug_of_war.row import ROW_INPUTS

if TYPE_CHECKING:
    from sovereign.app.dashboard.replica import Replica
    from sovereign.strategies.combiner import AgentView
    from sovereign.strategies.tug_of_war import TugOfWarConfig, TugOfWarStrategy

VERDICTS = ("strong conflict", "weak conflict", "crowded skip", "no signal")
_OF_THE_BAR = tuple(name for name in ROW_INPUTS if name not in ("close", "volume", "p_crisis"))


def tug_standing(market: Replica, strategy: TugOfWarStrategy, at: int | None) -> dict[str, Any]:
    """Return market, verdicts and shares as `model_tug.Tug` has them; the market's lock is held."""
    config = strategy.config
    counts = dict.fromkeys(VERDICTS, 0)
    shares, newest = [], None
    for symbol, tape in market.tapes.items():
        if symbol in config.benchmarks:
            continue
        rows = tape.rows(at)
        if not len(rows) or "cycle" not in (rows.dtype.names or ()):
            shares.append(_share(symbol, None, strategy))
            continue
        shares.append(_share(symbol, rows[-1], strategy))
        if newest is None or rows["known_at"][-1] > newest["known_at"]:
            newest = rows[-1]
        for row in rows[rows["cycle"]]:
            counts[strategy.read(row)[2].verdict] += 1
    return {
        "market": None if newest is None else _market(newest, config),
        "verdicts": {name.replace(" ", "_"): count for name, count in counts.items()},
        "shares": shares,
    }


def _share(symbol: str, row: Any, strategy: TugOfWarStrategy) -> dict[str, Any]:
    if row is None:
        nothing = dict.fromkeys(("ts", "institutions", "crowd", "verdict", "tug_score"))
        return {"symbol": symbol, **nothing, "inputs": {}}
    institutions, crowd, combined = strategy.read(row)
    return {
        "symbol": symbol,
        "ts": int(row["known_at"]),
        "institutions": _camp(institutions),
        "crowd": _camp(crowd),
        "verdict": combined.verdict,
        "tug_score": abs(institutions.confidence - crowd.confidence),
        "inputs": _inputs(row),
    }


def _camp(view: AgentView) -> dict[str, Any]:
    return {"vote": view.word, "confidence": None if view.vote is None else view.confidence, "reason": view.reason}


def _inputs(row: Any) -> Mapping[str, float]:
    found = {name: float(row[name]) for name in _OF_THE_BAR}
    if row["is_absorption"] >= 0:
        found["is_absorption"] = float(row["is_absorption"])
    return {name: value for name, value in found.items() if value == value}  # noqa: PLR0124 - NaN is not equal to itself


def _market(row: Any, config: TugOfWarConfig) -> dict[str, Any]:
    regime = regime_of(row) or {}
    return {
        "ts": int(row["known_at"]),
        **regime,
        "volatility": float(row["market_volatility"]),
        "momentum": float(row["market_momentum"]),
        "benchmark": config.benchmarks[0],
        "mode": mode_of(regime, config),
    }


def mode_of(regime: Mapping[str, Any], config: TugOfWarConfig) -> str:
    """Return how shares are traded in such a market, in words."""
    if not regime["is_tradable"]:
        is_crisis = regime["name"] == "CRISIS" or regime["why_not"].startswith("halted")
        return "everything is closed, nothing opens" if is_crisis else "nothing opens"
    position = config.position
    if regime["name"] == "TREND":
        return f"stop {position.trend_stop_frac * 100:.3g}%, target {position.trend_target_frac * 100:.3g}%"
    words = f"stop {position.chop_stop_frac * 100:.3g}%, target {position.chop_target_frac * 100:.3g}%"
    return words if regime["name"] != "CHOP" or "chop_rule" in config.without else f"{words}, breakouts only"
