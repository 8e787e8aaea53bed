"""Asking the broker: about requests it has not answered, and about the whole account, now and then and whenever in doubt.

The answer is compared with our books by `execution.reconcile`; its corrections become recorded inputs. Entries are refused from
the start, and from every finding on, until a comparison is clean.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from sovereign.core.event import NoticeCode, Severity
from sovereign.core.order import TimeInForce
from sovereign.engine.inputs import CorrectionMade, HealthChanged, NoticeRaised
from sovereign.engine.lines import BROKER, Lines
from sovereign.engine.live_configuration import LiveConfig
from sovereign.execution.broker import BrokerSnapshot, VenueOrder
from sovereign.execution.reconcile import Finding, FindingKind, ReconcilePolicy, Reconciliation, reconcile

if TYPE_CHECKING:
    from sovereign.engine.live import LiveSession

_SUBJECT = "reconciliation"
_PROLONGED_MOST = 3
_CODES = {
    FindingKind.ORDER_UNKNOWN: NoticeCode.ORDER_UNKNOWN,
    FindingKind.IN_FLIGHT: NoticeCode.ORDER_IN_FLIGHT,
    FindingKind.POSITION_DIFFERS: NoticeCode.MISMATCH,
}
_SILENT = (FindingKind.IN_FLIGHT, FindingKind.MOVED_MEANWHILE)


def policy_of(config: LiveConfig) -> ReconcilePolicy:
    """Return the policy that the settings describe."""
    return ReconcilePolicy(
        adopts_unknown_orders=config.adopts_unknown_orders,
        in_flight_grace_ns=round(config.in_flight_grace_s * 1e9),
        average_tolerance_frac=config.average_tolerance_frac,
        cash_tolerance=config.cash_tolerance,
    )


class Reconciler:
    """Compares one session with its broker; `cursor` is the broker's last execution that our books are known to hold."""

    def __init__(self, session: LiveSession, lines: Lines, config: LiveConfig) -> None:
        self.cursor = 0
        self._session = session
        self._lines = lines
        self._config = config
        self._policy = policy_of(config)
        self._is_well = False
        self._asked_ns: int | None = None
        self._due = float("-inf")
        self._first_seen: dict[tuple[str, str, int], float] = {}
        self._margins: Mapping[str, Decimal] = {}
        self._begun: float | None = None
        self._has_compared = False
        self._closing: float | None = None
        self._prolonged = 0
        self._is_priced = False  # margins were told
        self._is_margin_due = False
        self._lags: float | None = None  # since when reports wait for their tick
        self._last_ns: int | None = None  # when the latest comparison that was settled had been asked for
        self._is_last_clean = False

    def begin(self, cursor: int) -> None:
        """Refuse entries until the first comparison is clean; `cursor` is what the opening knows of."""
        self.cursor = cursor
        self._is_well = False
        self._begun = self._session.seconds()
        reason = "the account has not been compared with the broker's yet"
        self._session.apply(HealthChanged(ts=self._session.now(), subject=_SUBJECT, is_well=False, reason=reason))

    def ask(self, why: str) -> None:
        """Compare as soon as may be; `why` is for the reader of the code that asks."""
        del why
        self._due = float("-inf")

    def look(self, now: float) -> None:
        """Do what is due."""
        if self._session.conductor.engine.executor.pop_surprises():
            self.ask("a report contradicted our books")
        self._watch_in_flight(now)
        if self._lags is not None and not self._session.conductor.is_told_more:
            self._lags = None
            self.ask("our books have caught up with what we were told")
        if self._asked_ns is None and self._is_margin_due:
            self._is_margin_due = False
            self._due = min(self._due, now + self._config.retry_s)
        if self._asked_ns is None and now >= self._due and self._session.is_connected(BROKER):
            self._due = now + self._config.reconcile_s
            self._asked_ns = self._session.now()
            self._lines.ask_margins(self._on_margins)
            self._lines.ask_snapshot(self.cursor, self._on_snapshot)

    def has_compared(self, now: float) -> bool:
        """Say whether a comparison was clean and margins are known since the beginning, or were waited for long enough."""
        if not self._has_compared and self._begun is not None:
            is_ready = self._is_well and self._is_priced
            self._has_compared = is_ready or now - self._begun >= self._config.answer_s
        return self._has_compared

    def may_read(self, now: float) -> bool:
        """Say whether market data may come: our books were compared, or can only be once the tape has brought them up."""
        return self.has_compared(now) or self._lags is not None

    def is_done(self, now: float) -> bool:
        """Say whether the session may be closed.

        Nothing is unanswered, no day order works, and the books were compared after the last fill and are the broker's; after
        `live.answer_s` it is enough that they were compared. Without that it stays open: the next session would not know which
        executions are booked.
        """
        executor = self._session.conductor.engine.executor
        if self._closing is None:
            self._closing, self._last_ns = now, None
            self.ask("the session is about to close")
        books = executor.books(0, self._session.now())
        if self._last_ns is None or books.last_fill_ns > self._last_ns:
            return False
        if now - self._closing >= self._config.answer_s:
            return True
        is_open = any(order.time_in_force is TimeInForce.DAY for order in books.working.values())
        return self._is_last_clean and not is_open and not books.in_flight

    def _watch_in_flight(self, now: float) -> None:
        market = self._session.now()
        found = {}
        for entry in self._session.conductor.engine.executor.in_flight(market):
            key = (entry.order.client_order_id, entry.request, entry.since_ns)
            found[key] = self._first_seen.get(key, now)
            if now - found[key] >= self._config.in_flight_s and self._session.is_connected(BROKER):
                found[key] = now
                self._say_in_flight(*key)
                self._lines.ask_order(key[0], lambda answer, asked=key[0]: self._on_order(asked, answer))  # type: ignore[misc]
        self._first_seen = found

    def _say_in_flight(self, order: str, request: str, since_ns: int) -> None:
        waited = (self._session.now() - since_ns) / 1e9
        text = f"{request} of {order} was sent {waited:.1f} s ago (market time) and not answered; the broker is asked"
        self._notice(NoticeCode.ORDER_IN_FLIGHT, Severity.WARNING, order, text)

    def _on_order(self, order: str, answer: VenueOrder | BaseException | None) -> None:
        if isinstance(answer, BaseException):
            self._notice(NoticeCode.ORDER_IN_FLIGHT, Severity.ALARM, order, f"the broker did not say: {answer}")
            return
        # Whatever it is, the whole account tells it with fills and money; an order alone does not.
        self.ask(f"the broker says of {order}: {'never received' if answer is None else answer.status}")

    def _on_margins(self, answer: object) -> None:
        if not isinstance(answer, Mapping):
            self._is_margin_due = True  # unknown margins refuse entries: the next comparison, which asks again, comes soon
            return
        self._is_priced = True
        # A share's margin is a part of its price: before its first trade nothing could be said of it.
        self._is_margin_due = any(symbol not in answer for symbol in self._session.conductor.tape_of())
        if dict(answer) != self._margins:
            self._margins = dict(answer)
            self._session.margins(self._margins)

    def _on_snapshot(self, answer: BrokerSnapshot | BaseException) -> None:
        asked, self._asked_ns = self._asked_ns, None
        if isinstance(answer, BaseException) or asked is None:
            self._due = self._session.seconds() + self._config.retry_s
            self._say(is_well=False, reason=f"the broker did not answer: {answer}")
            return
        seconds = self._session.seconds()
        if self._session.conductor.is_told_more:
            # What we were told explains what we would find: the tape first, which brings our books up to it.
            self._lags = self._lags or seconds
            if seconds - self._lags < self._config.answer_s:
                self._due = seconds + self._config.retry_s
                return
        engine, now = self._session.conductor.engine, self._session.now()
        tapes = self._session.conductor.tape_of()
        found = reconcile(engine.executor.books(asked, now), answer, self._policy, tapes)
        for finding in found.findings:
            self._tell(finding)
        for correction in found.corrections:
            self._session.apply(CorrectionMade(ts=self._session.now(), correction=correction))
        if found.is_settled:
            self.cursor = max(self.cursor, found.cursor)
            self._last_ns, self._is_last_clean = now if found.corrections else asked, found.is_clean
        if found.corrections and self._closing is not None and self._prolonged < _PROLONGED_MOST:
            self._prolonged += 1
            self._closing = seconds  # what the correction began is to be answered before the close
        self._conclude(found)

    def _conclude(self, found: Reconciliation) -> None:
        if found.is_clean and found.is_settled:
            self._say(is_well=True, reason="our books equal the broker's")
            return
        self._due = self._session.seconds() + self._config.retry_s
        loud = [finding.text for finding in found.findings if finding.kind not in _SILENT]
        if loud or found.corrections:  # a fill between question and answer contradicts nothing: it is asked again
            self._say(is_well=False, reason="; ".join(loud) or "our books differed from the broker's")

    def _tell(self, finding: Finding) -> None:
        if finding.kind in _SILENT:
            return
        code = _CODES.get(finding.kind, NoticeCode.MISMATCH)
        values: dict[str, str | int | float] = {
            "kind": finding.kind.value,
            "subject": finding.subject,
            "ours": finding.ours,
            "theirs": finding.theirs,
        }
        subject = finding.subject if code is NoticeCode.ORDER_UNKNOWN else _SUBJECT
        self._notice(code, finding.severity, subject, finding.text, values)

    def _say(self, *, is_well: bool, reason: str) -> None:
        if is_well == self._is_well and is_well:
            return
        changed, self._is_well = is_well != self._is_well, is_well
        code = NoticeCode.RECONCILED if is_well else None
        if is_well or changed or _SUBJECT not in self._session.conductor.engine.unhealthy:
            self._session.apply(
                HealthChanged(
                    ts=self._session.now(),
                    subject=_SUBJECT,
                    is_well=is_well,
                    reason=reason,
                    code=code,
                    severity=Severity.INFO,
                )
            )

    def _notice(
        self,
        code: NoticeCode,
        severity: Severity,
        subject: str,
        text: str,
        values: Mapping[str, str | int | float] | None = None,
    ) -> None:
        self._session.apply(
            NoticeRaised(ts=self._session.now(), code=code, severity=severity, subject=subject, text=text, values=values or {})
        )
