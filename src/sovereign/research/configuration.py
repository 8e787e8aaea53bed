"""Settings of metrics, evidence and stress. Limits are judgments; each says whose."""

from __future__ import annotations

from pydantic import Field

from sovereign.core.configuration import Configuration


class MetricsConfig(Configuration):
    """How ratios are annualized and how confidence intervals are made."""

    trading_days: int = Field(default=252, gt=0, description="Sessions a year, for annualizing; US exchanges' usual count.")
    risk_free_frac: float = Field(
        default=0.0, description="Annual risk-free return as a fraction; 0 by convention for futures."
    )
    confidence_frac: float = Field(default=0.95, gt=0, lt=1, description="Two-sided confidence of the bootstrap interval.")
    bootstrap_samples: int = Field(
        default=2_000,
        ge=100,
        le=1_000_000,
        description="Bootstrap resamples (Efron and Tibshirani 1993 advise 1,000 or more for intervals).",
    )
    overfitting_blocks: int = Field(
        default=16,
        ge=2,
        multiple_of=2,
        description="Blocks of time in the probability of overfitting (Bailey, Borwein, Lopez de Prado and Zhu 2017: 16).",
    )
    reliability_bins: int = Field(
        default=10,
        ge=2,
        le=100,
        description="Bins of the table of how often a strategy was right for how sure it was, count; own choice, deciles.",
    )
    bootstrap_seed: int = Field(default=20_140_731, description="Seed of the bootstrap, so that a report repeats exactly.")


class EvidenceConfig(Configuration):
    """How hard a result is tested before it is believed."""

    null_sessions: int = Field(
        default=60, ge=2, le=100_000, description="Driftless sessions of the null test, count; own choice."
    )
    null_ticks: int = Field(
        default=200_000, ge=1_000, le=20_000_000, description="Trades in each driftless session, count; own choice."
    )
    null_seed: int = Field(default=1, ge=0, description="Seed of the driftless market and of the look-ahead test.")
    null_max_t: float = Field(
        default=3.0, gt=0, description="Largest |t| of the mean profit on the driftless market; 3 happens once in 370 by luck."
    )
    null_min_trades: int = Field(
        default=100, ge=2, description="Fewest trades on the driftless market that can clear a strategy; own choice."
    )
    null_symbols: int = Field(
        default=10,
        ge=2,
        le=100,
        description="Symbols on the driftless market of a strategy that trades several, benchmarks not counted, count.",
    )
    future_cuts: int = Field(
        default=5,
        ge=1,
        le=10_000,
        description="Moments of a session after which the look-ahead test replaces the future, count.",
    )
    future_ticks: int = Field(
        default=100_000, ge=1_000, le=20_000_000, description="Trades in the look-ahead test's session, count."
    )
    future_sessions: int = Field(
        default=20,
        ge=1,
        le=10_000,
        description="Sessions in the look-ahead test of a strategy that trades several symbols, count; own choice.",
    )
    max_ambiguous_frac: float = Field(
        default=0.05, ge=0, le=1, description="Largest share of trades whose result depends on the fill model; own choice."
    )
    min_trades: int = Field(default=100, ge=2, description="Fewest trades that can be judged; own choice, t of 2 at SQN 0.2.")
    max_overfitting: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Largest probability of overfitting; at one half choosing the best trial is worth no more than a coin.",
    )
    min_deflated_sharpe: float = Field(
        default=0.95, ge=0, le=1, description="Least deflated Sharpe probability (Bailey and Lopez de Prado 2014, 95%)."
    )


class StressConfig(Configuration):
    """What a stressed run must survive. Every limit is a judgment of this project unless it names a source."""

    shuffles: int = Field(default=1_000, ge=100, le=1_000_000, description="Monte Carlo paths.")
    seed: int = Field(default=1_984, description="Seed of the shuffles.")
    slippage_ticks: tuple[int, ...] = Field(default=(1, 2), description="Extra slippage tried, in ticks per side.")
    max_hour_share: float = Field(
        default=0.6, gt=0, le=1, description="Largest share of all winning hours' profit that one hour of the day may bring."
    )
    max_weekday_share: float = Field(
        default=0.6, gt=0, le=1, description="Largest share of all winning weekdays' profit that one weekday may bring."
    )
    drawdown_quantile: float = Field(
        default=0.95, gt=0, lt=1, description="Quantile of the shuffled maximum drawdown to judge."
    )
    max_drawdown_frac: float = Field(
        default=0.25, gt=0, le=1, description="Largest allowed drawdown at that quantile, as a fraction of the account."
    )
    final_quantile: float = Field(default=0.05, gt=0, lt=1, description="Quantile of the bootstrapped final profit to judge.")
    min_final_profit: float = Field(default=0.0, description="Least final profit at that quantile, in account currency.")
    ruin_loss_frac: float = Field(
        default=0.5, gt=0, le=1, description="Loss, as a fraction of the account, at which trading is over (ruin)."
    )
    max_ruin_probability: float = Field(default=0.01, ge=0, le=1, description="Largest allowed probability of ruin.")
    losing_streak_quantile: float = Field(
        default=0.95, gt=0, lt=1, description="Quantile of the longest losing streak to judge."
    )
    max_losing_streak: int = Field(default=15, ge=1, description="Longest losing streak allowed at that quantile, in trades.")
