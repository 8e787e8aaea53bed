"""The write-ahead journal of orders: a request is on the disk before it may leave (law 7).

`SqlOrderJournal` has the shape of `execution.broker.OrderJournal`. It keeps one connection of its own, outside every
transaction of the store, and commits to the disk itself: `synchronous = FULL` on SQLite, `synchronous_commit` on PostgreSQL.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from functools import lru_cache
from types import TracebackType
from typing import Any

from sqlalchemy import select

from sovereign.core.errors import NotFoundError, RiskHaltError, UsageError
from sovereign.core.instrument import Instrument
from sovereign.core.order import Bracket, Order, OrderRole, OrderStatus, OrderType, Side, TimeInForce
from sovereign.store import live_schema
from sovereign.store.database import Database, first_line
from sovereign.store.runs import instrument_detail, instrument_of

REQUESTS = ("NEW", "CANCEL", "REPLACE")

_ENUMS: Mapping[str, Callable[[str], Any]] = {
    "side": Side,
    "order_type": OrderType,
    "role": OrderRole,
    "time_in_force": TimeInForce,
    "status": OrderStatus,
}


@lru_cache(maxsize=64)
def _instrument(instrument: Instrument) -> Any:
    return json.loads(instrument_detail(instrument))


def order_to_json(order: Order) -> str:
    """Return an order as JSON text, exact: its instrument and its bracket with it."""
    plain: dict[str, Any] = {field.name: getattr(order, field.name) for field in fields(order)}
    plain["instrument"] = _instrument(order.instrument)
    if order.bracket is not None:
        plain["bracket"] = {field.name: getattr(order.bracket, field.name) for field in fields(order.bracket)}
    return json.dumps(plain, separators=(",", ":"), default=int)


def order_from_json(text: str) -> Order:
    """Return the order that `order_to_json` wrote."""
    plain: dict[str, Any] = json.loads(text)
    for name, enum in _ENUMS.items():
        plain[name] = enum(plain[name])
    plain["instrument"] = instrument_of(json.dumps(plain["instrument"]))
    if plain["bracket"] is not None:
        plain["bracket"] = Bracket(**plain["bracket"])
    return Order(**plain)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """A request as it was kept: `request` is `NEW`, `CANCEL` or `REPLACE`, `order` the order at that moment."""

    key: int
    session_id: str
    ts: int
    request: str
    client_order_id: str
    order: Order


class SqlOrderJournal:
    """The journal of one session; use it from one thread. `record` returns when the request has reached the disk.

    Parameters
    ----------
    database : the open store. session_id : a session that `LiveStore.begin_session` has written.
    before : called ahead of every commit with the function that runs a statement on the journal's connection, so that the
        audit stream (`AuditSink.write_pending`) is kept in the same commit and never falls behind the orders.

    Raises
    ------
    NotFoundError : the session was never begun.
    """

    def __init__(self, database: Database, session_id: str, before: Callable[[Any], Callable[[], None]] | None = None) -> None:
        self._session_id = session_id
        self._before = before
        self._engine = database.durable()
        self._is_postgres = database.is_postgres
        table = live_schema.live_sessions
        with database.reading() as connection:
            if connection.execute(select(table.c.id).where(table.c.id == session_id)).first() is None:
                raise NotFoundError(f"session was '{session_id}', which was never begun; call begin_session first")
        self._connection: Any = None
        mark = "%s" if self._is_postgres else "?"
        self._statement = (
            f"INSERT INTO order_requests (session_id, ts, request, client_order_id, payload) "  # noqa: S608 - marks alone
            f"VALUES ({', '.join([mark] * 5)})"
        )

    def _open(self) -> Any:
        if self._connection is None:
            self._connection = self._engine.raw_connection()
            if self._is_postgres:
                self._connection.driver_connection.autocommit = True
        return self._connection.driver_connection

    def record(self, order: Order, request: str, ts: int) -> None:
        """Keep a request (`NEW`, `CANCEL`, `REPLACE`) about an order; raises as `record_all`."""
        self.record_all(((order, request, ts),))

    def record_all(self, requests: Sequence[tuple[Order, str, int]]) -> None:
        """Keep requests, each with its order and its time, in one commit: all or none.

        Raises
        ------
        RiskHaltError : they could not be kept, so none of them may leave.
        """
        for _, request, _ in requests:
            if request not in REQUESTS:
                raise UsageError(f"request was '{request}'; allowed are {', '.join(REQUESTS)}")
        rows = [(self._session_id, ts, request, order.client_order_id, order_to_json(order)) for order, request, ts in requests]
        try:
            connection = self._open()
            if self._before is None and len(rows) == 1:
                connection.execute(self._statement, rows[0])
                return
            # PostgreSQL is sent all of it at once: one way there and back, however far away the server is.
            with connection.pipeline() if self._is_postgres else nullcontext():
                connection.execute("BEGIN" if self._is_postgres else "BEGIN IMMEDIATE")
                written = None if self._before is None else self._before(connection)
                for row in rows:
                    connection.execute(self._statement, row)
                connection.execute("COMMIT")
            if written is not None:
                written()
        except Exception as cause:
            self._drop()
            words = ", ".join(f"{request} of order {order.client_order_id}" for order, request, _ in requests)
            raise RiskHaltError(
                f"{words} could not be kept ({first_line(cause)}), so it may not leave; check the disk and the database, then "
                f"resume"
            ) from cause

    def _drop(self) -> None:
        # A connection in doubt is closed, which undoes what it had not committed; the next request opens another.
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.invalidate()

    def requests(self) -> Sequence[OrderRequest]:
        """Return what was kept, oldest first."""
        table = live_schema.order_requests
        with self._engine.connect() as connection:
            rows = connection.execute(select(table).where(table.c.session_id == self._session_id).order_by(table.c.key)).all()
        return tuple(to_request(row) for row in rows)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._engine.dispose()

    def __enter__(self) -> SqlOrderJournal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def to_request(row: Any) -> OrderRequest:
    """Turn a row of `order_requests` into a value."""
    return OrderRequest(
        key=row.key,
        session_id=row.session_id,
        ts=row.ts,
        request=row.request,
        client_order_id=row.client_order_id,
        order=order_from_json(row.payload),
    )
