"""Every figure a report prints, with the formula it was made by and what it was made from.

A figure that cannot be computed is None with a reason, never zero. Money is exact until it enters a ratio. Ratios of returns
are made of DAILY returns, one per session whether it traded or not; see docs/concepts/metrics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite, sqrt

import numpy as np
from numpy.typing import NDArray

from sovereign.research.configuration import MetricsConfig
from sovereign.research.result import RunResult
from sovereign.research.sharpe import (
    deflated_sharpe,
    expected_maximum_sharpe,
    moments,
    overfitting_probability,
    probabilistic_sharpe,
    sample_deviation,
)

Number = int | float | Decimal | None
Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure. `unit` is `money`, `fraction`, `ratio`, `count`, `ticks`, `R`, `seconds`, `sessions` or `probability`."""

    key: str
    name: str
    value: Number
    unit: str
    formula: str
    basis: str
    reason: str = ""

    def to_plain(self) -> dict[str, object]:
        """Return JSON-ready values; money as exact text."""
        value = str(self.value) if isinstance(self.value, Decimal) else self.value
        plain: dict[str, object] = {"name": self.name, "value": value, "unit": self.unit}
        plain |= {"formula": self.formula, "basis": self.basis}
        return plain | {"reason": self.reason} if self.reason else plain


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EquityCurve:
    """Equity in time order: `ts` UTC ns, `equity` and `underwater` (fraction below the highest so far, <= 0)."""

    ts: NDArray[np.int64]
    equity: Float64
    underwater: Float64


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawdown:
    """The deepest fall of equity from its highest: money, fraction of that height, and its length in sessions."""

    money: float
    fraction: float
    sessions: int


class _Sheet:
    """Collects metrics; a value that is not finite becomes None with the reason given."""

    def __init__(self) -> None:
        self.metrics: dict[str, Metric] = {}

    def add(self, key: str, name: str, value: Number, unit: str, formula: str, basis: str, reason: str = "") -> None:
        if isinstance(value, float | np.floating):
            value = float(value) if isfinite(value) else None
        self.metrics[key] = Metric(
            key=key,
            name=name,
            value=value,
            unit=unit,
            formula=formula,
            basis=basis,
            reason="" if value is not None else reason or "undefined",
        )


def daily_returns(run: RunResult) -> Float64:
    """Return end equity over start equity minus one, one per session; NaN where the start equity is not positive."""
    start = np.array([float(session.start_equity) for session in run.tables.sessions])
    end = np.array([float(session.end_equity) for session in run.tables.sessions])
    returns: Float64 = np.divide(end - start, start, out=np.full(len(start), np.nan), where=start > 0)
    return returns


def equity_curve(run: RunResult) -> EquityCurve:
    """Return equity at every session's start, account snapshot and session's end."""
    points: list[tuple[int, int, Decimal]] = []
    for session in run.tables.sessions:
        points.append((session.session.open_ns, 0, session.start_equity))
        points.append((session.session.close_ns, 2, session.end_equity))
    points += [(snapshot.ts, 1, snapshot.equity) for snapshot in run.tables.snapshots]
    points.sort(key=lambda point: (point[0], point[1]))
    equity = np.array([float(point[2]) for point in points] or [float(run.starting_balance)])
    high = np.maximum.accumulate(equity)
    under = np.divide(equity - high, high, out=np.zeros_like(equity), where=high > 0)
    ts = np.array([point[0] for point in points] or [0], np.int64)
    return EquityCurve(ts=ts, equity=equity, underwater=under)


def drawdown(run: RunResult, curve: EquityCurve) -> Drawdown:
    """Return the deepest drawdown of the equity curve; length is the longest run of sessions that end below the high."""
    high = np.maximum.accumulate(curve.equity)
    longest = current = 0
    peak = float(run.starting_balance)
    for session in run.tables.sessions:
        end = float(session.end_equity)
        current = 0 if end >= peak else current + 1
        peak = max(peak, end)
        longest = max(longest, current)
    return Drawdown(money=float(np.max(high - curve.equity)), fraction=float(-np.min(curve.underwater)), sessions=longest)


def bootstrap_mean(values: Float64, config: MetricsConfig) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean (Efron); NaN with fewer than two values."""
    count = len(values)
    if count < 2:
        return float("nan"), float("nan")
    random = np.random.default_rng(config.bootstrap_seed)
    means = np.empty(config.bootstrap_samples)
    chunk = max(1, 2_000_000 // count)
    for start in range(0, config.bootstrap_samples, chunk):
        size = min(chunk, config.bootstrap_samples - start)
        means[start : start + size] = values[random.integers(0, count, (size, count), dtype=np.int32)].mean(axis=1)
    tail = (1.0 - config.confidence_frac) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return float(low), float(high)


def longest_losing_streak(nets: Sequence[Decimal] | Float64) -> int:
    """Return the most losing trades in a row."""
    longest = current = 0
    for net in nets:
        current = current + 1 if net < 0 else 0
        longest = max(longest, current)
    return longest


def _r_multiples(run: RunResult) -> Float64:
    stops = {
        decision.decision_id: decision.proposal.intent.bracket.stop_ticks
        for decision in run.tables.decisions
        if decision.proposal.intent and decision.proposal.intent.bracket
    }
    return np.array(
        [
            float(trade.net / trade.instrument.value(stop, trade.quantity))
            for trade in run.trades
            if (stop := stops.get(trade.decision_id or "", 0)) > 0
        ]
    )


def compute_metrics(run: RunResult, config: MetricsConfig | None = None) -> dict[str, Metric]:
    """Return every metric of a run by key, in the order they are printed."""
    config = config or MetricsConfig()
    sheet = _Sheet()
    nets = np.array([float(trade.net) for trade in run.trades])
    curve = equity_curve(run)
    _profit(sheet, run)
    _per_trade(sheet, run, nets, config)
    _risk_adjusted(sheet, run, curve, config)
    _selection(sheet, run, config)
    _activity(sheet, run)
    return sheet.metrics


def _profit(sheet: _Sheet, run: RunResult) -> None:
    trades, basis = run.trades, "closed trades"
    gross = sum((trade.gross for trade in trades), Decimal(0))
    fees = sum((trade.fees for trade in trades), Decimal(0))
    slippage = sum((fill.instrument.value(fill.slippage_ticks, fill.quantity) for fill in run.tables.fills), Decimal(0))
    sheet.add("net", "Net profit", gross - fees, "money", "sum of gross - fees", basis)
    sheet.add("gross", "Gross profit", gross, "money", "sum of price differences x tick value x quantity", basis)
    sheet.add("fees", "Fees", fees, "money", "sum of fees of all fills", basis)
    sheet.add(
        "slippage", "Slippage", slippage, "money", "sum of slippage ticks x tick value x quantity (already in gross)", "fills"
    )
    sheet.add("final_balance", "Final balance", run.final_balance, "money", "balance after the last session", "sessions")
    total = float((run.final_equity - run.starting_balance) / run.starting_balance) if run.starting_balance > 0 else None
    formula = "(final equity - starting balance) / starting balance"
    sheet.add("return", "Total return", total, "fraction", formula, "sessions", "the starting balance is not positive")


def _per_trade(sheet: _Sheet, run: RunResult, nets: Float64, config: MetricsConfig) -> None:
    basis, none = "net result of closed trades", "no trades"
    count = len(nets)
    wins, losses = nets[nets > 0], nets[nets < 0]
    average_win = float(np.mean(wins)) if len(wins) else None
    average_loss = float(np.mean(losses)) if len(losses) else None
    mean = float(np.mean(nets)) if count else None
    deviation = sample_deviation(nets)
    low, high = bootstrap_mean(nets, config)
    interval = f"{config.confidence_frac:.0%} percentile bootstrap, {config.bootstrap_samples:,} resamples"
    sheet.add("trades", "Trades", count, "count", "round trips from flat to flat", "closed trades")
    sheet.add("win_rate", "Win rate", len(wins) / count if count else None, "fraction", "winners / trades", basis, none)
    sheet.add("average_win", "Average win", average_win, "money", "mean of winners", basis, "no winning trade")
    sheet.add("average_loss", "Average loss", average_loss, "money", "mean of losers", basis, "no losing trade")
    payoff = average_win / -average_loss if average_win is not None and average_loss is not None else None
    sheet.add("payoff", "Payoff", payoff, "ratio", "average win / |average loss|", basis, "needs a winner and a loser")
    factor = float(np.sum(wins) / -np.sum(losses)) if len(losses) else None
    sheet.add("profit_factor", "Profit factor", factor, "ratio", "sum of wins / |sum of losses|", basis, "no losing trade")
    sheet.add("expectancy", "Expectancy", mean, "money", "mean net result of a trade", basis, none)
    sheet.add("expectancy_low", "Expectancy, low", low, "money", interval, basis, "fewer than two trades")
    sheet.add("expectancy_high", "Expectancy, high", high, "money", interval, basis, "fewer than two trades")
    multiples = _r_multiples(run)
    r_mean = float(np.mean(multiples)) if len(multiples) else None
    formula = f"mean of net / (stop distance x tick value x quantity), {len(multiples)} of {count} trades"
    sheet.add("expectancy_r", "Expectancy in R", r_mean, "R", formula, "trades whose decision named a stop", "no stop known")
    sqn = sqrt(count) * float(np.mean(nets)) / deviation if count > 1 and deviation > 0 else None
    sheet.add(
        "sqn", "System quality number", sqn, "ratio", "sqrt(trades) x mean / deviation of net", basis, "needs two unlike trades"
    )
    sheet.add(
        "losing_streak", "Longest losing streak", longest_losing_streak(nets), "count", "most losers in a row, by exit", basis
    )
    mae = float(np.mean([trade.mae_ticks for trade in run.trades])) if count else None
    mfe = float(np.mean([trade.mfe_ticks for trade in run.trades])) if count else None
    sheet.add("mae", "Mean adverse excursion", mae, "ticks", "mean of the worst price against the entry", "closed trades", none)
    sheet.add(
        "mfe", "Mean favorable excursion", mfe, "ticks", "mean of the best price against the entry", "closed trades", none
    )
    ambiguous = sum(trade.is_ambiguous for trade in run.trades) / count if count else None
    formula = "trades with a fill that another fill model decides differently / trades"
    sheet.add("ambiguous", "Ambiguous share", ambiguous, "fraction", formula, "closed trades", none)


def _risk_adjusted(sheet: _Sheet, run: RunResult, curve: EquityCurve, config: MetricsConfig) -> None:
    returns = daily_returns(run)
    clean = returns[np.isfinite(returns)]
    year, few = config.trading_days, "needs two sessions with unlike returns"
    basis = f"{len(clean)} daily returns, {year} sessions a year, risk-free {config.risk_free_frac:g}"
    fall = drawdown(run, curve)
    where = "equity at account snapshots and session ends"
    sheet.add("max_drawdown", "Maximum drawdown", fall.money, "money", "largest (high so far - equity)", where)
    sheet.add(
        "max_drawdown_frac",
        "Maximum drawdown, relative",
        fall.fraction,
        "fraction",
        "largest (high so far - equity) / high",
        where,
    )
    sheet.add(
        "drawdown_sessions",
        "Longest drawdown",
        fall.sessions,
        "sessions",
        "most sessions in a row ending below the high",
        "sessions",
    )
    excess = clean - config.risk_free_frac / year
    deviation = sample_deviation(excess)
    sharpe = float(np.mean(excess)) / deviation * sqrt(year) if deviation > 0 else None
    sheet.add("sharpe", "Sharpe ratio", sharpe, "ratio", "mean / sample deviation x sqrt(sessions a year)", basis, few)
    downside = sqrt(float(np.mean(np.minimum(excess, 0.0) ** 2))) if len(excess) else 0.0
    sortino = float(np.mean(excess)) / downside * sqrt(year) if downside > 0 and len(excess) > 1 else None
    formula = "mean / sqrt(mean(min(r, 0)^2)) x sqrt(sessions a year)"
    sheet.add("sortino", "Sortino ratio", sortino, "ratio", formula, basis, "no losing session")
    growth = float(np.prod(1.0 + clean)) if len(clean) else 0.0
    annual = growth ** (year / len(clean)) - 1.0 if growth > 0 else None
    calmar = annual / fall.fraction if annual is not None and fall.fraction > 0 and len(clean) > 1 else None
    formula = "(product(1 + r)^(sessions a year / sessions) - 1) / maximum drawdown"
    sheet.add("calmar", "Calmar ratio", calmar, "ratio", formula, basis, "no drawdown, or the account was lost")
    best = float(np.max(clean)) if len(clean) else None
    worst = float(np.min(clean)) if len(clean) else None
    sheet.add("best_day", "Best session", best, "fraction", "largest daily return", basis, "no sessions")
    sheet.add("worst_day", "Worst session", worst, "fraction", "smallest daily return", basis, "no sessions")


def _selection(sheet: _Sheet, run: RunResult, config: MetricsConfig) -> None:
    returns = daily_returns(run)
    clean = returns[np.isfinite(returns)] - config.risk_free_frac / config.trading_days
    sharpe, skewness, kurtosis = moments(clean)
    few = "needs two sessions with unlike returns"
    basis = f"{len(clean)} daily returns"
    probability = probabilistic_sharpe(sharpe, 0.0, len(clean), skewness, kurtosis)
    formula = "Phi(SR sqrt(T-1) / sqrt(1 - skew SR + (kurt-1)/4 SR^2)), daily SR (Bailey, Lopez de Prado 2012)"
    sheet.add("psr", "Probability that Sharpe > 0", probability, "probability", formula, basis, few)
    sheet.add(
        "trials", "Trials", run.trials, "count", "distinct configurations, code versions and seeds", "run ledger, same data"
    )
    sharpes = np.array(run.trial_sharpes, float)
    sharpes = sharpes[np.isfinite(sharpes)]
    # With too few trials to measure how Sharpe ratios scatter, the scatter of a worthless one is used: 1 / T.
    variance = float(np.var(sharpes, ddof=1)) if len(sharpes) > 1 else 1.0 / len(clean) if len(clean) else float("nan")
    source = f"variance of {len(sharpes)} trials" if len(sharpes) > 1 else "variance 1/T, too few trials to measure it"
    deflated = deflated_sharpe(sharpe, len(clean), skewness, kurtosis, run.trials, variance) if len(clean) > 1 else None
    formula = f"as above against SR0 = sqrt(V)((1-g) Z(1-1/N) + g Z(1-1/(Ne))), {source} (Bailey, Lopez de Prado 2014)"
    sheet.add("deflated_sharpe", "Deflated Sharpe", deflated, "probability", formula, basis, few)
    _overfitting(sheet, run, config)
    luck = expected_maximum_sharpe(variance, run.trials) * sqrt(config.trading_days) if len(clean) > 1 else None
    sheet.add(
        "lucky_sharpe", "Sharpe of the luckiest", luck, "ratio", "SR0 x sqrt(sessions a year)", f"{run.trials} trials", few
    )


def _overfitting(sheet: _Sheet, run: RunResult, config: MetricsConfig) -> None:
    trials = [trial for trial in run.trial_returns if trial]
    dates = sorted(set.intersection(*(set(trial) for trial in trials))) if trials else []
    blocks = config.overfitting_blocks
    probability = None
    if len(trials) > 1 and len(dates) >= 2 * blocks:
        probability = overfitting_probability(np.array([[trial[day] for trial in trials] for day in dates]), blocks)
    sheet.add(
        "overfitting",
        "Probability of overfitting",
        probability,
        "probability",
        "share of splits in which the best of one half is at or below the median in the other (Bailey et al. 2017)",
        f"{len(trials)} trials, {len(dates)} sessions, {blocks} blocks",
        f"needs two trials on the same data and {2 * blocks} sessions",
    )


def _activity(sheet: _Sheet, run: RunResult) -> None:
    tables = run.tables
    open_ns = sum(
        session.session.close_ns - session.session.open_ns - sum(end - start for start, end in session.session.breaks)
        for session in tables.sessions
    )
    held = sum(trade.exit_ns - trade.entry_ns for trade in run.trades)
    notional = sum((fill.instrument.notional(fill.price_ticks, fill.quantity) for fill in tables.fills), Decimal(0))
    exposure = held / open_ns if open_ns else None
    turnover = float(notional / run.starting_balance) if run.starting_balance > 0 else None
    hold = held / len(run.trades) / 1e9 if run.trades else None
    sheet.add("sessions", "Sessions", len(tables.sessions), "count", "trade dates run", "sessions")
    sheet.add(
        "exposure", "Exposure", exposure, "fraction", "time in a position / time the market was open", "trades", "no sessions"
    )
    sheet.add("holding", "Mean holding time", hold, "seconds", "mean of exit - entry", "closed trades", "no trades")
    sheet.add(
        "turnover",
        "Turnover",
        turnover,
        "ratio",
        "notional of all fills / starting balance",
        "fills",
        "starting balance is not positive",
    )
    refused = sum(tables.refused.values())
    sheet.add("refused", "Refused candidates", refused, "count", "candidates that failed a gate or the risk door", "decisions")
    sheet.add("ticks", "Ticks", tables.ticks, "count", "market data consumed", "sessions")


def daily_sharpe(run: RunResult) -> float | None:
    """Return the Sharpe ratio of daily returns, not annualized, as the ledger keeps it; None when undefined."""
    returns = daily_returns(run)
    ratio = moments(returns[np.isfinite(returns)])[0]
    return ratio if isfinite(ratio) else None
