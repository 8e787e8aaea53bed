"""Compare our books with what the venue says, and say what must change here: the venue wins, by recorded corrections.

`reconcile` is a pure function of two values; it changes nothing. Its corrections are inputs of the engine like any report:
`Executor.correct` applies one. Applying them all and comparing again with the same snapshot finds nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from sovereign.core.event import Severity
from sovereign.core.order import Order
from sovereign.execution.account import Account
from sovereign.execution.broker import BrokerSnapshot, VenueOrder, VenuePosition
from sovereign.execution.report import ExecutionReport


class FindingKind(StrEnum):
    """What two books may disagree about."""

    MISSED_EXECUTION = "MISSED_EXECUTION"
    ORDER_ARRIVED = "ORDER_ARRIVED"
    ORDER_CLOSED = "ORDER_CLOSED"
    ORDER_GONE = "ORDER_GONE"
    ORDER_NEVER_ARRIVED = "ORDER_NEVER_ARRIVED"
    ORDER_UNKNOWN = "ORDER_UNKNOWN"
    REQUEST_NEVER_ARRIVED = "REQUEST_NEVER_ARRIVED"
    IN_FLIGHT = "IN_FLIGHT"
    TERMS_DIFFER = "TERMS_DIFFER"
    FILLED_DIFFERS = "FILLED_DIFFERS"
    POSITION_DIFFERS = "POSITION_DIFFERS"
    AVERAGE_DIFFERS = "AVERAGE_DIFFERS"
    CASH_DIFFERS = "CASH_DIFFERS"
    MOVED_MEANWHILE = "MOVED_MEANWHILE"


class CorrectionKind(StrEnum):
    """How our books are put right."""

    REPORT = "REPORT"
    ADOPT_ORDER = "ADOPT_ORDER"
    CANCEL_ORDER = "CANCEL_ORDER"
    ADOPT_POSITION = "ADOPT_POSITION"
    SET_CASH = "SET_CASH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One difference; `subject` is an order id, a symbol or `cash`, `ours` and `theirs` are for people to read."""

    kind: FindingKind
    severity: Severity
    subject: str
    ours: str
    theirs: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """One change to our books, complete in itself so that it can be recorded and applied again in a replay.

    REPORT has `report`; ADOPT_ORDER and CANCEL_ORDER have `order`; ADOPT_POSITION has `position`; SET_CASH has `cash`.
    `tape` is the symbol whose market data values an adopted order or position.
    """

    kind: CorrectionKind
    subject: str
    reason: str
    report: ExecutionReport | None = None
    order: VenueOrder | None = None
    position: VenuePosition | None = None
    cash: Decimal | None = None
    tape: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What was found and what to do; `cursor` is the venue's, to ask from next time.

    `is_clean` says that nothing contradicts: entries may be sent. `is_settled` is False when our books moved between the
    question and the answer, so that positions and cash could not be compared: ask again.
    """

    findings: tuple[Finding, ...]
    corrections: tuple[Correction, ...]
    is_clean: bool
    is_settled: bool
    cursor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """A request that the venue has not answered: `request` is NEW, CANCEL or REPLACE, sent at `since_ns`."""

    order: Order
    request: str
    since_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Our side, to be read only: made by `Executor.books`.

    `asked_ns` is our market time when the snapshot was asked for; what changed here after it is left alone until next time.
    """

    asked_ns: int
    now_ns: int
    account: Account
    working: Mapping[str, Order]
    closed: Mapping[str, Order]
    in_flight: Mapping[str, InFlight]
    is_applied: Callable[[str, str], bool]
    last_fill_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcilePolicy:
    """What to do where the books alone do not say; see the settings of the same names in `execution`."""

    adopts_unknown_orders: bool
    in_flight_grace_ns: int
    average_tolerance_frac: float
    cash_tolerance: Decimal


def reconcile(
    ours: Books, theirs: BrokerSnapshot, policy: ReconcilePolicy, tape_of: Mapping[str, str] | None = None
) -> Reconciliation:
    """Return the differences between two books and the corrections that remove them.

    Parameters
    ----------
    tape_of : symbol of the market data that values a traded symbol; a symbol not named is its own tape.
    """
    raise NotImplementedError
