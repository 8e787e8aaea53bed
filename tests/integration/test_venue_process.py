"""`sovereign venue` as a process of its own: started, killed, started again, stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fakes.venue_bench import QUICK, Trader, order
from sovereign.core.order import OrderStatus
from sovereign.execution.brokers.venue import VenueClient

OPTIONS = (
    "--seed",
    "5",
    "--seconds",
    "20",
    "--set",
    "synthetic.ticks_per_session=300000",
    "--latency",
    "250",
    "--slice",
    "250",
)


@contextmanager
def venue(
    state: Path, *options: str, env: dict[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    command = [sys.executable, "-m", "sovereign.app.cli.main", "venue", "--port", "0", "--state", str(state), *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            assert process.stderr is not None
            raise AssertionError(process.stderr.read())
        yield process, json.loads(line)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def token(state: Path, purpose: str = "trade", account: str = "paper") -> str:
    return str(json.loads((state / "tokens.json").read_text())[account][purpose])


async def trade(url: str, state: Path, names: str, steps: int) -> tuple[Any, Any, Trader]:
    """Send orders, work through slices; return the account before and after, and what was heard."""
    trader = Trader(VenueClient(url, token(state), QUICK, private_since=0))
    await trader.begin()
    await trader.client.wait_connected(60)
    before = await trader.client.snapshot(0)
    await trader.until(lambda: bool(trader.blocks))
    for name in names:
        await trader.client.submit(order(name, quantity=2))
    await trader.steps(steps)
    after = await trader.client.snapshot(0)
    await trader.client.close()
    return before, after, trader


def test_venue_when_killed_and_started_again_then_keeps_its_books_and_its_clock(tmp_path):
    outside = {"SOVEREIGN_VENUE_TRADE_TOKEN": "from-outside"}
    with venue(tmp_path, *OPTIONS, "--pace", "lockstep", "--accounts", "paper:40000", env=outside) as (process, said):
        assert said["pid"] == process.pid
        assert token(tmp_path) == "from-outside"
        assert "from-outside" not in json.dumps(said)
        assert (tmp_path / "tokens.json").stat().st_mode & 0o077 == 0
        _, before, heard = asyncio.run(trade(said["url"], tmp_path, "ABC", 6))
        assert len(before.executions) == 3
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    with venue(tmp_path, *OPTIONS, "--pace", "lockstep", "--accounts", "paper:40000") as (process, said):
        second = [sys.executable, "-m", "sovereign.app.cli.main", "venue", "--port", "0", "--state", str(tmp_path)]
        refused = subprocess.run(second, capture_output=True, text=True, check=False)
        assert refused.returncode == 2
        assert "a venue is running" in refused.stderr
        found, after, again = asyncio.run(trade(said["url"], tmp_path, "AD", 3))
        assert found == before
        assert [o.client_order_id for o in after.orders if o.status is OrderStatus.FILLED] == ["A", "B", "C", "D"]
        assert [r for r, _, _ in again.reports][: len(heard.reports)] == [r for r, _, _ in heard.reports]
        assert again.blocks[0].trades.ts[0] == heard.blocks[0].trades.ts[0]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert not (tmp_path / "venue.pid").exists()
