"""What each part of a strategy is worth: the same data with and without it, day by day.

A strategy takes part by naming its `parts` and having a setting `without`. Every variant runs on its own account over the
same sessions; a day's difference is paired with the same day of the whole strategy, and its mean is given with a bootstrap
interval of blocks of days, so that days that hang together are drawn together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.core.configuration import Configuration
from sovereign.core.errors import UsageError, suggestion
from sovereign.core.event import AccountSnapshot, Event, SessionEnded
from sovereign.core.port import Feed
from sovereign.core.session import Session
from sovereign.research.backtest import Recipe, main_lane, run_backtest
from sovereign.research.configuration import MetricsConfig
from sovereign.strategies import load_strategy

Float64 = NDArray[np.float64]

WHOLE = "whole"
"""Name of the variant that everything is compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantResult:
    """One variant: what it made.

    `net` and `mean` (a day) are of all days, floating profit included. `difference` is its mean daily profit less that of the
    whole strategy on the last `judged_days` days, which nobody has chosen by; `low` and `high` are the interval of that mean,
    and `is_clear` says that it holds no zero. NaN and False for the whole itself. `daily` is its profit day by day.
    """

    name: str
    trades: int
    wins: int
    net: Decimal
    days: int
    mean: float
    judged_days: int
    judged_net: Decimal
    difference: float
    low: float
    high: float
    daily: tuple[float, ...] = field(default=(), repr=False)

    @property
    def is_clear(self) -> bool:
        """Whether the difference is more than chance would make."""
        return self.low > 0.0 or self.high < 0.0

    def to_plain(self) -> dict[str, Any]:
        """Return the figures as JSON-ready values; NaN is None."""
        numbers = {name: getattr(self, name) for name in ("mean", "difference", "low", "high")}
        return {
            "name": self.name,
            "trades": self.trades,
            "wins": self.wins,
            "net": str(self.net),
            "days": self.days,
            "judged_days": self.judged_days,
            "judged_net": str(self.judged_net),
            **{name: None if math.isnan(value) else value for name, value in numbers.items()},
            "is_clear": self.is_clear,
        }


class _Equities:
    """A sink that keeps the equity at the end of each session."""

    def __init__(self, first: Decimal) -> None:
        self._last = first
        self.equities = [first]

    def __call__(self, event: Event) -> None:
        if type(event) is AccountSnapshot:
            self._last = event.equity
        elif type(event) is SessionEnded:
            self.equities.append(self._last)


def parts_of(strategy: str, section: Configuration) -> tuple[str, ...]:
    """Return the parts that a strategy can do without.

    Raises
    ------
    UsageError : it names none.
    """
    parts: Sequence[str] = getattr(load_strategy(strategy, section), "parts", ())
    if not parts or "without" not in type(section).model_fields:
        raise UsageError(
            f"strategy was '{strategy}', which names no parts to leave out; give it `parts` and a setting `without`"
        )
    return tuple(parts)


def variants_of(strategy: str, section: Configuration, only: Sequence[str] = ()) -> dict[str, Configuration]:
    """Return the whole strategy, one variant without each of its parts, and one for each rival setting, by name.

    Rivals are settings that a strategy offers as alternatives to each other: its `rivals`, values by dotted key.

    Parameters
    ----------
    only : parts to leave out and keys of rivals to try; all of them when empty.

    Raises
    ------
    UsageError : the strategy names no parts, or has none of that name.
    """
    parts = parts_of(strategy, section)
    rivals: Mapping[str, Sequence[Any]] = getattr(load_strategy(strategy, section), "rivals", {})
    allowed = (*parts, *rivals)
    for name in only:
        if name not in allowed:
            raise UsageError(f"part was '{name}'{suggestion(name, allowed)}; allowed are {', '.join(allowed)}")
    variants = {WHOLE: section}
    left_out: tuple[str, ...] = tuple(getattr(section, "without", ()))
    for part in parts:
        if part not in left_out and (not only or part in only):
            variants[f"without {part}"] = section.model_copy(update={"without": (*left_out, part)})
    for key, values in rivals.items():
        for value in values:
            other = _with(section, key.split("."), value)
            if other != section and (not only or key in only):
                variants[f"{key} = {value}"] = other
    return variants


def _with(section: Configuration, path: Sequence[str], value: Any) -> Configuration:
    inner = value if len(path) == 1 else _with(getattr(section, path[0]), path[1:], value)
    return section.model_copy(update={path[0]: inner})


def compare_variants(
    recipe: Recipe,
    feed: Feed,
    variants: Mapping[str, Configuration],
    config: MetricsConfig,
    *,
    judged_frac: float = 1.0,
    on_session: Callable[[str, Session], Any] | None = None,
) -> list[VariantResult]:
    """Run every variant over the feed, the first one being what the others are compared with.

    Parameters
    ----------
    feed : may be gone through any number of times.
    config : bootstrap: samples, seed, confidence; its block is `round(days ** (1 / 3))` days.
    judged_frac : share of the days, the last ones, on which the differences are taken.
    on_session : called with the variant's name after each session, for progress.

    Raises
    ------
    UsageError : there is no variant, or no day to judge by.
    """
    if not variants:
        raise UsageError("variants were none; give at least one")
    if not 0.0 < judged_frac <= 1.0:
        raise UsageError(f"judged share was {judged_frac}; allowed is above 0 up to 1")
    lane = main_lane(recipe.execution)
    results: list[VariantResult] = []
    base: Float64 | None = None
    for name, section in variants.items():
        kept = _Equities(recipe.starting_balance)
        outcome = run_backtest(
            replace(recipe, strategy_config=section),
            feed,
            lanes=(lane,),
            sinks=(kept,),
            on_session=None if on_session is None else _named(on_session, name),
        )
        trades = outcome.lanes[lane.name].trades
        daily = np.diff(np.array([float(equity) for equity in kept.equities]))
        base = daily if base is None else base
        judged = max(1, round(len(daily) * judged_frac))
        difference = (daily - base)[-judged:]
        is_whole = not results
        low, high = (math.nan, math.nan) if is_whole else block_bootstrap_mean(difference, config)
        results.append(
            VariantResult(
                name=name,
                trades=len(trades),
                wins=sum(1 for trade in trades if trade.net > 0),
                net=kept.equities[-1] - kept.equities[0],
                days=len(daily),
                mean=float(daily.mean()) if len(daily) else math.nan,
                judged_days=min(judged, len(daily)),
                judged_net=kept.equities[-1] - kept.equities[-1 - min(judged, len(daily))],
                difference=math.nan if is_whole or not len(daily) else float(difference.mean()),
                low=low,
                high=high,
                daily=tuple(daily.tolist()),
            )
        )
    return results


def _named(on_session: Callable[[str, Session], Any], name: str) -> Callable[[Session], Any]:
    return lambda session: on_session(name, session)


def block_bootstrap_mean(values: Float64, config: MetricsConfig) -> tuple[float, float]:
    """Return the percentile interval of the mean under the circular block bootstrap; NaN with fewer than two values.

    Blocks of `round(n ** (1 / 3))` days. Source: Politis and Romano, A circular block-resampling procedure, 1992.
    """
    count = len(values)
    if count < 2:
        return math.nan, math.nan
    block = max(1, round(count ** (1.0 / 3.0)))
    random = np.random.default_rng(config.bootstrap_seed)
    blocks = -(-count // block)
    steps = np.arange(block)
    means = np.empty(config.bootstrap_samples)
    for sample in range(config.bootstrap_samples):
        starts = random.integers(0, count, blocks)
        places = (starts[:, None] + steps).reshape(-1)[:count] % count
        means[sample] = values[places].mean()
    tail = (1.0 - config.confidence_frac) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return float(low), float(high)
