"""The matching engine: resting orders meet a trade tape under one fill model.

It is what the simulated broker runs in a backtest and what a stand-alone simulated venue runs: it knows orders, time and the
tape, and answers with execution reports. The caller walks the tape in slices: `next_event` says where in a slice something
happens, `take` does it, `advance` moves past rows where nothing does; `next_time_ns` and `on_time` are the same for moments
that no tick marks (an order reaches the venue, a cancel arrives, a good-till date passes). However the slices are cut, the
reports are the same (tests/property). Brackets are held here, as a venue would: children are created and resized to the
quantity filled, at prices derived from the average fill, and one cancels the other.
"""

from __future__ import annotations

import heapq

import numpy as np

from sovereign.core.columns import NO_QUOTE, Int32, Trades
from sovereign.core.order import Order, OrderEvent, OrderRole, OrderType, Side, TimeInForce, make_order
from sovereign.core.position import Liquidity
from sovereign.core.session import NEVER
from sovereign.execution.bar_order import (
    follows_its_entry,
    is_favored,
    is_first_extreme,
    is_spared,
    passing_price,
    rival_of,
    stop_price,
)
from sovereign.execution.fill_model import FillModel
from sovereign.execution.report import ExecutionReport, make_report
from sovereign.execution.resting import Group, Resting, Scan, Terms, make_resting, make_scan
from sovereign.kernels.matching import first_outside, limit_event, trailing_event

_LOWEST, _HIGHEST = -(2**31), 2**31 - 1
_FOLLOWS = "bracket follows the filled quantity"
# What every order and fill asks for is looked up once: Python 3.11 takes long to find the members of an enumeration.
_MARKET, _LIMIT, _STOP, _TRAILING_STOP = OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.TRAILING_STOP
_SUBMIT, _ACCEPT, _PARTIAL_FILL, _FILL = OrderEvent.SUBMIT, OrderEvent.ACCEPT, OrderEvent.PARTIAL_FILL, OrderEvent.FILL
_GTC, _GTD, _FOK, _IMMEDIATE = TimeInForce.GTC, TimeInForce.GTD, TimeInForce.FOK, (TimeInForce.IOC, TimeInForce.FOK)
_BUY, _TAKER, _MAKER = Side.BUY, Liquidity.TAKER, Liquidity.MAKER


class MatchingEngine:
    """Orders of any number of tapes under one fill model and one latency.

    Parameters
    ----------
    model : the assumptions about fills.
    latency_ns : from sending an order, a cancel or a replace to the venue acting on it.
    holds_brackets : whether an order's bracket is kept here; if not, it is ignored, and the client keeps it.
    can_replace : whether working orders may be changed in place; if not, every replace is refused.
    """

    def __init__(self, model: FillModel, latency_ns: int = 0, *, holds_brackets: bool = True, can_replace: bool = True) -> None:
        self.model = model
        self.holds_brackets = holds_brackets
        self.can_replace = can_replace
        self._latency_ns = latency_ns
        self._books: dict[str, list[Resting]] = {}
        self._by_id: dict[str, Resting] = {}
        # (effective ns, sequence, what, order, new terms of a replace)
        self._pending: list[tuple[int, int, str, Resting, Terms | None]] = []
        self._sequence = 0
        self._trades = 0
        self._is_in_doubt = False  # what fills now depends on the order of a bar's extremes
        self._scans: dict[str, Scan] = {}
        self._groups: dict[str, list[Group]] = {}  # brackets with something to close, by symbol, oldest first
        self._net: dict[str, int] = {}  # units bought less units sold, by symbol

    @property
    def next_time_ns(self) -> int:
        """When `on_time` must be called next (UTC ns), `NEVER` if nothing is due."""
        return self._pending[0][0] if self._pending else NEVER

    @property
    def is_idle(self) -> bool:
        """Whether no order is active at the venue, on any tape."""
        return not any(self._books.values())

    def due_tapes(self, ts: int) -> set[str]:
        """Return the tapes whose orders `on_time` may change: what becomes live, is canceled, replaced or expires by then."""
        return {resting.order.tape for due, _, _, resting, _ in self._pending if due <= ts}

    def has_orders(self, tape: str) -> bool:
        """Say whether any order of `tape` is active at the venue."""
        return bool(self._books.get(tape))

    def submit(self, order: Order, ts: int) -> None:
        """Send an order at `ts`; it is live `latency_ns` later. An id already at work is not taken twice."""
        if order.client_order_id in self._by_id:
            return
        resting = self._resting(order)
        if order.bracket is not None and self.holds_brackets:
            resting.group = Group(order.bracket, resting)
        self._schedule(ts + self._latency_ns, "activate", resting)

    def cancel(self, client_order_id: str, ts: int) -> None:
        """Ask for a cancel at `ts`; it acts `latency_ns` later unless the order is done by then."""
        resting = self._by_id.get(client_order_id)
        if resting is not None:
            self._schedule(ts + self._latency_ns, "cancel", resting)

    def replace(self, client_order_id: str, ts: int, *, quantity: int, limit_ticks: int | None, stop_ticks: int | None) -> None:
        """Ask for new terms at `ts`; they act `latency_ns` later, or are refused then.

        `quantity` is the new total, filled part included; a price of None stays as it is. At another price, or with more
        quantity, the order queues anew; with less it keeps its place.
        """
        resting = self._by_id.get(client_order_id)
        if resting is not None:
            self._schedule(ts + self._latency_ns, "replace", resting, (quantity, limit_ticks, stop_ticks))

    def on_time(self, ts: int) -> list[ExecutionReport]:
        """Do what is due at or before `ts`: activations, cancels, replaces, expiries, in the order they were sent."""
        reports: list[ExecutionReport] = []
        while self._pending and self._pending[0][0] <= ts:
            due, _, what, resting, terms = heapq.heappop(self._pending)
            if terms is not None:
                self._replace(resting, terms, due, reports)
            elif resting.is_done:
                continue
            elif what == "activate":
                self._activate(resting, due, reports)
            else:
                cause = OrderEvent.CANCEL if what == "cancel" else OrderEvent.EXPIRE
                self._finish(resting, cause, due, "" if what == "cancel" else "good-till date", reports)
        return reports

    def expire_day(self, tape: str, ts: int) -> list[ExecutionReport]:
        """End of session: DAY orders of `tape` expire, active or still on their way."""
        if not self._by_id:
            return []
        reports: list[ExecutionReport] = []
        for resting in sorted([r for r in self._by_id.values() if r.order.tape == tape], key=lambda r: r.sequence):
            if not resting.is_done and resting.order.time_in_force is TimeInForce.DAY:
                self._finish(resting, OrderEvent.EXPIRE, ts, "session end", reports)
        return reports

    def end_tape(self, tape: str, price_ticks: int, ts: int) -> list[ExecutionReport]:
        """The tape will not come again (a contract was rolled): market orders settle at its last price, the rest expire.

        Nobody traded there, so the fill is marked ambiguous.
        """
        reports: list[ExecutionReport] = []
        for resting in sorted((r for r in self._by_id.values() if r.order.tape == tape), key=lambda r: r.sequence):
            if resting.is_done:
                continue
            if resting.order.order_type is OrderType.MARKET:
                self._fill(resting, resting.leaves, price_ticks, ts, _TAKER, 0, True, reports)
            else:
                self._finish(resting, OrderEvent.EXPIRE, ts, "the tape ended", reports)
        return reports

    def next_event(self, tape: str, trades: Trades, start: int, stop: int) -> int:
        """Return the first row of `start`..`stop` at which an active order of `tape` trades or triggers, else `stop`."""
        index = stop
        states: list[tuple[Resting, int, int, int]] = []
        book = self._books.get(tape)
        if book and start < stop:
            for resting in book:
                # Later orders need not be looked at beyond the earliest event found so far.
                bound = min(stop, index + 1)
                at, state, lots = self._scan(resting, trades, start, bound)
                states.append((resting, at, state, lots))
                if at < bound:
                    index = min(index, at)
        self._scans[tape] = make_scan(start, stop, index, states)
        return index

    def advance(self, tape: str, trades: Trades, start: int, stop: int) -> None:
        """Move every order past rows `start`..`stop`, in which `next_event` found nothing."""
        book = self._books.get(tape)
        if not book or start >= stop:
            return
        scan = self._scans.pop(tape, None)  # what was found is spent: a later block's rows have the same numbers
        if scan is None or scan.start != start or not self._holds_at(scan, stop):
            self.next_event(tape, trades, start, stop)
            scan = self._scans.pop(tape)
        for resting, _, state, _ in scan.states:
            self._settle(resting, state)
            resting.arrives = False

    def _holds_at(self, scan: Scan, stop: int) -> bool:
        # Whether the states are those at `stop`: it is where the scan ended, or none has moved on the way to what was found.
        if scan.index == stop == scan.stop:
            return True
        if scan.index < stop:
            return False
        for resting, _, state, _ in scan.states:
            has_moved = state != self._queue(resting) if resting.is_limit else resting.order.order_type is _TRAILING_STOP
            if has_moved:
                return False
        return True

    def _queue(self, resting: Resting) -> int:
        # Units ahead of a limit order
        if not resting.arrives:
            return resting.queue
        lots = self.model.queue_lots
        return lots * resting.order.instrument.round_lot if lots > 0 else lots

    def take(self, tape: str, trades: Trades, index: int) -> list[ExecutionReport]:
        """Carry out what `next_event` found at `index`, and move every other order past that row."""
        scan = self._scans.pop(tape)
        reports: list[ExecutionReport] = []
        ts = trades.ts.item(index)
        hits: list[tuple[Resting, int]] = []
        for resting, at, after, lots in scan.states:
            state = after
            if at == index:
                hits.append((resting, lots))
            else:
                # Scanned further than `index` before an earlier event was found: walk to it again.
                _, state, _ = self._scan(resting, trades, scan.start, index + 1)
            self._settle(resting, state)
            resting.arrives = resting.arrives and at == index == scan.start
        for resting, lots in hits:
            if not resting.is_done:
                if trades.is_path:
                    self._execute_in_bar(resting, trades, index, scan.start, lots, reports)
                else:
                    self._execute(resting, trades, index, ts, lots, reports)
        return reports

    def _execute_in_bar(
        self, resting: Resting, trades: Trades, index: int, start: int, lots: int, reports: list[ExecutionReport]
    ) -> None:
        """Carry out an order on the path of a bar, where the order of the extremes may decide what fills; see `bar_order`."""
        ts, order = trades.ts.item(index), self.model.bar_order
        rival = rival_of(resting) if is_first_extreme(trades, index) else None
        if rival is not None:
            at, _, rival_lots = self._scan(rival, trades, start, index + 2)
            if at == index + 1:
                self._is_in_doubt = True
                if is_favored(rival, order):
                    self._execute(rival, trades, index + 1, ts, rival_lots, reports)
        elif follows_its_entry(resting, trades, index):
            if is_spared(resting, order):
                return
            self._is_in_doubt = True
        if not resting.is_done:
            self._execute(resting, trades, index, ts, lots, reports)
        self._is_in_doubt = False

    def _resting(self, order: Order) -> Resting:
        self._sequence += 1
        resting = make_resting(order, self._sequence, order.quantity, order.limit_ticks, order.stop_ticks, order.side.sign)
        resting.is_limit = order.order_type is _LIMIT
        if order.order_type is _TRAILING_STOP and order.stop_ticks is not None:
            resting.start_trailing(order.stop_ticks)
        self._by_id[order.client_order_id] = resting
        return resting

    def _schedule(self, ts: int, what: str, resting: Resting, terms: Terms | None = None) -> None:
        self._sequence += 1
        heapq.heappush(self._pending, (ts, self._sequence, what, resting, terms))

    def _replace(self, resting: Resting, terms: Terms, ts: int, reports: list[ExecutionReport]) -> None:
        refusal = resting.why_not(terms) if self.can_replace else "this venue changes no order in place"
        if refusal:
            reports.append(
                make_report(
                    cause=OrderEvent.REFUSE_UPDATE, client_order_id=resting.order.client_order_id, ts=ts, reason=refusal
                )
            )
            return
        quantity, limit, stop = terms
        moves = limit is not None and limit != resting.limit
        if moves:
            resting.limit = limit
        if stop is not None:
            resting.stop = stop
        if resting.is_limit and (moves or quantity - resting.filled > resting.leaves):
            resting.arrives = True  # it queues anew, and may be marketable now
        self._scans.pop(resting.order.tape, None)
        self._resize(resting, quantity - resting.filled, ts, "replaced", reports)

    def _activate(self, resting: Resting, ts: int, reports: list[ExecutionReport]) -> None:
        order = resting.order
        self._books.setdefault(order.tape, []).append(resting)
        self._scans.pop(order.tape, None)
        reports.append(make_report(cause=_ACCEPT, client_order_id=order.client_order_id, ts=ts))
        if order.time_in_force is _GTD and order.expire_ns is not None:
            self._schedule(max(order.expire_ns, ts), "expire", resting)

    def _scan(self, resting: Resting, trades: Trades, start: int, stop: int) -> tuple[int, int, int]:
        """Return (row of the next event or `stop`, queue or best after it, lots available; -1 means all)."""
        if start >= stop:
            return stop, resting.queue if resting.is_limit else resting.best, 0
        kind = resting.order.order_type
        if kind is _MARKET:
            return start, 0, -1
        price = trades.price
        if resting.is_limit:
            return self._scan_limit(resting, trades, start, stop)
        if kind is _TRAILING_STOP:
            best = int(price[start]) if resting.arrives else resting.best
            index, best = trailing_event(price, start, stop, best, resting.order.trail_ticks or 0, resting.sign)
            return index, best, -1
        level = resting.stop or 0
        low, high = (_LOWEST, level - 1) if resting.sign > 0 else (level + 1, _HIGHEST)
        return first_outside(price, start, stop, low, high), 0, -1

    def _scan_limit(self, resting: Resting, trades: Trades, start: int, stop: int) -> tuple[int, int, int]:
        limit = resting.limit or 0
        if resting.arrives:
            order = resting.order
            if order.time_in_force in _IMMEDIATE:
                return start, resting.queue, -1
            if (limit - self._taker_price(trades, start, order.side)) * resting.sign >= 0:
                return start, resting.queue, -1
        index, lots, queue = limit_event(
            trades.price, trades.size, start, stop, limit, resting.sign, self.model.through_ticks, self._queue(resting)
        )
        return index, queue, lots

    @staticmethod
    def _settle(resting: Resting, state: int) -> None:
        if resting.is_limit:
            resting.queue = state
        else:
            resting.best = state

    def _taker_price(self, trades: Trades, index: int, side: Side) -> int:
        """Return what a taker pays at row `index`, before slippage."""
        traded = trades.price.item(index)
        if not self.model.crosses_spread:
            return traded
        quotes: Int32 | None = trades.ask if side is _BUY else trades.bid
        if quotes is not None and quotes[index] != NO_QUOTE:
            return int(quotes[index]) + self._wider(trades, index, side)
        sign = side.sign
        return traded + (sign * self.model.unquoted_spread_ticks if trades.side.item(index) != sign else 0)

    def _wider(self, trades: Trades, index: int, side: Side) -> int:
        # Half of what a wider spread adds, away from the taker; the odd tick goes to buyers, so that a round trip pays it once.
        if self.model.spread_factor == 1 or trades.bid is None or trades.ask is None:
            return 0
        bid, ask = int(trades.bid[index]), int(trades.ask[index])
        if NO_QUOTE in (bid, ask) or ask <= bid:
            return 0
        added = (self.model.spread_factor - 1) * (ask - bid)
        return (added + 1) // 2 if side is _BUY else -(added // 2)

    def _execute(
        self, resting: Resting, trades: Trades, index: int, ts: int, lots: int, reports: list[ExecutionReport]
    ) -> None:
        order, arrives = resting.order, resting.arrives
        if order.reduce_only and resting.group is None and not self._may_reduce(resting, ts, reports):
            return
        resting.arrives = False
        if order.order_type is _MARKET:
            price = self._taker_price(trades, index, order.side) + resting.sign * self.model.market_slippage_ticks
            reference = price if order.arrival_ticks is None else order.arrival_ticks
            self._take_liquidity(resting, price, None, reference, ts, reports)
        elif resting.is_limit:
            limit = resting.limit or 0
            price = passing_price(trades, index, self._taker_price(trades, index, order.side), limit, resting.sign)
            if arrives and (limit - price) * resting.sign >= 0:
                self._take_liquidity(resting, price, limit, price, ts, reports)
            elif lots >= 0 or not self._is_immediate(order):
                self._rest(resting, trades, index, ts, lots, reports)
            if not resting.is_done and self._is_immediate(order):
                self._finish(resting, OrderEvent.CANCEL, ts, str(order.time_in_force), reports)
        elif order.order_type is OrderType.STOP_LIMIT:
            self._trigger(resting, trades, index, ts, reports)
        else:
            trigger = resting.stop
            if trigger is None:
                trigger = resting.best + resting.sign * (order.trail_ticks or 0)
            price = stop_price(trades, index, trigger, resting.sign) + resting.sign * self.model.stop_slippage_ticks
            self._take_liquidity(resting, price, None, trigger, ts, reports)

    def _may_reduce(self, resting: Resting, ts: int, reports: list[ExecutionReport]) -> bool:
        # What is left to close may have shrunk while the order was on its way; bracket children follow their group instead.
        left = -resting.sign * self._net.get(resting.order.instrument.symbol, 0)
        if left <= 0:
            self._finish(resting, OrderEvent.CANCEL, ts, "reduce-only: nothing left to close", reports)
            return False
        if left < resting.leaves:
            self._resize(resting, left, ts, "reduce-only: no more than what is open", reports)
        return True

    def _trigger(self, resting: Resting, trades: Trades, index: int, ts: int, reports: list[ExecutionReport]) -> None:
        """A stop-limit order was touched off: it takes what its limit allows, and rests with the remainder."""
        order = resting.order
        resting.is_triggered = resting.is_limit = True
        resting.arrives = True
        reports.append(make_report(cause=OrderEvent.TRIGGER, client_order_id=order.client_order_id, ts=ts))
        price = self._taker_price(trades, index, order.side) + resting.sign * self.model.stop_slippage_ticks
        limit = resting.limit or 0
        if (limit - price) * resting.sign >= 0:
            resting.arrives = False
            self._take_liquidity(resting, price, limit, resting.stop or price, ts, reports)
        if not resting.is_done and self._is_immediate(order):
            self._finish(resting, OrderEvent.CANCEL, ts, str(order.time_in_force), reports)

    @staticmethod
    def _is_immediate(order: Order) -> bool:
        return order.time_in_force in _IMMEDIATE

    def _take_liquidity(
        self, resting: Resting, price: int, limit: int | None, reference: int, ts: int, reports: list[ExecutionReport]
    ) -> None:
        """Fill against an assumed book of `depth_lots` at each price, from `price` outwards, up to `limit`."""
        order, sign = resting.order, resting.sign
        depth = self.model.depth_lots * order.instrument.round_lot
        levels: list[tuple[int, int]] = []
        left = resting.leaves
        while left > 0 and (limit is None or (limit - price) * sign >= 0):
            quantity = left if depth == 0 else min(left, depth)
            levels.append((price, quantity))
            left -= quantity
            price += sign
        if left > 0 and order.time_in_force is _FOK:
            return
        if left > 0:
            resting.queue = min(0, self.model.queue_lots)  # what is left rests alone at a new best price
        for level, quantity in levels:
            self._fill(resting, quantity, level, ts, _TAKER, (level - reference) * sign, False, reports)

    def _rest(self, resting: Resting, trades: Trades, index: int, ts: int, lots: int, reports: list[ExecutionReport]) -> None:
        """Fill a resting limit at its own price: whole when the tape traded through it, else by what is left for it."""
        limit = resting.limit or 0
        is_touch = int(trades.price[index]) == limit
        if lots < 0:
            lots = resting.leaves
            if self.model.participation_frac < 1:
                lots = max(1, int(int(trades.size[index]) * self.model.participation_frac))
        self._fill(resting, min(resting.leaves, lots), limit, ts, _MAKER, 0, is_touch, reports)

    def _fill(
        self,
        resting: Resting,
        quantity: int,
        price: int,
        ts: int,
        liquidity: Liquidity,
        slippage: int,
        is_ambiguous: bool,
        reports: list[ExecutionReport],
    ) -> None:
        resting.leaves -= quantity
        resting.filled += quantity
        self._trades += 1
        order = resting.order
        symbol = order.instrument.symbol
        self._net[symbol] = self._net.get(symbol, 0) + resting.sign * quantity
        reports.append(
            make_report(
                cause=_PARTIAL_FILL if resting.leaves else _FILL,
                client_order_id=order.client_order_id,
                ts=ts,
                trade_id=f"{order.client_order_id}#{self._trades}",
                quantity=quantity,
                price_ticks=price,
                liquidity=liquidity,
                slippage_ticks=slippage,
                is_ambiguous=is_ambiguous or self._is_in_doubt,
            )
        )
        if not resting.leaves:
            self._remove(resting)
        group = resting.group
        if group is None:
            if order.reduce_only and symbol in self._groups:
                self._take_from_groups(resting, quantity, ts, reports)
            return
        if resting is group.entry:
            group.filled += quantity
            group.entered_ns = ts
            group.cost += quantity * price
            self._protect(group, ts, reports)
        else:
            group.closed += quantity
            self._reduce(group, resting, ts, reports)

    def _protect(self, group: Group, ts: int, reports: list[ExecutionReport]) -> None:
        """Create the children of a bracket, or resize and reprice them, after the entry filled some more."""
        # Nearest tick to the average fill; a half goes up.
        average = (2 * group.cost + group.filled) // (2 * group.filled)
        sign = group.entry.sign
        open_quantity = group.filled - group.closed
        stop = average - sign * group.bracket.stop_ticks
        target = None if group.bracket.target_ticks is None else average + sign * group.bracket.target_ticks
        if not group.children:
            self._groups.setdefault(group.entry.order.instrument.symbol, []).append(group)
            kind = _STOP if group.bracket.trail_ticks is None else _TRAILING_STOP
            self._spawn(group, OrderRole.STOP, kind, open_quantity, ts, reports, stop=stop)
            if target is not None:
                self._spawn(group, OrderRole.TARGET, _LIMIT, open_quantity, ts, reports, limit=target)
            return
        for child in group.children:
            if child.is_done:
                continue
            if child.order.role is OrderRole.TARGET:
                # At another price it waits behind the lots there, like any new order.
                child.arrives = child.arrives or child.limit != target
                child.limit = target
            elif child.stop is not None:
                child.stop = stop
            self._resize(child, open_quantity, ts, _FOLLOWS, reports)

    def _spawn(
        self,
        group: Group,
        role: OrderRole,
        kind: OrderType,
        quantity: int,
        ts: int,
        reports: list[ExecutionReport],
        stop: int | None = None,
        limit: int | None = None,
    ) -> None:
        parent = group.entry.order
        child = make_order(
            f"{parent.client_order_id}-{role[0]}",
            parent.instrument,
            parent.tape,
            parent.side.opposite,
            order_type=kind,
            quantity=quantity,
            submitted_ns=ts,
            active_ns=ts,
            role=role,
            limit_ticks=limit,
            stop_ticks=None if kind is _TRAILING_STOP else stop,
            trail_ticks=group.bracket.trail_ticks,
            time_in_force=_GTC,
            reduce_only=True,
            parent_id=parent.client_order_id,
            decision_id=parent.decision_id,
            arrival_ticks=stop if limit is None else limit,
        )
        resting = self._resting(child)
        resting.group = group
        if kind is _TRAILING_STOP and stop is not None:
            resting.start_trailing(stop)
        group.children.append(resting)
        reports.append(make_report(cause=_SUBMIT, client_order_id=child.client_order_id, ts=ts, child=child))
        self._activate(resting, ts, reports)

    @staticmethod
    def _resize(resting: Resting, quantity: int, ts: int, reason: str, reports: list[ExecutionReport]) -> None:
        resting.leaves = quantity
        reports.append(
            make_report(
                cause=OrderEvent.UPDATE,
                client_order_id=resting.order.client_order_id,
                ts=ts,
                quantity=resting.filled + quantity,
                limit_ticks=resting.limit,
                stop_ticks=resting.stop,
                reason=reason,
            )
        )

    def _reduce(self, group: Group, filled: Resting, ts: int, reports: list[ExecutionReport]) -> None:
        """One child filled: the rest of the entry is withdrawn, the sibling shrinks or goes."""
        if not group.entry.is_done:
            self._finish(group.entry, OrderEvent.CANCEL, ts, "a bracket child filled", reports)
        self._shrink(group, filled, ts, reports)

    def _take_from_groups(self, resting: Resting, quantity: int, ts: int, reports: list[ExecutionReport]) -> None:
        """An order outside every bracket closed something: brackets have that much less to close, the oldest first."""
        symbol = resting.order.instrument.symbol
        # A bracket whose children were withdrawn keeps nothing any more.
        self._groups[symbol] = [
            g for g in self._groups[symbol] if not g.entry.is_done or any(not c.is_done for c in g.children)
        ]
        for group in list(self._groups[symbol]):
            taken = min(quantity, group.filled - group.closed) if group.entry.sign == -resting.sign else 0
            if taken > 0:
                group.closed += taken
                quantity -= taken
                self._shrink(group, None, ts, reports)

    def _shrink(self, group: Group, filled: Resting | None, ts: int, reports: list[ExecutionReport]) -> None:
        open_quantity = group.filled - group.closed
        if not open_quantity and group.entry.is_done:
            self._groups[group.entry.order.instrument.symbol].remove(group)
        for sibling in group.children:
            if sibling is filled or sibling.is_done:
                continue
            if open_quantity:
                self._resize(sibling, open_quantity, ts, _FOLLOWS, reports)
            else:
                self._finish(sibling, OrderEvent.CANCEL, ts, "one cancels the other", reports)

    def _finish(self, resting: Resting, cause: OrderEvent, ts: int, reason: str, reports: list[ExecutionReport]) -> None:
        self._remove(resting)
        reports.append(make_report(cause=cause, client_order_id=resting.order.client_order_id, ts=ts, reason=reason))

    def _remove(self, resting: Resting) -> None:
        resting.is_done = True
        self._by_id.pop(resting.order.client_order_id, None)
        book = self._books.get(resting.order.tape)
        if book and resting in book:
            book.remove(resting)
        self._scans.pop(resting.order.tape, None)


def warm_up() -> None:
    """Compile the scans (or load them from the cache), so that the first order of a live session does not wait."""
    price = np.zeros(1, np.int32)
    first_outside(price, 0, 1, _LOWEST, _HIGHEST)
    limit_event(price, price, 0, 1, -1, 1, 1, 1)
    trailing_event(price, 0, 1, 0, 1, -1)
