"""A market of the venue: one tape, its clock, and the accounts that trade on it.

What reaches a market is kept in its journal before it counts: that time has passed, and every request with the moment from
which it counts and what a fault makes of it. Reading the journal again through the same code gives the same books; the tape
is walked only where an order was at work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from itertools import count
from typing import Any

import numpy as np
from pydantic import Field

from sovereign.core.columns import Quotes, Trades
from sovereign.core.configuration import Configuration
from sovereign.core.instrument import Instrument
from sovereign.core.order import OrderRole, OrderType, Side, TimeInForce
from sovereign.core.session import Session
from sovereign.execution.broker import VenuePosition
from sovereign.execution.fill_model import REALISTIC, FillModel, PerUnitFees
from sovereign.execution.venue.book import Book
from sovereign.execution.venue.configuration import Pace, TapeSpec
from sovereign.execution.venue.fault import Fault, FaultKind
from sovereign.execution.venue.journal import Journal
from sovereign.execution.venue.protocol import (
    CancelOrder,
    NewOrder,
    ReplaceOrder,
)
from sovereign.execution.venue.tape import Tape, tradable
from sovereign.execution.venue.tape_slice import TapeSlice
from sovereign.execution.venue.terms import OrderTerms

_ROWS = 20_000  # of one slice at most, so that a client that catches up gets its tape in bites


class MarketSpec(Configuration):
    """Everything a market is made of; kept with its books, so that it comes back the same."""

    name: str = Field(description="the market's name")
    tape: TapeSpec = Field(description="what it publishes")
    pace: Pace = Field(default=Pace.REALTIME, description="how its time passes")
    speed: float = Field(default=1.0, ge=0, description="market seconds a second at pace fast; 0: no waiting")
    slice_ns: int = Field(default=100_000_000, ge=1, description="market nanoseconds of a slice")
    latency_ns: int = Field(default=0, ge=0, description="from the sending of a request to the venue acting on it")
    holds_brackets: bool = Field(default=True, description="whether stop and target rest here")
    model: FillModel = Field(default=REALISTIC, description="assumptions about fills")
    fees: dict[str, Decimal] = Field(default_factory=dict, description="fee per unit and side by root")
    margins: dict[str, Decimal] = Field(default_factory=dict, description="margin per unit by root")
    faults: tuple[Fault, ...] = Field(default=(), description="the schedule of faults")


class Market:
    """One tape and its accounts.

    Parameters
    ----------
    spec, tape : what it is made of.
    journal : where it is kept; an empty one begins a new market, any other is read first.
    """

    def __init__(self, spec: MarketSpec, tape: Tape, journal: Journal) -> None:
        self.spec = spec
        self.tape = tape
        self.books: dict[str, Book] = {}
        self.digests: dict[str, dict[str, str]] = {}  # by account: digests of its tokens
        self.index = 0
        self.until_ns = tape.sessions[0].open_ns
        self.is_over = False
        self._journal = journal
        self._walked_ns = self.until_ns
        self._next_fault = 0
        self._faults = sorted(spec.faults, key=lambda fault: fault.at_ms)
        self._armed: dict[str, list[Fault]] = {}
        self._opened = [0]  # market nanoseconds of the sessions before each
        for session in tape.sessions:
            self._opened.append(self._opened[-1] + session.close_ns - session.open_ns)

    # Where it stands.

    @property
    def session(self) -> Session | None:
        """The present session; None when the tape has ended."""
        return None if self.is_over else self.tape.sessions[self.index]

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """Whose ticks the present session has."""
        session = self.session
        return () if session is None else tuple(self.tape.instruments(session))

    @property
    def is_session_done(self) -> bool:
        """Whether the present session's tape was published whole."""
        session = self.session
        return session is None or self.until_ns >= session.close_ns

    def last_ticks(self) -> dict[str, int]:
        """Return the last price of each tape in the present session."""
        session = self.session
        if session is None:
            return {}
        found = {}
        for symbol, trades in self.tape.columns(session).items():
            row = int(np.searchsorted(trades.ts, self.until_ns))
            if row:
                found[symbol] = int(trades.price[row - 1])
        return found

    # Accounts.

    def open_account(self, name: str, balance: Decimal, digests: Mapping[str, str]) -> Book:
        """Open an account, or give one that exists new tokens."""
        if name in self.books and self.digests[name] == dict(digests):
            return self.books[name]
        self._journal.add({"k": "account", "name": name, "balance": str(balance), "digests": dict(digests)})
        return self._open_account(name, balance, digests)

    def _open_account(self, name: str, balance: Decimal, digests: Mapping[str, str]) -> Book:
        self.digests[name] = dict(digests)
        book = self.books.get(name)
        if book is None:
            spec = self.spec
            fees = PerUnitFees(dict(spec.fees))
            book = self.books[name] = Book(name, balance, spec.model, fees, spec.margins, spec.holds_brackets)
            if not self.is_over:
                book.start_session(tradable(self.instruments))
        return book

    def close_account(self, name: str) -> None:
        """Forget an account."""
        self._journal.add({"k": "close", "name": name})
        self.books.pop(name, None)
        self.digests.pop(name, None)

    # Time.

    def advance(self) -> list[Fault]:
        """Let the market go on by one slice; return the faults of the wire that are due."""
        session = self.session
        if session is None or self.is_session_done:
            return []
        until = min(self.until_ns + self.spec.slice_ns, session.close_ns)
        self._journal.add(["p", until])
        self._advance(until)
        self._walk()
        return self._due_faults()

    def _advance(self, until: int) -> None:
        self.until_ns = until

    def _walk(self) -> None:
        """Bring every book up to the market's clock."""
        start, self._walked_ns = self._walked_ns, self.until_ns
        session = self.session
        if session is None or start == self.until_ns:
            return  # what is due right now waits for the next slice, live as in a replay
        for book in self.books.values():
            if not book.matching.is_idle:
                book.walk(self.tape.columns(session), start, self.until_ns)

    def end_session(self) -> None:
        """Expire day orders, and open the next session."""
        if self.session is None:
            return
        self._journal.add(["e"])
        self._end_session()

    def _end_session(self) -> None:
        self._walk()
        session = self.tape.sessions[self.index]
        symbols = [i.symbol for i in self.instruments]
        lasts = self.last_ticks() if any(not book.matching.is_idle for book in self.books.values()) else {}
        for book in self.books.values():
            book.end_session(symbols, session.close_ns)
        self.index += 1
        if self.index == len(self.tape.sessions):
            self.index -= 1
            self.is_over = True
            return
        following = self.tape.sessions[self.index]
        self.until_ns = self._walked_ns = following.open_ns
        for book in self.books.values():
            book.start_session(tradable(self.instruments))
            for symbol in set(symbols) - {i.symbol for i in self.instruments}:
                if symbol in lasts:
                    book.end_tape(symbol, lasts[symbol], following.open_ns)

    def part(
        self, session: Session, symbol: str, ticks: int, until_ns: int, book: Book, quoted_ns: int | None = None
    ) -> TapeSlice | None:
        """Return what follows the first `ticks` ticks of a session, known up to `until_ns`; None when there is nothing new.

        With `quoted_ns`, also the best bids and offers with sizes from then on, where the tape has any.
        """
        present = self.session
        is_present = present is not None and session.trade_date == present.trade_date
        if not is_present and not self.is_past(session):
            return None
        limit = self.until_ns if is_present else session.close_ns
        trades = self.tape.columns(session).get(symbol, Trades.empty())
        stop = int(np.searchsorted(trades.ts, limit)) if is_present else len(trades)
        quotes = None if quoted_ns is None else self.tape.quotes(session).get(symbol)
        if stop <= ticks and limit <= until_ns and (quotes is None or quoted_ns is None or quoted_ns >= limit):
            return None
        if stop - ticks > _ROWS:
            stop = ticks + _ROWS
            limit = int(trades.ts[stop])
        first = min(ticks, stop)
        after = book.seq_at(limit)
        part = TapeSlice(session.trade_date, symbol, first, limit, after, trades.slice(first, stop))
        return part if quotes is None or quoted_ns is None else _with_quotes(part, quotes, quoted_ns)

    def is_past(self, session: Session) -> bool:
        """Say whether a session is over."""
        return self.is_over or session.open_ns < self.tape.sessions[self.index].open_ns

    # Requests.

    def _effective(self, sent_ns: int) -> int:
        # A clock ahead of the tape buys no time, and latency counts from when the request was sent.
        return max(min(sent_ns or self.until_ns, self.until_ns) + self.spec.latency_ns, self.until_ns)

    def new(self, book: Book, message: NewOrder) -> str:
        """Take an order; return why it was rejected, or nothing."""
        terms = message.order
        refusal = "the tape has ended" if self.is_over else book.fault_of(terms, self.until_ns)
        if not refusal and self._use(book.name, FaultKind.REJECT) is not None:
            refusal = "rejected by a fault of the venue"
        partial = None if refusal else self._use(book.name, FaultKind.PARTIAL_FILL)
        self._do(
            book,
            {
                "k": "new",
                "order": terms.model_dump(mode="json", exclude_defaults=True),
                "at": self._effective(terms.submitted_ns),
                "no": refusal,
                "pieces": 1 if partial is None else partial.pieces,
            },
        )
        return refusal

    def cancel(self, book: Book, message: CancelOrder) -> None:
        """Take a cancel."""
        price = None
        if book.is_known(message.client_order_id) and self._use(book.name, FaultKind.CANCEL_AFTER_FILL) is not None:
            order = book.order_state(message.client_order_id)
            price = self.last_ticks().get(book.tape_of(order.symbol)) if order is not None else None
        self._do(book, {"k": "cancel", "id": message.client_order_id, "at": self._effective(message.sent_ns), "price": price})

    def replace(self, book: Book, message: ReplaceOrder) -> None:
        """Take new terms."""
        self._do(
            book,
            {
                "k": "replace",
                "id": message.client_order_id,
                "at": self._effective(message.sent_ns),
                "quantity": message.quantity,
                "limit": message.limit_ticks,
                "stop": message.stop_ticks,
            },
        )

    def flatten(self, book: Book, *, keeps_positions: bool = False) -> None:
        """Cancel every order of an account and, unless positions are kept, close them at the market."""
        for name in book.working():
            if not name.startswith(FLATTENING):
                self.cancel(book, CancelOrder(request_id=0, client_order_id=name))
        positions = () if keeps_positions else book.snapshot(len(book.executions), self.until_ns).positions
        for position in positions:
            for attempt in count():
                terms = flattening(book.name, position, len(book.executions), attempt)
                known = book.order_state(terms.client_order_id)
                if known is None:
                    self.new(book, NewOrder(request_id=0, order=terms))
                if known is None or not known.status.is_closed:
                    break

    def _do(self, book: Book, record: dict[str, Any]) -> None:
        self._journal.add({**record, "account": book.name})
        self._apply(book, record)

    def _apply(self, book: Book, record: Mapping[str, Any]) -> None:
        now = self.until_ns
        match record["k"]:
            case "new":
                terms = OrderTerms.model_validate(record["order"])
                book.new(terms, record["at"], now, record["no"], record["pieces"])
            case "cancel":
                book.cancel(record["id"], record["at"], now, record["price"])
                if self.is_over:  # there is no later moment for which it could wait
                    book.take(book.matching.on_time(record["at"]))
            case "replace":
                book.replace(record["id"], record["at"], now, record["quantity"], record["limit"], record["stop"])

    # Faults of the venue wait at the account until a request meets them.

    def arm(self, fault: Fault, account: str = "") -> None:
        """Arm a fault of the venue on one account, or on all."""
        for name in [account] if account else list(self.books):
            self._armed.setdefault(name, []).extend([fault] * fault.count)

    def clear_faults(self, account: str = "") -> None:
        """Forget faults; without an account also those still scheduled."""
        if account:
            self._armed.pop(account, None)
        else:
            self._armed.clear()
            self._next_fault = len(self._faults)

    def _use(self, account: str, kind: FaultKind) -> Fault | None:
        armed = self._armed.get(account, [])
        for number, fault in enumerate(armed):
            if fault.kind is kind:
                return armed.pop(number)
        return None

    def _due_faults(self) -> list[Fault]:
        passed_ms = (self._opened[self.index] + self.until_ns - self.tape.sessions[self.index].open_ns) / 1e6
        begin = self._next_fault
        while self._next_fault < len(self._faults) and self._faults[self._next_fault].at_ms <= passed_ms:
            self._next_fault += 1
        return self._faults[begin : self._next_fault]

    # Coming back.

    def replay(self, records: list[Any]) -> None:
        """Do again what the journal holds."""
        for record in records:
            if isinstance(record, list):
                if record[0] == "p":
                    self._advance(record[1])
                else:
                    self._end_session()
                continue
            self._walk()
            if record["k"] == "account":
                self._open_account(record["name"], Decimal(record["balance"]), record["digests"])
            elif record["k"] == "close":
                self.books.pop(record["name"], None)
                self.digests.pop(record["name"], None)
            else:
                self._apply(self.books[record["account"]], record)
        self._walk()
        if not self.is_over:
            self._due_faults()  # what was due before has happened

    def close(self) -> None:
        """Let go of the journal."""
        self._journal.close()

    def forget(self) -> None:
        """Remove the journal."""
        self._journal.forget()


def _with_quotes(part: TapeSlice, quotes: Quotes, from_ns: int) -> TapeSlice:
    """Return a slice with the quotes from `from_ns` up to its own end, or as many as go into one."""
    until = max(from_ns, part.until_ns)
    first, stop = np.searchsorted(quotes.ts, [from_ns, until]).tolist()
    if stop - first > _ROWS:
        until = int(quotes.ts[first + _ROWS])
        stop = int(np.searchsorted(quotes.ts, until))
        if stop == first:  # one moment has more than that; its quotes are not torn apart
            stop = int(np.searchsorted(quotes.ts, until, side="right"))
            until += 1
    return replace(part, quotes=quotes.slice(first, stop), quotes_from_ns=from_ns, quotes_until_ns=until)


FLATTENING = "FLATTEN-"
"""How the ids of orders begin that close a position for an administrator, a guard or the kill switch."""


def flattening(account: str, position: VenuePosition, cursor: int, attempt: int) -> OrderTerms:
    """Return the market order that closes a position; asked again before anything filled, it is the same order.

    Parameters
    ----------
    cursor : executions of the account so far.
    attempt : how many such orders were closed without a fill.
    """
    return OrderTerms(
        client_order_id=f"{FLATTENING}{account}-{position.symbol}-{cursor}-{attempt}",
        symbol=position.symbol,
        side=Side.SELL if position.quantity > 0 else Side.BUY,
        order_type=OrderType.MARKET,
        quantity=abs(position.quantity),
        submitted_ns=0,
        role=OrderRole.FLATTEN,
        time_in_force=TimeInForce.GTC,
        reduce_only=True,
    )
