"""How a live session's engine and signals are made: one way for the session, its recovery, twin and rehearsal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from sovereign.core.columns import Trades
from sovereign.core.instrument import Instrument
from sovereign.core.port import Block, EvidenceListener, SignalStream, Sink, Strategy
from sovereign.core.session import Session
from sovereign.engine.engine import Engine
from sovereign.engine.inputs import EvidenceReceived, SessionOpened, Slice, read_inputs
from sovereign.execution.account import Account
from sovereign.execution.broker import Broker, OrderJournal
from sovereign.execution.executor import Executor
from sovereign.execution.fill_model import PerUnitFees
from sovereign.execution.protection import ProtectionWatch
from sovereign.research.backtest import Recipe, charged_instrument
from sovereign.risk.door import OneDoor
from sovereign.store.recording import read_recording


def live_engine(
    recipe: Recipe,
    strategy: Strategy,
    broker: Broker,
    journal: OrderJournal | None = None,
    *,
    sinks: Sequence[Sink],
    is_simulated_data: bool,
) -> Engine:
    """Build the engine of a live session: a backtest's, with a journal and a watch over positions without a stop.

    Parameters
    ----------
    strategy : made from the recipe's settings, once a session. journal : None keeps no requests, as when a recording is played.
    """
    execution = recipe.execution

    def watch(executor: Executor) -> ProtectionWatch:
        return ProtectionWatch(executor, execution.unprotected_alarm_ns, execution.unprotected_action)

    return Engine(
        strategy=strategy,
        door=OneDoor(recipe.risk, find=partial(charged_instrument, execution)),
        broker=broker,
        account=Account(recipe.starting_balance),
        fees=PerUnitFees(dict(execution.fees), 1),
        journal=journal,
        sinks=tuple(sinks),
        is_simulated_data=is_simulated_data,
        new_watch=watch,
    )


class EarlierBars(Protocol):
    """Recorded sessions before the first one that was traded: `feeds.bars.BarFeed`."""

    def sessions(self) -> Iterator[Session]:
        """Yield the sessions, in order."""
        ...

    def blocks_of(self, symbol: str, session: Session) -> Iterator[Block]:
        """Yield a symbol's blocks of a session; none when it has no data on that date."""
        ...


def warmed_stream(
    strategy: Strategy, earlier: Sequence[Path], instrument: Instrument, *, bars: EarlierBars | None = None
) -> SignalStream:
    """Return an instrument's signals as the sessions before have left them, what scouts saw then included.

    Each instrument is warmed up by itself.

    Parameters
    ----------
    earlier : recordings of sessions, oldest first. bars : what comes before them.

    Raises
    ------
    CorruptFileError : one of the recordings cannot be read.
    """
    stream = strategy.signal_stream(instrument)
    for session in () if bars is None else bars.sessions():
        blocks = [] if bars is None else list(bars.blocks_of(instrument.symbol, session))
        if blocks:
            stream.start_session(session)
        for block in blocks:
            stream.advance(block.trades, block.until_ns)
    listener = strategy if isinstance(strategy, EvidenceListener) else None
    for path in earlier:
        _play(path, instrument.symbol, stream, listener)
    return stream


def _play(path: Path, symbol: str, stream: SignalStream, listener: EvidenceListener | None) -> None:
    session: Session | None = None
    for item in read_inputs(read_recording(path)):
        if isinstance(item, SessionOpened):
            session = item.session
            stream.start_session(session)
        elif isinstance(item, Slice) and item.symbol == symbol:
            stream.advance(item.trades, item.until_ns)
        elif isinstance(item, EvidenceReceived) and listener is not None:
            listener.on_evidence(item.ts, item.snapshots, item.readings)
    if session is not None:
        stream.advance(Trades.empty(), session.close_ns)
