"""The matching engine's own record of orders and brackets; nothing outside it reads or writes them."""

from __future__ import annotations

from dataclasses import dataclass, field

from sovereign.core.order import Bracket, Order, OrderType
from sovereign.core.record import maker

Terms = tuple[int, int | None, int | None]
"""Terms of a replace: total quantity, limit, stop; a price of None stays as it is."""


@dataclass(slots=True, eq=False)
class Group:
    """A bracket at work: what the entry filled, what the children have closed again."""

    bracket: Bracket
    entry: Resting
    filled: int = 0
    cost: int = 0
    closed: int = 0
    entered_ns: int = -1  # when the entry last filled
    children: list[Resting] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Resting:
    """An order at the venue."""

    order: Order
    sequence: int
    leaves: int
    limit: int | None
    stop: int | None
    sign: int
    filled: int = 0
    group: Group | None = None
    arrives: bool = True  # the next row is the first this order meets
    is_triggered: bool = False
    queue: int = -1
    best: int = 0
    is_done: bool = False
    is_limit: bool = False  # it rests at a limit now

    def start_trailing(self, stop: int) -> None:
        """Let a trailing stop start at `stop`; it follows once the price has come far enough."""
        self.arrives = False
        self.stop = None
        self.best = stop - self.sign * (self.order.trail_ticks or 0)

    def why_not(self, terms: Terms) -> str:
        """Return why new terms are refused; empty when they are not."""
        quantity, limit, stop = terms
        kind = self.order.order_type
        if self.is_done:
            return "too late: the order is closed"
        if quantity <= self.filled:
            return f"quantity was {quantity}, but {self.filled} are filled; ask for a cancel"
        if limit is not None and kind not in (OrderType.LIMIT, OrderType.STOP_LIMIT):
            return f"a {kind} order has no limit"
        if stop is not None and self.is_triggered:
            return "too late: the order is triggered"
        if stop is not None and kind not in (OrderType.STOP, OrderType.STOP_LIMIT):
            return f"a {kind} order has no stop"
        group = self.group
        if group is not None and self is not group.entry and quantity - self.filled > group.filled - group.closed:
            return f"quantity was {quantity}, more than the bracket has to close"
        return ""


make_resting = maker(Resting)


@dataclass(slots=True)
class Scan:
    """The last scan of a slice: where the first event is, and each order's state had the slice been walked to its end."""

    start: int
    stop: int
    index: int
    states: list[tuple[Resting, int, int, int]]  # resting, event index, queue or best after the scan, lots


make_scan = maker(Scan)
