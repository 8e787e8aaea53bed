"""The loop. One engine runs every mode; a mode is another feed, broker and set of sinks (see `recipe`).

Each block of ticks is walked in slices, cut at every moment at which something could be decided: the venue acts, a timer
fires, a signal row wakes the strategy, an order fills, or a price is reached at which a daily limit would trip. Inside a
slice only compiled code runs. At equal times the order is: venue, timers, rows. How the stream was cut into blocks changes
nothing (tests/property/test_slice_law.py).
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.core.columns import Trades
from sovereign.core.decision import Approved, Check, Decision, Proposal, Refused, Verdict
from sovereign.core.errors import DataError
from sovereign.core.event import (
    AccountSnapshot,
    DecisionMade,
    Event,
    RowsClosed,
    SessionEnded,
    SessionStarted,
    TradingState,
    TradingStateChanged,
)
from sovereign.core.instrument import Instrument, find_instrument
from sovereign.core.order import Order, OrderIntent, OrderRole, OrderType, Side, TimeInForce
from sovereign.core.port import AccountView, Block, FeeModel, Moment, RiskDoor, Sink, Strategy
from sovereign.core.position import Position, Trade
from sovereign.core.session import NEVER, NS_PER_MINUTE, Session
from sovereign.execution.account import Account
from sovereign.execution.brokers.simulated import SimulatedBroker
from sovereign.execution.executor import Executor
from sovereign.execution.report import ExecutionReport
from sovereign.kernels.matching import extent, first_outside

_VENUE, _TIMER, _ROW = 0, 1, 2


def _own_refusal(checks: Sequence[Check]) -> Refused:
    for check in checks:
        if not check.passed:
            return Refused(check.name, check.limit, check.value, check.unit, check.note)
    return Refused("strategy", float("nan"), float("nan"), "", "the strategy wants no order")


@dataclass(slots=True, eq=False)
class _Tape:
    """Where the engine stands on one instrument's market data."""

    instrument: Instrument
    order: int
    trades: Trades
    offset: int = 0  # ticks of the session before the present block
    cursor: int = 0  # next row of the present block
    rows: NDArray[Any] | None = None
    candidates: NDArray[Any] | None = None
    next_row: int = 0
    last_ticks: int | None = None
    data_ns: int | None = None

    def next_wake(self) -> int:
        """Return the index of the next row that wakes the strategy, or -1."""
        if self.rows is None:
            return -1
        wake = self.rows["wake"]
        for index in range(self.next_row, len(wake)):
            if wake[index]:
                self.next_row = index
                return index
        self.next_row = len(wake)
        return -1


class Engine:
    """One lane: a strategy, a risk door, a broker and an account on market data that is handed in.

    Parameters
    ----------
    is_simulated_data : the market itself is invented; every record of the session says so.
    killed : asked before every decision; true blocks everything that is not reduce-only.
    is_brief : nobody reads this lane's decisions: a refusal leaves no record, and while the lane is halted and flat its
        strategy is not asked for any.
    """

    def __init__(
        self,
        *,
        strategy: Strategy,
        door: RiskDoor,
        broker: SimulatedBroker,
        account: Account,
        fees: FeeModel,
        sinks: Sequence[Sink] = (),
        is_simulated_data: bool = False,
        killed: Callable[[], bool] = bool,
        is_brief: bool = False,
    ) -> None:
        self.account = account
        self.state = TradingState.ACTIVE
        self._strategy = strategy
        self._door = door
        self._broker = broker
        self._sinks = tuple(sinks)
        self._executor = Executor(broker, account, fees, self._emit)
        self._is_simulated_data = is_simulated_data
        self._killed = killed
        self._is_brief = is_brief
        self._tapes: dict[str, _Tape] = {}
        self._session: Session | None = None
        self._day = ""
        self._timers: list[tuple[int, str]] = []
        self._sent: deque[int] = deque()
        self._decisions = 0
        self._now = 0
        self._ticks = 0
        self._is_inspected = False
        self._flat_cause = ""  # why nothing may be open any more; empty while something may
        self._guards: dict[str, tuple[int, int]] | None = None

    @property
    def now_ns(self) -> int:
        """Time of the last thing that happened (UTC ns)."""
        return self._now

    @property
    def positions(self) -> Mapping[str, Position]:
        """Open positions by traded symbol."""
        return self.account.positions

    @property
    def door(self) -> RiskDoor:
        """The risk door, for readers."""
        return self._door

    def view(self) -> AccountView:
        """Return what the door would be told now; looking changes nothing.

        Raises
        ------
        RuntimeError : no session has begun.
        """
        return self._view()

    def last_ticks(self) -> dict[str, int]:
        """Return the last price of each tape that has traded."""
        return {symbol: t.last_ticks for symbol, t in self._tapes.items() if t.last_ticks is not None}

    def start_session(self, session: Session, instruments: Sequence[Instrument]) -> None:
        """Begin a trade date on these instruments."""
        self._session = session
        self._day = f"{session.trade_date:%Y%m%d}"
        self._now = session.open_ns
        self._ticks = 0
        self._decisions = 0
        self._is_inspected = False
        self._flat_cause = ""
        self._guards = None
        self._sent.clear()
        gone = {s: t for s, t in self._tapes.items() if all(i.symbol != s for i in instruments)}
        self._tapes = {i.symbol: _Tape(i, n, Trades.empty()) for n, i in enumerate(instruments)}
        self._broker.start_session(instruments)
        self._timers = [(self._door.flatten_ns(session), "flatten")]
        heapq.heapify(self._timers)
        self.account.start_session()
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
        self._absorb(self._door.start_session(session, self.account.balance))
        for symbol, tape in gone.items():
            # A contract that is not traded any more: its data ended before the position on it could be closed.
            if tape.last_ticks is not None:
                self._apply(self._broker.end_tape(symbol, tape.last_ticks, self._now))
        for instrument in instruments:
            self._strategy.start_session(session, instrument)

    def process(self, blocks: Iterable[Block], signals: Mapping[str, tuple[NDArray[Any], NDArray[Any]]], until_ns: int) -> None:
        """Take the next blocks, one per tape at most, and walk everything that is certain before `until_ns`.

        Parameters
        ----------
        signals : (rows, candidates) of each tape's signal stream after it has consumed the same blocks.
        """
        for block in blocks:
            tape = self._tapes[block.symbol]
            self._refuse_past(block)
            tape.offset += len(tape.trades)
            tape.trades = block.trades
            tape.cursor = 0
            self._ticks += len(block.trades)
        for symbol, (rows, candidates) in signals.items():
            tape = self._tapes[symbol]
            tape.rows, tape.candidates = rows, candidates
        while True:
            ts, kind, tape_hit = self._next_moment(until_ns)
            if not self._walk(ts, tape_hit if kind == _ROW else None):
                self._after_moment()
                continue
            if ts == NEVER:
                return
            self._now = ts
            if kind == _VENUE:
                self._apply(self._broker.on_time(ts))
            elif kind == _TIMER:
                self._on_timer(heapq.heappop(self._timers)[1])
            elif tape_hit is not None:
                self._on_row(tape_hit)
            self._after_moment()

    def _refuse_past(self, block: Block) -> None:
        walked = max((t.data_ns for t in self._tapes.values() if t.data_ns is not None), default=None)
        if walked is not None and len(block.trades) and int(block.trades.ts[0]) < walked:
            raise DataError(
                f"a block of {block.symbol} began at {int(block.trades.ts[0])} ns, but market data up to {walked} ns had been "
                f"worked through; hand in the blocks of several instruments together, over the same span of time"
            )

    def end_session(self) -> None:
        """Close the trade date: expire day orders, tell the rows, take the balance."""
        session = self._session
        if session is None:
            return
        self._now = max(self._now, session.close_ns)
        for symbol, tape in self._tapes.items():
            self._apply(self._broker.end_session(symbol, self._now))
            if tape.rows is not None and tape.candidates is not None:
                self._emit(
                    RowsClosed(
                        ts=self._now,
                        symbol=symbol,
                        trade_date=session.trade_date,
                        rows=tape.rows.copy(),
                        candidates=tape.candidates.copy(),
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
            side = Side.SELL if position.quantity > 0 else Side.BUY
            intent = OrderIntent(
                symbol=position.instrument.symbol,
                side=side,
                quantity=abs(position.quantity),
                role=OrderRole.FLATTEN,
                reduce_only=True,
                time_in_force=TimeInForce.GTC,
                reason=cause,
            )
            proposal = Proposal(
                name=cause,
                symbol=position.instrument.symbol,
                side=side,
                strength=1.0,
                confidence=1.0,
                inputs={},
                checks=(),
                intent=intent,
            )
            self._judge(proposal, position)

    def _next_moment(self, until_ns: int) -> tuple[int, int, _Tape | None]:
        ts, kind, hit = self._broker.next_time_ns, _VENUE, None
        if self._timers and self._timers[0][0] < ts:
            ts, kind = self._timers[0][0], _TIMER
        if ts > until_ns:
            ts = NEVER
        for tape in self._tapes.values():
            index = tape.next_wake()
            if index >= 0 and tape.rows is not None and tape.rows["known_at"][index] < ts:
                ts, kind, hit = int(tape.rows["known_at"][index]), _ROW, tape
        return ts, kind, hit

    def _walk(self, ts: int, hit: _Tape | None) -> bool:
        """Bring every tape up to a moment; False when something happened on the way and the moment must be found anew."""
        stops = [(tape, self._stop(tape, ts, tape is hit)) for tape in self._tapes.values()]
        first = self._first_event(stops)
        if first is None:
            for tape, stop in stops:
                self._pass(tape, stop)
            return True
        tape, index, is_guard = first
        when = int(tape.trades.ts[index])
        for other, stop in stops:
            if other is not tape:
                self._pass(other, min(stop, int(np.searchsorted(other.trades.ts, when))))
        self._now = when
        if is_guard:
            self._pass(tape, index + 1)
            self._inspect()
        else:
            # Venue state is moved by `take`; the account sees the prices up to and including the row.
            self._observe(tape, tape.cursor, index + 1)
            reports = self._broker.take(tape.instrument.symbol, tape.trades, index)
            tape.cursor = index + 1
            if not self._apply(reports):
                self._inspect()  # the row may lie beyond a guard price as well
        return False

    @staticmethod
    def _stop(tape: _Tape, ts: int, is_hit: bool) -> int:
        if is_hit and tape.rows is not None:
            stop = int(tape.rows["seq"][tape.next_row]) - tape.offset
        else:
            stop = len(tape.trades) if ts == NEVER else int(np.searchsorted(tape.trades.ts, ts))
        return max(stop, tape.cursor)

    def _first_event(self, stops: Sequence[tuple[_Tape, int]]) -> tuple[_Tape, int, bool] | None:
        """Return (tape, row, whether a guard price was reached rather than an order) of the earliest event, if any."""
        first: tuple[int, int, _Tape, int, bool] | None = None
        guards = self._guard_prices()
        for tape, stop in stops:
            if stop == tape.cursor:
                continue
            symbol, index, is_guard = tape.instrument.symbol, stop, False
            if self._broker.has_orders(symbol):
                index = self._broker.next_event(symbol, tape.trades, tape.cursor, stop)
            if guards is not None:
                low, high = guards[symbol]
                guard = first_outside(tape.trades.price, tape.cursor, index, low, high)
                is_guard = guard < index
                index = guard
            if index < stop:
                key = (int(tape.trades.ts[index]), tape.order, tape, index, is_guard)
                first = key if first is None or key[:2] < first[:2] else first
        return None if first is None else first[2:]

    def _guard_prices(self) -> dict[str, tuple[int, int]] | None:
        """Return the prices that would trip a limit, as they stood at the last moment; a block's end is not a moment."""
        if not self.account.positions or self.state is TradingState.HALTED:
            return None
        if self._guards is None:
            view = self._view()
            self._guards = {symbol: self._door.guard(symbol, view) for symbol in self._tapes}
        return self._guards

    def _after_moment(self) -> None:
        self._guards = None
        if self.account.positions:
            self.account.mark(self.account.equity(self.last_ticks()))

    def _pass(self, tape: _Tape, stop: int) -> None:
        if stop <= tape.cursor:
            return
        self._broker.advance(tape.instrument.symbol, tape.trades, tape.cursor, stop)
        self._observe(tape, tape.cursor, stop)
        tape.cursor = stop

    def _observe(self, tape: _Tape, start: int, stop: int) -> None:
        tape.last_ticks = int(tape.trades.price[stop - 1])
        tape.data_ns = int(tape.trades.ts[stop - 1])
        if self.account.positions:
            low, high = extent(tape.trades.price, start, stop)
            self.account.observe(tape.instrument.symbol, int(low), int(high))

    def _apply(self, reports: Iterable[ExecutionReport]) -> bool:
        """Take what the broker says; return whether something filled."""
        closed: list[Trade] = []
        answered: list[Event] = []
        changed = False
        flat_cause, held = self._flat_cause, self._units_held()
        for report in reports:
            changed |= report.quantity > 0
            closed += self._executor.on_report(report)
            answered += self._door.on_answer(report.cause, self._now)
        for trade in closed:
            self._snapshot()
            self._absorb(self._door.on_trade(trade, self._view()))
        self._absorb(answered)
        if changed:
            self._inspect()
        if flat_cause and self._units_held() > held:
            # An entry filled before its cancel arrived: what it opened must go as well.
            self.flatten(flat_cause)
        return changed

    def _units_held(self) -> int:
        return sum(abs(position.quantity) for position in self.account.positions.values())

    def _inspect(self) -> None:
        self._absorb(self._door.inspect(self._view()))

    def _absorb(self, events: Iterable[Event]) -> None:
        """Tell what the door says, and obey it."""
        for event in events:
            self._emit(event)
            if isinstance(event, TradingStateChanged):
                was, self.state = self.state, event.state
                if event.state is TradingState.HALTED and was is not TradingState.HALTED:
                    self._flat_cause = f"halt: {event.cause}"
                    self.flatten(self._flat_cause)

    def _on_timer(self, what: str) -> None:
        if what != "flatten":
            return
        self._flat_cause = "auto-flatten"
        if self.account.positions or self._executor.working_entries:
            self.flatten(self._flat_cause)

    def _on_row(self, tape: _Tape) -> None:
        rows, candidates, session = tape.rows, tape.candidates, self._session
        index = tape.next_row
        tape.next_row += 1
        if rows is None or candidates is None or session is None or tape.last_ticks is None:
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
        row = rows[index]
        first, count = int(row["first_candidate"]), int(row["candidates"])
        moment = Moment(
            ts=self._now,
            symbol=symbol,
            session=session,
            index=index,
            rows=rows[: index + 1],
            candidates=candidates[first : first + count],
            position_quantity=held,
            last_ticks=tape.last_ticks,
        )
        for proposal in self._strategy.decide(moment):
            self._judge(proposal)

    def _judge(self, proposal: Proposal, position: Position | None = None) -> None:
        if self._session is None:
            return
        checks = proposal.checks
        outcome: Approved | Refused
        if proposal.intent is None:
            outcome = _own_refusal(checks)
        else:
            door_checks, outcome = self._door.judge(proposal, self._view())
            checks = (*checks, *door_checks)
        self._decisions += 1
        verdict = Verdict.REFUSED
        if isinstance(outcome, Approved):
            verdict = Verdict.RESIZED if outcome.was_resized else Verdict.APPROVED
        elif self._is_brief:
            return
        decision_id = f"{self._strategy.name}-{self._day}-{proposal.symbol}-{self._decisions:05d}"
        self._emit(
            DecisionMade(
                ts=self._now,
                decision=Decision(
                    decision_id=decision_id,
                    ts=self._now,
                    strategy=self._strategy.name,
                    proposal=proposal,
                    checks=checks,
                    verdict=verdict,
                    outcome=outcome,
                ),
            )
        )
        if isinstance(outcome, Approved) and proposal.intent is not None:
            self._send(proposal, proposal.intent, outcome, decision_id, position)
        if self._now >= self._door.due_ns:
            self._inspect()  # the judgement has tripped something

    def _send(
        self, proposal: Proposal, intent: OrderIntent, approved: Approved, decision_id: str, position: Position | None
    ) -> None:
        # A position is closed as the instrument it was opened with, on the tape it was opened on.
        symbol = intent.symbol if position is None else position.tape
        tape = self._tapes.get(symbol)
        order = Order(
            client_order_id=f"{decision_id}-{intent.role[0]}",
            instrument=find_instrument(approved.symbol) if position is None else position.instrument,
            tape=symbol,
            side=intent.side,
            order_type=intent.order_type,
            quantity=approved.quantity,
            submitted_ns=self._now,
            active_ns=self._now,
            role=intent.role,
            limit_ticks=intent.limit_ticks,
            stop_ticks=intent.stop_ticks,
            trail_ticks=intent.trail_ticks,
            time_in_force=intent.time_in_force,
            expire_ns=intent.expire_ns,
            reduce_only=intent.reduce_only,
            bracket=intent.bracket,
            decision_id=decision_id,
            arrival_ticks=tape.last_ticks if tape and intent.order_type is OrderType.MARKET else None,
        )
        labels = {k: v for k, v in proposal.inputs.items() if isinstance(v, str)}
        children = 0 if intent.bracket is None else 1 + (intent.bracket.target_ticks is not None)
        self._sent.extend([self._now] * (1 + children))
        if approved.tier:
            labels["tier"] = approved.tier
        self._executor.submit(order, self._now, {"signal": proposal.name, **labels})

    def _view(self) -> AccountView:
        session = self._session
        if session is None:
            raise RuntimeError("the engine was asked for a view between sessions; start a session first")
        while self._sent and self._sent[0] <= self._now - NS_PER_MINUTE:
            self._sent.popleft()
        account, last = self.account, self.last_ticks()
        data_ns = None
        for tape in self._tapes.values():
            if tape.data_ns is not None and (data_ns is None or tape.data_ns > data_ns):
                data_ns = tape.data_ns
        return AccountView(
            ts=self._now,
            session=session,
            state=self.state,
            is_killed=self._killed(),
            balance=account.balance,
            day_start_balance=account.day_start_balance,
            equity=account.equity(last) if account.positions else account.balance,
            high_water_mark=account.high_water_mark,
            positions=account.positions,
            working_entries=self._executor.working_entries,
            last_ticks=last,
            data_ns=data_ns,
            margin_per_unit=self._broker.margins(last),
            orders_last_minute=len(self._sent),
        )

    def _snapshot(self) -> None:
        equity = self.account.equity(self.last_ticks())
        self.account.mark(equity)
        self._emit(
            AccountSnapshot(
                ts=self._now,
                balance=self.account.balance,
                equity=equity,
                day_pnl=equity - self.account.day_start_balance,
                high_water_mark=self.account.high_water_mark,
            )
        )

    def _emit(self, event: Event) -> None:
        for sink in self._sinks:
            sink(event)
