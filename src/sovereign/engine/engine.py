"""The loop. One engine runs every mode; a mode is another feed, broker and set of sinks (see `recipe`).

Each block of ticks is walked in slices, cut at every moment at which something could be decided: the venue acts, a timer
fires, a signal row wakes the strategy, an order fills, or a price is reached at which a daily limit would trip. Inside a
slice only compiled code runs. At equal times the order is: venue, timers, rows. How the stream was cut into blocks changes
nothing (tests/property/test_slice_law.py).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

from sovereign.core.columns import Trades
from sovereign.core.command import Command
from sovereign.core.decision import Approved, Proposal, Refused
from sovereign.core.errors import DataError
from sovereign.core.event import (
    Event,
    Notice,
    NoticeCode,
    SessionEnded,
    SessionStarted,
    Severity,
    TradingState,
    TradingStateChanged,
    make_rows_closed,
)
from sovereign.core.instrument import Instrument
from sovereign.core.order import Order, OrderRole
from sovereign.core.port import Block, Signals, make_moment
from sovereign.core.position import Position, Trade
from sovereign.core.session import NEVER, Session
from sovereign.engine.agenda import ASKED
from sovereign.engine.commands import CommandDesk
from sovereign.engine.course import DOOR, TIMER, VENUE, Course
from sovereign.engine.desk import closing
from sovereign.engine.stretch import Still
from sovereign.engine.tape import Tape
from sovereign.execution.reconcile import Correction
from sovereign.execution.report import ExecutionReport


def _refuse_past(block: Block, walked: int | None) -> None:
    if walked is not None and len(block.trades.ts) and block.trades.ts.item(0) < walked:
        raise DataError(
            f"a block of {block.symbol} began at {int(block.trades.ts[0])} ns, but market data up to {walked} ns had been "
            f"worked through; hand in the blocks of several instruments together, over the same span of time"
        )


class Engine(Course):
    """One lane: a strategy, a risk door, a broker and an account on market data that is handed in.

    Parameters
    ----------
    journal : where requests are made durable before they leave; a backtest has none.
    is_simulated_data : the market itself is invented; every record of the session says so.
    killed : asked before every decision; true blocks everything that is not reduce-only.
    is_brief : nobody reads this lane's decisions: a refusal leaves no record, and while the lane is halted and flat its
        strategy is not asked for any.
    new_watch : makes the watch over positions without a working stop; None watches none.
    """

    __slots__ = (
        "_commands",
        "_flat_cause",
        "_ticks",
    )

    def _set_up(self) -> None:
        super()._set_up()
        self._ticks = 0
        self._flat_cause = ""  # why nothing may be open any more; empty while something may
        self._commands = CommandDesk(self)

    def start_session(self, session: Session, instruments: Sequence[Instrument]) -> None:
        """Begin a trade date on these instruments."""
        self._session = session
        self._prefix = f"{self._strategy.name}-{session.trade_date.isoformat().replace('-', '')}-"
        self._now = session.open_ns
        self._ticks = 0
        self._decisions = 0
        self._is_inspected = False
        self._agenda.start_session()
        self._flat_cause = ""
        self._guards = None
        self._sent.clear()
        gone = self._rolled(instruments)
        last, held = self.last_ticks(), self.account.positions.values()
        self._carried = {position.tape: last[position.tape] for position in held if position.tape in last}
        nothing = Trades.empty()
        self._tapes = {i.symbol: Tape(i, n, nothing) for n, i in enumerate(instruments)}
        self._begin_course()
        # What is held but does not trade today still has its margin.
        absent = [position.instrument for position in held if position.tape not in self._tapes]
        self._broker.start_session((*instruments, *absent))
        self._timers = [(self._door.flatten_ns(session), "flatten")]
        heapq.heapify(self._timers)
        self._commands.start_session()
        self.account.start_session(self._carried)
        self._emit(
            SessionStarted(
                ts=session.open_ns,
                session=session,
                symbols=tuple(self._tapes),
                balance=self.account.balance,
                is_simulated_data=self._is_simulated_data,
            )
        )
        if self.state is not TradingState.ACTIVE:
            # Halts of the day end with the day; one that outlives it is repeated by the door just below.
            opened = TradingStateChanged(ts=self._now, state=TradingState.ACTIVE, cause="session", reason="a new session")
            self._absorb((opened,))
        self._absorb(self._door.start_session(session, self.account.day_start_balance))
        for symbol, tape in gone.items():
            # A contract that is not traded any more: its data ended before the position on it could be closed.
            if tape.last_ticks is not None:
                self._apply(self._broker.end_tape(symbol, tape.last_ticks, self._now))
        for instrument in instruments:
            self._strategy.start_session(session, instrument)

    def _rolled(self, instruments: Sequence[Instrument]) -> dict[str, Tape]:
        # The last session's contracts whose product trades in another one now; a share that rests for a day comes back.
        symbols, roots = {i.symbol for i in instruments}, {i.root for i in instruments}
        return {s: t for s, t in self._tapes.items() if s not in symbols and t.instrument.root in roots}

    def process(self, blocks: Iterable[Block], signals: Mapping[str, Signals], until_ns: int) -> None:
        """Take the next blocks, one per tape at most, and walk everything that is certain before `until_ns`.

        Parameters
        ----------
        signals : of each tape's signal stream after it has consumed the same blocks.
        """
        blocks = tuple(blocks)
        walked = self._data_ns()
        for block in blocks:
            _refuse_past(block, walked)
            self._ticks += len(block.trades.ts)
        self._begin_block(blocks)
        for symbol, found in signals.items():
            tape = self._tapes[symbol]
            tape.rows, tape.candidates, tape.waking = found
        self._line_up()
        while True:
            ts, kind, hit, row = self._next_moment(until_ns)
            if not self._walk(ts, hit, row):
                self._after_moment()
                continue
            if ts == NEVER:
                self._end_block()
                return
            self._now = max(self._now, ts)
            if kind == VENUE:
                tapes = self._due_tapes(ts)
                self._settle_tapes(tapes)
                reports = self._broker.on_time(ts)
                self._orders_changed(tapes)
                self._apply(reports)
            elif kind == TIMER:
                self._on_timer(heapq.heappop(self._timers)[1])
            elif kind == DOOR:
                self._inspect()
                self._protect()
            elif hit is not None:
                self._on_row(hit, row, self._agenda.take())
            self._after_moment()

    def end_session(self) -> None:
        """Close the trade date: expire day orders, tell the rows, take the balance."""
        session = self._session
        if session is None:
            return
        self._now = max(self._now, session.close_ns)
        self._settle_tapes()
        if (refusals := self._agenda.end_session()) is not None:
            self._tell_refusals(len(refusals), refusals.records)
        for symbol, tape in self._tapes.items():
            if reports := self._broker.end_session(symbol, self._now):
                self._apply(reports)
            if tape.rows is not None and tape.candidates is not None:
                self._emit(
                    make_rows_closed(
                        ts=self._now,
                        symbol=symbol,
                        trade_date=session.trade_date,
                        # Not copied: streams keep nothing of a session that is over, and begin the next with arrays of its own.
                        rows=tape.rows,
                        candidates=tape.candidates,
                    )
                )
        self._snapshot()
        self._emit(SessionEnded(ts=self._now, trade_date=session.trade_date, balance=self.account.balance, ticks=self._ticks))
        self._session = None

    def flatten(self, cause: str) -> None:
        """Cancel every working order and close every position at the market, through the door."""
        for order in list(self._executor.working()):
            self._executor.cancel(order, self._now)
        for position in list(self.account.positions.values()):
            self.propose(closing(position, cause), position)

    def close(self, symbol: str, cause: str) -> None:
        """Cancel the working orders of one traded symbol and close its position at the market."""
        for order in list(self._executor.working()):
            if order.instrument.symbol == symbol:
                self._executor.cancel(order, self._now)
        position = self.account.positions.get(symbol)
        if position is not None:
            self.propose(closing(position, cause), position)

    # What a session adds to the market: people, troubles, and what the broker says on being asked

    def at(self, ts: int) -> None:
        """Take note that it is `ts` (UTC ns) at least: what follows was not known, and is not decided, any earlier."""
        self._now = max(self._now, ts)

    def command(self, command: Command) -> None:
        """Carry out what a person, a schedule or the guard asks; the answer is a notice. A known `command_id` does nothing."""
        self._commands.take(command)
        self._after_moment()

    def notice(self, notice: Notice) -> None:
        """Tell the readers of the audit stream something about the operation."""
        self._emit(notice)

    def set_health(self, subject: str, is_well: bool, reason: str = "") -> None:
        """Say whether `connection`, `data:SYMBOL` or another part can be relied upon; entries are refused while one cannot."""
        if is_well:
            self._unhealthy = {other: why for other, why in self._unhealthy.items() if other != subject}
        else:
            self._unhealthy = {**self._unhealthy, subject: reason}  # a new one: views that know the old one keep it

    def halt(self, cause: str, by: str, reason: str) -> None:
        """Cancel and close everything and open nothing, until somebody resumes; raises as `OneDoor.halt`."""
        self._absorb(self._door.halt(cause, by, reason, self._now))

    def reduce(self, cause: str, by: str, reason: str) -> None:
        """Withdraw entries and open nothing, until somebody resumes; raises as `OneDoor.halt`."""
        self._absorb(self._door.reduce(cause, by, reason, self._now))

    def resume(self, by: str, reason: str, causes: Sequence[str] = ()) -> None:
        """Clear halts in a person's name; see `OneDoor.resume`."""
        self._absorb(self._door.resume(by, reason, self._now, causes=causes, view=self._view()))

    def inspect(self) -> None:
        """Let the door look at the account now; nothing between sessions."""
        if self._session is not None:
            self._inspect()

    def cancel(self, order: Order) -> None:
        """Ask for the cancel of a working order."""
        self._executor.cancel(order, self._now)

    def correct(self, correction: Correction) -> None:
        """Apply what reconciliation found: our books follow the broker's; an adopted position is announced."""
        held = self._units_held()
        self._settle(self._executor.correct(correction, self._now), (), changed=True, held=held)
        self._after_moment()

    def propose(self, proposal: Proposal, position: Position | None = None) -> Approved | Refused | None:
        """Judge a candidate, leave its record, and send its order if it may go; see `Desk.propose`."""
        outcome = super().propose(proposal, position)
        if self._session is not None and self._now >= self._door.due_ns:
            self._inspect()  # the judgement has tripped something
        return outcome

    def _apply(self, reports: Iterable[ExecutionReport]) -> bool:
        """Take what the broker says; return whether something filled."""
        closed: list[Trade] = []
        answered: list[Event] = []
        changed = False
        held = self._units_held() if self._flat_cause else 0
        for report in reports:
            changed |= report.quantity > 0
            closed += self._executor.on_report(report)
            answered += self._door.on_answer(report.cause, self._now)
        self._settle(closed, answered, changed=changed, held=held)
        return changed

    def _settle(self, closed: Iterable[Trade], answered: Iterable[Event], *, changed: bool, held: int) -> None:
        """Tell the door what closed, look at limits and stops anew, and keep flat what was to be flat."""
        flat_cause = self._flat_cause
        if changed:
            self._outlook = None
        for trade in closed:
            self._snapshot()
            self._absorb(self._door.on_trade(trade, self._view()))
            if self._learner is not None:
                self._learner.on_trade(trade)
        self._absorb(answered)
        if changed:
            self._inspect()
            self._commands.after_fill()
        self._commands.after_reports()
        self._protect()
        if flat_cause and self._units_held() > held:
            # An entry filled before its cancel arrived: what it opened must go as well.
            self.flatten(flat_cause)

    def _protect(self) -> None:
        """Ask whether every position has its stop, and do what the answer says."""
        if self._watch is None:
            return
        verdict = self._watch.check(self._now)
        for notice in verdict.notices:
            self._emit(notice)
        for order in verdict.submit:
            self._executor.submit(order, self._now, {})
        for order in verdict.cancel:
            self._executor.cancel(order, self._now)
        for symbol in verdict.flatten:
            self.close(symbol, "unprotected")

    def _units_held(self) -> int:
        return sum([abs(position.quantity) for position in self.account.positions.values()])

    def _inspect(self) -> None:
        if getattr(self._door, "follows_equity", True):
            self._outlook = None
        self._absorb(self._door.inspect(self._view()))

    def _absorb(self, events: Iterable[Event]) -> None:
        """Tell what the door says, and obey it."""
        for event in events:
            self._emit(event)
            self._outlook = None  # a limit may be another one from here on
            if isinstance(event, TradingStateChanged):
                was, self.state = self.state, event.state
                if event.state is TradingState.HALTED and was is not TradingState.HALTED:
                    self._flat_cause = f"halt: {event.cause}"
                    self.flatten(self._flat_cause)
                elif event.state is TradingState.REDUCING and was is TradingState.ACTIVE:
                    self._withdraw_entries()
                elif event.state is TradingState.ACTIVE and self._flat_cause.startswith("halt: "):
                    self._flat_cause = ""

    def _withdraw_entries(self) -> None:
        for order in list(self._executor.working()):
            if order.role is OrderRole.ENTRY:
                self._executor.cancel(order, self._now)

    def _on_timer(self, what: str) -> None:
        if what != "flatten":
            return
        self._flat_cause = "auto-flatten"
        working, held = sum(1 for _ in self._executor.working()), len(self.account.positions)
        if held or self._executor.working_entries:
            text = f"closed before the session ends: positions {held}, canceled orders {working}"
            self._say(NoticeCode.AUTO_FLATTEN, Severity.INFO, self._strategy.name, text)
            self.flatten(self._flat_cause)
        elif not self._is_brief:
            self._say(NoticeCode.AUTO_FLATTEN, Severity.INFO, self._strategy.name, "nothing was open")

    def _on_row(self, tape: Tape, index: int, code: int) -> None:
        if tape.last_ticks is None or code == ASKED:
            tape.look(tape.clock.before(self._reach))
        if tape.last_ticks is None:
            return
        if not self._is_inspected or self._now >= self._door.due_ns:
            # Once a day with a price known: high margins are found, and a tier change that had to wait.
            self._is_inspected = True
            self._inspect()
        if self._is_brief and self.state is TradingState.HALTED and not self.account.positions:
            return
        symbol, held = tape.instrument.symbol, 0
        for position in self.account.positions.values():
            if position.tape == symbol:
                held += position.quantity
        if held or code == ASKED:
            tape.look(tape.clock.before(self._reach))
            if held or not self._is_put_off(tape):
                self._ask(tape, index, held, tape.last_ticks)
        elif code > ASKED:  # the strategy would refuse its own candidate
            self._decisions += 1
            self._agenda.keep(self._decisions, self._now)

    def _ask(self, tape: Tape, index: int, held: int, last_ticks: int) -> None:
        rows, candidates, session = tape.rows, tape.candidates, self._session
        if rows is None or candidates is None or session is None:
            return
        symbol, first, count = tape.instrument.symbol, 0, 0
        if len(candidates):
            first, count = int(rows["first_candidate"][index]), int(rows["candidates"][index])
        bid, ask = tape.quote
        moment = make_moment(
            ts=self._now,
            symbol=symbol,
            session=session,
            index=index,
            rows=rows[: index + 1],
            candidates=candidates[first : first + count],
            position_quantity=held,
            last_ticks=last_ticks,
            open_positions=len(self.account.positions),
            is_entering=not self._executor.is_idle
            and any(order.role is OrderRole.ENTRY for order in self._executor.working(symbol)),
            bid_ticks=bid,
            ask_ticks=ask,
        )
        for proposal in self._strategy.decide(moment):
            self.propose(proposal)

    def _is_put_off(self, tape: Tape) -> bool:
        """Say whether the row's candidate is certain to be refused; if so it is kept, and judged when somebody reads it."""
        side = self._agenda.side
        if side is None or self._patient is None or self._agenda.needs_quotes or tape.is_quoted:
            return False
        view = self._view()
        if not self._patient.will_refuse(side, view):
            return False
        self._decisions += 1
        if not self._is_brief:
            self._agenda.keep_late(self._decisions, self._now, Still(self._patient.remember(view), view))
        if self._now >= self._door.due_ns:
            self._inspect()  # it was one proposal too many
        return True
