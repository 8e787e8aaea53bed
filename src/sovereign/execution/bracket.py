"""Brackets kept on our side, for a venue that cannot hold them; and the undoing of a close that went beyond flat.

Stop and target of an entry are made from its fills: sized to the quantity filled and still open, priced from the average fill,
under the ids a venue of ours would give them (`<entry>-S`, `<entry>-T`; sent anew, `<entry>-S2` and so on). They are orders
like any other: journaled, answered, reconciled. Nothing here looks at a clock or a price, so a replay makes the same ones.

Working quantity never exceeds what is open for longer than a request is under way: when one leg fills, the other shrinks one
round trip later. A venue that honors reduce-only refuses what would go too far in that time; with another, the
over-close is bought back at the market at once, and announced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sovereign.core.event import Event, Notice, NoticeCode, Severity
from sovereign.core.order import Order, OrderEvent, OrderRole, OrderStatus, OrderType, Side, TimeInForce
from sovereign.core.position import Fill
from sovereign.execution.account import Account

_UNANSWERED = (OrderStatus.SUBMITTED, OrderStatus.PENDING_UPDATE, OrderStatus.PENDING_CANCEL)


class OrderDesk(Protocol):
    """What a keeper needs of the executor."""

    def find(self, client_order_id: str) -> Order | None:
        """Return an order that is working or remembered."""
        ...

    def submit(self, order: Order, ts: int, labels: dict[str, str]) -> None:
        """Send a new order."""
        ...

    def cancel(self, order: Order, ts: int) -> None:
        """Ask for a cancel."""
        ...

    def replace(
        self,
        order: Order,
        ts: int,
        *,
        quantity: int | None = None,
        limit_ticks: int | None = None,
        stop_ticks: int | None = None,
    ) -> bool:
        """Ask for new terms."""
        ...


@dataclass(slots=True, eq=False)
class _Leg:
    """The stop or the target of a group."""

    role: OrderRole
    order: Order | None = None
    number: int = 0  # how many orders this leg has been so far
    is_withdrawn: bool = False  # we asked for the cancel ourselves, and may send the leg anew
    is_off: bool = False  # somebody else took it away, or the venue refused it: not sent again


@dataclass(slots=True, eq=False)
class _Group:
    """One entry with its legs: what it filled, what has been closed again."""

    entry: Order
    labels: dict[str, str]
    filled: int = 0
    cost: int = 0
    closed: int = 0
    legs: list[_Leg] = field(default_factory=list)

    @property
    def open_quantity(self) -> int:
        return max(0, self.filled - self.closed)

    def price(self, role: OrderRole) -> int:
        """Return where a leg belongs: from the average fill, to the nearest tick, a half goes up (as at our venue)."""
        bracket, sign = self.entry.bracket, self.entry.side.sign
        average = (2 * self.cost + self.filled) // (2 * self.filled)
        if bracket is None:
            return average
        return average - sign * bracket.stop_ticks if role is OrderRole.STOP else average + sign * (bracket.target_ticks or 0)


class BracketKeeper:
    """Follows fills with stops and targets.

    Parameters
    ----------
    emulates : whether brackets are kept here; if not, only a close beyond flat is undone.
    can_replace : whether the venue resizes an order in place; if not, a leg is canceled and sent anew, and is missing for one
        round trip.
    """

    def __init__(
        self, desk: OrderDesk, account: Account, emit: Callable[[Event], None], *, emulates: bool, can_replace: bool
    ) -> None:
        self._desk = desk
        self._account = account
        self._emit = emit
        self._emulates = emulates
        self._can_replace = can_replace
        self._groups: dict[str, _Group] = {}  # by entry, oldest first
        self._legs: dict[str, tuple[_Group, _Leg]] = {}  # by order id of a leg

    def on_fill(self, order: Order, fill: Fill, labels: Mapping[str, str]) -> None:
        """Follow a fill that was just booked."""
        if self._emulates:
            if order.bracket is not None:
                self._extend(order, fill, labels)
            elif order.reduce_only:
                self._reduce(order, fill)
        if order.reduce_only:
            self._undo_reversal(order, fill)

    def on_change(self, order: Order, cause: OrderEvent, ts: int) -> None:
        """Follow what the venue said of an order, fills apart."""
        if not self._groups:
            return
        group, leg = self._legs.get(order.client_order_id, (self._groups.get(order.client_order_id), None))
        if group is None:
            return
        if leg is not None and leg.order is order:
            if order.status.is_closed and not leg.is_withdrawn:
                leg.is_off = True
            if cause is OrderEvent.REFUSE_UPDATE and not order.status.is_closed and group.open_quantity:
                # It cannot be changed, so it is sent anew.
                leg.is_withdrawn = True
                self._desk.cancel(order, ts)
        self._follow(group, ts)

    def on_adopted(self, order: Order, ts: int) -> None:
        """Take a leg that the venue knew and we did not."""
        group = self._groups.get(order.parent_id or "")
        for leg in () if group is None else group.legs:
            if group is not None and leg.role is order.role and (leg.order is None or leg.order.status.is_closed):
                leg.order, leg.is_off, leg.is_withdrawn = order, False, False
                self._legs[order.client_order_id] = (group, leg)
                self._follow(group, ts)

    def on_position(self, symbol: str, quantity: int, ts: int) -> None:
        """Give up, oldest first, what legs would close beyond a position that was adopted (signed quantity)."""
        groups = [group for group in self._groups.values() if group.entry.instrument.symbol == symbol]
        for side in (Side.BUY, Side.SELL):
            same = [group for group in groups if group.entry.side is side]
            excess = sum(group.open_quantity for group in same) - max(0, side.sign * quantity)
            for group in same:
                taken = min(max(0, excess), group.open_quantity)
                excess -= taken
                group.closed += taken
                if taken:
                    self._follow(group, ts)

    def _extend(self, entry: Order, fill: Fill, labels: Mapping[str, str]) -> None:
        group = self._groups.get(entry.client_order_id)
        if group is None:
            group = _Group(entry, dict(labels), legs=[_Leg(OrderRole.STOP)])
            if entry.bracket is not None and entry.bracket.target_ticks is not None:
                group.legs.append(_Leg(OrderRole.TARGET))
            self._groups[entry.client_order_id] = group
        group.filled += fill.quantity
        group.cost += fill.quantity * fill.price_ticks
        self._follow(group, fill.ts)

    def _reduce(self, order: Order, fill: Fill) -> None:
        """Something was closed: by a leg of its own group first, else, oldest first, of whatever the fill closes."""
        own = self._legs.get(order.client_order_id, (None, None))[0]
        left = fill.quantity
        touched = []
        same = [group for group in self._groups.values() if group.entry.instrument.symbol == order.instrument.symbol]
        others = [group for group in same if group is not own and group.entry.side is not fill.side]
        for group in others if own is None else [own, *others]:
            taken = min(left, group.open_quantity)
            if taken or group is own:
                group.closed += taken
                left -= taken
                touched.append(group)
        if own is not None and not own.entry.status.is_closed:
            self._desk.cancel(own.entry, fill.ts)  # one leg filled: the rest of the entry is withdrawn
        for group in touched:
            self._follow(group, fill.ts)

    def _follow(self, group: _Group, ts: int) -> None:
        """Bring the legs nearer to what is open; called again whenever something is answered."""
        quantity = group.open_quantity
        for leg in group.legs:
            if leg.order is not None and not leg.order.status.is_closed:
                self._adjust(group, leg, leg.order, quantity, ts)
            elif quantity and not leg.is_off:
                self._send(group, leg, quantity, ts)
        is_over = group.entry.status.is_closed and not quantity
        if is_over and all(leg.order is None or leg.order.status.is_closed for leg in group.legs):
            del self._groups[group.entry.client_order_id]
            for order_id in [order_id for order_id, (of, _) in self._legs.items() if of is group]:
                del self._legs[order_id]

    def _adjust(self, group: _Group, leg: _Leg, order: Order, quantity: int, ts: int) -> None:
        if order.status is OrderStatus.PENDING_CANCEL:
            return
        total = order.filled_qty + quantity
        price = None if order.order_type is OrderType.TRAILING_STOP else group.price(leg.role)
        now = order.limit_ticks if leg.role is OrderRole.TARGET else order.stop_ticks
        moves = price is not None and price != now
        if quantity and order.quantity == total and not moves:
            return
        if quantity and order.status in _UNANSWERED:
            return  # first what was asked before
        if quantity and self._can_replace:
            limit = price if moves and leg.role is OrderRole.TARGET else None
            stop = price if moves and leg.role is OrderRole.STOP else None
            self._desk.replace(order, ts, quantity=total, limit_ticks=limit, stop_ticks=stop)
            return
        leg.is_withdrawn = True
        self._desk.cancel(order, ts)

    def _send(self, group: _Group, leg: _Leg, quantity: int, ts: int) -> None:
        entry, bracket = group.entry, group.entry.bracket
        if bracket is None:
            return
        price = group.price(leg.role)
        is_stop = leg.role is OrderRole.STOP
        kind = OrderType.LIMIT
        if is_stop:
            kind = OrderType.STOP if bracket.trail_ticks is None else OrderType.TRAILING_STOP
        order_id = self._free_id(f"{entry.client_order_id}-{leg.role[0]}", leg.number + 1)
        order = Order(
            client_order_id=order_id,
            instrument=entry.instrument,
            tape=entry.tape,
            side=entry.side.opposite,
            order_type=kind,
            quantity=quantity,
            submitted_ns=ts,
            active_ns=ts,
            role=leg.role,
            limit_ticks=None if is_stop else price,
            stop_ticks=price if is_stop else None,
            trail_ticks=bracket.trail_ticks if is_stop else None,
            time_in_force=TimeInForce.GTC,
            reduce_only=True,
            parent_id=entry.client_order_id,
            decision_id=entry.decision_id,
            arrival_ticks=price,
        )
        leg.order, leg.is_withdrawn = order, False
        leg.number += 1
        self._legs[order_id] = (group, leg)
        self._desk.submit(order, ts, group.labels)

    def _undo_reversal(self, order: Order, fill: Fill) -> None:
        """A reduce-only order may not leave a position on its own side; what it did so is bought back.

        A child that the venue itself sized cannot close too much: there our books lack a fill, and reconciliation brings it.
        """
        symbol = fill.instrument.symbol
        position = self._account.positions.get(symbol)
        if position is None or position.quantity * fill.side.sign <= 0:
            return
        if not self._emulates and order.role in (OrderRole.STOP, OrderRole.TARGET):
            return
        over = min(fill.quantity, abs(position.quantity))
        undo = Order(
            client_order_id=self._free_id(f"{order.client_order_id}-U", 1),
            instrument=order.instrument,
            tape=order.tape,
            side=fill.side.opposite,
            order_type=OrderType.MARKET,
            quantity=over,
            submitted_ns=fill.ts,
            active_ns=fill.ts,
            role=OrderRole.FLATTEN,
            time_in_force=TimeInForce.GTC,
            reduce_only=True,
            parent_id=order.client_order_id,
            decision_id=order.decision_id,
            arrival_ticks=fill.price_ticks,
        )
        self._emit(
            Notice(
                ts=fill.ts,
                code=NoticeCode.MISMATCH,
                severity=Severity.ALARM,
                subject=symbol,
                text=f"order {order.client_order_id} closed {over} more than was open; taken back by {undo.client_order_id}",
                values={"quantity": over, "position": position.quantity},
            )
        )
        self._desk.submit(undo, fill.ts, {"signal": "over-close"})

    def _free_id(self, base: str, number: int) -> str:
        name = base if number == 1 else f"{base}{number}"
        while self._desk.find(name) is not None:
            number += 1
            name = f"{base}{number}"
        return name
