"""One account at the venue: its orders under the matching engine, executions, position, cash, and what it was told.

Everything here follows from the requests, the moments at which they count, and the tape; doing them again in the same order
gives the same book, which is how the venue comes back after it was killed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from sovereign.core.columns import Trades
from sovereign.core.errors import SovereignError
from sovereign.core.instrument import Instrument
from sovereign.core.order import Order, OrderEvent, OrderStatus, OrderType, Side, TimeInForce
from sovereign.core.port import FeeModel
from sovereign.core.position import Fill, Liquidity
from sovereign.execution.account import Account
from sovereign.execution.broker import VenueExecution, VenueOrder, VenuePosition
from sovereign.execution.fill_model import FillModel
from sovereign.execution.matching import MatchingEngine
from sovereign.execution.report import ExecutionReport
from sovereign.execution.resting import Resting
from sovereign.execution.venue.protocol import (
    Report,
)
from sovereign.execution.venue.terms import OrderBody, OrderTerms, SnapshotBody

_FILLS = (OrderEvent.PARTIAL_FILL, OrderEvent.FILL)
_REFUSALS = (OrderEvent.REFUSE_CANCEL, OrderEvent.REFUSE_UPDATE)
TOMBSTONE = "canceled before it arrived; an order of this id is not taken any more"


class FaultyMatching(MatchingEngine):
    """The matching engine, able to fill an order in pieces and to fill one just before its cancel."""

    def __init__(self, model: FillModel) -> None:
        super().__init__(model, 0)  # requests are handed in with the moment at which they count
        self.pieces: dict[str, int] = {}

    @property
    def is_idle(self) -> bool:
        """Whether no order rests or is on its way."""
        return not self._by_id

    def fill_now(self, client_order_id: str, price: int, ts: int) -> list[ExecutionReport]:
        """Fill what is left of a resting order at its limit, else at `price`; nothing when it is not active."""
        resting = self._by_id.get(client_order_id)
        if resting is None or resting not in self._books.get(resting.order.tape, ()):
            return []
        reports: list[ExecutionReport] = []
        at = resting.limit if resting.is_limit and resting.limit is not None else price
        self._fill(resting, resting.leaves, at, ts, Liquidity.TAKER, 0, True, reports)
        return reports

    def _piece(self, resting: Resting) -> int:
        pieces = self.pieces.get(resting.order.client_order_id, 1)
        if pieces < 2 or resting.leaves < 2 or resting.order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            return 0
        self.pieces[resting.order.client_order_id] = pieces - 1
        return max(1, resting.leaves // pieces)

    def _take_liquidity(
        self, resting: Resting, price: int, limit: int | None, reference: int, ts: int, reports: list[ExecutionReport]
    ) -> None:
        piece = self._piece(resting)
        if not piece:
            super()._take_liquidity(resting, price, limit, reference, ts, reports)
            return
        resting.queue = min(0, self.model.queue_lots)
        self._fill(resting, piece, price, ts, Liquidity.TAKER, (price - reference) * resting.sign, False, reports)

    def _rest(self, resting: Resting, trades: Trades, index: int, ts: int, lots: int, reports: list[ExecutionReport]) -> None:
        piece = self._piece(resting)
        super()._rest(resting, trades, index, ts, piece or lots, reports)


@dataclass(slots=True, eq=False)
class _Record:
    """An order as the venue keeps it."""

    order: Order
    venue_order_id: str
    reason: str = ""

    def seen(self) -> VenueOrder:
        order = self.order
        return VenueOrder(
            client_order_id=order.client_order_id,
            venue_order_id=self.venue_order_id,
            symbol=order.instrument.symbol,
            side=order.side,
            order_type=order.order_type,
            quantity=order.quantity,
            filled_qty=order.filled_qty,
            status=order.status,
            limit_ticks=order.limit_ticks,
            stop_ticks=order.stop_ticks,
            parent_id=order.parent_id,
            reason=self.reason,
        )


class Book:
    """One account. Times are UTC ns of the market.

    Parameters
    ----------
    margins : money per unit by root, replacing the instrument's own.
    """

    def __init__(
        self,
        name: str,
        balance: Decimal,
        model: FillModel,
        fees: FeeModel,
        margins: Mapping[str, Decimal],
        holds_brackets: bool,
    ) -> None:
        self.name = name
        self.matching = FaultyMatching(model)
        self.account = Account(balance)
        self.executions: list[VenueExecution] = []
        self.messages: list[Report] = []
        self.holds_brackets = holds_brackets
        self._fees = fees
        self._margins = margins
        self._records: dict[str, _Record] = {}
        self._tombstones: dict[str, tuple[OrderStatus, str]] = {}  # ids closed for good without an order
        self._cancels: set[str] = set()
        self._recent: set[str] = set()  # orders of the present session and the one before
        self._fresh: set[str] = set()  # orders of the present session
        self._tradable: dict[str, tuple[Instrument, str]] = {}
        self._turned_away: int | None = None
        self.longest_turned_away_ns = 0
        """Longest time (of the market) for which every order request was turned away at the gate."""

    def gate(self, ts: int, *, is_turned_away: bool) -> None:
        """Note at `ts` whether an order request came through the gate."""
        if not is_turned_away:
            self._turned_away = None
            return
        if self._turned_away is None:
            self._turned_away = ts
        self.longest_turned_away_ns = max(self.longest_turned_away_ns, ts - self._turned_away)

    @property
    def seq(self) -> int:
        """Number of private messages so far."""
        return len(self.messages)

    def seq_at(self, until_ns: int) -> int:
        """Return the last private message that happened at or before `until_ns`."""
        return bisect_right(self.messages, until_ns, key=lambda message: message.ts)

    def start_session(self, tradable: Mapping[str, tuple[Instrument, str]]) -> None:
        """Learn what can be ordered."""
        self._tradable = dict(tradable)
        self._recent = {name for name, record in self._records.items() if not record.order.status.is_closed} | self._fresh
        self._fresh = set()

    def tape_of(self, symbol: str) -> str:
        """Return on which market data a symbol trades; empty when it does not trade here."""
        return self._tradable[symbol][1] if symbol in self._tradable else ""

    # Requests. `now` is how far the market has come, `effective` the moment from which the request counts.

    def is_known(self, client_order_id: str) -> bool:
        """Say whether an order of that id was ever taken, rejected or closed for good."""
        return client_order_id in self._records or client_order_id in self._tombstones

    def fault_of(self, terms: OrderTerms, now: int) -> str:
        """Return why an order cannot be taken; empty when it can."""
        if terms.client_order_id in self._tombstones:
            return self._tombstones[terms.client_order_id][1]
        if terms.symbol not in self._tradable:
            return f"symbol was '{terms.symbol}'; tradable now are {', '.join(sorted(self._tradable)) or 'none'}"
        instrument, tape = self._tradable[terms.symbol]
        if terms.tape not in ("", tape):
            return f"tape was '{terms.tape}'; {terms.symbol} trades on {tape}"
        if terms.quantity < 1 or terms.quantity % instrument.lot_size:
            return (
                f"quantity was {terms.quantity}; allowed are multiples of {instrument.lot_size} from {instrument.lot_size} on"
            )
        return self._price_fault(terms) or self._life_fault(terms, now)

    @staticmethod
    def _price_fault(terms: OrderTerms) -> str:
        needed = {
            OrderType.LIMIT: ("limit_ticks",),
            OrderType.STOP: ("stop_ticks",),
            OrderType.STOP_LIMIT: ("stop_ticks", "limit_ticks"),
            OrderType.TRAILING_STOP: ("trail_ticks",),
        }.get(terms.order_type, ())
        missing = [name for name in needed if getattr(terms, name) is None]
        if missing:
            return f"a {terms.order_type} order had no {' and no '.join(missing)}"
        if terms.trail_ticks is not None and terms.trail_ticks < 1:
            return f"trail_ticks was {terms.trail_ticks}; allowed is 1 or more"
        return ""

    def _life_fault(self, terms: OrderTerms, now: int) -> str:
        if (terms.time_in_force is TimeInForce.GTD) != (terms.expire_ns is not None):
            return (
                f"time_in_force was {terms.time_in_force} with expire_ns {terms.expire_ns}; GTD orders, and no others, have one"
            )
        if terms.expire_ns is not None and terms.expire_ns <= now:
            return f"expire_ns was {terms.expire_ns}, which is past; it is {now}"
        if terms.bracket_stop_ticks is None:
            if terms.bracket_target_ticks is not None or terms.bracket_trail_ticks is not None:
                return "the bracket had no stop; give bracket_stop_ticks"
            return ""
        if not self.holds_brackets:
            return "this venue holds no brackets; send stop and target as orders of their own"
        try:
            terms.order()
        except SovereignError as fault:
            return str(fault)
        return ""

    def new(self, terms: OrderTerms, effective: int, now: int, refusal: str = "", pieces: int = 1) -> None:
        """Take an order, or reject it with a reason; one of a known id was answered before it came here."""
        name = terms.client_order_id
        instrument, tape = self._tradable.get(terms.symbol, (None, terms.symbol))
        try:
            order = terms.model_copy(update={"tape": tape}).order(instrument)
        except SovereignError:  # an unknown symbol or an impossible bracket: the refusal says so
            self._tombstones[name] = (OrderStatus.REJECTED, refusal)
            self._say(ExecutionReport(cause=OrderEvent.REJECT, client_order_id=name, ts=now, reason=refusal))
            return
        if name in self._tombstones:
            self._say(ExecutionReport(cause=OrderEvent.REJECT, client_order_id=name, ts=now, reason=refusal))
            return
        self._keep(order, now)
        if refusal:
            self.take([ExecutionReport(cause=OrderEvent.REJECT, client_order_id=name, ts=now, reason=refusal)])
            return
        if pieces > 1:
            self.matching.pieces[name] = pieces
        self.matching.submit(replace(order), effective)

    def cancel(self, client_order_id: str, effective: int, now: int, fill_price: int | None = None) -> None:
        """Cancel an order; with `fill_price` it fills just before. An unknown id is closed for good."""
        record = self._records.get(client_order_id)
        if record is None:
            is_new = client_order_id not in self._tombstones
            self._tombstones.setdefault(client_order_id, (OrderStatus.CANCELED, TOMBSTONE))
            if is_new:
                self._say(ExecutionReport(cause=OrderEvent.CANCEL, client_order_id=client_order_id, ts=now, reason=TOMBSTONE))
            return
        if fill_price is not None:
            self.take(self.matching.fill_now(client_order_id, fill_price, now))
        if record.order.status.is_closed:
            self._refuse(OrderEvent.REFUSE_CANCEL, client_order_id, now, f"the order was {record.order.status} already")
            return
        self._cancels.add(client_order_id)
        self.matching.cancel(client_order_id, effective)

    def replace(
        self, client_order_id: str, effective: int, now: int, quantity: int, limit_ticks: int | None, stop_ticks: int | None
    ) -> None:
        """Give an order new terms."""
        record = self._records.get(client_order_id)
        if record is None or record.order.status.is_closed:
            reason = "no such order" if record is None else f"the order was {record.order.status}"
            self._refuse(OrderEvent.REFUSE_UPDATE, client_order_id, now, reason)
            return
        self.matching.replace(client_order_id, effective, quantity=quantity, limit_ticks=limit_ticks, stop_ticks=stop_ticks)

    def _refuse(self, cause: OrderEvent, client_order_id: str, now: int, reason: str) -> None:
        self._say(ExecutionReport(cause=cause, client_order_id=client_order_id, ts=now, reason=reason))

    def _keep(self, order: Order, ts: int) -> _Record:
        record = _Record(order, f"V{len(self._records) + 1}")
        order.venue_order_id = record.venue_order_id
        order.apply(OrderEvent.SUBMIT, ts)
        self._records[order.client_order_id] = record
        self._recent.add(order.client_order_id)
        self._fresh.add(order.client_order_id)
        return record

    # The market moves.

    def walk(self, columns: Mapping[str, Trades], start_ns: int, until_ns: int) -> None:
        """Let orders meet the ticks in `start_ns <= ts < until_ns`, and every moment up to `until_ns`."""
        cursors = {tape: int(np.searchsorted(trades.ts, start_ns)) for tape, trades in columns.items()}
        matching = self.matching
        while True:
            due = matching.next_time_ns
            bound = min(due, until_ns)
            first: tuple[int, int, str, int] | None = None
            stops: dict[str, int] = {}
            for number, (tape, trades) in enumerate(columns.items()):
                stops[tape] = stop = max(int(np.searchsorted(trades.ts, bound)), cursors[tape])
                if stop > cursors[tape] and matching.has_orders(tape):
                    index = matching.next_event(tape, trades, cursors[tape], stop)
                    if index < stop and (first is None or (int(trades.ts[index]), number) < first[:2]):
                        first = (int(trades.ts[index]), number, tape, index)
            for tape, trades in columns.items():
                if first is not None and tape == first[2]:
                    continue
                stop = stops[tape] if first is None else min(stops[tape], int(np.searchsorted(trades.ts, first[0])))
                if stop > cursors[tape]:
                    matching.advance(tape, trades, cursors[tape], stop)
                    cursors[tape] = stop
            if first is not None:
                _, _, tape, index = first
                reports = matching.take(tape, columns[tape], index)
                cursors[tape] = index + 1
                self.take(reports, tape, index + 1)
            elif due > until_ns:
                return
            else:
                self.take(matching.on_time(due))

    def end_session(self, tapes: Sequence[str], ts: int) -> None:
        """Expire what does not outlive the session."""
        for tape in tapes:
            self.take(self.matching.expire_day(tape, ts))

    def end_tape(self, tape: str, price_ticks: int, ts: int) -> None:
        """Settle what is left on a tape that will not come again."""
        self.take(self.matching.end_tape(tape, price_ticks, ts))

    def take(self, reports: Sequence[ExecutionReport], tape: str = "", row: int = 0) -> None:
        """Write down what happened, and tell the account."""
        for report in reports:
            name = report.client_order_id
            if report.child is not None:
                self._keep(replace(report.child), report.ts)
                self._say(report, tape, row)
                continue
            record = self._records[name]
            order = record.order
            if report.cause is OrderEvent.UPDATE:
                order.quantity, order.limit_ticks, order.stop_ticks = report.quantity, report.limit_ticks, report.stop_ticks
            if report.cause in _FILLS:
                report = replace(report, fee=self._book(order, report))  # noqa: PLW2901 - the same report, priced
            if report.cause not in _REFUSALS:
                order.apply(report.cause, report.ts)
                record.reason = report.reason or record.reason
            self._say(report, tape, row)
            if order.status.is_closed:
                self.matching.pieces.pop(name, None)
                if name in self._cancels:
                    self._cancels.discard(name)
                    if report.cause is not OrderEvent.CANCEL:
                        why = f"the order was {order.status} before the cancel arrived"
                        self._refuse(OrderEvent.REFUSE_CANCEL, name, report.ts, why)

    def _book(self, order: Order, report: ExecutionReport) -> Decimal:
        order.filled_qty += report.quantity
        order.filled_ticks_sum += report.quantity * report.price_ticks
        fee = self._fees.fee(order.instrument, report.quantity, report.price_ticks)
        fill = Fill(
            trade_id=report.trade_id,
            client_order_id=order.client_order_id,
            instrument=order.instrument,
            side=order.side,
            quantity=report.quantity,
            price_ticks=report.price_ticks,
            ts=report.ts,
            fee=fee,
            liquidity=report.liquidity,
            role=order.role,
        )
        self.account.apply(fill, order.tape, order.decision_id, {})
        self.executions.append(
            VenueExecution(
                cursor=len(self.executions) + 1,
                trade_id=report.trade_id,
                client_order_id=order.client_order_id,
                symbol=order.instrument.symbol,
                side=order.side,
                quantity=report.quantity,
                price_ticks=report.price_ticks,
                ts=report.ts,
                fee=fee,
                liquidity=report.liquidity,
            )
        )
        return fee

    def _say(self, report: ExecutionReport, tape: str = "", row: int = 0) -> None:
        record = self._records.get(report.client_order_id)
        venue_order_id = "" if record is None else record.venue_order_id
        self.messages.append(Report.of(self.seq + 1, report, venue_order_id=venue_order_id, tape=tape, row=row))

    # Questions.

    def order_state(self, client_order_id: str) -> OrderBody | None:
        """Return an order as it is known; None when it never came."""
        record = self._records.get(client_order_id)
        if record is not None:
            return OrderBody.of(record.seen())
        if client_order_id not in self._tombstones:
            return None
        status, reason = self._tombstones[client_order_id]
        return OrderBody(
            client_order_id=client_order_id,
            venue_order_id="",
            symbol="",
            side=Side.BUY,
            order_type=OrderType.MARKET,
            quantity=0,
            filled_qty=0,
            status=status,
            reason=reason,
        )

    def snapshot(self, since_cursor: int, now_ns: int, *, is_all: bool = False) -> SnapshotBody:
        """Return the account as it is.

        Orders are those at work, those of this and the last session, and those with an execution after the cursor; or all ever.
        """
        listed = self._recent | {execution.client_order_id for execution in self.executions[since_cursor:]}
        orders = self._records if is_all else {n: r for n, r in self._records.items() if n in listed}
        return SnapshotBody(
            now_ns=now_ns,
            cursor=len(self.executions),
            private_seq=self.seq,
            orders=tuple(record.seen() for record in orders.values()),
            executions=tuple(self.executions[since_cursor:]),
            positions=tuple(
                VenuePosition(symbol=symbol, quantity=position.quantity, cost_ticks=position.cost_ticks)
                for symbol, position in self.account.positions.items()
            ),
            cash=self.account.balance,
        )

    def working(self) -> list[str]:
        """Return the ids of orders at work, oldest first."""
        return [name for name, record in self._records.items() if not record.order.status.is_closed]

    def margins(self, last_ticks: Mapping[str, int]) -> dict[str, Decimal]:
        """Return what one unit of each symbol ties up now; one about which nothing can be said is missing."""
        found: dict[str, Decimal] = {}
        for symbol, (instrument, tape) in self._tradable.items():
            margin = self._margins.get(instrument.root, instrument.day_margin)
            if margin is None and tape in last_ticks:
                margin = instrument.margin(last_ticks[tape], 1)
            if margin is not None:
                found[symbol] = margin
        return found
