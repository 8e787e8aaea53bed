"""Honesty checks on a strategy: the null market, the unknown future, and doubled costs.

- `null_test`: a driftless market whose traded price is a martingale. Filled at traded prices and without fees, any rule has an
  expected profit of exactly zero (optional stopping), so a mean that differs from zero is made by the test, not by the market.
- `future_test`: everything after a moment is replaced by another market; whatever was decided up to that moment must be the
  same, byte for byte.
- `costs_test`: the same run with fees, spread and slippage doubled and tripled.

`strategy_checks` hands the first two to a run's evidence card (`evidence_card.build_card`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np

from sovereign.core.columns import Trades
from sovereign.core.event import Event, RowsClosed, SessionEnded, encode
from sovereign.core.instrument import Instrument
from sovereign.core.port import Block, Feed, SessionCalendar
from sovereign.core.session import Session
from sovereign.execution.fill_model import OPTIMISTIC
from sovereign.feeds.synthetic import Hours, SyntheticConfig, SyntheticFeed, SyntheticMarket
from sovereign.research.backtest import COST_FACTORS, LaneSpec, Recipe, main_lane, run_backtest
from sovereign.research.card import EvidenceCheck, EvidenceName

TEST_START = date(2025, 1, 6)
"""First trade date of the synthetic sessions; any would do, a fixed one makes results repeat."""

DETECTED = 1.959964 + 0.841621
"""Two-sided 5% level with 80% power, in standard errors of the mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NullResult:
    """The null test: profit per trade and unit, in ticks, before costs, with its t statistic.

    `detectable_ticks` is the edge per trade that this many trades would have shown with 80% power at the 5% level.
    """

    strategy: str
    seed: int
    sessions: int
    trades: int
    mean: float
    standard_error: float
    t: float
    detectable_ticks: float
    mean_money: float
    passed: bool
    threshold: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FutureResult:
    """The look-ahead test: how many events were compared over how many cuts, and the first that differed, if any."""

    strategy: str
    seed: int
    cuts: int
    events: int
    decisions: int
    passed: bool
    difference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CostResult:
    """Net profit at one, two and three times the costs."""

    strategy: str
    net: dict[str, str]
    trades: dict[str, int]
    passed: bool


def without_limits(recipe: Recipe) -> Recipe:
    """Return the recipe with one unit a trade and no daily or account limits, so that every signal counts alike."""
    risk = recipe.risk
    limits: dict[str, Any] = {
        "tiers": risk.tiers.model_copy(update={"enabled": False}),
        "daily_profit_target": None,
        "daily_loss_limit": Decimal(-1_000_000_000),
        "max_daily_loss_frac": Decimal(1),
        "max_drawdown_frac": Decimal(1),
        "max_quantity": 1,
    }
    return replace(recipe, risk=risk.model_copy(update=limits), starting_balance=Decimal(100_000_000))


def _null_feed(
    instrument: Instrument, calendar: SessionCalendar, start: date, sessions: int, ticks: int, seed: int, hours: Hours
) -> SyntheticFeed:
    market = SyntheticMarket(SyntheticConfig(is_null=True, ticks_per_session=ticks), seed)
    # The hours that are traded, to their end: a position left open would meet the next session's opening price, which is
    # no step of the walk.
    return SyntheticFeed(market, instrument, calendar, start, sessions, hours=hours)


def null_test(
    recipe: Recipe,
    instrument: Instrument,
    calendar: SessionCalendar,
    *,
    sessions: int,
    ticks: int,
    seed: int,
    start: date,
    max_t: float,
    on_session: Callable[[Session], Any] | None = None,
    lane: LaneSpec | None = None,
) -> NullResult:
    """Trade driftless sessions at traded prices without fees, and test the mean profit per trade against zero.

    Fewer than two trades prove nothing: t is NaN and the test does not pass.
    """
    spec = lane or LaneSpec(name="null", model=OPTIMISTIC, fee_factor=0)
    feed = _null_feed(instrument, calendar, start, sessions, ticks, seed, recipe.risk.hours)
    outcome = run_backtest(without_limits(recipe), feed, lanes=(spec,), on_session=on_session)
    trades = outcome.lanes[spec.name].trades
    profit = np.array([float(t.gross / t.instrument.tick_value / t.quantity) for t in trades])
    money = np.array([float(t.gross / t.quantity) for t in trades])
    count = len(profit)
    error = float(profit.std(ddof=1) / math.sqrt(count)) if count > 1 else math.nan
    mean = float(profit.mean()) if count else math.nan
    t = mean / error if count > 1 and error > 0 else math.nan
    return NullResult(
        strategy=recipe.strategy,
        seed=seed,
        sessions=outcome.sessions,
        trades=count,
        mean=mean,
        standard_error=error,
        t=t,
        detectable_ticks=DETECTED * error,
        mean_money=float(money.mean()) if count else math.nan,
        passed=abs(t) < max_t,
        threshold=max_t,
    )


def day_sessions(calendar: SessionCalendar, start: date) -> Iterator[Session]:
    """Yield the full day sessions of the month after `start`."""
    for session in calendar.sessions(start, date.fromordinal(start.toordinal() + 30)):
        if session.regular_open_ns < session.regular_close_ns and not session.is_early_close:
            yield session


class _OneSession:
    """A feed of one session with given trades."""

    is_simulated = True

    def __init__(self, session: Session, instrument: Instrument, trades: Trades) -> None:
        self._session, self._instrument, self._trades = session, instrument, trades

    def sessions(self) -> Iterator[Session]:
        yield self._session

    def instruments(self, session: Session) -> Sequence[Instrument]:  # noqa: ARG002 - the port's shape
        return (self._instrument,)

    def blocks(self, session: Session) -> Iterator[Block]:
        yield Block(self._instrument.symbol, self._trades, session.regular_close_ns)


def replace_future(trades: Trades, cut: int, rng: np.random.Generator) -> Trades:
    """Return the trades with everything from row `cut` on replaced: another path, other sizes, other sides, other gaps."""
    rest = len(trades) - cut
    if rest <= 0:
        return trades
    steps = rng.integers(-3, 4, rest)
    price = (int(trades.price[cut - 1]) + np.cumsum(steps)).astype(np.int32)
    gaps = np.diff(trades.ts[cut - 1 :])
    ts = (trades.ts[cut - 1] + np.cumsum(rng.permutation(gaps))).astype(np.int64)
    size = rng.integers(1, 200, rest).astype(np.int32)
    side = rng.choice(np.array([-1, 1], np.int8), rest)
    has_quotes = trades.bid is not None
    return Trades.concat(
        [
            trades.slice(0, cut),
            Trades(ts, price, size, side, price.copy() if has_quotes else None, price.copy() if has_quotes else None),
        ]
    )


def events_of(recipe: Recipe, feed: Feed, on_session: Callable[[Session], Any] | None = None) -> list[Event]:
    """Return what a run says, rows and session ends apart, which stand at a session's close whatever they tell of."""
    events: list[Event] = []
    run_backtest(recipe, feed, lanes=(main_lane(recipe.execution),), sinks=(events.append,), on_session=on_session)
    return [e for e in events if not isinstance(e, RowsClosed | SessionEnded)]


def compare_events(whole: Sequence[Event], other: Sequence[Event], known_ns: int) -> tuple[int, str]:
    """Compare what was said up to a moment, byte for byte; return how many events that were, and the first that differs."""
    before = [encode(e) for e in whole if e.ts <= known_ns]
    after = [encode(e) for e in other if e.ts <= known_ns]
    if before == after:
        return len(before), ""
    n = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after)))
    shown = (before[n] if n < len(before) else after[n]).decode().strip()
    return len(before), f"event {n}: {shown[:300]}"


def future_test(
    recipe: Recipe, instrument: Instrument, session: Session, trades: Trades, *, cuts: int, seed: int
) -> FutureResult:
    """Replace everything after `cuts` random moments of a session; what was said up to each must not change.

    The audit stream is compared byte for byte up to and including the last trade before the cut. Signal rows are compared
    through the decisions they caused; `tests/property` compares the rows themselves.
    """
    rng = np.random.default_rng(seed)
    whole = events_of(recipe, _OneSession(session, instrument, trades))
    decisions = sum(1 for e in whole if type(e).__name__ == "DecisionMade")
    compared, difference = 0, ""
    places = sorted(int(c) for c in rng.integers(len(trades) // 10, len(trades) - 1, cuts))
    for place in places:
        # The cut lies between two different timestamps, so "up to t" names the same rows on both sides.
        cut = int(np.searchsorted(trades.ts, trades.ts[place], side="right"))
        if cut >= len(trades):
            continue
        known = int(trades.ts[cut - 1])
        other = events_of(recipe, _OneSession(session, instrument, replace_future(trades, cut, rng)))
        same, found = compare_events(whole, other, known)
        compared += same
        difference = difference or (found and f"cut at row {cut}, {found}")
    return FutureResult(
        strategy=recipe.strategy,
        seed=seed,
        cuts=len(places),
        events=compared,
        decisions=decisions,
        passed=not difference and compared > 0,
        difference=difference,
    )


def costs_test(recipe: Recipe, feed: Feed, on_session: Callable[[Session], Any] | None = None) -> CostResult:
    """Run once, twice and three times the costs over a feed; passes when the doubled costs still leave a profit."""
    main = main_lane(recipe.execution)
    lanes = [main, *(LaneSpec(name=n, model=main.model.scaled(k), fee_factor=k) for n, k in COST_FACTORS.items())]
    outcome = run_backtest(recipe, feed, lanes=lanes, on_session=on_session)
    return CostResult(
        strategy=recipe.strategy,
        net={name: str(lane.net) for name, lane in outcome.lanes.items()},
        trades={name: len(lane.trades) for name, lane in outcome.lanes.items()},
        passed=outcome.lanes["cost_x2"].net > 0,
    )


def collect_audit(recipe: Recipe, feed: Feed) -> bytes:
    """Return the canonical bytes of a run's whole audit stream, rows included as digests."""
    parts: list[bytes] = []
    run_backtest(recipe, feed, lanes=(main_lane(recipe.execution),), sinks=(lambda event: parts.append(encode(event)),))
    return b"".join(parts)


def strategy_checks(null: NullResult | None, future: FutureResult | None, null_min_trades: int) -> Iterator[EvidenceCheck]:
    """Yield what the two tests add to a run's evidence card; a null test of a handful of trades counts as not run."""
    if null is not None:
        yield EvidenceCheck(
            name=EvidenceName.NULL,
            passed=null.passed if null.trades >= null_min_trades else None,
            statistic=null.t,
            threshold=null.threshold,
            detail=f"{null.trades} trades in {null.sessions} driftless sessions: mean {null.mean:+.2f} ticks a trade, "
            f"t {null.t:+.2f}; an edge of {null.detectable_ticks:.2f} ticks would have shown",
        )
    if future is not None:
        yield EvidenceCheck(
            name=EvidenceName.LOOK_AHEAD,
            passed=future.passed,
            statistic=float(bool(future.difference)),
            threshold=0.0,
            detail=future.difference or f"{future.events} events before {future.cuts} cuts were identical",
        )
