"""The null market of several equities: fair steps, together where they should be, the same for the same seed."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from sovereign.core.errors import UsageError
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import PortfolioMarket, PortfolioMarketConfig

START = date(2025, 1, 6)
SYMBOLS = ["SPY", "QQQ", "NVDA", "AAPL"]


def market(seed: int = 1, sessions: int = 20, **settings: float) -> PortfolioMarket:
    return PortfolioMarket(SYMBOLS, calendar_for("XNYS"), START, sessions, seed, PortfolioMarketConfig(**settings))


def closes(found: PortfolioMarket) -> np.ndarray:
    return np.array([[int(b.trades.price[-1]) for b in found.blocks(s)] for s in found.sessions()])


def test_walk_when_sessions_follow_each_other_then_each_begins_where_the_last_ended_but_for_one_step() -> None:
    found = market(sessions=5)
    last: dict[str, int] = {}
    for session in found.sessions():
        for block in found.blocks(session):
            if block.symbol in last:
                assert abs(int(block.trades.price[0]) - last[block.symbol]) < 200
            last[block.symbol] = int(block.trades.price[-1])


def test_walk_when_asked_in_any_order_then_gives_the_same_bytes() -> None:
    one, other = market(), market()
    days = list(one.sessions())
    backwards = {s.trade_date: [b.trades.price.tobytes() for b in one.blocks(s)] for s in reversed(days)}
    forwards = {s.trade_date: [b.trades.price.tobytes() for b in other.blocks(s)] for s in days}
    assert backwards == forwards


def test_steps_when_many_are_drawn_then_up_and_down_are_equally_likely_and_symbols_move_together() -> None:
    found = market(sessions=60)
    moves = []
    for session in found.sessions():
        prices = np.array([b.trades.price for b in found.blocks(session)], np.float64)
        moves.append(np.diff(prices, axis=1))
    steps = np.concatenate(moves, axis=1)
    signs = np.sign(steps)
    taken = np.abs(signs).sum(axis=1)
    assert np.all(np.abs(signs.sum(axis=1)) < 4.0 * np.sqrt(taken))
    # Both take the common sign with chance c, so their signs correlate by c squared; unequal sizes weaken it.
    together = np.corrcoef(steps)
    off = together[np.triu_indices(len(SYMBOLS), 1)]
    assert np.all((off > 0.05) & (off < 0.45**2))


def test_volatility_when_a_day_is_asked_for_then_is_near_it() -> None:
    days = np.diff(closes(market(sessions=250)), axis=0)
    assert 300 < days.std() < 800


def test_market_when_the_seed_differs_then_the_prices_do() -> None:
    assert closes(market(1)).tolist() != closes(market(2)).tolist()


@pytest.mark.parametrize(("symbols", "sessions", "seed"), [([], 1, 0), (["A", "A"], 1, 0), (["A"], 0, 0), (["A"], 1, -1)])
def test_market_when_asked_for_what_cannot_be_then_says_so(symbols: list[str], sessions: int, seed: int) -> None:
    with pytest.raises(UsageError):
        PortfolioMarket(symbols, calendar_for("XNYS"), START, sessions, seed)
