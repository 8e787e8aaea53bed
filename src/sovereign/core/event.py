"""The audit stream: what the engine says has happened, as frozen values with a canonical byte form.

The dashboard, the store, the reports and the console are all readers of this stream; none of them holds the engine.
Two runs are the same run when `encode` gives the same bytes for every event.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.core.decision import Check, Decision, say
from sovereign.core.instrument import Instrument
from sovereign.core.order import OrderEvent, OrderRole, OrderStatus, OrderType, Side
from sovereign.core.position import Fill, Trade
from sovereign.core.record import maker, quick
from sovereign.core.session import Session


class TradingState(StrEnum):
    """ACTIVE trades, REDUCING only closes, HALTED does nothing new until cleared."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened at `ts` (UTC nanoseconds)."""

    ts: int


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStarted(Event):
    """A trade date begins; `balance` is the day-start balance."""

    session: Session
    symbols: tuple[str, ...]
    balance: Decimal
    is_simulated_data: bool


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded(Event):
    """A trade date is over."""

    trade_date: date
    balance: Decimal
    ticks: int


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class RowsClosed(Event):
    """Signal rows of a session (bars with their patterns and regime), as computed; emitted once, at the session's end.

    `candidates` are the strategy's own candidate rows, taken or refused by its own gates; see the strategy's dtype.
    """

    symbol: str
    trade_date: date
    rows: NDArray[Any]
    candidates: NDArray[Any]


make_rows_closed = maker(RowsClosed)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionMade(Event):
    """A candidate passed or failed the door."""

    decision: Decision


make_decision_made = maker(DecisionMade)


@quick
@dataclass(frozen=True, slots=True)
class OrderChanged(Event):
    """An order moved along its life cycle, or was changed in place; `arrival_ticks` is the last price when it was decided."""

    client_order_id: str
    instrument: Instrument
    side: Side
    order_type: OrderType
    role: OrderRole
    quantity: int
    filled_qty: int
    limit_ticks: int | None
    stop_ticks: int | None
    cause: OrderEvent
    status: OrderStatus
    decision_id: str | None
    parent_id: str | None
    reason: str = ""
    arrival_ticks: int | None = None
    venue_order_id: str | None = None


make_order_changed = maker(OrderChanged)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFilled(Event):
    """An execution was applied."""

    fill: Fill
    position_quantity: int
    balance: Decimal


make_order_filled = maker(OrderFilled)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class TradeClosed(Event):
    """A round trip is complete."""

    trade: Trade


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSnapshot(Event):
    """Money at a moment: `equity` is balance plus floating profit and loss."""

    balance: Decimal
    equity: Decimal
    day_pnl: Decimal
    high_water_mark: Decimal


make_account_snapshot = maker(AccountSnapshot)


@dataclass(frozen=True, slots=True, kw_only=True)
class TierChanged(Event):
    """The account moved to another tier."""

    previous: str
    current: str
    balance: Decimal
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingStateChanged(Event):
    """Trading was halted, reduced or resumed: the state in force from now on, and why; `by` names the person, if one did it."""

    state: TradingState
    cause: str
    reason: str
    by: str = ""


class Severity(StrEnum):
    """How soon somebody should look: INFO never, WARNING today, ALARM now, CRITICAL now and by every route."""

    INFO = "INFO"
    WARNING = "WARNING"
    ALARM = "ALARM"
    CRITICAL = "CRITICAL"


class NoticeCode(StrEnum):
    """What a notice is about."""

    SERVER_RESTARTED = "SERVER_RESTARTED"
    RECOVERED = "RECOVERED"
    REPLAY_DIFFERS = "REPLAY_DIFFERS"
    RECONCILED = "RECONCILED"
    MISMATCH = "MISMATCH"
    MONEY_MOVED = "MONEY_MOVED"
    POSITION_ADOPTED = "POSITION_ADOPTED"
    ORDER_IN_FLIGHT = "ORDER_IN_FLIGHT"
    ORDER_UNKNOWN = "ORDER_UNKNOWN"
    CONNECTION_LOST = "CONNECTION_LOST"
    CONNECTION_RESTORED = "CONNECTION_RESTORED"
    DATA_STALE = "DATA_STALE"
    DATA_RESTORED = "DATA_RESTORED"
    DATA_LATE = "DATA_LATE"
    UNPROTECTED = "UNPROTECTED"
    PROTECTED = "PROTECTED"
    AUTO_FLATTEN = "AUTO_FLATTEN"
    COMMAND_TAKEN = "COMMAND_TAKEN"
    COMMAND_REFUSED = "COMMAND_REFUSED"
    SCHEDULE_LATE = "SCHEDULE_LATE"
    CLOCK_SKEW = "CLOCK_SKEW"
    HEARTBEAT_STALE = "HEARTBEAT_STALE"
    RESOURCE_LOW = "RESOURCE_LOW"
    GUARD = "GUARD"
    KILLED = "KILLED"
    DIGEST = "DIGEST"
    FAILURE = "FAILURE"


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Notice(Event):
    """Something about the operation of the platform that a person may have to know; `subject` is a symbol, order or part.

    A later notice of the `resolves` code about the same subject ends the matter that this one reports.
    """

    code: NoticeCode
    severity: Severity
    subject: str
    text: str
    values: Mapping[str, str | int | float] = field(default_factory=dict)

    @property
    def resolves(self) -> NoticeCode | None:
        """The code of the trouble that this notice reports as over, if any."""
        return _RESOLVED.get(self.code)


_RESOLVED = {
    NoticeCode.CONNECTION_RESTORED: NoticeCode.CONNECTION_LOST,
    NoticeCode.DATA_RESTORED: NoticeCode.DATA_STALE,
    NoticeCode.PROTECTED: NoticeCode.UNPROTECTED,
    NoticeCode.RECONCILED: NoticeCode.MISMATCH,
}


def _digest(array: NDArray[Any]) -> str:
    # Field by field: the padding between the fields of an aligned record is whatever memory held before.
    columns = [array[name] for name in array.dtype.names] if array.dtype.names else [array]
    digest = hashlib.sha256()
    for column in columns:
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


_AS_IT_IS = frozenset({type(None), bool, int, str})


def _plain_check(check: Check) -> dict[str, Any]:
    # A decision has some thirty, and an order waits for them: spelled out, this takes a third of the time.
    name, value, limit, unit, passed, words = check
    return {
        "name": _plain(name),
        "value": repr(value) if type(value) is float else _plain(value),
        "limit": repr(limit) if type(limit) is float else _plain(limit),
        "unit": _plain(unit),
        "passed": _plain(passed),
        "note": words if type(words) is str else say(words),
    }


def _plain_fields(kind: type[Any]) -> Callable[[Any], dict[str, Any]]:
    names = tuple(field.name for field in fields(kind))

    def plain(value: Any) -> dict[str, Any]:
        return {name: _plain(getattr(value, name)) for name in names}

    return plain


_KINDS: tuple[tuple[tuple[type[Any], ...], Callable[[Any], Any]], ...] = (
    ((Enum,), lambda value: value.value),
    ((int, str), lambda value: value),
    ((Decimal,), lambda value: format(value.normalize(), "f")),
    ((float,), repr),
    ((date,), lambda value: value.isoformat()),
    ((Instrument,), lambda value: value.symbol),
    ((np.ndarray,), lambda value: {"rows": len(value), "sha256": _digest(value)}),
    ((np.generic,), lambda value: _plain(value.item())),
    ((Mapping,), lambda value: {str(k): _plain(v) for k, v in value.items()}),
    ((Check,), _plain_check),
    ((tuple, list), lambda value: [_plain(v) for v in value]),
)
_WAYS: dict[type[Any], Callable[[Any], Any]] = {}  # by type: an order does not leave before the events ahead of it are encoded


def _way(kind: type[Any]) -> Callable[[Any], Any]:
    for kinds, way in _KINDS:
        if issubclass(kind, kinds):
            return way
    return _plain_fields(kind)


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    way = _WAYS.get(kind)
    if way is None:
        way = _WAYS[kind] = _way(kind)
    return way(value)


def to_plain(event: Event) -> dict[str, Any]:
    """Return an event as JSON-ready values: Decimal as text, floats as shortest round-trip text, arrays as a digest."""
    return {"event": type(event).__name__, **_plain(event)}


def encode(event: Event) -> bytes:
    """Return the canonical bytes of an event: one line of JSON with sorted keys."""
    return json.dumps(to_plain(event), sort_keys=True, separators=(",", ":")).encode() + b"\n"
