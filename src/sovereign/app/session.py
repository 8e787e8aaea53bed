"""A trading process put together from settings: one strategy on one account, session after session, until told to stop.

What one session is made of is in `session_run`; here is what lasts longer than a session: the store, the alerts, the health
page and the scouts, and that the next session begins.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from sovereign.app.plan import now_ns
from sovereign.app.session_run import SessionRun
from sovereign.app.task import Task, Traded
from sovereign.core.errors import RiskHaltError
from sovereign.core.event import Notice, NoticeCode, Severity

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.app.notify.router import AlertRouter
    from sovereign.app.ops.redaction import Redactor
    from sovereign.engine.live import LiveSession
    from sovereign.store.store import Store


class TradingProcess:
    """Trades one session after the other.

    Parameters
    ----------
    say : tells a person at the terminal how it stands, a line at a time.
    redact : hides secrets in whatever is told.
    """

    def __init__(self, settings: Settings, task: Task, redact: Redactor, say: Callable[[str], object]) -> None:
        self.settings = settings
        self.task = task
        self.redact = redact
        self.say = say
        self.is_stopping = threading.Event()
        self._running: LiveSession | None = None

    def stop(self, reason: str) -> None:
        """End in good order, soon; positions stay as they are. May be called from a signal handler."""
        self.is_stopping.set()
        if self._running is not None:
            self._running.stop(reason)

    def is_running(self, session: LiveSession | None) -> None:
        """Take note of the session to be stopped when the process is."""
        self._running = session
        if session is not None and self.is_stopping.is_set():
            session.stop("stopped")

    def run(self) -> list[Traded]:
        """Trade until the tape ends, once when asked so, or until stopped.

        Raises
        ------
        RiskHaltError : the account was killed, and nobody has cleared it.
        """
        from sovereign.app.ops.account import mark_broker
        from sovereign.app.ops.health import HealthServer, Vitals
        from sovereign.app.ops.metrics import Metrics
        from sovereign.app.scout_desk import start_scouts
        from sovereign.store.store import Store

        settings, task = self.settings, self.task
        done: list[Traded] = []
        with Store(settings.store) as store:
            self._check_latch(store)
            mark_broker(settings, task.broker)
            vitals = Vitals(Metrics())
            server = HealthServer(settings.health, vitals)
            alerts = self._alerts()
            scouts = start_scouts(settings, task, store)
            try:
                server.start()
                self._tell_reboot(alerts)
                while not self.is_stopping.is_set():
                    traded = SessionRun(self, store, alerts, vitals, scouts).trade()
                    if traded is None:
                        break
                    done.append(traded)
                    if (task.is_once and not traded.is_late) or traded.exit_code or not traded.is_closed:
                        break
            finally:
                if scouts is not None:
                    scouts.close()
                alerts.close()
                server.close()
        return done

    def _check_latch(self, store: Store) -> None:
        from sovereign.store.live_schema import EVERY_ACCOUNT

        latch = store.live.latched(self.task.account)
        if latch is not None:
            whose = "every account" if latch.account == EVERY_ACCOUNT else f"account '{latch.account}'"
            raise RiskHaltError(
                f"{whose} was killed by {latch.set_by} ({latch.reason}); look at the venue, then clear it with: "
                f"sovereign resume --account '{latch.account}'"
            )

    def _alerts(self) -> AlertRouter:
        from sovereign.app.notify.reader import AlertReader
        from sovereign.app.notify.router import AlertRouter
        from sovereign.app.notify.setup import channels_of

        config, task = self.settings.alerts, self.task
        facts = {"Mode": task.mode, "Strategy": task.strategy, "Account": task.account}
        reader = AlertReader(config.zone, config.max_outside_text, facts=facts)
        return AlertRouter(config, reader, channels_of(config), part="session", redact=self.redact).start()

    def _tell_reboot(self, alerts: AlertRouter) -> None:
        """Say that the machine was started anew since a session last ran on it."""
        from sovereign.app.ops.files import replace_file
        from sovereign.store.process import boot_id

        file, boot = self.settings.session.folder / "boot", boot_id()
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            before = file.read_text(encoding="utf-8").strip()
        except OSError:
            before = boot
        if boot and before != boot:
            alerts.sink(
                Notice(
                    ts=now_ns(),
                    code=NoticeCode.SERVER_RESTARTED,
                    severity=Severity.WARNING,
                    subject="machine",
                    text="the machine was started anew since the last session",
                )
            )
        if boot:
            replace_file(file, boot)
