"""How sure a strategy was against how often it was right: bins, intervals that know of days, and the report."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest

from sovereign.app.configuration import load_settings
from sovereign.app.plan import recipe_of
from sovereign.core.event import RowsClosed, SessionEnded, SessionStarted
from sovereign.core.instrument import find_instrument
from sovereign.feeds.calendar import calendar_for
from sovereign.research.configuration import MetricsConfig
from sovereign.research.portfolio import GivenSessions
from sovereign.research.reliability import ForecastCollector, clustered_interval, reliability
from sovereign.research.result import RunTables
from sovereign.research.runner import Plan, run_recorded
from sovereign.signals.calibration import Forecasts
from sovereign.store.store import Store
from sovereign.strategies.tug_of_war import TugOfWarStrategy
from tug_cases import MINUTE, SESSIONS, config_of, market, row

CONFIG = MetricsConfig()


def test_interval_when_each_case_is_a_cluster_then_is_wilsons_for_nearly_all_of_them():
    # 8 of 10; sum of squared gaps 1.6, x 10/9; 100 x 0.16 / 1.7778 = 9 cases; Wilson for 0.8 of 9 by hand
    right = np.array([True] * 8 + [False] * 2)
    assert clustered_interval(right, np.arange(10), 0.95) == pytest.approx((0.473788, 0.946724), abs=1e-5)


def test_interval_when_cases_of_a_day_are_alike_then_is_as_wide_as_that_of_the_days():
    right = np.array([True] * 8 + [False] * 2)
    days = clustered_interval(right, np.arange(10), 0.95)
    assert clustered_interval(np.repeat(right, 26), np.repeat(np.arange(10), 26), 0.95) == pytest.approx(days)


def test_interval_when_all_are_right_then_each_day_counts_once():
    # Wilson for all of n: from n / (n + 3.8415) to 1
    assert clustered_interval(np.ones(5, bool), np.arange(5), 0.95) == pytest.approx((5 / 8.841459, 1.0), abs=1e-6)
    assert clustered_interval(np.ones(50, bool), np.zeros(50, int), 0.95) == pytest.approx((1 / 4.841459, 1.0), abs=1e-6)


def test_interval_when_there_is_no_case_then_is_unknown():
    assert np.isnan(clustered_interval(np.zeros(0, bool), np.zeros(0, int), 0.95)).all()


def test_interval_when_days_are_drawn_again_and_again_then_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(300):
        leaning = rng.beta(2.0, 2.0, 80)  # days are right or wrong together; one half on average
        right = rng.random((80, 12)) < leaning[:, None]
        low, high = clustered_interval(right.reshape(-1), np.repeat(np.arange(80), 12), 0.95)
        held += low <= 0.5 <= high
    assert 0.91 <= held / 300 <= 0.985


def test_bins_when_values_are_told_apart_by_thirds_then_hold_what_was_right():
    values = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, np.nan])
    right = np.array([False, False, True, False, True, True, True])
    found = reliability("sure", "came", values, right, np.arange(7), MetricsConfig(reliability_bins=3), (0.5, 0.9))
    assert found is not None
    assert [(one.cases, one.right, one.lowest, one.highest) for one in found.bins] == [
        (2, 0, 0.1, 0.2),
        (2, 1, 0.3, 0.4),
        (2, 2, 0.5, 0.6),
    ]
    assert [(one.lowest, one.cases, one.right, one.is_limit) for one in found.limits] == [(0.5, 2, 2, True)]
    assert found.average == 0.5
    assert found.plain_brier == 0.25
    # (0.01 + 0.04 + 0.49 + 0.16 + 0.25 + 0.16) / 6
    assert found.brier == pytest.approx(1.11 / 6)


def test_bins_when_values_are_few_then_equal_ones_stay_together():
    values = np.array([0.5] * 90 + [0.6] * 10)
    found = reliability("sure", "came", values, np.ones(100, bool), np.arange(100), CONFIG)
    assert found is not None
    assert [one.cases for one in found.bins] == [90, 10]
    assert reliability("sure", "came", np.full(3, np.nan), np.ones(3, bool), np.arange(3), CONFIG) is None


def told(horizon, days):
    """What a collector makes of days of (price, last, direction, sure) of one symbol."""

    def forecasts(session, rows):
        if rows is None:
            return None
        price, last, direction, sure = rows
        return Forecasts(np.array([direction], np.int8), np.array([price]), last, {"sure": np.array([sure])})

    limits = {"sure": (0.6,)}
    collector = ForecastCollector(SimpleNamespace(forecasts=forecasts, forecast_sessions=horizon, forecast_limits=limits))
    for session, rows in zip(SESSIONS, days, strict=False):
        start = {"session": session, "symbols": (), "balance": Decimal(1), "is_simulated_data": True}
        collector(SessionStarted(ts=session.open_ns, **start))
        for symbol, some in (("SPY", None), ("NVDA", rows)):
            said = {"symbol": symbol, "trade_date": session.trade_date, "rows": some, "candidates": None}
            collector(RowsClosed(ts=session.close_ns, **said))
        collector(SessionEnded(ts=session.close_ns, trade_date=session.trade_date, balance=Decimal(1), ticks=1))
    return collector.tables(RunTables(), CONFIG)


def test_forecasts_when_judged_at_the_close_then_a_price_that_stood_still_decides_nothing():
    (found,) = told(0, [(100, 110, 1, 0.7), (100, 110, -1, 0.6), (100, 100, 1, 0.5), (100, 90, -1, 0.4)])
    assert (found.cases, found.average) == (3, pytest.approx(2 / 3))
    assert [(one.mean, one.right) for one in found.bins] == [(0.4, 1), (0.6, 0), (0.7, 1)]
    assert [(one.cases, one.right) for one in found.limits] == [(2, 1)]


def test_forecasts_when_judged_two_sessions_on_then_by_the_price_of_that_session():
    # 100 up -> 90 wrong; 105 down -> 95 right; the last two wait for sessions that do not come
    (found,) = told(2, [(100, 100, 1, 0.7), (105, 105, -1, 0.6), (90, 90, 1, 0.5), (95, 95, 1, 0.4)])
    assert [(one.mean, one.right) for one in found.bins] == [(0.6, 1), (0.7, 0)]


def test_collector_when_a_strategy_forecasts_nothing_then_is_silent():
    collector = ForecastCollector(SimpleNamespace())
    collector(SessionStarted(ts=0, session=SESSIONS[0], symbols=(), balance=Decimal(1), is_simulated_data=True))
    assert collector.tables(RunTables(), CONFIG) == ()


def test_forecasts_of_the_tug_of_war_when_read_then_are_those_of_the_cycles_with_a_conviction():
    opens, closes = SESSIONS[0].regular_open_ns, SESSIONS[0].regular_close_ns
    rows = np.concatenate(
        [
            row(known_at=opens + 60 * MINUTE, close=100, conviction=-0.4, raw_confidence=0.6, rank=0.2),
            row(known_at=opens + 61 * MINUTE, close=101, cycle=False),
            row(known_at=opens + 75 * MINUTE, close=102, conviction=np.nan),
            row(known_at=opens + 90 * MINUTE, close=103, conviction=0.8, raw_confidence=0.9, rank=0.95),
            row(known_at=closes + 90 * MINUTE, close=500, cycle=False),
        ]
    )
    strategy = TugOfWarStrategy(config_of())
    found = strategy.forecasts(SESSIONS[0], rows)
    assert found is not None
    assert (found.direction.tolist(), found.price.tolist(), found.last) == ([-1, 1], [100, 103], 103)
    assert found.measures["raw_confidence"].tolist() == [0.6, 0.9]
    assert found.measures["rank"].tolist() == [0.2, 0.95]
    assert strategy.forecasts(SESSIONS[0], rows[["known_at", "close"]]) is None
    assert (strategy.forecast_sessions, TugOfWarStrategy(config_of(bar_seconds=86_400)).forecast_sessions) == (0, 5)
    assert strategy.forecast_limits == {"rank": (0.75, 0.80)}


def test_report_of_the_tug_of_war_when_written_then_shows_calibration_ablation_verdicts_and_reasons_of_exit(tmp_path):
    days = market(1, 46)
    config = config_of(conflict={"min_opposed": 0.3, "min_alone": 0.3}, entry={"order": "market"})
    settings = load_settings(environment={}, strategy="tug_of_war").settings
    base = recipe_of(settings, "tug_of_war")
    feed = GivenSessions([session for session, _ in days], [tapes for _, tapes in days])
    # Most parts are left out from the start, so that a few variants are enough.
    left_out = tuple(part for part in TugOfWarStrategy.parts if part not in ("institutions", "crowd", "momentum"))
    config = config.model_copy(update={"without": left_out})
    kept = [part for part in TugOfWarStrategy.parts if part not in left_out]
    plan = Plan(
        kind="backtest",
        recipe=replace(base, strategy_config=config, risk=base.risk.no_fresher_than(2_000)),
        feed=feed,
        instruments=tuple(find_instrument(symbol) for symbol in ("SPY", "QQQ", "NVDA", "JPM")),
        calendar=calendar_for("XNYS"),
        symbols=("NVDA", "JPM"),
        start=date(2024, 1, 2),
        end=date(2024, 6, 30),
        settings={},
        data_hash="drawn",
        seed=1,
        evidence=settings.evidence,
        metrics=settings.metrics,
        is_tested=False,
        is_ablated=True,
    )
    steps = []

    def on_step(what, sessions):
        steps.append((what, sessions))
        return bool

    with Store(f"sqlite:///{tmp_path}/store.sqlite") as store:
        done = run_recorded(plan, store, tmp_path, lambda: 1_763_000_000_000_000_000, on_step=on_step)
    result, page = done.result, done.paths.html.read_text(encoding="utf-8")
    assert {one.measure for one in result.reliability} == {"raw_confidence", "rank", "probability"}
    assert all(one.low <= one.share <= one.high for some in result.reliability for one in some.bins)
    assert [one.name for one in result.ablation] == ["whole", *(f"without {part}" for part in kept)]
    assert steps == [(f"tug_of_war in {len(kept) + 1} variants", (len(kept) + 1) * len(days))]
    for title in ("How sure it was, and how often it was right", "What each part is worth", "By pattern or verdict"):
        assert title in page
    assert "By reason of exit" in page
    summary = json.loads(done.paths.summary.read_text(encoding="utf-8"))
    assert len(summary["ablation"]) == len(kept) + 1
    reasons = {group["key"] for group in summary["breakdowns"]["exit"]}
    assert "auto-flatten" in reasons
    assert {group["key"] for group in summary["breakdowns"]["pattern"]} <= {"strong conflict", "weak conflict"}
    assert {group["key"] for group in summary["breakdowns"]["symbol"]} <= {"NVDA", "JPM"}
    text = page.split('id="trades-data">')[1].split("</script>")[0]
    shown = {row[13].removesuffix(" ?") for row in json.loads(text)["rows"]}
    assert shown == reasons  # the list of trades says why each was closed, in the words of the table
    with done.paths.tables["reliability"].open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {one["measure"] for one in rows} == {"raw_confidence", "rank", "probability"}
    assert {one["outcome"] for one in rows} == {"price moved its way by the session's close", "the trade made money"}
    assert any(one["is_limit"] == "True" and float(one["lowest"]) == 0.3 for one in rows)
