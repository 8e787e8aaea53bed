"""The no-future law: replace everything after a moment, and nothing decided up to it changes."""

from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from sovereign.core.instrument import find_instrument
from sovereign.execution.fill_model import ExecutionConfig
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import SyntheticConfig, SyntheticMarket
from sovereign.research.backtest import Recipe
from sovereign.research.evidence import future_test, replace_future
from sovereign.risk.configuration import RiskConfig
from sovereign.signals.order_flow import OrderFlowStream
from sovereign.strategies.order_flow.configuration import OrderFlowConfig

ES = find_instrument("ES")


def a_session(seed, ticks=60_000):
    session = calendar_for("CME_EQUITY").session(date(2025, 3, 4))
    trades = SyntheticMarket(SyntheticConfig(ticks_per_session=ticks), seed).session_trades(ES, session)
    return session, trades


def recipe():
    return Recipe(
        strategy="order_flow",
        strategy_config=OrderFlowConfig.model_validate({"router": {"min_strength": 0.0, "min_confidence": 0.0}}),
        risk=RiskConfig(excluded_windows=(), can_inputs_be_unknown=True),
        execution=ExecutionConfig(),
        starting_balance=Decimal(2_500),
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_audit_when_the_future_is_replaced_then_the_past_is_the_same(seed):
    session, trades = a_session(seed)
    result = future_test(recipe(), ES, session, trades, cuts=8, seed=seed)
    assert result.passed, result.difference
    assert result.decisions > 0
    assert result.events > 0


def test_future_test_when_signals_know_the_days_close_then_it_fails(monkeypatch):
    """A stream that knows where the day ends is caught: candidates point at the close that follows."""
    advance = OrderFlowStream.advance

    def peeking(self, trades, until_ns):
        advance(self, trades, until_ns)
        if len(self.rows):
            at_signal = self.rows["close"][self.candidates["row"]]
            self.candidates["side"][:] = np.where(self.rows["close"][-1] > at_signal, 1, -1)

    monkeypatch.setattr(OrderFlowStream, "advance", peeking)
    session, trades = a_session(1)
    result = future_test(recipe(), ES, session, trades, cuts=12, seed=1)
    assert not result.passed
    assert "cut at row" in result.difference


@pytest.mark.parametrize("seed", [4, 5])
def test_rows_when_the_future_is_replaced_then_rows_known_before_are_the_same(seed):
    session, trades = a_session(seed)
    rng = np.random.default_rng(seed)
    config = OrderFlowConfig()

    def rows_of(data):
        stream = OrderFlowStream(ES, config.footprint, config.pattern, config.regime, config.router)
        stream.start_session(session)
        stream.advance(data, session.regular_close_ns)
        return stream.rows.copy(), stream.candidates.copy()

    whole, candidates = rows_of(trades)
    for place in rng.integers(5_000, len(trades) - 1, 5):
        cut = int(np.searchsorted(trades.ts, trades.ts[place], side="right"))
        other, other_candidates = rows_of(replace_future(trades, cut, rng))
        known = int((whole["seq"] <= cut).sum())
        before = whole["known_at"][:known] <= trades.ts[cut - 1]
        count = int(before.sum())
        assert count > 0
        for name in whole.dtype.names:
            np.testing.assert_array_equal(whole[name][:count], other[name][:count], err_msg=name)
        upto = int(whole["first_candidate"][count - 1] + whole["candidates"][count - 1])
        for name in candidates.dtype.names:
            np.testing.assert_array_equal(candidates[name][:upto], other_candidates[name][:upto], err_msg=name)
