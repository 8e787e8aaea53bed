"""Signs of life of a session, by every route: the store, a file, the health page, the terminal; and what the clock asks for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sovereign.app.plan import now_ns
from sovereign.core.session import NS_PER_SECOND

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.app.notify.router import AlertRouter
    from sovereign.app.ops.health import Vitals
    from sovereign.app.ops.redaction import Redactor
    from sovereign.app.readers import StoreWriter
    from sovereign.app.task import Task
    from sovereign.core.session import Session
    from sovereign.engine.live import Heartbeat as Sign


class SessionPulse:
    """One session's signs of life.

    Parameters
    ----------
    redact : hides secrets in whatever is told. say : tells a person at the terminal how it stands, a line at a time.
    look : is shown every sign. digest : sends the day's digest, when its hour has come.
    """

    def __init__(
        self,
        settings: Settings,
        task: Task,
        name: str,
        session: Session,
        *,
        writer: StoreWriter,
        alerts: AlertRouter,
        vitals: Vitals,
        redact: Redactor,
        say: Callable[[str], object],
        look: Callable[[Sign], object],
        digest: Callable[[], None],
    ) -> None:
        from sovereign.app.ops.desk import session_process
        from sovereign.app.ops.heartbeat import Heartbeat, beat_file
        from sovereign.app.ops.schedule import Agenda, session_entries

        self._task, self._name = task, name
        self._writer, self._alerts, self._vitals = writer, alerts, vitals
        self._redact, self._say, self._look, self._digest = redact, say, look, digest
        self._said = 0.0
        self._has_beaten = False
        self._shown: tuple[Any, ...] = ()
        who = {"broker": task.broker, "mode": task.mode, "account": task.account, "strategy": task.strategy}

        def keep(beat: Any) -> None:
            writer.beat(session_process(name), beat.ts, asdict(beat))

        self.heart = Heartbeat(settings.heartbeat, store=keep, file=beat_file(settings.heartbeat.file, **who))
        self._agenda = Agenda(session_entries(settings.schedule, session.calendar), session.open_ns)

    def beat(self, sign: Sign) -> None:
        """Give a sign of life by every route; called by the decision thread."""
        from sovereign.app.ops.heartbeat import Beat, memory_mb
        from sovereign.app.ops.schedule import late_notice
        from sovereign.store.process import this_process

        task, me, ts = self._task, this_process(), now_ns()
        self._look(sign)
        picture = (sign.state, dict(sign.positions), frozenset(sign.unhealthy))
        if not self.heart.is_due(ts) and picture == self._shown:
            return
        self._shown = picture  # what changed is told at once: people look at it
        for due in self._agenda.take(sign.ts):
            notice = late_notice(due, sign.ts)
            if notice is not None:
                self._alerts.sink(notice)
            if not due.is_missed:
                self._writer.later(self._digest)
        beat = Beat(
            ts=ts,
            market_ns=sign.ts,
            pid=me.pid,
            host=me.host,
            process_token=me.token,
            session_id=self._name,
            strategy=task.strategy,
            mode=task.mode,
            account=task.account,
            broker=task.broker,
            state=sign.state.value,
            feed_age_s=max(0.0, (sign.ts - sign.until_ns) / NS_PER_SECOND) if sign.until_ns else None,
            last_event="",
            last_event_ns=sign.until_ns,
            memory_mb=memory_mb(),
            positions=dict(sign.positions),
            balance=str(sign.balance),
            equity=str(sign.equity),
            troubles={subject: self._redact(reason) for subject, reason in sign.unhealthy.items()},
        )
        self.heart.beat(beat)
        if not self._has_beaten:
            self._has_beaten = True
            self.heart.drop_left_behind(beat)
        obstacles = [f"{subject}: {reason}" for subject, reason in sign.unhealthy.items()]
        if sign.state.value != "ACTIVE":
            obstacles.append(f"trading is {sign.state.value}")
        self._vitals.beat(beat, obstacles)
        self._tell(sign)

    def _tell(self, sign: Sign) -> None:
        interval, now = self._task.interval_s, time.monotonic()
        if interval is None or now - self._said < interval:
            return
        self._said = now
        held = ", ".join(f"{quantity:+d} {symbol}" for symbol, quantity in sign.positions.items() if quantity) or "flat"
        troubles = "; ".join(sign.unhealthy.values())
        self._say(f"{self._name}: {sign.state.value}, {held}, equity {sign.equity:,.2f}{f' ({troubles})' if troubles else ''}")
