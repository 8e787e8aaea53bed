"""How a feed, signals and engines are put together: the few lines in which the modes differ.

A backtest hands in whole sessions and any number of lanes, a replay paces the same blocks, a live run hands in single ticks;
the loop below is the same for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sovereign.core.instrument import Instrument
from sovereign.core.port import Block, Feed, SignalStream
from sovereign.core.session import Session
from sovereign.engine.engine import Engine
from sovereign.engine.walk import SessionWalk, StreamFactory


class Run:
    """One feed, its signal streams, and the engines (lanes) that trade on them.

    Parameters
    ----------
    new_stream : creates the signals of an instrument when it first appears; streams live as long as the run.
    engines : every lane sees the same rows and ticks; they share nothing else.
    """

    def __init__(self, feed: Feed, new_stream: StreamFactory, engines: Sequence[Engine]) -> None:
        self._feed = feed
        self._new_stream = new_stream
        self.engines = tuple(engines)
        self.streams: dict[str, SignalStream] = {}
        self.instruments: dict[str, Instrument] = {}

    def sessions(self) -> Iterator[Session]:
        """Run session after session; yields each when it is over."""
        for session in self._feed.sessions():
            for _ in self.blocks(session):
                pass
            yield session

    def blocks(self, session: Session) -> Iterator[Block]:
        """Run one session block by block; yields what has been worked through, of several tapes a block of each at a time."""
        instruments = tuple(self._feed.instruments(session))
        for engine in self.engines:
            engine.start_session(session, instruments)
        symbols = [instrument.symbol for instrument in instruments]
        for instrument in instruments:
            if instrument.symbol not in self.streams:
                self.streams[instrument.symbol] = self._new_stream(instrument)
                self.instruments[instrument.symbol] = instrument
            self.streams[instrument.symbol].start_session(session)
        walk = SessionWalk(session, {symbol: self.streams[symbol] for symbol in symbols}, self.engines)
        for block in self._feed.blocks(session):
            yield from walk.add(block)
        yield from walk.close()
        for engine in self.engines:
            engine.end_session()
