"""Indicators on examples worked by hand or published."""

from __future__ import annotations

import numpy as np
import pytest

from sovereign.kernels import indicator


def test_ema_when_worked_by_hand_then_starts_from_the_mean() -> None:
    # Period 3, weight 1/2: mean(2, 4, 6) = 4; (8 + 4) / 2 = 6; (2 + 6) / 2 = 4.
    np.testing.assert_allclose(indicator.ema(np.array([2.0, 4.0, 6.0, 8.0, 2.0]), 3), [np.nan, np.nan, 4.0, 6.0, 4.0])


def test_rma_when_worked_by_hand_then_moves_by_a_third() -> None:
    # mean(3, 6, 9) = 6; (6 * 2 + 12) / 3 = 8; (8 * 2 + 2) / 3 = 6.
    np.testing.assert_allclose(indicator.rma(np.array([3.0, 6.0, 9.0, 12.0, 2.0]), 3), [np.nan, np.nan, 6.0, 8.0, 6.0])


def test_atr_when_price_gaps_then_the_gap_counts() -> None:
    # True ranges: unknown, 2, max(1, 15 - 11, 14 - 11) = 4, then 3; ATR(2): mean(2, 4) = 3; (3 + 3) / 2 = 3.
    high = np.array([11.0, 12.0, 15.0, 16.0])
    low = np.array([9.0, 10.0, 14.0, 13.0])
    close = np.array([10.0, 11.0, 14.0, 14.0])
    np.testing.assert_allclose(indicator.atr(high, low, close, 2), [np.nan, np.nan, 3.0, 3.0])


def test_adx_when_every_bar_moves_up_alike_then_is_one_hundred() -> None:
    high = np.arange(10.0, 40.0)
    plus, minus, adx = indicator.adx(high, high - 1.0, high - 0.5, 5)
    assert adx[9:] == pytest.approx(np.full(21, 100.0))
    assert np.isnan(adx[:9]).all()
    assert minus[5:] == pytest.approx(np.zeros(25))
    # True range is high - previous close = 1.5, +DM is 1. The first sums hold 4 bars and take the fifth in: (4 - .8 + 1) / 6.3.
    assert plus[5] == pytest.approx(100 * 4.2 / 6.3)


def test_rsi_when_given_the_published_example_then_gives_the_published_values() -> None:
    # StockCharts ChartSchool, "Relative Strength Index (RSI)", the worked example on QQQQ.
    text = (
        "44.3389 44.0902 44.1497 43.6124 44.3278 44.8264 45.0955 45.4245 45.8433 46.0826 "
        "45.8931 46.0328 45.6140 46.2820 46.2820 46.0028 46.0328 46.4116 46.2222 45.6439"
    )
    close = np.array([float(word) for word in text.split()])
    np.testing.assert_allclose(indicator.rsi(close, 14)[14:], [70.53, 66.32, 66.55, 69.41, 66.36, 57.97], atol=0.006)


@pytest.mark.parametrize("name", ["ema", "rma", "rsi"])
def test_indicator_when_a_value_is_missing_then_warms_up_again(name: str) -> None:
    kernel = getattr(indicator, name)
    values = np.arange(20.0) ** 1.5
    broken = values.copy()
    broken[8] = np.nan
    out = kernel(broken, 3)
    assert np.isnan(out[8])
    np.testing.assert_array_equal(out[9:], kernel(values[9:], 3))


def test_bar_indicators_when_a_bar_is_missing_then_warm_up_again() -> None:
    rng = np.random.default_rng(3)
    low = 100.0 + np.cumsum(rng.normal(0, 1, 60))
    high, close = low + 2.0, low + 1.0
    high[20] = np.nan
    for ours, fresh in (
        (indicator.atr(high, low, close, 4), indicator.atr(high[21:], low[21:], close[21:], 4)),
        (indicator.adx(high, low, close, 4)[2], indicator.adx(high[21:], low[21:], close[21:], 4)[2]),
    ):
        assert np.isnan(ours[20])
        np.testing.assert_array_equal(ours[21:], fresh)


def test_indicators_when_the_period_is_below_one_then_all_unknown() -> None:
    values = np.arange(5.0)
    assert np.isnan(indicator.ema(values, 0)).all()
    assert np.isnan(indicator.rma(values, 0)).all()
    assert np.isnan(indicator.rsi(values, 0)).all()
    assert np.isnan(indicator.atr(values, values, values, 0)).all()
    assert np.isnan(indicator.adx(values, values, values, 0)[2]).all()


def test_unlink_when_sessions_are_far_apart_then_the_gap_is_no_range() -> None:
    state = np.zeros(indicator.ATR_STATE)
    for high, low, close in ((11.0, 9.0, 10.0), (12.0, 10.0, 11.0), (13.0, 11.0, 12.0)):
        indicator.step_atr(state, high, low, close, 2)
    indicator.unlink(state)
    # Without the gap the range is 3: (2 * 1 + 3) / 2.
    assert indicator.step_atr(state, 503.0, 500.0, 501.0, 2) == pytest.approx(2.5)
