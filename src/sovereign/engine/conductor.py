"""One engine and its signal streams, driven by inputs alone: the same inputs give the same events, byte for byte.

A live session, its recovery and its twin all stand here; what differs is who brings the inputs and where the requests go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Protocol, runtime_checkable

import numpy as np

from sovereign.core.columns import Trades
from sovereign.core.command import Command
from sovereign.core.errors import UsageError
from sovereign.core.event import Notice, NoticeCode, Severity
from sovereign.core.instrument import Instrument, find_instrument
from sovereign.core.port import Block, EvidenceListener, SignalStream
from sovereign.core.session import NEVER, NS_PER_MINUTE, Session
from sovereign.engine.engine import Engine
from sovereign.engine.inputs import (
    CommandReceived,
    ConnectionChanged,
    CorrectionMade,
    EvidenceReceived,
    HealthChanged,
    Input,
    MarginsChanged,
    NoticeRaised,
    Opening,
    OpenPosition,
    ReportReceived,
    SessionClosed,
    SessionOpened,
    Slice,
    TimePromised,
)
from sovereign.engine.walk import SessionWalk, StreamFactory
from sovereign.execution.report import ExecutionReport


@runtime_checkable
class TakesReports(Protocol):
    """A broker whose reports come from outside: `brokers.remote.RemoteBroker`."""

    def deliver(self, report: ExecutionReport, ts: int, *, tape: str = "", row: int = 0, until_ns: int = NEVER) -> int:
        """Hand in a report that became known at `ts`; no row of its tape comes at or after `until_ns`."""
        ...

    def set_margins(self, margins: Mapping[str, Decimal]) -> None:
        """Take the margins per unit that are charged now."""
        ...


class Conductor:
    """Applies inputs to one engine, for one session.

    Parameters
    ----------
    engine : with any broker; reports are handed to one that takes them, and are an error for any other.
    new_stream : creates the signals of an instrument, warmed up.
    late_notice_ns : ticks that come too late are counted always and reported at most once in this time (market time).
    """

    def __init__(
        self,
        engine: Engine,
        new_stream: StreamFactory,
        broker: object,
        *,
        late_notice_ns: int = NS_PER_MINUTE,
    ) -> None:
        self.engine = engine
        self.session: Session | None = None
        self.applied = 0
        self.late_ticks: dict[str, int] = {}
        self.ticks: dict[str, int] = {}
        self.is_closed = False
        self.cursor = 0
        """The broker's last execution that the opening, and once it is closed the session, knows of."""
        self._new_stream = new_stream
        self._remote = broker if isinstance(broker, TakesReports) else None
        self._late_notice_ns = late_notice_ns
        self._late_said: dict[str, int] = {}
        self._walk: SessionWalk | None = None
        self._is_margin_due = False
        self._acts: Mapping[type[Input], Callable[..., None]] = {
            SessionOpened: self._open,
            Slice: self._slice,
            TimePromised: self._promise,
            ReportReceived: self._report,
            ConnectionChanged: self._connection,
            HealthChanged: self._health,
            CommandReceived: self._command,
            CorrectionMade: self._correction,
            MarginsChanged: self._margins,
            NoticeRaised: self._notice,
            EvidenceReceived: self._evidence,
            SessionClosed: self._close,
        }

    @property
    def until_ns(self) -> int:
        """Up to where all market data has been walked (UTC ns); 0 before the session is opened."""
        return 0 if self._walk is None else self._walk.until_ns

    @property
    def is_told_more(self) -> bool:
        """Whether reports were received that wait for their tick: our books lag behind what we were told."""
        return bool(getattr(self._remote, "is_waiting", False))

    def promised_ns(self, symbol: str) -> int:
        """Return up to when a tape has promised to be complete (UTC ns); 0 before the session is opened."""
        return 0 if self._walk is None else self._walk.merger.promised_ns(symbol)

    def tape_of(self) -> dict[str, str]:
        """Return the tape that values each symbol which the door would trade now, or which is held."""
        tapes = {self.engine.door.traded_symbol(tape): tape for tape in self.engine.instruments}
        return tapes | {symbol: position.tape for symbol, position in self.engine.positions.items()}

    @property
    def held_ticks(self) -> int:
        """Number of ticks that wait for another tape's promise."""
        return 0 if self._walk is None else self._walk.merger.held_ticks

    def apply(self, item: Input) -> None:
        """Take one input.

        Raises
        ------
        UsageError : the input does not fit the state of the session (a report for a broker that takes none, ...).
        """
        self._acts[type(item)](item)
        self.applied += 1

    def closing(self) -> Opening:
        """Return what the next session begins with."""
        account = self.engine.account
        return Opening(
            balance=account.balance,
            high_water_mark=account.high_water_mark,
            positions=tuple(
                OpenPosition(symbol=symbol, tape=p.tape, quantity=p.quantity, cost_ticks=p.cost_ticks)
                for symbol, p in account.positions.items()
            ),
            door=self.engine.door.state(),
        )

    def _open(self, item: SessionOpened) -> None:
        engine, opening, account = self.engine, item.opening, self.engine.account
        account.balance, account.high_water_mark = opening.balance, opening.high_water_mark
        for p in opening.positions:
            account.adopt(find_instrument(p.symbol), p.tape, p.quantity, p.cost_ticks, item.session.open_ns, "carried over")
        if opening.door:
            engine.door.restore(opening.door)
        engine.start_session(item.session, item.instruments)
        if opening.moved:
            self._say_moved(opening)
        streams: dict[str, SignalStream] = {}
        for instrument in item.instruments:
            stream = streams[instrument.symbol] = self._new_stream(instrument)
            stream.start_session(item.session)
        self.session = item.session
        self.cursor = opening.cursor
        self.ticks = dict.fromkeys(streams, 0)
        self.late_ticks = dict.fromkeys(streams, 0)
        self._walk = SessionWalk(item.session, streams, (engine,))

    def _say_moved(self, opening: Opening) -> None:
        before = opening.balance - opening.moved
        words = f"{abs(opening.moved):,.2f} {'came' if opening.moved > 0 else 'went'} since the last session without a trade"
        text = f"{words}: the day begins with {opening.balance:,.2f}, not {before:,.2f}; it is neither profit nor loss"
        values = {"balance_before": str(before), "balance": str(opening.balance), "difference": str(opening.moved)}
        self._say(NoticeCode.MONEY_MOVED, Severity.WARNING, "cash", text, values)

    def _slice(self, item: Slice) -> None:
        walk = self._need()
        trades = item.trades
        if len(trades):
            self.ticks[item.symbol] = self.ticks.get(item.symbol, 0) + len(trades)
            promised = walk.merger.promised_ns(item.symbol)
            if int(trades.ts[0]) < promised:
                trades = self._late(item, promised)
        walk.add(Block(item.symbol, trades, item.until_ns))
        if self._is_margin_due and self.engine.last_ticks():
            self._is_margin_due = False
            self._at(max(item.ts, self.until_ns))
            self.engine.inspect()

    def _late(self, item: Slice, promised: int) -> Trades:
        """Take ticks that come after their time at the time already promised; count them, and say so now and then."""
        trades, symbol = item.trades, item.symbol
        late = int(np.searchsorted(trades.ts, promised))
        count = self.late_ticks[symbol] = self.late_ticks[symbol] + late
        said = self._late_said.get(symbol)
        if said is None or item.ts - said >= self._late_notice_ns:
            self._late_said[symbol] = item.ts
            behind = (promised - int(trades.ts[0])) / 1e6
            self._say(
                NoticeCode.DATA_LATE,
                Severity.WARNING,
                symbol,
                f"{late} ticks came up to {behind:.3f} ms after their time had been promised over; {count} so far today",
                {"ticks": late, "late_ms": behind, "total": count},
            )
        return Trades(
            np.maximum(trades.ts, promised),
            trades.price,
            trades.size,
            trades.side,
            trades.bid,
            trades.ask,
            is_path=trades.is_path,
        )

    def _promise(self, item: TimePromised) -> None:
        self._need().promise(item.ts)

    def _report(self, item: ReportReceived) -> None:
        # Ticks before what was promised over, and those of the next session, do not come: nothing can wait for them.
        close = item.ts if self.session is None else self.session.close_ns
        row = item.row if self.until_ns <= item.report.ts < close else 0
        # One that still waits for its tick when the session closes counts then, in its order among the others.
        self._need_remote().deliver(item.report, min(item.ts, close), tape=item.tape, row=row, until_ns=close)
        self._catch_up()

    def _margins(self, item: MarginsChanged) -> None:
        self._need_remote().set_margins(item.margins)
        self._at(item.ts)
        # A day of high margins is known before anything is traded, and no sooner than what is traded has a price.
        self._is_margin_due = not self.engine.last_ticks()
        self.engine.inspect()

    def _connection(self, item: ConnectionChanged) -> None:
        self._at(item.ts)
        self.engine.set_health(f"connection:{item.subject}", item.is_connected, item.reason)
        code = NoticeCode.CONNECTION_RESTORED if item.is_connected else NoticeCode.CONNECTION_LOST
        severity = Severity.INFO if item.is_connected else Severity.ALARM
        words = "is back" if item.is_connected else "was lost; no entries until it is back"
        text = f"the connection to the {item.subject} {words}" + (f" ({item.reason})" if item.reason else "")
        self._say(code, severity, item.subject, text)

    def _health(self, item: HealthChanged) -> None:
        self._at(item.ts)
        self.engine.set_health(item.subject, item.is_well, item.reason)
        if item.code is not None:
            self._say(item.code, item.severity, item.subject, item.reason)

    def _command(self, item: CommandReceived) -> None:
        self._at(item.ts)
        command: Command = item.command
        self.engine.command(command)
        self._catch_up()

    def _correction(self, item: CorrectionMade) -> None:
        self._at(item.ts)
        self.engine.correct(item.correction)
        self._catch_up()

    def _notice(self, item: NoticeRaised) -> None:
        self._at(item.ts)
        self._say(item.code, item.severity, item.subject, item.text, item.values)

    def _evidence(self, item: EvidenceReceived) -> None:
        # It moves no time and decides nothing: rows from `ts` on may look at it.
        strategy = self.engine.strategy
        if isinstance(strategy, EvidenceListener):
            strategy.on_evidence(item.ts, item.snapshots, item.readings)

    def _close(self, item: SessionClosed) -> None:
        walk = self._need()
        self.cursor = max(self.cursor, item.cursor)
        walk.close()
        self.engine.end_session()
        self._walk = None
        self.is_closed = True

    def _at(self, ts: int) -> None:
        # A session's own time ends with its close. What was asked after it would else be answered at a time that never comes.
        self.engine.at(ts if self.session is None else min(ts, self.session.close_ns))

    def _catch_up(self) -> None:
        # What became due by this input at a time already walked happens now; the rest waits for its time.
        if self._walk is not None:
            self.engine.process((), {}, self._walk.until_ns)

    def _say(
        self,
        code: NoticeCode,
        severity: Severity,
        subject: str,
        text: str,
        values: Mapping[str, str | int | float] | None = None,
    ) -> None:
        self.engine.notice(
            Notice(ts=self.engine.now_ns, code=code, severity=severity, subject=subject, text=text, values=values or {})
        )

    def _need(self) -> SessionWalk:
        if self._walk is None:
            raise UsageError("an input came while no session was open; open one first")
        return self._walk

    def _need_remote(self) -> TakesReports:
        if self._remote is None:
            raise UsageError("a report came for a broker that makes its own; use a remote broker")
        return self._remote


def opened(session: Session, instruments: Sequence[Instrument], opening: Opening) -> SessionOpened:
    """Return the input that opens a session at its open."""
    return SessionOpened(ts=session.open_ns, session=session, instruments=tuple(instruments), opening=opening)
