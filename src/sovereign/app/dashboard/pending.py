"""Candidates that the gates of a running session have refused so far; the store is given them when the session ends.

They are worked out from the session's own signals, with the ids under which the store will keep them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sovereign.core.event import RowsClosed

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.app.dashboard.replica import Replica
    from sovereign.store.bulk import DecisionColumns

_SIDES = {1: "BUY", -1: "SELL", 0: "NONE"}


def _columns(strategy_name: str, own: Settings, market: Replica, at: int | None) -> list[DecisionColumns]:
    from sovereign.app.plan import strategy_section
    from sovereign.research.runner import refused_columns
    from sovereign.strategies import load_strategy

    session = market.session
    if session is None:
        return []
    strategy = load_strategy(strategy_name, strategy_section(own, strategy_name))
    found: list[DecisionColumns] = []
    for symbol, tape in market.tapes.items():
        rows = tape.rows(at)
        if not len(rows) or tape.stream is None:
            continue
        candidates = tape.candidates(len(rows))
        event = RowsClosed(ts=0, symbol=symbol, trade_date=session.trade_date, rows=rows, candidates=candidates)
        found += list(refused_columns(strategy, event))
    return found


def pending_rows(strategy_name: str, own: Settings, market: Replica, at: int | None) -> list[dict[str, Any]]:
    """Return the candidates refused so far, as the store's view of decisions has them."""
    return [_row(part, place) for part in _columns(strategy_name, own, market, at) for place in range(len(part.ts))]


def _row(part: DecisionColumns, place: int) -> dict[str, Any]:
    return {
        "decision_id": f"{part.prefix}{int(part.index[place])}",
        "ts": int(part.ts[place]),
        "symbol": part.symbol,
        "name": part.names[int(part.name[place])],
        "side": _SIDES[int(part.side[place])],
        "strength": _known(part.strength[place]),
        "confidence": _known(part.confidence[place]),
        "verdict": "REFUSED",
        "failed_check": part.checks[int(part.failed[place])].name,
    }


def pending_detail(strategy_name: str, own: Settings, market: Replica, row: dict[str, Any]) -> dict[str, Any]:
    """Return inputs and checks of one of them."""
    for part in _columns(strategy_name, own, market, None):
        name = row["decision_id"]
        if part.symbol != row["symbol"] or not name.startswith(part.prefix):
            continue
        place = int(np.searchsorted(part.index, int(name[len(part.prefix) :])))
        failed = int(part.failed[place])
        checks = []
        for at, check in enumerate(part.checks[: failed + 1]):
            limit = float(check.limit[place]) if isinstance(check.limit, np.ndarray) else float(check.limit)
            passed = at < failed
            checks.append(
                {
                    "name": check.name,
                    "value": float(check.value[place]),
                    "limit": limit,
                    "unit": check.unit,
                    "passed": passed,
                    "note": "" if passed else check.reason,
                }
            )
        inputs = {key: _known(values[place]) for key, values in part.inputs.items()}
        return {"inputs": inputs, "checks": checks, "reason": part.checks[failed].reason or None}
    return {"inputs": {}, "checks": [], "reason": None}


def _known(value: Any) -> float | None:
    number = float(value)
    return None if number != number else number  # noqa: PLR0124 - NaN is not equal to itself
