"""A whole backtest makes the same trades whether the venue holds the brackets or we do."""

import json
from datetime import date
from decimal import Decimal

import pytest

from sovereign.core.instrument import find_instrument
from sovereign.core.port import Block
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.execution.fill_model import ExecutionConfig
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import SyntheticConfig, SyntheticMarket
from sovereign.research.backtest import Recipe
from sovereign.research.evidence import collect_audit
from sovereign.risk.configuration import RiskConfig
from sovereign.strategies.order_flow.configuration import OrderFlowConfig


class OneBlockFeed:
    """Two simulated sessions, each in one block."""

    is_simulated = True

    def __init__(self):
        self._instrument = find_instrument("ES")
        self._market = SyntheticMarket(SyntheticConfig(ticks_per_session=60_000), 11)

    def sessions(self):
        yield from calendar_for("CME_EQUITY").sessions(date(2025, 3, 3), date(2025, 3, 10))[:2]

    def instruments(self, _session):
        return (self._instrument,)

    def blocks(self, session):
        yield Block(self._instrument.symbol, self._market.session_trades(self._instrument, session), session.close_ns)


def trades(latency_ms):
    plan = Recipe(
        strategy="order_flow",
        strategy_config=OrderFlowConfig.model_validate({"router": {"min_confidence": 0.0, "min_strength": 0.0}}),
        risk=RiskConfig(excluded_windows=(), can_inputs_be_unknown=True),
        execution=ExecutionConfig(latency_ms=latency_ms),
        starting_balance=Decimal(2_500),
    )
    events = [json.loads(line) for line in collect_audit(plan, OneBlockFeed()).splitlines()]
    return [event["trade"] for event in events if event["event"] == "TradeClosed"]


@pytest.mark.parametrize("latency_ms", [0.0, 50.0])
def test_trades_when_brackets_are_kept_on_our_side_then_are_those_of_the_venues(latency_ms, monkeypatch):
    held = trades(latency_ms)
    whole = SimulatedBroker.__init__

    def plain(self, *values, **named):
        whole(self, *values, **{**named, "holds_brackets": False})

    monkeypatch.setattr(SimulatedBroker, "__init__", plain)
    assert trades(latency_ms) == held
    assert len(held) > 4
