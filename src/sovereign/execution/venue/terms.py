"""Orders and accounts as they travel between a client and the venue, and how text becomes a message."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from sovereign.core.errors import DataError
from sovereign.core.instrument import Instrument, find_instrument
from sovereign.core.order import Bracket, Order, OrderRole, OrderStatus, OrderType, Side, TimeInForce
from sovereign.execution.broker import BrokerSnapshot, VenueExecution, VenueOrder, VenuePosition

T = TypeVar("T")

Identifier = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\x21-\x7e]+$")]
Ticks = Annotated[int, Field(gt=-(2**31), lt=2**31)]
Quantity = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Moment = Annotated[int, Field(ge=0, lt=2**63)]


class Message(BaseModel):
    """A frame of JSON text; `type` names it, fields that are not known are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class OrderTerms(Message):
    """An order as it travels. `tape` may be left out: the venue knows on which market data a symbol trades."""

    client_order_id: Identifier
    symbol: Identifier
    tape: str = ""
    side: Side
    order_type: OrderType
    quantity: Quantity
    submitted_ns: Moment
    active_ns: Moment = 0
    role: OrderRole = OrderRole.ENTRY
    limit_ticks: Ticks | None = None
    stop_ticks: Ticks | None = None
    trail_ticks: Ticks | None = None
    time_in_force: TimeInForce = TimeInForce.DAY
    expire_ns: Moment | None = None
    reduce_only: bool = False
    parent_id: str | None = None
    bracket_stop_ticks: Ticks | None = None
    bracket_target_ticks: Ticks | None = None
    bracket_trail_ticks: Ticks | None = None
    decision_id: str | None = None
    arrival_ticks: Ticks | None = None

    @staticmethod
    def of(order: Order) -> OrderTerms:
        """Return an order's terms."""
        bracket = order.bracket
        return OrderTerms(
            client_order_id=order.client_order_id,
            symbol=order.instrument.symbol,
            tape=order.tape,
            side=order.side,
            order_type=order.order_type,
            quantity=order.quantity,
            submitted_ns=order.submitted_ns,
            active_ns=order.active_ns,
            role=order.role,
            limit_ticks=order.limit_ticks,
            stop_ticks=order.stop_ticks,
            trail_ticks=order.trail_ticks,
            time_in_force=order.time_in_force,
            expire_ns=order.expire_ns,
            reduce_only=order.reduce_only,
            parent_id=order.parent_id,
            bracket_stop_ticks=None if bracket is None else bracket.stop_ticks,
            bracket_target_ticks=None if bracket is None else bracket.target_ticks,
            bracket_trail_ticks=None if bracket is None else bracket.trail_ticks,
            decision_id=order.decision_id,
            arrival_ticks=order.arrival_ticks,
        )

    def order(self, instrument: Instrument | None = None) -> Order:
        """Return the order that these terms describe.

        Raises
        ------
        NotFoundError : no instrument was handed in and the symbol is not known.
        UsageError : a bracket's distance is below one tick.
        """
        bracket = None
        if self.bracket_stop_ticks is not None:
            bracket = Bracket(
                stop_ticks=self.bracket_stop_ticks,
                target_ticks=self.bracket_target_ticks,
                trail_ticks=self.bracket_trail_ticks,
            )
        return Order(
            client_order_id=self.client_order_id,
            instrument=instrument or find_instrument(self.symbol),
            tape=self.tape or self.symbol,
            side=self.side,
            order_type=self.order_type,
            quantity=self.quantity,
            submitted_ns=self.submitted_ns,
            active_ns=self.active_ns,
            role=self.role,
            limit_ticks=self.limit_ticks,
            stop_ticks=self.stop_ticks,
            trail_ticks=self.trail_ticks,
            time_in_force=self.time_in_force,
            expire_ns=self.expire_ns,
            reduce_only=self.reduce_only,
            parent_id=self.parent_id,
            bracket=bracket,
            decision_id=self.decision_id,
            arrival_ticks=self.arrival_ticks,
        )


class OrderBody(Message):
    """An order as the venue knows it."""

    client_order_id: str
    venue_order_id: str
    symbol: str
    side: Side
    order_type: OrderType
    quantity: int
    filled_qty: int
    status: OrderStatus
    limit_ticks: int | None = None
    stop_ticks: int | None = None
    parent_id: str | None = None
    reason: str = ""

    @staticmethod
    def of(order: VenueOrder) -> OrderBody:
        """Return an order's message."""
        return OrderBody(**{name: getattr(order, name) for name in OrderBody.model_fields})

    def order(self) -> VenueOrder:
        """Return the order that this message describes."""
        return VenueOrder(**{name: getattr(self, name) for name in OrderBody.model_fields})


class SnapshotBody(Message):
    """An account; `private_seq` is the last private message it includes."""

    now_ns: Moment
    cursor: int
    private_seq: int
    orders: tuple[VenueOrder, ...]
    executions: tuple[VenueExecution, ...]
    positions: tuple[VenuePosition, ...]
    cash: Decimal

    def snapshot(self) -> BrokerSnapshot:
        """Return the snapshot without its place among the private messages."""
        return BrokerSnapshot(
            now_ns=self.now_ns,
            cursor=self.cursor,
            orders=self.orders,
            executions=self.executions,
            positions=self.positions,
            cash=self.cash,
        )


def decode(adapter: TypeAdapter[T], text: str | bytes) -> T:
    """Read JSON text.

    Raises
    ------
    DataError : it is not what was expected; the values that were sent are not repeated, they may hold a token.
    """
    try:
        return adapter.validate_json(text)
    except ValidationError as cause:
        fault = cause.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise DataError(f"a message was not understood at '{place}': {fault['msg']}; see docs/concepts/venue.md") from cause
