"""What the operations page shows: processes, feeds, kills, commands, notices, and what happens by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sovereign.app.dashboard.plain import plain
from sovereign.app.dashboard.standing import notice_to_plain
from sovereign.app.ops.desk import SessionView, StoreDesk
from sovereign.core.event import NoticeCode
from sovereign.core.session import NS_PER_MINUTE, Session
from sovereign.store.configuration import hide_password

if TYPE_CHECKING:
    from sovereign.app.dashboard.view import View
    from sovereign.store.command_queue import StoredCommand
    from sovereign.store.runs import StoredRun

_RECONCILIATION = frozenset(
    {
        NoticeCode.RECONCILED,
        NoticeCode.MISMATCH,
        NoticeCode.MONEY_MOVED,
        NoticeCode.POSITION_ADOPTED,
        NoticeCode.ORDER_UNKNOWN,
        NoticeCode.ORDER_IN_FLIGHT,
    }
)
_MOST_SESSIONS, _MOST_COMMANDS, _MOST_NOTICES = 12, 30, 200


def session_row(view: SessionView) -> dict[str, Any]:
    """Return a session as the list shows it."""
    session, state = view.session, view.state
    return plain(
        {
            "session": session.id,
            "run": session.run_id,
            "account": session.account,
            "strategy": session.strategy,
            "mode": session.mode,
            "status": session.status,
            "trade_date": session.trade_date,
            "started_ns": session.started_ns,
            "ended_ns": session.ended_ns,
            "reason": session.reason,
            "state": state.get("state"),
            "heartbeat_s": view.age_s,
            "feed_age_s": state.get("feed_age_s"),
            "memory_mb": state.get("memory_mb"),
            "pid": session.process.pid if session.process else None,
            "positions": {symbol: int(quantity) for symbol, quantity in dict(state.get("positions", {})).items()},
        }
    )


def command_row(stored: StoredCommand) -> dict[str, Any]:
    """Return a command as the list shows it."""
    command = stored.command
    return plain(
        {
            "command_id": command.command_id,
            "kind": command.kind,
            "by": command.by,
            "reason": command.reason,
            "arguments": dict(command.arguments),
            "account": stored.account,
            "strategy": stored.strategy,
            "put_ns": stored.put_ns,
            "answered_ns": stored.answered_ns,
            "taken_by": stored.taken_by,
            "is_done": stored.is_done,
            "answer": stored.answer,
        }
    )


def operations(view: View, now_ns: int, clients: int) -> dict[str, Any]:
    """Return how everything that runs is doing."""
    live, settings = view.store.live, view.settings
    desk = StoreDesk(live)
    notices = [notice_to_plain(one) for one in reversed(live.notices(limit=_MOST_NOTICES))]
    return plain(
        {
            "now_ns": now_ns,
            "sessions": [session_row(one) for one in desk.views(_MOST_SESSIONS)],
            "guards": [
                {"guard": beat.process, "heartbeat_s": desk.age_s(beat), "is_gone": beat.is_gone, "pid": beat.identity.pid}
                for beat in desk.guards()
            ],
            "latches": [
                {"account": one.account, "set_ns": one.set_ns, "by": one.set_by, "reason": one.reason} for one in live.latches()
            ],
            "commands": [command_row(one) for one in live.commands.listed(limit=_MOST_COMMANDS)],
            "notices": notices,
            "reconciliation": [row for row in notices if row["code"] in _RECONCILIATION][:20],
            "schedule": _schedule(view),
            "store": hide_password(settings.store.url),
            "clients": clients,
        }
    )


def _schedule(view: View) -> list[dict[str, Any]]:
    """Return what happens by itself in the session that runs, else in the next one of the newest run's calendar."""
    from sovereign.core.errors import NotFoundError

    try:
        run = view.run(None)
    except NotFoundError:
        return []
    session = _session_of(view, run)
    if session is None:
        return []
    own = view.settings_of(run) or view.settings
    risk = own.risk
    begin, end = (
        (session.regular_open_ns, session.regular_close_ns) if risk.hours == "regular" else (session.open_ns, session.close_ns)
    )

    def row(what: str, ts: int, source: str) -> dict[str, Any]:
        return {"what": what, "ts": ts, "source": source}

    rows = [
        row("session opens", session.open_ns, session.calendar),
        row(
            "first entry",
            begin + risk.first_entry_after_open_minutes * NS_PER_MINUTE,
            "risk.first_entry_after_open_minutes",
        ),
        row("last entry", end - risk.last_entry_before_close_minutes * NS_PER_MINUTE, "risk.last_entry_before_close_minutes"),
        row("session closes", session.close_ns, session.calendar),
        row(
            "daily digest",
            session.regular_close_ns + own.schedule.digest_after_close_minutes * NS_PER_MINUTE,
            "schedule.digest_after_close_minutes",
        ),
    ]
    flatten = risk.flatten_before_close_minutes
    if flatten is not None:
        rows.append(row("flatten everything", end - flatten * NS_PER_MINUTE, "risk.flatten_before_close_minutes"))
    return sorted(rows, key=lambda one: int(one["ts"]))


def _session_of(view: View, run: StoredRun) -> Session | None:
    market = view.market(run, is_quick=True)
    if market is not None and market.session is not None:
        return market.session
    from sovereign.core.errors import SovereignError
    from sovereign.core.instrument import find_instrument
    from sovereign.feeds.calendar import calendar_for

    try:
        calendar = calendar_for(find_instrument(run.record.symbols[0]).calendar)
    except (SovereignError, IndexError):
        return None
    today = datetime.now(UTC).date()
    sessions = calendar.sessions(today, today + timedelta(days=10))
    return sessions[0] if sessions else None
