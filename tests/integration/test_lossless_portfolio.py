"""The portfolio of the lossless strategy on a simulated market: 20 positions, twice the equity a side, 1% at the stop."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import cache

import pytest

from sovereign.app.configuration import Settings
from sovereign.app.configuration.loading import merge
from sovereign.app.plan import recipe_of
from sovereign.core.decision import Approved, Refused
from sovereign.core.event import AccountSnapshot, DecisionMade, TradeClosed
from sovereign.core.order import OrderRole
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import PortfolioMarket, PortfolioMarketConfig
from sovereign.kernels.lossless_setting import LevelConfig, VolumeConfig
from sovereign.research.backtest import main_lane, run_backtest
from sovereign.strategies import assumed_settings
from sovereign.strategies.lossless import LosslessConfig

MARKET = PortfolioMarketConfig(step_seconds=60)
VOLUME = VolumeConfig(capitulation_rank=0.8, elevated_rank=0.79)


@cache
def entries(symbols, sessions, stop_frac, risk_frac):
    """Return the entries decided, each with the balance then."""
    settings, _ = merge(Settings, file=None, environment={}, assumed=assumed_settings("lossless"), assumed_by="default")
    plan = recipe_of(settings, "lossless")
    risk = plan.risk.no_fresher_than(60).model_copy(update={"risk_frac": Decimal(risk_frac)})
    config = LosslessConfig(level=LevelConfig(stop_frac=stop_frac), volume=VOLUME)
    names = tuple(f"Z{first}{second}" for first in "ABC" for second in "ABCDEFGHIJ")[:symbols]
    feed = PortfolioMarket(names, calendar_for("XNYS"), date(2025, 1, 6), sessions, 5, MARKET)
    found, balance = [], plan.starting_balance

    def listen(event):
        nonlocal balance
        if isinstance(event, AccountSnapshot):
            balance = event.balance
        elif isinstance(event, TradeClosed):
            balance += event.trade.net
        elif isinstance(event, DecisionMade):
            intent = event.decision.proposal.intent
            if intent is not None and intent.role is OrderRole.ENTRY:
                found.append((event.decision, balance))

    plan = replace(plan, strategy_config=config, risk=risk)
    run_backtest(plan, feed, lanes=(main_lane(plan.execution),), sinks=(listen,))
    return tuple(found)


@pytest.mark.parametrize("name", ["BUY", "SHORT"])
def test_size_when_the_stop_is_far_then_one_percent_of_the_balance_is_lost_there(name):
    found = entries(6, 22, 20.0, "0.01")
    sized = [(d, balance) for d, balance in found if d.proposal.name == name and isinstance(d.outcome, Approved)]
    assert len(sized) >= 5
    exact = 0
    for decision, balance in sized:
        # a cent a tick and share; both fees of 0.35 cents, two ticks of slippage
        loss = Decimal(decision.proposal.intent.bracket.stop_ticks) / 100 + 2 * Decimal("0.0035") + Decimal("0.02")
        wanted = int(balance * Decimal("0.01") / loss)
        assert 0 < decision.outcome.quantity <= wanted + 1  # the fees of entries that are open are in the balance already
        exact += abs(decision.outcome.quantity - wanted) <= 1
    assert exact >= 5


def test_sides_when_stops_are_near_then_none_is_worth_more_than_twice_the_equity_after_adding():
    found = entries(6, 22, 0.5, "0.01")
    added = [
        next(check for check in decision.checks if check.name == "side_exposure")
        for decision, _ in found
        if isinstance(decision.outcome, Approved)
    ]
    assert len(added) > 20
    assert all(check.value <= 2.0 for check in added)
    assert sum(check.value > 1.9 for check in added) >= 5
    refused = [d.outcome.check for d, _ in found if isinstance(d.outcome, Refused)]
    assert "side_exposure" in refused


def test_positions_when_more_symbols_want_in_then_twenty_are_held():
    found = entries(28, 24, 60.0, "0.0005")
    approved = [decision for decision, _ in found if isinstance(decision.outcome, Approved)]
    assert max(c.value for decision in approved for c in decision.checks if c.name == "positions") == 20
    refused = [decision.outcome for decision, _ in found if isinstance(decision.outcome, Refused)]
    assert {(r.value, r.limit) for r in refused if r.check == "positions"} == {(21.0, 20.0)}
