"""Settings may be loosened, but the card says which, and a loosened run is not evidence."""

from decimal import Decimal

import pytest

from sovereign.core.instrument import find_instrument
from sovereign.execution.fill_model import REALISTIC, BarOrder, ExecutionConfig, FillModels
from sovereign.research.assumption import assumption_check, softened
from sovereign.research.card import EvidenceCard, EvidenceCheck, EvidenceName, EvidenceVerdict
from sovereign.research.configuration import EvidenceConfig, MetricsConfig

ES = find_instrument("ES")


def found(evidence=None, metrics=None, execution=None):
    return softened(evidence or EvidenceConfig(), metrics or MetricsConfig(), execution or ExecutionConfig(), [ES])


def realistic(**changes):
    return ExecutionConfig(fill_models=FillModels(realistic=REALISTIC.model_copy(update=changes)))


def test_softened_when_everything_is_default_then_is_empty():
    assert found() == ()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("null_sessions", 2),
        ("null_ticks", 1_000),
        ("null_seed", 7),
        ("null_max_t", 50.0),
        ("null_min_trades", 2),
        ("future_cuts", 1),
        ("future_ticks", 1_000),
        ("max_ambiguous_frac", 1.0),
        ("max_overfitting", 1.0),
        ("min_trades", 2),
        ("min_deflated_sharpe", 0.0),
    ],
)
def test_softened_when_an_evidence_setting_is_easier_then_names_key_value_and_default(key, value):
    (line,) = found(evidence=EvidenceConfig(**{key: value}))
    assert line.startswith(f"evidence.{key} {value:g} (default {getattr(EvidenceConfig(), key):g}")


@pytest.mark.parametrize(
    "harder", [{"null_sessions": 600}, {"null_max_t": 1.0}, {"min_trades": 1_000}, {"max_ambiguous_frac": 0.0}]
)
def test_softened_when_a_setting_is_harder_then_is_empty(harder):
    assert found(evidence=EvidenceConfig(**harder)) == ()


@pytest.mark.parametrize(
    ("execution", "key"),
    [
        (ExecutionConfig(fill_model="optimistic"), "execution.fill_model optimistic"),
        (ExecutionConfig(latency_ms=0), "execution.latency_ms 0"),
        (ExecutionConfig(fees={"ES": Decimal(0)}), "execution.fees.ES 0"),
        (realistic(crosses_spread=False), "execution.fill_models.realistic.crosses_spread false (default true)"),
        (realistic(stop_slippage_ticks=0), "execution.fill_models.realistic.stop_slippage_ticks 0"),
        (realistic(queue_lots=0), "execution.fill_models.realistic.queue_lots 0"),
        (realistic(depth_lots=0), "execution.fill_models.realistic.depth_lots 0"),
    ],
)
def test_softened_when_fills_are_friendlier_then_names_the_setting(execution, key):
    (line,) = found(execution=execution)
    assert line.startswith(key)


@pytest.mark.parametrize(
    "execution",
    [
        ExecutionConfig(fill_model="pessimistic"),
        ExecutionConfig(latency_ms=500),
        ExecutionConfig(fees={"ES": Decimal(5), "CL": Decimal(0)}),  # nothing of the run trades CL
        realistic(queue_lots=-1, depth_lots=10),
    ],
)
def test_softened_when_fills_are_unfriendlier_then_is_empty(execution):
    assert found(execution=execution) == ()


def test_softened_when_confidence_is_lowered_then_names_it():
    assert found(metrics=MetricsConfig(confidence_frac=0.01)) == ("metrics.confidence_frac 0.01 (default 0.95)",)


def test_verdict_when_all_else_passed_but_a_threshold_was_loosened_then_is_weak_and_says_which():
    others = [EvidenceCheck(name=name, passed=True) for name in EvidenceName if name is not EvidenceName.ASSUMPTIONS]
    check = assumption_check(found(evidence=EvidenceConfig(min_trades=2)), is_simulated=False)
    card = EvidenceCard.of((*others, check))
    assert card.verdict is EvidenceVerdict.WEAK
    assert "evidence.min_trades 2 (default 100)" in card.check(EvidenceName.ASSUMPTIONS).detail


def test_check_when_the_market_is_simulated_then_fails_and_says_so():
    check = assumption_check((), is_simulated=True)
    assert (check.passed, check.detail) == (False, "softer than standing: the market data is simulated")


def test_check_when_nothing_is_soft_then_passes():
    assert assumption_check((), is_simulated=False).passed


def _others(value):
    return list(BarOrder) if isinstance(value, BarOrder) else (value - 1, value + 1)


def test_every_evidence_and_fill_setting_has_a_direction():
    """A setting added later must not slip past the check: moving it one way or the other is always noticed."""
    for name, field in EvidenceConfig.model_fields.items():
        moved = [EvidenceConfig.model_construct(**{name: field.default + step}) for step in (-0.25, 0.25)]
        assert any(found(evidence=m) for m in moved), name
    for name in type(REALISTIC).model_fields:
        moved = [realistic(**{name: other}) for other in _others(getattr(REALISTIC, name))]
        assert any(found(execution=m) for m in moved), name
