"""One session's market data on its way through the signal streams to the engines: what every mode has in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sovereign.core.columns import Trades
from sovereign.core.instrument import Instrument
from sovereign.core.port import Block, Signals, SignalStream, StreamTeam, make_signals
from sovereign.core.session import Session
from sovereign.engine.engine import Engine
from sovereign.engine.merge import TapeMerger

StreamFactory = Callable[[Instrument], SignalStream]


class SessionWalk:
    """Blocks go in as they come; what is certain goes through the streams and is walked by every engine.

    Parameters
    ----------
    streams : by symbol, begun for this session; they see exactly what the engines see.
    engines : begun for this session as well.
    """

    def __init__(self, session: Session, streams: Mapping[str, SignalStream], engines: Sequence[Engine]) -> None:
        self._session = session
        self._streams = streams
        self._engines = engines
        self._teams: dict[str, StreamTeam | None] = {symbol: getattr(s, "team", None) for symbol, s in streams.items()}
        self._told_ns = session.open_ns  # up to when the streams and engines were told last
        self.merger = TapeMerger(tuple(streams), session.open_ns)

    @property
    def until_ns(self) -> int:
        """Up to where everything has been walked."""
        return self.merger.until_ns

    def add(self, block: Block) -> list[Block]:
        """Take a block; walk what is certain now and return it."""
        return self._pass(self.merger.add(block))

    def promise(self, ts: int) -> list[Block]:
        """Take the promise that nothing earlier than `ts` will come on any tape; walk what is certain now and return it."""
        return self._pass(self.merger.promise(ts))

    def close(self) -> list[Block]:
        """Walk everything that is left, up to the session's close."""
        close = self._session.close_ns
        walked = [*self.promise(close), *self._pass(self.merger.rest())]
        if not walked and self._told_ns >= close and not any(engine.is_due(close) for engine in self._engines):
            return walked  # everybody has been told of the close already, and nothing was asked since
        nothing = Trades.empty()
        signals = self._advance([(symbol, nothing) for symbol in self._streams], close)
        for engine in self._engines:
            engine.process((), signals, close)
        return walked

    def _pass(self, blocks: list[Block]) -> list[Block]:
        if blocks:
            until = self._told_ns = blocks[0].until_ns
            signals = self._advance([(block.symbol, block.trades) for block in blocks], until)
            for engine in self._engines:
                engine.process(blocks, signals, until)
        return blocks

    def _advance(self, fed: Sequence[tuple[str, Trades]], until_ns: int) -> dict[str, Signals]:
        together: dict[StreamTeam, list[tuple[SignalStream, Trades]]] = {}
        for symbol, trades in fed:
            team, stream = self._teams[symbol], self._streams[symbol]
            if team is None:
                stream.advance(trades, until_ns)
            else:
                together.setdefault(team, []).append((stream, trades))
        for team, members in together.items():
            team.advance(members, until_ns)
        found = {}
        for symbol, _ in fed:
            stream = self._streams[symbol]
            found[symbol] = make_signals(stream.rows, stream.candidates, getattr(stream, "waking", None))
        return found
