"""What a client and the venue say to each other: typed messages, checked on both sides (docs/concepts/venue.md).

Private messages, requests and answers are JSON text, one message a frame. Market data is binary: the length of a small JSON
header, the header, and raw little-endian columns. Times are UTC nanoseconds of the market, prices ticks, money decimal text.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from sovereign.core.instrument import Instrument
from sovereign.core.order import OrderEvent
from sovereign.core.position import Liquidity
from sovereign.core.session import Session
from sovereign.execution.report import ExecutionReport
from sovereign.execution.venue.configuration import Pace, TapeSpec
from sovereign.execution.venue.fault import Fault
from sovereign.execution.venue.terms import (
    Identifier,
    Message,
    Moment,
    OrderBody,
    OrderTerms,
    Quantity,
    SnapshotBody,
    Ticks,
    decode,
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


class SubscribeQuotes(Message):
    """Send, with the slices of a tape that is subscribed to, best bids and offers with sizes: all of `from_ns` and later.

    Saying it again is how a gap is closed. A venue that knows none, or does not know of this message, sends slices without.
    """

    type: Literal["subscribe_quotes"] = "subscribe_quotes"
    session: date
    symbol: str
    from_ns: Moment = 0


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
    | SubscribeQuotes
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


@cache
def _requests() -> TypeAdapter[Request]:
    return TypeAdapter(Annotated[Request, Field(discriminator="type")])


@cache
def _answers() -> TypeAdapter[Answer]:
    return TypeAdapter(Annotated[Answer, Field(discriminator="type")])


def encode(message: Message) -> str:
    """Return a message as JSON text."""
    return message.model_dump_json(exclude_defaults=False)


def decode_request(text: str | bytes) -> Request:
    """Read what a client said.

    Raises
    ------
    DataError : the text is no message of this protocol; the values that were sent are not repeated, they may hold a token.
    """
    return decode(_requests(), text)


def decode_answer(text: str | bytes) -> Answer:
    """Read what the venue said.

    Raises
    ------
    DataError : the text is no message of this protocol.
    """
    return decode(_answers(), text)
