"""A trading process put together from settings: one strategy on one account, session after session, until told to stop.

What a session is and how it survives is in `engine` (docs/concepts/live.md); here its parts are made: the line to the venue,
the recording, the journal and the audit chain in the store, the readers (ledger, alerts, metrics, heartbeat), and what one
session leaves to the next.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from sovereign.app.brokers import VENUE, connections
from sovereign.app.company import Company
from sovereign.app.opening import new_opening, recorded_opening
from sovereign.app.plan import kept_settings, now_ns, recipe_of
from sovereign.app.readers import CommandPoller, StoreWriter
from sovereign.core.episode import EpisodeKeeper
from sovereign.core.errors import (
    ConfigurationError,
    CorruptFileError,
    NotFoundError,
    RiskHaltError,
)
from sovereign.core.event import Notice, NoticeCode, Severity
from sovereign.core.session import NS_PER_SECOND
from sovereign.store.session_state import placed
from sovereign.strategies import benchmarks_of, load_strategy

if TYPE_CHECKING:
    from datetime import date

    from sovereign.app.configuration import Settings
    from sovereign.app.notify.router import AlertRouter
    from sovereign.app.ops.heartbeat import Heartbeat
    from sovereign.app.ops.redaction import Redactor
    from sovereign.app.ops.schedule import Agenda
    from sovereign.app.scout_desk import ScoutDesk
    from sovereign.app.warm_up import EarlierData
    from sovereign.core.configuration import Configuration
    from sovereign.core.instrument import Instrument
    from sovereign.core.port import LiveFeed, SignalStream
    from sovereign.core.session import Session
    from sovereign.engine.conductor import Conductor
    from sovereign.engine.engine import Engine
    from sovereign.engine.inputs import Opening
    from sovereign.engine.lines import Lines
    from sovereign.engine.live import Ending, LiveSession
    from sovereign.engine.live import Heartbeat as Sign
    from sovereign.research.backtest import Recipe
    from sovereign.research.live import EarlierBars
    from sovereign.risk.door import OneDoor
    from sovereign.store.live import LiveSession as Kept
    from sovereign.store.store import Store

PAPER, LIVE = "paper", "live"
_COMMAND_EVERY_S = 0.1
_ENDED = "ended"
_logger = logging.getLogger("sovereign.session")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a trading process is to do.

    Parameters
    ----------
    mode : `paper` or `live`. account : its name at the venue. url, token : of the simulated venue.
    broker : one of `brokers.BROKERS`. symbols : what to trade at a broker; the simulated venue says what trades there.
    is_once : trade the present or next session, then end. interval_s : seconds between two lines that say how it stands; None
        says nothing.
    round_minutes : with `is_once`, end after the next multiple of so many minutes was decided on; None: when the session ends.
    """

    strategy: str
    mode: str
    account: str
    url: str = ""
    token: str = ""
    broker: str = VENUE
    symbols: tuple[str, ...] = ()
    is_once: bool = False
    interval_s: float | None = None
    round_minutes: int | None = None

    @property
    def place(self) -> str:
        """The account by its name and where it is, as what sessions leave to each other is kept by."""
        return placed(self.account, self.broker, self.mode)

    def session_id(self, trade_date: date) -> str:
        """Return the name of the session of a trade date."""
        where = "" if self.broker == VENUE else f"{self.broker}-{self.mode}-"
        return f"{self.account}-{where}{self.strategy}-{trade_date:%Y%m%d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """A session that is over: `exit_code` as the engine said it; `is_late` when it had been cut off, and was only settled.

    `rounds` were decided on, and `decisions` are theirs, where one round was asked for.
    """

    session_id: str
    exit_code: int
    reason: str
    is_closed: bool
    recording: Path
    is_late: bool = False
    rounds: int = 0
    decisions: tuple[dict[str, Any], ...] = ()


def check_consents(settings: Settings, flag: bool, environment: Mapping[str, str]) -> None:
    """Refuse live trading unless all three consents are given at once.

    Raises
    ------
    ConfigurationError : names every consent that is missing, and how to give it.
    """
    from sovereign.risk.opt_in import live_opt_ins

    missing = live_opt_ins(settings.execution.trading_enabled, flag, environment)
    if missing:
        words = "; ".join(f"{consent.name}: {consent.how}" for consent in missing)
        raise ConfigurationError(f"live trading needs three consents at once, and missing was {words}")


def recording_path(settings: Settings, session_id: str) -> Path:
    """Return where a session's input is recorded."""
    return settings.session.folder / f"{session_id}.rec"


def benchmarks_first(section: Configuration, instruments: Sequence[Instrument]) -> tuple[Instrument, ...]:
    """Return a session's instruments with a strategy's benchmarks in front: what they say is looked up by the others."""
    wanted = {symbol: place for place, symbol in enumerate(benchmarks_of(section))}
    return tuple(sorted(instruments, key=lambda one: wanted.get(one.symbol, len(wanted))))


def warm_up_recordings(settings: Settings, store: Store, task: Task, before: date) -> list[Path]:
    """Return the recordings of the sessions before a trade date that warm the signals up, oldest first."""
    ended = [
        kept
        for kept in _sessions(store, task)
        if kept.status == _ENDED and kept.trade_date < before and Path(kept.recording_path).is_file()
    ]
    ended.sort(key=lambda kept: kept.trade_date)
    return [Path(kept.recording_path) for kept in ended[len(ended) - min(settings.session.warm_up_sessions, len(ended)) :]]


def _sessions(store: Store, task: Task) -> list[Kept]:
    """Return the sessions of an account and strategy where the task trades, newest first."""
    found = store.live.sessions(account=task.account, strategy=task.strategy)
    return [kept for kept in found if kept.id == task.session_id(kept.trade_date)]


def cut_off(store: Store, task: Task, before: date | None) -> tuple[Session, Sequence[Instrument]] | None:
    """Return the oldest session that was cut off and whose date is over: of a process that died and came back too late.

    Parameters
    ----------
    before : trade date of the present session; None when there is none any more.
    """
    begun = [
        kept
        for kept in _sessions(store, task)
        if kept.status != _ENDED and (before is None or kept.trade_date < before) and Path(kept.recording_path).is_file()
    ]
    for kept in sorted(begun, key=lambda kept: kept.trade_date):
        try:
            first = recorded_opening(Path(kept.recording_path))
        except CorruptFileError as damage:
            _logger.warning("session %s was cut off and cannot be settled (%s)", kept.id, damage)
            continue
        if first is not None:  # one that ended before it was opened has left nothing to settle
            return first.session, first.instruments
    return None


def last_report(store: Store, task: Task) -> int | None:
    """Return the number of the last report that the session which goes on has recorded; None when none goes on."""
    from sovereign.engine.inputs import ReportReceived, SessionOpened
    from sovereign.store.recording import read_recording

    newest = next(iter(_sessions(store, task)), None)
    if newest is None or newest.status == _ENDED or not Path(newest.recording_path).is_file():
        return None
    last: int | None = None
    try:
        for frame in read_recording(Path(newest.recording_path)):
            if frame.kind == SessionOpened.__name__:
                last = int(frame.header["opening"].get("number", 0))
            elif frame.kind == ReportReceived.__name__ and last is not None:
                last = max(last, int(frame.header.get("number", 0)))
    except CorruptFileError as damage:
        _logger.warning("session %s cannot be read (%s)", newest.id, damage)
    return last


class TradingProcess:
    """Trades one session after the other.

    Parameters
    ----------
    say : tells a person at the terminal how it stands, a line at a time.
    redact : hides secrets in whatever is told.
    """

    def __init__(self, settings: Settings, task: Task, redact: Redactor, say: Callable[[str], object]) -> None:
        self.settings = settings
        self.task = task
        self.redact = redact
        self.say = say
        self.is_stopping = threading.Event()
        self._running: LiveSession | None = None

    def stop(self, reason: str) -> None:
        """End in good order, soon; positions stay as they are. May be called from a signal handler."""
        self.is_stopping.set()
        if self._running is not None:
            self._running.stop(reason)

    def is_running(self, session: LiveSession | None) -> None:
        """Take note of the session to be stopped when the process is."""
        self._running = session
        if session is not None and self.is_stopping.is_set():
            session.stop("stopped")

    def run(self) -> list[Traded]:
        """Trade until the tape ends, once when asked so, or until stopped.

        Raises
        ------
        RiskHaltError : the account was killed, and nobody has cleared it.
        """
        from sovereign.app.ops.account import mark_broker
        from sovereign.app.ops.health import HealthServer, Vitals
        from sovereign.app.ops.metrics import Metrics
        from sovereign.app.scout_desk import start_scouts
        from sovereign.store.store import Store

        settings, task = self.settings, self.task
        done: list[Traded] = []
        with Store(settings.store) as store:
            self._check_latch(store)
            mark_broker(settings, task.broker)
            vitals = Vitals(Metrics())
            server = HealthServer(settings.health, vitals)
            alerts = self._alerts()
            scouts = start_scouts(settings, task, store)
            try:
                server.start()
                self._tell_reboot(alerts)
                while not self.is_stopping.is_set():
                    traded = _SessionRun(self, store, alerts, vitals, scouts).trade()
                    if traded is None:
                        break
                    done.append(traded)
                    if (task.is_once and not traded.is_late) or traded.exit_code or not traded.is_closed:
                        break
            finally:
                if scouts is not None:
                    scouts.close()
                alerts.close()
                server.close()
        return done

    def _check_latch(self, store: Store) -> None:
        from sovereign.store.live_schema import EVERY_ACCOUNT

        latch = store.live.latched(self.task.account)
        if latch is not None:
            whose = "every account" if latch.account == EVERY_ACCOUNT else f"account '{latch.account}'"
            raise RiskHaltError(
                f"{whose} was killed by {latch.set_by} ({latch.reason}); look at the venue, then clear it with: "
                f"sovereign resume --account '{latch.account}'"
            )

    def _alerts(self) -> AlertRouter:
        from sovereign.app.notify.reader import AlertReader
        from sovereign.app.notify.router import AlertRouter
        from sovereign.app.notify.setup import channels_of

        config, task = self.settings.alerts, self.task
        facts = {"Mode": task.mode, "Strategy": task.strategy, "Account": task.account}
        reader = AlertReader(config.zone, config.max_outside_text, facts=facts)
        return AlertRouter(config, reader, channels_of(config), part="session", redact=self.redact).start()

    def _tell_reboot(self, alerts: AlertRouter) -> None:
        """Say that the machine was started anew since a session last ran on it."""
        from sovereign.app.ops.files import replace_file
        from sovereign.store.process import boot_id

        file, boot = self.settings.session.folder / "boot", boot_id()
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            before = file.read_text(encoding="utf-8").strip()
        except OSError:
            before = boot
        if boot and before != boot:
            alerts.sink(
                Notice(
                    ts=now_ns(),
                    code=NoticeCode.SERVER_RESTARTED,
                    severity=Severity.WARNING,
                    subject="machine",
                    text="the machine was started anew since the last session",
                )
            )
        if boot:
            replace_file(file, boot)


class _SessionRun:
    """One session of a trading process: its parts, made anew."""

    def __init__(
        self, process: TradingProcess, store: Store, alerts: AlertRouter, vitals: Any, scouts: ScoutDesk | None = None
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
        self._company = Company(self._settings, store, self._task, self._strategy, scouts, process.stop, process.say)
        if isinstance(self._strategy, EpisodeKeeper):
            self._strategy.use_book(SqlEpisodeBook(store.database, process.task.place, self._say_skipped))
        self._said = 0.0
        self._has_beaten = False
        self._shown: tuple[Any, ...] = ()
        self._send_digest: Callable[[], None] = _nothing

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
        from sovereign.app.ops.schedule import Agenda, session_entries
        from sovereign.app.warm_up import bars_before
        from sovereign.engine.assembly import prepare
        from sovereign.engine.recovery import AfterReplay

        settings, task, process = self._settings, self._task, self._process
        name = task.session_id(session.trade_date)
        path = recording_path(settings, name)
        self._compile(session, instruments)
        warm = warm_up_recordings(self._settings, self._store, task, session.trade_date)
        bars = bars_before(settings, self._recipe.strategy_config, path, session.trade_date, instruments, warm)
        header = self._header(session, warm, bars)
        begun = recorded_opening(path)
        opening = self._opening(lines) if begun is None else begun.opening
        record = self._begin(name, session, path, header, instruments, feed.is_simulated, opening)
        audit = self._store.live.audit(name)
        run = self._store.sink(record, self._describe())
        self._company.begin(session, instruments, feed.clock.now_ns)
        writer = StoreWriter(self._store, name, task.account, self._company.sink(run), now_ns, self._redact)
        self._company.use_writer(writer.later)
        taken = self._store.live.commands.unanswered(name, now_ns())  # by a life of this session that died over them
        commands = CommandPoller(self._store, name, task.account, task.strategy, now_ns, every_s=_COMMAND_EVERY_S, taken=taken)
        heart = self._heartbeat(writer, name)
        agenda = Agenda(session_entries(settings.schedule, session.calendar), session.open_ns)
        self._send_digest = once(partial(self._digest, record, session))
        is_orderly = False
        heard = (self._alerts.sink, self._vitals.metrics, self._log, *self._company.sinks)
        quiet = [AfterReplay(sink) for sink in heard]
        try:
            with self._store.live.journal(name, audit) as journal:
                prepared = prepare(
                    settings.live,
                    lines,
                    path=path,
                    header=header,
                    new_engine=partial(self._engine, (audit, writer, *quiet), feed.is_simulated),
                    new_stream=partial(self._warmed, warm, None if bars is None else bars.feed),
                    journal=journal,
                    kept=self._store.live.requests(name),
                    now_ns=now_ns(),
                    monotonic=time.monotonic,
                    commands=commands,
                    evidence=self._company.evidence,
                    on_heartbeat=partial(self._beat, name, heart, agenda, writer),
                    finish=lambda: _told(audit.finish_replay()),
                    sinks=quiet,
                )
                replayed = prepared.recovered.replayed
                self._company.use_conductor(prepared.conductor)
                process.say(f"{name}: {f'resumed after {replayed:,} recorded inputs' if replayed else 'begun'}")
                process.is_running(prepared.live)
                heart.supervisor.ready(f"{task.strategy} {task.mode}")
                ending = prepared.finish() if is_late else prepared.run(session, instruments, opening)
                is_orderly = ending.exit_code == 0
                self._company.end()
                audit.flush()
        finally:
            process.is_running(None)
            heart.close(is_orderly=is_orderly)
            commands.close()
            self._company.close()
            writer.close()
            run.close()
        conductor = prepared.conductor
        self._end(name, record, conductor, ending, session)
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

    def _header(self, session: Session, warm: Sequence[Path], bars: EarlierData | None) -> dict[str, Any]:
        from sovereign.research.runner import code_hash
        from sovereign.store.runs import digest

        task = self._task
        return {
            "strategy": task.strategy,
            "account": task.account,
            "broker": task.broker,
            "mode": task.mode,
            "trade_date": session.trade_date.isoformat(),
            "code": code_hash(),
            "settings": digest(kept_settings(self._settings)),
            "warm_up": [kept.name for kept in warm],
            **({} if bars is None else {"warm_up_bars": bars.name}),
        }

    def _opening(self, lines: Lines) -> Opening:
        state = self._store.live.states.load(self._task.place, self._task.strategy)
        wait = self._process.is_stopping.wait
        return new_opening(self._settings.live, lines, state, self._recipe.starting_balance, wait)

    def _begin(
        self,
        name: str,
        session: Session,
        path: Path,
        header: Mapping[str, Any],
        instruments: Sequence[Instrument],
        is_simulated: bool,
        opening: Opening,
    ) -> str:
        """Write session and run to the store; a run that was cut off is written anew by the replay."""
        from sovereign.store.live import LiveSession as Kept
        from sovereign.store.runs import RunRecord

        task, recipe, started = self._task, self._recipe, now_ns()
        path.parent.mkdir(parents=True, exist_ok=True)
        usual = self._strategy.usual_bracket(instruments[0])
        record = RunRecord(
            id=name,
            kind=task.mode,
            strategy=task.strategy,
            symbols=tuple(instrument.symbol for instrument in instruments),
            start=session.trade_date,
            end=session.trade_date,
            zone=session.zone,
            config=kept_settings(self._settings),
            config_hash=str(header["settings"]),
            code_hash=str(header["code"]),
            data_hash=f"recording {name}",
            seed=None,
            fill_model=recipe.execution.fill_model.value,
            is_simulated=is_simulated,
            starting_balance=opening.balance,
            started_ns=started,
            instruments=tuple(instruments),
            stop_ticks=None if usual is None else usual.stop_ticks,
            target_ticks=None if usual is None else usual.target_ticks,
            account=task.account,
        )
        kept = Kept(
            id=name,
            account=task.account,
            strategy=task.strategy,
            mode=task.mode,
            trade_date=session.trade_date,
            recording_path=str(path),
            started_ns=started,
            code_hash=str(header["code"]),
            config_hash=str(header["settings"]),
            run_id=name,
        )
        # First the session: it refuses when another process trades it, and then nothing of the run is touched.
        self._store.live.begin_session(kept)
        try:
            self._store.delete_run(name)
        except NotFoundError:
            _logger.debug("run %s is new", name)
        return self._store.begin_run(record)

    def _describe(self) -> Callable[[Any], Any]:
        from sovereign.research.runner import refused_columns

        return partial(refused_columns, self._strategy)

    def _engine(self, sinks: tuple[Any, ...], is_simulated: bool, broker: Any, journal: Any) -> Engine:
        from sovereign.research.live import live_engine

        return live_engine(self._recipe, self._strategy, broker, journal, sinks=sinks, is_simulated_data=is_simulated)

    def _warmed(self, earlier: Sequence[Path], bars: EarlierBars | None, instrument: Instrument) -> SignalStream:
        """Return an instrument's signals as the sessions before have left them."""
        from sovereign.research.live import warmed_stream

        stream = warmed_stream(self._strategy, earlier, instrument, bars=bars)
        return self._company.follow(instrument.symbol, stream)

    # While it runs

    def _say_skipped(self, text: str) -> None:
        """Say that something kept could not be used."""
        severity = Severity.WARNING
        notice = Notice(ts=now_ns(), code=NoticeCode.FAILURE, severity=severity, subject="episodes", text=text)
        self._log(notice)
        self._alerts.sink(notice)

    def _log(self, event: Any) -> None:
        from sovereign.app.ops.log import log_notice

        if isinstance(event, Notice):
            log_notice(_logger, event)

    def _heartbeat(self, writer: StoreWriter, name: str) -> Heartbeat:
        from sovereign.app.ops.desk import session_process
        from sovereign.app.ops.heartbeat import Heartbeat, beat_file

        task, config = self._task, self._settings.heartbeat
        who = {"broker": task.broker, "mode": task.mode, "account": task.account, "strategy": task.strategy}

        def keep(beat: Any) -> None:
            writer.beat(session_process(name), beat.ts, asdict(beat))

        return Heartbeat(config, store=keep, file=beat_file(config.file, **who))

    def _beat(self, name: str, heart: Heartbeat, agenda: Agenda, writer: StoreWriter, sign: Sign) -> None:
        """Give a sign of life by every route; called by the decision thread."""
        from sovereign.app.ops.heartbeat import Beat, memory_mb
        from sovereign.app.ops.schedule import late_notice
        from sovereign.store.process import this_process

        task, me, ts = self._task, this_process(), now_ns()
        self._company.look(sign)
        picture = (sign.state, dict(sign.positions), frozenset(sign.unhealthy))
        if not heart.is_due(ts) and picture == self._shown:
            return
        self._shown = picture  # what changed is told at once: people look at it
        for due in agenda.take(sign.ts):
            notice = late_notice(due, sign.ts)
            if notice is not None:
                self._alerts.sink(notice)
            if not due.is_missed:
                writer.later(self._send_digest)
        beat = Beat(
            ts=ts,
            market_ns=sign.ts,
            pid=me.pid,
            host=me.host,
            process_token=me.token,
            session_id=name,
            strategy=task.strategy,
            mode=task.mode,
            account=task.account,
            broker=task.broker,
            state=sign.state.value,
            feed_age_s=max(0.0, (sign.ts - sign.until_ns) / NS_PER_SECOND) if sign.until_ns else None,
            last_event="",
            last_event_ns=sign.until_ns,
            memory_mb=memory_mb(),
            positions=dict(sign.positions),
            balance=str(sign.balance),
            equity=str(sign.equity),
            troubles={subject: self._redact(reason) for subject, reason in sign.unhealthy.items()},
        )
        heart.beat(beat)
        if not self._has_beaten:
            self._has_beaten = True
            heart.drop_left_behind(beat)
        obstacles = [f"{subject}: {reason}" for subject, reason in sign.unhealthy.items()]
        if sign.state.value != "ACTIVE":
            obstacles.append(f"trading is {sign.state.value}")
        self._vitals.beat(beat, obstacles)
        self._tell(name, sign)

    def _tell(self, name: str, sign: Sign) -> None:
        interval, now = self._task.interval_s, time.monotonic()
        if interval is None or now - self._said < interval:
            return
        self._said = now
        held = ", ".join(f"{quantity:+d} {symbol}" for symbol, quantity in sign.positions.items() if quantity) or "flat"
        troubles = "; ".join(sign.unhealthy.values())
        self._process.say(
            f"{name}: {sign.state.value}, {held}, equity {sign.equity:,.2f}{f' ({troubles})' if troubles else ''}"
        )

    # When it is over

    def _end(self, name: str, run_id: str, conductor: Conductor, ending: Ending, session: Session) -> None:
        """Leave to the next session what it needs, and say how this one ended."""
        from sovereign.store.session_state import HeldPosition, SessionState

        engine, task, ts = conductor.engine, self._task, now_ns()
        account = engine.account
        door = cast("OneDoor", engine.door)
        halts = [{"cause": h.cause, "reason": h.reason, "by": h.by, "ts": h.ts} for h in door.halts]
        if ending.is_closed:
            self._store.live.states.save(
                SessionState(
                    account=task.place,
                    strategy=task.strategy,
                    trade_date=session.trade_date,
                    updated_ns=ts,
                    balance=account.balance,
                    day_start_balance=account.day_start_balance,
                    high_water_mark=account.high_water_mark,
                    session_id=name,
                    trading_state=engine.state,
                    halts=halts,
                    positions=[
                        HeldPosition(symbol=symbol, tape=held.tape, quantity=held.quantity, cost_ticks=held.cost_ticks)
                        for symbol, held in engine.positions.items()
                    ],
                    door=engine.door.state(),
                    execution_cursor=ending.cursor,
                )
            )
        trades = self._store.trades(run_id)
        summary = {
            "trades": len(trades),
            "net": str(sum((trade.net for trade in trades), start=account.balance * 0)),
            "balance": str(account.balance),
            "reason": ending.reason,
        }
        status = "finished" if ending.is_closed else "stopped" if ending.exit_code == 0 else "failed"
        self._store.finish_run(run_id, finished_ns=ts, summary=summary, status=status)
        self._store.live.end_session(
            name, ended_ns=ts, status=_ENDED if ending.is_closed else status, reason=self._redact(ending.reason)
        )
        if ending.is_closed:
            self._send_digest()  # a tape may end before the hour of the digest

    def _digest(self, run_id: str, session: Session) -> None:
        from sovereign.app.notify.digest import daily_digest, limits_of

        store = self._store
        day_start = store.run(run_id).record.starting_balance
        loss, profit = limits_of(self._recipe.risk, day_start, None)
        digest = daily_digest(store, run_id, session, loss_limit=loss, profit_target=profit, notices=())
        self._alerts.post(digest.alert(now_ns()))


def _nothing() -> None:
    """No session has begun."""


def once(act: Callable[[], object]) -> Callable[[], None]:
    """Return what does `act` the first time it is called, and nothing afterwards."""
    waiting = [act]

    def do() -> None:
        if waiting:
            waiting.pop()()

    return do


def _told(difference: Any) -> str | None:
    if difference is None:
        return None
    return f"the audit stream differs from the stored one at event {difference.seq} ({difference.stored.kind})"
