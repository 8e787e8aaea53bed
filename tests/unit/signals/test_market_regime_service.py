"""The regime service: axes, names, hysteresis, staleness, three states, and hidden states that keep their names."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from scipy import stats

from council_cases import restless, rows_of, stream_of
from sovereign.feeds.calendar import calendar_for
from sovereign.kernels.market_regime import classify, hold
from sovereign.kernels.market_row import HELD, MEASURES, REGIME, HiddenPhase, MarketRegime
from sovereign.kernels.ohlcv import BAR
from sovereign.signals.market_regime import (
    BarHistory,
    MarketRegimeConfig,
    RegimeService,
    ThreeStates,
    first_guess,
    is_stale,
    phases_of,
    three_states,
)
from sovereign.signals.tug_market import MarketConfig
from sovereign.strategies.council import CouncilConfig

NAN = np.nan
QUICK = {"hidden": {"min_fit_bars": 300, "fit_bars": 900, "refit_sessions": 2}}


def named(bars, config=None, is_daily=False):
    """Classify measured bars without a hidden model."""
    service = RegimeService(config or MarketRegimeConfig(hold_bars=1), 86_400 if is_daily else 300)
    out = np.zeros(len(bars), REGIME)
    for name in MEASURES.names:
        out[name] = NAN
    for n, bar in enumerate(bars):
        for name, value in bar.items():
            out[name][n] = value
    held, readings = np.zeros((HELD, 4), np.int64), np.zeros(1, np.int64)
    parts = (service.transition, service.means, service.variances, service.phase_of, service.filtered)
    classify(np.zeros(len(bars)), service._setting, False, NAN, *parts, held, readings, out)
    return out


QUIET = {"efficiency": 0.1, "volatility": 0.15, "volatility_percentile": 0.5, "width_percentile": 0.5}


@pytest.mark.parametrize(
    ("bar", "regime"),
    [
        ({"efficiency": 0.3}, MarketRegime.TRENDING_UP),
        ({"efficiency": -0.3}, MarketRegime.TRENDING_DOWN),
        ({"efficiency": 0.29, "width_percentile": 0.2}, MarketRegime.RANGING),
        ({"efficiency": 0.29}, MarketRegime.RANGING),
        ({"volatility_percentile": 0.8}, MarketRegime.VOLATILE),
        ({"volatility_percentile": 0.8, "efficiency": 0.9}, MarketRegime.VOLATILE),
        ({"volatility_percentile": 0.2}, MarketRegime.CALM),
        ({"volatility_percentile": 0.2, "width_percentile": 0.1}, MarketRegime.RANGING),
        ({"efficiency": NAN}, MarketRegime.UNKNOWN),
    ],
)
def test_name_when_axes_differ_then_unrest_first_then_trend_then_range_then_calm(bar, regime):
    assert named([{**QUIET, **bar}])["regime"][0] == regime


@pytest.mark.parametrize(("volatility", "kind"), [(0.26, 2), (0.25, 1), (0.10, 1), (0.09, 0), (NAN, -1)])
def test_volatility_when_bars_are_daily_then_levels_decide(volatility, kind):
    assert named([{**QUIET, "volatility": volatility}], is_daily=True)["volatility_class"][0] == kind


def test_axis_when_it_flickers_then_changes_after_three_bars_in_a_row():
    trend = [0.5] * 3 + [0.0] * 2 + [0.5] + [0.0] * 4
    found = named([{**QUIET, "efficiency": value} for value in trend], MarketRegimeConfig(hold_bars=3))
    assert found["trend"].tolist() == [1, 1, 1, 1, 1, 1, 1, 1, 0, 0]


BY_RETURN = MarketRegimeConfig(hold_bars=1, trend_by="return")


@pytest.mark.parametrize(("deviations", "trend"), [(1.0, 1), (0.99, 0), (-0.99, 0), (-1.0, -1), (0.0, 0), (NAN, -2)])
def test_trend_when_decided_by_return_then_from_one_deviation_on_whatever_the_efficiency(deviations, trend):
    for efficiency in (0.9, 0.0, -0.9):
        assert named([{**QUIET, "efficiency": efficiency, "momentum": deviations}], BY_RETURN)["trend"][0] == trend


def test_trend_when_decided_by_efficiency_then_whatever_the_return():
    for deviations in (3.0, -3.0, NAN):
        assert named([{**QUIET, "efficiency": 0.3, "momentum": deviations}])["trend"][0] == 1


def test_trend_when_the_threshold_is_another_then_from_there_on():
    config = MarketRegimeConfig(hold_bars=1, trend_by="return", trend_deviations=2.5)
    assert named([{**QUIET, "momentum": value} for value in (2.49, 2.5)], config)["trend"].tolist() == [0, 1]


def test_confidence_when_a_return_names_the_trend_then_is_how_many_driftless_walks_go_less_far():
    # 68.27% of a normal distribution lie within one deviation, 95.45% within two.
    found = named([{**QUIET, "momentum": value} for value in (1.0, -2.0, 0.0)], BY_RETURN)
    assert found["regime"].tolist() == [MarketRegime.TRENDING_UP, MarketRegime.TRENDING_DOWN, MarketRegime.RANGING]
    np.testing.assert_allclose(found["regime_confidence"], [0.6827, 0.9545, 1.0], atol=5e-5)


def closes_read(closes, config, *, sessions=1, seconds=86_400):
    """Read sessions of bars that close at these prices; each opens at the close before it, a session's first at its own."""
    service = RegimeService(config, seconds)
    history = BarHistory(service.history_bars, is_linked=service.is_daily)
    found = []
    for part in np.split(np.asarray(closes), sessions):
        bars = np.zeros(len(part), BAR)
        bars["close"], bars["open"] = part, [part[0], *part[:-1]]
        bars["high"], bars["low"], bars["volume"] = np.maximum(bars["open"], part), np.minimum(bars["open"], part), 100
        service.start_session(history, calendar_for("XNYS").session(date(2025, 11, 18)))
        history.start_session()
        found.append(service.update(history, *history.append(bars)))
    return np.concatenate(found)


def test_return_when_worked_by_hand_then_the_log_change_over_the_deviation_of_its_bars():
    # Changes of +3, -1, +3, -1 percent: sum 4, squares about the mean 16, deviation sqrt(16 / 3); 4 / (2.3094 x 2) = 0.8660.
    steps = np.array([0.03, -0.01] * 8)
    closes = np.round(1e8 * np.exp(np.concatenate([[0.0], np.cumsum(steps)])))
    for least, trend in ((0.86, 1), (0.87, 0)):
        config = MarketRegimeConfig(window_bars=4, hold_bars=1, trend_by="return", trend_deviations=least)
        found = closes_read(closes, config)
        np.testing.assert_allclose(found["momentum"][4:], np.sqrt(0.75), atol=1e-6)
        assert found["trend"].tolist() == [-2] * 4 + [trend] * 13
        mirrored = closes_read(np.round(1e16 / closes), config)
        assert mirrored["trend"].tolist() == [-2] * 4 + [-trend] * 13


def test_return_when_the_market_stood_still_then_chop():
    found = closes_read(np.full(30, 40_000), BY_RETURN)
    assert (found["momentum"][20:] == 0.0).all()
    assert found["trend"].tolist() == [-2] * 20 + [0] * 10


def test_return_when_the_night_has_no_bar_then_it_counts_neither_as_move_nor_as_unrest():
    """Two sessions that go nowhere with a gap of 20% between them: no trend within the day, by the path of closes it is one."""
    day = 40_000 + 10 * (np.arange(13) % 2)
    closes = np.concatenate([day, day + 8_000])
    by_return = closes_read(closes, BY_RETURN, sessions=2, seconds=1_800)
    assert (by_return["trend"][20:] == 0).all()
    assert (np.abs(by_return["momentum"][20:]) < 0.3).all()
    assert (closes_read(closes, MarketRegimeConfig(hold_bars=1), sessions=2, seconds=1_800)["trend"][20:] == 1).all()


def test_return_when_bars_are_daily_then_the_night_is_part_of_the_day():
    """The same closes a session each: the jump is a day's change, and of 20 changes it alone says next to nothing."""
    closes = np.concatenate([40_000 + 10 * (np.arange(13) % 2), 48_000 + 10 * (np.arange(13) % 2)])
    found = closes_read(closes, BY_RETURN, sessions=26)
    changes = np.diff(np.log(closes))[-20:]
    assert found["momentum"][-1] == pytest.approx(stats.ttest_1samp(changes, 0.0).statistic, rel=1e-9)
    assert found["momentum"][-1] == pytest.approx(1.0, abs=0.01)  # one change of 20: sum c, deviation c / sqrt(20)


def test_return_when_the_market_walks_without_drift_then_one_reading_in_three_is_a_trend():
    """Windows of 20 bars that share none: Student's t of 19 degrees lies beyond one deviation in 33.0% of cases."""
    rng = np.random.default_rng(11)
    closes = np.round(1e8 * np.exp(np.cumsum(rng.normal(0.0, 0.001, 20 * 1_500 + 1))))
    config = MarketRegimeConfig(hold_bars=1, trend_by="return", daily_history_bars=20)
    found = closes_read(closes, config)["trend"][20::20]
    assert len(found) == 1_500
    expected = stats.t.sf(1.0, 19)
    spread = np.sqrt(expected * (1 - expected) / len(found))
    for sign in (1, -1):
        assert np.mean(found == sign) == pytest.approx(expected, abs=4 * spread)
    assert 2 * expected == pytest.approx(0.330, abs=5e-4)


def test_market_of_the_tug_of_war_when_read_then_by_the_return_of_twenty_days():
    reading = MarketConfig(trend_deviations=1.5).reading
    assert (reading.trend_by, reading.trend_deviations, reading.window_bars) == ("return", 1.5, 20)
    assert CouncilConfig().regime.trend_by == "efficiency"


def test_hold_when_candidates_alternate_then_none_wins():
    state = np.zeros(4, np.int64)
    assert [hold(state, raw, 2) for raw in (0, 1, 2, 1, 2, 2)] == [0, 0, 0, 0, 0, 2]


@pytest.mark.parametrize(("age_bars", "stale"), [(0.0, False), (1.99, False), (2.0, True), (9.0, True)])
def test_reading_when_two_bars_old_then_stale(age_bars, stale):
    assert is_stale(0, round(age_bars * 300 * 10**9), 300, MarketRegimeConfig()) is stale


@pytest.mark.parametrize(
    ("values", "age", "expected"),
    [
        ({"trend": 1}, 0, (ThreeStates.TREND, True)),
        ({"trend": -1}, 0, (ThreeStates.TREND, True)),
        ({"trend": 0}, 0, (ThreeStates.CHOP, True)),
        ({"trend": 1, "is_crisis": 1}, 0, (ThreeStates.CRISIS, False)),
        ({"trend": 1, "is_crisis": 1}, 5, (ThreeStates.CHOP, False)),
        ({"trend": 1}, 5, (ThreeStates.CHOP, False)),
        ({"trend": -2}, 0, (ThreeStates.CHOP, False)),
        ({"trend": 1, "p_wildest": NAN}, 0, (ThreeStates.CHOP, False)),
    ],
)
def test_three_states_when_readings_differ_then_stale_or_missing_is_chop_without_entries(values, age, expected):
    row = {"known_at": 0, "trend": 0, "is_crisis": 0, "p_wildest": 0.1, **values}
    assert three_states(row, age * 300 * 10**9, 300, MarketRegimeConfig()) == expected


def test_phases_when_means_are_told_apart_then_each_phase_has_its_state():
    _, _, means, _ = first_guess(5)
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 1, 3]):
        assert phases_of(means[order]).tolist() == [list(HiddenPhase)[1:][n].value for n in order]


def test_phases_when_prior_trends_have_the_wrong_sign_then_only_a_range():
    means = np.array([[0, 1.0, 0, 0], [0, -1.0, 0, 0], [0, 0, 0, 0.5], [0, 0, 0, 0.7], [0, 0, 0, 0.2]])
    found = phases_of(means)
    assert HiddenPhase.ACCUMULATION not in found
    assert found[3] == HiddenPhase.DISTRIBUTION


def test_states_when_refitted_over_weeks_then_keep_their_names():
    """Wildest last, markup of most momentum, at every refit: what a state is called does not jump from fit to fit."""
    stream = stream_of(CouncilConfig.model_validate({"regime": QUICK}))
    fits = 0
    for session, trades in restless(1, 24):
        stream.start_session(session)
        stream.advance(trades, session.close_ns)
        service = stream.regime
        if service.is_fitted:
            fits += 1
            assert (np.diff(service.variances[:, 0]) >= 0).all()
            up = np.flatnonzero(service.phase_of == HiddenPhase.MARKUP)
            down = np.flatnonzero(service.phase_of == HiddenPhase.MARKDOWN)
            assert service.means[up, 1].max(initial=-9) == service.means[:, 1].max()
            assert service.means[down, 1].min(initial=9) == service.means[:, 1].min()
            np.testing.assert_allclose(service.transition.sum(axis=1), 1.0)
    assert fits > 10


def test_rows_when_the_model_is_fitted_then_probabilities_sum_to_one_and_trends_show_in_them():
    rows = rows_of(stream_of(CouncilConfig.model_validate({"regime": QUICK})), restless(1, 24))
    names = ("p_accumulation", "p_markup", "p_distribution", "p_markdown", "p_range")
    total = sum(rows[name] for name in names)
    known = ~np.isnan(total)
    assert known.sum() > 800
    np.testing.assert_allclose(total[known], 1.0)
    steep = known & (np.abs(rows["efficiency"]) > 0.5)
    toward = np.where(rows["efficiency"] > 0, rows["p_markup"] - rows["p_markdown"], rows["p_markdown"] - rows["p_markup"])
    assert toward[steep].mean() > 0.5


def test_volatility_when_bars_are_narrower_then_the_same_market_has_the_same_volatility():
    """Annualized with the bars a year of its own width: five minutes and fifteen agree, as they do not with one factor."""
    days = restless(3, 20)
    found = {}
    for seconds in (300, 900):
        rows = rows_of(stream_of(CouncilConfig(bar_seconds=seconds)), days)
        found[seconds] = float(np.nanmedian(rows["volatility"]))
    assert found[900] / found[300] == pytest.approx(1.0, abs=0.25)


def test_percentile_when_the_scale_of_the_market_changes_then_follows_its_own_history():
    """A market ten times as wild throughout has the same percentiles: they are of its own past."""
    from council_cases import SESSIONS, tape_of

    found = []
    for step in (8.0, 40.0):
        rng, price, days = np.random.default_rng(4), 400_000, []
        for session in SESSIONS[:6]:
            trades = tape_of(session, price, rng, 78, step)
            price = int(trades.price[-1])
            days.append((session, trades))
        found.append(rows_of(stream_of(), days)["volatility_percentile"])
    both = ~np.isnan(found[0]) & ~np.isnan(found[1])
    assert np.corrcoef(found[0][both], found[1][both])[0, 1] > 0.97


@pytest.mark.parametrize(
    ("calendar", "seconds", "bars_a_year"),
    [
        ("XNYS", 300, 252 * 78),
        ("XNYS", 86_400, 252),
        ("CME_METALS", 300, 252 * 62),  # 08:20 to 13:30 New York
        ("CRYPTO", 300, 365 * 288),
        ("CRYPTO", 3_600, 365 * 24),
        ("CRYPTO", 86_400, 365),
    ],
)
def test_volatility_when_the_year_is_another_then_it_is_annualized_with_the_markets_own(calendar, seconds, bars_a_year):
    # Log changes of +-1% in turn: their sample deviation over any 20 is 0.01 sqrt(20 / 19).
    service = RegimeService(MarketRegimeConfig(), seconds)
    history = BarHistory(service.history_bars, is_linked=True)
    bars = np.zeros(40, BAR)
    bars["close"] = bars["open"] = bars["high"] = bars["low"] = np.round(1e8 * np.exp(0.01 * (np.arange(40) % 2))).astype(
        np.int32
    )
    bars["volume"] = 100
    service.start_session(history, calendar_for(calendar).session(date(2025, 11, 18)))
    history.start_session()
    first, last = history.append(bars)
    assert service.update(history, first, last)["volatility"][-1] == pytest.approx(
        0.01 * np.sqrt(20 / 19) * np.sqrt(bars_a_year), rel=1e-6
    )


def test_volatility_when_a_half_day_comes_then_the_year_keeps_its_length():
    service = RegimeService(MarketRegimeConfig(), 300)
    calendar = calendar_for("XNYS")
    history = BarHistory(service.history_bars, is_linked=False)
    for day in (date(2025, 11, 26), date(2025, 11, 28)):
        service.start_session(history, calendar.session(day))
    assert service._bars_per_year == 252 * 78
