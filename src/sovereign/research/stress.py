"""What a run's result is made of, and how easily it breaks: slippage, time of day, weekday, and the order of its trades.

Works on the closed trades of a stored run. Slippage is charged on each side of each trade as it happened; a caller that can run
the engine again hands in `rerun`, and then the path itself (stops hit, trades not taken) changes too.
Monte Carlo: permuting the trades keeps the total and shows what drawdown and streak luck could have dealt; drawing trades with
replacement shows how far the total itself could have gone, and how often the account would have been ruined on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from sovereign.core.errors import UsageError
from sovereign.core.position import Trade
from sovereign.research.breakdown import Group, breakdowns
from sovereign.research.configuration import StressConfig
from sovereign.research.result import LaneResult

Float64 = NDArray[np.float64]
Rerun = Callable[[int], LaneResult]
"""Runs the engine again with so many extra ticks of slippage per side."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class StressTest:
    """One question with its answer: `statistic` held against `limit`, both in `unit`."""

    name: str
    passed: bool
    statistic: float
    limit: float
    unit: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Slippage:
    """Result with extra slippage; `is_rerun` says whether the engine ran again or the trades were charged as they were."""

    ticks_per_side: int
    trades: int
    net: Decimal
    is_rerun: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StressResult:
    """All stress tests of a run. Distributions are quantiles by name (`p05` to `p99`)."""

    trades: int
    net: Decimal
    account: Decimal
    shuffles: int
    seed: int
    tests: tuple[StressTest, ...]
    slippage: tuple[Slippage, ...]
    hours: tuple[Group, ...]
    weekdays: tuple[Group, ...]
    drawdown: dict[str, float]
    final_profit: dict[str, float]
    losing_streak: dict[str, float]
    ruin_probability: float

    @property
    def passed(self) -> bool:
        """Whether every test passed."""
        return all(test.passed for test in self.tests)

    def to_plain(self) -> dict[str, object]:
        """Return JSON-ready values."""
        return {
            "passed": self.passed,
            "trades": self.trades,
            "net": str(self.net),
            "account": str(self.account),
            "shuffles": self.shuffles,
            "seed": self.seed,
            "tests": [{name: getattr(test, name) for name in StressTest.__slots__} for test in self.tests],
            "slippage": [
                {"ticks_per_side": s.ticks_per_side, "trades": s.trades, "net": str(s.net), "is_rerun": s.is_rerun}
                for s in self.slippage
            ],
            "hours": [group.to_plain() for group in self.hours],
            "weekdays": [group.to_plain() for group in self.weekdays],
            "drawdown": self.drawdown,
            "final_profit": self.final_profit,
            "losing_streak": self.losing_streak,
            "ruin_probability": self.ruin_probability,
        }


def charge_slippage(trades: Sequence[Trade], ticks_per_side: int) -> Decimal:
    """Return the net result with `ticks_per_side` lost on every entry and every exit, the path unchanged."""
    charged = (trade.net - trade.instrument.value(2 * ticks_per_side, trade.quantity) for trade in trades)
    return sum(charged, Decimal(0))


def drawdowns(paths: Float64, account: float) -> tuple[Float64, Float64]:
    """Return the deepest drawdown of each path in money and as a fraction of the height it fell from.

    `paths` has shape (paths, trades): net results in order; every path starts at `account`.
    """
    equity = account + np.cumsum(paths, axis=1)
    high = np.maximum(np.maximum.accumulate(equity, axis=1), account)
    depth = high - equity
    fraction = np.divide(depth, high, out=np.zeros_like(depth), where=high > 0)
    return np.maximum(depth.max(axis=1), 0.0), np.maximum(fraction.max(axis=1), 0.0)


def losing_streaks(paths: Float64) -> NDArray[np.int64]:
    """Return the most losing trades in a row of each path."""
    longest = np.zeros(len(paths), np.int64)
    current = np.zeros(len(paths), np.int64)
    for column in (paths < 0).T:
        current = np.where(column, current + 1, 0)
        np.maximum(longest, current, out=longest)
    return longest


def _quantiles(values: Float64 | NDArray[np.int64]) -> dict[str, float]:
    return {f"p{round(100 * q):02d}": float(value) for q, value in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True)}


def _best_share(groups: Sequence[Group]) -> tuple[str, float]:
    """Return the best group and its share of what all winning groups made; a share of 1 when nothing won."""
    won = [group for group in groups if group.net > 0]
    if not won:
        return "none", 1.0
    best = max(won, key=lambda group: group.net)
    return best.key, float(best.net / sum((group.net for group in won), Decimal(0)))


def stress_run(
    trades: Sequence[Trade],
    account: Decimal,
    zone: str,
    config: StressConfig | None = None,
    rerun: Rerun | None = None,
) -> StressResult:
    """Stress the closed trades of a run.

    Parameters
    ----------
    account : balance the run started with.
    zone : IANA name of the exchange's time zone, for hours and weekdays.
    rerun : runs the engine again with extra slippage; None charges the trades as they were.

    Raises
    ------
    UsageError : fewer than two trades, or an account that is not positive.
    """
    config = config or StressConfig()
    if len(trades) < 2 or account <= 0:
        raise UsageError(
            f"run had {len(trades)} trades and an account of {account}; stress needs two trades and a positive account; "
            f"run over more sessions"
        )
    slippage = tuple(_slip(trades, ticks, rerun) for ticks in config.slippage_ticks)
    groups = breakdowns(trades, zone)
    nets = np.array([float(trade.net) for trade in trades])
    start = float(account)
    random = np.random.default_rng(config.seed)
    shuffled = random.permuted(np.broadcast_to(nets, (config.shuffles, len(nets))).copy(), axis=1)
    drawn = random.choice(nets, (config.shuffles, len(nets)))
    money, fraction = drawdowns(shuffled, start)
    streaks = losing_streaks(shuffled)
    finals = drawn.sum(axis=1)
    ruin = float(np.mean((start + np.cumsum(drawn, axis=1)).min(axis=1) <= start * (1.0 - config.ruin_loss_frac)))
    tests = [
        StressTest(
            name=f"slippage_{slip.ticks_per_side}",
            passed=slip.net > 0,
            statistic=float(slip.net),
            limit=0.0,
            unit="money",
            detail=f"net with {slip.ticks_per_side} tick{'s' if slip.ticks_per_side > 1 else ''} more lost per side, "
            + ("engine run again" if slip.is_rerun else "trades as they were"),
        )
        for slip in slippage
    ]
    for name, some, limit in (
        ("hour", groups["hour"], config.max_hour_share),
        ("weekday", groups["weekday"], config.max_weekday_share),
    ):
        key, share = _best_share(some)
        detail = f"share of the best {name} ({key}) in what winning {name}s made"
        tests.append(StressTest(name=name, passed=share <= limit, statistic=share, limit=limit, unit="fraction", detail=detail))
    tests += _monte_carlo(config, fraction, finals, streaks, ruin)
    return StressResult(
        trades=len(trades),
        net=sum((trade.net for trade in trades), Decimal(0)),
        account=account,
        shuffles=config.shuffles,
        seed=config.seed,
        tests=tuple(tests),
        slippage=slippage,
        hours=groups["hour"],
        weekdays=groups["weekday"],
        drawdown=_quantiles(money),
        final_profit=_quantiles(finals),
        losing_streak=_quantiles(streaks),
        ruin_probability=ruin,
    )


def _slip(trades: Sequence[Trade], ticks: int, rerun: Rerun | None) -> Slippage:
    if rerun is None:
        return Slippage(ticks_per_side=ticks, trades=len(trades), net=charge_slippage(trades, ticks), is_rerun=False)
    lane = rerun(ticks)
    return Slippage(ticks_per_side=ticks, trades=len(lane.trades), net=lane.net, is_rerun=True)


def _monte_carlo(
    config: StressConfig, fraction: Float64, finals: Float64, streaks: NDArray[np.int64], ruin: float
) -> list[StressTest]:
    fall = float(np.quantile(fraction, config.drawdown_quantile))
    final = float(np.quantile(finals, config.final_quantile))
    streak = float(np.quantile(streaks, config.losing_streak_quantile))
    return [
        StressTest(
            name="drawdown",
            passed=fall <= config.max_drawdown_frac,
            statistic=fall,
            limit=config.max_drawdown_frac,
            unit="fraction",
            detail=f"{config.drawdown_quantile:.0%} quantile of maximum drawdown over {config.shuffles:,} shuffles",
        ),
        StressTest(
            name="final_profit",
            passed=final >= config.min_final_profit,
            statistic=final,
            limit=config.min_final_profit,
            unit="money",
            detail=f"{config.final_quantile:.0%} quantile of the final profit over {config.shuffles:,} bootstraps",
        ),
        StressTest(
            name="ruin",
            passed=ruin <= config.max_ruin_probability,
            statistic=ruin,
            limit=config.max_ruin_probability,
            unit="probability",
            detail=f"bootstraps that lose {config.ruin_loss_frac:.0%} of the account at any time",
        ),
        StressTest(
            name="losing_streak",
            passed=streak <= config.max_losing_streak,
            statistic=streak,
            limit=float(config.max_losing_streak),
            unit="trades",
            detail=f"{config.losing_streak_quantile:.0%} quantile of the longest losing streak over the shuffles",
        ),
    ]
