"""The checks of the evidence card that a run's own lanes, trades and ledger answer.

The null and the look-ahead check need further runs; whoever makes them adds their result with `EvidenceCard.with_checks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sovereign.research.card import EvidenceCard, EvidenceCheck, EvidenceName
from sovereign.research.configuration import EvidenceConfig, MetricsConfig
from sovereign.research.metrics import Metric, compute_metrics
from sovereign.research.result import LaneResult, RunResult


def build_card(
    run: RunResult,
    further: Iterable[EvidenceCheck] = (),
    config: EvidenceConfig | None = None,
    metrics: Mapping[str, Metric] | None = None,
    metrics_config: MetricsConfig | None = None,
) -> EvidenceCard:
    """Return the card of a run; `further` are checks made elsewhere (null, look-ahead). What is missing is not run."""
    config = config or EvidenceConfig()
    metrics = metrics or compute_metrics(run, metrics_config)
    checks = [
        *_lane(EvidenceName.COST_X2, run.lanes.get("cost_x2"), "net profit with fees and slippage doubled"),
        *_lane(EvidenceName.COST_X3, run.lanes.get("cost_x3"), "net profit with fees and slippage tripled"),
        *_lane(EvidenceName.BANDS, run.lanes.get("pessimistic"), "net profit under the pessimistic fill model"),
        _ambiguous(metrics["ambiguous"], config),
        _trials(metrics["deflated_sharpe"], metrics["overfitting"], run, config),
        EvidenceCheck(
            name=EvidenceName.SAMPLE,
            passed=len(run.trades) >= config.min_trades,
            statistic=float(len(run.trades)),
            threshold=float(config.min_trades),
            detail="closed trades",
        ),
        _mean(metrics),
    ]
    return EvidenceCard.of((*checks, *further))


def _lane(name: EvidenceName, lane: LaneResult | None, detail: str) -> list[EvidenceCheck]:
    if lane is None:
        return []
    return [EvidenceCheck(name=name, passed=lane.net > 0, statistic=float(lane.net), threshold=0.0, detail=detail)]


def _number(metric: Metric) -> float | None:
    return None if metric.value is None else float(metric.value)


def _ambiguous(metric: Metric, config: EvidenceConfig) -> EvidenceCheck:
    share = _number(metric)
    return EvidenceCheck(
        name=EvidenceName.AMBIGUOUS,
        passed=share is not None and share <= config.max_ambiguous_frac,
        statistic=share,
        threshold=config.max_ambiguous_frac,
        detail="share of trades that another fill model decides differently" if share is not None else metric.reason,
    )


def _trials(metric: Metric, overfitting: Metric, run: RunResult, config: EvidenceConfig) -> EvidenceCheck:
    value, chance = _number(metric), _number(overfitting)
    trials = f"{run.trials} trial{'s' if run.trials != 1 else ''} of this strategy on this data"
    detail = f"deflated Sharpe probability, {trials}" if value is not None else f"{metric.reason}; {trials}"
    if chance is not None:
        detail += f"; probability of overfitting {chance:.2f}, allowed {config.max_overfitting:g}"
    is_lucky = value is None or value < config.min_deflated_sharpe or (chance is not None and chance > config.max_overfitting)
    return EvidenceCheck(
        name=EvidenceName.TRIALS,
        passed=not is_lucky,
        statistic=value,
        threshold=config.min_deflated_sharpe,
        detail=detail,
    )


def _mean(metrics: Mapping[str, Metric]) -> EvidenceCheck:
    low, high = _number(metrics["expectancy_low"]), _number(metrics["expectancy_high"])
    detail = metrics["expectancy_low"].reason
    if low is not None and high is not None:
        detail = f"lower end of the interval of the mean, {low:,.2f} to {high:,.2f} ({metrics['expectancy_low'].formula})"
    return EvidenceCheck(
        name=EvidenceName.MEAN, passed=low is not None and low > 0, statistic=low, threshold=0.0, detail=detail
    )
