"""Metrics of a run that can be worked out by hand (see example_run.py)."""

import statistics
from dataclasses import replace
from decimal import Decimal
from math import sqrt

import numpy as np
import pytest

from example_run import example_run
from sovereign.research.breakdown import breakdowns
from sovereign.research.card import EvidenceName
from sovereign.research.configuration import MetricsConfig
from sovereign.research.evidence_card import build_card
from sovereign.research.metrics import bootstrap_mean, compute_metrics, daily_sharpe, equity_curve, longest_losing_streak
from sovereign.research.result import RunTables

RETURNS = [295.5 / 10_000, -421.5 / 10_295.5, 0.0, 295.5 / 9_874]


@pytest.fixture(scope="module")
def metrics():
    return compute_metrics(example_run())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("net", Decimal("169.50")),
        ("gross", Decimal("187.50")),
        ("fees", Decimal("18.00")),
        ("slippage", Decimal("12.50")),
        ("final_balance", Decimal("10169.50")),
        ("trades", 4),
        ("losing_streak", 2),
        ("drawdown_sessions", 3),
        ("sessions", 4),
        ("refused", 1 + 4 * 2),
        ("ticks", 4_000),
    ],
)
def test_exact_figure_when_worked_by_hand_then_agrees(metrics, key, value):
    assert metrics[key].value == value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("return", 0.01695),
        ("win_rate", 0.5),
        ("average_win", 295.5),
        ("average_loss", -210.75),
        ("payoff", 295.5 / 210.75),
        ("profit_factor", 591 / 421.5),
        ("expectancy", 42.375),
        ("expectancy_r", (295.5 - 217 - 204.5 + 295.5) / 4 / 200),
        ("sqn", 2 * 42.375 / statistics.stdev([295.5, -217, -204.5, 295.5])),
        ("mae", (4 + 17 + 16 + 4) / 4),
        ("mfe", (24 + 6 + 6 + 24) / 4),
        ("ambiguous", 0.25),
        ("max_drawdown", 421.5),
        ("max_drawdown_frac", 421.5 / 10_295.5),
        ("sharpe", statistics.mean(RETURNS) / statistics.stdev(RETURNS) * sqrt(252)),
        ("sortino", statistics.mean(RETURNS) / sqrt(RETURNS[1] ** 2 / 4) * sqrt(252)),
        ("calmar", (1.01695**63 - 1) / (421.5 / 10_295.5)),
        ("best_day", RETURNS[3]),
        ("worst_day", RETURNS[1]),
        ("exposure", 4 * 20 / (4 * 23 * 60)),
        ("holding", 20 * 60.0),
        ("turnover", 12.5 * (7 * 20_000 + 20_024 + 17 - 16 + 24 - 0) / 10_000),
    ],
)
def test_ratio_when_worked_by_hand_then_agrees(metrics, key, value):
    assert metrics[key].value == pytest.approx(value, rel=1e-9)


def test_every_metric_when_printed_then_has_formula_and_basis(metrics):
    assert [key for key, metric in metrics.items() if not (metric.formula and metric.basis and metric.name)] == []


def test_metrics_when_nothing_was_traded_then_are_none_with_a_reason():
    run = example_run()
    found = compute_metrics(replace(run, tables=RunTables(sessions=run.tables.sessions[2:3])))
    undefined = {"win_rate", "payoff", "profit_factor", "expectancy", "expectancy_r", "sqn", "sharpe", "sortino", "psr", "mae"}
    assert {key: found[key].value for key in undefined} == dict.fromkeys(undefined)
    assert all(found[key].reason for key in undefined)
    assert (found["net"].value, found["trades"].value, found["exposure"].value) == (Decimal(0), 0, 0.0)


def test_metrics_when_there_is_no_session_then_still_answer():
    found = compute_metrics(example_run(tables=RunTables()))
    assert found["sharpe"].value is None
    assert found["max_drawdown"].value == 0.0
    assert found["final_balance"].value == Decimal("10000.00")


def test_metrics_when_no_trade_loses_then_profit_factor_is_not_invented():
    run = example_run()
    winners = tuple(trade for trade in run.trades if trade.net > 0)
    found = compute_metrics(replace(run, tables=replace(run.tables, trades=winners)))
    assert (found["profit_factor"].value, found["profit_factor"].reason) == (None, "no losing trade")


def test_ratios_when_every_session_is_alike_then_are_undefined_not_enormous():
    run = example_run()
    alike = tuple(replace(session, start_balance=Decimal(1000), end_balance=Decimal(1100)) for session in run.tables.sessions)
    found = compute_metrics(replace(run, tables=RunTables(sessions=alike)))
    assert {key: found[key].value for key in ("sharpe", "sortino", "psr", "deflated_sharpe")} == dict.fromkeys(
        ("sharpe", "sortino", "psr", "deflated_sharpe")
    )


def test_deflated_when_more_was_tried_then_falls():
    once, often = (compute_metrics(example_run(trials=n))["deflated_sharpe"].value for n in (1, 50))
    assert once == compute_metrics(example_run())["psr"].value
    assert often < once


def test_equity_when_drawn_then_starts_and_ends_with_the_balances():
    curve = equity_curve(example_run())
    assert (curve.equity[0], curve.equity[-1]) == (10_000.0, 10_169.5)
    assert np.all(np.diff(curve.ts) >= 0)
    assert np.all(curve.underwater <= 0)


def test_ledger_sharpe_when_asked_then_is_daily():
    assert daily_sharpe(example_run()) == pytest.approx(statistics.mean(RETURNS) / statistics.stdev(RETURNS))


def test_interval_when_resampled_then_agrees_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    values = np.random.default_rng(3).normal(10.0, 50.0, 300)
    low, high = bootstrap_mean(values, MetricsConfig(bootstrap_samples=20_000))
    other = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(4))
    assert (low, high) == pytest.approx((other.confidence_interval.low, other.confidence_interval.high), abs=0.3)


def test_interval_when_made_twice_then_is_the_same():
    values = np.random.default_rng(5).normal(size=50)
    assert bootstrap_mean(values, MetricsConfig()) == bootstrap_mean(values, MetricsConfig())
    assert bootstrap_mean(values, MetricsConfig()) != bootstrap_mean(values, MetricsConfig(bootstrap_seed=1))


@pytest.mark.parametrize(("nets", "streak"), [([], 0), ([1, 2], 0), ([-1, 0, -1, -1, 5, -1], 2)])
def test_streak_when_counted_then_only_losers_in_a_row_count(nets, streak):
    assert longest_losing_streak([Decimal(net) for net in nets]) == streak


def test_breakdowns_when_made_then_use_exchange_time_and_labels():
    run = example_run()
    found = breakdowns(run.trades, run.zone, run.tables.tier_changes)
    nets = {name: {group.key: (group.trades, group.net) for group in groups} for name, groups in found.items()}
    assert nets["pattern"] == {"BUY_IMBALANCE": (3, Decimal("386.50")), "SELL_IMBALANCE": (1, Decimal("-217.00"))}
    assert nets["regime"] == {"RANGING": (2, Decimal("-421.50")), "TRENDING_UP": (2, Decimal("591.00"))}
    assert nets["hour"] == {"10": (3, Decimal("374.00")), "14": (1, Decimal("-204.50"))}
    assert list(nets["weekday"]) == ["Monday", "Tuesday", "Thursday"]
    assert nets["month"] == {"2024-03": (4, Decimal("169.50"))}
    assert nets["tier"] == {"one": (3, Decimal("-126.00")), "two": (1, Decimal("295.50"))}
    assert nets["exit"] == {"STOP": (2, Decimal("-421.50")), "TARGET": (2, Decimal("591.00"))}
    assert nets["side"] == {"BUY": (3, Decimal("386.50")), "SELL": (1, Decimal("-217.00"))}


def test_overfitting_when_one_trial_is_best_in_every_half_then_is_zero_and_the_card_says_so():
    days = [f"2025-01-{day:02d}" for day in range(1, 41)]
    good = {day: 0.01 + 0.001 * (n % 2) for n, day in enumerate(days)}
    bad = {day: -0.01 + 0.001 * (n % 2) for n, day in enumerate(days)}
    run = replace(example_run(), trial_returns=(good, bad), trials=2)
    assert compute_metrics(run)["overfitting"].value == 0
    assert "probability of overfitting 0.00" in build_card(run).check(EvidenceName.TRIALS).detail


def test_overfitting_when_there_is_one_trial_then_is_undefined_with_a_reason():
    metric = compute_metrics(example_run())["overfitting"]
    assert metric.value is None
    assert "two trials" in metric.reason
