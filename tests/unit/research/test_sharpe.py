"""Sharpe statistics against the figures printed in the papers, and overfitting against cases whose answer is known."""

from math import sqrt

import numpy as np
import pytest

from sovereign.core.errors import UsageError
from sovereign.research.sharpe import (
    deflated_sharpe,
    expected_maximum_sharpe,
    moments,
    overfitting_probability,
    probabilistic_sharpe,
)


@pytest.mark.parametrize(("skewness", "kurtosis", "probability"), [(0.0, 3.0, 0.982), (-2.448, 10.164, 0.913)])
def test_probability_when_track_record_is_the_papers_then_is_the_papers(skewness, kurtosis, probability):
    # Bailey, Lopez de Prado 2012, section 4: two years of monthly returns with SR 0.458.
    assert probabilistic_sharpe(0.458, 0.0, 24, skewness, kurtosis) == pytest.approx(probability, abs=5e-4)


def test_luckiest_when_100_trials_are_the_papers_then_is_the_papers():
    # Bailey, Lopez de Prado 2014, "A numerical example": V = 1/2 annualized, 250 sessions a year, N = 100 gives 0.1132 a day.
    assert expected_maximum_sharpe(0.5 / 250, 100) == pytest.approx(0.1132, abs=5e-5)


@pytest.mark.parametrize(
    ("trials", "skewness", "kurtosis", "probability"),
    [(100, -3.0, 10.0, 0.9004), (46, -3.0, 10.0, 0.9505), (88, 0.0, 3.0, 0.9505)],
)
def test_deflated_when_strategy_is_the_papers_then_is_the_papers(trials, skewness, kurtosis, probability):
    # Same example: five years of daily returns, annualized SR 2.5.
    found = deflated_sharpe(2.5 / sqrt(250), 1250, skewness, kurtosis, trials, 0.5 / 250)
    assert found == pytest.approx(probability, abs=6e-4)


def test_luckiest_when_there_is_one_trial_then_is_zero():
    assert expected_maximum_sharpe(0.5, 1) == 0.0


@pytest.mark.parametrize(("sharpe", "count"), [(float("nan"), 100), (0.1, 1)])
def test_probability_when_input_is_unknown_then_is_unknown(sharpe, count):
    assert np.isnan(probabilistic_sharpe(sharpe, 0.0, count, 0.0, 3.0))


def test_moments_when_worked_by_hand_then_agree():
    # Returns -1, 0, 1, 4: mean 1, population variance 3.5, third moment 4.5, fourth moment 24.5.
    sharpe, skewness, kurtosis = moments(np.array([-1.0, 0.0, 1.0, 4.0]))
    assert sharpe == pytest.approx(1 / sqrt(14 / 3))
    assert skewness == pytest.approx(4.5 / 3.5**1.5)
    assert kurtosis == pytest.approx(24.5 / 3.5**2)


@pytest.mark.parametrize("returns", [[], [0.1], [0.1, 0.1, 0.1]])
def test_moments_when_undefined_then_are_unknown(returns):
    assert np.isnan(moments(np.array(returns))).all()


def test_overfitting_when_one_configuration_is_truly_better_then_is_nil():
    random = np.random.default_rng(1)
    returns = random.normal(0.0, 0.01, (400, 10))
    returns[:, 3] += 0.01
    assert overfitting_probability(returns, 8) == 0.0


def test_overfitting_when_nothing_is_better_then_is_about_a_half():
    found = [overfitting_probability(np.random.default_rng(seed).normal(size=(400, 20)), 8) for seed in range(30)]
    assert 0.35 < float(np.mean(found)) < 0.65


def test_overfitting_when_what_wins_in_one_half_loses_in_the_other_then_is_certain():
    # Each configuration shines in one quarter and pays for it in all others: whatever wins in a sample loses outside of it.
    noise = np.random.default_rng(2).normal(0.0, 1e-3, (80, 4))
    returns = noise + np.where(np.repeat(np.arange(4), 20)[:, None] == np.arange(4), 3.0, -1.0)
    assert overfitting_probability(returns, 4) == 1.0


@pytest.mark.parametrize(("shape", "blocks"), [((100, 1), 4), ((100, 5), 3), ((5, 5), 4)])
def test_overfitting_when_it_cannot_be_split_then_is_refused(shape, blocks):
    with pytest.raises(UsageError, match="even number of blocks"):
        overfitting_probability(np.zeros(shape), blocks)
