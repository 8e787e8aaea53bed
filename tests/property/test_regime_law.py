"""Laws of the regime: no future, no scale, no preferred direction."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.kernels.regime import RegimeConfig, new_regime_state, regime_config, start_regime_session, update_regime
from sovereign.kernels.row import ROW, Regime

MINUTE = 60 * 10**9
BARS = 100
RECORD = regime_config(RegimeConfig(carry_over_sessions=True))
MEASURES = [
    "ema_fast",
    "ema_slow",
    "atr",
    "adx",
    "atr_percentile",
    "volume_ratio",
    "structure",
    "regime",
    "regime_confidence",
    "no_trade",
]


def _sessions(seed: int, tick: int = 1, lot: int = 1, turn: bool = False, level: int = 20_000) -> list[np.ndarray]:
    # Two sessions; prices in `tick`s and volumes in `lot`s as units, turned upside down if asked.
    rng = np.random.default_rng(seed)
    sign = -1 if turn else 1
    sessions = []
    for _ in range(2):
        rows = np.zeros(BARS, ROW)
        step = rng.integers(-8, 9, BARS) * rng.integers(1, 4)
        close = np.cumsum(step)
        opened = np.concatenate([[0], close[:-1]])
        up, down = rng.integers(0, 6, (2, BARS))
        high, low = np.maximum(opened, close) + up, np.minimum(opened, close) - down
        if turn:
            high, low = -low, -high
        base = level * tick
        rows["open"], rows["close"] = base + sign * opened * tick, base + sign * close * tick
        rows["high"], rows["low"] = base + high * tick, base + low * tick
        rows["volume"] = rng.integers(500, 5_000, BARS) * lot
        rows["delta"] = sign * rng.integers(-400, 401, BARS) * lot
        rows["cumulative_delta"] = np.cumsum(rows["delta"])
        weight = rows["volume"] // lot
        rows["session_vwap"] = base + sign * tick * np.cumsum(weight * close) / np.cumsum(weight)
        rows["known_at"] = 5 * MINUTE * (1 + np.arange(BARS))
        sessions.append(rows)
    return sessions


def _run(sessions: list[np.ndarray]) -> np.ndarray:
    state = new_regime_state()
    for rows in sessions:
        start_regime_session(state, RECORD, 0, 5 * MINUTE * BARS, 0, 5 * MINUTE * BARS)
        for i in range(len(rows)):
            update_regime(state, RECORD, rows, i)
    return np.concatenate(sessions)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), at=st.integers(1, 2 * BARS - 1), other=st.integers(0, 10**6))
def test_regime_when_everything_later_is_changed_then_earlier_rows_stay(seed: int, at: int, other: int) -> None:
    sessions = _sessions(seed)
    joined = np.concatenate(sessions)
    expected = _run(sessions)
    joined[at:] = np.concatenate(_sessions(other, tick=3))[at:]
    out = _run([joined[:BARS], joined[BARS:]])
    for name in MEASURES:
        np.testing.assert_array_equal(out[name][:at], expected[name][:at], err_msg=name)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), tick=st.sampled_from([2, 4, 16]), lot=st.sampled_from([2, 8, 1024]))
def test_regime_when_prices_and_volumes_are_scaled_then_unchanged(seed: int, tick: int, lot: int) -> None:
    # Powers of two scale floats exactly, so nothing may differ by even one bit.
    plain, scaled = _run(_sessions(seed)), _run(_sessions(seed, tick, lot))
    for name in ("adx", "atr_percentile", "volume_ratio", "structure", "regime", "regime_confidence", "no_trade"):
        np.testing.assert_array_equal(plain[name], scaled[name], err_msg=name)
    np.testing.assert_array_equal(plain["atr"] * tick, scaled["atr"])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_regime_when_the_market_is_turned_upside_down_then_trends_swap(seed: int) -> None:
    # Around zero, so that floats are exact mirror images as well.
    plain, turned = _run(_sessions(seed, level=0)), _run(_sessions(seed, turn=True, level=0))
    swap = np.arange(5)
    swap[[Regime.TRENDING_UP, Regime.TRENDING_DOWN]] = Regime.TRENDING_DOWN, Regime.TRENDING_UP
    np.testing.assert_array_equal(plain["structure"], -turned["structure"])
    np.testing.assert_array_equal(swap[plain["regime"]], turned["regime"])
    for name in ("atr", "adx", "regime_confidence", "no_trade"):
        np.testing.assert_array_equal(plain[name], turned[name], err_msg=name)
