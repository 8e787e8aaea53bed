"""What a part is worth: the same days with and without it, the bootstrap interval, and rivals chosen early and judged late."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from scipy import stats

from council_cases import SPY, restless
from sovereign.app.cli.common import settings_from
from sovereign.app.plan import recipe_of
from sovereign.core.errors import UsageError
from sovereign.core.port import Block
from sovereign.research.ablation import (
    WHOLE,
    VariantResult,
    block_bootstrap_mean,
    choices_of,
    compare_variants,
    comparisons_text,
    parts_of,
    variants_of,
)
from sovereign.research.backtest import main_lane, run_backtest
from sovereign.research.configuration import MetricsConfig
from sovereign.strategies.council import CouncilConfig
from sovereign.strategies.order_flow.configuration import OrderFlowConfig

METRICS = MetricsConfig()
SECTION = CouncilConfig.model_validate({"position": {"min_confidence": 0.2, "max_bars": 9}})


class Days:
    """A feed of given sessions."""

    is_simulated = True

    def __init__(self, days):
        self._days = days

    def sessions(self):
        return (session for session, _ in self._days)

    def instruments(self, _session):
        return (SPY,)

    def blocks(self, session):
        yield Block("SPY", next(t for s, t in self._days if s is session), session.close_ns)


def recipe():
    settings = settings_from(None, ["risk.stale_data_s=600"], "council").settings
    return replace(recipe_of(settings, "council"), strategy_config=SECTION)


def test_parts_when_a_strategy_names_none_then_says_what_to_do():
    with pytest.raises(UsageError, match="names no parts to leave out"):
        parts_of("order_flow", OrderFlowConfig())


def test_variants_when_all_are_asked_for_then_one_for_each_part_and_each_rival():
    found = variants_of("council", CouncilConfig())
    agents = ("hedge", "liquidity", "sentiment", "wyckoff", "markov")
    expected = [WHOLE, *(f"without {part}" for part in (*agents, "memory", "regime_gating")), "combiner.rule = conflict"]
    assert list(found) == expected
    assert found["without hedge"].without == ("hedge",)
    assert found["combiner.rule = conflict"].combiner.rule == "conflict"


def test_variants_when_a_part_is_unknown_then_names_the_closest():
    with pytest.raises(UsageError, match=r"part was 'hegde' \(did you mean 'hedge'\?\)"):
        variants_of("council", CouncilConfig(), ["hegde"])
    assert list(variants_of("council", CouncilConfig(), ["memory"])) == [WHOLE, "without memory"]


def test_comparison_when_variants_share_signals_then_each_is_its_own_backtest():
    days = Days(restless(7, 9))
    variants = variants_of("council", SECTION, ["sentiment", "combiner.rule"])
    results = compare_variants(recipe(), days, variants, METRICS, judged_frac=0.4)
    assert [result.name for result in results] == list(variants)
    for result, section in zip(results, variants.values(), strict=True):
        lane = main_lane(recipe().execution)
        alone = run_backtest(replace(recipe(), strategy_config=section), days, lanes=(lane,)).lanes[lane.name]
        assert result.trades == len(alone.trades)
        assert result.net == sum((trade.net for trade in alone.trades), Decimal(0))
        assert math.fsum(result.daily) == pytest.approx(float(result.net))
    whole, without, _ = results
    assert whole.trades > 5
    assert (whole.days, whole.judged_days) == (9, 4)
    assert 0 < whole.judged_trades < whole.trades
    expected = float(np.mean(np.array(without.daily[-4:]) - np.array(whole.daily[-4:])))
    assert without.difference == pytest.approx(expected)
    assert without.low <= without.difference <= without.high
    assert math.isnan(whole.difference)


def test_bootstrap_when_days_are_independent_then_interval_is_that_of_the_normal_law():
    values = np.random.default_rng(1).normal(0.5, 2.0, 400)
    low, high = block_bootstrap_mean(values, METRICS)
    half = stats.norm.ppf(0.5 + METRICS.confidence_frac / 2) * values.std(ddof=1) / 20.0
    assert low == pytest.approx(values.mean() - half, abs=0.06)
    assert high == pytest.approx(values.mean() + half, abs=0.06)


def test_bootstrap_when_days_hang_together_then_interval_is_wider():
    rng = np.random.default_rng(2)
    shock, values = rng.normal(0, 1, 500), np.zeros(500)
    for day in range(1, 500):
        values[day] = 0.7 * values[day - 1] + shock[day]
    low, high = block_bootstrap_mean(values, METRICS)
    mixed_low, mixed_high = block_bootstrap_mean(rng.permutation(values), METRICS)
    assert high - low > 1.5 * (mixed_high - mixed_low)


def result(name, daily, judged=2):
    values = [Decimal(str(value)) for value in daily]
    return VariantResult(
        name=name,
        trades=1,
        wins=1,
        net=sum(values, Decimal(0)),
        days=len(daily),
        mean=0.0,
        judged_days=judged,
        judged_trades=1,
        judged_net=Decimal(0),
        difference=0.0,
        low=0.0,
        high=0.0,
        daily=tuple(daily),
    )


@pytest.mark.parametrize(
    ("figures", "mark"),
    [
        ((math.nan, math.nan, math.nan), ""),
        ((0.0, 0.0, 0.0), "no part"),
        ((0.0, -0.1, 0.1), "chance"),
        ((0.4, 0.1, 0.9), "clear"),
        ((-0.4, -0.9, -0.1), "clear"),
    ],
)
def test_mark_when_a_variant_is_compared_then_tells_what_took_no_part_from_what_chance_would_make(figures, mark):
    difference, low, high = figures
    assert replace(result("without news", [1.0, 2.0]), difference=difference, low=low, high=high).mark == mark


def test_comparisons_when_parts_took_no_part_then_are_not_counted_among_them():
    whole = replace(result(WHOLE, [1.0]), difference=math.nan, low=math.nan, high=math.nan)
    same, other = result("without news", [1.0]), replace(result("without alpha", [1.0]), low=-1.0, high=1.0)
    assert comparisons_text([whole, other]) == (
        "Each interval stands alone: of 1 comparisons of equals, one in twenty would look clear."
    )
    assert comparisons_text([whole, same, other, same]).endswith(
        "of 1 comparisons of equals, one in twenty would look clear. 2 took no part: nothing came out otherwise without them."
    )


def test_comparisons_when_nothing_came_out_otherwise_then_says_so():
    whole = replace(result(WHOLE, [1.0]), difference=math.nan, low=math.nan, high=math.nan)
    assert "nothing to compare" in comparisons_text([whole, result("without news", [1.0])])


def test_choice_when_the_early_winner_loses_late_then_is_judged_by_the_late_days_alone():
    whole, rival = result(WHOLE, [1.0, 1.0, -5.0, -5.0]), result("combiner.rule = conflict", [5.0, 5.0, -9.0, -9.0])
    (choice,) = choices_of("council", CouncilConfig(), [whole, rival], METRICS)
    assert (choice.chosen, choice.other) == ("combiner.rule = conflict", "combiner.rule = consensus")
    assert choice.earned == {"combiner.rule = consensus": 1.0, "combiner.rule = conflict": 5.0}
    assert choice.difference == pytest.approx(-4.0)
    assert choice.is_clear


@pytest.mark.parametrize(
    "results", [[result(WHOLE, [1.0, 2.0])], [result(WHOLE, [1.0, 2.0]), result("combiner.rule = conflict", [1.0, 2.0])]]
)
def test_choice_when_there_is_nothing_to_choose_by_then_none(results):
    assert choices_of("council", CouncilConfig(), results, METRICS) == ()


@pytest.mark.parametrize("judged", [0.0, 1.1, -0.5])
def test_comparison_when_the_judged_share_is_impossible_then_is_refused(judged):
    with pytest.raises(UsageError, match="judged share"):
        compare_variants(recipe(), Days(()), {WHOLE: SECTION}, METRICS, judged_frac=judged)
