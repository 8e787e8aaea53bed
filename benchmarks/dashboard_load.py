"""The dashboard under load: `python -m benchmarks.dashboard_load [--seconds N] [--clients N] [--symbols N] [--rate N]`.

A process like a session works through slices of every symbol so many times a second: first alone, then while the dashboard
follows its recording and clients follow the stream. Told are: missed or doubled message numbers, the time from a message's
publication, and from its newest tick, to a client, the ratio of the working loop's 99th percentiles with and without, and the
server's memory on the way, and how much of it a tick takes once nothing else is added.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

import numpy as np  # noqa: E402

NAME = "load-order_flow-1"
SETTLE_S = 8.0
FULL_AFTER = 2 / 3  # of five minutes: from then on the messages that are kept for pages that were cut off are as many as ever
TICKS = 8  # of a symbol at each update


def session_of(now_ns: int) -> Any:
    from sovereign.core.session import NS_PER_HOUR, Session

    day = datetime.now(UTC).date()
    begin, end = now_ns - NS_PER_HOUR, now_ns + 4 * NS_PER_HOUR
    return Session(
        calendar="CME_EQUITY",
        trade_date=day,
        open_ns=begin,
        close_ns=end,
        regular_open_ns=begin,
        regular_close_ns=end,
        zone="America/New_York",
    )


def symbols_of(count: int) -> list[str]:
    return [f"{root}{month}6" for month in "HMUZ" for root in ("ES", "NQ", "CL", "GC", "RTY")][:count]


def work(  # noqa: PLR0915 - one life from its beginning to its end
    folder: str, symbols: list[str], rate: float, alone_s: float, seconds: float, told: Any
) -> None:
    """Trade as a session does, without a venue: walk every symbol's slice and record it; tell how long each round took."""
    from decimal import Decimal

    from sovereign.app.configuration import load_settings
    from sovereign.app.ops.desk import session_process
    from sovereign.app.plan import kept_settings
    from sovereign.core.columns import Trades
    from sovereign.core.instrument import find_instrument
    from sovereign.engine.conductor import opened
    from sovereign.engine.inputs import Opening, Slice, to_frame
    from sovereign.signals.order_flow import OrderFlowStream
    from sovereign.store.live import LiveSession
    from sovereign.store.recording import Recording
    from sovereign.store.runs import RunRecord
    from sovereign.store.store import Store

    now = time.time_ns()
    session = session_of(now)
    instruments = [find_instrument(symbol) for symbol in symbols]
    path = Path(folder) / "load.rec"
    recording = Recording(path, {"warm_up": []}, now)
    recording.append(to_frame(opened(session, instruments, Opening(balance=Decimal(25_000), high_water_mark=Decimal(25_000)))))
    settings = load_settings(None, (f"store.url=sqlite:///{folder}/store.sqlite",)).settings
    store = Store(settings.store)
    values: dict[str, Any] = {
        "code_hash": "c",
        "config_hash": "c",
        "strategy": "order_flow",
        "started_ns": now,
        "account": "load",
    }
    store.live.begin_session(
        LiveSession(id=NAME, mode="paper", trade_date=session.trade_date, recording_path=str(path), run_id=NAME, **values)
    )
    store.begin_run(
        RunRecord(
            id=NAME,
            kind="paper",
            symbols=tuple(symbols),
            start=session.trade_date,
            end=session.trade_date,
            zone=session.zone,
            config=kept_settings(settings),
            data_hash="d",
            seed=None,
            fill_model="realistic",
            is_simulated=True,
            starting_balance=Decimal(25_000),
            instruments=tuple(instruments),
            **values,
        )
    )
    streams = {}
    for instrument in instruments:
        stream = streams[instrument.symbol] = OrderFlowStream(instrument)
        stream.start_session(session)
    random = np.random.default_rng(1)
    prices = dict.fromkeys(symbols, 20_000)
    rounds: list[float] = []
    begin = time.monotonic()
    due, beaten = begin, 0.0
    until = dict.fromkeys(symbols, now)
    while (elapsed := time.monotonic() - begin) < alone_s + seconds:
        start = time.perf_counter()
        for symbol in symbols:
            ts = max(time.time_ns(), until[symbol] + TICKS)
            stamps = np.arange(ts - TICKS + 1, ts + 1, dtype=np.int64)
            walk = (prices[symbol] + np.cumsum(random.integers(-1, 2, TICKS))).astype(np.int32)
            prices[symbol] = int(walk[-1])
            trades = Trades(stamps, walk, np.full(TICKS, 2, np.int32), random.choice(np.array([-1, 1], np.int8), TICKS))
            streams[symbol].advance(trades, ts)
            recording.append(to_frame(Slice(ts=ts, symbol=symbol, trades=trades, until_ns=ts)))
            until[symbol] = ts
        rounds.append(time.perf_counter() - start)
        if elapsed - beaten >= 1.0:
            beaten = elapsed
            state = {"state": "ACTIVE", "market_ns": time.time_ns(), "feed_age_s": 0.0, "memory_mb": 1.0, "positions": {}}
            store.live.beat(session_process(NAME), time.time_ns(), state)
        due += 1.0 / rate
        time.sleep(max(0.0, due - time.monotonic()))
        if rounds and not told.empty():
            break
    cut = int(alone_s * rate)
    (Path(folder) / "rounds.json").write_text(
        json.dumps({"alone": rounds[10:cut], "followed": rounds[cut + int(SETTLE_S * rate) :]})
    )
    recording.close()
    store.close()


async def follow(port: int, seconds: float, found: dict[str, Any]) -> None:
    from websockets.asyncio.client import connect

    seq, epoch = 0, ""
    end = time.monotonic() + seconds
    async with connect(f"ws://127.0.0.1:{port}/ws", max_size=None, max_queue=None, proxy=None, open_timeout=60) as socket:
        while (left := end - time.monotonic()) > 0:
            try:
                text = await asyncio.wait_for(socket.recv(), left)
            except TimeoutError:
                return
            now = time.time()
            message = json.loads(text)
            found["messages"] += 1
            if message["type"] == "init":
                found["pictures"] += 1
                seq, epoch = message["seq"], message["epoch"]
                continue
            if message["type"] != "delta":
                continue
            if message["epoch"] != epoch or message["seq"] != seq + 1:
                found["gaps"] += 1
            seq = message["seq"]
            if end - time.monotonic() < seconds - SETTLE_S:
                found["push_ms"].append((now - datetime.fromisoformat(message["timestamp"]).timestamp()) * 1e3)
                stamps = [
                    one["value"]["close_ms"] for one in message["data"] if one["topic"].startswith("open/") and one["value"]
                ]
                if stamps:
                    found["tick_ms"].append(now * 1e3 - max(stamps))


def memory_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(symbols: int, rate: float, clients: int, seconds: float) -> dict[str, Any]:
    """Run the load and return what was seen."""
    import httpx

    alone_s = min(60.0, max(10.0, seconds / 3))
    with tempfile.TemporaryDirectory(prefix="sovereign-load-") as folder:
        told: Any = multiprocessing.get_context("spawn").Queue()
        worker = multiprocessing.get_context("spawn").Process(
            target=work, args=(folder, symbols_of(symbols), rate, alone_s, seconds + 30, told)
        )
        worker.start()
        while not (Path(folder) / "load.rec").exists() or not (Path(folder) / "store.sqlite").exists():
            time.sleep(0.2)
        time.sleep(alone_s)
        words = ("dashboard", "--port", "0", "--json", "--set", f"store.url=sqlite:///{folder}/store.sqlite")
        words = (*words, "--set", "dashboard.poll_ms=100", "--set", f"dashboard.folder={folder}/d")
        server = subprocess.Popen(
            [sys.executable, "-m", "sovereign.app.cli.main", *words],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        )
        try:
            assert server.stdout is not None
            text = ""
            while not text.strip().endswith("}"):
                text += server.stdout.readline()
            address = json.loads(text)["address"]
            httpx.get(f"{address}/api/v1/overview", timeout=60)
            found: dict[str, Any] = {"messages": 0, "pictures": 0, "gaps": 0, "push_ms": [], "tick_ms": []}
            port = int(address.rpartition(":")[2])

            async def all_of() -> tuple[float, float, float]:
                following = [asyncio.create_task(follow(port, seconds, found)) for _ in range(clients)]
                settled = min(SETTLE_S, seconds / 4)
                await asyncio.sleep(settled)
                before = memory_mb(server.pid)
                await asyncio.sleep(seconds * FULL_AFTER - settled)
                middle = memory_mb(server.pid)
                await asyncio.gather(*following)
                return before, middle, memory_mb(server.pid)

            before, middle, after = asyncio.run(all_of())
        finally:
            server.terminate()
            server.wait(20)
            told.put("end")
            worker.join(60)
            worker.kill()
        rounds = json.loads((Path(folder) / "rounds.json").read_text())
    share = lambda values, part: float(np.percentile(values, part)) if values else float("nan")  # noqa: E731
    alone, followed = share(rounds["alone"], 99) * 1e3, share(rounds["followed"], 99) * 1e3
    return {
        "symbols": symbols,
        "updates_per_s": rate,
        "clients": clients,
        "seconds": seconds,
        "messages": found["messages"],
        "gaps": found["gaps"],
        "pictures": found["pictures"],
        "push_ms": {"p50": share(found["push_ms"], 50), "p99": share(found["push_ms"], 99)},
        "tick_to_page_ms": {"p50": share(found["tick_ms"], 50), "p99": share(found["tick_ms"], 99)},
        "loop_p99_ms": {"alone": alone, "followed": followed, "ratio": followed / alone},
        "loop_p50_ms": {"alone": share(rounds["alone"], 50) * 1e3, "followed": share(rounds["followed"], 50) * 1e3},
        "server_mb": {"begin": before, "two_thirds": middle, "end": after},
        "bytes_a_tick": (after - middle) * 2**20 / ((1 - FULL_AFTER) * seconds * symbols * rate * TICKS),
        "load_average": os.getloadavg()[0],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=20)
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=300.0)
    given = parser.parse_args()
    print(json.dumps(measure(given.symbols, given.rate, given.clients, given.seconds), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
