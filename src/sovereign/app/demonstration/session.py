"""A demonstration that other processes can watch: the plan's own run, told as a session of paper or live trading is told.

Its ticks are recorded, its ledger and audit stream are written as it goes, it gives signs of life and takes commands; the
dashboard sees it through the store and the recording alone, like any other session. What it decides is what the same plan
decides unwatched, unless somebody commands it, and then the report says so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sovereign.app.console.watch import Pace, Watched
from sovereign.app.plan import now_ns
from sovereign.app.readers import CommandPoller, StoreWriter
from sovereign.core.columns import Trades
from sovereign.core.command import CommandKind
from sovereign.core.session import Session, from_ns
from sovereign.engine.conductor import opened
from sovereign.engine.inputs import Opening, SessionClosed, Slice, TimePromised, to_frame
from sovereign.research.backtest import Passage, run_backtest
from sovereign.research.runner import Finished, Plan, code_hash, strategy_tests
from sovereign.research.runner import Recording as Ledger
from sovereign.store.recording import Recording

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.app.console.screen import Lines
    from sovereign.app.ops.redaction import Redactor
    from sovereign.core.instrument import Instrument
    from sovereign.core.port import Block, Feed
    from sovereign.store.store import Store

ACCOUNT = "demo"
"""The account that demonstrations trade on: no venue knows it, and commands to other accounts never reach it."""

_WRITE_S = 0.1
_BEAT_S = 0.5
_COMMAND_EVERY_S = 0.1


def play(
    plan: Plan,
    settings: Settings,
    store: Store,
    pace: Pace,
    watcher: Lines,
    redact: Redactor,
    *,
    earlier: int | None = None,
    gate: Callable[[], object] = lambda: None,
) -> Finished:
    """Run a plan, from ledger to report, as a session that a dashboard can watch and command.

    Parameters
    ----------
    earlier : how many earlier sessions the plan shows its signals; None: as many as the strategy needs.
    gate : waits until the market may open; everything is loaded then.

    Raises
    ------
    KeyboardInterrupt : the run was interrupted; what was run stays in the ledger, and the message says where.
    """
    plan = replace(plan, account=ACCOUNT)
    watched = Watched(plan, pace, watcher)
    told = _Told(watched.feed, gate)
    ledger = Ledger(replace(plan, feed=told, feed_notes=lambda: (*plan.feed_notes(), *told.notes)), store, now_ns)
    shown: _Shown | None = None
    try:
        shown = _Shown(plan, settings, store, ledger, told, redact, earlier)
        watched.begin(ledger.run_id)
        outcome = run_backtest(
            plan.recipe,
            told,
            sinks=(shown.writer, shown.audit, watcher.state),
            on_session=shown.on_session,
            on_block=_both(watcher.on_block, shown.on_block),
            warm_up=plan.warm_up,
        )
        shown.close("ended", "stopped by a person" if told.is_stopped else "the market has closed")
        further = strategy_tests(plan, store, now_ns) if plan.is_tested else ()
        return ledger.finish(outcome, settings.report.folder, further)
    except KeyboardInterrupt as stop:
        _give_up(shown, ledger, "stopped", "interrupted")
        raise KeyboardInterrupt(watched.stopped()) from stop
    except BaseException as error:
        _give_up(shown, ledger, "failed", f"{type(error).__name__}: {error}")
        raise


def _both(first: Callable[[Passage], object], second: Callable[[Passage], object]) -> Callable[[Passage], None]:
    def act(passage: Passage) -> None:
        first(passage)
        second(passage)

    return act


def _give_up(shown: _Shown | None, ledger: Ledger, status: str, reason: str) -> None:
    if shown is not None:
        shown.close(status, reason)
    ledger.abandon(reason)


class _Told:
    """A feed that says when a session begins, and ends early when somebody stops it."""

    def __init__(self, feed: Feed, gate: Callable[[], object]) -> None:
        self._feed, self._gate = feed, gate
        self.is_simulated = feed.is_simulated
        self.is_stopped = False
        self.on_open: Callable[[Session, Sequence[Instrument]], object] = lambda *_: None
        self.notes: list[str] = []

    def sessions(self) -> Iterator[Session]:
        """Yield the sessions of the feed until it is stopped."""
        for session in self._feed.sessions():
            if self.is_stopped:
                return
            yield session

    def instruments(self, session: Session) -> Sequence[Instrument]:
        """Return what trades in a session, which begins now."""
        found = self._feed.instruments(session)
        self.on_open(session, found)
        return found

    def blocks(self, session: Session) -> Iterator[Block]:
        """Yield the session's blocks until it is stopped."""
        self._gate()
        for block in self._feed.blocks(session):
            if self.is_stopped:
                return
            yield block


class _Shown:
    """The run as a session of the store: recorded, alive, and commanded."""

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        store: Store,
        ledger: Ledger,
        told: _Told,
        redact: Redactor,
        earlier: int | None,
    ) -> None:
        from sovereign.store.live import DEMONSTRATION, LiveSession

        self.name = ledger.run_id
        self._store, self._told, self._plan = store, told, plan
        self._who = (ACCOUNT, plan.recipe.strategy)
        path = settings.session.folder / f"{self.name}.rec"
        header: dict[str, Any] = {"strategy": plan.recipe.strategy, "mode": DEMONSTRATION, "warm_up": [], "earlier": earlier}
        self._tape = Recording(path, header, now_ns())
        store.live.begin_session(
            LiveSession(
                id=self.name,
                account=ACCOUNT,
                strategy=plan.recipe.strategy,
                mode=DEMONSTRATION,
                trade_date=plan.start,
                recording_path=str(Path(path)),
                started_ns=now_ns(),
                code_hash=code_hash(),
                config_hash=ledger.record.config_hash,
                run_id=self.name,
            )
        )
        self._refuse_old_commands()
        self.audit = store.live.audit(self.name)
        self.writer = StoreWriter(store, self.name, ACCOUNT, ledger.sink, now_ns, redact)
        self._commands = CommandPoller(store, self.name, *self._who, now_ns, every_s=_COMMAND_EVERY_S)
        self._waiting: dict[str, list[Trades]] = {}
        self._until: dict[str, int] = {}
        self._due = self._told_at = float("-inf")
        self._engine: Any = None
        self._state: dict[str, Any] = {"state": "ACTIVE", "positions": {}, "feed_age_s": None}
        self._is_over = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="beats", daemon=True)
        self._beating.start()
        told.on_open = self._open

    def _refuse_old_commands(self) -> None:
        # What was asked of an earlier demonstration, or of everybody while nothing ran, is not meant for this one.
        commands = self._store.live.commands
        for command in commands.take(self.name, *self._who, now_ns()):
            commands.answer(
                command.command_id, is_done=False, text="a demonstration begins anew; command it while it runs", ts=now_ns()
            )

    # What it tells

    def _open(self, session: Session, instruments: Sequence[Instrument]) -> None:
        recipe = self._plan.recipe
        balance = mark = recipe.starting_balance
        if self._engine is not None:
            balance, mark = self._engine.account.balance, self._engine.account.high_water_mark
        self._until = {instrument.symbol: session.open_ns for instrument in instruments}
        self._tape.append(to_frame(opened(session, instruments, Opening(balance=balance, high_water_mark=mark))))

    def on_block(self, passage: Passage) -> None:
        """Keep a block that has been worked through, and carry out what was asked for meanwhile."""
        block = passage.block
        self._engine = passage.engine
        if len(block.trades):
            self._waiting.setdefault(block.symbol, []).append(block.trades)
        self._until[block.symbol] = block.until_ns
        self._obey(passage)
        wall = time.monotonic()
        if wall >= self._due:
            self._due = wall + _WRITE_S
            self._write()
            self._look(passage, block.until_ns)

    def on_session(self, session: Session) -> None:
        """Keep what is left of a session that is over."""
        self._until = dict.fromkeys(self._until, session.close_ns)
        self._write()
        self._tape.append(to_frame(SessionClosed(ts=session.close_ns)))
        self.audit.flush()

    def _write(self) -> None:
        # Some blocks in one piece: how ticks are cut changes nothing, and every tick carries its own time.
        for symbol, parts in self._waiting.items():
            trades = Trades.concat(parts)
            until = self._until[symbol]
            self._tape.append(to_frame(Slice(ts=int(trades.ts[0]), symbol=symbol, trades=trades, until_ns=until)))
        self._waiting.clear()
        self._tape.append(to_frame(TimePromised(ts=min(self._until.values()))))

    def _look(self, passage: Passage, market_ns: int) -> None:
        engine = passage.engine
        self._state = {
            "state": engine.state.value,
            "market_ns": market_ns,
            "feed_age_s": 0.0,
            "memory_mb": self._state.get("memory_mb"),
            "positions": {symbol: position.quantity for symbol, position in engine.positions.items()},
        }
        wall = time.monotonic()
        if wall - self._told_at >= _BEAT_S:
            self._told_at = wall
            self.audit.flush()

    def _beat(self) -> None:
        from sovereign.app.ops.desk import session_process
        from sovereign.app.ops.heartbeat import memory_mb

        while True:
            state = self._state
            state["memory_mb"] = memory_mb()
            self.writer.beat(session_process(self.name), now_ns(), state)
            if self._is_over.wait(_BEAT_S):
                return

    # What it is told

    def _obey(self, passage: Passage) -> None:
        found = self._commands()
        if not found:
            return
        until = passage.block.until_ns
        for command in found:
            when = f"{from_ns(until, passage.session.zone):%Y-%m-%d %H:%M:%S %Z}"
            self._told.notes.append(f"{command.kind} by {command.by} at {when}: what followed is not the strategy's alone.")
            for engine in passage.run.engines:  # every lane, so that they go on being comparable
                engine.at(until)
                engine.command(command)
                engine.process((), {}, until)
            if command.kind is CommandKind.STOP:
                self._told.is_stopped = True
        self.audit.flush()
        self._look(passage, until)

    def close(self, status: str, reason: str) -> None:
        """End the session in the store; once is enough."""
        if self._is_over.is_set():
            return
        self._is_over.set()
        self._beating.join()
        self._commands.close()
        self._tape.close()
        self.audit.flush()
        self.writer.close()
        self._store.live.end_session(self.name, ended_ns=now_ns(), status=status, reason=reason)
