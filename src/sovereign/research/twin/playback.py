"""A recorded session played again: exactly as it was, or with some of its inputs left out or replaced.

`exact` applies the recording to the engine that a live session has; nothing leaves. The same inputs give the same events, byte
for byte (docs/decisions/0002). The other plays put a simulated broker in the venue's place and leave out what one cause
brought; the last of them is the backtest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sovereign.core.columns import Trades
from sovereign.core.command import Command, CommandKind
from sovereign.core.episode import Episode, EpisodeBook, EpisodeKeeper
from sovereign.core.errors import CorruptFileError, SovereignError
from sovereign.core.event import Event, NoticeCode, to_plain
from sovereign.core.order import OrderType
from sovereign.core.port import Sink, Strategy
from sovereign.core.session import NS_PER_MINUTE
from sovereign.engine.conductor import Conductor
from sovereign.engine.engine import Engine
from sovereign.engine.inputs import (
    CommandReceived,
    ConnectionChanged,
    CorrectionMade,
    EvidenceReceived,
    HealthChanged,
    Input,
    MarginsChanged,
    NoticeRaised,
    Opening,
    ReportReceived,
    SessionClosed,
    SessionOpened,
    Slice,
    read_inputs,
)
from sovereign.engine.recovery import RECOVERY
from sovereign.execution.broker import Broker, BrokerCapabilities
from sovereign.execution.brokers.remote import RemoteBroker
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.research.backtest import Recipe, main_lane, new_engine
from sovereign.research.live import EarlierBars, live_engine, warmed_stream
from sovereign.research.twin.observed import Observed, ObservedBroker, holds_brackets
from sovereign.store.recording import read_recording
from sovereign.strategies import load_strategy

BROKER_SIDE = ("connection:broker", "reconciliation")
"""What cannot be relied upon while the venue is out of reach, or not agreed with."""
BY_VENUE = "the venue's administrator"
_FLATTENING = "FLATTEN-"  # how ids begin of orders that guard, kill or an administrator send at the venue itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A recorded session and what it is played with.

    Parameters
    ----------
    inputs : all of them, in order. warm_up : recordings of the sessions before, from which signals are warmed up.
    bars : recorded bars of the catalog before those, if signals were warmed up from them as well.
    late_notice_ns : `live.late_notice_s` of the session. book : what the strategy remembers; it is read and never written.
    """

    recipe: Recipe
    inputs: tuple[Input, ...]
    is_simulated_data: bool
    warm_up: tuple[Path, ...] = ()
    late_notice_ns: int = NS_PER_MINUTE
    book: EpisodeBook | None = None
    bars: EarlierBars | None = None

    @property
    def opened(self) -> SessionOpened:
        """The input that opened the session."""
        for item in self.inputs:
            if isinstance(item, SessionOpened):
                return item
        raise CorruptFileError("the recording holds no opened session; it was cut off before it began")

    @property
    def opening(self) -> Opening:
        """What the session began with."""
        return self.opened.opening

    @property
    def is_closed(self) -> bool:
        """Whether the recording goes up to the session's close."""
        return any(isinstance(item, SessionClosed) for item in self.inputs)

    @property
    def lives(self) -> int:
        """Processes that traded it, one after the other."""
        return 1 + sum(isinstance(item, NoticeRaised) and item.code is NoticeCode.RECOVERED for item in self.inputs)


def read_recorded(
    path: Path,
    recipe: Recipe,
    *,
    is_simulated_data: bool,
    warm_up: Sequence[Path] = (),
    late_notice_ns: int = NS_PER_MINUTE,
    book: EpisodeBook | None = None,
    bars: EarlierBars | None = None,
) -> Recorded:
    """Read a recording; see `Recorded` for the parameters.

    Raises
    ------
    CorruptFileError : the file is no recording, or no session was opened in it.
    """
    inputs = tuple(read_inputs(read_recording(path)))
    recorded = Recorded(
        recipe=recipe,
        inputs=inputs,
        is_simulated_data=is_simulated_data,
        warm_up=tuple(warm_up),
        late_notice_ns=late_notice_ns,
        book=book,
        bars=bars,
    )
    _ = recorded.opened
    return recorded


@dataclass(slots=True)
class Played:
    """What came of playing inputs: every event in plain form, and where the engine stands."""

    conductor: Conductor
    events: list[dict[str, Any]] = field(default_factory=list)


def exact(recorded: Recorded, *sinks: Sink) -> Played:
    """Play a recording exactly as it was: the venue's reports are the recorded ones, and nothing leaves.

    Parameters
    ----------
    sinks : further readers of the audit stream.
    """
    capabilities = BrokerCapabilities(
        holds_brackets=holds_brackets(recorded.inputs), can_replace=True, order_types=frozenset(OrderType)
    )
    has_venue = any(isinstance(item, ReportReceived | MarginsChanged) for item in recorded.inputs)
    broker: Broker = RemoteBroker(_nowhere, capabilities) if has_venue else _plain_broker(recorded.recipe)
    return _play(recorded, recorded.inputs, broker, partial(_live_engine, recorded, broker), sinks)


def with_broker(recorded: Recorded, inputs: Iterable[Input], observed: Observed, *, is_timed: bool, is_charged: bool) -> Played:
    """Play inputs with a simulated broker in the venue's place, with the observed times and charges or without them."""
    execution = recorded.recipe.execution
    broker = ObservedBroker(
        main_lane(execution).model,
        execution.latency_ns,
        execution.margins,
        observed,
        is_timed=is_timed,
        is_charged=is_charged,
    )
    return _play(recorded, inputs, broker, partial(_live_engine, recorded, broker))


def backtest(recorded: Recorded, until_ns: int) -> Played:
    """Run the session's ticks through the backtest recipe, as far as the session came."""
    recipe = recorded.recipe

    def build(sinks: Sequence[Sink]) -> Engine:
        lane, is_simulated = main_lane(recipe.execution), recorded.is_simulated_data
        return new_engine(recipe, lane, sinks, is_simulated_data=is_simulated, strategy=_strategy(recorded))

    return _play(recorded, market_alone(recorded.inputs, until_ns), object(), build)


# Inputs, less what one cause brought.


def without_corrections(inputs: Iterable[Input]) -> tuple[Input, ...]:
    """Leave out what only the venue's own books can say: reports, and what comparing with them put right.

    What somebody ordered at the venue itself becomes a command of that moment, so that it is counted as such.
    """
    kept: list[Input] = []
    is_told = False
    for item in inputs:
        if isinstance(item, ReportReceived | CorrectionMade):
            is_foreign = _is_flattening(item)
            if is_foreign and not is_told:
                kept.append(_flatten(item))
            is_told = is_told or is_foreign
        else:
            kept.append(item)
    return tuple(kept)


def _is_flattening(item: ReportReceived | CorrectionMade) -> bool:
    if isinstance(item, ReportReceived):
        return item.report.client_order_id.startswith(_FLATTENING)
    return item.correction.subject.startswith(_FLATTENING)


def _flatten(item: Input) -> CommandReceived:
    command = Command(command_id=f"venue-{item.ts}", kind=CommandKind.FLATTEN, by=BY_VENUE, reason="ordered at the venue")
    return CommandReceived(ts=item.ts, command=command)


def without_waiting(inputs: Iterable[Input]) -> tuple[Input, ...]:
    """Leave out the times at which the venue was out of reach or not yet agreed with, and what recovery asked for."""
    return tuple(item for item in inputs if not _is_waiting(item))


def _is_waiting(item: Input) -> bool:
    if isinstance(item, ConnectionChanged):
        return item.subject == "broker"
    if isinstance(item, HealthChanged):
        return item.subject in BROKER_SIDE
    return isinstance(item, CommandReceived) and item.command.by == RECOVERY


def without_charges(inputs: Iterable[Input]) -> tuple[Input, ...]:
    """Leave out the margins that the venue charged."""
    return tuple(item for item in inputs if not isinstance(item, MarginsChanged))


def without_people(inputs: Iterable[Input]) -> tuple[Input, ...]:
    """Leave out what people, schedules and the guard asked for."""
    return tuple(item for item in inputs if not isinstance(item, CommandReceived))


def market_alone(inputs: Sequence[Input], until_ns: int) -> tuple[Input, ...]:
    """Return the session's opening, each tape whole and in order of time, and the close if it came to that.

    What scouts saw comes first, each with the time from which it was known.
    """
    opened = next(item for item in inputs if isinstance(item, SessionOpened))
    kept: list[Input] = [opened, *(item for item in inputs if isinstance(item, EvidenceReceived))]
    tapes: dict[str, list[Trades]] = {}
    for item in inputs:
        if isinstance(item, Slice):
            tapes.setdefault(item.symbol, []).append(item.trades)
    for instrument in opened.instruments:
        trades = in_order(Trades.concat([part for part in tapes.get(instrument.symbol, ()) if len(part)]))
        kept.append(Slice(ts=until_ns, symbol=instrument.symbol, trades=trades, until_ns=until_ns))
    kept += [item for item in inputs if isinstance(item, SessionClosed)][:1]
    return tuple(kept)


def in_order(trades: Trades) -> Trades:
    """Return ticks in order of time; those of one time stay as they came."""
    if not np.any(np.diff(trades.ts) < 0):
        return trades
    order = np.argsort(trades.ts, kind="stable")
    quotes = None if trades.bid is None or trades.ask is None else (trades.bid[order], trades.ask[order])
    bid, ask = quotes or (None, None)
    columns = (trades.ts[order], trades.price[order], trades.size[order], trades.side[order], bid, ask)
    return Trades(*columns, is_path=trades.is_path)


def last_ticks(inputs: Iterable[Input]) -> dict[str, int]:
    """Return the last price of each tape."""
    found: dict[str, tuple[int, int]] = {}
    for item in inputs:
        if isinstance(item, Slice) and len(item.trades):
            ts = int(item.trades.ts[-1])
            if ts >= found.get(item.symbol, (0, 0))[0]:
                found[item.symbol] = ts, int(item.trades.price[-1])
    return {symbol: price for symbol, (_, price) in found.items()}


# Engines and streams.


def _nowhere(_: object) -> None:
    """Nothing leaves."""


class _ReadBook:
    """A book of episodes as it is; what a play would write down is not kept."""

    def __init__(self, book: EpisodeBook) -> None:
        self.closed_before = book.closed_before
        self.open_at = book.open_at

    def keep(self, episode: Episode, limit: int) -> None:
        """Keep nothing."""

    def drop(self, episode: Episode) -> None:
        """Drop nothing."""


def _strategy(recorded: Recorded) -> Strategy:
    strategy = load_strategy(recorded.recipe.strategy, recorded.recipe.strategy_config)
    if recorded.book is not None and isinstance(strategy, EpisodeKeeper):
        strategy.use_book(_ReadBook(recorded.book))
    return strategy


def _plain_broker(recipe: Recipe) -> Broker:
    return SimulatedBroker(main_lane(recipe.execution).model, recipe.execution.latency_ns, recipe.execution.margins)


def _live_engine(recorded: Recorded, broker: Broker, sinks: Sequence[Sink]) -> Engine:
    simulated = recorded.is_simulated_data
    return live_engine(recorded.recipe, _strategy(recorded), broker, sinks=sinks, is_simulated_data=simulated)


def _play(
    recorded: Recorded,
    inputs: Iterable[Input],
    broker: object,
    build: Callable[[Sequence[Sink]], Engine],
    sinks: Sequence[Sink] = (),
) -> Played:
    events: list[dict[str, Any]] = []

    def keep(event: Event) -> None:
        events.append(to_plain(event))

    engine = build((keep, *sinks))
    new_stream = partial(warmed_stream, engine.strategy, recorded.warm_up, bars=recorded.bars)
    conductor = Conductor(engine, new_stream, broker, late_notice_ns=recorded.late_notice_ns)
    failure: SovereignError | None = None
    for item in inputs:
        if failure is not None and not (isinstance(item, NoticeRaised) and item.code is NoticeCode.FAILURE):
            raise failure
        failure = None
        try:
            conductor.apply(_fresh(item))
        except SovereignError as error:
            failure = error  # the session stopped here as well, and its next input says so
    if failure is not None:
        raise failure
    return Played(conductor, events)


def _fresh(item: Input) -> Input:
    """Return an input that may be applied: an order that the venue made lives on in the engine, so each play gets its own."""
    if isinstance(item, ReportReceived) and item.report.child is not None:
        return replace(item, report=replace(item.report, child=copy(item.report.child)))
    return item
