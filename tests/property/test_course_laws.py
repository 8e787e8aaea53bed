"""The law of the course: tapes that follow on demand give the audit of tapes that are walked at every moment, byte for byte."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import partial

import pytest

from sovereign.app.configuration import load_settings
from sovereign.app.plan import recipe_of
from sovereign.core.instrument import find_instrument
from sovereign.engine.engine import Engine
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.execution.fill_model import ExecutionConfig
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import SyntheticConfig, SyntheticMarket
from sovereign.research.backtest import Recipe
from sovereign.research.evidence import collect_audit
from sovereign.risk.configuration import RiskConfig
from sovereign.strategies.order_flow.configuration import OrderFlowConfig
from tug_cases import CutFeed, config_of, market

EAGER = config_of(
    conflict={"min_opposed": 0.2, "min_alone": 0.2},
    position={"trend_stop_frac": 0.004, "trend_target_frac": 0.008},
    without=["earnings", "chop_rule", "flip_exit"],
)


class CountingBroker(SimulatedBroker):
    """A broker that wants to see every tick, as a remote one does."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.skips_ticks = False


def shares(*overrides):
    usual = ("risk.first_entry_after_open_minutes=0", "risk.can_short=true", *overrides)
    settings = load_settings(environment={}, strategy="tug_of_war", overrides=usual).settings
    plain = recipe_of(settings, "tug_of_war")
    return replace(plain, strategy_config=EAGER, risk=plain.risk.no_fresher_than(2_000))


def futures(**risk):
    return Recipe(
        strategy="order_flow",
        strategy_config=OrderFlowConfig.model_validate({"router": {"min_confidence": 0.0, "min_strength": 0.0}}),
        risk=RiskConfig(excluded_windows=(), can_inputs_be_unknown=True, **risk),
        execution=ExecutionConfig(),
        starting_balance=Decimal(2_500),
    )


def both(recipe, feed, monkeypatch):
    on_demand = collect_audit(recipe, feed)
    with monkeypatch.context() as patch:
        patch.setattr("sovereign.research.backtest.SimulatedBroker", CountingBroker)
        return on_demand, collect_audit(recipe, feed)


@pytest.mark.parametrize("cuts", [(), tuple(range(7, 1_000, 31))], ids=["whole", "cut"])
@pytest.mark.parametrize("limit", ["0.5", "0.0005"], ids=["far", "near"])
def test_audit_of_shares_when_limits_are_far_or_near_then_is_that_of_a_walk_at_every_moment(cuts, limit, monkeypatch):
    recipe = shares(f"risk.max_daily_loss_frac={limit}", f"risk.max_risk_frac={min(float(limit), 0.02)}")
    one, other = both(recipe, CutFeed(market(1, 50)[:50], lambda: cuts), monkeypatch)
    assert one == other
    assert one.count(b'"OrderFilled"') > 15
    assert (b'"state":"HALTED"' in one) is (limit == "0.0005")


@pytest.mark.parametrize("killed", [lambda: None, lambda: True], ids=["unknown", "thrown"])
def test_audit_when_the_kill_switch_is_thrown_or_unknown_then_is_that_of_a_walk_at_every_moment(killed, monkeypatch):
    recipe = shares()
    monkeypatch.setattr("sovereign.research.backtest.Engine", partial(Engine, killed=killed))
    one, other = both(recipe, CutFeed(market(1, 50)[:50], tuple), monkeypatch)
    assert one == other
    assert one.count(b'"cause":"kill"') > 5
    assert one.count(b'"OrderFilled"') == 0


@pytest.mark.parametrize("roots", [("ES",), ("ES", "NQ")], ids=["one", "two"])
@pytest.mark.parametrize("target", [None, Decimal(60)], ids=["no target", "near target"])
def test_audit_of_futures_when_ticks_come_in_pieces_then_is_that_of_a_walk_at_every_moment(target, roots, monkeypatch):
    markets = {root: SyntheticMarket(SyntheticConfig(ticks_per_session=40_000), 11 + n) for n, root in enumerate(roots)}
    sessions = calendar_for("CME_EQUITY").sessions(date(2025, 3, 3), date(2025, 3, 10))[:2]
    days = [
        (day, {root: made.session_trades(find_instrument(root), day) for root, made in markets.items()}) for day in sessions
    ]
    one, other = both(futures(daily_profit_target=target), CutFeed(days, lambda: range(3, 1_000, 17)), monkeypatch)
    assert one == other
    assert one.count(b'"OrderFilled"') > 4
