"""What a client and the venue say to each other: typed messages, checked on both sides (docs/concepts/venue.md).

Private messages, requests and answers are JSON text, one message a frame. Market data is binary: the length of a small JSON
header, the header, and raw little-endian columns. Times are UTC nanoseconds of the market, prices ticks, money decimal text.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from sovereign.core.columns import Trades
from sovereign.core.errors import DataError
from sovereign.core.instrument import Instrument, find_instrument
from sovereign.core.order import Bracket, Order, OrderEvent, OrderRole, OrderStatus, OrderType, Side, TimeInForce
from sovereign.core.position import Liquidity
from sovereign.core.session import Session
from sovereign.execution.broker import BrokerSnapshot, VenueExecution, VenueOrder, VenuePosition
from sovereign.execution.report import ExecutionReport
from sovereign.execution.venue.configuration import Pace, TapeSpec
from sovereign.execution.venue.fault import Fault

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


# What a client says.


class Login(Message):
    """The first message of a connection. `client` is a name for people."""

    type: Literal["login"] = "login"
    token: str = Field(repr=False)
    client: str = ""


class Subscribe(Message):
    """Send the tape of a session from behind its first `ticks` ticks (of `symbol`), and go on as it happens.

    A trading client; a venue in lockstep waits for its `worked_through`. Saying it again is how a gap is closed.
    """

    type: Literal["subscribe"] = "subscribe"
    session: date
    symbol: str
    ticks: int = Field(ge=0)
    until_ns: Moment = 0


class WorkedThrough(Message):
    """Every order decided before `until_ns` of a session has been sent."""

    type: Literal["worked_through"] = "worked_through"
    session: date
    until_ns: Moment


class PrivateSince(Message):
    """Send the private messages after `seq` again."""

    type: Literal["private_since"] = "private_since"
    seq: int = Field(ge=0)


class NewOrder(Message):
    """Take an order. An id that is known is not taken twice; its state is the answer."""

    type: Literal["new"] = "new"
    request_id: int
    order: OrderTerms


class CancelOrder(Message):
    """Cancel an order. An id that is not known is closed for good: an order that comes later under it is rejected."""

    type: Literal["cancel"] = "cancel"
    request_id: int
    client_order_id: Identifier
    sent_ns: Moment = 0


class ReplaceOrder(Message):
    """Give an order new terms; `quantity` is the new total, filled part included; a price of null stays as it is."""

    type: Literal["replace"] = "replace"
    request_id: int
    client_order_id: Identifier
    quantity: Quantity
    limit_ticks: Ticks | None = None
    stop_ticks: Ticks | None = None
    sent_ns: Moment = 0


class AskOrder(Message):
    """Say what is known of an order."""

    type: Literal["order_state"] = "order_state"
    request_id: int
    client_order_id: Identifier


class AskSnapshot(Message):
    """Ask for orders (at work, of this and the last session, or filled after the cursor), positions, cash, executions."""

    type: Literal["snapshot"] = "snapshot"
    request_id: int
    since_cursor: int = Field(default=0, ge=0)


class AskMargins(Message):
    """Say what a unit of each symbol ties up now."""

    type: Literal["margins"] = "margins"
    request_id: int


class GoOn(Message):
    """In lockstep: let the market go on by one slice though a trading client has not said `worked_through`."""

    type: Literal["go_on"] = "go_on"
    request_id: int


class AskSession(Message):
    """Say again which session is present."""

    type: Literal["ask_session"] = "ask_session"


class Ping(Message):
    """Answered with the present time."""

    type: Literal["ping"] = "ping"
    request_id: int


# What an administrator says, after logging in with the venue's own token.


class SetFault(Message):
    """Arm a fault now, on one account or, without one, on all."""

    type: Literal["set_fault"] = "set_fault"
    request_id: int
    fault: Fault
    account: str = ""


class ClearFaults(Message):
    """Forget every fault that is armed or scheduled."""

    type: Literal["clear_faults"] = "clear_faults"
    request_id: int
    account: str = ""


class FlattenAccount(Message):
    """Cancel an account's orders and close its positions at the market; any token of the account may ask for its own.

    The closing orders have ids made of the account, the symbol and the number of its executions, so asking twice sends nothing
    twice. With `keeps_positions` orders are canceled and that is all.
    """

    type: Literal["flatten_account"] = "flatten_account"
    request_id: int
    account: str
    keeps_positions: bool = False


class OpenAccount(Message):
    """Open an account: on a market of its own if `tape` is given (its name is the account's), else on `market`.

    With `is_reset` an account of that name, and the market of its own, are forgotten first.
    """

    type: Literal["open_account"] = "open_account"
    request_id: int
    account: str = Field(min_length=1, max_length=60, pattern=r"^[A-Za-z0-9_.-]+$")
    balance: Decimal = Field(default=Decimal(100_000), gt=0)
    tokens: dict[str, Annotated[str, Field(min_length=8)]] = Field(repr=False)
    tape: TapeSpec | None = None
    market: str = "main"
    pace: Pace | None = None
    speed: float | None = Field(default=None, ge=0)
    slice_ms: float | None = Field(default=None, gt=0)
    latency_ms: float | None = Field(default=None, ge=0)
    holds_brackets: bool | None = None
    faults: tuple[Fault, ...] = ()
    is_reset: bool = False


class CloseAccount(Message):
    """Forget an account, and the market of its own."""

    type: Literal["close_account"] = "close_account"
    request_id: int
    account: str


class AskBooks(Message):
    """Everything about an account, as `snapshot` with every order that was ever known."""

    type: Literal["books"] = "books"
    request_id: int
    account: str


# What the venue says.


class Welcome(Message):
    """The answer to a login. `session` is the present one, null when the tape has ended."""

    type: Literal["welcome"] = "welcome"
    account: str
    is_admin: bool = False
    now_ns: Moment = 0
    private_seq: int = 0
    session: Session | None = None
    instruments: tuple[Instrument, ...] = ()
    until_ns: Moment = 0
    is_simulated: bool = True
    holds_brackets: bool = True
    can_replace: bool = True
    pace: Pace = Pace.REALTIME
    slice_ns: int = 0
    latency_ns: int = 0


class SessionStart(Message):
    """A session begins; null when there is none any more. `after` is the private message it follows."""

    type: Literal["session"] = "session"
    session: Session | None
    instruments: tuple[Instrument, ...] = ()
    after: int = 0


class SessionEnd(Message):
    """A session has ended: day orders have expired, and `after` is the last private message that says so."""

    type: Literal["session_end"] = "session_end"
    session: date
    after: int


class Heartbeat(Message):
    """A sign of life: the venue's clock, how far its tape has come, and the last private message of the account."""

    type: Literal["heartbeat"] = "heartbeat"
    now_ns: Moment
    session: date | None
    until_ns: Moment
    private_seq: int


class Code(StrEnum):
    """How a request went."""

    OK = "ok"
    KNOWN = "known"
    UNKNOWN_ORDER = "unknown_order"
    REJECTED = "rejected"
    RATE_LIMITED = "rate_limited"
    BAD_TOKEN = "bad_token"  # noqa: S105 - a word, not a secret
    NOT_LOGGED_IN = "not_logged_in"
    NOT_ALLOWED = "not_allowed"
    BAD_MESSAGE = "bad_message"
    NOT_FOUND = "not_found"


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


class Reply(Message):
    """The answer to a request; `retry_after_ms` comes with `rate_limited`."""

    type: Literal["reply"] = "reply"
    request_id: int
    code: Code = Code.OK
    reason: str = ""
    now_ns: Moment = 0
    retry_after_ms: float = 0.0
    order: OrderBody | None = None
    snapshot: SnapshotBody | None = None
    margins: dict[str, Decimal] | None = None


class Report(Message):
    """A private message: one execution report, number `seq` of its account.

    `row` is the row of the session's tape that made it happen (the first is 1), 0 when none did.
    """

    type: Literal["report"] = "report"
    seq: int
    cause: OrderEvent
    client_order_id: str
    ts: Moment
    trade_id: str = ""
    quantity: int = 0
    price_ticks: int = 0
    limit_ticks: int | None = None
    stop_ticks: int | None = None
    liquidity: Liquidity = Liquidity.TAKER
    slippage_ticks: int = 0
    is_ambiguous: bool = False
    reason: str = ""
    fee: Decimal | None = None
    venue_order_id: str = ""
    child: OrderTerms | None = None
    tape: str = ""
    row: int = 0

    @staticmethod
    def of(seq: int, report: ExecutionReport, *, venue_order_id: str, tape: str, row: int) -> Report:
        """Return a report's message."""
        return Report(
            seq=seq,
            cause=report.cause,
            client_order_id=report.client_order_id,
            ts=report.ts,
            trade_id=report.trade_id,
            quantity=report.quantity,
            price_ticks=report.price_ticks,
            limit_ticks=report.limit_ticks,
            stop_ticks=report.stop_ticks,
            liquidity=report.liquidity,
            slippage_ticks=report.slippage_ticks,
            is_ambiguous=report.is_ambiguous,
            reason=report.reason,
            fee=report.fee,
            venue_order_id=venue_order_id,
            child=None if report.child is None else OrderTerms.of(report.child),
            tape=tape,
            row=row,
        )

    def report(self) -> ExecutionReport:
        """Return the report that this message carries."""
        child = None if self.child is None else self.child.order()
        if child is not None and self.venue_order_id:
            child.venue_order_id = self.venue_order_id
        return ExecutionReport(
            cause=self.cause,
            client_order_id=self.client_order_id,
            ts=self.ts,
            trade_id=self.trade_id,
            quantity=self.quantity,
            price_ticks=self.price_ticks,
            limit_ticks=self.limit_ticks,
            stop_ticks=self.stop_ticks,
            liquidity=self.liquidity,
            slippage_ticks=self.slippage_ticks,
            is_ambiguous=self.is_ambiguous,
            reason=self.reason,
            fee=self.fee,
            child=child,
        )


Request = (
    Login
    | Subscribe
    | WorkedThrough
    | PrivateSince
    | NewOrder
    | CancelOrder
    | ReplaceOrder
    | AskOrder
    | AskSnapshot
    | AskMargins
    | GoOn
    | AskSession
    | Ping
    | SetFault
    | ClearFaults
    | FlattenAccount
    | OpenAccount
    | CloseAccount
    | AskBooks
)
Answer = Welcome | SessionStart | SessionEnd | Heartbeat | Reply | Report
ADMIN_REQUESTS = (SetFault, ClearFaults, FlattenAccount, OpenAccount, CloseAccount, AskBooks)
"""Requests for which the venue's own token is needed."""

T = TypeVar("T")


@cache
def _requests() -> TypeAdapter[Request]:
    return TypeAdapter(Annotated[Request, Field(discriminator="type")])


@cache
def _answers() -> TypeAdapter[Answer]:
    return TypeAdapter(Annotated[Answer, Field(discriminator="type")])


def encode(message: Message) -> str:
    """Return a message as JSON text."""
    return message.model_dump_json(exclude_defaults=False)


def _decode(adapter: TypeAdapter[T], text: str | bytes) -> T:
    try:
        return adapter.validate_json(text)
    except ValidationError as cause:
        fault = cause.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise DataError(f"a message was not understood at '{place}': {fault['msg']}; see docs/concepts/venue.md") from cause


def decode_request(text: str | bytes) -> Request:
    """Read what a client said.

    Raises
    ------
    DataError : the text is no message of this protocol; the values that were sent are not repeated, they may hold a token.
    """
    return _decode(_requests(), text)


def decode_answer(text: str | bytes) -> Answer:
    """Read what the venue said.

    Raises
    ------
    DataError : the text is no message of this protocol.
    """
    return _decode(_answers(), text)


@dataclass(frozen=True, slots=True, eq=False)
class TapeSlice:
    """Ticks `first`..`first + len(trades)` of a session (counted from 0), complete up to `until_ns`.

    `after` is the last private message of the receiving account that happened before `until_ns`.
    """

    session: date
    symbol: str
    first: int
    until_ns: int
    after: int
    trades: Trades

    @property
    def stop(self) -> int:
        """Number of ticks of the session up to and including this slice."""
        return self.first + len(self.trades)

    def behind(self, ticks: int) -> TapeSlice:
        """Return what follows the session's first `ticks` ticks."""
        skip = min(max(0, ticks - self.first), len(self.trades))
        return replace(self, first=self.first + skip, trades=self.trades.slice(skip, len(self.trades)))


_LENGTH = struct.Struct("<I")
_COLUMNS = (("ts", "<i8"), ("price", "<i4"), ("size", "<i4"), ("bid", "<i4"), ("ask", "<i4"), ("side", "<i1"))
_NATIVE = {"ts": np.int64, "price": np.int32, "size": np.int32, "bid": np.int32, "ask": np.int32, "side": np.int8}


def encode_slice(part: TapeSlice) -> bytes:
    """Return a slice as a binary frame: length of the header (uint32), header (JSON, padded to 8 bytes), columns.

    Columns follow in the order ts (int64), price, size, bid, ask (int32), side (int8), little-endian; bid and ask are there
    when the header's `quotes` is true.
    """
    trades = part.trades
    header = json.dumps(
        {
            "type": "slice",
            "session": part.session.isoformat(),
            "symbol": part.symbol,
            "first": part.first,
            "rows": len(trades),
            "until_ns": part.until_ns,
            "after": part.after,
            "quotes": trades.bid is not None,
        },
        separators=(",", ":"),
    ).encode()
    header += b" " * (-(len(header) + _LENGTH.size) % 8)
    pieces = [_LENGTH.pack(len(header)), header]
    for name, dtype in _COLUMNS:
        column = getattr(trades, name)
        if column is not None:
            pieces.append(np.ascontiguousarray(column, dtype).tobytes())
    return b"".join(pieces)


class _SliceHeader(Message):
    type: Literal["slice"]
    session: date
    symbol: str
    first: int = Field(ge=0)
    rows: int = Field(ge=0)
    until_ns: Moment
    after: int = Field(ge=0)
    quotes: bool


def decode_slice(frame: bytes) -> TapeSlice:
    """Read a binary frame; its columns are copies of their own.

    Raises
    ------
    DataError : the frame is shorter or longer than its header says, or the header is not understood.
    """
    length = _LENGTH.unpack_from(frame)[0] if len(frame) >= _LENGTH.size else -1
    start = _LENGTH.size + length
    if length < 0 or start > len(frame):
        raise DataError(f"a slice of {len(frame)} bytes was cut before the end of its header; ask for it again")
    header = _decode(_slice_headers(), frame[_LENGTH.size : start])
    columns: dict[str, Any] = {}
    for name, dtype in _COLUMNS:
        if name in ("bid", "ask") and not header.quotes:
            continue
        size = np.dtype(dtype).itemsize * header.rows
        if start + size > len(frame):
            raise DataError(f"a slice of {header.rows} rows was cut at its column '{name}'; ask for it again")
        columns[name] = np.frombuffer(frame, dtype, header.rows, start).astype(_NATIVE[name])
        start += size
    if start != len(frame):
        raise DataError(f"a slice of {header.rows} rows had {len(frame) - start} bytes too many; ask for it again")
    return TapeSlice(header.session, header.symbol, header.first, header.until_ns, header.after, Trades(**columns))


@cache
def _slice_headers() -> TypeAdapter[_SliceHeader]:
    return TypeAdapter(_SliceHeader)
