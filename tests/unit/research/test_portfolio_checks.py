"""Honesty checks of portfolios: an honest strategy passes, one that peeks is caught by both."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

from example_portfolio import example_strategies, recipe
from sovereign.core.errors import UsageError
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import PortfolioMarketConfig
from sovereign.research.configuration import EvidenceConfig
from sovereign.research.portfolio import (
    day_clustered_error,
    null_symbols,
    portfolio_future_test,
    portfolio_null_test,
    without_portfolio_limits,
)

MARKET = PortfolioMarketConfig(step_seconds=60)
CONFIG = EvidenceConfig(null_sessions=15, future_sessions=3, future_cuts=12)
SYMBOLS = ("SPY", "ZAA", "ZAB", "ZAC")


@pytest.fixture(autouse=True)
def examples() -> Iterator[None]:
    with example_strategies():
        yield


def test_error_of_days_when_worked_by_hand_then_agrees() -> None:
    # mean 0, squares 100 + 100 + 900 + 900 = 2,000; sqrt(4/3 x 2,000) / 10 trades
    assert day_clustered_error(np.array([10.0, -10.0, 30.0, -30.0]), 10) == pytest.approx(math.sqrt(8_000 / 3) / 10)
    assert math.isnan(day_clustered_error(np.array([1.0]), 10))
    assert math.isnan(day_clustered_error(np.array([1.0, 2.0]), 0))


def test_symbols_of_the_null_market_when_there_are_benchmarks_then_they_come_first() -> None:
    assert null_symbols(recipe(), 3) == ("SPY", "ZAA", "ZAB", "ZAC")


def test_null_test_when_the_strategy_is_honest_then_nothing_is_earned_and_when_it_peeks_then_it_is_caught() -> None:
    calendar = calendar_for("XNYS")
    honest = portfolio_null_test(recipe(bar_seconds=600), calendar, SYMBOLS, CONFIG, MARKET)
    assert honest.trades > 100
    assert honest.passed
    peeking = portfolio_null_test(recipe(bar_seconds=600, peeks=True), calendar, SYMBOLS, CONFIG, MARKET)
    assert not peeking.passed
    assert peeking.mean > 0
    assert peeking.t > CONFIG.null_max_t


def test_future_test_when_the_strategy_is_honest_then_passes_and_when_it_peeks_then_says_where() -> None:
    calendar = calendar_for("XNYS")
    honest = portfolio_future_test(recipe(bar_seconds=600), calendar, SYMBOLS, CONFIG, MARKET)
    assert honest.passed
    assert honest.decisions > 0
    peeking = portfolio_future_test(recipe(bar_seconds=600, peeks=True), calendar, SYMBOLS, CONFIG, MARKET)
    assert not peeking.passed
    assert peeking.difference


def test_null_test_when_symbols_have_different_tick_values_then_says_so() -> None:
    with pytest.raises(UsageError, match="one value"):
        portfolio_null_test(recipe(), calendar_for("XNYS"), ("SPY", "ES"), CONFIG, MARKET)


def test_limits_when_taken_off_for_the_null_test_then_one_unit_and_no_cap_is_left() -> None:
    limited = recipe(("risk.max_side_exposure_frac=2", "risk.max_per_sector=2", "risk.max_position_frac=0.1"))
    free = without_portfolio_limits(limited).risk
    assert free.max_quantity == 1
    assert (free.max_side_exposure_frac, free.max_per_sector, free.max_position_frac) == (None, None, None)
    assert free.max_positions > 1_000
