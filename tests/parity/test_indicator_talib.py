"""EMA, ATR, directional movement and RSI agree with TA-Lib, value by value and NaN by NaN."""

from __future__ import annotations

import numpy as np
import pytest

from sovereign.kernels import indicator

talib = pytest.importorskip("talib", reason="TA-Lib is an optional oracle: pip install TA-Lib")


def _tape(kind: str, seed: int = 7, bars: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    if kind == "flat":
        close = np.full(bars, 4500.0)
        return close.copy(), close.copy(), close
    if kind == "trend":
        close = 4000.0 + 2.0 * np.arange(bars) + rng.normal(0, 1, bars)
    elif kind == "coarse":  # integer ticks with many equal bars, where ties in directional movement happen
        close = 100.0 + np.cumsum(rng.integers(-1, 2, bars)).astype(np.float64)
    elif kind == "halt":  # a stretch without any movement between two lively ones
        step = rng.normal(0, 2, bars)
        step[100:130] = 0.0
        close = 4500.0 + np.cumsum(step)
        spread = np.where(step == 0.0, 0.0, 1.0)
        return close + spread, close - spread, close
    else:
        close = 4500.0 + np.cumsum(rng.normal(0, 3, bars))
    reach = rng.integers(0, 4, (2, bars)).astype(np.float64)
    return close + reach[0], close - reach[1], close


KINDS = ["walk", "trend", "coarse", "flat", "halt"]


def _assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("period", [2, 9, 21])
def test_ema_when_compared_with_talib_then_equal(kind: str, period: int) -> None:
    _, _, close = _tape(kind)
    _assert_same(indicator.ema(close, period), talib.EMA(close, period))


@pytest.mark.parametrize("kind", KINDS)
def test_true_range_when_compared_with_talib_then_equal(kind: str) -> None:
    _assert_same(indicator.true_range(*_tape(kind)), talib.TRANGE(*_tape(kind)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("period", [2, 14])
def test_atr_when_compared_with_talib_then_equal(kind: str, period: int) -> None:
    tape = _tape(kind)
    _assert_same(indicator.atr(*tape, period), talib.ATR(*tape, period))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("period", [2, 5, 14])
def test_adx_when_compared_with_talib_then_equal(kind: str, period: int) -> None:
    tape = _tape(kind)
    plus, minus, adx = indicator.adx(*tape, period)
    _assert_same(plus, talib.PLUS_DI(*tape, period))
    _assert_same(minus, talib.MINUS_DI(*tape, period))
    _assert_same(adx, talib.ADX(*tape, period))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("period", [2, 14])
def test_rsi_when_compared_with_talib_then_equal(kind: str, period: int) -> None:
    _, _, close = _tape(kind)
    _assert_same(indicator.rsi(close, period), talib.RSI(close, period))


def test_indicators_when_values_are_missing_at_the_start_then_equal_to_talib() -> None:
    high, low, close = (np.concatenate([[np.nan] * 5, values]) for values in _tape("walk"))
    _assert_same(indicator.ema(close, 9), talib.EMA(close, 9))
    _assert_same(indicator.atr(high, low, close, 14), talib.ATR(high, low, close, 14))
    _assert_same(indicator.adx(high, low, close, 14)[2], talib.ADX(high, low, close, 14))
    _assert_same(indicator.rsi(close, 14), talib.RSI(close, 14))
