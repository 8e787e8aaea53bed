"""Orders: words, the life cycle as one table, and the order itself.

Words and states follow FIX. `DENIED` is our own refusal, `REJECTED` the venue's. An order changes only through
`Order.apply`, which looks the move up in `TRANSITIONS` and raises when it is not there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from sovereign.core.errors import IllegalTransitionError, UsageError
from sovereign.core.instrument import Instrument
from sovereign.core.record import maker, quick


class Side(StrEnum):
    """Direction of an order or a fill."""

    BUY = "BUY"
    SELL = "SELL"

    sign: int
    """+1 for BUY, -1 for SELL."""

    def __init__(self, name: str) -> None:
        self.sign = 1 if name == "BUY" else -1

    @property
    def opposite(self) -> Side:
        """The other side."""
        return _SELL if self.sign > 0 else _BUY


_BUY, _SELL = Side.BUY, Side.SELL


class OrderType(StrEnum):
    """How an order asks for a price."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"
    TRAILING_STOP = "TRAILING_STOP"


class TimeInForce(StrEnum):
    """How long an order lives: DAY ends with the session, GTD at `expire_ns`."""

    DAY = "DAY"
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"


class OrderRole(StrEnum):
    """What an order is for."""

    ENTRY = "ENTRY"
    STOP = "STOP"
    TARGET = "TARGET"
    EXIT = "EXIT"
    FLATTEN = "FLATTEN"


class OrderStatus(StrEnum):
    """Where an order is in its life."""

    INITIALIZED = "INITIALIZED"
    DENIED = "DENIED"
    SUBMITTED = "SUBMITTED"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    TRIGGERED = "TRIGGERED"
    PENDING_UPDATE = "PENDING_UPDATE"
    PENDING_CANCEL = "PENDING_CANCEL"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"

    is_closed: bool
    """Whether nothing more can happen to the order, late fills apart."""

    def __init__(self, name: str) -> None:
        self.is_closed = name in ("DENIED", "REJECTED", "FILLED", "CANCELED", "EXPIRED")


class OrderEvent(StrEnum):
    """What can happen to an order."""

    DENY = "DENY"
    SUBMIT = "SUBMIT"
    ACCEPT = "ACCEPT"
    REJECT = "REJECT"
    TRIGGER = "TRIGGER"
    REQUEST_UPDATE = "REQUEST_UPDATE"
    UPDATE = "UPDATE"
    REFUSE_UPDATE = "REFUSE_UPDATE"
    REQUEST_CANCEL = "REQUEST_CANCEL"
    REFUSE_CANCEL = "REFUSE_CANCEL"
    CANCEL = "CANCEL"
    EXPIRE = "EXPIRE"
    PARTIAL_FILL = "PARTIAL_FILL"
    FILL = "FILL"


# What every order asks for is looked up once: Python 3.11 takes long to find the members of an enumeration.
_MARKET, _LIMIT, _GTD = OrderType.MARKET, OrderType.LIMIT, TimeInForce.GTD
_S, _E = OrderStatus, OrderEvent
RESTING = OrderStatus.ACCEPTED
"""Where a refused update or cancel returns to when nothing has been filled."""

TRANSITIONS: dict[tuple[OrderStatus, OrderEvent], OrderStatus] = {
    (_S.INITIALIZED, _E.DENY): _S.DENIED,
    (_S.INITIALIZED, _E.SUBMIT): _S.SUBMITTED,
    (_S.SUBMITTED, _E.ACCEPT): _S.ACCEPTED,
    (_S.SUBMITTED, _E.REJECT): _S.REJECTED,
    (_S.SUBMITTED, _E.REQUEST_UPDATE): _S.PENDING_UPDATE,
    (_S.SUBMITTED, _E.UPDATE): _S.ACCEPTED,  # the acknowledgement was lost or is late
    (_S.SUBMITTED, _E.REQUEST_CANCEL): _S.PENDING_CANCEL,
    (_S.SUBMITTED, _E.CANCEL): _S.CANCELED,  # IOC and FOK may never be acknowledged as resting
    (_S.SUBMITTED, _E.EXPIRE): _S.EXPIRED,
    (_S.SUBMITTED, _E.TRIGGER): _S.TRIGGERED,
    (_S.SUBMITTED, _E.PARTIAL_FILL): _S.PARTIALLY_FILLED,  # the fill may overtake the acknowledgement
    (_S.SUBMITTED, _E.FILL): _S.FILLED,
    (_S.ACCEPTED, _E.ACCEPT): _S.ACCEPTED,  # said twice
    (_S.ACCEPTED, _E.REJECT): _S.REJECTED,
    (_S.ACCEPTED, _E.TRIGGER): _S.TRIGGERED,
    (_S.ACCEPTED, _E.REQUEST_UPDATE): _S.PENDING_UPDATE,
    (_S.ACCEPTED, _E.UPDATE): _S.ACCEPTED,  # OCO reduction by the venue, unasked
    (_S.ACCEPTED, _E.REFUSE_UPDATE): _S.ACCEPTED,  # said twice, or overtaken by the venue's own update
    (_S.ACCEPTED, _E.REQUEST_CANCEL): _S.PENDING_CANCEL,
    (_S.ACCEPTED, _E.REFUSE_CANCEL): _S.ACCEPTED,  # said twice
    (_S.ACCEPTED, _E.CANCEL): _S.CANCELED,
    (_S.ACCEPTED, _E.EXPIRE): _S.EXPIRED,
    (_S.ACCEPTED, _E.PARTIAL_FILL): _S.PARTIALLY_FILLED,
    (_S.ACCEPTED, _E.FILL): _S.FILLED,
    (_S.TRIGGERED, _E.ACCEPT): _S.TRIGGERED,  # a late acknowledgement
    (_S.TRIGGERED, _E.REJECT): _S.REJECTED,
    (_S.TRIGGERED, _E.TRIGGER): _S.TRIGGERED,  # said twice
    (_S.TRIGGERED, _E.REQUEST_UPDATE): _S.PENDING_UPDATE,
    (_S.TRIGGERED, _E.UPDATE): _S.TRIGGERED,
    (_S.TRIGGERED, _E.REFUSE_UPDATE): _S.TRIGGERED,
    (_S.TRIGGERED, _E.REQUEST_CANCEL): _S.PENDING_CANCEL,
    (_S.TRIGGERED, _E.REFUSE_CANCEL): _S.TRIGGERED,
    (_S.TRIGGERED, _E.CANCEL): _S.CANCELED,
    (_S.TRIGGERED, _E.EXPIRE): _S.EXPIRED,
    (_S.TRIGGERED, _E.PARTIAL_FILL): _S.PARTIALLY_FILLED,
    (_S.TRIGGERED, _E.FILL): _S.FILLED,
    (_S.PENDING_UPDATE, _E.UPDATE): _S.ACCEPTED,
    (_S.PENDING_UPDATE, _E.REFUSE_UPDATE): _S.ACCEPTED,
    (_S.PENDING_UPDATE, _E.ACCEPT): _S.PENDING_UPDATE,  # a late acknowledgement
    (_S.PENDING_UPDATE, _E.REJECT): _S.REJECTED,
    (_S.PENDING_UPDATE, _E.REQUEST_CANCEL): _S.PENDING_CANCEL,
    (_S.PENDING_UPDATE, _E.REFUSE_CANCEL): _S.PENDING_UPDATE,  # said twice, of an earlier cancel
    (_S.PENDING_UPDATE, _E.CANCEL): _S.CANCELED,
    (_S.PENDING_UPDATE, _E.EXPIRE): _S.EXPIRED,
    (_S.PENDING_UPDATE, _E.TRIGGER): _S.TRIGGERED,
    (_S.PENDING_UPDATE, _E.PARTIAL_FILL): _S.PENDING_UPDATE,  # the update is still unanswered
    (_S.PENDING_UPDATE, _E.FILL): _S.FILLED,
    (_S.PENDING_CANCEL, _E.REFUSE_CANCEL): _S.ACCEPTED,
    (_S.PENDING_CANCEL, _E.CANCEL): _S.CANCELED,
    (_S.PENDING_CANCEL, _E.EXPIRE): _S.EXPIRED,
    (_S.PENDING_CANCEL, _E.REJECT): _S.REJECTED,
    (_S.PENDING_CANCEL, _E.ACCEPT): _S.PENDING_CANCEL,  # a late acknowledgement does not undo the request
    (_S.PENDING_CANCEL, _E.TRIGGER): _S.PENDING_CANCEL,
    (_S.PENDING_CANCEL, _E.UPDATE): _S.PENDING_CANCEL,  # a bracket resized by the venue before the cancel arrived
    (_S.PENDING_CANCEL, _E.REFUSE_UPDATE): _S.PENDING_CANCEL,  # the answer to an update asked for before the cancel
    (_S.PENDING_CANCEL, _E.PARTIAL_FILL): _S.PENDING_CANCEL,
    (_S.PENDING_CANCEL, _E.FILL): _S.FILLED,
    (_S.PARTIALLY_FILLED, _E.ACCEPT): _S.PARTIALLY_FILLED,  # a late acknowledgement
    (_S.PARTIALLY_FILLED, _E.REJECT): _S.REJECTED,  # the rest is refused; what filled stays filled
    (_S.PARTIALLY_FILLED, _E.TRIGGER): _S.PARTIALLY_FILLED,  # late
    (_S.PARTIALLY_FILLED, _E.REQUEST_UPDATE): _S.PENDING_UPDATE,
    (_S.PARTIALLY_FILLED, _E.UPDATE): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _E.REFUSE_UPDATE): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _E.REQUEST_CANCEL): _S.PENDING_CANCEL,
    (_S.PARTIALLY_FILLED, _E.REFUSE_CANCEL): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _E.CANCEL): _S.CANCELED,
    (_S.PARTIALLY_FILLED, _E.EXPIRE): _S.EXPIRED,
    (_S.PARTIALLY_FILLED, _E.PARTIAL_FILL): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _E.FILL): _S.FILLED,
    (_S.FILLED, _E.ACCEPT): _S.FILLED,  # a late acknowledgement
    (_S.FILLED, _E.PARTIAL_FILL): _S.FILLED,  # the last fill overtook an earlier one: both count
    (_S.FILLED, _E.FILL): _S.FILLED,
    (_S.CANCELED, _E.PARTIAL_FILL): _S.CANCELED,  # the fill crossed the cancel on the wire: it counts
    (_S.CANCELED, _E.FILL): _S.FILLED,
    (_S.EXPIRED, _E.PARTIAL_FILL): _S.EXPIRED,
    (_S.EXPIRED, _E.FILL): _S.FILLED,
    (_S.REJECTED, _E.PARTIAL_FILL): _S.REJECTED,  # the venue contradicts itself, but what traded has traded
    (_S.REJECTED, _E.FILL): _S.FILLED,
}
"""The whole life of an order, `(status, event): status`. A pair that is not here is a defect of ours, or a report to refuse."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """Protective children of an entry, as distances in ticks from the average fill price of the entry.

    `stop_ticks` is required; `target_ticks` is optional; with `trail_ticks` the stop starts at `stop_ticks` and then follows
    the best price at that distance. A distance below one tick raises `UsageError`.
    """

    stop_ticks: int
    target_ticks: int | None = None
    trail_ticks: int | None = None

    def __post_init__(self) -> None:
        for name, ticks in (("stop", self.stop_ticks), ("target", self.target_ticks), ("trail", self.trail_ticks)):
            if ticks is not None and ticks < 1:
                raise UsageError(f"{name}_ticks was {ticks}; a bracket's distances are at least 1 tick")


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntent:
    """What a strategy, a person or an exit rule wants, before risk has looked at it.

    Parameters
    ----------
    symbol : the instrument whose market data decides (the tape); risk may trade another size of the same product on it.
    quantity : units wanted; None lets risk size the order at its stop.
    size_steps : units the strategy asks for above the smallest size (definitions 5.4: confirmation, trend).
    size_multiplier : fraction of the sized quantity to take (the regime's multiplier), 0 < m <= 1.
    reduce_only : never opens or turns a position; judged by the reduce-only policy of the risk door.

    Raises
    ------
    UsageError : the price terms do not fit the order type, or only one of GTD and `expire_ns` is given.
    """

    symbol: str
    side: Side
    order_type: OrderType = OrderType.MARKET
    quantity: int | None = None
    limit_ticks: int | None = None
    stop_ticks: int | None = None
    trail_ticks: int | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    expire_ns: int | None = None
    bracket: Bracket | None = None
    role: OrderRole = OrderRole.ENTRY
    reduce_only: bool = False
    size_steps: int = 0
    size_multiplier: float = 1.0
    reason: str = ""

    def __post_init__(self) -> None:
        has_terms = self.order_type is _MARKET or (self.order_type is _LIMIT and self.limit_ticks is not None)
        if has_terms and self.time_in_force is not _GTD and self.expire_ns is None:
            return
        given = {"limit_ticks": self.limit_ticks, "stop_ticks": self.stop_ticks, "trail_ticks": self.trail_ticks}
        needed = _NEEDED.get(self.order_type)
        if needed is None or not isinstance(self.order_type, OrderType):
            raise UsageError(f"order_type was {self.order_type!r}; allowed are {', '.join(OrderType)}")
        missing = [name for name in needed if given[name] is None]
        if missing:
            raise UsageError(f"a {self.order_type} order had no {' and no '.join(missing)}; give it in ticks")
        if (self.time_in_force is _GTD) != (self.expire_ns is not None):
            raise UsageError(
                f"time_in_force was {self.time_in_force} with expire_ns {self.expire_ns}; GTD orders, and no others, have one"
            )


make_intent = maker(OrderIntent)


_NEEDED: dict[OrderType, tuple[str, ...]] = {
    OrderType.MARKET: (),
    OrderType.LIMIT: ("limit_ticks",),
    OrderType.STOP: ("stop_ticks",),
    OrderType.STOP_LIMIT: ("stop_ticks", "limit_ticks"),
    OrderType.TRAILING_STOP: ("trail_ticks",),
}


@dataclass(slots=True, eq=False)
class Order:
    """An order on its way through the life cycle. Prices in ticks of `instrument`, quantities in its units.

    `tape` is the symbol whose market data fills it (equal to `instrument.symbol` unless a micro contract is traded on the
    tape of its big sibling). `arrival_ticks` is the last price when it was decided, `active_ns` when the venue can see it.
    """

    client_order_id: str
    instrument: Instrument
    tape: str
    side: Side
    order_type: OrderType
    quantity: int
    submitted_ns: int
    active_ns: int
    role: OrderRole
    limit_ticks: int | None = None
    stop_ticks: int | None = None
    trail_ticks: int | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    expire_ns: int | None = None
    reduce_only: bool = False
    parent_id: str | None = None
    bracket: Bracket | None = None
    decision_id: str | None = None
    arrival_ticks: int | None = None
    venue_order_id: str | None = None
    status: OrderStatus = OrderStatus.INITIALIZED
    filled_qty: int = 0
    filled_ticks_sum: int = field(default=0)
    updated_ns: int = 0

    @property
    def average_ticks(self) -> float:
        """Average fill price in ticks; NaN before the first fill."""
        return self.filled_ticks_sum / self.filled_qty if self.filled_qty else float("nan")

    def apply(self, event: OrderEvent, ts: int) -> OrderStatus:
        """Move along the life cycle; an illegal move raises with both names."""
        status = TRANSITIONS.get((self.status, event))
        if status is None:
            raise IllegalTransitionError(
                f"order {self.client_order_id} was {self.status} when {event} arrived; "
                f"the life cycle in core.order allows no such move"
            )
        if status is RESTING and self.filled_qty:
            status = OrderStatus.PARTIALLY_FILLED
        self.status = status
        self.updated_ns = ts
        return status


make_order = maker(Order)
