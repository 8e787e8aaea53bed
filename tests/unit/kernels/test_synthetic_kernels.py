"""The synthetic market's kernels against plain NumPy and against paths worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sovereign.kernels.synthetic import cumulate_intensity, spread_arrivals, trade_null, trade_quotes

HALF = 32_768


def _intensity(shape: np.ndarray, **changed: float) -> tuple[np.ndarray, np.ndarray]:
    bins = len(shape)
    values: dict[str, float] = {"deviation": 0.0, "enter": 0.0, "leave": 0.0, "factor": 1.0, "regime_leave": 0.0, **changed}
    rng = np.random.default_rng(5)
    cumulative, regime = np.empty(bins + 1), np.empty(bins, np.int8)
    cumulate_intensity(
        shape,
        rng.standard_normal(bins),
        rng.random((bins, 3)),
        0.9,
        values["deviation"],
        values["enter"],
        values["leave"],
        values["factor"],
        np.array([0.5, 2.0]),
        values["regime_leave"],
        1,
        cumulative,
        regime,
    )
    return cumulative, regime


def test_cumulate_when_nothing_is_random_then_it_is_the_scaled_cumulative_shape() -> None:
    shape = np.array([1.0, 0.0, 3.0])
    cumulative, regime = _intensity(shape)
    assert cumulative.tolist() == [0.0, 2.0, 2.0, 8.0]
    assert regime.tolist() == [1, 1, 1]


def test_cumulate_when_bursts_never_end_then_every_later_bin_is_multiplied() -> None:
    cumulative, _ = _intensity(np.ones(4), enter=1.0, leave=0.0, factor=10.0)
    assert np.diff(cumulative).tolist() == [20.0, 20.0, 20.0, 20.0]


def test_cumulate_when_two_regimes_always_leave_then_they_alternate() -> None:
    cumulative, regime = _intensity(np.ones(4), regime_leave=1.0)
    assert regime.tolist() == [0, 1, 0, 1]
    assert np.diff(cumulative).tolist() == [0.5, 2.0, 0.5, 2.0]


def test_cumulate_when_intensity_clusters_then_its_mean_stays_and_its_logarithm_is_ar1() -> None:
    cumulative, _ = _intensity(np.ones(200_000), deviation=0.5)
    rate = np.diff(cumulative) / 2.0
    level = np.log(rate)
    assert rate.mean() == pytest.approx(1.0, rel=0.03)
    assert level.std() == pytest.approx(0.5, rel=0.03)
    assert np.corrcoef(level[1:], level[:-1])[0, 1] == pytest.approx(0.9, abs=0.01)


def test_spread_when_no_sweeps_then_times_equal_numpy_interpolation() -> None:
    rng = np.random.default_rng(1)
    n, bins, step = 5_000, 40, 250_000_000
    cumulative = np.concatenate([[0.0], np.cumsum(rng.random(bins))])
    cumulative[11:14] = cumulative[10]  # a pause of three bins
    cumulative = np.maximum.accumulate(cumulative)
    gaps = rng.standard_exponential(n + 1)
    bits = np.full((n, 5), 60_000, np.uint16)
    ts, regime_of = np.empty(n, np.int64), np.empty(n, np.int8)
    start = 1_764_000_000_000_000_000
    regime = np.arange(bins, dtype=np.int8)
    spread_arrivals(gaps, bits, 0.0, cumulative, regime, start, step, start + bins * step, ts, regime_of)
    at = np.cumsum(gaps)[:-1] / gaps.sum() * cumulative[-1]
    k = np.searchsorted(cumulative, at, side="right") - 1
    expected = start + ((k + (at - cumulative[k]) / np.diff(cumulative)[k]) * step).astype(np.int64)
    assert np.abs(ts - expected).max() <= 1
    assert regime_of.tolist() == k.tolist()
    assert not np.isin(regime_of, [10, 11, 12]).any()


def test_spread_when_a_trade_is_a_sweep_then_it_has_the_time_of_the_one_before() -> None:
    bits = np.zeros((4, 5), np.uint16)
    bits[:, 0] = [0, 60_000, 0, 60_000]  # rows 0 and 2 are below the limit; the first trade is never a sweep
    ts, regime_of = np.empty(4, np.int64), np.empty(4, np.int8)
    spread_arrivals(np.ones(5), bits, 0.5, np.array([0.0, 1.0]), np.zeros(1, np.int8), 0, 1_000, 1_000, ts, regime_of)
    # Gaps that count: rows 0, 1, 3 and the end: 4 in all.
    assert ts.tolist() == [250, 500, 500, 750]


def test_trade_null_when_bits_are_given_then_path_is_the_one_worked_by_hand() -> None:
    # (unused, move, direction, side, size); a move happens below 0.5 * 65536 = 32768.
    bits = np.array(
        [
            [9, 0, 0, 0, 1],
            [9, 40_000, 0, HALF, 2],
            [9, 32_767, HALF, 0, 3],
            [9, 32_768, 0, 65_535, 4],
            [9, 1, 65_535, 32_767, 5],
        ],
        np.uint16,
    )
    n = len(bits)
    price, size, bid, ask = (np.empty(n, np.int32) for _ in range(4))
    side = np.empty(n, np.int8)
    sizes = 10 * np.arange(65_536, dtype=np.int32)
    trade_null(bits, np.zeros(n, np.int8), np.array([0.5]), 100, sizes, price, size, side, bid, ask)
    assert price.tolist() == [101, 101, 100, 100, 99]
    assert side.tolist() == [1, -1, 1, -1, 1]
    assert bid.tolist() == ask.tolist() == price.tolist()
    assert size.tolist() == [10, 20, 30, 40, 50]


def test_trade_quotes_when_bits_are_given_then_path_is_the_one_worked_by_hand() -> None:
    # sweep below 0.25 -> 16384; move below 0.5; sides repeat below 0.75 -> 49152; no widening, no impact.
    bits = np.array(
        [
            [60_000, 60_000, 0, 0, 7],  # first side from its bit: buyer; 0 < 49152 keeps it
            [60_000, 0, 0, 60_000, 7],  # quote up one, side turns: seller
            [0, 0, 0, 60_000, 7],  # sweep: nothing moves, nothing turns
            [60_000, 0, 40_000, 0, 7],  # quote down one, side kept
        ],
        np.uint16,
    )
    n = len(bits)
    price, size, bid, ask = (np.empty(n, np.int32) for _ in range(4))
    side = np.empty(n, np.int8)
    trade_quotes(
        bits,
        0.25,
        np.zeros(n, np.int8),
        np.array([0.5]),
        np.array([0.0]),
        0.75,
        0.0,
        0.0,
        1.0,
        0.0,
        100,
        np.ones(65_536, np.int32),
        price,
        size,
        side,
        bid,
        ask,
    )
    assert bid.tolist() == [100, 101, 101, 100]
    assert ask.tolist() == [101, 102, 102, 101]
    assert side.tolist() == [1, -1, -1, -1]
    assert price.tolist() == [101, 101, 101, 100]
