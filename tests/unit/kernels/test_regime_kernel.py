"""The regime: hours, news, thin volume, structure, scores, hysteresis, confidence; and that each setting is obeyed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from sovereign.core.errors import ConfigurationError
from sovereign.kernels.regime import (
    RegimeConfig,
    RegimePoints,
    new_regime_state,
    percentile_rank,
    regime_config,
    start_regime_session,
    swing_structure,
    update_regime,
)
from sovereign.kernels.row import ROW, NoTrade, Regime

MINUTE = 60 * 10**9
BAR = 5 * MINUTE
OPEN = 14 * 60 * MINUTE + 30 * MINUTE  # 1970-01-01 14:30 UTC, 09:30 in New York
CLOSE = OPEN + 390 * MINUTE
EVENING = OPEN - 16 * 60 * MINUTE


def tape(
    close: np.ndarray, *, delta: np.ndarray | int = 0, volume: np.ndarray | int = 10_000, reach: int = 2, first_ns: int = OPEN
) -> np.ndarray:
    """Return bars of five minutes from `first_ns` on, each opening at the last close and reaching `reach` ticks beyond."""
    rows = np.zeros(len(close), ROW)
    rows["close"] = close
    rows["open"] = np.concatenate([close[:1], close[:-1]])
    rows["high"] = np.maximum(rows["open"], rows["close"]) + reach
    rows["low"] = np.minimum(rows["open"], rows["close"]) - reach
    rows["delta"] = delta
    rows["cumulative_delta"] = np.cumsum(rows["delta"])
    rows["volume"] = volume
    rows["session_vwap"] = np.cumsum(rows["volume"] * rows["close"]) / np.cumsum(rows["volume"])
    rows["open_ns"] = first_ns + BAR * np.arange(len(close))
    rows["known_at"] = rows["open_ns"] + BAR
    return rows


def run(sessions: list[np.ndarray], config: RegimeConfig | None = None, news: tuple[tuple[int, int], ...] = ()) -> np.ndarray:
    """Return all rows after each session has run through one state."""
    record = regime_config(config or RegimeConfig(), news)
    state = new_regime_state()
    for rows in sessions:
        start_regime_session(state, record, OPEN, CLOSE, EVENING, CLOSE + 60 * MINUTE)
        for i in range(len(rows)):
            update_regime(state, record, rows, i)
    return np.concatenate(sessions)


def walk(bars: int = 78, seed: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 18_000 + np.cumsum(rng.integers(-9, 10, bars))


def warm_up() -> np.ndarray:
    """Return an earlier session that makes every indicator known."""
    return tape(walk())


# Hours, news, volume


def test_regime_when_indicators_are_cold_then_nothing_is_traded() -> None:
    rows = run([tape(walk())])
    # ADX(14) needs 28 bars, then the regime two bars in a row.
    assert set(rows["no_trade"][:28]) == {NoTrade.WARM_UP}
    assert np.isnan(rows["adx"][26])
    assert not np.isnan(rows["adx"][27])
    assert NoTrade.WARM_UP not in rows["no_trade"][30:]
    assert np.isnan(rows["regime_confidence"][rows["regime"] == Regime.NO_TRADE]).all()


def test_regime_when_at_the_edges_of_the_day_session_then_no_trade_by_the_minute() -> None:
    rows = tape(walk(5))
    moments = [4.99, 5.0, 375.0, 375.01, 390.0]
    rows["known_at"] = [OPEN + int(minute * MINUTE) for minute in moments]
    # With one bar to confirm, the first bar of the session already has a regime.
    out = run([warm_up(), rows], RegimeConfig(min_bars_in_regime=1))[78:]
    assert list(out["no_trade"]) == [
        NoTrade.SESSION_EDGE,
        NoTrade.NONE,
        NoTrade.NONE,
        NoTrade.SESSION_EDGE,
        NoTrade.CLOSED,
    ]


def test_regime_when_outside_regular_hours_then_closed_unless_all_hours_are_traded() -> None:
    night = EVENING + 4 * 60 * MINUTE
    closed = run([warm_up(), tape(walk(5), first_ns=night)])[78:]
    traded = run([warm_up(), tape(walk(5), first_ns=night)], RegimeConfig(hours="all"))[78:]
    assert set(closed["no_trade"]) == {NoTrade.CLOSED}
    assert list(traded["no_trade"]) == [NoTrade.WARM_UP] + [NoTrade.NONE] * 4
    edge = run([warm_up(), tape(walk(5), first_ns=EVENING - 2 * MINUTE)], RegimeConfig(hours="all", min_bars_in_regime=1))[78:]
    assert list(edge["no_trade"][:2]) == [NoTrade.SESSION_EDGE, NoTrade.NONE]


def test_regime_when_news_are_near_then_no_trade_in_the_half_open_interval() -> None:
    release = datetime(1970, 1, 1, 15, 30, tzinfo=UTC)  # 10:00 in New York
    config = RegimeConfig(news=(release,), news_before_s=300, news_after_s=600)
    out = run([warm_up(), tape(walk(20))], config)[78:]
    minutes = (out["known_at"][out["no_trade"] == NoTrade.NEWS] - OPEN) // MINUTE
    assert list(minutes) == [55, 60, 65]


def test_regime_when_news_come_as_intervals_then_they_count_as_well() -> None:
    out = run([warm_up(), tape(walk(20))], news=((OPEN + 30 * MINUTE, OPEN + 41 * MINUTE),))[78:]
    minutes = (out["known_at"][out["no_trade"] == NoTrade.NEWS] - OPEN) // MINUTE
    assert list(minutes) == [30, 35, 40]


def test_regime_when_volume_is_below_a_third_of_the_average_then_no_trade() -> None:
    volume = np.full(20, 10_000)
    volume[10] = 2_999
    volume[12] = 3_100
    out = run([warm_up(), tape(walk(20), volume=volume)])[78:]
    assert out["no_trade"][10] == NoTrade.LOW_VOLUME
    assert out["volume_ratio"][10] == pytest.approx(0.2999)
    # The average of the 20 bars before is now (19 * 10,000 + 2,999) / 20 = 9,649.95.
    assert out["volume_ratio"][12] == pytest.approx(3_100 / 9_649.95)
    assert out["no_trade"][12] == NoTrade.NONE


def test_news_when_reversed_or_too_many_then_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"news interval was 5\.\.4"):
        regime_config(RegimeConfig(), ((5, 4),))
    with pytest.raises(ConfigurationError, match="news had 1025 intervals; allowed are 1024"):
        regime_config(RegimeConfig(), tuple((n, n + 1) for n in range(1025)))
    with pytest.raises(ValidationError, match="timezone"):
        RegimeConfig(news=(datetime(2025, 1, 1),))  # type: ignore[arg-type]  # noqa: DTZ001


@pytest.mark.parametrize(
    "wrong",
    [
        {"ema_fast_period": 30},
        {"range_adx": 26.0},
        {"overlap_bars_weak": 4},
        {"raised_atr_percentile": 90.0},
        {"structure_recent_bars": 5},
        {"structure_bars": 65},
        {"hours": "night"},
        {"unknown": 1},
    ],
)
def test_regime_config_when_out_of_order_or_unknown_then_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RegimeConfig.model_validate(wrong)


# Measures


def test_percentile_rank_when_compared_with_scipy_then_equal() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(2)
    values = rng.integers(0, 20, 300).astype(np.float64)
    ring = np.zeros(512)
    for n, value in enumerate(values):
        ring[n % 50] = value
        rank = percentile_rank(ring, n + 1, 50, value)
        if n < 49:
            assert np.isnan(rank)
        else:
            assert rank == pytest.approx(stats.percentileofscore(values[n - 49 : n + 1], value, kind="mean"))


@pytest.mark.parametrize(
    ("high", "low", "expected"),
    [
        ([5, 6, 7, 8, 9], [1, 2, 3, 4, 5], (True, False, True, False)),  # rising
        ([9, 8, 7, 6, 5], [5, 4, 3, 2, 1], (False, True, False, True)),  # falling
        ([9, 9, 9, 7, 8], [1, 1, 1, 3, 2], (False, True, True, False)),  # contracting
        ([5, 5, 5, 6, 7], [3, 3, 3, 2, 1], (True, False, False, True)),  # expanding
        ([5, 5, 5, 5, 5], [3, 3, 3, 3, 3], (False, False, False, False)),  # standing still
        # The last low is above the lowest low of the four before (the original's "higher low") yet it is a lower low of swings.
        ([9, 9, 9, 9, 9], [5, 5, 5, 2, 3], (False, False, False, True)),
    ],
)
def test_structure_when_five_bars_are_given_then_swings_are_compared(
    high: list[int], low: list[int], expected: tuple[bool, ...]
) -> None:
    rings = np.zeros((2, 64))
    rings[0, :5], rings[1, :5] = high, low
    assert swing_structure(rings[0], rings[1], 5, 5, 2) == expected
    assert swing_structure(rings[0], rings[1], 4, 5, 2) == (False, False, False, False)


def test_row_when_price_climbs_then_structure_is_two_and_falls_then_minus_two() -> None:
    up = run([tape(18_000 + 4 * np.arange(10))])
    down = run([tape(18_000 - 4 * np.arange(10))])
    assert list(up["structure"]) == [0] * 4 + [2] * 6
    assert list(down["structure"]) == [0] * 4 + [-2] * 6


# Scores, confidence, hysteresis


def test_regime_when_price_and_delta_climb_then_trending_up_with_full_score() -> None:
    rows = run([warm_up(), tape(18_000 + 6 * np.arange(60), delta=300)])[78:]
    last = rows[-20:]
    assert set(last["regime"]) == {Regime.TRENDING_UP}
    assert (last["adx"] > 25).all()
    # Up: ADX 2, EMA 1.5, VWAP 1, structure 2, delta 1.5, and .5 while the ADX rises: 8 or 8.5. Down: ADX 2 and .5.
    # Calm ATR at most 1 for RANGING, VOLATILE at most the ATR's 2.5; so the rival has 2.5 at most and 2 at least.
    assert (last["regime_confidence"] >= 0.5 + 0.5 * (8.0 - 2.5) / 8.0).all()


def test_regime_when_price_and_delta_fall_then_trending_down() -> None:
    rows = run([warm_up(), tape(18_000 - 6 * np.arange(60), delta=-300)])[78:]
    assert set(rows["regime"][-20:]) == {Regime.TRENDING_DOWN}


def test_regime_when_price_swings_inside_a_band_then_ranging() -> None:
    swing = 18_000 + np.resize([0, 3, 5, 3, 0, -3, -5, -3], 70)
    rows = run([warm_up(), tape(swing, delta=np.resize([100, -100], 70), reach=4)])[78:]
    assert (rows["regime"][-20:-3] == Regime.RANGING).mean() > 0.8


def test_regime_when_bars_grow_wide_and_volume_doubles_then_volatile() -> None:
    close = np.concatenate([np.resize([18_000, 18_003], 40), 18_000 + np.array([0, 60, -70, 90, -100, 120, -130, 150])])
    volume = np.concatenate([np.full(40, 10_000), 10_000 * 3 ** np.arange(1, 9)])
    rows = run([warm_up(), tape(close, volume=volume, delta=np.resize([4, -4], 48))])[78:]
    assert Regime.VOLATILE in rows["regime"][42:46]


def only(**points: float) -> RegimePoints:
    """Return points that are zero but for those given."""
    return RegimePoints(**{name: points.get(name, 0.0) for name in RegimePoints.model_fields})


def test_confidence_when_the_leader_has_three_and_the_second_one_then_five_sixths() -> None:
    # .5 + .5 * (3 - 1) / 3. The climb gives the trend 3 for EMA, RANGING 1 for an ADX below 101.
    config = RegimeConfig(points=only(trend_ema=3.0, range_adx_strong=1.0), range_adx=101.0, trend_adx=102.0, min_score=3.0)
    rows = run([warm_up(), tape(18_000 + 6 * np.arange(40))], config)[78:]
    assert rows["regime"][-1 - 8] == Regime.TRENDING_UP
    assert rows["regime_confidence"][-1 - 8] == pytest.approx(5 / 6)


def test_regime_when_no_score_reaches_the_least_then_volatile_with_low_confidence() -> None:
    config = RegimeConfig(points=only(trend_ema=3.0), min_score=3.5)
    rows = run([warm_up(), tape(18_000 + 6 * np.arange(40))], config)[78:]
    assert rows["regime"][30] == Regime.VOLATILE
    assert rows["regime_confidence"][30] <= 0.5


@pytest.mark.parametrize("bars", [1, 2, 4])
def test_regime_when_the_leader_changes_then_it_must_last_before_it_is_adopted(bars: int) -> None:
    config = RegimeConfig(points=only(trend_vwap=5.0), min_score=1.0, min_bars_in_regime=bars)
    rows = tape(np.full(30, 18_000))
    rows["session_vwap"] = np.where(np.arange(30) < 15, 17_000.0, 19_000.0)
    rows["session_vwap"][8] = 19_000.0  # one bar on the other side
    out = run([warm_up(), rows], config)[78:]
    assert (out["regime"][15 : 15 + bars - 1] == Regime.TRENDING_UP).all()
    assert out["regime"][15 + bars - 1] == Regime.TRENDING_DOWN
    assert out["regime"][8] == (Regime.TRENDING_DOWN if bars == 1 else Regime.TRENDING_UP)
    if bars > 1:
        # The regime in force has no points left, its rival all: .5 + .5 * (0 - 5) / 5.
        assert out["regime_confidence"][8] == 0.0
        assert out["regime"][9] == Regime.TRENDING_UP
        assert out["regime_confidence"][9] == 1.0


def test_regime_when_news_pass_then_the_regime_underneath_is_still_known() -> None:
    config = RegimeConfig(points=only(trend_vwap=5.0), min_score=1.0)
    rows = tape(np.full(30, 18_000))
    rows["session_vwap"] = 17_000.0
    out = run([warm_up(), rows], config, news=((int(rows["known_at"][10]), int(rows["known_at"][12]) + 1),))[78:]
    assert list(out["regime"][9:14]) == [Regime.TRENDING_UP, 0, 0, 0, Regime.TRENDING_UP]


def test_cumulative_delta_when_a_session_starts_then_its_slope_forgets_the_day_before() -> None:
    config = RegimeConfig(points=only(trend_delta=5.0, trend_delta_weak=2.0), min_score=4.0, min_bars_in_regime=1)
    # Yesterday ended at 390,000; today starts at 100 and rises by 10 a bar: a rising slope, hence 5 points and no fewer.
    today = tape(walk(5), delta=np.array([100, 10, 10, 10, 10]))
    out = run([tape(walk(), delta=5_000), today], config)[78:]
    assert list(out["regime"][1:]) == [Regime.TRENDING_UP] * 4


def test_indicators_when_not_carried_over_then_warm_up_in_each_session() -> None:
    cold = run([warm_up(), tape(walk(40))], RegimeConfig(carry_over_sessions=False))[78:]
    alone = run([tape(walk(40))])
    for name in ("ema_fast", "atr", "adx", "volume_ratio", "regime", "regime_confidence"):
        np.testing.assert_array_equal(cold[name], alone[name])


def test_atr_when_the_session_opens_far_away_then_the_gap_is_not_counted() -> None:
    far = run([warm_up(), tape(walk(5) + 4_000)])[78:]
    near = run([warm_up(), tape(walk(5))])[78:]
    np.testing.assert_allclose(far["atr"], near["atr"])
    np.testing.assert_allclose(far["adx"], near["adx"])
