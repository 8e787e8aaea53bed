"""From slice in to order out: `python -m benchmarks.live_latency [--slices N]`.

A venue in a process of its own sends slices of its tape over a WebSocket; for each a live session decides on one order.
Measured is the time at the venue from the sending of a slice to the arrival of its order, through everything that a paper
session has: client, I/O thread, inbox, recording, signals, strategy, risk door, write-ahead journal with its audit chain on
the disk, outbox, client. The venue's own making of slices and reading of orders counts as ours.

Beside it, in the same run and process, the venue sends a frame as long as a slice to a bare client of the same library, which
sends one as long as an order back. The ratio of the two is the figure; the part that the disk takes is given apart.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from sovereign.core.columns import Trades  # noqa: E402
from sovereign.core.decision import Proposal, RefusedColumns  # noqa: E402
from sovereign.core.instrument import Instrument, find_instrument  # noqa: E402
from sovereign.core.order import Bracket, OrderIntent, OrderType, Side, TimeInForce  # noqa: E402
from sovereign.core.port import Moment  # noqa: E402
from sovereign.core.session import Session  # noqa: E402
from sovereign.signals.order_flow import OrderFlowStream  # noqa: E402

if TYPE_CHECKING:
    from benchmarks.table import Row
    from sovereign.execution.venue.configuration import TapeSpec
    from sovereign.execution.venue.tape import Tape

MS = 1_000_000
SLICE_MS = 250
EVERY_MS = 20  # of the clock on the wall: slices come as a market brings them, not as fast as they can be worked through
SLICE_BYTES, ORDER_BYTES = 1_500, 600
WARM_UP = 50
BALANCE = Decimal(1_000_000)
TOKENS = {"trade": "trade-token", "guard": "guard-token"}
ROW = np.dtype(
    [("known_at", np.int64), ("seq", np.int64), ("wake", np.bool_), ("first_candidate", np.int32), ("candidates", np.int32)]
)


# The venue's side, a process of its own.


def tape_spec(slices: int) -> TapeSpec:
    from datetime import date

    from sovereign.execution.venue.configuration import TapeSpec

    return TapeSpec(
        start=date(2025, 11, 17),
        seed=1,
        offset_s=3_600,
        seconds=slices * SLICE_MS / 1_000,
        synthetic={"ticks_per_session": 750_000},
    )


def open_tape(spec: TapeSpec) -> Tape:
    from sovereign.execution.venue.tape import Tape, WindowedCalendar
    from sovereign.feeds.calendar import calendar_for
    from sovereign.feeds.synthetic import SyntheticConfig, SyntheticFeed, SyntheticMarket

    instrument = find_instrument(spec.symbol)
    calendar = WindowedCalendar(calendar_for(instrument.calendar), spec.hours, spec.offset_s, spec.seconds)
    market = SyntheticMarket(SyntheticConfig.model_validate(spec.synthetic), spec.seed)
    return Tape(SyntheticFeed(market, instrument, calendar, spec.start, spec.sessions, spec.hours))


def serve(pipe: Any, slices: int, echoes: int) -> None:
    """Serve the venue and the echo, tell their ports, and tell the times when asked."""
    asyncio.run(_serve(pipe, slices, echoes))


async def _serve(pipe: Any, slices: int, echoes: int) -> None:  # noqa: C901 - two servers, and what they note
    from websockets.asyncio.server import serve as listen

    from sovereign.execution.matching import warm_up
    from sovereign.execution.venue.configuration import Pace
    from sovereign.execution.venue.exchange import Exchange
    from sovereign.execution.venue.market import MarketSpec
    from sovereign.execution.venue.server import VenueServer

    warm_up()
    orders: list[int] = []
    echoed: list[int] = []

    class Stamping(VenueServer):
        """Notes when a slice is sent, and when the order that it led to arrives."""

        sent_ns = went_ns = 0

        def _may_go_on(self, market: Any) -> bool:
            now = time.perf_counter_ns()
            if now - self.went_ns < EVERY_MS * MS or not super()._may_go_on(market):
                return False
            self.went_ns = now
            return True

        async def remind(self) -> None:
            """Let the market look again whether it may go on."""
            while True:
                await asyncio.sleep(EVERY_MS / 4_000)
                for stirred in self._stirred.values():
                    stirred.set()

        def _send_news(self, line: Any) -> bool:
            at = time.perf_counter_ns()
            has_more = super()._send_news(line)
            if has_more and not self.sent_ns:  # one that waits for its order is not forgotten for the next
                self.sent_ns = at
            return has_more

        def _take(self, line: Any, frame: str | bytes) -> None:
            if self.sent_ns and '"type":"new"' in str(frame[:200]):
                orders.append(time.perf_counter_ns() - self.sent_ns)
                self.sent_ns = 0
            super()._take(line, frame)

    async def echo(connection: Any) -> None:
        frame = b"s" * SLICE_BYTES
        for _ in range(echoes):
            at = time.perf_counter_ns()
            await connection.send(frame)
            await connection.recv()
            echoed.append(time.perf_counter_ns() - at)
            await asyncio.sleep(EVERY_MS / 1_000)

    exchange = Exchange(open_tape, "admin-token", None)
    spec = MarketSpec(name="main", tape=tape_spec(slices), pace=Pace.LOCKSTEP, slice_ns=SLICE_MS * MS, latency_ns=SLICE_MS * MS)
    exchange.open_market(spec)
    exchange.open_account("main", "paper", BALANCE, TOKENS)
    server = Stamping(exchange, lambda _: spec, heartbeat_s=1.0)
    port = await server.start(0)
    bare = await listen(echo, "127.0.0.1", 0, compression=None, ping_interval=None)
    reminder = asyncio.create_task(server.remind())
    pipe.send((port, int(next(iter(bare.sockets)).getsockname()[1])))
    while not await asyncio.to_thread(pipe.poll, 0.5):
        if server.failed.done():
            break
    reminder.cancel()
    bare.close()
    await server.close()
    pipe.send((orders, echoed))


# The session's side.


class EverySlice:
    """Signals that wake the strategy at the end of every slice that has ticks; those of the order flow are computed beside."""

    def __init__(self, instrument: Instrument) -> None:
        self._inner = OrderFlowStream(instrument)
        self._rows = np.zeros(1_024, ROW)
        self._count = 0
        self._seq = 0

    @property
    def rows(self) -> NDArray[Any]:
        return self._rows[: self._count]

    @property
    def candidates(self) -> NDArray[Any]:
        return self._inner.candidates[:0]

    def start_session(self, session: Session) -> None:
        self._inner.start_session(session)
        self._count = self._seq = 0

    def advance(self, trades: Trades, until_ns: int) -> None:
        self._inner.advance(trades, until_ns)
        self._seq += len(trades)
        if not len(trades):
            return
        if self._count == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        row = self._rows[self._count]
        row["known_at"], row["seq"], row["wake"] = int(trades.ts[-1]), self._seq, True
        self._count += 1


class OneOrderASlice:
    """Wants a limit order far away, with a bracket, that is gone at once if it does not fill."""

    name = "one_order_a_slice"
    is_stateless = True
    gate_names: Sequence[str] = ("PASSED",)

    def signal_stream(self, instrument: Instrument) -> EverySlice:
        return EverySlice(instrument)

    def start_session(self, session: Session, instrument: Instrument) -> None:
        pass

    def decide(self, moment: Moment) -> Sequence[Proposal]:
        intent = OrderIntent(
            symbol=moment.symbol,
            side=Side.BUY,
            quantity=1,
            order_type=OrderType.LIMIT,
            limit_ticks=moment.last_ticks - 100,
            time_in_force=TimeInForce.IOC,
            bracket=Bracket(stop_ticks=16, target_ticks=24),
        )
        return [
            Proposal(
                name="EVERY",
                symbol=moment.symbol,
                side=Side.BUY,
                strength=1.0,
                confidence=1.0,
                inputs={},
                checks=(),
                intent=intent,
            )
        ]

    def refused(self, rows: NDArray[Any], candidates: NDArray[Any]) -> RefusedColumns | None:
        return None

    def usual_bracket(self, instrument: Instrument) -> Bracket | None:
        return None


@dataclass
class Timed:
    """A journal that notes how long each request takes to be on the disk."""

    inner: Any
    took: list[int] = field(default_factory=list)

    def record(self, order: Any, request: str, ts: int) -> None:
        at = time.perf_counter_ns()
        self.inner.record(order, request, ts)
        self.took.append(time.perf_counter_ns() - at)

    def record_all(self, requests: Any) -> None:
        at = time.perf_counter_ns()
        self.inner.record_all(requests)
        self.took.append(time.perf_counter_ns() - at)


def trade(url: str, folder: Path) -> list[int]:
    """Trade the session; return how long each journal entry took, ns."""
    from sovereign.app.readers import StoreWriter
    from sovereign.engine.assembly import new_lines, prepare
    from sovereign.engine.engine import Engine
    from sovereign.engine.inputs import Opening
    from sovereign.engine.live_configuration import LiveConfig
    from sovereign.execution.account import Account
    from sovereign.execution.brokers.venue import VenueClient
    from sovereign.execution.fill_model import PerUnitFees
    from sovereign.execution.matching import warm_up
    from sovereign.execution.venue.configuration import VenueClientConfig
    from sovereign.research.runner import refused_columns
    from sovereign.risk.configuration import RiskConfig
    from sovereign.risk.door import OneDoor
    from sovereign.store.configuration import StoreConfig
    from sovereign.store.live import LiveSession as Kept
    from sovereign.store.runs import RunRecord
    from sovereign.store.store import Store

    warm_up()
    config, strategy = LiveConfig(backlog_ms=3_600_000), OneOrderASlice()
    risk = RiskConfig.model_validate(
        {
            "excluded_windows": (),
            "can_inputs_be_unknown": True,
            "tiers": {"enabled": False},
            "daily_loss_limit": -900_000,
            "last_entry_before_close_minutes": 0,
            "flatten_before_close_minutes": 0,
            "first_entry_after_open_minutes": 0,
            "max_working_entries": 100,
            "max_positions": 100,
            "max_orders_per_minute": 1_000_000,
            "breakers": {"max_proposals_per_minute": None, "max_rejects_in_a_row": None},
        }
    )
    client = VenueClient(url, TOKENS["trade"], VenueClientConfig())
    lines = new_lines(config, client, client)
    lines.start()
    try:
        found = lines.session()
        if found is None:
            raise RuntimeError("the venue had no session")
        session, instruments = found
        with Store(StoreConfig(url=f"sqlite:///{folder / 'store.db'}")) as store:
            kept = Kept(
                id="latency",
                account="paper",
                strategy=strategy.name,
                mode="paper",
                trade_date=session.trade_date,
                recording_path=str(folder / "a.rec"),
                started_ns=time.time_ns(),
                code_hash="",
                config_hash="",
            )
            store.live.begin_session(kept)
            record = RunRecord(
                id="latency",
                kind="paper",
                strategy=strategy.name,
                symbols=("ES",),
                start=session.trade_date,
                end=session.trade_date,
                zone=session.zone,
                config={},
                config_hash="",
                code_hash="",
                data_hash="",
                seed=None,
                fill_model="realistic",
                is_simulated=True,
                starting_balance=BALANCE,
                started_ns=time.time_ns(),
                instruments=tuple(instruments),
                stop_ticks=None,
                target_ticks=None,
                account="paper",
            )
            run = store.sink(store.begin_run(record), partial(refused_columns, strategy))
            audit = store.live.audit("latency")
            writer = StoreWriter(store, "latency", "paper", run, time.time_ns, str)
            with store.live.journal("latency", audit) as journal:
                timed = Timed(journal)
                prepared = prepare(
                    config,
                    lines,
                    path=folder / "a.rec",
                    header={},
                    new_engine=lambda broker, gate: Engine(
                        strategy=strategy,
                        door=OneDoor(risk),
                        broker=broker,
                        account=Account(BALANCE),
                        fees=PerUnitFees(),
                        journal=gate,
                        sinks=(audit, writer),
                        is_simulated_data=True,
                    ),
                    new_stream=strategy.signal_stream,
                    journal=timed,
                    now_ns=session.open_ns,
                    monotonic=time.monotonic,
                )
                ending = prepared.run(session, tuple(instruments), Opening(balance=BALANCE, high_water_mark=BALANCE))
                audit.flush()
            writer.close()
            run.close()
    finally:
        lines.stop(10)
    if ending.exit_code or not ending.is_closed:
        raise RuntimeError(ending.reason)
    return timed.took


async def answer_echoes(port: int) -> None:
    """Be the bare client: for every frame one back."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import ConnectionClosed

    payload = "o" * ORDER_BYTES
    async with connect(f"ws://127.0.0.1:{port}", compression=None, proxy=None, ping_interval=None) as connection:
        try:
            while True:
                await connection.recv()
                await connection.send(payload)
        except ConnectionClosed:
            return


def sync_us(folder: Path, count: int = 200) -> list[float]:
    """Return how long one small write takes to reach the disk there, us: the least that any durable journal can take."""
    import os

    took = []
    with (folder / "sync").open("wb") as file:
        for _ in range(count):
            at = time.perf_counter_ns()
            file.write(b"x" * 4_096)
            file.flush()
            os.fsync(file.fileno())
            took.append((time.perf_counter_ns() - at) / 1_000)
    return took


def quantiles(values: Sequence[float]) -> tuple[float, float]:
    """Return p50 and p99."""
    p50, p99 = np.percentile(np.asarray(values, np.float64), [50, 99])
    return float(p50), float(p99)


def measure(slices: int, folder: Path) -> dict[str, Any]:
    """Measure both sides in one run; times in us."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, slices, slices // 2), daemon=True)
    process.start()
    try:
        if not mine.poll(120):
            raise RuntimeError("the venue did not start")
        port, echo_port = mine.recv()
        done: list[list[int]] = []
        # Half of the echo before and half after, so that a machine that changes its pace changes both.
        asyncio.run(answer_echoes(echo_port))
        thread = threading.Thread(target=lambda: done.append(trade(f"ws://127.0.0.1:{port}", folder)), name="decision")
        thread.start()
        thread.join()
        if not done:
            raise RuntimeError("the session did not end well")
        asyncio.run(answer_echoes(echo_port))
        mine.send("enough")
        if not mine.poll(60):
            raise RuntimeError("the venue did not tell the times")
        orders, echoed = mine.recv()
    finally:
        process.join(10)
        if process.is_alive():
            process.kill()
    ours = quantiles([value / 1_000 for value in orders[WARM_UP:]])
    echo = quantiles([value / 1_000 for value in echoed[WARM_UP:]])
    journal = quantiles([value / 1_000 for value in done[0][WARM_UP:]])
    disk = quantiles(sync_us(folder))
    return {
        "name": "slice in, order out",
        "orders": len(orders),
        "p50_us": round(ours[0], 1),
        "p99_us": round(ours[1], 1),
        "echo_p50_us": round(echo[0], 1),
        "echo_p99_us": round(echo[1], 1),
        "ratio_p50": round(ours[0] / echo[0], 2),
        "ratio_p99": round(ours[1] / echo[1], 2),
        "journal_p50_us": round(journal[0], 1),
        "journal_p99_us": round(journal[1], 1),
        "fsync_p50_us": round(disk[0], 1),
        "fsync_p99_us": round(disk[1], 1),
    }


def rows(slices: int) -> list[Row]:
    """Return the rows of the table."""
    from benchmarks.table import Row

    with tempfile.TemporaryDirectory(prefix="sovereign-latency-") as scratch:
        found = measure(slices, Path(scratch))
    note = (
        f"{found['orders']} orders; of it the journal {found['journal_p50_us']:.0f} us (p50), a bare fsync here "
        f"{found['fsync_p50_us']:.0f} us"
    )
    return [
        Row(
            name=f"slice in, order out: {name}",
            ours=found[f"{name}_us"],
            peer=found[f"echo_{name}_us"],
            ratio=found[f"ratio_{name}"],
            unit="us",
            version="bare WebSocket echo",
            wanted="ours/peer",
            note=note if name == "p50" else "",
        )
        for name in ("p50", "p99")
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live_latency", description=__doc__)
    parser.add_argument("--slices", type=int, default=2_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sovereign-latency-") as scratch:
        print(json.dumps(measure(args.slices, Path(scratch))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
