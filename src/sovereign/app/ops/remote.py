"""What a person far away may ask of the platform (`notify.control.CommandDesk`), answered from the store alone.

It belongs to a process of its own (`sovereign control`): commands pass the same durable queue as those typed on the machine,
and a trading process that hangs, or is not there, cannot keep the answer from being given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from sovereign.app.notify.alert import amount
from sovereign.app.notify.control import CommandAnswer
from sovereign.app.notify.digest import Digest, daily_digest, limits_of
from sovereign.app.ops.desk import Posted, SessionView, StoreDesk
from sovereign.core.errors import NotRunningError, SovereignError
from sovereign.core.instrument import find_instrument
from sovereign.feeds.calendar import calendar_for

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.core.command import Command
    from sovereign.store.live import LiveSession
    from sovereign.store.store import Store

_STALE_S = 30.0


class RemoteDesk:
    """The desk of remote control, for every account and strategy of one store.

    Parameters
    ----------
    desk : asks and looks; a test hands in one with its own clock. redact : hides secrets in what goes out.
    """

    def __init__(self, store: Store, settings: Settings, redact: Callable[[str], str], desk: StoreDesk | None = None) -> None:
        self._store = store
        self._settings = settings
        self._redact = redact
        self._desk = StoreDesk(store.live) if desk is None else desk
        self._posted: dict[str, Posted] = {}

    def put(self, command: Command) -> None:
        """Hand a command to every session, durably; a command id that is there already changes nothing.

        Raises
        ------
        NotRunningError : no session runs that it could be asked of. SovereignError : the store cannot be used.
        """
        with _reached():
            self._posted[command.command_id] = self._desk.put(
                command.kind,
                by=command.by,
                reason=command.reason,
                arguments=command.arguments,
                timeout_s=self._settings.alerts.telegram.answer_s,
                name=command.command_id,
            )

    def wait_answer(self, command_id: str, timeout_s: float) -> CommandAnswer | None:
        """Return the answers of every session, or None when one that runs gave none in time."""
        posted = self._posted.pop(command_id, Posted())
        with _reached():
            if self._desk.wait(posted, timeout_s):
                return None
            answers = self._desk.answers(posted)
        lines = list(answers.notes)
        lines += [f"{one.account} {one.strategy or ''}: {one.answer}" for one in answers.asked]
        return CommandAnswer(
            is_done=all(one.is_done is not False for one in answers.asked), text=self._redact("\n".join(lines))
        )

    def status(self) -> Mapping[str, str]:
        """Return how every session that runs stands, or the last one; with what holds trading, and the guard."""
        with _reached():
            views = self._desk.views(1)
            if not views:
                raise NotRunningError("no session has run yet; start one with 'sovereign run'")
            found: dict[str, str] = {}
            for view in views:
                prefix = f"{view.session.id} " if len(views) > 1 else ""
                found |= {f"{prefix}{name}": self._redact(text) for name, text in self._lines(view)}
            for beat in self._desk.guards():
                age = self._desk.age_s(beat)
                found[beat.process] = "gone" if beat.is_gone else f"looked {age:.0f} s ago"
            for latch in self._store.live.latches():
                name = "kill of every account" if latch.account == "*" else f"kill of {latch.account}"
                found[name] = self._redact(f"by {latch.set_by}: {latch.reason}")
        return found

    def _lines(self, view: SessionView) -> Iterator[tuple[str, str]]:
        session, state = view.session, view.state
        yield "session", f"{session.id} ({session.mode}, {session.status})"
        if session.reason:
            yield "ended", session.reason
        if session.status == "running" and view.age_s is not None:
            late = ", which is too long: it may hang, see 'sovereign kill'" if view.age_s > _STALE_S else ""
            yield "last sign of life", f"{view.age_s:.0f} s ago{late}"
        if state.get("state"):
            why = self._halted_by(session) if state["state"] != "ACTIVE" else ""
            yield "state", f"{state['state']}{f' ({why})' if why else ''}"
        for name in ("balance", "equity"):
            if state.get(name):
                yield name, amount(Decimal(str(state[name])), is_signed=False)
        held = [f"{int(quantity):+d} {symbol}" for symbol, quantity in state.get("positions", {}).items() if quantity]
        yield "positions", ", ".join(held) or "flat"
        for subject, reason in state.get("troubles", {}).items():
            yield f"no entries: {subject}", str(reason)

    def _halted_by(self, session: LiveSession) -> str:
        if session.run_id is None:
            return ""
        changes = self._store.table(session.run_id, "state_changes")
        if not changes:
            return ""
        by = f", by {changes[-1]['by']}" if changes[-1]["by"] else ""
        return f"{changes[-1]['cause']}: {changes[-1]['reason']}{by}"

    def positions(self) -> Sequence[Mapping[str, str]]:
        """Return the open positions, each by name of its figures."""
        with _reached():
            held = self._desk.positions()
        return [
            {
                "position": f"{one.quantity:+d} {one.symbol}",
                "account": f"{one.account} {one.strategy}",
                **({"average price": one.average_price} if one.average_price else {}),
                "told by": f"{one.source}, {one.age_s:.0f} s ago",
            }
            for one in held
        ]

    def daily(self) -> Digest | None:
        """Return the digest of the present session so far, else of the last; None when there is none."""
        with _reached():
            views = [view for view in self._desk.views(1) if view.session.run_id is not None]
            return self._digest(views[0].session) if views else None

    def _digest(self, kept: LiveSession) -> Digest | None:
        from sovereign.app.plan import recipe_of

        record = self._store.run(str(kept.run_id)).record
        calendar = calendar_for(find_instrument(record.symbols[0]).calendar)
        session = calendar.session(kept.trade_date)
        if session is None:
            return None
        loss, profit = limits_of(recipe_of(self._settings, kept.strategy).risk, record.starting_balance, None)
        return daily_digest(self._store, str(kept.run_id), session, loss_limit=loss, profit_target=profit)


@contextmanager
def _reached() -> Iterator[None]:
    """Turn a failure of the database into one that a person is told."""
    try:
        yield
    except SQLAlchemyError as cause:
        raise SovereignError(f"the store could not be used ({str(cause).splitlines()[0]})") from cause
