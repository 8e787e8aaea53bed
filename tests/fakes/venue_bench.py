"""A venue and its client on loopback, in one event loop, for tests: tapes of a minute, and everything that was told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from sovereign.core.columns import Quotes
from sovereign.core.instrument import find_instrument
from sovereign.core.order import Bracket, Order, OrderRole, OrderType, Side, TimeInForce
from sovereign.core.port import Block
from sovereign.core.session import Session
from sovereign.execution.brokers.venue import VenueClient
from sovereign.execution.fill_model import OPTIMISTIC
from sovereign.execution.report import ExecutionReport
from sovereign.execution.venue.configuration import Pace, TapeSpec, VenueClientConfig
from sovereign.execution.venue.exchange import Exchange
from sovereign.execution.venue.market import MarketSpec
from sovereign.execution.venue.protocol import (
    OpenAccount,
)
from sovereign.execution.venue.server import VenueServer
from sovereign.execution.venue.tape import Tape, WindowedCalendar
from sovereign.feeds.calendar import calendar_for
from sovereign.feeds.synthetic import SyntheticConfig, SyntheticFeed, SyntheticMarket

DAY = date(2025, 11, 17)
TRADE, GUARD, ADMIN = "trade-token", "guard-token", "admin-token"
MS = 1_000_000
QUICK = VenueClientConfig(
    connect_s=60, first_message_s=10, silence_s=5, request_s=30, gap_s=0.03, backoff_first_s=0.01, backoff_most_s=0.05
)
"""A client that comes back at once, and takes no machine that is slow for a line that is mute."""
HASTY = QUICK.model_copy(update={"first_message_s": 0.5, "silence_s": 0.4, "request_s": 1.0})
"""One that soon gives up waiting."""
SPEC = TapeSpec(start=DAY, seed=11, seconds=30, synthetic={"ticks_per_session": 400_000})


@cache
def open_tape(text: str) -> Tape:
    spec = TapeSpec.model_validate_json(text)
    instrument = find_instrument(spec.symbol)
    calendar = WindowedCalendar(calendar_for(instrument.calendar), spec.hours, spec.offset_s, spec.seconds)
    market = SyntheticMarket(SyntheticConfig.model_validate(spec.synthetic), spec.seed)
    return Tape(SyntheticFeed(market, instrument, calendar, spec.start, spec.sessions, spec.hours))


def tape_of(spec: TapeSpec) -> Tape:
    return open_tape(spec.model_dump_json())


def spec_of(message: OpenAccount | None = None, **changes: Any) -> MarketSpec:
    name, tape = ("main", SPEC) if message is None else (message.account, message.tape or SPEC)
    base: dict[str, Any] = {
        "name": name,
        "tape": tape,
        "pace": Pace.LOCKSTEP,
        "slice_ns": 250 * MS,
        "latency_ns": 250 * MS,
        "model": OPTIMISTIC,
    }
    return MarketSpec(**{**base, **changes})


@dataclass
class Bench:
    """A running venue."""

    server: VenueServer
    port: int

    @property
    def exchange(self) -> Exchange:
        return self.server.exchange

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def book(self, account: str = "paper") -> Any:
        return self.exchange.market_of(account).books[account]


@asynccontextmanager
async def running(
    state: Path | None = None, heartbeat_s: float = 0.05, orders_per_s: float = 0.0, **changes: Any
) -> AsyncIterator[Bench]:
    exchange = Exchange(tape_of, ADMIN, state)
    exchange.open_market(spec_of(**changes))
    exchange.open_account("main", "paper", Decimal(100_000), {"trade": TRADE, "guard": GUARD})
    server = VenueServer(exchange, spec_of, heartbeat_s=heartbeat_s, orders_per_s=orders_per_s)
    port = await server.start(0)
    try:
        yield Bench(server, port)
        if server.failed.done():
            server.failed.result()
    finally:
        await server.close()


@dataclass
class Trader:
    """A client with its ears open. `plan` is asked for what to send at every block, and may be None to wait."""

    client: VenueClient
    blocks: list[Block] = field(default_factory=list)
    reports: list[tuple[ExecutionReport, str, int]] = field(default_factory=list)
    told: list[object] = field(default_factory=list)
    quotes: list[tuple[str, Quotes, int]] = field(default_factory=list)
    links: list[tuple[bool, str]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    session: Session | None = None

    def __post_init__(self) -> None:
        self.client.on_block = self._on_block
        self.client.on_report_at = self._on_report
        self.client.on_connection = lambda is_up, why: self.links.append((is_up, why))

    def _on_block(self, block: Block) -> None:
        self.blocks.append(block)
        self.told.append(block)
        self.arrived.set()

    def listen_to_quotes(self) -> None:
        """Ask for best bids and offers with sizes, from the next session on."""
        self.client.on_quotes = lambda *told: self.quotes.append(told)

    def _on_report(self, report: ExecutionReport, tape: str, row: int, _number: int) -> None:
        self.reports.append((report, tape, row))
        self.told.append(report)
        self.arrived.set()

    @property
    def ticks(self) -> int:
        return sum(len(block.trades) for block in self.blocks)

    def causes(self, client_order_id: str) -> list[str]:
        return [str(report.cause) for report, _, _ in self.reports if report.client_order_id == client_order_id]

    async def begin(self) -> Session:
        await self.client.start()
        session = await asyncio.wait_for(self.client.session(), 60)
        assert session is not None
        self.session = session
        for instrument in self.client.instruments(session):
            await self.client.resume_from(session, instrument.symbol, session.open_ns, 0)
        return session

    async def until(self, is_so: Callable[[], bool], seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while not is_so():
                self.arrived.clear()
                try:
                    await asyncio.wait_for(self.arrived.wait(), 0.02)
                except TimeoutError:
                    continue

    def go_on(self) -> None:
        """Say that everything told so far was worked through."""
        if self.blocks:
            self.client.worked_through(self.blocks[-1].until_ns)

    async def steps(self, count: int) -> None:
        for _ in range(count):
            seen = len(self.blocks)
            self.go_on()
            await self.until(lambda seen=seen: len(self.blocks) > seen)


@asynccontextmanager
async def trading(bench: Bench, token: str = TRADE, config: VenueClientConfig = QUICK, **named: Any) -> AsyncIterator[Trader]:
    client = VenueClient(bench.url, token, config, **named)
    try:
        yield Trader(client)
    finally:
        await client.close()


def order(
    name: str,
    side: Side = Side.BUY,
    kind: OrderType = OrderType.MARKET,
    quantity: int = 1,
    ts: int = 0,
    *,
    bracket: Bracket | None = None,
    time_in_force: TimeInForce = TimeInForce.GTC,
    symbol: str = "ES",
    **terms: Any,
) -> Order:
    return Order(
        client_order_id=name,
        instrument=find_instrument(symbol),
        tape=terms.pop("tape", symbol),
        side=side,
        order_type=kind,
        quantity=quantity,
        submitted_ns=ts,
        active_ns=ts + 250 * MS,
        role=terms.pop("role", OrderRole.ENTRY),
        time_in_force=time_in_force,
        bracket=bracket,
        **terms,
    )


def seen(reports: Sequence[ExecutionReport]) -> list[tuple[Any, ...]]:
    """Return what matters of reports, refusals aside: a simulated broker passes over a late cancel in silence."""
    return [
        (
            r.ts,
            str(r.cause),
            r.client_order_id,
            r.trade_id,
            r.quantity,
            r.price_ticks,
            r.limit_ticks,
            r.stop_ticks,
            str(r.liquidity),
            r.slippage_ticks,
            r.is_ambiguous,
        )
        for r in reports
        if not r.cause.startswith("REFUSE")
    ]
