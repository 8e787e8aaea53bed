"""What the processes of a kill campaign do: the venue, and a trading process that may end itself at a named point."""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sovereign.app.rehearsal.settings import add_drill, drill_settings

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings

ACCOUNT = "rehearsal"
STARTING = Decimal(1_000_000)


def settings_of(folder: str, latency_ms: float) -> Settings:
    """Return the settings of both processes of a round."""
    return drill_settings(Path(folder), execution={"latency_ms": latency_ms}, live={"reconcile_s": 5.0}, venue={"port": 0})


def warm_up(strategies: Sequence[str]) -> None:
    """Load everything and compile what sessions of these strategies need; starts no thread."""
    import sqlite3  # noqa: F401 - the forge's children need it at once

    import sqlalchemy.dialects.sqlite  # noqa: F401 - as above
    import websockets.asyncio.client
    import websockets.asyncio.server  # noqa: F401 - as above

    import sovereign.app.cli.run
    import sovereign.app.cli.venue
    import sovereign.app.notify.digest
    import sovereign.app.ops.health
    import sovereign.app.ops.schedule
    import sovereign.app.session
    import sovereign.engine.assembly
    import sovereign.execution.venue.server
    import sovereign.store.audit
    import sovereign.store.live
    import sovereign.store.migrate
    import sovereign.store.store  # noqa: F401 - as above
    from sovereign.execution.matching import warm_up as compile_matching

    compile_matching()
    add_drill()
    for strategy in strategies:
        _warm(strategy)


def _warm(strategy: str) -> None:
    """Let a strategy's signals see a minute of a tape."""
    from datetime import date

    from sovereign.app.venue import tape_opener
    from sovereign.execution.venue.configuration import TapeSpec
    from sovereign.strategies import load_strategy

    spec = TapeSpec(start=date(2025, 11, 17), offset_s=1_800, seconds=60, synthetic={"ticks_per_session": 400_000})
    settings = drill_settings(Path("unused"))
    tape = tape_opener(settings)(spec)
    session = tape.sessions[0]
    system = load_strategy(strategy, getattr(settings.strategies, strategy, None))
    for symbol, trades in tape.columns(session).items():
        instrument = next(one for one in tape.instruments(session) if one.symbol == symbol)
        stream = system.signal_stream(instrument)
        stream.start_session(session)
        stream.advance(trades, session.close_ns)


def venue(folder: str, latency_ms: float, tape: dict[str, Any], market: dict[str, Any]) -> int:
    """Be the venue until told to stop, or killed."""
    from sovereign.app.cli.venue import run
    from sovereign.app.configuration import Settings
    from sovereign.app.rehearsal.settings import merged
    from sovereign.execution.venue.configuration import TapeSpec

    settings = settings_of(folder, latency_ms)
    tree = merged(settings.model_dump(mode="python"), {"venue": market})
    run(Settings.model_validate(tree), TapeSpec.model_validate(tape), {ACCOUNT: STARTING}, None)
    return 0


def trade(folder: str, latency_ms: float, strategy: str, point: str = "", count: int = 0, tear: int = 0) -> int:
    """Trade session after session until the tape ends; 0 in good order.

    Parameters
    ----------
    point, count : kill this process when it comes to a named point for the `count`-th time; see `POINTS`.
    tear : of a record that is cut off in the middle, how many bytes are written.
    """
    from sovereign.app.ops.redaction import redactor_for
    from sovereign.app.session import TradingProcess
    from sovereign.app.task import PAPER, Task
    from sovereign.app.venue import venue_token, venue_url

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    settings = settings_of(folder, latency_ms)
    if point:
        arm(point, count, tear)
    task = Task(
        strategy=strategy,
        mode=PAPER,
        account=ACCOUNT,
        url=venue_url(settings),
        token=venue_token(settings, "trade", ACCOUNT),
    )
    done = TradingProcess(settings, task, redactor_for(settings), _say).run()
    for traded in done:
        _say(json.dumps({"session": traded.session_id, "code": traded.exit_code, "reason": traded.reason}))
    return next((traded.exit_code for traded in done if traded.exit_code), 0)


def schedules(folder: str, seeds: Sequence[int], with_order_flow: bool) -> int:
    """Play fault schedules one after the other; each leaves a line in `FOLDER/outcomes.jsonl`, and its folder if it broke."""
    import shutil

    from sovereign.app.rehearsal.faults import plain_outcome, play, schedule_of

    with (Path(folder) / "outcomes.jsonl").open("a", encoding="utf-8") as out:
        for seed in seeds:
            place = Path(folder) / f"seed-{seed}"
            outcome = play(schedule_of(seed, with_order_flow=with_order_flow), place)
            out.write(json.dumps(plain_outcome(outcome)) + "\n")
            out.flush()
            if not outcome.violations:
                shutil.rmtree(place, ignore_errors=True)
    return 0


def _say(line: str) -> None:
    os.write(1, (line + "\n").encode())


# The named points: between two steps whose order is what safety hangs on.


def _places() -> dict[str, tuple[type, str, bool]]:
    """Return by name: the class, the method, and whether the point lies before it (else behind it)."""
    from sovereign.app.readers import StoreWriter
    from sovereign.app.session_books import SessionBooks
    from sovereign.engine.conductor import Conductor
    from sovereign.engine.lines import Lines
    from sovereign.execution.brokers.venue import VenueClient
    from sovereign.execution.executor import Executor
    from sovereign.store.audit import AuditSink
    from sovereign.store.live import LiveStore
    from sovereign.store.order_journal import SqlOrderJournal
    from sovereign.store.recording import Recording
    from sovereign.store.session_state import SqlSessionStates
    from sovereign.store.store import Store

    return {
        "before an input is recorded": (Recording, "append", True),
        "after an input is recorded": (Recording, "append", False),
        "after an input is applied": (Conductor, "apply", False),
        "before a request is kept": (SqlOrderJournal, "record_all", True),
        "after a request is kept": (SqlOrderJournal, "record_all", False),
        "before a request is handed over": (Lines, "deliver", True),
        "after a request is handed over": (Lines, "deliver", False),
        "before an order is sent": (VenueClient, "_order_request", True),
        "after an order is sent": (VenueClient, "_order_request", False),
        "before a report is applied": (Executor, "on_report", True),
        "after a report is applied": (Executor, "on_report", False),
        "before the audit is written": (AuditSink, "flush", True),
        "before an event is stored": (StoreWriter, "_take", True),
        "after the session is begun": (LiveStore, "begin_session", False),
        "after the run is deleted": (Store, "delete_run", False),
        "after the run is begun": (Store, "begin_run", False),
        "before the session is left": (SessionBooks, "end", True),
        "before the state is saved": (SqlSessionStates, "save", True),
        "after the state is saved": (SqlSessionStates, "save", False),
        "before the run is finished": (Store, "finish_run", True),
        "before the session is ended": (LiveStore, "end_session", True),
        "after the session is ended": (LiveStore, "end_session", False),
    }


POINTS = (
    "before an input is recorded",
    "after an input is recorded",
    "in the middle of a record",
    "after an input is applied",
    "before a request is kept",
    "after a request is kept",
    "before a request is handed over",
    "after a request is handed over",
    "before an order is sent",
    "after an order is sent",
    "before a report is applied",
    "after a report is applied",
    "before the audit is written",
    "before an event is stored",
    "after the session is begun",
    "after the run is deleted",
    "after the run is begun",
    "before the session is left",
    "before the state is saved",
    "after the state is saved",
    "before the run is finished",
    "before the session is ended",
    "after the session is ended",
)
"""Where a trading process can be made to end itself. Those of a session's end are met once a session, the others often."""

_ONCE = POINTS[POINTS.index("after the session is begun") :]


def is_rare(point: str) -> bool:
    """Say whether a point is met about once a session rather than often."""
    return point in _ONCE


def arm(point: str, count: int, tear: int) -> None:
    """Let this process end at a point, as by `kill -9`."""
    if point == "in the middle of a record":
        _tear(count, tear)
        return
    owner, name, is_before = _places()[point]
    act: Callable[..., Any] = getattr(owner, name)
    left = [count]

    def counted(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if not left[0] and is_before:
            end()
        result = act(*arguments, **named)
        if not left[0]:
            end()
        return result

    setattr(owner, name, counted)


def _tear(count: int, tear: int) -> None:
    """End this process when a part of a record has been written."""
    from sovereign.store.recording import Recording

    left = [count]
    write = Recording._write

    def torn(self: Recording, data: bytes) -> None:
        left[0] -= 1
        if not left[0]:
            os.write(self._fd, data[: 1 + tear % max(1, len(data) - 1)])
            end()
        write(self, data)

    setattr(Recording, "_write", torn)  # noqa: B010 - an assignment would be a type error


def end() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)
