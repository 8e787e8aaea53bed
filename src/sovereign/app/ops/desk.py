"""Sessions as another process sees and asks them: through the store alone, never through the session itself.

A command is durable before anybody waits for its answer. `put_ns` and `expires_ns` are times of the system clock.
"""

from __future__ import annotations

import getpass
import hashlib
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sovereign.core.command import Command, CommandKind
from sovereign.core.errors import NotFoundError, NotRunningError, OperationTimeoutError
from sovereign.core.instrument import find_instrument
from sovereign.core.session import NS_PER_SECOND
from sovereign.store.command_queue import StoredCommand
from sovereign.store.live import Heartbeat, Latch, LiveSession, LiveStore
from sovereign.store.live_schema import EVERY_ACCOUNT
from sovereign.store.session_state import USUAL_BROKER, placed

LATCHING = frozenset({CommandKind.HALT, CommandKind.REDUCE, CommandKind.RESUME})
"""Commands that wait for the next start when nothing runs."""

_POLL_S = 0.05


def session_process(session_id: str) -> str:
    """Return the name under which a session's signs of life are kept."""
    return f"session:{session_id}"


def somebody() -> str:
    """Return who asks, for the record: user and machine."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a container without a user of that number
        return f"somebody@{socket.gethostname()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionView:
    """A session with its latest sign of life; `age_s` is how old that is, `state` what it said then."""

    session: LiveSession
    age_s: float | None
    state: Mapping[str, Any]
    latch: Latch | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldView:
    """An open position; `source` says who told: the session's last sign of life, or the state it left."""

    account: str
    strategy: str
    symbol: str
    quantity: int
    average_price: str | None
    source: str
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What became of a command at one session. `is_done` None: it waits for the next start."""

    command_id: str
    account: str
    strategy: str | None
    session_id: str | None
    is_done: bool | None
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What every session answered; `cleared` are the accounts whose kill a RESUME cleared (`*`: that of all).

    `standing` are those whose kill still holds something that was to be resumed: a kill is cleared by naming it.
    """

    asked: tuple[Asked, ...]
    cleared: tuple[str, ...] = ()
    standing: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What became of kills, a line each, for people."""
        return (
            *(f"the kill of {_whose(name)} is cleared" for name in self.cleared),
            *(
                f"the kill of {_whose(name)} still holds; clear it with: sovereign resume --account '{name}'"
                for name in self.standing
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A command that was put: its ids, those of them that a running session will answer, and kills as in `Answers`."""

    ids: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    cleared: tuple[str, ...] = ()
    standing: tuple[str, ...] = ()


class StoreDesk:
    """Looks at sessions and asks them, through the store.

    Parameters
    ----------
    now_ns : the system clock, UTC ns. sleep : waits some seconds.
    """

    def __init__(
        self, live: LiveStore, *, now_ns: Callable[[], int] = time.time_ns, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._live = live
        self._now_ns = now_ns
        self._sleep = sleep

    def sessions(
        self, *, is_running: bool = True, account: str | None = None, strategy: str | None = None
    ) -> list[LiveSession]:
        """Return sessions, newest first: those that run (or whose process died), or all."""
        found = self._live.sessions(account=account, strategy=strategy)
        return [session for session in found if not is_running or session.status == "running"]

    def views(self, limit: int) -> list[SessionView]:
        """Return the running sessions and the newest of the others, `limit` at most, each with what it last said."""
        beats = {beat.process: beat for beat in self._live.heartbeats()}
        found = self._live.sessions()
        running = [session for session in found if session.status == "running"]
        others = [session for session in found if session.status != "running"]
        shown = [*running, *others[: max(0, limit - len(running))]]
        return [self._view(session, beats.get(session_process(session.id))) for session in shown]

    def _view(self, session: LiveSession, beat: Heartbeat | None) -> SessionView:
        return SessionView(
            session=session,
            age_s=None if beat is None else self._age_s(beat.ts),
            state={} if beat is None else beat.state,
            latch=self._live.latched(session.account),
        )

    def _age_s(self, ts: int) -> float:
        return round((self._now_ns() - ts) / NS_PER_SECOND, 3)

    def guards(self) -> list[Heartbeat]:
        """Return the signs of life of the guards."""
        return [beat for beat in self._live.heartbeats() if beat.process.startswith("guard")]

    def age_s(self, beat: Heartbeat) -> float:
        """Return how old a sign of life is, seconds."""
        return self._age_s(beat.ts)

    def positions(self, account: str | None = None) -> list[HeldView]:
        """Return open positions: of running sessions as they last said, of others as they left them."""
        beats = {beat.process: beat for beat in self._live.heartbeats()}
        found: list[HeldView] = []
        told: set[tuple[str, str]] = set()
        for session in self.sessions(account=account):
            beat = beats.get(session_process(session.id))
            if beat is None or "positions" not in beat.state:
                continue
            broker = str(beat.state.get("broker") or USUAL_BROKER)
            told.add((placed(session.account, broker, session.mode), session.strategy))
            found += [
                HeldView(
                    account=session.account,
                    strategy=session.strategy,
                    symbol=symbol,
                    quantity=int(quantity),
                    average_price=None,
                    source="running session",
                    age_s=self._age_s(beat.ts),
                )
                for symbol, quantity in beat.state["positions"].items()
                if quantity
            ]
        for state in self._live.states.all(account):
            if (state.account, state.strategy) in told:
                continue
            found += [
                HeldView(
                    account=state.account,
                    strategy=state.strategy,
                    symbol=held.symbol,
                    quantity=held.quantity,
                    average_price=_average(held.symbol, held.cost_ticks, held.quantity),
                    source="kept state",
                    age_s=self._age_s(state.updated_ns),
                )
                for held in state.positions
                if held.quantity
            ]
        return found

    def ask(
        self,
        kind: CommandKind,
        *,
        by: str,
        reason: str,
        arguments: Mapping[str, str] | None = None,
        account: str | None = None,
        strategy: str | None = None,
        timeout_s: float,
    ) -> Answers:
        """Put a command to every session that runs (of an account, of a strategy) and wait for the answers; see `put`.

        Raises
        ------
        NotRunningError : as `put`.
        OperationTimeoutError : a session did not answer in time; what becomes of the command is not known.
        """
        posted = self.put(
            kind, by=by, reason=reason, arguments=arguments, account=account, strategy=strategy, timeout_s=timeout_s
        )
        missing = self.wait(posted, timeout_s)
        if missing:
            raise OperationTimeoutError(
                f"command {', '.join(missing)} was not answered in time; whether it is carried out is not known: look at "
                f"'sovereign status', and use 'sovereign kill' when the session hangs"
            )
        return self.answers(posted)

    def put(
        self,
        kind: CommandKind,
        *,
        by: str,
        reason: str,
        arguments: Mapping[str, str] | None = None,
        account: str | None = None,
        strategy: str | None = None,
        timeout_s: float,
        name: str | None = None,
    ) -> Posted:
        """Put a command to every session that runs (of an account, of a strategy), durably, and wait for nothing.

        One that latches is also left for those that have traded but do not run now. RESUME clears a kill only when it is
        named: that of an account by the account, that of all by the account `*`, every one by the cause `kill` without an
        account. While one holds, the sessions under it stay halted by it.

        Parameters
        ----------
        account : None asks every account, as `*` does.
        timeout_s : one that does not latch expires then. name : id of the command; put twice, it is carried out once.

        Raises
        ------
        NotRunningError : nothing runs, and the command cannot wait (or nothing has ever traded that it could wait for).
        """
        one = None if account == EVERY_ACCOUNT else account
        running = self.sessions(account=one, strategy=strategy)
        targets = [(session.account, session.strategy) for session in running]
        idle: list[tuple[str, str]] = []
        if kind in LATCHING:
            known = self._live.targets()
            idle = [pair for pair in known if pair not in targets and one in (None, pair[0]) and strategy in (None, pair[1])]
        cleared: tuple[str, ...] = ()
        standing: tuple[str, ...] = ()
        given = dict(arguments or {})
        is_kill_named = False
        if kind is CommandKind.RESUME:
            causes = [part.strip() for part in given.get("causes", "").split(",") if part.strip()]
            is_kill_named = "kill" in causes or (account is not None and not causes)
            cleared = self._clear(account, by) if is_kill_named else ()
            standing = self._standing(one)
            given |= {"causes": ",".join(cause for cause in causes if cause != "kill")} if causes else {}
            if standing and causes == ["kill"]:
                targets, idle = self._free(targets), self._free(idle)
        if not targets and not idle:
            if cleared or standing:
                return Posted(cleared=cleared, standing=standing)
            raise NotRunningError(
                f"no session runs that {kind} could be asked of; see 'sovereign status', start one with 'sovereign run', or "
                f"use 'sovereign kill' to flatten an account that no session watches"
            )
        now = self._now_ns()
        expires = None if kind in LATCHING else now + round(timeout_s * NS_PER_SECOND)
        name = name or f"{kind.value.lower()}-{uuid.uuid4().hex[:16]}"
        pairs = [*targets, *idle]
        ids = [name if len(pairs) == 1 else f"{name}-{_mark(*pair)}" for pair in pairs]
        for command_id, (one_account, one_strategy) in zip(ids, pairs, strict=True):
            asked = {**given, "kill": "true"} if is_kill_named and self._live.latched(one_account) is None else given
            command = Command(command_id=command_id, kind=kind, by=by, reason=reason, arguments=dict(asked))
            self._live.commands.put(command, one_account, ts=now, strategy=one_strategy, expires_ns=expires)
        return Posted(ids=tuple(ids), waiting=tuple(ids[: len(targets)]), cleared=cleared, standing=standing)

    def wait(self, posted: Posted, timeout_s: float) -> tuple[str, ...]:
        """Wait for the answers of the sessions that run; return the ids of the commands that nobody answered in time."""
        until = self._now_ns() + round(timeout_s * NS_PER_SECOND)
        missing = posted.waiting
        while missing:
            missing = tuple(one for one in missing if self._live.commands.get(one).answered_ns is None)
            if missing and self._now_ns() >= until:
                return missing
            if missing:
                self._sleep(_POLL_S)
        return ()

    def answers(self, posted: Posted) -> Answers:
        """Return what has become of a command so far."""
        return Answers(
            asked=tuple(self._asked(self._live.commands.get(command_id)) for command_id in posted.ids),
            cleared=posted.cleared,
            standing=posted.standing,
        )

    def _clear(self, account: str | None, by: str) -> tuple[str, ...]:
        held = [latch.account for latch in self._live.latches() if account in (None, latch.account)]
        return tuple(name for name in held if self._live.clear_latch(name, by=by, ts=self._now_ns()))

    def _standing(self, account: str | None) -> tuple[str, ...]:
        return tuple(
            latch.account for latch in self._live.latches() if account is None or latch.account in (account, EVERY_ACCOUNT)
        )

    def _free(self, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
        return [pair for pair in pairs if self._live.latched(pair[0]) is None]

    @staticmethod
    def _asked(stored: StoredCommand) -> Asked:
        return Asked(
            command_id=stored.command.command_id,
            account=stored.account,
            strategy=stored.strategy,
            session_id=stored.taken_by,
            is_done=stored.is_done,
            answer=stored.answer or "kept for the next start",
        )


def _whose(account: str) -> str:
    return "every account" if account == EVERY_ACCOUNT else f"account '{account}'"


def _mark(account: str, strategy: str) -> str:
    """Return a few letters that stand for an account and a strategy in the id of a command that goes to several."""
    return hashlib.sha256(f"{account}\0{strategy}".encode()).hexdigest()[:12]


def _average(symbol: str, cost_ticks: int, quantity: int) -> str | None:
    try:
        tick = find_instrument(symbol).tick_size
    except NotFoundError:
        return None
    return f"{tick * cost_ticks / quantity:.6g}"
