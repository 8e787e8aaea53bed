"""Lanes share rows, ticks and answers, and nothing else: a second lane of the same assumptions trades the same."""

from datetime import date
from decimal import Decimal

import pytest

from sovereign.core.instrument import find_instrument
from sovereign.execution.fill_model import ExecutionConfig
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import SyntheticConfig, SyntheticFeed, SyntheticMarket
from sovereign.research.backtest import LaneSpec, Recipe, all_lanes, main_lane, run_backtest
from sovereign.risk.configuration import RiskConfig
from sovereign.strategies.order_flow.configuration import OrderFlowConfig


def traded(lanes, balance, **risk):
    recipe = Recipe(
        strategy="order_flow",
        strategy_config=OrderFlowConfig(),
        risk=RiskConfig.model_validate({"max_drawdown_frac": 1, **risk}),
        execution=ExecutionConfig(),
        starting_balance=Decimal(balance),
    )
    market = SyntheticMarket(SyntheticConfig(ticks_per_session=250_000), 8)
    feed = SyntheticFeed(market, find_instrument("ES"), calendar_for("CME_EQUITY"), date(2025, 3, 3), 8)
    outcome = run_backtest(recipe, feed, lanes=lanes)
    return {
        name: [(t.entry_ns, t.exit_ns, t.side, t.quantity, t.instrument.symbol, t.net) for t in lane.trades]
        for name, lane in outcome.lanes.items()
    }


@pytest.mark.parametrize("balance", [2_500, 12_000])
def test_lane_when_its_assumptions_are_the_main_ones_then_trades_the_same_although_it_is_judged_briefly(balance):
    main = main_lane(ExecutionConfig())
    lanes = traded([main, LaneSpec(name="again", model=main.model)], balance)
    assert lanes["again"] == lanes[main.name]
    assert len(lanes["again"]) > 3


def test_lane_when_run_alone_then_trades_as_beside_others():
    specs = all_lanes(ExecutionConfig())
    together = traded(specs, 12_000)
    for spec in specs:
        assert traded([spec], 12_000)[spec.name] == together[spec.name]


def test_lane_when_halted_for_good_then_is_not_asked_any_more_and_trades_the_same():
    main = main_lane(ExecutionConfig())
    lanes = traded([main, LaneSpec(name="again", model=main.model)], 2_500, max_drawdown_frac="0.03")
    assert lanes["again"] == lanes[main.name]
    free = traded([main], 2_500)[main.name]
    assert 0 < len(lanes["again"]) < len(free)
