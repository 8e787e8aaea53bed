"""`sovereign` commands as processes of their own, each with an end: a test never waits for one for ever."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import IO, Any

from sovereign.execution.brokers.venue_account import venue_account
from sovereign.execution.venue.protocol import GoOn, Login, Subscribe, encode

PATIENCE_S = 150.0  # what a process starts with is compiled the first time, and the machine may be busy
SOURCE = Path(__file__).resolve().parents[2] / "src"
RELAXED = {"daily_loss_limit": "-20000", "excluded_windows": "[]", "can_inputs_be_unknown": "true", "tiers.enabled": "false"}
"""Limits that a person's order on a rich account does not meet, whatever the regime."""


def wait_for_ticks(folder: Path, seconds: float, check: Callable[[], None]) -> None:
    """Wait until the session below `folder` has recorded market data: before it, every order is refused."""
    from sovereign.store.recording import read_recording

    def has_ticks() -> bool:
        found = (folder / "data" / "sessions").glob("*.rec")
        return any(frame.kind == "Slice" and len(frame.arrays["ts"]) for path in found for frame in read_recording(path))

    wait_for(has_ticks, "market data in the recording", seconds, check)


class Talking:
    """A running command; what it says is read in the background, so that neither side waits for the other."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.out: list[str] = []
        self.err: list[str] = []
        self._came: queue.Queue[None] = queue.Queue()
        self._threads = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in ((process.stdout, self.out), (process.stderr, self.err))
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: IO[str], kept: list[str]) -> None:
        with stream:
            for line in stream:
                kept.append(line)
                self._came.put(None)

    def said(self, words: str, seconds: float = PATIENCE_S) -> str:
        """Return the first line that holds these words, on either stream."""
        found: list[str] = []

        def has() -> bool:
            found[:] = [line for line in [*self.out, *self.err] if words in line]
            return bool(found)

        try:
            wait_for(has, f"'{words}'", seconds, self.alive)
        except AssertionError as late:
            raise AssertionError(f"{late}, and heard\n{''.join([*self.out, *self.err][-12:])}") from None
        return found[0]

    def alive(self) -> None:
        """Fail when the process has ended."""
        if self.process.poll() is not None:
            time.sleep(0.05)
            raise AssertionError(f"ended with {self.process.returncode}: {''.join(self.out[-5:])} {''.join(self.err[-5:])}")

    def ended(self, seconds: float = PATIENCE_S) -> int:
        """Wait for the end and return its code."""
        code = self.process.wait(seconds)
        for thread in self._threads:
            thread.join(30)
        return code


def wait_for(
    is_so: Callable[[], object], what: str, seconds: float = PATIENCE_S, check: Callable[[], None] | None = None
) -> None:
    """Wait until something is so, and fail with what was waited for."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:g} s for {what}")
        if check is not None and not is_so():
            check()
        time.sleep(0.05)


@contextmanager
def sovereign(folder: Path, *words: str, **environment: str) -> Iterator[Talking]:
    """Run a command until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sovereign.app.cli.main", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "ENABLE_LIVE_TRADING": "", **environment},
    )
    talking = Talking(process)
    try:
        yield talking
    finally:
        if process.poll() is None:
            process.kill()
        talking.ended()


def done(folder: Path, *words: str, seconds: float = PATIENCE_S, **environment: str) -> tuple[int, str, str]:
    """Run a command to its end; return its code and what it said on both streams."""
    with sovereign(folder, *words, **environment) as command:
        code = command.ended(seconds)
        return code, "".join(command.out), "".join(command.err)


def risk_options(**changes: str) -> list[str]:
    """Return `--set` words of the relaxed limits, with changes."""
    return [word for key, value in {**RELAXED, **changes}.items() for word in ("--set", f"risk.{key}={value}")]


@contextmanager
def venue(folder: Path, *words: str) -> Iterator[dict[str, Any]]:
    """Run a venue and yield what it says of itself, its tokens under `tokens`."""
    state = folder / "venue"
    with sovereign(folder, "venue", "--port", "0", "--state", str(state), *words) as running:
        said: dict[str, Any] = json.loads(running.said('"url"'))
        yield {**said, "tokens": json.loads(Path(said["tokens"]).read_text(encoding="utf-8")), "process": running}


class Pacer:
    """A trader that is never done with what it was told, so that a venue in lockstep waits for `step` alone.

    Parameters
    ----------
    trade, guard : tokens of an account of its own, on the market that is to be paced.
    """

    def __init__(self, url: str, trade: str, guard: str, session: date, symbol: str = "ES") -> None:
        from websockets.sync.client import connect

        self._ending = ExitStack()
        self._line = self._ending.enter_context(connect(url, compression=None, proxy=None, max_size=None, close_timeout=0.5))
        self._line.send(encode(Login(token=trade, client="pacer")))
        self._line.recv(PATIENCE_S)
        self._line.send(encode(Subscribe(session=session, symbol=symbol, ticks=0, until_ns=0)))
        self._account = venue_account(url, guard)
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            for _ in self._line:
                pass
        except (ConnectionClosed, OSError):
            return

    @property
    def now_ns(self) -> int:
        """How far the market has come."""
        return self._account.snapshot().now_ns

    def step(self, count: int = 1) -> None:
        """Let the market go on by some slices."""
        for _ in range(count):
            before = self.now_ns
            self._account._ask(lambda number: GoOn(request_id=number))
            wait_for(lambda before=before: self.now_ns > before, "the market to go on by one slice", 60)

    def close(self) -> None:
        """Leave; the market goes on with those who are left."""
        self._account.close()
        self._ending.close()
        self._thread.join(30)
