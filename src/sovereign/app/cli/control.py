"""`sovereign control`: commands by Telegram, taken in a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sovereign.app.cli.beside import beside
from sovereign.app.cli.common import ConfigOption, SetOption
from sovereign.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from sovereign.app.configuration import Settings

_BEAT_S = 5.0


def command(config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Take commands by Telegram from the listed chats: /status /positions /daily /halt /resume /flatten /help.

    Runs beside the session until SIGTERM or Ctrl-C, and answers also while no session runs or one hangs.
    """
    with beside(config, overrides) as (settings, redactor, stop):
        listen(settings, redactor, stop)


def listen(settings: Settings, redactor: Callable[[str], str], stop: Event) -> None:
    """Take commands until `stop` is set.

    Raises
    ------
    ConfigurationError : there is no bot, or no chat that may command.
    """
    import logging
    import time

    from sovereign.app.notify.control import TelegramControl
    from sovereign.app.notify.router import spool_path
    from sovereign.app.notify.setup import TOKEN, telegram_token
    from sovereign.app.notify.spool import Spool
    from sovereign.app.notify.telegram import TelegramBot
    from sovereign.app.ops.heartbeat import Supervisor
    from sovereign.app.ops.notices import NoticeKeeper
    from sovereign.app.ops.remote import RemoteDesk
    from sovereign.store.store import Store

    config = settings.alerts
    token = telegram_token(config)
    if not token:
        raise ConfigurationError(f"no Telegram bot was configured; set {TOKEN}, and leave alerts.telegram.enabled on")
    if not config.telegram.command_chats:
        raise ConfigurationError(
            "alerts.telegram.command_chats named nobody; list the ids of the chats that may command, for example [123456789]"
        )
    supervisor = Supervisor()
    spool = Spool(spool_path(config, "control"))
    keeper = NoticeKeeper(settings.store)
    with Store(settings.store) as store:
        control = TelegramControl(config, TelegramBot(config, token), RemoteDesk(store, settings, redactor), spool).start()
        supervisor.ready("listening to Telegram")
        logging.getLogger("sovereign.control").info("listening to %d chats", len(config.telegram.command_chats))
        try:
            while not stop.is_set() and control.is_alive:
                keeper.beat("control", time.time_ns(), {"ignored": control.ignored})
                supervisor.watchdog("listening to Telegram")
                stop.wait(_BEAT_S)
        finally:
            supervisor.stopping()
            control.close(config.flush_s)
            keeper.close()
            if not control.is_alive:
                spool.close()
