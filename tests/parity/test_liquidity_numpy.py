"""Amihud's ratio, Kyle's lambda and the percentiles agree with numpy and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sovereign.kernels.liquidity import amihud, price_impact, volume_profile
from sovereign.kernels.market_regime import measure, rank_in_history, signed_efficiency, spread
from sovereign.kernels.market_row import FIELDS, MEASURES, Field
from sovereign.kernels.wyckoff import percentile_of


@pytest.mark.parametrize("seed", range(5))
def test_price_impact_when_compared_with_least_squares_then_is_the_slope(seed):
    rng = np.random.default_rng(seed)
    signed = rng.normal(0, 1e4, 60)
    change = 3e-8 * signed + rng.normal(0, 1e-4, 60)
    design = np.column_stack([np.ones(60), signed])
    slope = np.linalg.lstsq(design, change, rcond=None)[0][1]
    assert price_impact(change, signed) == pytest.approx(slope * 1e6, rel=1e-9)
    assert price_impact(change, signed) == pytest.approx(stats.linregress(signed, change).slope * 1e6, rel=1e-9)


def test_price_impact_when_changes_are_unknown_then_they_are_left_out():
    rng = np.random.default_rng(1)
    signed, change = rng.normal(0, 1e4, 30), rng.normal(0, 1e-4, 30)
    change[[3, 11]] = np.nan
    known = ~np.isnan(change)
    slope = np.polyfit(signed[known], change[known], 1)[0]
    assert price_impact(change, signed) == pytest.approx(slope * 1e6, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_amihud_when_compared_with_numpy_then_is_the_median(seed):
    rng = np.random.default_rng(seed)
    change, close = rng.normal(0, 1e-3, 61), rng.uniform(100, 200, 61)
    volume = rng.integers(0, 3, 61) * 1_000.0
    traded = volume > 0
    expected = np.median(np.abs(change[traded]) / (close[traded] * volume[traded])) * 1e9
    assert amihud(change, close, volume) == pytest.approx(expected, rel=1e-12)


def test_profile_when_made_then_holds_all_volume():
    rng = np.random.default_rng(2)
    low = rng.uniform(90, 110, 60)
    high, volume = low + rng.uniform(0, 5, 60), rng.integers(1, 1_000, 60).astype(float)
    out = np.zeros(20)
    bottom, width = volume_profile(high, low, volume, 20, out)
    assert out.sum() == pytest.approx(volume.sum(), rel=1e-12)
    assert (bottom, bottom + 20 * width) == (pytest.approx(low.min()), pytest.approx(high.max()))


@pytest.mark.parametrize("share", [0.1, 0.33, 0.9])
def test_percentile_when_compared_with_numpy_then_equal(share):
    values = np.random.default_rng(3).normal(0, 1, 50)
    assert percentile_of(values, share) == pytest.approx(np.percentile(values, 100 * share), rel=1e-12)


def test_rank_when_compared_with_scipy_then_is_the_percentile_of_the_score():
    rng = np.random.default_rng(4)
    h = np.full((FIELDS, 200), np.nan)
    h[Field.SESSION] = 0.0
    h[Field.WIDTH] = rng.integers(0, 40, 200)
    for i in (60, 120, 199):
        expected = stats.percentileofscore(h[Field.WIDTH, :i], h[Field.WIDTH, i], kind="mean") / 100.0
        assert rank_in_history(h, Field.WIDTH, i, 10, 1_000, 50) == pytest.approx(expected, rel=1e-12)


def test_measures_when_compared_with_numpy_then_equal():
    rng = np.random.default_rng(5)
    count, window = 200, 20
    h = np.full((FIELDS, count), np.nan)
    close = 40_000.0 + np.cumsum(rng.normal(0, 30, count))
    h[Field.CLOSE], h[Field.OPEN] = close, np.concatenate([[40_000.0], close[:-1]])
    h[Field.HIGH], h[Field.LOW] = np.maximum(h[Field.OPEN], close) + 5, np.minimum(h[Field.OPEN], close) - 5
    h[Field.VOLUME], h[Field.SESSION] = rng.integers(1_000, 9_000, count), 0.0
    h[Field.CHANGE] = np.log(close / h[Field.OPEN])
    out = np.zeros(count, MEASURES)
    year = 252.0 * 78
    measure(h, 0, count, window, 50, year, 20, 10_000, 50, 14, np.zeros(8), out)
    for i in (20, 77, 199):
        changes, closes = np.diff(np.log(close[i - window : i + 1])), close[i - window + 1 : i + 1]
        assert out["volatility"][i] == pytest.approx(changes.std(ddof=1) * np.sqrt(year), rel=1e-9)
        assert out["width"][i] == pytest.approx(4 * closes.std(ddof=1) / closes.mean(), rel=1e-9)
        path = np.abs(np.diff(close[i - window : i + 1])).sum()
        assert out["efficiency"][i] == pytest.approx((close[i] - close[i - window]) / path, rel=1e-9)
        assert out["momentum"][i] == pytest.approx(changes.mean() / (changes.std(ddof=1) / np.sqrt(window)), rel=1e-9)
    assert np.isnan(out["volatility"][:20]).all()
    assert np.isnan(spread(np.array([1.0])))
    assert signed_efficiency(np.array([1.0, 2.0, 1.0, 0.0])) == pytest.approx(-1 / 3)
