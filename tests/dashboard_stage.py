"""A store with a finished run and a session that runs, as the dashboard finds them; the session is this very process.

The session trades Monday of `example_run`: long 2 at 20,010 ticks at 10:00, closed 24 ticks higher. Its recording has ninety
minutes of ticks from 09:30, made from a seed.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from example_run import ES, MONDAY, START, describe, example_events, example_record, session_of
from sovereign.app.configuration import Settings, load_settings
from sovereign.app.ops.desk import session_process
from sovereign.app.plan import kept_settings
from sovereign.core.columns import Trades
from sovereign.core.command import CommandKind
from sovereign.core.event import (
    DecisionMade,
    Event,
    Notice,
    NoticeCode,
    SessionEnded,
    Severity,
    TradingState,
    TradingStateChanged,
)
from sovereign.core.session import NS_PER_MINUTE, NS_PER_SECOND
from sovereign.engine.conductor import opened
from sovereign.engine.inputs import HealthChanged, Opening, Slice, to_frame
from sovereign.signals.order_flow import OrderFlowStream
from sovereign.store.live import LiveSession
from sovereign.store.recording import Recording
from sovereign.store.store import Store

FINISHED = "flow-20240401T120000-abc123"
SESSION = "paper-order_flow-20240311"
KEY = "an-access-key"
DAY = session_of(MONDAY)
METRIC = {"name": "Net profit", "value": "169.50", "unit": "money", "formula": "sum of gross - fees", "basis": "closed trades"}
CARD = {
    "verdict": "weak",
    "reason": "Too few trades.",
    "checks": [{"state": "failed", "question": "closed trades", "value": 4, "limit": 100}],
}


def ticks_between(begin_ns: int, end_ns: int, seed: int = 1, count: int = 4_000) -> Trades:
    """Return a random walk around 20,000 ticks."""
    random = np.random.default_rng(seed)
    ts = np.sort(random.integers(begin_ns, end_ns, count)).astype(np.int64)
    price = (20_000 + np.cumsum(random.integers(-1, 2, count))).astype(np.int32)
    size = random.integers(1, 9, count).astype(np.int32)
    side = np.where(random.random(count) < 0.5, 1, -1).astype(np.int8)
    return Trades(ts, price, size, side)


def write_slices(recording: Recording, trades: Trades, step_ns: int = 10 * NS_PER_SECOND) -> None:
    """Write ticks as a session records them."""
    begin = 0
    for until in range(int(trades.ts[0]) + step_ns, int(trades.ts[-1]) + 2 * step_ns, step_ns):
        end = int(np.searchsorted(trades.ts, until))
        if end > begin:
            known = min(until, int(trades.ts[-1]))
            recording.append(to_frame(Slice(ts=known, symbol="ES", trades=trades.slice(begin, end), until_ns=known)))
        begin = end


@cache
def _empty_store() -> Path:
    """Make the tables once; a copy of the file is a store of its own."""
    folder = Path(tempfile.mkdtemp(prefix="sovereign-stage-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    Store(f"sqlite:///{folder / 'store.sqlite'}").close()
    return folder / "store.sqlite"


@cache
def _compile() -> None:
    """Load the kernels, which the first time are compiled: no test's deadline is to pay for that."""
    stream = OrderFlowStream(ES)
    stream.start_session(DAY)
    stream.advance(
        ticks_between(DAY.regular_open_ns, DAY.regular_open_ns + 30 * NS_PER_MINUTE), DAY.regular_open_ns + 30 * NS_PER_MINUTE
    )


_STATES = {CommandKind.HALT: TradingState.HALTED, CommandKind.RESUME: TradingState.ACTIVE}


class Stage:
    """Everything, in one folder."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self.folder = folder
        self.loaded = load_settings(
            None,
            (
                f"store.url=sqlite:///{folder / 'store.sqlite'}",
                f"dashboard.folder={folder / 'dashboard'}",
                f"dashboard.key={KEY}",
                "dashboard.poll_ms=30",
                "dashboard.command_timeout_s=60",
                *settings,
            ),
        )
        self.settings: Settings = self.loaded.settings
        shutil.copyfile(_empty_store(), folder / "store.sqlite")
        self.store = Store(self.settings.store)
        self._sink: Any = None
        self._stop = threading.Event()
        self._saying = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.recording: Recording | None = None

    def finished_run(self, name: str = FINISHED, **changes: Any) -> str:
        """Write the finished run."""
        run = self.store.begin_run(example_record(id=name, **changes))
        sink = self.store.sink(run, describe)
        for event in example_events():
            sink(event)
        sink.close()
        self.store.finish_run(
            run, finished_ns=1_711_972_900_000_000_000, summary={"metrics": {"net": METRIC}, "evidence": CARD}, verdict="weak"
        )
        return run

    def session(self) -> None:
        """Begin the session with its first ninety minutes."""
        _compile()
        path = self.folder / f"{SESSION}.rec"
        self.recording = Recording(path, {"strategy": "order_flow", "warm_up": []}, DAY.open_ns)
        self.recording.append(to_frame(opened(DAY, [ES], Opening(balance=START, high_water_mark=START))))
        self.recording.append(
            to_frame(HealthChanged(ts=DAY.regular_open_ns, subject="reconciliation", is_well=True, reason="equal"))
        )
        write_slices(self.recording, ticks_between(DAY.regular_open_ns, DAY.regular_open_ns + 90 * NS_PER_MINUTE))
        self.store.live.begin_session(
            LiveSession(
                id=SESSION,
                account="paper",
                strategy="order_flow",
                mode="paper",
                trade_date=MONDAY,
                recording_path=str(path),
                started_ns=time.time_ns(),
                code_hash="c0de",
                config_hash="c0nf",
                run_id=SESSION,
            )
        )
        self.store.begin_run(
            example_record(
                id=SESSION,
                kind="paper",
                strategy="order_flow",
                end=MONDAY,
                seed=None,
                config=kept_settings(self.settings),
                account="paper",
                started_ns=time.time_ns(),
            )
        )
        self._sink = self.store.sink(SESSION)
        self.audit = self.store.live.audit(SESSION)
        self.say(*monday_events())
        self.beat()

    def say(self, *events: Event) -> None:
        """Let the session say something."""
        with self._saying:
            self._say(*events)

    def _say(self, *events: Event) -> None:
        for event in events:
            self._sink(event)
            self.audit(event)
            if isinstance(event, Notice):
                self.store.live.add_notice(event, session_id=SESSION, account="paper")
        self._sink.flush()
        self.audit.flush()

    def beat(self, state: str = "ACTIVE") -> None:
        """Let it give a sign of life."""
        found = {"state": state, "market_ns": DAY.close_ns, "feed_age_s": 0.1, "memory_mb": 100.0, "positions": {}}
        self.store.live.beat(session_process(SESSION), time.time_ns(), found)

    def answering(self, words: str = "done") -> None:
        """Let the session take and answer commands until the stage is left."""

        def loop() -> None:
            store = Store(self.settings.store)
            while not self._stop.wait(0.02):
                for command in store.live.commands.take(SESSION, "paper", "order_flow", time.time_ns()):
                    state = _STATES.get(command.kind)
                    if state is not None:
                        changed = TradingStateChanged(ts=DAY.close_ns, state=state, cause="person", reason=command.reason)
                        self.say(changed)
                        self.beat(state.value)
                    store.live.commands.answer(command.command_id, is_done=True, text=words, ts=time.time_ns())
            store.close()

        thread = threading.Thread(target=loop, daemon=True)
        thread.start()
        self._threads.append(thread)

    def close(self) -> None:
        """End everything."""
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
        if self.recording is not None:
            self.recording.close()
        self.store.close()


@contextmanager
def served(stage: Stage, host: str = "127.0.0.1", port: int = 0, words: tuple[str, ...] = ()) -> Iterator[httpx.Client]:
    """Serve the dashboard on a port of loopback (0: a free one), in a thread; yields a client under that address.

    Processes that were started from it are waited for at the end.
    """
    from sovereign.app.dashboard.app import create_app
    from sovereign.app.dashboard.configuration import DashboardConfig
    from sovereign.app.dashboard.server import open_socket, serve

    listening = open_socket(DashboardConfig(port=port))
    stop = threading.Event()
    app = create_app(stage.store, stage.loaded, words=words)
    thread = threading.Thread(target=serve, args=(app, listening, stop), daemon=True)
    thread.start()
    port = listening.getsockname()[1]
    headers = {} if host == "127.0.0.1" else {"Host": host}
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
            wait_for("the server", lambda: _is_up(client))
            yield client
    finally:
        stop.set()
        thread.join(60)
        listening.close()
        for child in app.state.desk.control._children:
            child.terminate()
            child.wait(60)


def _is_up(client: httpx.Client) -> bool:
    try:
        client.get("/healthz")
    except httpx.TransportError:
        return False
    return True


def monday_events() -> list[Event]:
    """Return what the session has said so far: Monday without its end."""
    found = []
    for event in example_events():
        if isinstance(event, SessionEnded):
            break
        if type(event).__name__ != "RowsClosed":
            found.append(event)
    return found


def decided(number: int) -> DecisionMade:
    """Return a refusal of the risk door at 11:00 with a number of its own."""
    made = next(event for event in example_events() if isinstance(event, DecisionMade) and event.decision.verdict == "REFUSED")
    ts = DAY.regular_open_ns + (90 + number) * NS_PER_MINUTE
    return replace(made, ts=ts, decision=replace(made.decision, ts=ts, decision_id=f"order_flow-20240311-ES-{number:05d}x"))


def notice(text: str, severity: Severity = Severity.ALARM, **changes: Any) -> Notice:
    """Return a notice of ten o'clock."""
    made = Notice(ts=DAY.regular_open_ns, code=NoticeCode.DATA_STALE, severity=severity, subject="data:ES", text=text)
    return replace(made, **changes)


@contextmanager
def staged(folder: Path, *settings: str) -> Iterator[Stage]:
    """Set the stage with a finished run and a running session."""
    stage = Stage(folder, *settings)
    try:
        stage.finished_run()
        stage.session()
        yield stage
    finally:
        stage.close()


def wait_for(what: str, is_there: Any, seconds: float = 60.0) -> Any:
    """Return what `is_there` gives once it is true; fails with the name of what it waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = is_there()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds:g} s for {what}")


TUESDAY = MONDAY + timedelta(days=1)
