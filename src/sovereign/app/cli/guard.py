"""`sovereign guard`: the dead-man guard, a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sovereign.app.cli.common import ConfigOption, SetOption, settings_from
from sovereign.core.errors import BrokerError, SovereignError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sovereign.app.configuration import Settings
    from sovereign.app.ops.account import AccountAccess
    from sovereign.app.ops.guard import Guard
    from sovereign.core.event import Notice


def command(
    is_once: Annotated[bool, typer.Option("--once", help="Look once, act if need be, and leave.")] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Watch every configured account at the venue itself, and flatten it when nobody else does.

    Runs until SIGTERM or Ctrl-C. What it finds and does goes to the log, to the store's notices and to the alert channels.
    """
    import asyncio

    from sovereign.app.ops.account import guarded_accounts
    from sovereign.app.ops.log import configure_logging
    from sovereign.app.ops.redaction import redactor_for

    settings = settings_from(config, overrides).settings
    log = configure_logging(settings.log, redactor_for(settings))
    try:
        trouble = asyncio.run(_watch(settings, guarded_accounts(settings), is_once=is_once))
    finally:
        log.close()
    if is_once and trouble:
        raise BrokerError(trouble)


def _guard_of(access: AccountAccess, settings: Settings, sink: Callable[[Notice], None]) -> Guard:
    import time

    from sovereign.app.cli.kill import keep_kill
    from sovereign.app.ops.guard import Guard, Hours

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
        latch=lambda reason: keep_kill(settings, access.name, "guard", reason),
        failures=(SovereignError, OSError),
    )


async def _watch(settings: Settings, accounts: list[AccountAccess], *, is_once: bool) -> str:
    """Look at every account again and again; return what is left in trouble after a single look."""
    import asyncio
    import logging
    import signal
    import time

    from sovereign.app.ops.heartbeat import Supervisor
    from sovereign.app.ops.log import log_notice
    from sovereign.app.ops.notices import NoticeKeeper

    logger = logging.getLogger("sovereign.guard")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    supervisor = Supervisor()
    keeper = NoticeKeeper(settings.store)

    def sink(notice: Notice) -> None:
        log_notice(logger, notice)
        keeper.put(notice)

    guards = [_guard_of(access, settings, sink) for access in accounts]
    for guard in guards:
        await guard.access.start()
    supervisor.ready(f"watching {', '.join(access.name for access in accounts)}")
    logger.info("watching", extra={"accounts": [access.name for access in accounts]})
    trouble: list[str] = []
    try:
        while not stop.is_set():
            found = await asyncio.gather(*(guard.step() for guard in guards))
            trouble = [finding.text for findings in found for finding in findings if finding.must_flatten]
            keeper.beat("guard", time.time_ns(), {"accounts": {guard.access.name: _held(guard) for guard in guards}})
            supervisor.watchdog(f"{len(guards)} accounts, {len(trouble)} in trouble")
            if is_once:
                break
            try:
                await asyncio.wait_for(stop.wait(), settings.guard.every_s)
            except TimeoutError:
                continue
    finally:
        supervisor.stopping()
        for guard in guards:
            await guard.access.close()
        keeper.close()
    unsure = [guard.access.name for guard in guards if guard.last_holding is None]
    return "; ".join([*(f"account '{name}' could not be seen" for name in unsure), *trouble])


def _held(guard: Guard) -> str:
    return "unknown" if guard.last_holding is None else guard.last_holding.text
