"""From the audit stream to alerts: which events a person hears of, in which words.

The reader is fed in the alert thread, never in the decision thread, with the few kinds of events of `READ`. It remembers the
brackets of decisions and the entries under way, so that an opened trade can be told with its stop and target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sovereign.app.notify.alert import RANK, SERIOUS, Alert, Topic, amount, clock_text, lasted, outside, price
from sovereign.core.decision import Approved
from sovereign.core.event import (
    DecisionMade,
    Event,
    Notice,
    NoticeCode,
    OrderChanged,
    OrderFilled,
    SessionStarted,
    Severity,
    TierChanged,
    TradeClosed,
    TradingState,
    TradingStateChanged,
)
from sovereign.core.instrument import Instrument
from sovereign.core.order import OrderEvent, OrderRole, Side
from sovereign.risk.halt import ENDED, RESUMED, Cause

READ: frozenset[type[Event]] = frozenset(
    {
        DecisionMade,
        Notice,
        OrderChanged,
        OrderFilled,
        SessionStarted,
        TierChanged,
        TradeClosed,
        TradingStateChanged,
    }
)
"""The kinds of events that can lead to an alert; no other need be handed over."""

_REMEMBERED = 512  # decisions and entries under way; far more than can be at once, and a bound on memory

NOTICES: Mapping[NoticeCode, tuple[Topic, str]] = {
    NoticeCode.SERVER_RESTARTED: (Topic.SYSTEM, "Server restarted"),
    NoticeCode.RECOVERED: (Topic.SYSTEM, "Session recovered"),
    NoticeCode.REPLAY_DIFFERS: (Topic.SYSTEM, "Recovery differs from the journal"),
    NoticeCode.RECONCILED: (Topic.RECONCILIATION, "Books agree with the broker"),
    NoticeCode.MISMATCH: (Topic.RECONCILIATION, "Books differ from the broker"),
    NoticeCode.MONEY_MOVED: (Topic.RECONCILIATION, "Deposit or withdrawal"),
    NoticeCode.POSITION_ADOPTED: (Topic.RECONCILIATION, "Unknown position adopted"),
    NoticeCode.ORDER_IN_FLIGHT: (Topic.ORDER, "Order without an answer"),
    NoticeCode.ORDER_UNKNOWN: (Topic.ORDER, "Unknown order at the broker"),
    NoticeCode.CONNECTION_LOST: (Topic.CONNECTION, "Connection lost"),
    NoticeCode.CONNECTION_RESTORED: (Topic.CONNECTION, "Connection restored"),
    NoticeCode.DATA_STALE: (Topic.CONNECTION, "Market data stale"),
    NoticeCode.DATA_RESTORED: (Topic.CONNECTION, "Market data back"),
    NoticeCode.DATA_LATE: (Topic.CONNECTION, "Market data late"),
    NoticeCode.UNPROTECTED: (Topic.RISK, "Position without a stop"),
    NoticeCode.PROTECTED: (Topic.RISK, "Position protected again"),
    NoticeCode.AUTO_FLATTEN: (Topic.SESSION, "Auto-flatten"),
    NoticeCode.COMMAND_TAKEN: (Topic.COMMAND, "Command taken"),
    NoticeCode.COMMAND_REFUSED: (Topic.COMMAND, "Command refused"),
    NoticeCode.SCHEDULE_LATE: (Topic.SYSTEM, "Schedule late"),
    NoticeCode.CLOCK_SKEW: (Topic.SYSTEM, "Clock is off"),
    NoticeCode.HEARTBEAT_STALE: (Topic.SYSTEM, "Watchdog: heartbeat stale"),
    NoticeCode.RESOURCE_LOW: (Topic.SYSTEM, "Watchdog: resources low"),
    NoticeCode.GUARD: (Topic.RISK, "Guard"),
    NoticeCode.KILLED: (Topic.RISK, "Kill switch"),
    NoticeCode.DIGEST: (Topic.DIGEST, "Daily digest"),
    NoticeCode.FAILURE: (Topic.SYSTEM, "Failure"),
}
"""Topic and title of each notice."""

HALTS: Mapping[str, tuple[Severity, str]] = {
    Cause.DAILY_LOSS: (Severity.ALARM, "Loss limit hit: session halted"),
    Cause.DAILY_PROFIT: (Severity.INFO, "Profit target hit"),
    Cause.DRAWDOWN: (Severity.CRITICAL, "Drawdown limit hit: trading halted"),
    Cause.DRAWDOWN_ROOM: (Severity.ALARM, "Little room to the drawdown limit"),
    Cause.MARGIN: (Severity.WARNING, "High margin day: not trading"),
    Cause.UNKNOWN_EQUITY: (Severity.CRITICAL, "Equity unknown: trading halted"),
    Cause.LOSS_STREAK: (Severity.WARNING, "Loss streak: trading paused"),
    Cause.TRADE_COUNT: (Severity.INFO, "Most trades of the day made"),
    Cause.ORDER_RATE: (Severity.CRITICAL, "Too many orders: breaker tripped"),
    Cause.REJECTS: (Severity.ALARM, "Too many rejected orders: breaker tripped"),
    Cause.STALE_DATA: (Severity.ALARM, "Market data stale: breaker tripped"),
    Cause.CLOCK_SKEW: (Severity.ALARM, "Clock is off: breaker tripped"),
    Cause.KILL: (Severity.CRITICAL, "Kill switch: trading halted"),
}
"""Severity and title of the risk door's halts by cause; those of persons are told by their state."""

EXITS: Mapping[OrderRole, str] = {
    OrderRole.STOP: "stop hit",
    OrderRole.TARGET: "target reached",
    OrderRole.EXIT: "exit rule",
    OrderRole.FLATTEN: "flattened",
    OrderRole.ENTRY: "opposite order",
}

K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class _Entry:
    """An entry under way. Prices in ticks of the instrument."""

    instrument: Instrument
    side: Side
    quantity: int
    decision_id: str | None
    filled: int = 0
    ticks_sum: int = 0
    told: int = 0
    stop_ticks: int | None = None
    target_ticks: int | None = None
    ts: int = 0


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a decision meant to do; distances in ticks from the average entry."""

    stop_ticks: int | None
    target_ticks: int | None
    name: str
    tier: str


class AlertReader:
    """Turns events into alerts.

    Parameters
    ----------
    zone : zone of times until a session says its own. max_text : longest text taken over from outside, characters.
    facts : what is told beside the start of a session (mode, strategy, limits), by name.
    digest : makes the daily digest as an alert (None when there is nothing to tell); None without one.
    """

    def __init__(
        self,
        zone: str,
        max_text: int,
        facts: Mapping[str, str] | None = None,
        digest: Callable[[int], Alert | None] | None = None,
    ) -> None:
        self._zone = zone
        self._max_text = max_text
        self._facts = dict(facts or {})
        self._digest = digest
        self._plans: dict[str, _Plan] = {}
        self._entries: dict[str, _Entry] = {}
        self._due: dict[str, None] = {}
        self._exit_reasons: dict[str, str] = {}
        self._handlers: dict[type[Event], Callable[[Any], Sequence[Alert]]] = {
            DecisionMade: self._on_decision,
            Notice: self._on_notice,
            OrderChanged: self._on_order,
            OrderFilled: self._on_fill,
            SessionStarted: self._on_session,
            TierChanged: self._on_tier,
            TradeClosed: self._on_trade,
            TradingStateChanged: self._on_state,
        }

    def read(self, event: Event) -> list[Alert]:
        """Return the alerts that an event leads to, in order."""
        handler = self._handlers.get(type(event))
        if handler is None:
            return []
        # An entry is told when its moment is over: the bracket is put in place in the same moment as the fill.
        is_over = any(self._entries[name].ts != event.ts for name in self._due)
        return [*(self.flush() if is_over else ()), *handler(event)]

    def flush(self) -> list[Alert]:
        """Return what was held back for the rest of its moment."""
        due, self._due = list(self._due), {}
        return [self._opened(name, self._entries[name]) for name in due if name in self._entries]

    def _clean(self, text: object) -> str:
        return outside(text, self._max_text)

    def _alert(self, ts: int, severity: Severity, topic: Topic, key: str, title: str, text: str, **more: Any) -> Alert:
        return Alert(
            key=key, ts=ts, severity=severity, topic=topic, title=title, text=text, zone=more.pop("zone", self._zone), **more
        )

    # Sessions

    def _on_session(self, event: SessionStarted) -> list[Alert]:
        session = event.session
        self._zone = session.zone
        fields = (
            ("Symbols", self._clean(", ".join(event.symbols))),
            ("Balance", amount(event.balance, is_signed=False)),
            ("Session", f"{clock_text(session.open_ns, session.zone)} to {clock_text(session.close_ns, session.zone)}"),
            ("Day session until", clock_text(session.regular_close_ns, session.zone)),
            *(((self._clean(name)), self._clean(value)) for name, value in self._facts.items()),
        )
        notes = ["early close" if session.is_early_close else "", "simulated data" if event.is_simulated_data else ""]
        note = ", ".join(filter(None, notes))
        text = f"Trade date {session.trade_date.isoformat()}{f' ({note})' if note else ''}."
        key = f"session:{session.calendar}:{session.trade_date.isoformat()}"
        return [self._alert(event.ts, Severity.INFO, Topic.SESSION, key, "Session started", text, fields=fields)]

    def _on_state(self, event: TradingStateChanged) -> list[Alert]:
        reason = self._clean(event.reason)
        cause = self._clean(event.cause)
        by = (("By", self._clean(event.by)),) if event.by else ()
        if event.cause in (RESUMED, ENDED) or event.state is TradingState.ACTIVE:
            if event.cause == "session":  # a new day, told by its own alert
                return []
            # Where one halt of several has ended the state is still that of the others.
            is_free = event.state is TradingState.ACTIVE
            title = "Trading resumed" if is_free else f"Halt ended, trading still {event.state}"
            key, ends = f"resumed:{event.ts}", "halt:" if is_free else ""
            return [self._alert(event.ts, Severity.WARNING, Topic.RISK, key, title, reason, resolves=ends, fields=by)]
        words = "halted" if event.state is TradingState.HALTED else "reduced: nothing new is opened"
        usual = Severity.ALARM if event.state is TradingState.HALTED else Severity.WARNING
        severity, title = HALTS.get(event.cause, (usual, f"Trading {words}"))
        return [
            self._alert(
                event.ts,
                severity,
                Topic.RISK,
                f"halt:{cause}",
                title,
                reason,
                fields=(("Cause", cause), ("State", event.state.value), *by),
            )
        ]

    def _on_tier(self, event: TierChanged) -> list[Alert]:
        if not event.previous:
            return []  # the first tier of an account is a fact of its session, not a change
        previous, current = self._clean(event.previous), self._clean(event.current)
        text = f"{previous} to {current}: {self._clean(event.reason)}"
        fields = (("Balance", amount(event.balance, is_signed=False)),)
        key = f"tier:{event.ts}"
        return [self._alert(event.ts, Severity.WARNING, Topic.TIER, key, "Account tier changed", text, fields=fields)]

    # Trades

    def _on_decision(self, event: DecisionMade) -> list[Alert]:
        decision = event.decision
        intent, outcome = decision.proposal.intent, decision.outcome
        if intent is None or not isinstance(outcome, Approved):
            return []
        if intent.reduce_only:
            _keep(self._exit_reasons, outcome.symbol, self._clean(intent.reason or decision.proposal.name))
            return []
        bracket = intent.bracket
        plan = _Plan(
            bracket.stop_ticks if bracket else None,
            bracket.target_ticks if bracket else None,
            self._clean(decision.proposal.name),
            self._clean(outcome.tier),
        )
        _keep(self._plans, decision.decision_id, plan)
        return []

    def _on_order(self, event: OrderChanged) -> list[Alert]:
        parent = self._entries.get(event.parent_id or "")
        if parent is not None and event.role is OrderRole.STOP and event.stop_ticks is not None:
            parent.stop_ticks = event.stop_ticks
        if parent is not None and event.role is OrderRole.TARGET and event.limit_ticks is not None:
            parent.target_ticks = event.limit_ticks
        name = event.client_order_id
        entry = self._entries.get(name)
        if event.role is OrderRole.ENTRY and entry is None and not event.status.is_closed:
            _keep(self._entries, name, _Entry(event.instrument, event.side, event.quantity, event.decision_id))
        if entry is not None:
            entry.quantity = event.quantity
            if event.status.is_closed and entry.told < entry.filled:
                self._due[name] = None
        if event.cause is OrderEvent.REJECT:
            return [self._rejected(event)]
        return []

    def _rejected(self, event: OrderChanged) -> Alert:
        is_protective = event.role in (OrderRole.STOP, OrderRole.FLATTEN)
        symbol = self._clean(event.instrument.symbol)
        reason = self._clean(event.reason) or "no reason given"
        text = f"{event.role} {event.side} {event.quantity} {symbol} was rejected: {reason}"
        severity = Severity.ALARM if is_protective else Severity.WARNING
        return self._alert(event.ts, severity, Topic.ORDER, f"rejected:{event.role}:{symbol}", "Order rejected", text)

    def _on_fill(self, event: OrderFilled) -> list[Alert]:
        fill = event.fill
        if fill.role is not OrderRole.ENTRY:
            return []
        name = fill.client_order_id
        entry = self._entries.get(name)
        if entry is None:
            entry = _Entry(fill.instrument, fill.side, fill.quantity, None)
            _keep(self._entries, name, entry)
        is_first = entry.filled == 0
        entry.filled += fill.quantity
        entry.ticks_sum += fill.quantity * fill.price_ticks
        entry.ts = event.ts
        if is_first or entry.filled >= entry.quantity:
            self._due[name] = None
        return []

    def _opened(self, name: str, entry: _Entry) -> Alert:
        instrument, sign = entry.instrument, entry.side.sign
        plan = self._plans.get(entry.decision_id or "")
        average = entry.ticks_sum / entry.filled
        stop, target = self._bracket(entry, plan, average, sign)
        symbol = self._clean(instrument.symbol)
        part = f"{entry.filled} of {entry.quantity}" if entry.filled < entry.quantity else f"{entry.filled}"
        fields = [("Entry", price(instrument, average)), ("Stop", stop), ("Target", target)]
        if plan is not None and plan.stop_ticks:
            fields.append(("At risk", amount(-instrument.value(plan.stop_ticks, entry.filled), instrument.currency)))
        if plan is not None:
            fields.append(("Signal", plan.name))
            if plan.tier:
                fields.append(("Tier", plan.tier))
        entry.told = entry.filled
        if entry.filled >= entry.quantity:
            self._entries.pop(name, None)
        title = f"Trade opened: {entry.side} {part} {symbol}"
        return self._alert(
            entry.ts,
            Severity.INFO,
            Topic.TRADE,
            f"opened:{self._clean(name)}:{entry.filled}",
            title,
            f"Entry {fields[0][1]}, stop {stop}, target {target}.",
            fields=tuple(fields),
        )

    @staticmethod
    def _bracket(entry: _Entry, plan: _Plan | None, average: float, sign: int) -> tuple[str, str]:
        stop, target = "none", "none"
        if entry.stop_ticks is not None:
            stop = price(entry.instrument, entry.stop_ticks)
        elif plan is not None and plan.stop_ticks is not None:
            stop = price(entry.instrument, average - sign * plan.stop_ticks)
        if entry.target_ticks is not None:
            target = price(entry.instrument, entry.target_ticks)
        elif plan is not None and plan.target_ticks is not None:
            target = price(entry.instrument, average + sign * plan.target_ticks)
        return stop, target

    def _on_trade(self, event: TradeClosed) -> list[Alert]:
        trade, held = event.trade, self.flush()
        instrument = trade.instrument
        symbol, currency = self._clean(instrument.symbol), instrument.currency
        why = EXITS[trade.exit_role]
        reason = self._exit_reasons.pop(instrument.symbol, "")
        if trade.exit_role in (OrderRole.FLATTEN, OrderRole.EXIT) and reason:
            why = f"{why} ({reason})"
        fields = [
            ("Result", amount(trade.net, currency)),
            ("Reason", why),
            ("Entry", price(instrument, trade.entry_ticks)),
            ("Exit", price(instrument, trade.exit_ticks)),
            ("Fees", amount(trade.fees, currency, is_signed=False)),
            ("Held", lasted(trade.exit_ns - trade.entry_ns)),
        ]
        title = f"Trade closed: {amount(trade.net, currency)}, {symbol}"
        text = f"{trade.side} {trade.quantity} {symbol} closed, {why}."
        key = f"closed:{self._clean(trade.trade_id)}"
        told = self._alert(event.ts, Severity.INFO, Topic.TRADE, key, title, text, fields=tuple(fields))
        return [*held, told]

    # Notices

    def _on_notice(self, event: Notice) -> list[Alert]:
        topic, title = NOTICES[event.code]
        if event.code is NoticeCode.DIGEST and self._digest is not None:
            made = self._digest(event.ts)
            if made is not None:
                return [made]
        subject = self._clean(event.subject)
        # Each step of what the guard does is a matter of its own: that it has succeeded is no repeat of that it acts.
        step = self._clean(event.values.get("step", ""))
        fields = tuple((self._clean(name), self._clean(value)) for name, value in event.values.items() if name != "step")
        resolves = event.resolves
        return [
            self._alert(
                event.ts,
                event.severity,
                topic,
                f"{event.code}:{subject}{f':{step}' if step else ''}",
                f"{title}: {subject}" if subject else title,
                self._clean(event.text),
                fields=fields,
                resolves=f"{resolves}:{subject}" if resolves else "",
                is_quiet_alone=event.code is NoticeCode.RECONCILED and event.severity is Severity.INFO,
            )
        ]


def weight_of(event: Event) -> int:
    """Return how much an event matters when not all can be kept: 0 details, then INFO, WARNING, ALARM, CRITICAL from 1 on."""
    if isinstance(event, Notice):
        return 1 + RANK[event.severity]
    if isinstance(event, TradingStateChanged):
        return 1 + SERIOUS
    return 0 if isinstance(event, (DecisionMade, OrderChanged)) else 1


def _keep(table: dict[K, V], key: K, value: V) -> None:
    table[key] = value
    if len(table) > _REMEMBERED:
        del table[next(iter(table))]
