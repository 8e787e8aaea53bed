"""Memory of the live loop: `python -m benchmarks.live_memory [--ticks N]`.

One session of 20 million ticks comes in slices of a few dozen, as a feed would bring them, through everything that a paper
session has: inbox, recording, signals, the order-flow strategy, the risk door, the broker of this process, the write-ahead
journal and the chained audit stream in SQLite. The resident memory is read every million ticks; the slope is that of a straight
line through the readings after the first fifth, in which compiled code is loaded and arrays find their size. A heap that keeps
something of each tick, slice or order shows as a slope of bytes a tick.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

import numpy as np  # noqa: E402

from benchmarks.tape import es, make_tape, session_of  # noqa: E402
from sovereign.core.columns import Trades  # noqa: E402
from sovereign.core.instrument import Instrument  # noqa: E402
from sovereign.core.port import Block  # noqa: E402
from sovereign.core.session import Session  # noqa: E402

if TYPE_CHECKING:
    from benchmarks.table import Row

EVERY = 1_000_000
BALANCE = Decimal(100_000)


class TapeClock:
    """The time up to which the tape was delivered."""

    def __init__(self) -> None:
        self.ts = 0

    def now_ns(self) -> int:
        return self.ts


class LongFeed:
    """A session of any number of ticks made of one tape, told over and over, each time in its own part of the session."""

    is_simulated = True

    def __init__(self, session: Session, base: Trades, rounds: int, slice_ticks: int) -> None:
        self.clock = TapeClock()
        self.on_block: Callable[[Block], None] = print
        self.on_connection: Callable[[bool, str], None] = print
        self._session, self._base, self._rounds, self._slice_ticks = session, base, rounds, slice_ticks
        self._ready = asyncio.Event()

    async def start(self) -> None:
        self.on_connection(True, "started")
        await self._ready.wait()
        session, base, size = self._session, self._base, self._slice_ticks
        length = (session.regular_close_ns - session.regular_open_ns) // self._rounds
        first, span = int(base.ts[0]), int(base.ts[-1]) - int(base.ts[0]) + 1
        for number in range(self._rounds):
            begin = session.regular_open_ns + number * length
            ts = begin + ((base.ts - first).astype(np.float64) * (length / span)).astype(np.int64)
            for start in range(0, len(base), size):
                stop = min(start + size, len(base))
                # Columns of their own, as a socket would bring them: nothing may keep the whole tape alive by a view of it.
                columns = (base.price, base.size, base.side)
                part = Trades(ts[start:stop].copy(), *(column[start:stop].copy() for column in columns))
                until = int(part.ts[-1])
                self.on_block(Block("ES", part, until))
                self.clock.ts = max(self.clock.ts, until)
                if start % (64 * size) == 0:
                    await asyncio.sleep(0)
        self.on_block(Block("ES", Trades.empty(), session.close_ns))
        self.clock.ts = session.close_ns

    async def close(self) -> None:
        self._ready.set()

    async def reconnect(self, reason: str) -> None:
        raise RuntimeError(f"the feed was thought mute: {reason}")

    async def session(self) -> Session:
        return self._session

    def instruments(self, _session: Session) -> Sequence[Instrument]:
        return (es(),)

    async def resume_from(self, _session: Session, _symbol: str, _until_ns: int, _ticks: int) -> None:
        self._ready.set()

    def worked_through(self, until_ns: int) -> None:
        """Nobody waits for it."""


def resident_mb() -> float:
    """Return the resident memory of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(  # noqa: PLR0915 - one session, put together by hand
    ticks: int, slice_ticks: int, folder: Path, tell: Callable[[str], None]
) -> dict[str, Any]:
    from sovereign.engine.assembly import new_lines, prepare
    from sovereign.engine.engine import Engine
    from sovereign.engine.inputs import Opening
    from sovereign.engine.live_configuration import LiveConfig
    from sovereign.execution.account import Account
    from sovereign.execution.brokers.simulated import SimulatedBroker
    from sovereign.execution.fill_model import REALISTIC, PerUnitFees
    from sovereign.risk.configuration import RiskConfig
    from sovereign.risk.door import OneDoor
    from sovereign.store.configuration import StoreConfig
    from sovereign.store.live import LiveSession as Kept
    from sovereign.store.store import Store
    from sovereign.strategies import load_strategy
    from sovereign.strategies.order_flow.configuration import OrderFlowConfig

    session = session_of()
    base = make_tape(min(ticks, 1_000_000))
    rounds = max(1, ticks // len(base))
    feed = LongFeed(session, base, rounds, slice_ticks)
    config = LiveConfig(inbox_ticks=400, backlog_ms=3_600_000)
    settings = OrderFlowConfig.model_validate(
        {"footprint": {"bar_s": 10}, "router": {"min_confidence": 0.0, "min_strength": 0.0}}
    )
    strategy = load_strategy("order_flow", settings)
    risk = RiskConfig.model_validate(
        {
            "excluded_windows": (),
            "can_inputs_be_unknown": True,
            "tiers": {"enabled": False},
            "daily_loss_limit": -90_000,
            "daily_profit_target": None,
            "max_daily_loss_frac": 0.99,
            "max_drawdown_frac": 0.99,
            "max_quantity": 1,
        }
    )
    with Store(StoreConfig(url=f"sqlite:///{folder / 'store.db'}")) as store:
        kept = Kept(
            id="memory",
            account="paper",
            strategy="order_flow",
            mode="paper",
            trade_date=session.trade_date,
            recording_path=str(folder / "a.rec"),
            started_ns=time.time_ns(),
            code_hash="",
            config_hash="",
        )
        store.live.begin_session(kept)
        audit = store.live.audit("memory")
        readings: list[tuple[int, float]] = []
        counts = {"orders": 0, "events": 0}
        lines = new_lines(config, feed, None)

        def count(event: Any) -> None:
            counts["events"] += 1
            counts["orders"] += type(event).__name__ == "OrderChanged" and event.cause.name == "SUBMIT"

        with store.live.journal("memory", audit) as journal:
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
                    sinks=(audit, count),
                    is_simulated_data=True,
                ),
                new_stream=strategy.signal_stream,
                simulated=SimulatedBroker(REALISTIC, 50_000_000),
                journal=journal,
                now_ns=session.open_ns,
                monotonic=time.monotonic,
            )
            apply, conductor = prepared.conductor.apply, prepared.conductor

            def watched(item: Any) -> None:
                apply(item)
                walked = conductor.ticks.get("ES", 0)
                if walked // EVERY > len(readings):
                    readings.append((walked, resident_mb()))
                    tell(f"{walked:>12,} ticks  {readings[-1][1]:8.1f} MB")

            conductor.apply = watched  # type: ignore[method-assign]
            lines.start()
            began = time.monotonic()
            try:
                ending = prepared.run(session, (es(),), Opening(balance=BALANCE, high_water_mark=BALANCE))
            finally:
                lines.stop(10)
            seconds = time.monotonic() - began
            audit.flush()
    if ending.exit_code:
        raise RuntimeError(ending.reason)
    settled = readings[len(readings) // 5 :]
    slope = float("nan")
    if len(settled) > 1:
        walked, memory = np.array(settled, float).T
        slope = float(np.polyfit(walked, memory * 1e6, 1)[0])
    return {
        "name": "memory of the live loop",
        "ticks": conductor.ticks["ES"],
        "inputs": conductor.applied,
        "slope_bytes_per_tick": round(slope, 4),
        "first_mb": round(settled[0][1], 1) if settled else None,
        "last_mb": round(settled[-1][1], 1) if settled else None,
        "most_ticks_waiting": lines.inbox.most_waited,
        "orders": counts["orders"],
        "events": counts["events"],
        "recording_mb": round((folder / "a.rec").stat().st_size / 1e6, 1),
        "ticks_per_second": round(conductor.ticks["ES"] / seconds),
    }


def rows(ticks: int) -> list[Row]:
    """Return the rows of the table: the slope, held to one byte a tick, and the memory that it leads to."""
    from benchmarks.table import alone

    with tempfile.TemporaryDirectory(prefix="sovereign-memory-") as scratch:
        found = measure(ticks, 40, Path(scratch), lambda text: print(text, file=sys.stderr, flush=True))
    note = f"{found['ticks']:,} ticks, {found['orders']:,} orders, {found['events']:,} events"
    return [
        alone("live loop: memory a tick", found["slope_bytes_per_tick"], "B/tick", 1.0, note),
        alone("live loop: memory at the end", found["last_mb"] or float("nan"), "MB"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live_memory", description=__doc__)
    parser.add_argument("--ticks", type=int, default=20_000_000)
    parser.add_argument("--slice", type=int, default=40, help="ticks of a slice")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sovereign-memory-") as scratch:
        row = measure(args.ticks, args.slice, Path(scratch), lambda text: print(text, file=sys.stderr, flush=True))
    print(json.dumps(row))
    return 0


if __name__ == "__main__":
    sys.exit(main())
