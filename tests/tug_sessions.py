"""Live sessions of the tug of war without sockets: inputs as they come, applied to the engine that every mode has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from example_scouts import READING, SNAPSHOT
from sovereign.app.configuration import load_settings
from sovereign.app.plan import recipe_of
from sovereign.core.columns import Bars
from sovereign.core.instrument import find_instrument
from sovereign.core.session import NS_PER_MINUTE
from sovereign.engine.conductor import Conductor
from sovereign.engine.inputs import EvidenceReceived, Input, Opening, SessionClosed, SessionOpened, Slice, to_frame
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.research.backtest import Recipe, main_lane, new_engine
from sovereign.research.live import live_engine, warmed_stream
from sovereign.signals.bars import BarBuilder
from sovereign.store.catalog import Catalog, Provenance
from sovereign.store.recording import Recording
from sovereign.strategies import load_strategy
from sovereign.strategies.tug_of_war import TugOfWarConfig
from tug_cases import Day

BALANCE = Decimal(100_000)


def recipe(config: TugOfWarConfig, *overrides: str) -> Recipe:
    """What a lane is made of."""
    plain = recipe_of(load_settings(environment={}, strategy="tug_of_war", overrides=overrides).settings, "tug_of_war")
    return replace(plain, strategy_config=config, risk=plain.risk.no_fresher_than(2_000))


def inputs_of(day: Day, pieces: int = 26, *, silent_after: dict[str, float] | None = None, scouts: bool = False) -> list[Input]:
    """A day's inputs: its opening, each tape piece by piece, now and then what scouts have seen, and its close.

    `silent_after` : minutes from the open after which a symbol's tape brings no tick any more.
    """
    session, tapes = day
    opens = session.regular_open_ns
    instruments = tuple(find_instrument(symbol) for symbol in tapes)
    opening = Opening(balance=BALANCE, high_water_mark=BALANCE)
    found: list[Input] = [SessionOpened(ts=session.open_ns, session=session, instruments=instruments, opening=opening)]
    edges = [session.open_ns, *np.linspace(opens, session.regular_close_ns, pieces + 1)[1:].astype(int).tolist()]
    for start, stop in pairwise(edges):
        if scouts:
            readings = tuple(replace(READING, symbol=s, ts=start, is_accepted=True) for s in tapes)
            snapshots = tuple(replace(SNAPSHOT, symbol=s, ts=stop - NS_PER_MINUTE, is_absorption=False) for s in tapes)
            found.append(EvidenceReceived(ts=start + 1, readings=readings))
            found.append(EvidenceReceived(ts=stop - NS_PER_MINUTE // 2, snapshots=snapshots))
        for symbol, trades in tapes.items():
            first, last = np.searchsorted(trades.ts, [start, stop]).tolist()
            end = (silent_after or {}).get(symbol)
            if end is not None:
                last = min(last, int(np.searchsorted(trades.ts, opens + round(end * NS_PER_MINUTE))))
            found.append(Slice(ts=stop, symbol=symbol, trades=trades.slice(min(first, last), last), until_ns=stop))
    return [*found, SessionClosed(ts=session.close_ns)]


def record(folder: Path, days: Iterable[Day], *, scouts: bool = False) -> list[Path]:
    """Record whole days, one file each, oldest first."""
    paths = []
    for day in days:
        path = folder / f"{day[0].trade_date}.rec"
        with Recording(path, {"trade_date": day[0].trade_date.isoformat()}, 0) as recording:
            for item in inputs_of(day, 1, scouts=scouts):
                recording.append(to_frame(item))
        paths.append(path)
    return paths


def keep_bars(folder: Path, days: Iterable[Day], seconds: int) -> None:
    """Keep days as bars of this width in a catalog."""
    with Catalog(folder).transaction() as work:
        for session, tapes in days:
            for symbol, trades in tapes.items():
                builder = BarBuilder(seconds)
                builder.start_session(session)
                bars = builder.advance(trades, session.close_ns)
                columns = [bars[name] for name in ("known_at", "open", "high", "low", "close", "volume")]
                instrument, kind = find_instrument(symbol), f"bars-{seconds}"
                work.write(kind, instrument, session.trade_date, Bars(*columns), "m", symbol, Provenance())


class Live:
    """A session as a process has it: signals warmed up from bars and recordings, then one input after the other.

    `broker` : one that has been at work before; None: a new one.
    """

    def __init__(
        self,
        made: Recipe,
        earlier: Sequence[Path],
        *sinks: Callable[[Any], object],
        follow: Callable[[str, Any], Any] = lambda _, stream: stream,
        book: Any = None,
        bars: Any = None,
        broker: SimulatedBroker | None = None,
    ) -> None:
        self.strategy: Any = load_strategy(made.strategy, made.strategy_config)
        if book is not None:
            self.strategy.use_book(book)
        self.events: list[Any] = []
        lane = main_lane(made.execution)
        every = (self.events.append, *sinks)
        if broker is None:
            engine = new_engine(made, lane, every, is_simulated_data=True, strategy=self.strategy)
        else:
            engine = live_engine(made, self.strategy, broker, sinks=every, is_simulated_data=True)
        new_stream = partial(self._stream, tuple(earlier), bars, follow)
        self.conductor = Conductor(engine, new_stream, SimulatedBroker(lane.model, made.execution.latency_ns))

    def _stream(self, earlier: tuple[Path, ...], bars: Any, follow: Callable[[str, Any], Any], instrument: Any) -> Any:
        return follow(instrument.symbol, warmed_stream(self.strategy, earlier, instrument, bars=bars))

    def run(self, inputs: Iterable[Input]) -> Iterator[Input]:
        """Apply inputs; yields each when it was applied."""
        for item in inputs:
            self.conductor.apply(item)
            yield item

    def play(self, inputs: Iterable[Input]) -> list[Any]:
        """Apply inputs and return all events."""
        for _ in self.run(inputs):
            pass
        return self.events
