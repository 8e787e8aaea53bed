"""The durable queue of commands: put by a person, a schedule or the guard, taken and answered by a session.

A command is addressed to an account, and to one strategy of it or to whichever session of the account comes first. It waits
while no session runs, so that a HALT or RESUME applies at the next start; give the others an expiry. One session takes it: what
is meant for all is put once for each of `LiveStore.targets`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, or_, select

from sovereign.core.command import Command, CommandKind
from sovereign.core.errors import NotFoundError, UsageError
from sovereign.store import live_schema
from sovereign.store.database import Database
from sovereign.store.process import ProcessIdentity, is_gone


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCommand:
    """A command and what became of it; `is_done` is None until it was answered, False when refused or expired."""

    command: Command
    account: str
    strategy: str | None
    put_ns: int
    expires_ns: int | None
    taken_ns: int | None
    taken_by: str | None
    answered_ns: int | None
    is_done: bool | None
    answer: str | None


class CommandQueue:
    """Commands of every account; safe to use from several processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(
        self, command: Command, account: str, *, ts: int, strategy: str | None = None, expires_ns: int | None = None
    ) -> bool:
        """Keep a command; returns False when its id is there already, which changes nothing.

        Raises
        ------
        UsageError : the id is there already for something else.
        """
        table = live_schema.commands
        values = {
            "command_id": command.command_id,
            "account": account,
            "strategy": strategy,
            "kind": command.kind.value,
            "asked_by": command.by,
            "reason": command.reason,
            "arguments": json.dumps(dict(command.arguments), sort_keys=True),
        }
        with self._database.writing() as connection:
            self._database.lock(connection, "commands")
            known = connection.execute(select(table).where(table.c.command_id == command.command_id)).first()
            if known is None:
                connection.execute(table.insert().values(**values, put_ns=ts, expires_ns=expires_ns))
                return True
        if any(getattr(known, name) != value for name, value in values.items()):
            raise UsageError(
                f"command was '{command.command_id}', which asks for {known.kind} of account '{known.account}' already; "
                f"give a new command an id of its own"
            )
        return False

    def take(self, session_id: str, account: str, strategy: str, now_ns: int) -> list[Command]:
        """Take what waits for a session, oldest first; nobody else gets it then.

        What a session took that has since ended without an answer waits again. What has expired is answered so.
        """
        with self._database.reading() as connection:
            if not _waiting(connection, session_id, account, strategy):
                return []  # the usual case takes no lock
        table = live_schema.commands
        taken: list[Command] = []
        with self._database.writing() as connection:
            self._database.lock(connection, "commands")
            for row in _waiting(connection, session_id, account, strategy):
                change: dict[str, Any] = {"taken_ns": now_ns, "taken_by": session_id}
                if row.expires_ns is not None and row.expires_ns <= now_ns:
                    change = {"answered_ns": now_ns, "is_done": False, "answer": "expired: no session took it in time"}
                else:
                    taken.append(_to_command(row))
                connection.execute(table.update().where(table.c.key == row.key).values(**change))
        return taken

    def unanswered(self, session_id: str, now_ns: int | None = None) -> list[Command]:
        """Return what a session took and has not answered: after a restart, what its recording may lack.

        Parameters
        ----------
        now_ns : what has expired by then is left out; None leaves nothing out.
        """
        table = live_schema.commands
        with self._database.reading() as connection:
            rows = connection.execute(
                select(table).where(table.c.taken_by == session_id, table.c.answered_ns.is_(None)).order_by(table.c.key)
            ).all()
        return [_to_command(row) for row in rows if now_ns is None or row.expires_ns is None or row.expires_ns > now_ns]

    def answer(self, command_id: str, *, is_done: bool, text: str, ts: int) -> None:
        """Keep what became of a command; the first answer stands.

        Raises
        ------
        NotFoundError : no such command.
        """
        table = live_schema.commands
        with self._database.writing() as connection:
            changed = connection.execute(
                table.update()
                .where(table.c.command_id == command_id, table.c.answered_ns.is_(None))
                .values(answered_ns=ts, is_done=is_done, answer=text)
            )
            if changed.rowcount == 0:
                self._known(connection, command_id)

    def get(self, command_id: str) -> StoredCommand:
        """Return a command with its answer.

        Raises
        ------
        NotFoundError : no such command.
        """
        with self._database.reading() as connection:
            return _to_stored(self._known(connection, command_id))

    @staticmethod
    def _known(connection: Connection, command_id: str) -> Any:
        table = live_schema.commands
        row = connection.execute(select(table).where(table.c.command_id == command_id)).first()
        if row is None:
            raise NotFoundError(f"command was '{command_id}', which nobody has put; see the ids that the queue lists")
        return row

    def listed(self, *, account: str | None = None, is_open: bool = False, limit: int | None = None) -> list[StoredCommand]:
        """Return commands, newest first; `is_open` only those without an answer."""
        table = live_schema.commands
        query = select(table).order_by(table.c.key.desc()).limit(limit)
        if account is not None:
            query = query.where(table.c.account == account)
        if is_open:
            query = query.where(table.c.answered_ns.is_(None))
        with self._database.reading() as connection:
            return [_to_stored(row) for row in connection.execute(query)]


def _waiting(connection: Connection, session_id: str, account: str, strategy: str) -> list[Any]:
    """Return what a session may take, oldest first: what nobody holds, or a session that is over or whose process is gone."""
    table, sessions = live_schema.commands, live_schema.live_sessions
    rows = connection.execute(
        select(table)
        .where(
            table.c.account == account,
            or_(table.c.strategy.is_(None), table.c.strategy == strategy),
            table.c.answered_ns.is_(None),
            or_(table.c.taken_by.is_(None), table.c.taken_by != session_id),
        )
        .order_by(table.c.key)
    ).all()
    holders = {row.taken_by for row in rows if row.taken_by is not None}
    alive = (
        {
            row.id
            for row in connection.execute(select(sessions).where(sessions.c.id.in_(holders), sessions.c.status == "running"))
            if not is_gone(ProcessIdentity(pid=row.pid, host=row.host, token=row.process_token))
        }
        if holders
        else set()
    )
    return [row for row in rows if row.taken_by not in alive]


def _to_command(row: Any) -> Command:
    return Command(
        command_id=row.command_id,
        kind=CommandKind(row.kind),
        by=row.asked_by,
        reason=row.reason,
        arguments=json.loads(row.arguments),
    )


def _to_stored(row: Any) -> StoredCommand:
    return StoredCommand(
        command=_to_command(row),
        account=row.account,
        strategy=row.strategy,
        put_ns=row.put_ns,
        expires_ns=row.expires_ns,
        taken_ns=row.taken_ns,
        taken_by=row.taken_by,
        answered_ns=row.answered_ns,
        is_done=row.is_done,
        answer=row.answer,
    )
