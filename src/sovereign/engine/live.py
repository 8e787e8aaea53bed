"""A live session: the decision thread, which turns whatever comes into recorded inputs and looks at the time in between.

The engine and everything it decides is in the conductor; here is only what a running process adds: order of arrival, silence,
lines that break, questions to the broker, people. Whatever of it matters to the engine becomes an input, so that the recording
alone tells the session again (docs/concepts/live.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from sovereign.core.command import Command, CommandKind
from sovereign.core.errors import SovereignError
from sovereign.core.event import NoticeCode, Severity, TradingState
from sovereign.core.instrument import Instrument
from sovereign.core.news import NewsReading
from sovereign.core.session import Session
from sovereign.core.tape import TapeSnapshot
from sovereign.engine.conductor import Conductor, opened
from sovereign.engine.inbox import Answered, Connected, Inbox, Item, Outbox, Reported, Waiting
from sovereign.engine.inputs import (
    CommandReceived,
    ConnectionChanged,
    EvidenceReceived,
    HealthChanged,
    Input,
    MarginsChanged,
    NoticeRaised,
    Opening,
    ReportReceived,
    SessionClosed,
    Slice,
    TimePromised,
    to_frame,
)
from sovereign.engine.lines import BROKER, FEED, Lines
from sovereign.engine.live_configuration import LiveConfig
from sovereign.engine.reconciler import Reconciler
from sovereign.engine.recovery import ReplayJournal
from sovereign.store.recording import Recording

_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """A sign of life: market time, how far it has been walked, what waits, and the state of trading."""

    ts: int
    until_ns: int
    backlog_ns: int
    inputs: int
    state: TradingState
    unhealthy: Mapping[str, str]
    positions: Mapping[str, int]
    balance: Decimal
    equity: Decimal
    is_connected: Mapping[str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a session ended: `exit_code` is 0 in good order (closed or stopped); `cursor` is the broker's last execution."""

    exit_code: int
    reason: str
    is_closed: bool
    cursor: int


class NextCommands(Protocol):
    """Where commands come from."""

    def __call__(self) -> Sequence[Command]:
        """Return the commands that wait, oldest first; those returned are not returned again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What scouts have seen since the last look, and what of them is silent now or has come back (`HealthChanged.reason`)."""

    snapshots: tuple[TapeSnapshot, ...] = ()
    readings: tuple[NewsReading, ...] = ()
    silent: Mapping[str, str] = field(default_factory=dict)
    back: Mapping[str, str] = field(default_factory=dict)


class NextEvidence(Protocol):
    """Where evidence comes from."""

    def __call__(self) -> Seen:
        """Return what was seen since the last call; never waits, and never anything of a later market time than now."""
        ...


def no_evidence() -> Seen:
    """Return nothing: nobody looks."""
    return Seen()


def no_commands() -> Sequence[Command]:
    """Return nothing: nobody asks for anything."""
    return ()


def ignore_heartbeat(_: Heartbeat) -> None:
    """Nobody listens."""


class LiveSession:
    """One trade date, from its opening or its recovery to its close, a stop, or a failure.

    Parameters
    ----------
    conductor : with its engine; after a recovery, where the recording left it.
    recording : every input goes there before it is applied.
    lines : started; their inbox is drained here. outbox : of the engine's remote broker; None with a broker in this process.
    journal : of the engine; None keeps nothing.
    monotonic : seconds of the machine that only grow; for what silence means, never for decisions.
    commands, evidence, on_heartbeat : asked and called by the decision thread; must not wait.
    """

    def __init__(
        self,
        *,
        config: LiveConfig,
        conductor: Conductor,
        recording: Recording,
        lines: Lines,
        outbox: Outbox | None,
        journal: ReplayJournal | None = None,
        monotonic: Callable[[], float],
        commands: NextCommands = no_commands,
        evidence: NextEvidence = no_evidence,
        on_heartbeat: Callable[[Heartbeat], None] = ignore_heartbeat,
    ) -> None:
        self.config = config
        self.conductor = conductor
        self._recording = recording
        self._lines = lines
        self._inbox: Inbox = lines.inbox
        self._outbox = outbox
        self._journal = journal
        self._clock = lines.feed.clock
        self._monotonic = monotonic
        self._commands = commands
        self._evidence = evidence
        self._on_heartbeat = on_heartbeat
        self._ended: tuple[int, str] | None = None
        self._heard: dict[str, float] = {}
        self._mute: set[str] = set()
        self._retried = 0.0
        self._is_behind = False
        self._backlog_ns = 0
        self._is_connected: dict[str, bool] = {}
        self._beat = self._polled = float("-inf")
        self._told_ns = 0
        self._is_late = False
        self._waiting: tuple[Session, tuple[Instrument, ...]] | None = None  # for a comparison, before data are asked for
        self._reconciler = None if lines.link is None else Reconciler(self, lines, config)

    # Who runs it

    def run(self, first: Session, instruments: Sequence[Instrument], opening: Opening, after: Sequence[Input] = ()) -> Ending:
        """Run until the session is over; what breaks ends it as well, and is said in the audit stream and the exit code.

        Parameters
        ----------
        opening : what a new session begins with; not looked at when the recording has begun it already.
        after : inputs that a recovery adds before anything else happens.
        """
        return self._run(lambda: self._begin(first, instruments, opening, after))

    def finish(self, after: Sequence[Input] = ()) -> Ending:
        """Settle a session that was cut off and whose date is over: compare with the broker, run to the close, and close it.

        Nothing is opened any more, and the rest of its market data is not asked for; what had to be closed at the bell is
        closed now.
        """
        self._is_late = True
        return self._run(lambda: self._begin_late(after))

    def _run(self, begin: Callable[[], None]) -> Ending:
        try:
            begin()
            while self._ended is None:
                self._step()
        except Exception as error:  # noqa: BLE001 - told, and turned into the exit code
            self._fail(error)
        code, reason = self._ended or (0, "")
        cursor = 0 if self._reconciler is None else self._reconciler.cursor
        return Ending(exit_code=code, reason=reason, is_closed=self.conductor.is_closed, cursor=cursor)

    def stop(self, reason: str) -> None:
        """End the session in good order, soon; may be called from any thread and from a signal handler."""
        self._ended = self._ended or (0, reason)
        self._inbox.wake()

    def now(self) -> int:
        """Return the market time at which what happens now becomes known: never before what has been walked."""
        return max(self._clock.now_ns(), self.conductor.until_ns)

    def seconds(self) -> float:
        """Return the machine's seconds, for what silence means."""
        return self._monotonic()

    def is_connected(self, subject: str) -> bool:
        """Say whether the line to the `feed` or the `broker` stands."""
        return self._is_connected.get(subject, False)

    def apply(self, item: Input) -> None:
        """Record an input and apply it; the requests that it leads to are made durable together, and then leave.

        When something breaks on the way none of them leaves.
        """
        self._recording.append(to_frame(item))
        if self._journal is not None:
            self._journal.hold()
        if self._outbox is not None:
            self._outbox.hold()
        self.conductor.apply(item)
        if self._journal is not None:
            self._journal.commit()
        if self._outbox is not None:
            self._outbox.release()

    def _begin(self, session: Session, instruments: Sequence[Instrument], opening: Opening, after: Sequence[Input]) -> None:
        if self.conductor.session is None:
            self.apply(opened(session, instruments, opening))
        self._begin_lines(after)
        self._waiting = (session, tuple(instruments))
        self._resume()

    def _resume(self) -> None:
        """Ask for market data; a venue that is feed and broker in one is compared with first, as its market waits for us."""
        if self._waiting is None or not self._may_read():
            return
        (session, instruments), self._waiting = self._waiting, None
        self._heard = dict.fromkeys((instrument.symbol for instrument in instruments), self._monotonic())
        for instrument in instruments:
            ticks = self.conductor.ticks.get(instrument.symbol, 0)
            self._lines.resume_from(session, instrument.symbol, self.conductor.promised_ns(instrument.symbol), ticks)
        self._say_worked()  # a venue in lockstep may have nothing new before it hears that

    def _begin_late(self, after: Sequence[Input]) -> None:
        reason = "the session was cut off, and its date is over; it is only settled"
        self.apply(HealthChanged(ts=self.now(), subject="session", is_well=False, reason=reason))
        self._begin_lines(after)

    def _begin_lines(self, after: Sequence[Input]) -> None:
        for line in (FEED,) if self._reconciler is None else (FEED, BROKER):
            self._is_connected[line] = False
            self.apply(HealthChanged(ts=self.now(), subject=f"connection:{line}", is_well=False, reason="not connected yet"))
        if self._outbox is not None and not self._outbox.is_open:
            self._outbox.open(self._lines.deliver)
        for item in after:
            self.apply(item)
        if self._reconciler is not None:
            self._reconciler.begin(self.conductor.cursor)

    def _step(self) -> None:
        item = self._inbox.take(self.config.poll_ms / 1_000)
        if item is not None:
            self._handle(item)
        now = self._monotonic()
        if item is None or now - self._polled >= self.config.poll_ms / 1_000:
            self._polled = now
            self._look(now, is_silent=item is None)
        self._close_when_over()

    # What came

    def _handle(self, item: Item) -> None:
        if isinstance(item, Waiting):
            self._on_blocks(item)
        elif isinstance(item, Reported):
            # On one line the venue's time is the tape's; else a venue whose clock is ahead must not make a report wait.
            ts = item.report.ts if self._lines.is_one else min(item.report.ts, self.now())
            self.apply(ReportReceived(ts=ts, report=item.report, tape=item.tape, row=item.row, number=item.number))
        elif isinstance(item, Connected):
            self._on_connection(item)
        elif isinstance(item, Answered):
            item.take(item.value)
        else:
            raise item.error

    def _on_blocks(self, waiting: Waiting) -> None:
        self._watch_backlog(waiting.oldest_ns)
        heard = self._monotonic()
        for block in waiting.merged():
            if block.symbol not in self._heard:
                continue  # of the session before, or of a symbol nobody asked for
            self._heard[block.symbol] = heard
            if block.symbol in self._mute:
                self._mute.discard(block.symbol)
                self._say_data(block.symbol, is_well=True, reason="data flow again")
            if len(block.trades) or block.until_ns > self.conductor.promised_ns(block.symbol):
                self.apply(Slice(ts=self.now(), symbol=block.symbol, trades=block.trades, until_ns=block.until_ns))
        self._say_worked()

    def _say_worked(self) -> None:
        until = self.conductor.until_ns
        if until > self._told_ns and self._is_compared():
            self._told_ns = until
            self._lines.worked_through(until)

    def _is_compared(self) -> bool:
        """Say whether the market of a venue that is feed and broker in one may go on: our books were held against its own."""
        if self._reconciler is None or not self._lines.is_one:
            return True
        return self._reconciler.has_compared(self._monotonic())

    def _may_read(self) -> bool:
        if self._reconciler is None or not self._lines.is_one:
            return True
        return self._reconciler.may_read(self._monotonic())

    def _on_connection(self, item: Connected) -> None:
        if self._is_connected.get(item.subject) == item.is_connected:
            return
        self._is_connected[item.subject] = item.is_connected
        self.apply(ConnectionChanged(ts=self.now(), subject=item.subject, is_connected=item.is_connected, reason=item.reason))
        if item.is_connected and item.subject == BROKER and self._reconciler is not None:
            self._reconciler.ask("the connection is back")

    # What did not come

    def _look(self, now: float, *, is_silent: bool) -> None:
        for command in self._commands():
            self._on_command(command)
        self._look_at_evidence()
        if is_silent:
            self._promise()
            self._watch_backlog(None)
        self._watch_data(now)
        if self._reconciler is not None:
            self._reconciler.look(now)
        self._resume()
        self._say_worked()
        if now - self._beat >= self.config.heartbeat_s:
            self._beat = now
            self._on_heartbeat(self.heartbeat())

    def _look_at_evidence(self) -> None:
        """Take what scouts have seen; their silence is told, and keeps nothing from being opened or closed."""
        seen = self._evidence()
        if seen.snapshots or seen.readings:
            ts = max(self.now(), self.conductor.until_ns + 1)
            self.apply(EvidenceReceived(ts=ts, snapshots=seen.snapshots, readings=seen.readings))
        for subject, text in (*seen.silent.items(), *seen.back.items()):
            is_silent = subject in seen.silent
            code = NoticeCode.DATA_STALE if is_silent else NoticeCode.DATA_RESTORED
            severity = Severity.WARNING if is_silent else Severity.INFO
            self.apply(NoticeRaised(ts=self.now(), code=code, severity=severity, subject=subject, text=text))

    def _on_command(self, command: Command) -> None:
        self.apply(CommandReceived(ts=self.now(), command=command))
        if command.kind is CommandKind.STOP:
            self.stop(f"stopped by {command.by}")
        elif command.kind is CommandKind.RECONCILE and self._reconciler is not None:
            self._reconciler.ask(f"asked by {command.by}")

    def _promise(self) -> None:
        """The feed is silent: time itself goes on, so that timers fire and bars close."""
        session, until = self.conductor.session, self.conductor.until_ns
        if session is None or not self._may_read():
            return
        certain = min(self._clock.now_ns() - self.config.promise_delay_ms * _NS_PER_MS, session.close_ns)
        if self._is_late:
            certain = session.close_ns  # a date that is over; the feed may have none any more that could tell the time
        step = 1 if self.conductor.held_ticks or certain == session.close_ns else self.config.promise_every_ms * _NS_PER_MS
        if certain - until >= step:
            self.apply(TimePromised(ts=certain))

    def _watch_backlog(self, oldest_ns: int | None) -> None:
        self._backlog_ns = 0 if oldest_ns is None else max(0, self._clock.now_ns() - oldest_ns)
        limit = self.config.backlog_ms * _NS_PER_MS
        if not self._is_behind and self._backlog_ns > limit:
            self._is_behind = True
            reason = f"market data is {self._backlog_ns / 1e9:.1f} s behind the market, allowed are {limit / 1e9:g} s"
            self._say_health("backlog", is_well=False, reason=reason, code=NoticeCode.DATA_STALE)
        elif self._is_behind and self._backlog_ns < limit // 2:
            self._is_behind = False
            self._say_health("backlog", is_well=True, reason="market data is up to date again", code=NoticeCode.DATA_RESTORED)

    def _watch_data(self, now: float) -> None:
        session = self.conductor.session
        if session is None:
            return
        if not session.is_open(self._clock.now_ns()):
            self._heard = dict.fromkeys(self._heard, now)  # silence means nothing while the venue is closed
            return
        limit = self.config.stale_data_s
        for symbol, heard in self._heard.items():
            if now - heard >= limit and symbol not in self._mute:
                self._mute.add(symbol)
                self._say_data(
                    symbol, is_well=False, reason=f"nothing was heard for {now - heard:.1f} s; the line is made anew"
                )
                self._retried = float("-inf")
        if self._mute and now - self._retried >= limit:
            self._retried = now
            self._lines.reconnect(f"nothing was heard of {', '.join(sorted(self._mute))}")

    def _say_data(self, symbol: str, *, is_well: bool, reason: str) -> None:
        code = NoticeCode.DATA_RESTORED if is_well else NoticeCode.DATA_STALE
        self._say_health(f"data:{symbol}", is_well=is_well, reason=reason, code=code)

    def _say_health(self, subject: str, *, is_well: bool, reason: str, code: NoticeCode) -> None:
        severity = Severity.INFO if is_well else Severity.ALARM
        self.apply(HealthChanged(ts=self.now(), subject=subject, is_well=is_well, reason=reason, code=code, severity=severity))

    def margins(self, margins: Mapping[str, Decimal]) -> None:
        """Take the margins that the broker charges now."""
        self.apply(MarginsChanged(ts=self.now(), margins=dict(margins)))

    def heartbeat(self) -> Heartbeat:
        """Return how the session stands."""
        engine = self.conductor.engine
        return Heartbeat(
            ts=self.now(),
            until_ns=self.conductor.until_ns,
            backlog_ns=self._backlog_ns,
            inputs=self.conductor.applied,
            state=engine.state,
            unhealthy=dict(engine.unhealthy),
            positions={symbol: position.quantity for symbol, position in engine.positions.items()},
            balance=engine.account.balance,
            equity=engine.account.equity(engine.last_ticks()),
            is_connected=dict(self._is_connected),
        )

    # How it ends

    def _close_when_over(self) -> None:
        session = self.conductor.session
        if session is None or self._ended is not None or self.conductor.until_ns < session.close_ns:
            return
        if self.conductor.held_ticks or self._inbox.oldest_ns() is not None:
            return
        if self._reconciler is not None and not self._reconciler.is_done(self._monotonic()):
            return
        cursor = self.conductor.cursor if self._reconciler is None else self._reconciler.cursor
        self.apply(SessionClosed(ts=max(self.now(), session.close_ns), cursor=cursor))
        self._ended = (0, "the session closed")

    def _fail(self, error: Exception) -> None:
        """Say what broke by every route that still works; entries are refused from here on, and the process ends."""
        code = error.exit_code if isinstance(error, SovereignError) else 1
        text = f"{type(error).__name__}: {error}"
        self._ended = (code or 1, text)
        try:
            self.apply(
                NoticeRaised(ts=self.now(), code=NoticeCode.FAILURE, severity=Severity.CRITICAL, subject="session", text=text)
            )
        except Exception as second:  # noqa: BLE001 - the first error is what counts; this one is told with it
            self._ended = (code or 1, f"{text}; and while saying so {type(second).__name__}: {second}")
