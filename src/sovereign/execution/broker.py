"""What the engine needs of a broker, what a live adapter must offer, and how a venue describes itself when asked.

`Broker` is the engine's side: it lives in the decision thread, and nothing in it waits. The simulated broker is one; so is
`brokers.remote.RemoteBroker`, which passes orders to a `BrokerLink` in the I/O thread and hands the engine the reports that
came back, each at the moment at which it became known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from sovereign.core.columns import Trades
from sovereign.core.instrument import Instrument
from sovereign.core.order import Order, OrderStatus, OrderType, Side
from sovereign.core.position import Liquidity
from sovereign.execution.report import ExecutionReport


class Broker(Protocol):
    """Where the engine's orders go and where its reports come from. Times are UTC ns, prices ticks."""

    @property
    def holds_brackets(self) -> bool:
        """Whether stop and target of an entry rest at the venue; if not, `execution.bracket` keeps them."""
        ...

    @property
    def can_replace(self) -> bool:
        """Whether the venue changes a working order in place; if not, it is canceled and sent anew."""
        ...

    @property
    def next_time_ns(self) -> int:
        """When `on_time` must be called next without a tick; `NEVER` if nothing is due."""
        ...

    def start_session(self, instruments: Sequence[Instrument]) -> None:
        """Learn what trades today."""
        ...

    def margins(self, last_ticks: Mapping[str, int]) -> Mapping[str, Decimal]:
        """Return what one unit ties up now, by symbol; a symbol the broker says nothing about is missing."""
        ...

    def submit(self, order: Order, ts: int) -> None:
        """Send an order."""
        ...

    def cancel(self, client_order_id: str, ts: int) -> None:
        """Ask for a cancel."""
        ...

    def replace(self, client_order_id: str, ts: int, *, quantity: int, limit_ticks: int | None, stop_ticks: int | None) -> None:
        """Ask for new terms; `quantity` is the new total, filled part included."""
        ...

    def has_orders(self, tape: str) -> bool:
        """Say whether ticks of a tape may make something happen here."""
        ...

    def next_event(self, tape: str, trades: Trades, start: int, stop: int) -> int:
        """Return the first row at which something happens, else `stop`."""
        ...

    def advance(self, tape: str, trades: Trades, start: int, stop: int) -> None:
        """Pass rows at which nothing happens."""
        ...

    def take(self, tape: str, trades: Trades, index: int) -> list[ExecutionReport]:
        """Let the row at `index` happen."""
        ...

    def on_time(self, ts: int) -> list[ExecutionReport]:
        """Return what is due at or before `ts`."""
        ...

    def end_tape(self, tape: str, price_ticks: int, ts: int) -> list[ExecutionReport]:
        """Settle what is left on a tape that will not come again."""
        ...

    def end_session(self, tape: str, ts: int) -> list[ExecutionReport]:
        """Expire what does not outlive the session."""
        ...


class OrderJournal(Protocol):
    """The write-ahead journal: `record` returns when the request is durable, and only then may it leave (law 7)."""

    def record(self, order: Order, request: str, ts: int) -> None:
        """Keep a request (`NEW`, `CANCEL`, `REPLACE`) about an order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerCapabilities:
    """What a venue can hold by itself."""

    holds_brackets: bool
    can_replace: bool
    order_types: frozenset[OrderType]


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueExecution:
    """A fill as the venue knows it; `cursor` orders executions, so that "since last seen" has a meaning."""

    cursor: int
    trade_id: str
    client_order_id: str
    symbol: str
    side: Side
    quantity: int
    price_ticks: int
    ts: int
    fee: Decimal
    liquidity: Liquidity = Liquidity.TAKER


@dataclass(frozen=True, slots=True, kw_only=True)
class VenuePosition:
    """A position as the venue knows it; `cost_ticks` is quantity (signed) times average entry price in ticks."""

    symbol: str
    quantity: int
    cost_ticks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSnapshot:
    """Everything a venue says about one account at `now_ns`; `executions` are those after the cursor that was asked for."""

    now_ns: int
    cursor: int
    orders: tuple[VenueOrder, ...]
    executions: tuple[VenueExecution, ...]
    positions: tuple[VenuePosition, ...]
    cash: Decimal


class BrokerLink(Protocol):
    """A live adapter. Its coroutines run in the I/O thread; it reconnects by itself, with back-off, until closed.

    `on_report` is called with every report in the venue's order, `on_connection` with True or False and a reason. A request
    that could not be handed to the network, or was not answered, raises nothing: it is *in flight* until `order_state` or a
    report says otherwise (law 8).
    """

    capabilities: BrokerCapabilities
    on_report: Callable[[ExecutionReport], None]
    on_connection: Callable[[bool, str], None]

    async def start(self) -> None:
        """Connect, and stay connected until `close`."""
        ...

    async def close(self) -> None:
        """Disconnect for good."""
        ...

    async def submit(self, order: Order) -> None:
        """Send an order under its client order id."""
        ...

    async def cancel(self, client_order_id: str) -> None:
        """Ask for a cancel."""
        ...

    async def replace(self, client_order_id: str, *, quantity: int, limit_ticks: int | None, stop_ticks: int | None) -> None:
        """Ask for new terms."""
        ...

    async def order_state(self, client_order_id: str) -> VenueOrder | None:
        """Return what the venue knows of an order; None when it says that it never got it.

        Raises
        ------
        BrokerError : the venue did not answer; nothing is known.
        """
        ...

    async def snapshot(self, since_cursor: int) -> BrokerSnapshot:
        """Return the account as the venue sees it.

        Raises
        ------
        BrokerError : the venue did not answer.
        """
        ...

    async def margins(self) -> Mapping[str, Decimal]:
        """Return the margin per unit by symbol, as charged now."""
        ...
