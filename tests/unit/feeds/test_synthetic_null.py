"""The null market is a fair game: nothing about it predicts the next step, and no rule earns on it."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from sovereign.core.instrument import find_instrument
from sovereign.core.session import Session
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import SyntheticConfig, SyntheticMarket

ES = find_instrument("ES")


def _sessions(count: int) -> list[Session]:
    found = calendar_for("CME_EQUITY").sessions(date(2025, 1, 10), date(2025, 12, 31))
    return [s for s in found if not s.is_early_close][:count]


def _null(ticks: int, seed: int = 0) -> SyntheticMarket:
    return SyntheticMarket(SyntheticConfig(is_null=True, ticks_per_session=ticks), seed)


def _z(values: np.ndarray) -> float:
    return float(values.mean() / (values.std() / np.sqrt(len(values))))


@pytest.fixture(scope="module")
def tape() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Steps of a long null tape with the side, size and time gap known before each one."""
    steps, sides, sizes, gaps = [], [], [], []
    for session in _sessions(5):
        trades = _null(200_000).session_trades(ES, session)
        steps.append(np.diff(trades.price)[1:])
        sides.append(trades.side[1:-1])
        sizes.append(trades.size[1:-1])
        gaps.append(np.diff(trades.ts)[:-1])
    parts = (np.concatenate(column).astype(float) for column in (steps, sides, sizes, gaps))
    step, side, size, gap = parts
    return step, side, size, gap


def test_steps_when_listed_then_none_exceeds_one_tick_and_the_mean_is_zero(tape: tuple[np.ndarray, ...]) -> None:
    step = tape[0]
    assert set(np.unique(step)) == {-1.0, 0.0, 1.0}
    assert abs(_z(step)) < 3.5


@pytest.mark.parametrize("lag", [1, 2, 3, 10, 100])
def test_steps_when_compared_with_earlier_steps_then_uncorrelated(tape: tuple[np.ndarray, ...], lag: int) -> None:
    step = tape[0]
    assert abs(_z(step[lag:] * step[:-lag])) < 3.5


@pytest.mark.parametrize("known", ["side", "size", "gap"])
def test_steps_when_compared_with_what_is_known_before_then_independent(tape: tuple[np.ndarray, ...], known: str) -> None:
    column = tape[{"side": 1, "size": 2, "gap": 3}[known]]
    sign = np.sign(column - np.median(column)) if known != "side" else column
    assert abs(_z(sign * tape[0])) < 3.5


def test_sides_when_counted_then_fair_and_independent_of_the_step_to_their_own_trade(tape: tuple[np.ndarray, ...]) -> None:
    side = tape[1]
    assert abs(_z(side)) < 3.5
    assert abs(_z(side[1:] * side[:-1])) < 3.5
    assert abs(_z(side[1:] * tape[0][:-1])) < 3.5


def test_volatility_when_null_then_it_still_switches() -> None:
    shares = []
    for session in _sessions(20):
        price = _null(50_000).session_trades(ES, session).price
        moved = (np.diff(price) != 0)[:49_950].reshape(50, -1).mean(axis=1)
        shares.append(moved.max() / moved.min())
    assert np.mean(shares) > 2.0


def _trades_of(price: np.ndarray, side: np.ndarray, rule: str) -> list[int]:
    # Enter at the trade after the signal, leave 24 ticks on or 16 ticks against, or at the end: what optional stopping covers.
    profits = []
    i, n = 200, len(price)
    flow = np.cumsum(side.astype(int))
    while i < n - 2:
        trend = int(price[i]) - int(price[i - 200])
        if rule == "momentum":
            signal = np.sign(trend) if abs(trend) >= 10 else 0
        elif rule == "reversion":
            signal = -np.sign(trend) if abs(trend) >= 10 else 0
        else:
            imbalance = flow[i] - flow[i - 200]
            signal = np.sign(imbalance) if abs(imbalance) >= 25 else 0
        if signal == 0:
            i += 50
            continue
        entry = i + 1
        path = (price[entry:].astype(int) - int(price[entry])) * int(signal)
        ends = np.flatnonzero((path >= 24) | (path <= -16))
        leave = int(ends[0]) if len(ends) else len(path) - 1
        profits.append(int(path[leave]))
        i = entry + max(leave, 1)
    return profits


@pytest.mark.parametrize("rule", ["momentum", "reversion", "flow"])
def test_strategy_when_filled_at_traded_prices_then_it_earns_nothing(rule: str) -> None:
    profits: list[int] = []
    for seed in range(3):
        for session in _sessions(10):
            trades = _null(60_000, seed).session_trades(ES, session)
            profits += _trades_of(trades.price, trades.side, rule)
    assert len(profits) > 500
    assert abs(_z(np.array(profits, float))) < 3.5


def test_strategy_when_it_fills_at_the_bars_extreme_then_the_null_exposes_it() -> None:
    # Dishonest: decides at the close of 2,000 trades and claims their low as its price.
    profits = []
    for session in _sessions(5):
        price = _null(60_000).session_trades(ES, session).price.astype(int).reshape(-1, 2_000)
        profits.append(price[1:, -1] - price[:-1].min(axis=1))
    assert _z(np.concatenate(profits).astype(float)) > 5
