"""`sovereign guard`: the dead-man guard, a process of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from sovereign.app.cli.beside import beside
from sovereign.app.cli.common import ConfigOption, SetOption
from sovereign.core.errors import BrokerError, SovereignError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from threading import Event

    from sovereign.app.configuration import Settings
    from sovereign.app.notify.router import AlertRouter
    from sovereign.app.ops.account import AccountAccess
    from sovereign.app.ops.guard import Guard
    from sovereign.app.ops.heartbeat import Beat
    from sovereign.core.event import Notice


def command(
    is_once: Annotated[bool, typer.Option("--once", help="Look once, act if need be, and leave.")] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Watch every configured account at the venue itself, and flatten it when nobody else does.

    Runs until SIGTERM or Ctrl-C. What it finds and does goes to the log, to the store's notices and to the alert channels.
    """
    from sovereign.app.ops.account import guarded_accounts

    with beside(config, overrides) as (settings, redactor, stop):
        trouble = watch(settings, guarded_accounts(settings), redactor, stop, is_once=is_once)
    if is_once and trouble:
        raise BrokerError(trouble)


def speaks_for(access: AccountAccess, accounts: Sequence[AccountAccess]) -> Callable[[Beat], bool]:
    """Return what says whether a sign of life is of a process that trades an account, one of `accounts`.

    By broker and name. A name that nobody here knows may be what a process calls any account of its broker: it speaks for all.
    """

    def is_ours(beat: Beat) -> bool:
        if beat.broker and beat.broker != access.broker:
            return False
        known = {one.name for one in accounts if one.broker == access.broker}
        return beat.account == access.name or beat.account not in known

    return is_ours


def _guard_of(
    access: AccountAccess, accounts: Sequence[AccountAccess], settings: Settings, sink: Callable[[Notice], None]
) -> Guard:
    import time

    from sovereign.app.cli.kill import keep_kill
    from sovereign.app.ops.guard import Guard, Hours
    from sovereign.app.ops.heartbeat import read_beats

    is_ours = speaks_for(access, accounts)

    def latch(reason: str) -> None:
        # Under every name that the account is traded under, or the process that trades it would go on.
        for name in sorted({access.name, *(beat.account for _, beat in read_beats(settings.heartbeat.file) if is_ours(beat))}):
            keep_kill(settings, name, "guard", reason)

    return Guard(
        access,
        settings.guard,
        settings.kill,
        Hours(
            is_regular_only=settings.risk.hours == "regular",
            flatten_before_close_minutes=settings.risk.flatten_before_close_minutes,
        ),
        settings.heartbeat.file,
        wall_ns=time.time_ns,
        sink=sink,
        latch=latch,
        failures=(SovereignError, OSError),
        is_ours=is_ours,
    )


def _alerts(settings: Settings, redactor: Callable[[str], str]) -> AlertRouter:
    from sovereign.app.notify.reader import AlertReader
    from sovereign.app.notify.router import AlertRouter
    from sovereign.app.notify.setup import channels_of

    reader = AlertReader(settings.alerts.zone, settings.alerts.max_outside_text)
    return AlertRouter(settings.alerts, reader, channels_of(settings.alerts), part="guard", redact=redactor).start()


def watch(
    settings: Settings, accounts: list[AccountAccess], redactor: Callable[[str], str], stop: Event, *, is_once: bool = False
) -> str:
    """Look at every account until `stop` is set, or once; return what was in trouble at the last look."""
    import logging
    import time
    from concurrent.futures import ThreadPoolExecutor

    from sovereign.app.ops.heartbeat import Supervisor
    from sovereign.app.ops.log import log_notice
    from sovereign.app.ops.notices import NoticeKeeper

    logger = logging.getLogger("sovereign.guard")
    supervisor, alerts = Supervisor(), _alerts(settings, redactor)
    keeper = NoticeKeeper(settings.store)

    def sink(notice: Notice) -> None:
        log_notice(logger, notice)
        alerts.sink(notice)
        keeper.put(replace(notice, text=redactor(notice.text)))

    guards = [_guard_of(access, accounts, settings, sink) for access in accounts]
    pool = ThreadPoolExecutor(max_workers=len(guards), thread_name_prefix="guard")
    names = ", ".join(access.name for access in accounts)
    supervisor.ready(f"watching {names}")
    logger.info("watching %s", names)
    trouble: list[str] = []
    try:
        while not stop.is_set():
            # Account beside account: one whose venue does not answer keeps no other from being flattened.
            looks = list(pool.map(lambda guard: guard.step(), guards))
            for guard in guards:
                guard.looked()
            trouble = [finding.text for findings in looks for finding in findings if finding.must_flatten]
            keeper.beat("guard", time.time_ns(), {"accounts": {guard.access.name: _held(guard) for guard in guards}})
            supervisor.watchdog(f"{len(guards)} accounts, {len(trouble)} in trouble")
            if is_once:
                break
            stop.wait(settings.guard.every_s)
    finally:
        supervisor.stopping()
        for guard in guards:
            guard.access.close()
        pool.shutdown(wait=False)
        alerts.close()
        keeper.close()
    unsure = [guard.access.name for guard in guards if guard.last_holding is None]
    return "; ".join([*(f"account '{name}' could not be seen" for name in unsure), *trouble])


def _held(guard: Guard) -> str:
    return "unknown" if guard.last_holding is None else guard.last_holding.text
