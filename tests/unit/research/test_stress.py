"""Stress tests of trades worked out by hand, and of paths whose answer is certain."""

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from example_run import START, ZONE, example_run
from sovereign.core.errors import UsageError
from sovereign.research.configuration import StressConfig
from sovereign.research.result import LaneResult
from sovereign.research.stress import charge_slippage, drawdowns, losing_streaks, stress_run


@pytest.fixture(scope="module")
def trades():
    return example_run().trades


def results(found):
    return {test.name: test.passed for test in found.tests}


@pytest.mark.parametrize(("ticks", "net"), [(0, "169.50"), (1, "69.50"), (2, "-30.50")])
def test_slippage_when_charged_then_costs_two_sides_of_every_trade(trades, ticks, net):
    # Four trades of one ES: a tick on both sides costs 2 x 12.50 each.
    assert charge_slippage(trades, ticks) == Decimal(net)


def test_stress_when_two_ticks_turn_profit_into_loss_then_that_test_fails(trades):
    found = stress_run(trades, START, ZONE)
    assert (results(found)["slippage_1"], results(found)["slippage_2"], found.passed) == (True, False, False)


def test_stress_when_the_engine_can_run_again_then_its_result_counts(trades):
    asked = []

    def rerun(ticks):
        asked.append(ticks)
        return LaneResult(trades=trades[:1], final_balance=START)

    found = stress_run(trades, START, ZONE, StressConfig(slippage_ticks=(1, 3)), rerun)
    assert asked == [1, 3]
    assert [(slip.net, slip.trades, slip.is_rerun) for slip in found.slippage] == [(Decimal("295.50"), 1, True)] * 2


def test_share_when_one_hour_made_everything_then_fails(trades):
    found = stress_run(trades, START, ZONE)
    test = next(test for test in found.tests if test.name == "hour")
    assert (test.passed, test.statistic) == (False, 1.0)
    assert "(10)" in test.detail


def test_share_when_two_weekdays_won_alike_then_is_a_half(trades):
    test = next(test for test in stress_run(trades, START, ZONE).tests if test.name == "weekday")
    assert (test.passed, test.statistic) == (True, 0.5)


def test_drawdown_when_path_is_known_then_agrees():
    money, fraction = drawdowns(
        np.array([[100.0, -50.0, -100.0, 200.0], [1.0, 1.0, 1.0, 1.0], [-40.0, 10.0, 0.0, 0.0]]), 1000.0
    )
    assert money.tolist() == [150.0, 0.0, 40.0]
    assert fraction.tolist() == pytest.approx([150 / 1100, 0.0, 0.04])


def test_streaks_when_paths_are_known_then_agree():
    assert losing_streaks(np.array([[-1.0, -1.0, 0.0, -1.0], [1.0, -1.0, -1.0, -1.0], [1.0, 1.0, 1.0, 1.0]])).tolist() == [
        2,
        3,
        0,
    ]


def test_shuffle_when_every_trade_is_alike_then_every_path_is(trades):
    alike = [replace(trades[1], trade_id=str(number)) for number in range(20)]
    found = stress_run(alike, START, ZONE)
    assert set(found.drawdown.values()) == {20 * 217.0}
    assert set(found.final_profit.values()) == {-20 * 217.0}
    assert set(found.losing_streak.values()) == {20.0}
    assert found.ruin_probability == 0.0


def test_ruin_when_losses_exceed_the_account_then_is_certain(trades):
    alike = [replace(trades[1], trade_id=str(number)) for number in range(30)]
    found = stress_run(alike, START, ZONE)
    assert found.ruin_probability == 1.0
    assert results(found)["ruin"] is False


def test_stress_when_seed_is_the_same_then_so_is_everything(trades):
    first, second, other = (stress_run(trades, START, ZONE, StressConfig(seed=seed)).to_plain() for seed in (1, 1, 2))
    assert first == second
    assert first != other


@pytest.mark.parametrize(("count", "account"), [(1, START), (4, Decimal(0))])
def test_stress_when_there_is_nothing_to_stress_then_says_why(trades, count, account):
    with pytest.raises(UsageError, match="needs two trades and a positive account"):
        stress_run(trades[:count], account, ZONE)
