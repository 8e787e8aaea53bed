"""Backtests: one feed, one set of signals, and a lane for every set of assumptions.

The main lane is the run itself; the other fill models and the doubled and tripled costs are further lanes over the same rows
and ticks, each with its own strategy instance, risk door, broker and account. The code that decides is the engine's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache, partial
from typing import Any

from sovereign.core.columns import Trades
from sovereign.core.configuration import Configuration
from sovereign.core.decision import KeptRefusals, Proposal
from sovereign.core.event import AccountSnapshot, Event, SessionEnded, TradeClosed
from sovereign.core.instrument import Instrument, find_instrument
from sovereign.core.port import Block, Feed, Moment, SignalStream, Sink, Strategy
from sovereign.core.position import Trade
from sovereign.core.session import Session
from sovereign.engine.engine import Engine
from sovereign.engine.recipe import Run
from sovereign.execution.account import Account
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.execution.fill_model import ExecutionConfig, FillModel, FillModelName, PerUnitFees
from sovereign.research.result import LaneResult, RunCollector, RunTables
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.door import OneDoor
from sovereign.strategies import load_strategy

COST_FACTORS = {"cost_x2": 2, "cost_x3": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a lane is built from: the strategy with its settings, the limits, the assumptions about fills, the money."""

    strategy: str
    strategy_config: Configuration
    risk: RiskConfig
    execution: ExecutionConfig
    starting_balance: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSpec:
    """One lane: a fill model, and what fees are multiplied with."""

    name: str
    model: FillModel
    fee_factor: int = 1


def main_lane(execution: ExecutionConfig) -> LaneSpec:
    """Return the lane of headline figures, named after its fill model."""
    return LaneSpec(name=execution.fill_model.value, model=execution.model_of(execution.fill_model))


def all_lanes(execution: ExecutionConfig) -> tuple[LaneSpec, ...]:
    """Return the main lane first, then the other fill models, then the cost multiples of the main one."""
    main = main_lane(execution)
    bands = [LaneSpec(name=n.value, model=execution.model_of(n)) for n in FillModelName if n.value != main.name]
    costs = [LaneSpec(name=name, model=main.model.scaled(k), fee_factor=k) for name, k in COST_FACTORS.items()]
    return (main, *bands, *costs)


class SharedAnswers:
    """A stateless strategy as several lanes ask it: the same moment is worked out once a session.

    A moment is the same when row, last price and position are.
    """

    is_stateless = True

    def __init__(self, strategy: Strategy) -> None:
        self.name = strategy.name
        self.gate_names = strategy.gate_names
        self.signal_stream = strategy.signal_stream
        self.refused = strategy.refused
        self.usual_bracket = strategy.usual_bracket
        self._strategy = strategy
        self._session: Session | None = None
        self._answers: dict[tuple[str, int, int, int, int], Sequence[Proposal]] = {}

    def start_session(self, session: Session, instrument: Instrument) -> None:
        """Forget the last session's answers."""
        if session is not self._session:
            self._session = session
            self._answers.clear()
        self._strategy.start_session(session, instrument)

    def decide(self, moment: Moment) -> Sequence[Proposal]:
        """Return the answer to a moment."""
        key = (moment.symbol, moment.index, moment.ts, moment.last_ticks, moment.position_quantity)
        found = self._answers.get(key)
        if found is None:
            found = self._answers[key] = self._strategy.decide(moment)
        return found


def charged_instrument(execution: ExecutionConfig, symbol: str) -> Instrument:
    """Return an instrument with the fee that `execution` charges, so that orders are sized and judged at what they cost."""
    instrument = find_instrument(symbol)
    fee = execution.fees.get(instrument.root)
    return instrument if fee is None else replace(instrument, fee_per_side=fee)


def new_engine(
    recipe: Recipe,
    lane: LaneSpec,
    sinks: Sequence[Sink],
    *,
    is_simulated_data: bool,
    strategy: Strategy | None = None,
    is_brief: bool = False,
) -> Engine:
    """Build one lane; `strategy` is one that it shares with others, else it gets its own. See `OneDoor` for `is_brief`."""
    return Engine(
        strategy=strategy or load_strategy(recipe.strategy, recipe.strategy_config),
        # Asked anew at every session, for every symbol; nothing of it changes in a backtest.
        door=OneDoor(recipe.risk, find=cache(partial(charged_instrument, recipe.execution)), is_brief=is_brief),
        broker=SimulatedBroker(lane.model, recipe.execution.latency_ns, recipe.execution.margins),
        account=Account(recipe.starting_balance),
        fees=PerUnitFees(dict(recipe.execution.fees), lane.fee_factor),
        sinks=sinks,
        is_simulated_data=is_simulated_data,
        is_brief=is_brief,
    )


class TradeList:
    """A sink that keeps closed trades and each session's last equity, for lanes that are only compared."""

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self.equity: list[Decimal] = []
        self._last = Decimal(0)

    def on_refused(self, refused: KeptRefusals) -> None:
        """Take what the strategy refused by itself: nobody compares it."""

    def hearer(self, kind: type[Event]) -> Callable[[Event], None] | None:
        """Return what takes the events of one type; None where they are left out."""
        return self if kind in (TradeClosed, AccountSnapshot, SessionEnded) else None

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if type(event) is TradeClosed:
            self.trades.append(event.trade)
        elif type(event) is AccountSnapshot:
            self._last = event.equity
        elif type(event) is SessionEnded:
            self.equity.append(self._last)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a backtest leaves: the main lane's tables and every lane's trades and balance."""

    tables: RunTables
    lanes: Mapping[str, LaneResult]
    instruments: tuple[Instrument, ...]
    sessions: int
    open_positions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Passage:
    """A block that has been worked through: what a reader of a running backtest may look at, and never change."""

    run: Run
    engine: Engine
    session: Session
    block: Block


def run_backtest(
    recipe: Recipe,
    feed: Feed,
    *,
    lanes: Sequence[LaneSpec] | None = None,
    sinks: Sequence[Sink] = (),
    on_session: Callable[[Session], Any] | None = None,
    on_block: Callable[[Passage], Any] | None = None,
    warm_up: Feed | None = None,
) -> Outcome:
    """Run a strategy over every session of a feed.

    Parameters
    ----------
    lanes : the first one is the main lane; all assumptions by default.
    sinks : further readers of the main lane's audit stream.
    on_session : called after each session, for progress.
    on_block : called after each block with the main lane, for those who watch.
    warm_up : earlier sessions of the same instruments, which signals see first and nobody trades.
    """
    specs = tuple(lanes) if lanes is not None else all_lanes(recipe.execution)
    strategy = load_strategy(recipe.strategy, recipe.strategy_config)
    shared = SharedAnswers(strategy) if strategy.is_stateless else None
    collector = RunCollector(strategy.gate_names)
    lists = [TradeList() for _ in specs]
    engines = [
        new_engine(
            recipe,
            spec,
            (collector, *sinks, kept) if n == 0 else (kept,),
            is_simulated_data=feed.is_simulated,
            strategy=shared,
            is_brief=n > 0,
        )
        for n, (spec, kept) in enumerate(zip(specs, lists, strict=True))
    ]

    def new_stream(instrument: Instrument) -> SignalStream:
        stream = strategy.signal_stream(instrument)
        if warm_up is not None:
            warm(stream, warm_up, instrument.symbol)
        return stream

    run = Run(feed, new_stream, engines)
    count = 0
    for session in feed.sessions():
        for block in run.blocks(session):
            if on_block is not None:
                on_block(Passage(run, engines[0], session, block))
        count += 1
        if on_session is not None:
            on_session(session)
    return Outcome(
        tables=collector.tables(),
        lanes={
            spec.name: LaneResult(
                trades=tuple(kept.trades), final_balance=engine.account.balance, session_equity=tuple(kept.equity)
            )
            for spec, kept, engine in zip(specs, lists, engines, strict=True)
        },
        instruments=tuple(run.instruments.values()),
        sessions=count,
        open_positions={symbol: position.quantity for symbol, position in engines[0].positions.items()},
    )


def warm(stream: SignalStream, feed: Feed, symbol: str) -> None:
    """Show a stream the sessions of a feed that come before those that are traded."""
    # A feed that can read one symbol alone need not read all of them for each.
    alone = getattr(feed, "blocks_of", None)
    for session in feed.sessions():
        blocks = feed.blocks(session) if alone is None else alone(symbol, session)
        own = [block for block in blocks if block.symbol == symbol]
        if alone is not None and not own:
            continue  # it did not trade then
        stream.start_session(session)
        for block in own:
            stream.advance(block.trades, block.until_ns)
        stream.advance(Trades.empty(), session.close_ns)
