"""One session in memory: our whole engine against the peers, in alternation on one core, equality first."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import peer, table
from benchmarks.environment import PeerUnavailableError, ensure
from benchmarks.rule import RULE, OpenDoor, check_instrument, differences, run_rule
from benchmarks.tape import DAY_BEFORE, TRADE_DATE, MemoryFeed, es, make_tape, save, session_of
from sovereign.core.columns import Trades
from sovereign.core.decision import Proposal, RefusedColumns
from sovereign.core.instrument import Instrument
from sovereign.core.order import Bracket
from sovereign.core.port import Block, Moment
from sovereign.core.session import Session
from sovereign.engine.engine import Engine
from sovereign.engine.recipe import Run
from sovereign.execution.account import Account
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.execution.fill_model import OPTIMISTIC, REALISTIC, PerUnitFees
from sovereign.kernels.footprint import STRIDE, accumulate
from sovereign.kernels.matching import first_outside
from sovereign.kernels.row import CANDIDATE, ROW
from sovereign.risk.configuration import RiskConfig
from sovereign.risk.door import OneDoor
from sovereign.signals.order_flow import OrderFlowStream
from sovereign.strategies import load_strategy

OURS = "footprint, ten patterns, regime, router, risk door, brackets"


class NoSignals:
    """A stream without rows, for the strategy that does nothing."""

    rows: NDArray[Any] = np.empty(0, ROW)
    candidates: NDArray[Any] = np.empty(0, CANDIDATE)

    def __init__(self, instrument: Instrument) -> None:
        pass

    def start_session(self, session: Session) -> None:
        pass

    def advance(self, trades: Trades, until_ns: int) -> None:
        pass


class Empty:
    """A strategy that does nothing."""

    name = "empty"
    gate_names: Sequence[str] = ("PASSED",)
    is_stateless = True

    def signal_stream(self, instrument: Instrument) -> NoSignals:
        return NoSignals(instrument)

    def start_session(self, session: Session, instrument: Instrument) -> None:
        pass

    def decide(self, moment: Moment) -> Sequence[Proposal]:
        return ()

    def refused(self, rows: NDArray[Any], candidates: NDArray[Any]) -> RefusedColumns | None:
        return None

    def usual_bracket(self, instrument: Instrument) -> Bracket | None:
        return None


@cache
def _warm_up(ticks: int) -> Trades:
    return make_tape(ticks, DAY_BEFORE)


def order_flow(trades: Trades, timed: Callable[[Callable[[], Any]], float]) -> float:
    """Time the order-flow system on a session in memory: everything from the first tick to the session's end.

    The session before it is traded first and not timed: with cold indicators the risk door would refuse most candidates.
    """
    strategy = load_strategy("order_flow")
    engine = Engine(
        strategy=strategy,
        door=OneDoor(RiskConfig()),
        broker=SimulatedBroker(REALISTIC, 50_000_000),
        account=Account(Decimal(10_000)),
        fees=PerUnitFees(),
        is_simulated_data=True,
    )
    feed = MemoryFeed((DAY_BEFORE, _warm_up(len(trades))), (TRADE_DATE, trades))
    sessions = Run(feed, strategy.signal_stream, [engine]).sessions()
    next(sessions)
    return timed(lambda: list(sessions))


def empty(trades: Trades, timed: Callable[[Callable[[], Any]], float]) -> float:
    engine = Engine(
        strategy=Empty(),
        door=OpenDoor(),
        broker=SimulatedBroker(OPTIMISTIC),
        account=Account(Decimal(10_000)),
        fees=PerUnitFees(),
        is_simulated_data=True,
    )
    run = Run(MemoryFeed((TRADE_DATE, trades)), NoSignals, [engine])
    return timed(lambda: list(run.sessions()))


def ns_per_tick(trades: Trades) -> Callable[[Callable[[], Any]], float]:
    def timed(work: Callable[[], Any]) -> float:
        gc.collect()
        began = time.perf_counter_ns()
        work()
        return (time.perf_counter_ns() - began) / len(trades)

    return timed


PROGRAMS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "nautilus": ("nautilus", "nautilus_footprint.py", ()),
    "nautilus empty": ("nautilus", "nautilus_footprint.py", ("--empty",)),
    "hftbacktest": ("hftbacktest", "hftbacktest_footprint.py", ("--sleep-ms", "0")),
    "hftbacktest 1 s": ("hftbacktest", "hftbacktest_footprint.py", ("--sleep-ms", "1000")),
}
"""Name: (environment, program, options)."""

PAIRS: tuple[tuple[str, str, str, float | None, str], ...] = (
    ("whole engine, and a footprint with one rule", "order_flow", "nautilus", 300.0, f"ours: {OURS}"),
    ("delta rule with bracket", "rule", "nautilus", None, "the same bars, fills and profit on both sides"),
    ("empty strategy", "empty", "nautilus empty", None, "no signals, no orders"),
    ("whole engine, and a footprint woken at each trade", "order_flow", "hftbacktest", 5.0, f"ours: {OURS}"),
    ("whole engine, and a footprint woken once a second", "order_flow", "hftbacktest 1 s", None, f"ours: {OURS}"),
)
"""Title, our figure, the peer's, the least ratio wanted, what the peer does."""


class Peers:
    """The peers that can be run here, and why the others cannot."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pythons: dict[str, Path] = {}
        self.absent: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        for name in sorted({home for home, _, _ in PROGRAMS.values()}):
            try:
                self._pythons[name] = ensure(name)
            except PeerUnavailableError as cause:
                self.absent[name] = f"peer unavailable: {cause}"

    @property
    def names(self) -> list[str]:
        """Programs that can be run and agree with us."""
        return [name for name, (home, _, _) in PROGRAMS.items() if home not in self.absent]

    def measure(self, name: str, *further: str | Path) -> list[float]:
        """Run a program once; return its ns per tick."""
        home, program, options = PROGRAMS[name]
        found = peer.run(self._pythons[home], program, self._folder, self._folder / "rule.json", *options, *further)
        self.versions[home] = f"{home} {found['version']}"
        figures: list[float] = found["ns_per_tick"]
        return figures

    def check(self, reference: dict[str, Any]) -> None:
        """Set aside every peer whose bars, fills or profit differ from ours."""
        out = self._folder / "out.json"
        for name in self.names:
            if "empty" in name:
                continue
            self.measure(name, "--out", out)
            wrong = differences(reference, out)
            if wrong:
                self.absent[PROGRAMS[name][0]] = f"not compared, the results differ: {'; '.join(wrong[:3])}"
            fills = f", {len(reference['fills'])} fills and profit" if name == "nautilus" else ""
            print(f"{name}: {len(reference['bars'])} bars{fills} {'DIFFER' if wrong else 'equal'}", flush=True)


def against_peers(trades: Trades, folder: Path, repeat: int) -> list[table.Row]:
    """Measure our engine and each peer in turn, `repeat` times, after checking that they make the same of the tape."""
    check_instrument()
    save(trades, folder)
    (folder / "rule.json").write_text(json.dumps(RULE))
    timed = ns_per_tick(trades)
    peers = Peers(folder)
    peers.check(run_rule(trades))
    order_flow(trades, timed)  # compiles
    ours: dict[str, list[float]] = {"order_flow": [], "rule": [], "empty": []}
    theirs: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for turn in range(repeat):
        for name in peers.names:
            print(f"round {turn + 1} of {repeat}: {name} ...", flush=True)
            theirs[name] += peers.measure(name)
            ours["order_flow"].append(order_flow(trades, timed))
        ours["order_flow"].append(order_flow(trades, timed))
        ours["rule"].append(timed(lambda: run_rule(trades)))
        ours["empty"].append(empty(trades, timed))
    rows = []
    for title, mine, other, least, note in PAIRS:
        home = PROGRAMS[other][0]
        if home in peers.absent:
            rows.append(table.missing(title, peers.absent[home], home, table.median(ours[mine]), "ns/tick"))
        else:
            rows.append(table.speedup(title, ours[mine], theirs[other], peers.versions[home], least, note))
    return rows


def _best(work: Callable[[], Any], repeat: int) -> float:
    figures = []
    for _ in range(repeat):
        began = time.perf_counter_ns()
        work()
        figures.append(time.perf_counter_ns() - began)
    return table.median(figures)


def _stream() -> OrderFlowStream:
    stream = OrderFlowStream(es())
    stream.start_session(session_of())
    return stream


def where_time_goes(trades: Trades, repeat: int) -> list[table.Row]:
    """Take our time a tick apart, and measure the one-tick-a-call path of a live run."""
    ticks = len(trades)
    base = int(trades.price.min())
    window = np.zeros(STRIDE * (int(trades.price.max()) - base + 1), np.int64)
    ends = [*range(0, ticks, max(ticks // 78, 1)), ticks]

    def footprint_only() -> None:
        for start, stop in pairwise(ends):
            accumulate(trades.price, trades.size, trades.side, start, stop, window, base, 0, 0, 0)

    def touch() -> None:
        for column in (trades.ts, trades.price, trades.size, trades.side):
            column.sum()

    close_ns = session_of().regular_close_ns
    timed = ns_per_tick(trades)
    for work in (footprint_only, touch):
        work()
    reach = 2**30
    first_outside(trades.price, 0, ticks, -reach, reach)
    _stream().advance(trades, close_ns)
    empty(trades, timed)
    order_flow(trades, timed)
    touched = _best(touch, repeat) / ticks
    accumulated = _best(footprint_only, repeat) / ticks
    streams = [_stream() for _ in range(repeat)]
    streamed = _best(lambda: streams.pop().advance(trades, close_ns), repeat) / ticks
    scanned = _best(lambda: first_outside(trades.price, 0, ticks, -reach, reach), repeat) / ticks
    whole = table.median([order_flow(trades, timed) for _ in range(repeat)])
    return [
        table.alone("touch the four columns once", touched, "ns/tick"),
        table.alone("accumulate the footprint and delta", accumulated, "ns/tick"),
        table.alone("... with bars, profile, patterns, regime and router", streamed, "ns/tick"),
        table.alone("scan for a bracket's prices", scanned, "ns/tick"),
        table.alone("... and the whole engine on them", whole, "ns/tick"),
        table.alone("... of that decisions, risk door and orders", whole - streamed, "ns/tick"),
        *one_tick_a_call(trades, min(ticks, 50_000), repeat),
    ]


def one_tick_a_call(trades: Trades, calls: int, repeat: int) -> list[table.Row]:
    """Feed single ticks, as a live run does: through the kernels, and through the whole engine."""
    single = [trades.slice(i, i + 1) for i in range(calls)]
    moments = [int(ts) for ts in trades.ts[:calls]]
    figures = []
    for _ in range(repeat):
        stream = _stream()
        began = time.perf_counter_ns()
        for tick, moment in zip(single, moments, strict=True):
            stream.advance(tick, moment)
        figures.append((time.perf_counter_ns() - began) / calls / 1000)

    class Live(MemoryFeed):
        def blocks(self, session: Session) -> Iterator[Block]:
            for tick, moment in zip(single, moments, strict=True):
                yield Block("ES", tick, moment)

    strategy = load_strategy("order_flow")
    whole = []
    for _ in range(max(repeat // 2, 1)):
        engine = Engine(
            strategy=strategy,
            door=OneDoor(RiskConfig()),
            broker=SimulatedBroker(REALISTIC, 50_000_000),
            account=Account(Decimal(10_000)),
            fees=PerUnitFees(),
            is_simulated_data=True,
        )
        run = Run(Live((TRADE_DATE, trades)), strategy.signal_stream, [engine])
        began = time.perf_counter_ns()
        list(run.sessions())
        whole.append((time.perf_counter_ns() - began) / calls / 1000)
    return [
        table.alone("one tick a call, through the kernels", table.median(figures), "us/tick", 5.0),
        table.alone("one tick a call, through the whole engine", table.median(whole), "us/tick"),
    ]
