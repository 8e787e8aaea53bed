"""The spool: alerts, what is still to be delivered to whom, and which matters are open, in one small SQLite file.

Everything is written before it is sent, so that a killed process goes on where it stood. A delivery that is under way is
leased: when its process has died the lease ends, and it is made again, marked as a possible repeat.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from logging import getLogger
from pathlib import Path

from sovereign.app.notify.alert import SERIOUS, Alert
from sovereign.store.write_ahead import begin_write_ahead

LOG = getLogger(__name__)

_PATIENCE_MS = 5_000  # for another process that opens or writes the file

_SCHEMA = """
CREATE TABLE IF NOT EXISTS alerts (
    id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE, key TEXT NOT NULL, at_ns INTEGER NOT NULL, rank INTEGER NOT NULL,
    title TEXT NOT NULL, body TEXT NOT NULL, fate TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS ix_alerts_fate ON alerts (fate);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY, alert_id INTEGER NOT NULL REFERENCES alerts (id) ON DELETE CASCADE, channel TEXT NOT NULL,
    state TEXT NOT NULL, rank INTEGER NOT NULL, since_ns INTEGER NOT NULL, due_ns INTEGER NOT NULL, tries INTEGER NOT NULL,
    is_doubtful INTEGER NOT NULL, is_alone INTEGER NOT NULL, detail TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS ix_deliveries_open ON deliveries (channel, state, due_ns);
CREATE INDEX IF NOT EXISTS ix_deliveries_alert ON deliveries (alert_id);
CREATE TABLE IF NOT EXISTS matters (
    key TEXT PRIMARY KEY, first_ns INTEGER NOT NULL, seen INTEGER NOT NULL, pending INTEGER NOT NULL, due_ns INTEGER NOT NULL,
    window_s REAL NOT NULL, rank INTEGER NOT NULL, is_open INTEGER NOT NULL, is_told INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class Fate(StrEnum):
    """What became of an alert: on its way, counted as a repeat, summed up with others, or only listed."""

    ROUTED = "ROUTED"
    REPEATED = "REPEATED"
    SUPPRESSED = "SUPPRESSED"
    SUMMARIZED = "SUMMARIZED"
    LISTED = "LISTED"


class State(StrEnum):
    """Where a delivery stands."""

    WAITING = "WAITING"
    SENDING = "SENDING"
    SENT = "SENT"
    DEAD = "DEAD"
    EXPIRED = "EXPIRED"


@dataclass(slots=True, kw_only=True)
class Matter:
    """What repeats: `seen` times since `first_ns`, `pending` of them not told; the next may be told at `due_ns`.

    `is_told` says that the last word a person got is that the matter is there.
    """

    key: str
    first_ns: int
    seen: int
    pending: int
    due_ns: int
    window_s: float
    rank: int
    is_open: bool
    is_told: bool
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One alert on its way to one channel; `is_doubtful` when an earlier try may have arrived, `is_alone` to be sent alone."""

    id: int
    alert: Alert
    tries: int
    is_doubtful: bool
    is_alone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An alert of the list, with its deliveries as (channel, state, detail)."""

    alert: Alert
    fate: str
    deliveries: tuple[tuple[str, str, str], ...]


class Spool:
    """One spool file; safe for several threads, and for several processes.

    A file that is damaged is set aside; where no file can be kept the spool is held in memory, and the log says so.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._depth = 0
        self._database = self._open()

    def _open(self) -> sqlite3.Connection:
        if self.path is not None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                return self._connect(str(self.path))
            except sqlite3.DatabaseError as fault:
                if not isinstance(fault, sqlite3.OperationalError):
                    return self._set_aside(fault)
                LOG.warning("alerts: spool '%s' cannot be kept (%s); waiting alerts will not survive a stop", self.path, fault)
            except OSError as fault:
                LOG.warning("alerts: spool '%s' cannot be kept (%s); waiting alerts will not survive a stop", self.path, fault)
        return self._connect(":memory:")

    def _set_aside(self, fault: Exception) -> sqlite3.Connection:
        aside = Path(f"{self.path}.damaged")
        LOG.error("alerts: spool '%s' was damaged (%s); it was set aside as '%s'", self.path, fault, aside)
        try:
            Path(str(self.path)).replace(aside)
            return self._connect(str(self.path))
        except (OSError, sqlite3.Error):
            return self._connect(":memory:")

    @staticmethod
    def _connect(place: str) -> sqlite3.Connection:
        database = sqlite3.connect(place, timeout=_PATIENCE_MS / 1000, isolation_level=None, check_same_thread=False)
        try:
            begin_write_ahead(database, _PATIENCE_MS)
            for pragma in ("synchronous = NORMAL", "foreign_keys = ON"):
                database.execute(f"PRAGMA {pragma}")
            database.executescript(_SCHEMA)
        except sqlite3.Error:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def __del__(self) -> None:
        # A spool that nobody holds any more lets go of its file; without this the interpreter complains.
        if hasattr(self, "_database"):
            self._database.close()

    def fall_back(self, fault: Exception) -> None:
        """Go on in memory, as far as the file can still be read: what waits is taken along."""
        with self._lock:
            LOG.error("alerts: spool '%s' failed (%s); waiting alerts are held in memory from here", self.path, fault)
            memory = self._connect(":memory:")
            try:
                for table in ("alerts", "deliveries", "matters", "meta"):
                    rows = self._database.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - our own names
                    for row in rows:
                        memory.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)  # noqa: S608
            except sqlite3.Error as lost:
                LOG.error("alerts: what waited in '%s' could not be read (%s)", self.path, lost)  # noqa: TRY400
            self._database.close()
            self._database, self.path, self._depth = memory, None, 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make several changes at once; may be nested."""
        with self._lock:
            if self._depth == 0:
                self._database.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0 and self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._database.execute("COMMIT")

    def _rows(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()

    def _run(self, statement: str, *values: object) -> int:
        with self._lock:
            return self._database.execute(statement, values).rowcount

    # Alerts

    def add(self, alert: Alert, now: int) -> int | None:
        """Write an alert and return its number, or None when it is there already."""
        with self.transaction():
            cursor = self._database.execute(
                "INSERT OR IGNORE INTO alerts (identity, key, at_ns, rank, title, body, fate) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (alert.identity, alert.key, now, alert.rank, alert.title, alert.to_json(), Fate.LISTED),
            )
            return cursor.lastrowid if cursor.rowcount else None

    def set_fate(self, number: int, fate: Fate) -> None:
        """Say what becomes of an alert."""
        self._run("UPDATE alerts SET fate = ? WHERE id = ?", fate, number)

    def rewrite(self, number: int, alert: Alert) -> None:
        """Change the words of an alert before it is sent."""
        self._run("UPDATE alerts SET title = ?, body = ? WHERE id = ?", alert.title, alert.to_json(), number)

    def suppressed(self, *, is_serious: bool) -> list[Alert]:
        """Return the alerts that are to be summed up, in order."""
        rows = self._rows(
            "SELECT body FROM alerts WHERE fate = ? AND (rank >= ?) = ? ORDER BY id", Fate.SUPPRESSED, SERIOUS, int(is_serious)
        )
        return [Alert.from_json(str(body)) for (body,) in rows]

    def mark_summarized(self, alerts: Sequence[Alert]) -> None:
        """Note that alerts have been summed up."""
        with self.transaction():
            self._database.executemany(
                "UPDATE alerts SET fate = ? WHERE identity = ?", [(Fate.SUMMARIZED, alert.identity) for alert in alerts]
            )

    def recent(self, limit: int) -> list[Listed]:
        """Return the newest alerts, newest first."""
        rows = self._rows("SELECT id, body, fate FROM alerts ORDER BY id DESC LIMIT ?", limit)
        return [
            Listed(
                alert=Alert.from_json(str(body)),
                fate=str(fate),
                deliveries=tuple(
                    (str(channel), str(state), str(detail))
                    for channel, state, detail in self._rows(
                        "SELECT channel, state, detail FROM deliveries WHERE alert_id = ? ORDER BY id", number
                    )
                ),
            )
            for number, body, fate in rows
        ]

    def prune(self, keep: int, oldest_matter_ns: int) -> None:
        """Forget alerts beyond the newest `keep` that nobody waits for, and matters silent since `oldest_matter_ns`."""
        with self.transaction():
            self._run(
                "DELETE FROM alerts WHERE id <= (SELECT max(id) FROM alerts) - ? AND fate != ? AND id NOT IN "
                "(SELECT alert_id FROM deliveries WHERE state IN (?, ?))",
                keep,
                Fate.SUPPRESSED,
                State.WAITING,
                State.SENDING,
            )
            self._run("DELETE FROM matters WHERE pending = 0 AND due_ns < ?", oldest_matter_ns)

    # Deliveries

    def deliver(self, number: int, alert: Alert, channels: Sequence[str], due_ns: int) -> None:
        """Put an alert on its way to channels, from `due_ns` on."""
        with self.transaction():
            for channel in channels:
                self._run(
                    "INSERT INTO deliveries (alert_id, channel, state, rank, since_ns, due_ns, tries, is_doubtful, is_alone, "
                    "detail) VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0, '')",
                    number,
                    channel,
                    State.WAITING,
                    alert.rank,
                    due_ns,
                    due_ns,
                )

    def claim(self, channel: str, now: int, lease_ns: int, limit: int) -> list[Delivery]:
        """Lease the next deliveries of a channel, gravest first; one whose lease has ended is doubtful."""
        with self.transaction():
            rows = self._rows(
                "SELECT d.id, a.body, d.tries, d.is_doubtful, d.is_alone, d.state FROM deliveries d JOIN alerts a "
                "ON a.id = d.alert_id WHERE d.channel = ? AND d.state IN (?, ?) AND d.due_ns <= ? "
                "ORDER BY d.rank DESC, d.id LIMIT ?",
                channel,
                State.WAITING,
                State.SENDING,
                now,
                limit,
            )
            claimed = []
            for number, body, tries, was_doubtful, is_alone, state in rows:
                is_doubtful = bool(was_doubtful) or state == State.SENDING
                self._run(
                    "UPDATE deliveries SET state = ?, due_ns = ?, is_doubtful = ? WHERE id = ?",
                    State.SENDING,
                    now + lease_ns,
                    int(is_doubtful),
                    number,
                )
                claimed.append(
                    Delivery(
                        id=int(str(number)),
                        alert=Alert.from_json(str(body)),
                        tries=int(str(tries)),
                        is_doubtful=is_doubtful,
                        is_alone=bool(is_alone),
                    )
                )
            return claimed

    def release(self, deliveries: Sequence[Delivery], due_ns: int) -> None:
        """Put leased deliveries back, untried."""
        self._set(deliveries, "state = ?, due_ns = ?", State.WAITING, due_ns)

    def retry(self, deliveries: Sequence[Delivery], due_ns: int, detail: str, *, is_doubtful: bool, is_alone: bool) -> None:
        """Put deliveries back after a failed try; marks are only ever added."""
        self._set(
            deliveries,
            "state = ?, due_ns = ?, detail = ?, tries = tries + 1, is_doubtful = max(is_doubtful, ?), "
            "is_alone = max(is_alone, ?)",
            State.WAITING,
            due_ns,
            detail,
            int(is_doubtful),
            int(is_alone),
        )

    def finish(self, deliveries: Sequence[Delivery], state: State, detail: str = "") -> None:
        """End deliveries: SENT, DEAD or EXPIRED."""
        self._set(deliveries, "state = ?, detail = ?, tries = tries + 1", state, detail)

    def _set(self, deliveries: Sequence[Delivery], what: str, *values: object) -> None:
        with self.transaction():
            for delivery in deliveries:
                self._run(f"UPDATE deliveries SET {what} WHERE id = ?", *values, delivery.id)  # noqa: S608 - our own words

    def expire(self, channel: str, older_ns: int) -> int:
        """Give up deliveries below ALARM that have waited since before `older_ns`; return how many.

        An alert that reached no channel at all is marked to be summed up.
        """
        with self.transaction():
            rows = self._rows(
                "SELECT id, alert_id FROM deliveries WHERE channel = ? AND state = ? AND rank < ? AND since_ns < ?",
                channel,
                State.WAITING,
                SERIOUS,
                older_ns,
            )
            for number, alert in rows:
                self._run("UPDATE deliveries SET state = ? WHERE id = ?", State.EXPIRED, number)
                self._run(
                    "UPDATE alerts SET fate = ? WHERE id = ? AND key != ? AND NOT EXISTS "
                    "(SELECT 1 FROM deliveries WHERE alert_id = ? AND state != ?)",
                    Fate.SUPPRESSED,
                    alert,
                    "flood",
                    alert,
                    State.EXPIRED,
                )
            return len(rows)

    def next_due(self, channel: str) -> int | None:
        """Return when the next delivery of a channel is due, UTC ns; None when none waits."""
        ((due,),) = self._rows(
            "SELECT min(due_ns) FROM deliveries WHERE channel = ? AND state IN (?, ?)", channel, State.WAITING, State.SENDING
        )
        return None if due is None else int(str(due))

    def is_busy(self, channel: str, now: int) -> bool:
        """Say whether something of a channel is due or under way."""
        ((count,),) = self._rows(
            "SELECT count(*) FROM deliveries WHERE channel = ? AND (state = ? OR (state = ? AND due_ns <= ?))",
            channel,
            State.SENDING,
            State.WAITING,
            now,
        )
        return bool(count)

    def counts(self) -> dict[str, int]:
        """Return the number of deliveries by channel and state, as `channel.state`."""
        rows = self._rows("SELECT channel, state, count(*) FROM deliveries GROUP BY channel, state")
        return {f"{channel}.{str(state).lower()}": int(str(count)) for channel, state, count in rows}

    # Matters

    def matter(self, key: str) -> Matter | None:
        """Return a matter, or None."""
        found = self._matters("key = ?", key)
        return found[0] if found else None

    def matters_of(self, key: str) -> list[Matter]:
        """Return the open matter of a key, or all whose key begins with it when it ends in a colon."""
        if key.endswith(":"):
            return self._matters("is_open = 1 AND substr(key, 1, ?) = ?", len(key), key)
        return self._matters("is_open = 1 AND key = ?", key)

    def matters_due(self, now: int) -> list[Matter]:
        """Return the matters with untold repeats whose time has come."""
        return self._matters("pending > 0 AND due_ns <= ?", now)

    def _matters(self, which: str, *values: object) -> list[Matter]:
        rows = self._rows(
            "SELECT key, first_ns, seen, pending, due_ns, window_s, rank, is_open, is_told, body FROM matters "  # noqa: S608
            f"WHERE {which} ORDER BY first_ns",
            *values,
        )
        return [
            Matter(
                key=str(row[0]),
                first_ns=int(str(row[1])),
                seen=int(str(row[2])),
                pending=int(str(row[3])),
                due_ns=int(str(row[4])),
                window_s=float(str(row[5])),
                rank=int(str(row[6])),
                is_open=bool(row[7]),
                is_told=bool(row[8]),
                body=str(row[9]),
            )
            for row in rows
        ]

    def put_matter(self, matter: Matter) -> None:
        """Write a matter."""
        self._run(
            "INSERT OR REPLACE INTO matters VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            matter.key,
            matter.first_ns,
            matter.seen,
            matter.pending,
            matter.due_ns,
            matter.window_s,
            matter.rank,
            int(matter.is_open),
            int(matter.is_told),
            matter.body,
        )

    # Memory of the channels

    def remembered(self, name: str) -> str | None:
        """Return a value kept by name, or None."""
        rows = self._rows("SELECT value FROM meta WHERE name = ?", name)
        return str(rows[0][0]) if rows else None

    def remember(self, name: str, value: str) -> None:
        """Keep a value by name."""
        self._run("INSERT OR REPLACE INTO meta VALUES (?, ?)", name, value)
