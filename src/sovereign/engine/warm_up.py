"""Signals as the sessions before have left them: recorded bars of the catalog first, then the sessions that were traded.

A live session, its recovery, its twin and the dashboard all warm up here, in the same order, so all of them begin the same.
Each instrument is warmed up by itself, what scouts saw then included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from sovereign.core.columns import Trades
from sovereign.core.instrument import Instrument
from sovereign.core.port import Block, EvidenceListener, SignalStream
from sovereign.core.session import Session
from sovereign.engine.inputs import EvidenceReceived, SessionOpened, Slice, read_inputs
from sovereign.store.recording import read_recording


class EarlierBars(Protocol):
    """Recorded sessions before the first one that was traded: `feeds.bars.BarFeed`."""

    def sessions(self) -> Iterator[Session]:
        """Yield the sessions, in order."""
        ...

    def blocks_of(self, symbol: str, session: Session) -> Iterator[Block]:
        """Yield a symbol's blocks of a session; none when it has no data on that date."""
        ...


def warm_up(
    make: Callable[[Instrument], SignalStream],
    instrument: Instrument,
    earlier: Sequence[Path],
    *,
    bars: EarlierBars | None = None,
    strategy: object = None,
) -> SignalStream:
    """Return an instrument's signals as the sessions before have left them.

    Parameters
    ----------
    earlier : recordings, oldest first. bars : what comes before them.
    strategy : hears what scouts saw in those sessions, if it is one that listens.
    """
    stream = make(instrument)
    for session in () if bars is None else bars.sessions():
        blocks = list(bars.blocks_of(instrument.symbol, session)) if bars is not None else []
        if not blocks:
            continue
        stream.start_session(session)
        for block in blocks:
            stream.advance(block.trades, block.until_ns)
    listener = strategy if isinstance(strategy, EvidenceListener) else None
    for path in earlier:
        _again(path, instrument.symbol, stream, listener)
    return stream


def _again(path: Path, symbol: str, stream: SignalStream, listener: EvidenceListener | None) -> None:
    opened: Session | None = None
    for item in read_inputs(read_recording(path)):
        if isinstance(item, SessionOpened):
            opened = item.session
            stream.start_session(opened)
        elif isinstance(item, Slice) and item.symbol == symbol:
            stream.advance(item.trades, item.until_ns)
        elif isinstance(item, EvidenceReceived) and listener is not None:
            listener.on_evidence(item.ts, item.snapshots, item.readings)
    if opened is not None:
        stream.advance(Trades.empty(), opened.close_ns)
