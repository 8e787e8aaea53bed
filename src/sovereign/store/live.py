"""What live sessions keep in the store: themselves, their journal, state, commands, signs of life, notices, latches, audit.

store = Store(url)
store.live.begin_session(record)
audit = store.live.audit(record.id)                    # a core.port.Sink
journal = store.live.journal(record.id, audit)         # an execution.broker.OrderJournal
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select, union

from sovereign.core.errors import NotFoundError, UsageError, suggestion
from sovereign.core.event import Notice, NoticeCode, Severity
from sovereign.store import live_schema
from sovereign.store.command_queue import CommandQueue
from sovereign.store.database import Database
from sovereign.store.order_journal import OrderRequest, SqlOrderJournal, to_request
from sovereign.store.process import ProcessIdentity, is_gone, this_process
from sovereign.store.session_state import SqlSessionStates, account_of

if TYPE_CHECKING:
    from sovereign.store.audit import AuditRow, AuditSink, AuditVerdict

RUNNING = "running"
DEMONSTRATION = "demo"
"""Mode of a session in a simulated market: no venue, no money."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSession:
    """A session of paper or live trading. `status` is `running` until it ends; `dead` is one whose process is gone.

    Parameters
    ----------
    mode : `paper`, `live`, or `demo` for a demonstration.
    recording_path : where its input is recorded. run_id : the run in the ledger that holds its trades, if any.
    reason : why it ended.
    process : who runs it; filled in by `begin_session`.
    """

    id: str
    account: str
    strategy: str
    mode: str
    trade_date: date
    recording_path: str
    started_ns: int
    code_hash: str
    config_hash: str
    run_id: str | None = None
    status: str = RUNNING
    ended_ns: int | None = None
    reason: str = ""
    process: ProcessIdentity | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The latest sign of life of a process; `is_gone` when the process surely is no more."""

    process: str
    identity: ProcessIdentity
    ts: int
    state: Mapping[str, Any]
    is_gone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredNotice:
    """A notice with the notice (by its key) that ended the matter."""

    key: int
    notice: Notice
    session_id: str | None
    account: str | None
    resolved_by: int | None
    resolved_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Latch:
    """A kill: while `cleared_ns` is None, the account (`*`: every account) does not trade."""

    account: str
    set_ns: int
    set_by: str
    reason: str
    cleared_ns: int | None = None
    cleared_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """How many rows of each table were removed."""

    rows: Mapping[str, int] = field(default_factory=dict)


class LiveStore:
    """The live side of a store; `commands` is its queue, `states` what sessions leave to each other."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.commands = CommandQueue(database)
        self.states = SqlSessionStates(database)

    def journal(self, session_id: str, audit: AuditSink | None = None) -> SqlOrderJournal:
        """Return the write-ahead journal of a session; with `audit`, its events are kept in the same commit, before."""
        return SqlOrderJournal(self._database, session_id, None if audit is None else audit.write_pending)

    def audit(self, session_id: str) -> AuditSink:
        """Return the sink that chains a session's audit stream; see `AuditSink` for what it does after a restart."""
        from sovereign.store.audit import AuditSink

        return AuditSink(self._database, session_id)

    def verify_audit(self, session_id: str) -> AuditVerdict:
        """Work the audit chain of a session out anew; the verdict names the first broken link."""
        from sovereign.store.audit import verify_session

        return verify_session(self._database, session_id)

    def audit_events(
        self, session_id: str, *, since: int = 0, limit: int | None = None, kind: str | None = None
    ) -> list[AuditRow]:
        """Return the stored events of a session from number `since` on; `kind` is the name of an event's class."""
        from sovereign.store.audit import show_events

        return show_events(self._database, session_id, since=since, limit=limit, kind=kind)

    def audited(self) -> list[str]:
        """Return the ids of all sessions that have, or should have, an audit chain."""
        from sovereign.store.audit import audited_sessions

        return audited_sessions(self._database)

    def requests(self, session_id: str) -> tuple[OrderRequest, ...]:
        """Return the order requests of a session, oldest first."""
        table = live_schema.order_requests
        with self._database.reading() as connection:
            rows = connection.execute(select(table).where(table.c.session_id == session_id).order_by(table.c.key)).all()
        return tuple(to_request(row) for row in rows)

    # -- sessions --------------------------------------------------------------------------------------------------------

    def begin_session(self, session: LiveSession) -> LiveSession:
        """Write a session that begins, or one that goes on after a restart; returns it as it is kept.

        Going on keeps the first start and takes the process and digests of the new one.

        Raises
        ------
        UsageError : it is running in another process that lives, one trades its account, or the id belongs to another account,
            strategy or date.
        """
        from sovereign.store.audit import genesis

        table, heads = live_schema.live_sessions, live_schema.audit_heads
        me = this_process()
        now = {
            "recording_path": session.recording_path,
            "run_id": session.run_id,
            "code_hash": session.code_hash,
            "config_hash": session.config_hash,
            "status": RUNNING,
            "pid": me.pid,
            "host": me.host,
            "process_token": me.token,
            "ended_ns": None,
            "reason": "",
        }
        with self._database.writing() as connection:
            self._database.lock(connection, "live_sessions")
            row = connection.execute(select(table).where(table.c.id == session.id)).first()
            running = select(table).where(table.c.account == session.account, table.c.status == RUNNING)
            for other in connection.execute(running.where(table.c.id != session.id)):
                _check_free(other, session, me)
            if row is None:
                connection.execute(
                    table.insert().values(
                        id=session.id,
                        account=session.account,
                        strategy=session.strategy,
                        mode=session.mode,
                        trade_date=session.trade_date.isoformat(),
                        started_ns=session.started_ns,
                        **now,
                    )
                )
                connection.execute(heads.insert().values(session_id=session.id, events=0, hash=genesis(session.id)))
            else:
                _check_same(row, session, me)
                connection.execute(table.update().where(table.c.id == session.id).values(**now))
            return _to_session(connection.execute(select(table).where(table.c.id == session.id)).one())

    def end_session(self, session_id: str, *, ended_ns: int, status: str = "ended", reason: str = "") -> None:
        """Write that a session is over, in good order or not.

        Raises
        ------
        NotFoundError : no such session. UsageError : `status` says that it runs.
        """
        if status == RUNNING:
            raise UsageError(f"status was '{status}', which no session that is over has; write 'ended' or what befell it")
        table = live_schema.live_sessions
        with self._database.writing() as connection:
            changed = connection.execute(
                table.update().where(table.c.id == session_id).values(status=status, ended_ns=ended_ns, reason=reason)
            )
            if changed.rowcount == 0:
                raise NotFoundError(f"session was '{session_id}', which was never begun; call begin_session first")

    def session(self, name: str) -> LiveSession:
        """Return a session by its id, a prefix that only it has, or `last`.

        Raises
        ------
        NotFoundError : none has that name. UsageError : several begin with it.
        """
        with self._database.reading() as connection:
            return _to_session(find_session(connection, name))

    def sessions(
        self,
        *,
        account: str | None = None,
        strategy: str | None = None,
        status: str | None = None,
        trade_date: date | None = None,
        limit: int | None = None,
    ) -> list[LiveSession]:
        """Return sessions, newest first; `status` as it is told, so `running` leaves the dead out."""
        table = live_schema.live_sessions
        query = select(table).order_by(table.c.started_ns.desc(), table.c.id.desc())
        wanted = {"account": account, "strategy": strategy, "trade_date": trade_date and trade_date.isoformat()}
        query = query.where(*(table.c[name] == value for name, value in wanted.items() if value is not None))
        if status is None:
            query = query.limit(limit)
        with self._database.reading() as connection:
            found = [_to_session(row) for row in connection.execute(query)]
        return [session for session in found if status is None or session.status == status][:limit]

    def targets(self) -> list[tuple[str, str]]:
        """Return every (account, strategy) that has traded or left a state: whom a command to all is put for."""
        sessions, states = live_schema.live_sessions.c, live_schema.session_states.c
        query = union(select(sessions.account, sessions.strategy), select(states.account, states.strategy))
        with self._database.reading() as connection:
            return sorted({(account_of(row.account), row.strategy) for row in connection.execute(query)})

    # -- signs of life ---------------------------------------------------------------------------------------------------

    def beat(self, process: str, ts: int, state: Mapping[str, Any]) -> None:
        """Keep a sign of life of a process (`session:ID`, `guard`, ...) in place of the one before."""
        table, me = live_schema.heartbeats, this_process()
        values = {
            "pid": me.pid,
            "host": me.host,
            "process_token": me.token,
            "ts": ts,
            "state": json.dumps(dict(state), default=str),
        }
        with self._database.writing() as connection:
            changed = connection.execute(table.update().where(table.c.process == process).values(**values))
            if changed.rowcount == 0:
                connection.execute(table.insert().values(process=process, **values))

    def heartbeats(self) -> list[Heartbeat]:
        """Return the latest sign of life of every process, by name."""
        table = live_schema.heartbeats
        with self._database.reading() as connection:
            rows = connection.execute(select(table)).all()
        return sorted((_to_heartbeat(row) for row in rows), key=lambda beat: beat.process)

    # -- notices ---------------------------------------------------------------------------------------------------------

    def add_notice(self, notice: Notice, *, session_id: str | None = None, account: str | None = None) -> int:
        """Keep a notice and return its key; open ones that it resolves (same subject and account) are marked so."""
        table = live_schema.notices
        with self._database.writing() as connection:
            key = self._database.insert_one(
                connection,
                table,
                {
                    "session_id": session_id,
                    "account": account,
                    "ts": notice.ts,
                    "code": notice.code.value,
                    "severity": notice.severity.value,
                    "subject": notice.subject,
                    "text": notice.text,
                    "detail": json.dumps(dict(notice.values)),
                },
            )
            if notice.resolves is not None:
                same_account = table.c.account.is_(None) if account is None else table.c.account == account
                connection.execute(
                    table.update()
                    .where(
                        table.c.code == notice.resolves.value,
                        table.c.subject == notice.subject,
                        table.c.resolved_by.is_(None),
                        table.c.key < key,
                        same_account,
                    )
                    .values(resolved_by=key, resolved_ns=notice.ts)
                )
        return key

    def notices(
        self,
        *,
        since_key: int = 0,
        severity: Severity | None = None,
        account: str | None = None,
        session_id: str | None = None,
        limit: int | None = None,
    ) -> list[StoredNotice]:
        """Return notices after `since_key`, oldest first; with `limit`, the newest of them; `severity` is the least wanted."""
        table = live_schema.notices
        query = select(table).where(table.c.key > since_key).order_by(table.c.key.desc()).limit(limit)
        if severity is not None:
            ranks = list(Severity)
            query = query.where(table.c.severity.in_([rank.value for rank in ranks[ranks.index(severity) :]]))
        if account is not None:
            query = query.where(table.c.account == account)
        if session_id is not None:
            query = query.where(table.c.session_id == session_id)
        with self._database.reading() as connection:
            return [_to_notice(row) for row in connection.execute(query)][::-1]

    # -- latches ---------------------------------------------------------------------------------------------------------

    def latch(self, account: str, *, by: str, reason: str, ts: int) -> Latch:
        """Latch an account (`*` for every account) until somebody clears it; one that is latched stays as it is."""
        table = live_schema.account_latches
        with self._database.writing() as connection:
            self._database.lock(connection, "account_latches")
            row = connection.execute(select(table).where(table.c.account == account, table.c.cleared_ns.is_(None))).first()
            if row is None:
                connection.execute(table.insert().values(account=account, set_ns=ts, set_by=by, reason=reason))
                return Latch(account=account, set_ns=ts, set_by=by, reason=reason)
            return _to_latch(row)

    def latched(self, account: str) -> Latch | None:
        """Return what holds an account, its own latch or the one for every account, or None."""
        table = live_schema.account_latches
        with self._database.reading() as connection:
            row = connection.execute(
                select(table)
                .where(table.c.account.in_((account, live_schema.EVERY_ACCOUNT)), table.c.cleared_ns.is_(None))
                .order_by(table.c.key)
                .limit(1)
            ).first()
        return None if row is None else _to_latch(row)

    def clear_latch(self, account: str, *, by: str, ts: int) -> bool:
        """Clear an account's latch under a name; returns False when there was none.

        Raises
        ------
        UsageError : nobody is named.
        """
        if not by.strip():
            raise UsageError("by was empty; a latch is cleared by somebody: give the name of the person")
        table = live_schema.account_latches
        with self._database.writing() as connection:
            changed = connection.execute(
                table.update()
                .where(table.c.account == account, table.c.cleared_ns.is_(None))
                .values(cleared_ns=ts, cleared_by=by)
            )
            return bool(changed.rowcount)

    def latches(self, *, is_open: bool = True) -> list[Latch]:
        """Return the latches that hold, or all there have been, oldest first."""
        table = live_schema.account_latches
        query = select(table).order_by(table.c.key)
        if is_open:
            query = query.where(table.c.cleared_ns.is_(None))
        with self._database.reading() as connection:
            return [_to_latch(row) for row in connection.execute(query)]

    # -- retention -------------------------------------------------------------------------------------------------------

    def prune(self, before_ns: int) -> Pruned:
        """Remove sessions that ended before a moment with their journal and audit chain, and what else is over since then.

        Never removed: states, latches that hold, commands without an answer, and warnings that nobody has resolved.
        """
        tables = live_schema
        over = {
            tables.live_sessions: tables.live_sessions.c.ended_ns < before_ns,
            tables.commands: tables.commands.c.answered_ns < before_ns,
            tables.heartbeats: tables.heartbeats.c.ts < before_ns,
            tables.account_latches: tables.account_latches.c.cleared_ns < before_ns,
            tables.notices: (tables.notices.c.ts < before_ns)
            & ((tables.notices.c.severity == Severity.INFO.value) | tables.notices.c.resolved_by.is_not(None)),
        }
        rows: dict[str, int] = {}
        with self._database.writing() as connection:
            ended = select(tables.live_sessions.c.id).where(over[tables.live_sessions])
            for child in (tables.order_requests, tables.audit_events, tables.audit_heads):
                rows[child.name] = connection.execute(child.delete().where(child.c.session_id.in_(ended))).rowcount
            for table, condition in over.items():
                rows[table.name] = connection.execute(table.delete().where(condition)).rowcount
        return Pruned(rows=rows)


def find_session(connection: Connection, name: str) -> Any:
    """Return the row of a session by its id, a prefix that only it has, or `last`."""
    table = live_schema.live_sessions
    newest = select(table).order_by(table.c.started_ns.desc(), table.c.id.desc())
    if name == "last":
        row = connection.execute(newest.limit(1)).first()
        if row is None:
            raise NotFoundError("session was 'last', but there has been none; start one with 'sovereign run'")
        return row
    exact = connection.execute(select(table).where(table.c.id == name)).first()
    if exact is not None:
        return exact
    found = connection.execute(newest.where(table.c.id.startswith(name, autoescape=True))).all()
    if len(found) == 1:
        return found[0]
    if found:
        some = ", ".join(row.id for row in found[:5])
        raise UsageError(f"session was '{name}', which {len(found)} sessions begin with ({some}); give more of the name")
    known = [row.id for row in connection.execute(newest.limit(200))]
    raise NotFoundError(f"session was '{name}'{suggestion(name, known)}, which is not in the store")


def _check_same(row: Any, session: LiveSession, me: ProcessIdentity) -> None:
    given = (session.account, session.strategy, session.mode, session.trade_date.isoformat())
    if (row.account, row.strategy, row.mode, row.trade_date) != given:
        raise UsageError(
            f"session was '{session.id}' for {', '.join(given)}, but belongs to {row.account}, {row.strategy}, {row.mode}, "
            f"{row.trade_date}; give another session another id"
        )
    if row.status == RUNNING and _is_held(row, me):
        raise UsageError(f"session was '{session.id}', which process {row.pid} is running; stop that one first")


def _check_free(row: Any, session: LiveSession, me: ProcessIdentity) -> None:
    # Two processes on one account would take each other's orders for strangers, and each other's commands. Demonstrations meet
    # no venue, and take the commands of their own strategy alone: several may run side by side.
    if session.mode == row.mode == DEMONSTRATION:
        return
    if _is_held(row, me):
        raise UsageError(
            f"account was '{session.account}', which process {row.pid} trades already (session '{row.id}'); stop that one "
            f"first, or give this one another account"
        )


def _is_held(row: Any, me: ProcessIdentity) -> bool:
    holder = ProcessIdentity(pid=row.pid, host=row.host, token=row.process_token)
    return holder != me and holder.host == me.host and not is_gone(holder)


def _to_session(row: Any) -> LiveSession:
    process = ProcessIdentity(pid=row.pid, host=row.host, token=row.process_token)
    is_dead = row.status == RUNNING and is_gone(process)
    return LiveSession(
        id=row.id,
        account=row.account,
        strategy=row.strategy,
        mode=row.mode,
        trade_date=date.fromisoformat(row.trade_date),
        recording_path=row.recording_path,
        started_ns=row.started_ns,
        code_hash=row.code_hash,
        config_hash=row.config_hash,
        run_id=row.run_id,
        status="dead" if is_dead else row.status,
        ended_ns=row.ended_ns,
        reason=row.reason,
        process=process,
    )


def _to_heartbeat(row: Any) -> Heartbeat:
    identity = ProcessIdentity(pid=row.pid, host=row.host, token=row.process_token)
    return Heartbeat(process=row.process, identity=identity, ts=row.ts, state=json.loads(row.state), is_gone=is_gone(identity))


def _to_notice(row: Any) -> StoredNotice:
    notice = Notice(
        ts=row.ts,
        code=NoticeCode(row.code),
        severity=Severity(row.severity),
        subject=row.subject,
        text=row.text,
        values=json.loads(row.detail),
    )
    return StoredNotice(
        key=row.key,
        notice=notice,
        session_id=row.session_id,
        account=row.account,
        resolved_by=row.resolved_by,
        resolved_ns=row.resolved_ns,
    )


def _to_latch(row: Any) -> Latch:
    return Latch(
        account=row.account,
        set_ns=row.set_ns,
        set_by=row.set_by,
        reason=row.reason,
        cleared_ns=row.cleared_ns,
        cleared_by=row.cleared_by,
    )
