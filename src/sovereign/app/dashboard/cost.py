"""What the orders of a run cost, from what the store has of them: the price at the decision, fees, and what was missed.

The middle of the quote is known where the strategy has recorded it with its decision (`mid_ticks`, as the tug of war does on
quoted tapes); of other orders it is not kept, and the last price at the decision stands in for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select, tuple_

from sovereign.app.dashboard.statistic import execution_row
from sovereign.core.order import OrderRole, OrderStatus
from sovereign.store import schema
from sovereign.store.outcome import BAR

if TYPE_CHECKING:
    from sovereign.app.dashboard.book import Book
    from sovereign.app.dashboard.replica import Replica


def costs(book: Book, orders: Sequence[Mapping[str, Any]], market: Callable[[], Replica | None]) -> list[dict[str, Any]]:
    """Return `execution_row` of each order, measured against the middle of the quote where it is known.

    Parameters
    ----------
    market : gives the recorded market of a session, for bars that the store does not have yet; asked only if some are missing.
    """
    mids, fees = _mids(book, orders), _fees(book, orders)
    closes = _next_closes(book, [order for order in orders if _is_short(order)], market)
    return [
        execution_row(
            order,
            book.instrument(order["symbol"]),
            mid_ticks=mids.get(order["decision_id"]),
            fees=fees.get(order["client_order_id"], Decimal(0)),
            next_close=closes.get(order["client_order_id"]),
        )
        for order in orders
    ]


def _is_short(order: Mapping[str, Any]) -> bool:
    """Say whether an order was an entry and ended before it was filled whole."""
    is_ended = OrderStatus(order["status"]).is_closed
    return order["role"] == OrderRole.ENTRY and is_ended and order["filled_qty"] < order["quantity"]


def _mids(book: Book, orders: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    table = schema.door_decisions
    names = {order["decision_id"] for order in orders} - {None}
    query = select(table.c.decision_id, table.c.inputs).where(
        table.c.run_key == book.run.key, table.c.decision_id.in_(names), table.c.inputs.contains('"mid_ticks"')
    )
    with book.store.database.reading() as connection:
        known = {row.decision_id: json.loads(row.inputs).get("mid_ticks") for row in connection.execute(query)}
    return {name: float(mid) for name, mid in known.items() if isinstance(mid, int | float)}


def _fees(book: Book, orders: Iterable[Mapping[str, Any]]) -> dict[str, Decimal]:
    table = schema.fills
    names = [order["client_order_id"] for order in orders if order["filled_qty"]]
    query = select(table.c.client_order_id, table.c.fee).where(
        table.c.run_key == book.run.key, table.c.client_order_id.in_(names)
    )
    if book.at is not None:
        query = query.where(table.c.ts <= book.at)
    found: dict[str, Decimal] = {}
    with book.store.database.reading() as connection:
        for row in connection.execute(query):
            found[row.client_order_id] = found.get(row.client_order_id, Decimal(0)) + Decimal(row.fee)
    return found


def _next_closes(book: Book, orders: Sequence[Mapping[str, Any]], market: Callable[[], Replica | None]) -> dict[str, float]:
    """Return the close of the first bar that followed the end of each order in its session, by order; none where none did."""
    if not orders:
        return {}
    tapes, sessions = _tapes(book, orders), book.sessions()
    wanted: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for order in orders:
        ended = order["updated_ns"]
        day = next((one["trade_date"] for one in sessions if one["open_ns"] <= ended <= one["close_ns"]), None)
        if day is not None:
            tape = tapes.get(order["decision_id"], order["symbol"])
            wanted.setdefault((day, tape), []).append(order)
    stored, found = _stored(book, wanted), {}
    live = market() if wanted.keys() - stored.keys() else None
    for key, some in wanted.items():
        bars = stored[key] if key in stored else _recorded(live, key, book.at)
        if bars is None:
            continue
        known = bars["known_at"] if book.at is None else bars["known_at"][bars["known_at"] <= book.at]
        for order in some:
            place = int(np.searchsorted(known, order["updated_ns"], side="right"))
            if place < len(known):
                found[order["client_order_id"]] = float(bars["close"][place])
    return found


def _tapes(book: Book, orders: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return on which tape each decision was made: a micro contract has the bars of the full one."""
    table = schema.door_decisions
    names = {order["decision_id"] for order in orders} - {None}
    query = select(table.c.decision_id, table.c.symbol).where(table.c.run_key == book.run.key, table.c.decision_id.in_(names))
    with book.store.database.reading() as connection:
        return {row.decision_id: row.symbol for row in connection.execute(query)}


def _stored(book: Book, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], NDArray[Any]]:
    table = schema.bars
    query = select(table.c.trade_date, table.c.symbol, table.c.data).where(
        table.c.run_key == book.run.key, tuple_(table.c.trade_date, table.c.symbol).in_(list(wanted))
    )
    with book.store.database.reading() as connection:
        return {(row.trade_date, row.symbol): np.frombuffer(row.data, BAR) for row in connection.execute(query)}


def _recorded(market: Replica | None, key: tuple[str, str], at: int | None) -> NDArray[Any] | None:
    """Return the bars of the session that is being written, as far as its recording has been read."""
    day, tape = key
    if market is None or market.is_behind or market.session is None or market.session.trade_date.isoformat() != day:
        return None
    with market.lock:
        known = market.tapes.get(tape)
        rows = None if known is None else known.rows(at)
    names = () if rows is None else rows.dtype.names or ()
    return rows if "known_at" in names and "close" in names else None
