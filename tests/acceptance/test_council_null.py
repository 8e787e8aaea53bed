"""The council on a driftless portfolio: nothing is earned before costs, and decisions know nothing of what follows them."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from sovereign.app.cli.common import settings_from
from sovereign.app.plan import recipe_of
from sovereign.feeds.calendar import calendar_for
from sovereign.research.portfolio import null_symbols, portfolio_future_test, portfolio_null_test

SEEDS = (1, 2, 3)
CALENDAR = calendar_for("XNYS")


@cache
def parts():
    settings = settings_from(None, ["portfolio_market.step_seconds=60"], "council").settings
    recipe = recipe_of(settings, "council")
    return recipe, null_symbols(recipe, 3), settings.evidence, settings.portfolio_market


@cache
def null(seed):
    recipe, symbols, evidence, market = parts()
    return portfolio_null_test(recipe, CALENDAR, symbols, evidence, market, sessions=40, seed=seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_null_test_when_the_council_trades_a_driftless_market_then_no_seed_shows_a_profit(seed):
    found = null(seed)
    assert found.trades > 200
    assert found.passed, found


def test_null_test_when_seeds_are_pooled_then_still_no_profit():
    found = [null(seed) for seed in SEEDS]
    trades = np.array([result.trades for result in found])
    pooled = float((trades * [result.mean for result in found]).sum() / trades.sum())
    error = math.sqrt(float(((trades * [result.standard_error for result in found]) ** 2).sum())) / trades.sum()
    assert abs(pooled / error) < 2.5


def test_future_test_when_everything_later_is_replaced_then_the_past_is_the_same():
    recipe, symbols, evidence, market = parts()
    few = evidence.model_copy(update={"future_sessions": 6, "future_cuts": 4})
    found = portfolio_future_test(recipe, CALENDAR, symbols[:2], few, market, seed=3)
    assert found.passed, found.difference
    assert found.decisions > 5
