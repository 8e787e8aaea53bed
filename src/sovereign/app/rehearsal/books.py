"""Two sides held against each other after a rehearsal: what the session says happened, and what the venue says.

Our side is told twice: by the session's own audit chain in the store, and by its recording run again in this process, with
nothing leaving. Both must be one, and the venue's books must say the same.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sovereign.core.decision import Refused
from sovereign.core.event import DecisionMade, Event, Notice, NoticeCode, OrderChanged, OrderFilled, TradeClosed, encode
from sovereign.core.order import OrderStatus

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.core.position import Fill
    from sovereign.engine.conductor import Conductor
    from sovereign.execution.broker import BrokerSnapshot, VenueOrder

AVERAGE_TOLERANCE_FRAC = 0.0001
"""Largest difference of average prices, fraction: what the platform promises (one hundredth of a percent)."""

_CLOSED = {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED, OrderStatus.DENIED}
_UNSENT = {OrderStatus.REJECTED, OrderStatus.CANCELED, OrderStatus.DENIED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A promise that was broken: `kind` names it, `text` says how."""

    kind: str
    text: str


@dataclass(slots=True)
class Ours:
    """What a session says, after its recording was run again."""

    conductor: Conductor
    fills: list[Fill] = field(default_factory=list)
    statuses: dict[str, OrderStatus] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    trades: list[Any] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    events: int = 0
    chain: bytes = b""

    def take(self, event: Event) -> None:
        """Listen to the audit stream."""
        self.events += 1
        self.chain = hashlib.sha256(self.chain + encode(event)).digest()
        if isinstance(event, OrderFilled):
            self.fills.append(event.fill)
        elif isinstance(event, OrderChanged):
            self.statuses[event.client_order_id] = event.status
        elif isinstance(event, DecisionMade) and isinstance(event.decision.outcome, Refused):
            self.refusals[event.decision.outcome.check] += 1
        elif isinstance(event, Notice):
            self.notices.append(event)
        elif isinstance(event, TradeClosed):
            self.trades.append(event.trade)

    def codes(self) -> Counter[NoticeCode]:
        """Return how often each notice was raised."""
        return Counter(notice.code for notice in self.notices)


def run_again(
    settings: Settings, strategy: str, session_id: str, recording: Path, warm: Sequence[Path], *, holds_brackets: bool
) -> Ours:
    """Run a recording in this process, with nothing leaving; return what it says.

    Raises
    ------
    CorruptFileError : the recording cannot be read.
    """
    from sovereign.app.plan import recipe_of
    from sovereign.core.order import OrderType
    from sovereign.engine.conductor import Conductor
    from sovereign.engine.inputs import read_inputs
    from sovereign.execution.broker import BrokerCapabilities
    from sovereign.execution.brokers.remote import RemoteBroker
    from sovereign.research.live import live_engine, warmed_stream
    from sovereign.store.recording import read_recording
    from sovereign.strategies import load_strategy

    recipe = recipe_of(settings, strategy)
    system = load_strategy(recipe.strategy, recipe.strategy_config)
    capabilities = BrokerCapabilities(holds_brackets=holds_brackets, can_replace=True, order_types=frozenset(OrderType))
    broker = RemoteBroker(_nowhere, capabilities)

    def listen(event: Event) -> None:
        ours.take(event)

    engine = live_engine(recipe, system, broker, sinks=(listen,), is_simulated_data=True)
    conductor = Conductor(
        engine, partial(warmed_stream, system, warm), broker, late_notice_ns=round(settings.live.late_notice_s * 1e9)
    )
    ours = Ours(conductor, chain=hashlib.sha256(session_id.encode()).digest())
    for item in read_inputs(read_recording(recording)):
        conductor.apply(item)
    return ours


def _nowhere(_: object) -> None:
    """Send nothing."""


# What the store kept, read without the code that wrote it.


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A session as the store has it: the journal's requests (request, client order id), and the audit chain's end."""

    requests: tuple[tuple[str, str], ...]
    events: int
    head: bytes
    status: str


def kept_sessions(database: Path) -> dict[str, Kept]:
    """Return what a SQLite store keeps of every session, by id, oldest first; empty while there is no store."""
    if not database.is_file():
        return {}
    found: dict[str, Kept] = {}
    with closing(sqlite3.connect(f"file:{database}?mode=rw", uri=True, timeout=30)) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"live_sessions", "audit_heads", "order_requests"} <= tables:
            return {}
        for name, status in connection.execute("SELECT id, status FROM live_sessions ORDER BY trade_date").fetchall():
            head = connection.execute("SELECT events, hash FROM audit_heads WHERE session_id = ?", (name,)).fetchone()
            requests = connection.execute(
                "SELECT request, client_order_id FROM order_requests WHERE session_id = ? ORDER BY key", (name,)
            ).fetchall()
            found[name] = Kept(requests=tuple(requests), events=head[0], head=bytes(head[1]), status=status)
    return found


# The comparison.


def check_journal(kept: Mapping[str, Kept], venue: BrokerSnapshot) -> Iterator[Violation]:
    """Every order at the venue was kept before it left, and none was sent twice; true at any moment."""
    sent = Counter(name for one in kept.values() for request, name in one.requests if request == "NEW")
    for name, count in sent.items():
        if count > 1:
            yield Violation(kind="sent twice", text=f"order {name} was handed over {count} times")
    for name, count in Counter(order.client_order_id for order in venue.orders).items():
        if count > 1:
            yield Violation(kind="duplicate order", text=f"the venue has {count} orders {name}")
    for order in venue.orders:
        if order.client_order_id not in sent and (order.parent_id or "") not in sent:
            yield Violation(kind="not in journal", text=f"the venue has order {order.client_order_id}, which no journal names")


def check_fills(fills: Sequence[Fill], venue: BrokerSnapshot, *, is_over: bool) -> Iterator[Violation]:
    """Every fill of ours is one of the venue's, once; when it is over, every one of the venue's is ours."""
    ours = Counter((fill.client_order_id, fill.trade_id) for fill in fills)
    for key, count in ours.items():
        if count > 1:
            yield Violation(kind="doubled fill", text=f"fill {key[1]} of {key[0]} was booked {count} times")
    theirs = {(entry.client_order_id, entry.trade_id): entry for entry in venue.executions}
    for fill in fills:
        entry = theirs.get((fill.client_order_id, fill.trade_id))
        if entry is None:
            yield Violation(kind="invented fill", text=f"fill {fill.trade_id} of {fill.client_order_id} is none of the venue's")
        elif (entry.quantity, entry.price_ticks, entry.side) != (fill.quantity, fill.price_ticks, fill.side):
            text = (
                f"{fill.client_order_id}: {fill.quantity} at {fill.price_ticks}, venue {entry.quantity} at {entry.price_ticks}"
            )
            yield Violation(kind="other fill", text=text)
    if is_over:
        for key in theirs.keys() - ours.keys():
            yield Violation(kind="lost fill", text=f"the venue's fill {key[1]} of {key[0]} was never booked")


def check_money(conductor: Conductor, venue: BrokerSnapshot) -> Iterator[Violation]:
    """Quantities, average prices, and what was realized are the venue's."""
    account = conductor.engine.account
    theirs = {position.symbol: position for position in venue.positions if position.quantity}
    for symbol in sorted({*account.positions, *theirs}):
        held, other = account.positions.get(symbol), theirs.get(symbol)
        quantity, wanted = 0 if held is None else held.quantity, 0 if other is None else other.quantity
        if quantity != wanted:
            yield Violation(kind="position", text=f"{symbol}: {quantity} here, {wanted} at the venue")
        elif held is not None and other is not None:
            difference = abs(held.cost_ticks - other.cost_ticks)
            if difference > AVERAGE_TOLERANCE_FRAC * abs(other.cost_ticks):
                yield Violation(kind="average", text=f"{symbol}: cost {held.cost_ticks} here, {other.cost_ticks} at the venue")
    if account.balance != venue.cash:
        yield Violation(kind="realized", text=f"balance {account.balance} here, {venue.cash} at the venue")


def check_orders(ours: Mapping[str, OrderStatus], venue: BrokerSnapshot) -> Iterator[Violation]:
    """Every order of ours ends as the venue says it did; one that it never got is closed here.

    An order that was given up before it arrived is refused here and canceled there: closed on both sides, without a fill.
    """
    theirs: dict[str, VenueOrder] = {order.client_order_id: order for order in venue.orders}
    for name, status in ours.items():
        other = theirs.get(name)
        if other is None:
            if status not in _UNSENT:
                yield Violation(kind="order state", text=f"{name} is {status} here, and the venue never had it")
        elif other.status.is_closed:
            is_given_up = status in _UNSENT and other.status in _UNSENT and not other.filled_qty
            if status is not other.status and not is_given_up:
                yield Violation(kind="order state", text=f"{name} is {status} here, {other.status} at the venue")
        elif status in _CLOSED:
            yield Violation(kind="order state", text=f"{name} is {status} here, and works ({other.status}) at the venue")
    for name, other in theirs.items():
        if name not in ours and not other.status.is_closed:
            yield Violation(kind="order unknown", text=f"{name} works at the venue ({other.status}), and is not known here")


def check_chain(ours: Ours, kept: Kept, session_id: str) -> Iterator[Violation]:
    """The recording, run again, says what the store's chain says: same ids, same events, same bytes."""
    if (ours.events, ours.chain) != (kept.events, kept.head):
        text = f"{session_id}: the recording tells {ours.events} events, the chain has {kept.events}, or they differ"
        yield Violation(kind="not deterministic", text=text)
