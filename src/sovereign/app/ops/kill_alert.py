"""What people are told of a kill, by the configured channels, from the process that kills: no session has to run for it.

It goes beside the kill, which waits for nothing of it and is told what could not be delivered.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.app.notify.alert import Alert
    from sovereign.app.notify.router import AlertRouter
    from sovereign.app.ops.kill import KillReport
    from sovereign.core.event import Severity

PART = "kill"
"""Name of the spool that keeps what could not be delivered for the next kill."""


class KillAlert:
    """Tells that somebody kills, at once, and then what came of it.

    Parameters
    ----------
    redact : hides secrets in the words of venues and people.
    now_ns : the system clock, UTC ns.
    """

    def __init__(
        self,
        settings: Settings,
        by: str,
        reason: str,
        redact: Callable[[str], str],
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._settings = settings
        self._by, self._reason = by, reason
        self._redact = redact
        self._now_ns = now_ns
        self._begun_ns = now_ns()
        self._router: AlertRouter | None = None
        self._fault = ""
        self._starting = threading.Thread(target=self._start, name="kill: alert", daemon=True)
        self._starting.start()

    def close(self, done: KillReport | None, error: str = "") -> str:
        """Tell what came of it, and return what could not be told (empty: all was, or nobody is to be told).

        Parameters
        ----------
        done : None when nothing could be tried, for the reason `error`.
        """
        from sovereign.core.event import Severity

        config = self._settings.alerts
        patience_s = config.timeout_s + config.flush_s
        self._starting.join(patience_s)
        router = self._router
        if router is None:
            return self._fault or ("the alert channels did not come up in time" if self._starting.is_alive() else "")
        if done is None:
            router.post(
                self._alert(Severity.CRITICAL, "Kill: nothing could be closed", f"{error}; close by hand at the venue", "end")
            )
        else:
            title = "Kill: every account is flat" if done.is_flat else "Kill: NOT FLAT"
            router.post(self._alert(Severity.CRITICAL, title, _words(done), "end"))
        if router.close(patience_s):
            return ""
        return "the alert was not delivered in time; it waits in the spool for the next 'sovereign kill'"

    def _start(self) -> None:
        import sqlite3

        from sovereign.app.notify.reader import AlertReader
        from sovereign.app.notify.router import AlertRouter
        from sovereign.app.notify.setup import channels_of
        from sovereign.core.errors import SovereignError
        from sovereign.core.event import Severity

        config = self._settings.alerts
        try:
            channels = channels_of(config)
            reader = AlertReader(config.zone, config.max_outside_text)
            router = AlertRouter(config, reader, channels, part=PART, redact=self._redact).start()
        except (SovereignError, OSError, sqlite3.Error) as fault:
            self._fault = f"nobody was told of the kill ({self._redact(str(fault))})"
            return
        router.post(
            self._alert(Severity.CRITICAL, "Kill switch", "every order is being canceled and every position closed", "begin")
        )
        self._router = router

    def _alert(self, severity: Severity, title: str, text: str, step: str) -> Alert:
        from sovereign.app.notify.alert import Alert, Topic, outside

        config = self._settings.alerts
        return Alert(
            key=f"kill:{self._begun_ns}:{step}",  # every kill is a matter of its own, and no repeat of the one before
            ts=self._now_ns(),
            severity=severity,
            topic=Topic.RISK,
            title=title,
            text=text,
            zone=config.zone,
            fields=(
                ("By", outside(self._by, config.max_outside_text)),
                ("Reason", outside(self._reason or "none given", config.max_outside_text)),
            ),
        )


def _words(done: KillReport) -> str:
    from sovereign.app.notify.alert import outside

    lines = [
        f"{one.account}: flat, the venue says so; before: {'unknown' if one.before is None else one.before.text}"
        if one.is_flat
        else f"{one.account}: NOT FLAT ({outside(one.error, 200)}); close it by hand at the venue now"
        for one in done.accounts
    ]
    if not done.is_latched:
        lines.append(f"the kill is NOT latched in the store ({outside(done.latch_error, 200)}): sessions may trade on")
    return "\n".join(lines)
