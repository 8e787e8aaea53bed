"""The part of an engine that looks, judges, sends and tells: everything but the walk over the market data.

Every candidate, a strategy's, a person's or a flattening's, goes through `propose`: judged at the one door, kept as a decision
record, and sent if it may go.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from sovereign.core.decision import (
    Approved,
    Check,
    Decision,
    KeptRefusals,
    Proposal,
    Refused,
    Verdict,
    make_decision,
    make_proposal,
)
from sovereign.core.event import Event, Notice, NoticeCode, Severity, TradingState, make_account_snapshot, make_decision_made
from sovereign.core.instrument import Instrument, find_instrument
from sovereign.core.order import OrderIntent, OrderRole, Side, TimeInForce, make_intent, make_order
from sovereign.core.port import (
    AccountView,
    FeeModel,
    PatientDoor,
    RefusalSink,
    RiskDoor,
    Sink,
    Strategy,
    TradeListener,
    make_account_view,
)
from sovereign.core.position import Position
from sovereign.core.session import NS_PER_MINUTE, Session
from sovereign.engine.tape import Tape
from sovereign.execution.account import Account
from sovereign.execution.broker import Broker, OrderJournal
from sovereign.execution.executor import Executor

if TYPE_CHECKING:
    from sovereign.execution.protection import ProtectionWatch

# Looked up once: Python 3.11 takes long to find the members of an enumeration.
_REFUSED, _RESIZED, _APPROVED = Verdict.REFUSED, Verdict.RESIZED, Verdict.APPROVED

NewWatch = Callable[[Executor], "ProtectionWatch"]


def closing(position: Position, cause: str, role: OrderRole = OrderRole.FLATTEN) -> Proposal:
    """Return the proposal that closes a position at the market."""
    symbol = position.instrument.symbol
    side = Side.SELL if position.quantity > 0 else Side.BUY
    intent = make_intent(
        symbol=symbol,
        side=side,
        quantity=abs(position.quantity),
        role=role,
        reduce_only=True,
        time_in_force=TimeInForce.GTC,
        reason=cause,
    )
    return make_proposal(
        name=cause, symbol=symbol, side=side, strength=1.0, confidence=1.0, inputs={}, checks=(), intent=intent
    )


def own_refusal(checks: Sequence[Check]) -> Refused:
    """Return what refuses a candidate that the strategy wants no order for: the first of its checks that failed."""
    for check in checks:
        if not check.passed:
            return Refused(check.name, check.limit, check.value, check.unit, check.note)
    return Refused("strategy", float("nan"), float("nan"), "", "the strategy wants no order")


def hearer_of(sink: Sink, kind: type[Event]) -> Callable[[Any], None] | None:
    """Return what takes the events of one type for a reader; None where it wants none of them (`core.port.Sink`)."""
    choose = getattr(sink, "hearer", None)
    chosen: Callable[[Any], None] | None = sink if choose is None else choose(kind)
    return chosen


class Desk:
    """A strategy, a risk door, a broker and an account; see `Engine` for the parameters."""

    # More attributes than objects of a class share a table for (30 in Python 3.11): without slots methods take longer to call.
    __slots__ = (
        "_broker",
        "_carried",
        "_decisions",
        "_door",
        "_executor",
        "_hearers",
        "_is_brief",
        "_is_simulated_data",
        "_killed",
        "_learner",
        "_now",
        "_patient",
        "_prefix",
        "_refusal_sinks",
        "_sent",
        "_session",
        "_sinks",
        "_strategy",
        "_tapes",
        "_unhealthy",
        "_watch",
        "account",
        "state",
    )

    def __init__(
        self,
        *,
        strategy: Strategy,
        door: RiskDoor,
        broker: Broker,
        account: Account,
        fees: FeeModel,
        journal: OrderJournal | None = None,
        sinks: Sequence[Sink] = (),
        is_simulated_data: bool = False,
        killed: Callable[[], bool] = bool,
        is_brief: bool = False,
        new_watch: NewWatch | None = None,
    ) -> None:
        self.account = account
        self.state = TradingState.ACTIVE
        self._strategy = strategy
        self._door = door
        self._patient = door if isinstance(door, PatientDoor) else None
        self._learner = strategy if isinstance(strategy, TradeListener) else None
        self._broker = broker
        self._sinks = tuple(sinks)
        self._hearers: dict[type[Event], list[Callable[[Any], None]]] = {}
        self._refusal_sinks = [sink.on_refused for sink in self._sinks if isinstance(sink, RefusalSink)]
        self._executor = Executor(broker, account, fees, self._emit, journal=journal)
        self._watch = None if new_watch is None else new_watch(self._executor)
        self._is_simulated_data = is_simulated_data
        self._killed = killed
        self._is_brief = is_brief
        self._tapes: dict[str, Tape] = {}
        self._carried: dict[str, int] = {}  # last prices of what was held when the session began
        self._session: Session | None = None
        self._prefix = ""  # of the decisions' ids in this session
        self._sent: deque[int] = deque()
        self._decisions = 0
        self._now = 0
        self._unhealthy: dict[str, str] = {}
        self._set_up()

    def _set_up(self) -> None:
        """Prepare what a subclass adds."""

    @property
    def now_ns(self) -> int:
        """Time of the last thing that happened (UTC ns)."""
        return self._now

    @property
    def session(self) -> Session | None:
        """The trade date at work; None between sessions."""
        return self._session

    @property
    def instruments(self) -> dict[str, Instrument]:
        """What trades today, by symbol."""
        return {symbol: tape.instrument for symbol, tape in self._tapes.items()}

    @property
    def positions(self) -> Mapping[str, Position]:
        """Open positions by traded symbol."""
        return self.account.positions

    @property
    def strategy(self) -> Strategy:
        """The trading system of this lane."""
        return self._strategy

    @property
    def door(self) -> RiskDoor:
        """The risk door, for readers."""
        return self._door

    @property
    def executor(self) -> Executor:
        """Our side of the orders, for readers."""
        return self._executor

    @property
    def unhealthy(self) -> Mapping[str, str]:
        """What is out of order, and why; entries are refused while anything is."""
        return self._unhealthy

    def view(self) -> AccountView:
        """Return what the door would be told now; looking changes nothing.

        Raises
        ------
        RuntimeError : no session has begun.
        """
        return self._view()

    def last_ticks(self) -> dict[str, int]:
        """Return the last price of each tape that has traded, and of each that was held overnight."""
        self._sight()
        last = {symbol: t.last_ticks for symbol, t in self._tapes.items() if t.last_ticks is not None}
        return {**self._carried, **last} if self._carried else last

    def _sight(self) -> None:
        """Know the last price of every tape; a subclass whose tapes follow on demand brings them up to date here."""

    def _data_ns(self) -> int | None:
        """Return when the latest tick was that is known of any tape (UTC ns)."""
        return max([tape.clock.told for tape in self._tapes.values() if tape.clock.told is not None], default=None)

    def judge(self, proposal: Proposal) -> Approved | Refused | None:
        """Return what the door would say to a proposal; nothing is kept and nothing is sent. None between sessions."""
        if self._session is None:
            return None
        state = self._door.state()
        _, outcome = self._door.judge(proposal, self._view())
        self._door.restore(state)
        return outcome

    def propose(self, proposal: Proposal, position: Position | None = None) -> Approved | Refused | None:
        """Judge a candidate, leave its record, and send its order if it may go; None between sessions.

        Parameters
        ----------
        position : what a reduce-only order closes, when that is known.
        """
        if self._session is None:
            return None
        checks = proposal.checks
        outcome: Approved | Refused
        if proposal.intent is None:
            outcome = own_refusal(checks)
        else:
            door_checks, outcome = self._door.judge(proposal, self._view())
            checks = (*checks, *door_checks)
        self._decisions += 1
        verdict = _REFUSED
        if isinstance(outcome, Approved):
            verdict = _RESIZED if outcome.was_resized else _APPROVED
        elif self._is_brief:
            return outcome
        decision_id = f"{self._prefix}{proposal.symbol}-{self._decisions:05d}"
        self._emit(
            make_decision_made(
                ts=self._now,
                decision=make_decision(
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
        return outcome

    def _tell_refusals(self, count: int, make: Callable[[str, str], Sequence[Decision]]) -> None:
        """Tell the readers what was refused and kept in the session; `make` takes the strategy's name and the ids' begin."""
        refused = KeptRefusals(count, partial(make, self._strategy.name, self._prefix))
        for take in self._refusal_sinks:
            take(refused)

    def _send(
        self, proposal: Proposal, intent: OrderIntent, approved: Approved, decision_id: str, position: Position | None
    ) -> None:
        # A position is closed as the instrument it was opened with, on the tape it was opened on.
        symbol = intent.symbol if position is None else position.tape
        tape = self._tapes.get(symbol)
        order = make_order(
            f"{decision_id}-{intent.role[0]}",
            find_instrument(approved.symbol) if position is None else position.instrument,
            symbol,
            intent.side,
            intent.order_type,
            approved.quantity,
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
            arrival_ticks=tape.last_ticks if tape else None,
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
        entries = self._executor.working_entries
        return make_account_view(
            self._now,
            session,
            state=self.state,
            is_killed=self._killed(),
            balance=account.balance,
            day_start_balance=account.day_start_balance,
            equity=account.equity(last) if account.positions else account.balance,
            high_water_mark=account.high_water_mark,
            positions=account.positions,
            working_entries=entries,
            last_ticks=last,
            data_ns=self._data_ns(),
            margin_per_unit=self._broker.margins(last),
            orders_last_minute=len(self._sent),
            unhealthy=self._unhealthy,
            working_units=self._executor.working_units() if entries else {},
        )

    def _snapshot(self) -> None:
        equity = self._view().equity
        self.account.mark(equity)
        self._emit(
            make_account_snapshot(
                ts=self._now,
                balance=self.account.balance,
                equity=equity,
                day_pnl=equity - self.account.day_start_balance,
                high_water_mark=self.account.high_water_mark,
            )
        )

    def _emit(self, event: Event) -> None:
        kind = type(event)
        hearers = self._hearers.get(kind)
        if hearers is None:
            hearers = self._hearers[kind] = [hear for sink in self._sinks if (hear := hearer_of(sink, kind)) is not None]
        for hear in hearers:
            hear(event)

    def _say(
        self,
        code: NoticeCode,
        severity: Severity,
        subject: str,
        text: str,
        values: Mapping[str, str | int | float] | None = None,
    ) -> None:
        self._emit(Notice(ts=self._now, code=code, severity=severity, subject=subject, text=text, values=values or {}))
