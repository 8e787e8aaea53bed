"""Indicators of Wilder and others, as array kernels and as the single steps that the arrays are made of.

Shapes: 1-D float64 arrays of one length in, arrays of that length out. A result is NaN until its indicator is warm. NaN in
gives NaN out and starts the warm-up again: a gap is never bridged. Seeding is TA-Lib's (averages start from a simple mean of
the first full window), so results agree with TA-Lib to rounding. None of them looks ahead.

A step keeps its state in a 1-D float64 array, zeros to begin with, of the length given by the `*_STATE` constant.
Source: J. Welles Wilder, New Concepts in Technical Trading Systems, 1978; TA-Lib 0.8 for seeding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sovereign.kernels.compile import kernel

Float64 = NDArray[np.float64]

AVERAGE_STATE = 2
"""Length of the state of `step_ema` and `step_rma`: count, value."""

ATR_STATE = 4
"""Length of the state of `step_atr`: link, previous close, then an average."""

ADX_STATE = 10
"""Length of the state of `step_adx`: link, previous high, low and close, count, three sums, ADX count, ADX."""

RSI_STATE = 5
"""Length of the state of `step_rsi`: link, previous value, count, average gain, average loss."""

COLD = 0.0
LINKED = 1.0
UNLINKED = 2.0


@kernel
def step_ema(state: Float64, value: float, period: int) -> float:
    """Take one value into an exponential average with weight `2 / (period + 1)`; NaN for the first `period - 1`."""
    if np.isnan(value) or period < 1:
        state[0] = 0.0
        state[1] = 0.0
        return np.nan
    if state[0] < period:
        state[0] += 1.0
        state[1] += value
        if state[0] < period:
            return np.nan
        state[1] /= period
        return float(state[1])
    state[1] += (value - state[1]) * (2.0 / (period + 1.0))
    return float(state[1])


@kernel
def step_rma(state: Float64, value: float, period: int) -> float:
    """Take one value into Wilder's average, weight `1 / period`; NaN for the first `period - 1`."""
    if np.isnan(value) or period < 1:
        state[0] = 0.0
        state[1] = 0.0
        return np.nan
    if state[0] < period:
        state[0] += 1.0
        state[1] += value
        if state[0] < period:
            return np.nan
        state[1] /= period
        return float(state[1])
    state[1] = (state[1] * (period - 1.0) + value) / period
    return float(state[1])


@kernel
def unlink(state: Float64) -> None:
    """Say that the next bar does not follow the last one: its range is high minus low and it has no direction."""
    if state[0] == LINKED:
        state[0] = UNLINKED


@kernel
def step_atr(state: Float64, high: float, low: float, close: float, period: int) -> float:
    """Take one bar into Wilder's average true range, in units of price; NaN for the first `period` bars."""
    if np.isnan(high) or np.isnan(low) or np.isnan(close):
        state[:] = 0.0
        return np.nan
    link = state[0]
    previous = state[1]
    state[0] = LINKED
    state[1] = close
    if link == COLD:
        return np.nan
    span = high - low
    if link == LINKED:
        span = max(span, abs(high - previous), abs(low - previous))
    return step_rma(state[2:], span, period)


@kernel
def _directional_movement(up: float, down: float) -> tuple[float, float]:
    # Wilder's +DM and -DM: the larger of the two outward moves counts, and only that.
    if down > 0.0 and up < down:
        return 0.0, down
    if up > 0.0 and up > down:
        return up, 0.0
    return 0.0, 0.0


@kernel
def step_adx(state: Float64, high: float, low: float, close: float, period: int) -> tuple[float, float, float]:
    """Take one bar into Wilder's directional movement; return (+DI, -DI, ADX), each 0..100.

    +DI and -DI are NaN for the first `period` bars, ADX for the first `2 * period - 1`.
    """
    if np.isnan(high) or np.isnan(low) or np.isnan(close) or period < 1:
        state[:] = 0.0
        return np.nan, np.nan, np.nan
    link, previous_high, previous_low, previous_close = state[0], state[1], state[2], state[3]
    state[0], state[1], state[2], state[3] = LINKED, high, low, close
    if link == COLD:
        return np.nan, np.nan, np.nan
    span = high - low
    plus = 0.0
    minus = 0.0
    if link == LINKED:
        span = max(span, abs(high - previous_close), abs(low - previous_close))
        plus, minus = _directional_movement(high - previous_high, previous_low - low)
    state[4] += 1.0
    if state[4] < period:
        state[5] += span
        state[6] += plus
        state[7] += minus
        return np.nan, np.nan, np.nan
    state[5] += span - state[5] / period
    state[6] += plus - state[6] / period
    state[7] += minus - state[7] / period
    plus_di = 0.0
    minus_di = 0.0
    if state[5] > 0.0:
        plus_di = 100.0 * state[6] / state[5]
        minus_di = 100.0 * state[7] / state[5]
    both = plus_di + minus_di
    moves = both > 0.0  # a market that stands still leaves the ADX as it was
    dx = 100.0 * abs(plus_di - minus_di) / both if moves else 0.0
    if state[8] < period:
        state[8] += 1.0
        state[9] += dx
        if state[8] < period:
            return plus_di, minus_di, np.nan
        state[9] /= period
    elif moves:
        state[9] = (state[9] * (period - 1.0) + dx) / period
    return plus_di, minus_di, state[9]


@kernel
def step_rsi(state: Float64, value: float, period: int) -> float:
    """Take one value into Wilder's relative strength index, 0..100; NaN for the first `period`, 0 when nothing has moved."""
    if np.isnan(value) or period < 1:
        state[:] = 0.0
        return np.nan
    link = state[0]
    change = value - state[1]
    state[0] = LINKED
    state[1] = value
    if link == COLD:
        return np.nan
    gain = max(change, 0.0)
    loss = max(-change, 0.0)
    if state[2] < period:
        state[2] += 1.0
        state[3] += gain
        state[4] += loss
        if state[2] < period:
            return np.nan
        state[3] /= period
        state[4] /= period
    else:
        state[3] = (state[3] * (period - 1.0) + gain) / period
        state[4] = (state[4] * (period - 1.0) + loss) / period
    both = float(state[3] + state[4])
    return 100.0 * float(state[3]) / both if both > 0.0 else 0.0


@kernel
def ema(values: Float64, period: int) -> Float64:
    """Return the exponential moving average. Equivalent: `talib.EMA(values, period)`."""
    state = np.zeros(AVERAGE_STATE)
    out = np.empty(len(values))
    for i in range(len(values)):
        out[i] = step_ema(state, values[i], period)
    return out


@kernel
def rma(values: Float64, period: int) -> Float64:
    """Return Wilder's moving average: a mean of `period` values, then `(previous * (period - 1) + value) / period`."""
    state = np.zeros(AVERAGE_STATE)
    out = np.empty(len(values))
    for i in range(len(values)):
        out[i] = step_rma(state, values[i], period)
    return out


@kernel
def true_range(high: Float64, low: Float64, close: Float64) -> Float64:
    """Return `max(high - low, |high - previous close|, |low - previous close|)`; NaN on the first bar. `talib.TRANGE`."""
    out = np.empty(len(high))
    for i in range(len(high)):
        previous = close[i - 1] if i else np.nan
        if np.isnan(previous) or np.isnan(high[i]) or np.isnan(low[i]):
            out[i] = np.nan
        else:
            out[i] = max(high[i] - low[i], abs(high[i] - previous), abs(low[i] - previous))
    return out


@kernel
def atr(high: Float64, low: Float64, close: Float64, period: int) -> Float64:
    """Return Wilder's average true range, in units of price. Equivalent: `talib.ATR(high, low, close, period)`."""
    state = np.zeros(ATR_STATE)
    out = np.empty(len(high))
    for i in range(len(high)):
        out[i] = step_atr(state, high[i], low[i], close[i], period)
    return out


@kernel
def adx(high: Float64, low: Float64, close: Float64, period: int) -> tuple[Float64, Float64, Float64]:
    """Return (+DI, -DI, ADX), each 0..100. Equivalent: `talib.PLUS_DI`, `talib.MINUS_DI`, `talib.ADX`."""
    state = np.zeros(ADX_STATE)
    plus_di = np.empty(len(high))
    minus_di = np.empty(len(high))
    out = np.empty(len(high))
    for i in range(len(high)):
        plus_di[i], minus_di[i], out[i] = step_adx(state, high[i], low[i], close[i], period)
    return plus_di, minus_di, out


@kernel
def rsi(values: Float64, period: int) -> Float64:
    """Return Wilder's relative strength index, 0..100. Equivalent: `talib.RSI(values, period)`."""
    state = np.zeros(RSI_STATE)
    out = np.empty(len(values))
    for i in range(len(values)):
        out[i] = step_rsi(state, values[i], period)
    return out
