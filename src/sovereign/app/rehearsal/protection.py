"""How long the venue itself held a position with too few orders that would close it, from its own private messages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sovereign.core.order import OrderEvent, OrderType, Side

if TYPE_CHECKING:
    from sovereign.execution.broker import BrokerSnapshot
    from sovereign.execution.venue.protocol import Report

_PROTECTIVE = (OrderType.STOP, OrderType.TRAILING_STOP, OrderType.MARKET)
_FILLS = (OrderEvent.PARTIAL_FILL, OrderEvent.FILL)
_ENDS = (OrderEvent.FILL, OrderEvent.CANCEL, OrderEvent.EXPIRE, OrderEvent.REJECT)


@dataclass(slots=True)
class _Order:
    side: Side
    order_type: OrderType
    left: int
    filled: int = 0
    is_working: bool = False


def first_sizes(journal: Path) -> dict[str, int]:
    """Return the quantity that each order was sent with, from a venue's file: a replace may have changed it since."""
    sizes: dict[str, int] = {}
    for line in journal.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if isinstance(record, dict) and record.get("k") == "new":
            sizes.setdefault(record["order"]["client_order_id"], record["order"]["quantity"])
    return sizes


def longest_bare_ns(messages: Iterable[Report], books: BrokerSnapshot, end_ns: int, sizes: Mapping[str, int]) -> int:
    """Return the longest time (market ns) for which fewer stops and closing orders worked at the venue than it held units.

    Parameters
    ----------
    messages : of one account on one symbol, in order. books : of the same account, with every order there ever was.
    end_ns : until when; a position that is bare then counts up to there.
    sizes : see `first_sizes`.
    """
    orders = {
        order.client_order_id: _Order(order.side, order.order_type, sizes.get(order.client_order_id, order.quantity))
        for order in books.orders
    }
    held, since, longest = 0, None, 0
    for message in messages:
        order = orders.get(message.client_order_id)
        if order is None:
            continue
        held += _take(order, message)
        closing = sum(
            one.left - one.filled
            for one in orders.values()
            if one.is_working and one.order_type in _PROTECTIVE and one.side.sign * held < 0
        )
        if abs(held) <= closing:
            if since is not None:
                longest = max(longest, message.ts - since)
            since = None
        elif since is None:
            since = message.ts
    return longest if since is None else max(longest, end_ns - since)


def _take(order: _Order, message: Report) -> int:
    """Note what became of an order; return by how much the position changed."""
    change = 0
    if message.child is not None:
        order.left = message.child.quantity
        order.is_working = True
    elif message.cause is OrderEvent.ACCEPT:
        order.is_working = True
    elif message.cause is OrderEvent.UPDATE:
        order.left = message.quantity
    elif message.cause in _FILLS:
        order.filled += message.quantity
        change = order.side.sign * message.quantity
    if message.cause in _ENDS:
        order.is_working = False
    return change
