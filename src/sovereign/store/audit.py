"""The audit stream of live sessions, chained: whoever changes, removes or swaps an event afterwards is found out.

The hash of an event is SHA-256 of the hash before it and its canonical bytes (`core.event.encode`); the first follows the
SHA-256 of the session's id. A head row keeps the length and the last hash, so that a cut end is seen. Whoever may write the
whole database could work the chain out anew; the last hash, kept elsewhere (`sovereign audit verify` prints it), shows that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, union
from sqlalchemy.exc import SQLAlchemyError

from sovereign.core.errors import NotFoundError, RiskHaltError, UsageError
from sovereign.core.event import Event, encode
from sovereign.store import live_schema
from sovereign.store.database import Database, as_sqlalchemy, first_line


def genesis(session_id: str) -> bytes:
    """Return what the first hash of a session's chain is made with."""
    return hashlib.sha256(session_id.encode()).digest()


def link(previous: bytes, data: bytes) -> bytes:
    """Return the hash of an event: SHA-256 of the hash before and the event's canonical bytes."""
    return hashlib.sha256(previous + data).digest()


_PAGE = 4_096  # rows read at a time; bounds memory, changes nothing else


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One stored event: `text` is its canonical JSON, `digest` its hash in hexadecimal."""

    seq: int
    ts: int
    kind: str
    text: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditDifference:
    """Where a replay left the stored chain: `replayed` is None when the replay ended before it."""

    seq: int
    stored: AuditRow
    replayed: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditVerdict:
    """What came of checking a chain: `broken` says where and how, None when it is whole; `head` is its last hash."""

    session_id: str
    events: int
    head: str
    broken: str | None = None
    broken_seq: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing was found."""
        return self.broken is None


class AuditSink:
    """A `core.port.Sink` that chains the audit stream of one session; use it from the decision thread alone.

    Events wait in memory and are written by the batch (`store.audit_batch`), with every order request (`LiveStore.journal`),
    and by `flush`. After a restart the sink first expects the replay to bring the stored events again and only compares their
    hashes; what follows them is appended. A replay that differs is remembered in `difference` and adds nothing until
    `finish_replay`, after which the chain goes on from its stored end.

    Raises
    ------
    NotFoundError : the session was never begun.
    """

    def __init__(self, database: Database, session_id: str) -> None:
        self._database = database
        self._session_id = session_id
        table = live_schema.audit_heads
        with database.reading() as connection:
            head = connection.execute(select(table).where(table.c.session_id == session_id)).first()
        if head is None:
            raise NotFoundError(f"session was '{session_id}', which was never begun; call begin_session first")
        self._stored = head.events
        self._stored_hash = bytes(head.hash)
        self._count = 0
        self._hash = genesis(session_id)
        self._pending: list[tuple[Any, ...]] = []
        self._expected = _hashes(database, session_id, self._stored)
        self.is_replaying = self._stored > 0
        self.difference: AuditDifference | None = None
        mark = "%s" if database.is_postgres else "?"
        self._insert = (
            f"INSERT INTO audit_events (session_id, seq, ts, kind, data, hash) "  # noqa: S608 - marks alone
            f"VALUES ({', '.join([mark] * 6)})"
        )
        self._update = f"UPDATE audit_heads SET events = {mark}, hash = {mark} WHERE session_id = {mark} AND events = {mark}"  # noqa: S608 - marks alone

    @property
    def count(self) -> int:
        """Events so far, the waiting ones with them."""
        return self._count

    @property
    def head(self) -> str:
        """The hash of the latest event, hexadecimal."""
        return self._hash.hex()

    def __call__(self, event: Event) -> None:
        """Take one event.

        Raises
        ------
        RiskHaltError : more events wait than may, because the database cannot be written.
        """
        if self.is_replaying and self._is_expected(event):
            return
        data = encode(event)
        self._hash = link(self._hash, data)
        self._pending.append((self._session_id, self._count, event.ts, type(event).__name__, data, self._hash))
        self._count += 1
        waiting = len(self._pending)
        if waiting % self._database.config.audit_batch == 0:
            try:
                self.flush()
            except SQLAlchemyError as cause:
                if waiting >= self._database.config.audit_pending:
                    raise RiskHaltError(
                        f"{waiting} audit events could not be written ({first_line(cause)}); check the disk and the database, "
                        f"then resume"
                    ) from cause

    def _is_expected(self, event: Event) -> bool:
        """Compare an event of the replay; False when the stored chain is at its end and the event is a new one."""
        if self.difference is not None:
            return True
        if self._count == self._stored:
            self.is_replaying = False
            return False
        data = encode(event)
        digest = link(self._hash, data)
        if digest != next(self._expected, None):
            stored = show_events(self._database, self._session_id, since=self._count, limit=1)
            row = stored[0] if stored else AuditRow(seq=self._count, ts=0, kind="missing", text="", digest="")
            self.difference = AuditDifference(seq=self._count, stored=row, replayed=data.decode())
            return True
        self._hash = digest
        self._count += 1
        return True

    def finish_replay(self) -> AuditDifference | None:
        """End the comparison; returns the first difference, also when the replay ended before the stored chain did."""
        if self.is_replaying and self.difference is None and self._count < self._stored:
            stored = show_events(self._database, self._session_id, since=self._count, limit=1)[0]
            self.difference = AuditDifference(seq=self._count, stored=stored, replayed=None)
        if self.is_replaying:
            self._count, self._hash = self._stored, self._stored_hash
            self.is_replaying = False
        return self.difference

    def write_pending(self, driver: Any) -> Callable[[], None]:
        """Write what waits on a driver's connection, within its transaction; call what is returned once that is committed."""
        count = len(self._pending)
        if not count:
            return _nothing
        cursor = driver.cursor()
        cursor.execute(self._update, (self._count, self._hash, self._session_id, self._stored))
        if cursor.rowcount == 0:  # -1 where the answer is not in yet; a fork then fails at the numbers, which are a key
            raise UsageError(
                f"session was '{self._session_id}', whose audit chain does not end at event {self._stored} any more; another "
                f"process writes it: stop one of them"
            )
        cursor.executemany(self._insert, self._pending)
        total, digest = self._count, self._hash

        def written() -> None:
            del self._pending[:count]
            self._stored, self._stored_hash = total, digest

        return written

    def flush(self) -> None:
        """Write what waits."""
        if not self._pending:
            return
        with self._database.writing() as connection, as_sqlalchemy(connection):
            written = self.write_pending(connection.connection.driver_connection)
        written()

    def close(self) -> None:
        """Write what waits; the database stays open."""
        self.flush()


def _nothing() -> None:
    return None


def _pages(database: Database, session_id: str, *, since: int = 0, until: int | None = None) -> Iterator[Any]:
    """Yield the rows of a chain in order, each page in a transaction of its own."""
    table = live_schema.audit_events
    while True:
        query = select(table).where(table.c.session_id == session_id, table.c.seq >= since).order_by(table.c.seq)
        if until is not None:
            query = query.where(table.c.seq < until)
        with database.reading() as connection:
            rows = connection.execute(query.limit(_PAGE)).all()
        yield from rows
        if len(rows) < _PAGE:
            return
        since = rows[-1].seq + 1


def _hashes(database: Database, session_id: str, until: int) -> Iterator[bytes]:
    return (bytes(row.hash) for row in _pages(database, session_id, until=until))


def _to_row(row: Any) -> AuditRow:
    text = bytes(row.data).decode(errors="replace")
    return AuditRow(seq=row.seq, ts=row.ts, kind=row.kind, text=text.rstrip("\n"), digest=bytes(row.hash).hex())


def show_events(
    database: Database, session_id: str, *, since: int = 0, limit: int | None = None, kind: str | None = None
) -> list[AuditRow]:
    """Return stored events from number `since` on, in order; `kind` is the name of an event's class."""
    table = live_schema.audit_events
    query = select(table).where(table.c.session_id == session_id, table.c.seq >= since).order_by(table.c.seq).limit(limit)
    if kind is not None:
        query = query.where(table.c.kind == kind)
    with database.reading() as connection:
        return [_to_row(row) for row in connection.execute(query)]


def audited_sessions(database: Database) -> list[str]:
    """Return the ids of all sessions that have, or should have, a chain."""
    sessions, events = live_schema.live_sessions, live_schema.audit_events
    with database.reading() as connection:
        rows = connection.execute(union(select(sessions.c.id), select(events.c.session_id).distinct())).all()
    return sorted(row[0] for row in rows)


def verify_session(database: Database, session_id: str) -> AuditVerdict:
    """Work a chain out anew and compare; the first broken link is named."""
    digest, count = genesis(session_id), 0
    head = _head(database, session_id)
    # A session that is running goes on writing: what came after its head was read is not looked at.
    until = head.events if head is not None else None
    for row in _pages(database, session_id, until=until):
        wrong = None
        if row.seq != count:
            wrong = f"event {count} is missing; the next one is {row.seq}"
        else:
            digest = link(digest, bytes(row.data))
            if digest != bytes(row.hash):
                wrong = f"event {count} ({row.kind}) was changed, or one before it was removed or swapped"
            elif not _is_labeled_right(row):
                wrong = f"event {count} carries kind '{row.kind}' and time {row.ts}, which its bytes do not say"
        if wrong is not None:
            return AuditVerdict(session_id=session_id, events=count, head=digest.hex(), broken=wrong, broken_seq=count)
        count += 1
    return AuditVerdict(
        session_id=session_id, events=count, head=digest.hex(), broken_seq=None, broken=_at_end(head, count, digest)
    )


def _head(database: Database, session_id: str) -> Any:
    """Return the head of a chain and the number of an event behind it (None as it should be), read in one statement."""
    heads, events = live_schema.audit_heads, live_schema.audit_events
    behind = (
        select(func.min(events.c.seq))
        .where(events.c.session_id == heads.c.session_id, events.c.seq >= heads.c.events)
        .scalar_subquery()
    )
    with database.reading() as connection:
        return connection.execute(
            select(heads.c.events, heads.c.hash, behind.label("behind")).where(heads.c.session_id == session_id)
        ).first()


def _at_end(head: Any, count: int, digest: bytes) -> str | None:
    if head is None:
        return "the head of the chain is missing"
    if head.events != count:
        return f"the chain ends after {count} events, but its head says {head.events}: the end was cut off"
    if head.behind is not None:
        return (
            f"the chain's head says {head.events} events, but there is an event {head.behind}: it was added, or the head moved"
        )
    if bytes(head.hash) != digest:
        return f"the chain of {count} events does not end with the hash that its head says"
    return None


def _is_labeled_right(row: Any) -> bool:
    try:
        plain = json.loads(bytes(row.data))
    except ValueError:
        return False
    return bool(plain.get("event") == row.kind and plain.get("ts") == row.ts)
