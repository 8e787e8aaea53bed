"""The honesty checks on strategies that trade several symbols at once, on a driftless market of correlated shares.

Trades of one moment win and lose together, and a position held for a week shares days with others. So the null test does not
count trades as independent: it marks everything to market at each session's end and takes the day as the cluster. On a
martingale the profits of different days are uncorrelated whatever is held, so the mean profit of N trades has the standard
error

    sqrt(D / (D - 1) * sum_d (P_d - mean P)^2) / N        P_d = profit of day d, D days

which is the cluster-robust error of Cameron and Miller (2015, "A Practitioner's Guide to Cluster-Robust Inference", equation 11
with their finite-sample factor) of profits in calendar time (Fama 1998, section 3.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.core.columns import Trades
from sovereign.core.errors import UsageError
from sovereign.core.instrument import Instrument, find_instrument
from sovereign.core.port import Block, Feed, SessionCalendar, make_block
from sovereign.core.session import Session
from sovereign.execution.fill_model import OPTIMISTIC
from sovereign.feeds.synthetic import PortfolioMarket, PortfolioMarketConfig
from sovereign.research.backtest import LaneSpec, Recipe, run_backtest
from sovereign.research.configuration import EvidenceConfig
from sovereign.research.evidence import (
    DETECTED,
    TEST_START,
    FutureResult,
    NullResult,
    compare_events,
    events_of,
    replace_future,
    without_limits,
)
from sovereign.strategies import benchmarks_of, load_strategy

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MANY = 100_000
"""Stands for no limit where a setting has no word for it."""


def null_symbols(recipe: Recipe, count: int) -> tuple[str, ...]:
    """Return the symbols of the driftless market: the strategy's benchmarks, then `count` shares that nobody knows."""
    benchmarks = benchmarks_of(recipe.strategy_config)
    invented = [f"Z{first}{second}" for first in _LETTERS for second in _LETTERS][:count]
    return (*benchmarks, *(symbol for symbol in invented if symbol not in benchmarks))


def day_clustered_error(daily: NDArray[np.float64], trades: int) -> float:
    """Return the standard error of the mean profit a trade from the profits of days; see the module's formula.

    NaN with fewer than two days or without a trade.
    """
    days = len(daily)
    if days < 2 or trades < 1:
        return math.nan
    return math.sqrt(days / (days - 1) * float(np.sum((daily - daily.mean()) ** 2))) / trades


def for_invented_market(recipe: Recipe) -> Recipe:
    """Return the recipe with what its strategy makes of its settings where no outside data can be had.

    A strategy that asks for such data (an earnings calendar, years of history) and would never trade without it has a static
    method `without_outside_data`, from its configuration to one that does.
    """
    plain = getattr(load_strategy(recipe.strategy, recipe.strategy_config), "without_outside_data", None)
    return recipe if plain is None else replace(recipe, strategy_config=plain(recipe.strategy_config))


def without_portfolio_limits(recipe: Recipe) -> Recipe:
    """Return the recipe with one unit a trade and no limit on how many, so that every signal counts alike."""
    single = for_invented_market(without_limits(recipe))
    risk = single.risk
    breakers = {
        "max_losses_in_a_row": None,
        "max_trades_per_session": None,
        "max_proposals_per_minute": None,
        "stale_position_s": None,
    }
    limits: dict[str, Any] = {
        "stale_data_s": math.inf,
        "max_positions": _MANY,
        "max_working_entries": _MANY,
        "max_orders_per_minute": _MANY,
        "max_notional_frac": Decimal(_MANY),
        "max_side_exposure_frac": None,
        "max_per_sector": None,
        "max_position_frac": None,
        "breakers": risk.breakers.model_copy(update=breakers),
    }
    return replace(single, risk=risk.model_copy(update=limits))


def portfolio_null_test(
    recipe: Recipe,
    calendar: SessionCalendar,
    symbols: Sequence[str],
    config: EvidenceConfig,
    market: PortfolioMarketConfig,
    *,
    sessions: int | None = None,
    seed: int | None = None,
    on_session: Callable[[Session], Any] | None = None,
    lane: LaneSpec | None = None,
) -> NullResult:
    """Trade driftless sessions of several symbols at traded prices without fees, and test the mean profit against zero.

    Positions that are open at the end count as trades at their last price. Fewer than two trades prove nothing: t is NaN.

    Raises
    ------
    UsageError : the symbols do not share one tick value, so that their ticks cannot be added up.
    """
    spec = lane or LaneSpec(name="null", model=OPTIMISTIC, fee_factor=0)
    values = {find_instrument(symbol).tick_value for symbol in symbols}
    if len(values) != 1:
        raise UsageError(f"tick values were {', '.join(map(str, sorted(values)))}; the null market needs symbols of one value")
    number = config.null_seed if seed is None else seed
    feed = PortfolioMarket(symbols, calendar, TEST_START, sessions or config.null_sessions, number, market)
    free = without_portfolio_limits(recipe)
    outcome = run_backtest(free, feed, lanes=(spec,), on_session=on_session)
    result = outcome.lanes[spec.name]
    equity = np.array([float(value) for value in (free.starting_balance, *result.session_equity)])
    tick_value = float(values.pop())
    daily = np.diff(equity) / tick_value
    count = len(result.trades) + len(outcome.open_positions)
    mean = float(daily.sum()) / count if count else math.nan
    error = day_clustered_error(daily, count)
    t = mean / error if count > 1 and error > 0 else math.nan
    return NullResult(
        strategy=recipe.strategy,
        seed=number,
        sessions=outcome.sessions,
        trades=count,
        mean=mean,
        standard_error=error,
        t=t,
        detectable_ticks=DETECTED * error,
        mean_money=mean * tick_value,
        passed=abs(t) < config.null_max_t,
        threshold=config.null_max_t,
    )


class SomeSessions:
    """Some trade dates of a feed, for a warm-up and a run that share one market."""

    def __init__(self, feed: Feed, dates: Collection[date]) -> None:
        self._feed = feed
        self._dates = frozenset(dates)
        self.is_simulated = feed.is_simulated

    def sessions(self) -> Iterator[Session]:
        """Yield the chosen sessions, in order."""
        return (session for session in self._feed.sessions() if session.trade_date in self._dates)

    def instruments(self, session: Session) -> Sequence[Instrument]:
        """Return what trades in a session."""
        return self._feed.instruments(session)

    def blocks(self, session: Session) -> Iterator[Block]:
        """Yield a session's blocks."""
        return self._feed.blocks(session)


Tapes = Mapping[str, Trades]


class GivenSessions:
    """A feed of given trades: for each session the tapes by symbol, in the order of the symbols."""

    is_simulated = True

    def __init__(self, sessions: Sequence[Session], tapes: Sequence[Tapes]) -> None:
        self._sessions = tuple(sessions)
        self._tapes = {session.trade_date: some for session, some in zip(sessions, tapes, strict=True)}

    def sessions(self) -> Iterator[Session]:
        """Yield the sessions, in order."""
        yield from self._sessions

    def instruments(self, session: Session) -> Sequence[Instrument]:
        """Return what has trades in a session."""
        return tuple(find_instrument(symbol) for symbol in self._tapes[session.trade_date])

    def blocks(self, session: Session) -> Iterator[Block]:
        """Yield one block a symbol."""
        for symbol, trades in self._tapes[session.trade_date].items():
            yield make_block(symbol, trades, session.close_ns)


def portfolio_future_test(
    recipe: Recipe,
    calendar: SessionCalendar,
    symbols: Sequence[str],
    config: EvidenceConfig,
    market: PortfolioMarketConfig,
    *,
    seed: int | None = None,
    on_session: Callable[[Session], Any] | None = None,
) -> FutureResult:
    """Replace everything after random moments, on every symbol and in all later sessions; what was said before must stay."""
    number = config.null_seed if seed is None else seed
    feed = PortfolioMarket(symbols, calendar, TEST_START, config.future_sessions, number, market)
    recipe = for_invented_market(replace(recipe, risk=recipe.risk.no_fresher_than(market.step_seconds)))
    sessions = list(feed.sessions())
    tapes = [{block.symbol: block.trades for block in feed.blocks(session)} for session in sessions]
    return future_test_of(recipe, sessions, tapes, cuts=config.future_cuts, seed=number, on_session=on_session)


def future_test_of(
    recipe: Recipe,
    sessions: Sequence[Session],
    tapes: Sequence[Tapes],
    *,
    cuts: int,
    seed: int,
    on_session: Callable[[Session], Any] | None = None,
) -> FutureResult:
    """Make the look-ahead test on given sessions of several symbols.

    Each cut is a moment at which some symbol traded; every tape keeps what it printed up to and including that moment. Cuts lie
    in the second half of the sessions, where a strategy has had time to warm up.
    """
    rng = np.random.default_rng(seed)
    whole = events_of(recipe, GivenSessions(sessions, tapes), on_session)
    decisions = sum(1 for event in whole if type(event).__name__ == "DecisionMade")
    compared, difference = 0, ""
    for _ in range(cuts):
        number = int(rng.integers(len(sessions) // 2, len(sessions)))
        moments = np.unique(np.concatenate([trades.ts for trades in tapes[number].values()]))
        known = int(moments[int(rng.integers(len(moments) // 10, max(len(moments) // 10 + 1, len(moments) - 1)))])
        other = events_of(
            recipe, GivenSessions(sessions, [*tapes[:number], *_other_future(tapes[number:], known, rng)]), on_session
        )
        same, found = compare_events(whole, other, known)
        compared += same
        difference = difference or (found and f"cut at {known} ns, {found}")
    return FutureResult(
        strategy=recipe.strategy,
        seed=seed,
        cuts=cuts,
        events=compared,
        decisions=decisions,
        passed=not difference and compared > 0,
        difference=difference,
    )


def _other_future(tapes: Sequence[Tapes], known: int, rng: np.random.Generator) -> list[Tapes]:
    # At least one print of each tape stays, which says where its other path begins.
    return [
        {
            symbol: replace_future(trades, max(1, int(np.searchsorted(trades.ts, known, side="right"))), rng)
            for symbol, trades in session.items()
        }
        for session in tapes
    ]
