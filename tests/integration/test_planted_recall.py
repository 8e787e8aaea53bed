"""Every planted pattern is found by the detector, at its bar, price and side."""

from __future__ import annotations

from datetime import date

import pytest

from sovereign.core.instrument import find_instrument
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import SyntheticConfig, SyntheticMarket
from sovereign.kernels.row import Pattern
from sovereign.signals.order_flow import OrderFlowStream

PLAN = [(pattern, 24 + 5 * pattern) for pattern in Pattern if pattern is not Pattern.DELTA_DIVERGENCE]


@pytest.mark.parametrize("is_null", [False, True], ids=["market", "null"])
@pytest.mark.parametrize("seed", range(3))
def test_detect_when_patterns_are_planted_then_all_are_found(seed: int, is_null: bool) -> None:
    es = find_instrument("ES")
    session = calendar_for("CME_EQUITY").session(date(2025, 11, 20))
    assert session is not None
    market = SyntheticMarket(SyntheticConfig(is_null=is_null, ticks_per_session=200_000), seed)
    trades, planted = market.planted_session(es, session, [*PLAN, (Pattern.DELTA_DIVERGENCE, 14)])
    stream = OrderFlowStream(es)
    stream.start_session(session)
    stream.advance(trades, session.regular_close_ns)
    found = {(int(c["row"]), int(c["pattern"]), int(c["side"]), int(c["price"]), int(c["known_at"])) for c in stream.candidates}
    assert {(p.known_bar, int(p.pattern), p.side, p.price, p.known_at) for p in planted} <= found
    assert len(planted) == len(Pattern)
