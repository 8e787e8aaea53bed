"""What each part of a strategy is worth: the same data with and without it, day by day.

A strategy takes part by naming its `parts` and having a setting `without`; settings that stand for each other are its
`rivals`. Neither may change its signals: all variants see the same rows. Every variant has an account of its own over the
same sessions. A day's difference is paired with the same day of the whole strategy, and its mean is given with a bootstrap
interval of blocks of days, so that days that hang together are drawn together. Of rivals, the better one on the first days is
judged on the last.
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
from sovereign.core.instrument import Instrument
from sovereign.core.port import Feed, SignalStream
from sovereign.core.session import Session
from sovereign.engine.recipe import Run
from sovereign.research.backtest import Recipe, TradeList, main_lane, new_engine, warm
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
    judged_trades: int
    judged_net: Decimal
    difference: float
    low: float
    high: float
    daily: tuple[float, ...] = field(default=(), repr=False)

    @property
    def is_clear(self) -> bool:
        """Whether the difference is more than chance would make."""
        return self.low > 0.0 or self.high < 0.0

    @property
    def is_same(self) -> bool:
        """Whether nothing came out otherwise on the judged days: what was left out took no part."""
        return self.difference == self.low == self.high == 0.0

    @property
    def mark(self) -> str:
        """What its difference is, in a word or two; empty for the whole itself."""
        if math.isnan(self.difference):
            return ""
        return "no part" if self.is_same else "clear" if self.is_clear else "chance"

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
            "judged_trades": self.judged_trades,
            "judged_net": str(self.judged_net),
            **{name: None if math.isnan(value) else value for name, value in numbers.items()},
            "is_clear": self.is_clear,
            "is_same": self.is_same,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of several rival settings, chosen on the first days and judged on the rest.

    `earned` is what each made a day on the first days, by variant; `chosen` the best of them, `other` the next. `difference` is
    what the chosen made a day on the judged days less the other, `low` and `high` the interval of that mean.
    """

    key: str
    earned: Mapping[str, float]
    chosen: str
    other: str
    difference: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the difference is more than chance would make."""
        return self.low > 0.0 or self.high < 0.0


def comparisons_text(results: Sequence[VariantResult]) -> str:
    """Return what stands below a table of variants: how many of its intervals are to be expected to look clear."""
    marks = [one.mark for one in results if one.mark]
    compared, same = len(marks) - marks.count("no part"), marks.count("no part")
    if not compared:
        return "Nothing came out otherwise without any of them: there is nothing to compare."
    silent = f" {same} took no part: nothing came out otherwise without them." if same else ""
    return f"Each interval stands alone: of {compared} comparisons of equals, one in twenty would look clear.{silent}"


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


def _stream_factory(name: str, section: Configuration, warm_up: Feed | None) -> Callable[[Instrument], SignalStream]:
    strategy = load_strategy(name, section)

    def new_stream(instrument: Instrument) -> SignalStream:
        stream = strategy.signal_stream(instrument)
        if warm_up is not None:
            warm(stream, warm_up, instrument.symbol)
        return stream

    return new_stream


def compare_variants(
    recipe: Recipe,
    feed: Feed,
    variants: Mapping[str, Configuration],
    config: MetricsConfig,
    *,
    judged_frac: float = 1.0,
    on_session: Callable[[Session], Any] | None = None,
    warm_up: Feed | None = None,
) -> list[VariantResult]:
    """Run every variant over the feed, the first one being what the others are compared with.

    Parameters
    ----------
    config : bootstrap: samples, seed, confidence; its block is `round(days ** (1 / 3))` days.
    judged_frac : share of the days, the last ones, on which the differences are taken.
    on_session : called after each session, for progress.
    warm_up : earlier sessions, which signals see first and nobody trades.

    Raises
    ------
    UsageError : there is no variant, or no day to judge by.
    """
    if not variants:
        raise UsageError("variants were none; give at least one")
    if not 0.0 < judged_frac <= 1.0:
        raise UsageError(f"judged share was {judged_frac}; allowed is above 0 up to 1")
    lane = main_lane(recipe.execution)
    lists = {name: TradeList() for name in variants}
    engines = {
        name: new_engine(
            replace(recipe, strategy_config=section), lane, (lists[name],), is_simulated_data=feed.is_simulated, is_brief=True
        )
        for name, section in variants.items()
    }
    # Signals are computed once for all variants, unless what is left out is a signal itself.
    first = next(iter(variants))
    are_apart = getattr(load_strategy(recipe.strategy, variants[first]), "parts_change_signals", False)
    groups = [[name] for name in variants] if are_apart else [list(variants)]
    opens: list[int] = []
    for names in groups:
        run = Run(feed, _stream_factory(recipe.strategy, variants[names[0]], warm_up), [engines[name] for name in names])
        for session in run.sessions():
            if first in names:
                opens.append(session.open_ns)
            if on_session is not None:
                on_session(session)
    results: list[VariantResult] = []
    base: Float64 | None = None
    for name, kept in lists.items():
        equities = [recipe.starting_balance, *kept.equity]
        daily = np.diff(np.array([float(equity) for equity in equities]))
        base = daily if base is None else base
        judged = min(len(daily), max(1, round(len(daily) * judged_frac)))
        difference = (daily - base)[len(daily) - judged :]
        is_whole = not results
        low, high = (math.nan, math.nan) if is_whole else block_bootstrap_mean(difference, config)
        results.append(
            VariantResult(
                name=name,
                trades=len(kept.trades),
                wins=sum(1 for trade in kept.trades if trade.net > 0),
                net=equities[-1] - equities[0],
                days=len(daily),
                mean=float(daily.mean()) if len(daily) else math.nan,
                judged_days=judged,
                judged_trades=sum(1 for trade in kept.trades if trade.exit_ns >= opens[len(opens) - judged]),
                judged_net=equities[-1] - equities[-1 - judged],
                difference=math.nan if is_whole or not len(daily) else float(difference.mean()),
                low=low,
                high=high,
                daily=tuple(daily.tolist()),
            )
        )
    return results


def choices_of(
    strategy: str, section: Configuration, results: Sequence[VariantResult], config: MetricsConfig
) -> tuple[Choice, ...]:
    """Return, for each rival setting, which value the first days would have chosen and what that was worth on the judged days.

    Nothing is chosen where no day lies before the judged ones, or where only one of the values was run.
    """
    rivals: Mapping[str, Sequence[Any]] = getattr(load_strategy(strategy, section), "rivals", {})
    by_name, found = {result.name: result for result in results}, []
    for key in rivals:
        own = [by_name[WHOLE], *(result for name, result in by_name.items() if name.startswith(f"{key} = "))]
        first = own[0].days - own[0].judged_days
        if len(own) < 2 or first < 1:
            continue
        names = {result.name: f"{key} = {_value(section, key)}" if result.name == WHOLE else result.name for result in own}
        earned = {names[result.name]: float(np.mean(result.daily[:first])) for result in own}
        chosen, other, *_ = sorted(own, key=lambda result: -earned[names[result.name]])
        difference = np.array(chosen.daily[first:]) - np.array(other.daily[first:])
        low, high = block_bootstrap_mean(difference, config)
        found.append(
            Choice(
                key=key,
                earned=earned,
                chosen=names[chosen.name],
                other=names[other.name],
                difference=float(difference.mean()),
                low=low,
                high=high,
            )
        )
    return tuple(found)


def _value(section: Configuration, key: str) -> Any:
    inner: Any = section
    for name in key.split("."):
        inner = getattr(inner, name)
    return inner


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
