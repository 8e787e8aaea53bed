"""A twin's result as JSON-ready values; money is exact text."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sovereign.core.session import from_ns
from sovereign.research.twin.attribution import MEANINGS, Cause, Difference, Figures, Share
from sovereign.research.twin.shadow import TwinResult


def money(value: Decimal) -> str:
    """Return money as exact text."""
    return format(value.normalize(), "f") if value else "0"


def summary_to_plain(result: TwinResult) -> dict[str, Any]:
    """Return everything but the single differences: what a run keeps of its twin."""
    return {
        "session": result.session_id,
        "verdict": result.verdict,
        "is_identical": result.is_identical,
        "is_explained": result.is_explained,
        "strategy": result.strategy,
        "account": result.account,
        "mode": result.mode,
        "trade_date": result.trade_date,
        "is_simulated_data": result.is_simulated_data,
        "lives": result.lives,
        "is_closed": result.is_closed,
        "inputs": result.inputs,
        "ticks": result.ticks,
        "live": _figures(result.live),
        "twin": _figures(result.twin),
        "net_difference": money(result.net),
        "fee_difference": money(result.live.fees - result.twin.fees),
        "causes": {share.cause.value: _share(share) for share in result.shares},
        "differences": len(result.differences),
        "replay": {
            "is_exact": result.replay.is_exact,
            "replayed": result.replay.replayed,
            "stored": result.replay.stored,
            "is_cut": result.replay.is_cut,
            "difference": result.replay.difference,
        },
    }


def to_plain(result: TwinResult) -> dict[str, Any]:
    """Return the whole result."""
    plain = summary_to_plain(result)
    plain["differences"] = [_difference(one) for one in result.differences]
    return plain


def _figures(figures: Figures) -> dict[str, Any]:
    return {
        "decisions": figures.decisions,
        "orders": figures.orders,
        "fills": figures.fills,
        "trades": figures.trades,
        "fees": money(figures.fees),
        "net": money(figures.net),
    }


def _share(share: Share) -> dict[str, Any]:
    return {
        "meaning": MEANINGS[share.cause],
        "decisions": share.decisions,
        "orders": share.orders,
        "fills": share.fills,
        "trades": share.trades,
        "fees": money(share.fees),
        "net": money(share.net),
        "evidence": list(share.evidence),
    }


def _parts(parts: Mapping[Cause, Decimal]) -> dict[str, str]:
    return {cause.value: money(part) for cause, part in parts.items()}


def _difference(one: Difference) -> dict[str, Any]:
    return {
        "kind": one.kind.value,
        "utc": from_ns(one.ts).isoformat() if one.ts else None,
        "ts": one.ts,
        "name": one.name,
        "causes": [cause.value for cause in one.causes],
        "fields": list(one.fields),
        "live": None if one.live is None else dict(one.live),
        "twin": None if one.twin is None else dict(one.twin),
        "net": money(one.net),
        "net_by_cause": _parts(one.parts),
        "fee": money(one.fee),
        "fee_by_cause": _parts(one.fee_parts),
    }
