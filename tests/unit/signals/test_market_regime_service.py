"""The regime service: axes, names, hysteresis, staleness, three states, and hidden states that keep their names."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

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
