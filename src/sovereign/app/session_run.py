"""One session of a trading process: its parts put together, traded or settled, and taken apart again.

The parts are the line to the venue, the recording, the journal and the audit chain in the store, and the readers (ledger,
alerts, metrics, heartbeat); what a session is and how it survives is in `engine` (docs/concepts/live.md).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sovereign.app.brokers import connections
from sovereign.app.company import Company
from sovereign.app.opening import new_opening, recorded_opening
from sovereign.app.past_sessions import cut_off, last_report, recording_path, warm_up_recordings
from sovereign.app.plan import now_ns, recipe_of
from sovereign.app.readers import CommandPoller, StoreWriter
from sovereign.app.session_books import SessionBooks
from sovereign.app.session_pulse import SessionPulse
from sovereign.app.task import Traded
from sovereign.core.episode import EpisodeKeeper
from sovereign.core.event import Notice, NoticeCode, Severity
from sovereign.strategies import benchmarks_of, load_strategy, warm_up_sessions_of

if TYPE_CHECKING:
    from sovereign.app.notify.router import AlertRouter
    from sovereign.app.ops.health import Vitals
    from sovereign.app.scout_desk import ScoutDesk
    from sovereign.app.session import TradingProcess
    from sovereign.app.warm_up import EarlierData, WarmUpTeller
    from sovereign.core.configuration import Configuration
    from sovereign.core.instrument import Instrument
    from sovereign.core.port import LiveFeed, SignalStream, Sink
    from sovereign.core.session import Session
    from sovereign.engine.engine import Engine
    from sovereign.engine.inputs import Opening
    from sovereign.engine.lines import Lines
    from sovereign.research.backtest import Recipe
    from sovereign.research.live import EarlierBars
    from sovereign.store.store import Store

_COMMAND_EVERY_S = 0.1
_logger = logging.getLogger("sovereign.session")


def benchmarks_first(section: Configuration, instruments: Sequence[Instrument]) -> tuple[Instrument, ...]:
    """Return a session's instruments with a strategy's benchmarks in front: what they say is looked up by the others."""
    wanted = {symbol: place for place, symbol in enumerate(benchmarks_of(section))}
    return tuple(sorted(instruments, key=lambda one: wanted.get(one.symbol, len(wanted))))


class SessionRun:
    """One session of a trading process: its parts, made anew."""

    def __init__(
        self, process: TradingProcess, store: Store, alerts: AlertRouter, vitals: Vitals, scouts: ScoutDesk | None = None
    ) -> None:
        from sovereign.store.episodes import SqlEpisodeBook

        self._process = process
        self._settings = process.settings
        self._task = process.task
        self._redact = process.redact
        self._store = store
        self._alerts = alerts
        self._vitals = vitals
        self._scouts = scouts
        self._recipe: Recipe = recipe_of(self._settings, self._task.strategy)
        self._strategy = load_strategy(self._recipe.strategy, self._recipe.strategy_config)
        self._needed = warm_up_sessions_of(self._recipe.strategy, self._recipe.strategy_config)
        self._company = Company(self._settings, store, self._task, self._strategy, scouts, process.stop, process.say)
        if isinstance(self._strategy, EpisodeKeeper):
            self._strategy.use_book(SqlEpisodeBook(store.database, process.task.place, self._say_skipped))
        self._books = SessionBooks(self._settings, self._task, self._recipe, self._strategy, store, alerts, process.redact)

    def trade(self) -> Traded | None:
        """Trade the present or the next session; None when there is none, or the process is told to stop."""
        from sovereign.engine.assembly import new_lines

        settings, task = self._settings, self._task
        # A session that goes on is told what it has missed, in order; to a new one the comparison says how things stand.
        tapes = None if self._scouts is None else self._scouts.tapes
        feed, link = connections(settings, task, private_since=last_report(self._store, task), tapes=tapes)
        lines = new_lines(settings.live, feed, link)
        lines.start()
        try:
            found = self._present(lines)
            if self._process.is_stopping.is_set():
                return None
            late = cut_off(self._store, task, None if found is None else found[0].trade_date)
            if late is not None:
                return self._trade(lines, feed, *late, is_late=True)
            if found is None:
                return None
            return self._trade(lines, feed, found[0], benchmarks_first(self._recipe.strategy_config, found[1]))
        finally:
            lines.stop(settings.live.stop_s)

    def _present(self, lines: Lines) -> tuple[Session, Sequence[Instrument]] | None:
        """Wait for a session, or until the process is told to stop."""
        found: list[tuple[Session, Sequence[Instrument]] | None] = []
        waiting = threading.Thread(target=lambda: found.append(lines.session()), name="next-session", daemon=True)
        waiting.start()
        while waiting.is_alive() and not self._process.is_stopping.is_set():
            waiting.join(0.05)
        return found[0] if found else None

    # Parts

    def _trade(
        self,
        lines: Lines,
        feed: LiveFeed,
        session: Session,
        instruments: Sequence[Instrument],
        *,
        is_late: bool = False,
    ) -> Traded:
        """Trade a session, or, when it was cut off and its date is over (`is_late`), settle it."""
        from sovereign.app.warm_up import bars_before
        from sovereign.engine.assembly import prepare
        from sovereign.engine.recovery import AfterReplay

        settings, task, process = self._settings, self._task, self._process
        name = task.session_id(session.trade_date)
        path = recording_path(settings, name)
        self._compile(session, instruments)
        warm = warm_up_recordings(self._settings, self._store, task, session.trade_date)
        bars = bars_before(settings, self._recipe.strategy_config, path, session.trade_date, instruments, warm)
        teller = self._teller(session, instruments, warm, bars)
        header = self._books.header(session, warm, bars)
        begun = recorded_opening(path)
        opening = self._opening(lines) if begun is None else begun.opening
        record = self._books.begin(name, session, path, header, instruments, feed.is_simulated, opening)
        audit = self._store.live.audit(name)
        run = self._store.sink(record, self._describe())
        self._company.begin(session, instruments, feed.clock.now_ns)
        writer = StoreWriter(self._store, name, task.account, self._company.sink(run), now_ns, self._redact)
        self._company.use_writer(writer.later)
        taken = self._store.live.commands.unanswered(name, now_ns())  # by a life of this session that died over them
        commands = CommandPoller(self._store, name, task.account, task.strategy, now_ns, every_s=_COMMAND_EVERY_S, taken=taken)
        pulse = self._pulse(name, session, writer)
        is_orderly = False
        heard: tuple[Sink, ...] = (self._alerts.sink, self._vitals.metrics, self._log, *self._company.sinks)
        quiet = [AfterReplay(sink) for sink in heard]
        try:
            with self._store.live.journal(name, audit) as journal:
                prepared = prepare(
                    settings.live,
                    lines,
                    path=path,
                    header=header,
                    new_engine=partial(self._engine, (audit, writer, *quiet), feed.is_simulated),
                    new_stream=partial(self._warmed, teller, warm, None if bars is None else bars.feed),
                    journal=journal,
                    kept=self._store.live.requests(name),
                    now_ns=now_ns(),
                    monotonic=time.monotonic,
                    commands=commands,
                    evidence=self._company.evidence,
                    on_heartbeat=pulse.beat,
                    finish=lambda: _told(audit.finish_replay()),
                    sinks=quiet,
                )
                replayed = prepared.recovered.replayed
                self._company.use_conductor(prepared.conductor)
                process.say(f"{name}: {f'resumed after {replayed:,} recorded inputs' if replayed else 'begun'}")
                process.is_running(prepared.live)
                pulse.heart.supervisor.ready(f"{task.strategy} {task.mode}")
                ending = prepared.finish() if is_late else prepared.run(session, instruments, opening)
                is_orderly = ending.exit_code == 0
                self._company.end()
                audit.flush()
        finally:
            process.is_running(None)
            pulse.heart.close(is_orderly=is_orderly)
            commands.close()
            self._company.close()
            writer.close()
            run.close()
        conductor = prepared.conductor
        self._books.end(name, record, conductor, ending, session)
        return Traded(
            session_id=name,
            exit_code=ending.exit_code,
            reason=ending.reason,
            is_closed=ending.is_closed,
            recording=path,
            is_late=is_late,
            rounds=self._company.rounds,
            decisions=self._company.decisions,
        )

    def _compile(self, session: Session, instruments: Sequence[Instrument]) -> None:
        """Load (the first time: compile) what a session needs, before a market waits for it."""
        from sovereign.core.columns import Trades
        from sovereign.execution.matching import warm_up

        warm_up()
        for instrument in instruments:
            stream = self._strategy.signal_stream(instrument)
            stream.start_session(session)
            stream.advance(Trades.empty(), session.open_ns)

    def _opening(self, lines: Lines) -> Opening:
        state = self._store.live.states.load(self._task.place, self._task.strategy)
        wait = self._process.is_stopping.wait
        return new_opening(self._settings.live, lines, state, self._recipe.starting_balance, wait)

    def _describe(self) -> Callable[[Any], Any]:
        from sovereign.research.runner import refused_columns

        return partial(refused_columns, self._strategy)

    def _engine(self, sinks: tuple[Any, ...], is_simulated: bool, broker: Any, journal: Any) -> Engine:
        from sovereign.research.live import live_engine

        return live_engine(self._recipe, self._strategy, broker, journal, sinks=sinks, is_simulated_data=is_simulated)

    def _teller(
        self, session: Session, instruments: Sequence[Instrument], warm: Sequence[Path], bars: EarlierData | None
    ) -> WarmUpTeller:
        from sovereign.app.warm_up import WarmUpTeller, hole_text, missing_sessions

        missing = () if bars is None else missing_sessions(instruments[0], bars, warm, session.trade_date)
        if missing:
            self._warn("history", hole_text(missing))
        return WarmUpTeller(self._process.say, bars, len(warm), len(instruments), self._needed)

    def _warmed(
        self, teller: WarmUpTeller, earlier: Sequence[Path], bars: EarlierBars | None, instrument: Instrument
    ) -> SignalStream:
        """Return an instrument's signals as the sessions before have left them."""
        from sovereign.research.live import warmed_stream

        teller.next(instrument.symbol)
        stream = warmed_stream(self._strategy, earlier, instrument, bars=bars)
        return self._company.follow(instrument.symbol, stream)

    def _pulse(self, name: str, session: Session, writer: StoreWriter) -> SessionPulse:
        return SessionPulse(
            self._settings,
            self._task,
            name,
            session,
            writer=writer,
            alerts=self._alerts,
            vitals=self._vitals,
            redact=self._redact,
            say=self._process.say,
            look=self._company.look,
            digest=self._books.send_digest,
        )

    # While it runs

    def _say_skipped(self, text: str) -> None:
        """Say that something kept could not be used."""
        self._warn("episodes", text)

    def _warn(self, subject: str, text: str) -> None:
        notice = Notice(ts=now_ns(), code=NoticeCode.FAILURE, severity=Severity.WARNING, subject=subject, text=text)
        self._log(notice)
        self._alerts.sink(notice)

    def _log(self, event: Any) -> None:
        from sovereign.app.ops.log import log_notice

        if isinstance(event, Notice):
            log_notice(_logger, event)


def _told(difference: Any) -> str | None:
    if difference is None:
        return None
    return f"the audit stream differs from the stored one at event {difference.seq} ({difference.stored.kind})"
