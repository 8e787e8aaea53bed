"""What a run assumed in its own favor: every setting of evidence, metrics and execution that is softer than its default.

Anyone may loosen a threshold to explore. The evidence card then says which ones were loosened, and the run is not called
evidence, since it was not held against the rules that other runs were held against.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from sovereign.core.configuration import Configuration
from sovereign.core.instrument import Instrument, find_instrument
from sovereign.execution.fill_model import BarOrder, ExecutionConfig, FillModelName
from sovereign.research.card import EvidenceCheck, EvidenceName
from sovereign.research.configuration import EvidenceConfig, MetricsConfig

_EASIER_WHEN_LESS = (
    "null_sessions",
    "null_ticks",
    "null_symbols",
    "null_min_trades",
    "future_cuts",
    "future_ticks",
    "future_sessions",
    "min_trades",
    "min_deflated_sharpe",
    "risk_free_frac",
    "confidence_frac",
    "bootstrap_samples",
    "latency_ms",
    "crosses_spread",
    "spread_factor",
    "unquoted_spread_ticks",
    "market_slippage_ticks",
    "stop_slippage_ticks",
    "through_ticks",
)
_EASIER_WHEN_MORE = ("null_max_t", "max_ambiguous_frac", "max_overfitting", "participation_frac")
_EASIER_WHEN_OTHER = ("null_seed", "bootstrap_seed", "overfitting_blocks")  # to try seeds is to pick the luckiest
_WITHOUT_LIMIT = {"queue_lots": -1, "depth_lots": 0}  # the value that stands for "no limit", which orders beside the others
_BAR_ORDERS = (BarOrder.STOP, BarOrder.PATH, BarOrder.TARGET)  # from the hardest to the easiest
_FRIENDLINESS = (FillModelName.PESSIMISTIC, FillModelName.REALISTIC, FillModelName.OPTIMISTIC)


def softened(
    evidence: EvidenceConfig, metrics: MetricsConfig, execution: ExecutionConfig, instruments: Iterable[Instrument]
) -> tuple[str, ...]:
    """Return each setting that is softer than its default, as `section.key value (default value)`."""
    found = [*_softer("evidence", evidence, EvidenceConfig()), *_softer("metrics", metrics, MetricsConfig())]
    standing = ExecutionConfig()
    if _FRIENDLINESS.index(execution.fill_model) > _FRIENDLINESS.index(standing.fill_model):
        found.append(_line("execution.fill_model", execution.fill_model.value, standing.fill_model.value))
    found += _softer("execution", execution, standing)
    for name in FillModelName:
        found += _softer(f"execution.fill_models.{name.value}", execution.model_of(name), standing.model_of(name))
    fees = {i.root: find_instrument(i.root).fee_per_side for i in instruments}  # as published, whatever is charged
    for root, usual in sorted(fees.items()):
        fee = execution.fees.get(root, usual)
        if fee < usual:
            found.append(_line(f"execution.fees.{root}", fee, usual))
    return tuple(found)


def assumption_check(found: Sequence[str], *, is_simulated: bool) -> EvidenceCheck:
    """Return the card's check on what `softened` found; a simulated market is nobody's evidence either."""
    reasons = [*found, *(["the market data is simulated"] if is_simulated else [])]
    return EvidenceCheck(
        name=EvidenceName.ASSUMPTIONS,
        passed=not reasons,
        statistic=float(len(reasons)),
        threshold=0.0,
        detail="softer than standing: " + "; ".join(reasons) if reasons else "no setting is softer than its default",
    )


def _softer(section: str, given: Configuration, standing: Configuration) -> Iterator[str]:
    for name in type(given).model_fields:
        value, usual = getattr(given, name), getattr(standing, name)
        is_easier = _friendlier(value, usual) if name == "bar_order" else _is_easier(name, value, usual)
        if value != usual and is_easier:
            yield _line(f"{section}.{name}", value, usual)


def _friendlier(value: BarOrder, usual: BarOrder) -> bool:
    return _BAR_ORDERS.index(value) > _BAR_ORDERS.index(usual)


def _is_easier(name: str, value: float, usual: float) -> bool:
    if name == "queue_lots":  # -1: a touch never fills, the hardest of all
        return value != _WITHOUT_LIMIT[name] and (usual == _WITHOUT_LIMIT[name] or value < usual)
    if name == "depth_lots":  # 0: a taker moves no price, the easiest of all
        return value == _WITHOUT_LIMIT[name] or (usual != _WITHOUT_LIMIT[name] and value > usual)
    if name in _EASIER_WHEN_LESS:
        return value < usual
    return name in _EASIER_WHEN_OTHER or (name in _EASIER_WHEN_MORE and value > usual)


def _line(key: str, value: float | str | Decimal, usual: float | str | Decimal) -> str:
    return f"{key} {_said(value)} (default {_said(usual)})"


def _said(value: float | str | Decimal) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
