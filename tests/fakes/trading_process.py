"""A process that trades: it opens a position with a resting stop at the venue, beats, and goes on until it is ended.

python -m fakes.trading_process URL TOKEN HEARTBEAT_FILE [SYMBOL]
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from pathlib import Path

from fakes.venue_bench import Trader, order
from sovereign.app.ops.configuration import HeartbeatConfig
from sovereign.app.ops.heartbeat import Beat, Heartbeat, memory_mb
from sovereign.core.order import OrderRole, OrderType, Side
from sovereign.execution.brokers.venue import VenueClient
from sovereign.store.process import this_process


async def trade(url: str, token: str, file: Path) -> None:
    """Buy 2 with a stop far below, say so, and beat for ever."""
    client = VenueClient(url, token)
    trader = Trader(client)
    await trader.begin()

    def heard(name: str, cause: str) -> bool:
        trader.go_on()  # a venue in lockstep waits for it
        return cause in trader.causes(name)

    await trader.until(lambda: any(len(block.trades) for block in trader.blocks), 60)
    last = next(int(block.trades.price[-1]) for block in reversed(trader.blocks) if len(block.trades))
    now = client.clock.now_ns()
    await client.submit(order("entry-1", Side.BUY, quantity=2, ts=now))
    stop = order("stop-1", Side.SELL, OrderType.STOP, 2, now, role=OrderRole.STOP, stop_ticks=last - 400, reduce_only=True)
    await trader.until(lambda: heard("entry-1", "FILL"), 60)
    await client.submit(stop)
    await trader.until(lambda: heard("stop-1", "ACCEPT"), 60)
    heartbeat = Heartbeat(HeartbeatConfig(file=file, every_s=0.1))
    me = this_process()
    is_told = False
    while True:
        heartbeat.beat(
            Beat(
                ts=time.time_ns(),
                market_ns=client.clock.now_ns(),
                pid=me.pid,
                host=socket.gethostname(),
                process_token=me.token,
                session_id="test",
                strategy="test",
                mode="paper",
                account="paper",
                state="ACTIVE",
                memory_mb=memory_mb(),
                positions={"ES": 2},
            )
        )
        if not is_told:
            is_told = True
            sys.stdout.write("OPEN\n")
            sys.stdout.flush()
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(trade(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
