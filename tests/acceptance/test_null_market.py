"""The null test: on a driftless market nothing can be earned, and a cheating fill rule is found out.

By optional stopping every rule has an expected gross profit of zero when it is filled at the traded prices of a martingale.
"""

import math
from datetime import date
from decimal import Decimal

import numpy as np

from sovereign.core.instrument import find_instrument
from sovereign.core.order import OrderRole, OrderType, Side
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.execution.fill_model import ExecutionConfig
from sovereign.execution.matching import MatchingEngine
from sovereign.feeds.calendar import calendar_for
from sovereign.research import backtest
from sovereign.research.backtest import Recipe
from sovereign.research.evidence import null_test
from sovereign.risk.configuration import RiskConfig
from sovereign.strategies.order_flow.configuration import OrderFlowConfig

BAR_NS = 300 * 1_000_000_000
SEEDS = (1, 2, 3, 4, 5)


def run(seed, sessions=60):
    recipe = Recipe(
        strategy="order_flow",
        strategy_config=OrderFlowConfig(),
        risk=RiskConfig(excluded_windows=()),
        execution=ExecutionConfig(),
        starting_balance=Decimal(2_500),
    )
    return null_test(
        recipe,
        find_instrument("ES"),
        calendar_for("CME_EQUITY"),
        sessions=sessions,
        ticks=200_000,
        seed=seed,
        start=date(2025, 1, 6),
        max_t=3.0,
    )


class BarExtremeVenue(MatchingEngine):
    """The fault of the original: an entry is filled at the low (buys) or high (sells) of the bar that made the signal."""

    def _execute(self, resting, trades, index, ts, lots, reports):
        order = resting.order
        if order.role is OrderRole.ENTRY and order.order_type is OrderType.MARKET:
            start = int(np.searchsorted(trades.ts, ts - BAR_NS))
            prices = trades.price[start : index + 1]
            best = int(prices.min() if order.side is Side.BUY else prices.max())
            self._take_liquidity(resting, best, None, best, ts, reports)
            return
        super()._execute(resting, trades, index, ts, lots, reports)


class BarExtremeBroker(SimulatedBroker):
    def __init__(self, model, latency_ns=0, margins=None):
        super().__init__(model, latency_ns, margins)
        self._venue = BarExtremeVenue(model, latency_ns)


def test_null_test_when_fills_are_honest_then_no_seed_and_no_pool_shows_a_profit():
    results = [run(seed) for seed in SEEDS]
    assert all(result.passed and abs(result.t) < 3 for result in results)
    trades = np.array([result.trades for result in results])
    means = np.array([result.mean for result in results])
    errors = np.array([result.standard_error for result in results])
    assert trades.min() > 300
    pooled = (trades * means).sum() / trades.sum()
    pooled_error = math.sqrt(((trades * errors) ** 2).sum()) / trades.sum()
    assert abs(pooled / pooled_error) < 2
    # An edge of one tick a trade, an eighth of the cost of a round trip in spread and fees, could not have hidden.
    assert (1.96 + 0.84) * pooled_error < 1.0


def test_null_test_when_entries_fill_at_the_extreme_of_the_bar_then_it_fails(monkeypatch):
    monkeypatch.setattr(backtest, "SimulatedBroker", BarExtremeBroker)
    result = run(seed=1, sessions=20)
    assert not result.passed
    assert result.t > 8


def test_null_test_when_nothing_trades_then_it_does_not_pass():
    result = run(seed=1, sessions=2)
    nothing = null_test(
        Recipe(
            strategy="order_flow",
            strategy_config=OrderFlowConfig.model_validate({"router": {"min_strength": 1.0, "min_confidence": 1.0}}),
            risk=RiskConfig(),
            execution=ExecutionConfig(),
            starting_balance=Decimal(2_500),
        ),
        find_instrument("ES"),
        calendar_for("CME_EQUITY"),
        sessions=2,
        ticks=5_000,
        seed=1,
        start=date(2025, 1, 6),
        max_t=3.0,
    )
    assert result.trades > nothing.trades == 0
    assert math.isnan(nothing.t)
    assert not nothing.passed
