"""Laws of drawdown, streaks and overfitting that hold for any trades."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sovereign.research.metrics import longest_losing_streak
from sovereign.research.sharpe import expected_maximum_sharpe, probabilistic_sharpe
from sovereign.research.stress import drawdowns, losing_streaks

nets = st.lists(st.integers(-1_000, 1_000), min_size=1, max_size=40).map(lambda values: np.array([values], float))


@given(nets)
def test_drawdown_when_looked_at_step_by_step_then_is_the_deepest_fall(paths):
    equity = high = 10_000.0
    deepest = 0.0
    for net in paths[0]:
        equity += net
        high = max(high, equity)
        deepest = max(deepest, high - equity)
    assert drawdowns(paths, 10_000.0)[0][0] == deepest


@given(nets)
def test_drawdown_when_gains_come_first_then_is_all_losses_together(paths):
    ordered = np.sort(paths, axis=1)[:, ::-1]
    money = drawdowns(ordered, 10_000.0)[0][0]
    assert money == -np.minimum(paths, 0.0).sum()
    assert money >= drawdowns(paths, 10_000.0)[0][0]


@given(nets)
def test_streak_when_counted_for_a_path_then_agrees_with_one_by_one(paths):
    assert losing_streaks(paths)[0] == longest_losing_streak(paths[0])


@given(st.floats(0.01, 1.0), st.integers(2, 1_000))
def test_luck_when_one_more_trial_is_made_then_grows(variance, trials):
    assert expected_maximum_sharpe(variance, trials + 1) > expected_maximum_sharpe(variance, trials)


@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.integers(2, 5_000))
def test_probability_when_benchmark_rises_then_never_rises(sharpe, benchmark, count):
    low = probabilistic_sharpe(sharpe, benchmark, count, 0.0, 3.0)
    high = probabilistic_sharpe(sharpe, benchmark + 0.1, count, 0.0, 3.0)
    assert 0.0 <= high <= low <= 1.0
