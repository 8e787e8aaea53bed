"""The router: the tables of definitions 5.4, the order of its gates, and its settings."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from sovereign.kernels.router import RegimeRule, RouterConfig, route, router_config
from sovereign.kernels.row import CANDIDATE, ROW, Gate, Pattern, Regime
from sovereign.kernels.setting import PATTERN_NAMES

P, R, G = Pattern, Regime, Gate

LONG = {P.BUY_IMBALANCE, P.STACKED_BUY_IMBALANCE, P.SELLING_EXHAUSTION, P.BUYING_ABSORPTION}
SHORT = {P.SELL_IMBALANCE, P.STACKED_SELL_IMBALANCE, P.BUYING_EXHAUSTION, P.SELLING_ABSORPTION}

# Definitions 5.4, by hand: what passes at full strength and confidence.
PASSES = {
    R.NO_TRADE: set(),
    R.TRENDING_UP: {(P.BUYING_ABSORPTION, 1), (P.SELLING_EXHAUSTION, 1), (P.DELTA_DIVERGENCE, 1)},
    R.TRENDING_DOWN: {(P.SELLING_ABSORPTION, -1), (P.BUYING_EXHAUSTION, -1), (P.DELTA_DIVERGENCE, -1)},
    R.RANGING: {
        (P.BUYING_EXHAUSTION, -1),
        (P.SELLING_EXHAUSTION, 1),
        (P.BUYING_ABSORPTION, 1),
        (P.SELLING_ABSORPTION, -1),
    },
    R.VOLATILE: {(P.STACKED_BUY_IMBALANCE, 1), (P.STACKED_SELL_IMBALANCE, -1)},
}
SIZE = {R.NO_TRADE: 0.0, R.TRENDING_UP: 1.0, R.TRENDING_DOWN: 1.0, R.RANGING: 0.75, R.VOLATILE: 0.5}


def sides(pattern: Pattern) -> tuple[int, ...]:
    if pattern is P.UNFINISHED_AUCTION:
        return (0,)
    if pattern is P.DELTA_DIVERGENCE:
        return (1, -1)
    return (1,) if pattern in LONG else (-1,)


def judge(
    regime: Regime,
    seen: list[tuple[Pattern, int, float]],
    *,
    confidence: float = 1.0,
    config: RouterConfig | None = None,
) -> tuple[bool, np.ndarray]:
    rows = np.zeros(2, ROW)
    rows["regime"][1] = regime
    rows["regime_confidence"][1] = confidence
    candidates = np.zeros(len(seen) + 2, CANDIDATE)  # one foreign candidate on either side, not to be touched
    candidates["gate"] = -1
    for n, (pattern, side, strength) in enumerate(seen, start=1):
        candidates["pattern"][n], candidates["side"][n], candidates["strength"][n] = pattern, side, strength
    passed = route(router_config(config or RouterConfig()), rows, 1, candidates, 1, len(seen))
    assert candidates["gate"][0] == candidates["gate"][-1] == -1
    return passed, candidates[1:-1]


@pytest.mark.parametrize("regime", list(Regime))
def test_route_when_patterns_are_strong_then_passes_exactly_the_table(regime: Regime) -> None:
    seen = [(pattern, side, 1.0) for pattern in Pattern for side in sides(pattern)]
    passed, out = judge(regime, seen)
    through = {(P(c["pattern"]), int(c["side"])) for c in out if c["gate"] == G.PASSED}
    assert through == PASSES[regime]
    assert passed == bool(PASSES[regime])
    assert set(out["regime"]) == {regime}
    assert set(out["size_multiplier"]) == {SIZE[regime]}
    assert set(out["confidence"]) == {1.0}


@pytest.mark.parametrize(
    ("regime", "candidate", "confidence", "gate"),
    [
        (R.NO_TRADE, (P.BUYING_ABSORPTION, 1, 1.0), np.nan, G.NO_TRADE),
        (R.TRENDING_UP, (P.BUY_IMBALANCE, 1, 1.0), 1.0, G.PATTERN_DISABLED),
        (R.TRENDING_UP, (P.STACKED_BUY_IMBALANCE, 1, 1.0), 1.0, G.PATTERN_DISABLED),
        (R.TRENDING_UP, (P.DELTA_DIVERGENCE, -1, 1.0), 1.0, G.SIDE_DISABLED),
        (R.TRENDING_DOWN, (P.DELTA_DIVERGENCE, 1, 1.0), 1.0, G.SIDE_DISABLED),
        (R.RANGING, (P.UNFINISHED_AUCTION, 0, 1.0), 1.0, G.CONTEXT_ONLY),
        (R.RANGING, (P.UNFINISHED_AUCTION, 1, 1.0), 1.0, G.CONTEXT_ONLY),
        (R.RANGING, (P.BUYING_ABSORPTION, 1, 0.49), 1.0, G.STRENGTH),
        (R.RANGING, (P.BUYING_ABSORPTION, 1, 0.5), 0.6, G.PASSED),
        (R.RANGING, (P.BUYING_ABSORPTION, 1, 0.5), 0.59, G.CONFIDENCE),
        (R.RANGING, (P.BUYING_ABSORPTION, 1, 0.4), 0.5, G.STRENGTH),  # the first gate that fails is kept
        (R.RANGING, (P.BUYING_ABSORPTION, 1, np.nan), 1.0, G.STRENGTH),
        (R.RANGING, (P.BUYING_ABSORPTION, 1, 1.0), np.nan, G.CONFIDENCE),
    ],
)
def test_route_when_a_gate_fails_then_the_candidate_carries_the_first(
    regime: Regime, candidate: tuple[Pattern, int, float], confidence: float, gate: Gate
) -> None:
    passed, out = judge(regime, [candidate], confidence=confidence)
    assert out["gate"][0] == gate
    assert passed == (gate is G.PASSED)


def test_route_when_nothing_was_seen_then_nothing_passes() -> None:
    assert judge(R.RANGING, [])[0] is False


def test_route_when_imbalances_are_enabled_in_trends_then_they_pass_along_the_trend() -> None:
    config = RouterConfig(trending_up=RegimeRule(patterns=("buy_imbalance", "sell_imbalance"), sides="long"))
    _, out = judge(R.TRENDING_UP, [(P.BUY_IMBALANCE, 1, 1.0), (P.SELL_IMBALANCE, -1, 1.0)], config=config)
    assert list(out["gate"]) == [G.PASSED, G.SIDE_DISABLED]


@pytest.mark.parametrize("regime", [R.TRENDING_UP, R.TRENDING_DOWN, R.RANGING, R.VOLATILE])
def test_rule_when_changed_then_its_regime_obeys(regime: Regime) -> None:
    rule = RegimeRule(patterns=("buy_imbalance",), sides="short", size_multiplier=0.25)
    config = RouterConfig.model_validate({regime.name.lower(): rule})
    _, out = judge(regime, [(P.BUY_IMBALANCE, -1, 1.0), (P.BUY_IMBALANCE, 1, 1.0)], config=config)
    assert list(out["gate"]) == [G.PASSED, G.SIDE_DISABLED]
    assert set(out["size_multiplier"]) == {0.25}


def test_thresholds_when_changed_then_obeyed() -> None:
    config = RouterConfig(min_strength=0.9, min_confidence=0.3)
    _, out = judge(R.RANGING, [(P.BUYING_ABSORPTION, 1, 0.8), (P.BUYING_ABSORPTION, 1, 0.95)], confidence=0.31, config=config)
    assert list(out["gate"]) == [G.STRENGTH, G.PASSED]


def test_size_when_scaled_by_confidence_then_multiplied() -> None:
    config = RouterConfig(scale_size_by_confidence=True)
    _, out = judge(R.RANGING, [(P.BUYING_ABSORPTION, 1, 1.0)], confidence=0.8, config=config)
    assert out["size_multiplier"][0] == pytest.approx(0.6)  # .75 * .8
    _, none = judge(R.NO_TRADE, [(P.BUYING_ABSORPTION, 1, 1.0)], confidence=np.nan, config=config)
    assert none["size_multiplier"][0] == 0.0


def test_pattern_names_when_compared_with_the_codes_then_in_the_same_order() -> None:
    assert tuple(pattern.name.lower() for pattern in Pattern) == PATTERN_NAMES


@pytest.mark.parametrize(
    "wrong", [{"patterns": ("stacked",)}, {"patterns": (), "size_multiplier": 0}, {"patterns": (), "sides": "up"}]
)
def test_rule_when_not_allowed_then_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RegimeRule.model_validate(wrong)
