"""A venue and a trading process in this process, each in a thread of its own: sessions that a test can put under stress."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fakes.commands import RELAXED, wait_for
from fakes.venue_bench import GUARD, TRADE, Bench, running
from sovereign.app.configuration import Settings, load_settings
from sovereign.app.ops.desk import StoreDesk
from sovereign.app.ops.redaction import redactor_for
from sovereign.app.session import TradingProcess
from sovereign.app.task import Task, Traded
from sovereign.core.command import CommandKind
from sovereign.core.event import Notice
from sovereign.execution.brokers.venue_account import venue_account
from sovereign.execution.venue.configuration import TapeSpec
from sovereign.execution.venue.fault import Fault
from sovereign.store.store import Store

PATIENT = {"live.backlog_ms": "600000", "live.stale_data_s": "60", "live.retry_s": "0.2", "live.heartbeat_s": "0.1"}


class Venue:
    """A venue in a thread with an event loop of its own."""

    def __init__(self, bench: Bench, loop: asyncio.AbstractEventLoop) -> None:
        self.url = bench.url
        self._bench, self._loop = bench, loop

    def arm(self, fault: Fault) -> None:
        """Let a fault happen to the account now."""
        market = self._bench.exchange.market_of("paper")
        self._loop.call_soon_threadsafe(self._bench.server.arm, fault, "paper", market)

    def held(self) -> dict[str, int]:
        """What the account holds, by the venue's own word."""
        with venue_account(self.url, GUARD) as account:
            return {position.symbol: position.quantity for position in account.snapshot().positions if position.quantity}

    def flatten(self) -> None:
        """Cancel and close everything behind the session's back."""
        with venue_account(self.url, GUARD) as account:
            account.wait_flat(60)


@contextmanager
def venue(**changes: Any) -> Iterator[Venue]:
    """Serve until the block ends; `changes` are those of `venue_bench.spec_of`."""
    ready: Future[tuple[Bench, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        async with running(**changes) as bench:
            stop = asyncio.Event()
            ready.set_result((bench, asyncio.get_running_loop(), stop))
            await stop.wait()

    def work() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
            raise

    thread = threading.Thread(target=work, name="venue", daemon=True)
    thread.start()
    bench, loop, stop = ready.result(60)
    try:
        yield Venue(bench, loop)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)


def settings_for(folder: Path, strategy: str = "order_flow", **changes: str) -> Settings:
    """Return settings with everything below a folder, patient limits, and changes (`__` for the dots of a key)."""
    plain = {
        "store.url": f"sqlite:///{folder}/store.sqlite",
        "session.folder": str(folder / "sessions"),
        "heartbeat.file": str(folder / "heartbeat.json"),
        "alerts.folder": str(folder / "alerts"),
        **{f"risk.{key}": value for key, value in RELAXED.items()},
        **PATIENT,
        **{key.replace("__", "."): value for key, value in changes.items()},
    }
    return load_settings(None, [f"{key}={value}" for key, value in plain.items()], strategy=strategy).settings


class Session:
    """A trading process that runs in a thread."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.settings = settings
        self.said: list[str] = []
        self.traded: list[Traded] = []
        self.error: BaseException | None = None
        self._store = Store(settings.store)  # one for all looks: opening one takes longer than looking
        task = Task(strategy="order_flow", mode="paper", account="paper", url=url, token=TRADE, is_once=True)
        self.process = TradingProcess(settings, task, redactor_for(settings), self.said.append)
        self._thread = threading.Thread(target=self._run, name="decision", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.traded = self.process.run()
        except BaseException as error:  # noqa: BLE001 - told by `check`
            self.error = error

    def check(self) -> None:
        """Fail when the process has ended."""
        assert self._thread.is_alive(), f"the session ended: {self.error or self.traded}"

    def notices(self) -> list[Notice]:
        """What the session has said so far, as kept."""
        return [kept.notice for kept in self._store.live.notices()]

    def wait_notice(self, code: str, count: int = 1, seconds: float = 60.0) -> None:
        """Wait until a notice was said so often."""
        wait_for(lambda: sum(n.code == code for n in self.notices()) >= count, f"notice {code}", seconds, self.check)

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Wait until nothing keeps the session from opening a position."""

        def is_ready() -> bool:
            views = StoreDesk(self._store.live).views(1)
            return bool(views) and views[0].state.get("troubles") == {}

        wait_for(is_ready, "a session that would trade", seconds, self.check)

    def ask(self, kind: CommandKind, **arguments: str) -> bool:
        """Ask for something as a person would; return whether it was done."""
        desk = StoreDesk(self._store.live)
        asked = desk.ask(kind, by="test", reason="", arguments=arguments, timeout_s=60).asked
        return all(one.is_done for one in asked)

    def buy(self, stop: int = 200) -> bool:
        """Buy one by hand, with a stop and a target that are far away."""
        return self.ask(CommandKind.TRADE, symbol="ES", side="BUY", qty="1", stop_ticks=str(stop), target_ticks=str(stop))

    def end(self, seconds: float = 180.0) -> Sequence[Traded]:
        """Wait for the end of the session."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"waited {seconds:g} s for the session's end"
        if self.error is not None:
            raise self.error
        return self.traded


@contextmanager
def session(settings: Settings, url: str) -> Iterator[Session]:
    """Trade until the block ends."""
    made = Session(settings, url)
    try:
        yield made
    finally:
        made.process.stop("the test is over")
        made._thread.join(60)
        made._store.close()


def tape(seconds: float, offset_s: float = 7_200) -> TapeSpec:
    """Return a tape of so many seconds of 2025-11-17, from 11:30 New York on."""
    from fakes.venue_bench import SPEC

    return SPEC.model_copy(update={"offset_s": offset_s, "seconds": seconds})
