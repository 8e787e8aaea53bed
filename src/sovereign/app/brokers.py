"""Where a trading process trades: the simulated venue, or a broker by its own client. One feed, one link, by name."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sovereign.app.secret import read_secret
from sovereign.core.errors import ConfigurationError

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.app.market_tape import MarketTapes
    from sovereign.app.scout import TapeSet
    from sovereign.app.task import Task
    from sovereign.core.port import LiveFeed
    from sovereign.execution.broker import BrokerLink
    from sovereign.execution.brokers.alpaca_account import AlpacaAccount
    from sovereign.feeds.alpaca.client import AlpacaKeys

VENUE, ALPACA = "venue", "alpaca"
BROKERS = (VENUE, ALPACA)


class MachineClock:
    """Market time at a broker that trades now: the machine's clock, which the doctor compares with others."""

    def __init__(self) -> None:
        self._now = 0

    def now_ns(self) -> int:
        """Return UTC ns; when the clock is set back, it stands still until it is past again."""
        self._now = max(self._now, time.time_ns())
        return self._now


def alpaca_keys() -> AlpacaKeys:
    """Return the keys of the environment (`ALPACA_API_KEY`, `ALPACA_SECRET_KEY`, or `*_FILE` of each).

    Raises
    ------
    ConfigurationError : one is not set.
    """
    from sovereign.feeds.alpaca.client import AlpacaKeys

    return AlpacaKeys(read_secret(["ALPACA_API_KEY"]), read_secret(["ALPACA_SECRET_KEY"]))


def alpaca_account(settings: Settings, name: str) -> AlpacaAccount:
    """Return an account at Alpaca for guard and kill; which service it is at, its key says (`AK`: live).

    Raises
    ------
    ConfigurationError : a key is not set.
    """
    from sovereign.execution.brokers.alpaca_account import AlpacaAccount

    keys = alpaca_keys()
    is_paper, wait_s = not is_live_key(keys.key), settings.kill.wait_s
    return AlpacaAccount(keys, settings.alpaca, name, wait_s, is_paper=is_paper, now_ns=time.time_ns)


def is_live_key(key: str) -> bool:
    """Say whether a key opens a live account: Alpaca's begin with `AK`, those of paper accounts with `PK`."""
    return key.startswith("AK")


def connections(
    settings: Settings, task: Task, *, private_since: int | None = None, tapes: TapeSet | MarketTapes | None = None
) -> tuple[LiveFeed, BrokerLink]:
    """Return the feed and the link of a task, not started yet; at the simulated venue they are one object.

    Parameters
    ----------
    tapes : takes the quotes that come, where the feed has any with sizes (one line is all that a data plan may allow).
    private_since : number of the venue's last report that is known already; None: the comparison says what happened before.

    Raises
    ------
    ConfigurationError : live trading was asked of a simulated venue, no symbol was named, one of them is not traded there, or
        keys are missing.
    """
    if task.broker == ALPACA:
        from sovereign.app.scout import TapeSet

        return _alpaca(settings, task, tapes if isinstance(tapes, TapeSet) else None)
    from sovereign.app.market_tape import MarketTapes
    from sovereign.execution.brokers.venue import VenueClient

    name = f"{task.strategy} {task.mode}"
    client = VenueClient(task.url, task.token, settings.venue.client, private_since=private_since, name=name)
    if isinstance(tapes, MarketTapes):
        client.on_quotes = tapes.take
    if task.mode == "live" and client.is_simulated:
        raise ConfigurationError(
            "mode was live, and the venue of section 'venue' is simulated; live trading needs a broker: --broker alpaca"
        )
    return client, client


def _alpaca(settings: Settings, task: Task, tapes: TapeSet | None) -> tuple[LiveFeed, BrokerLink]:
    from sovereign.execution.brokers.alpaca import AlpacaLink
    from sovereign.feeds.alpaca.history import AlpacaHistory
    from sovereign.feeds.alpaca.live import AlpacaFeed
    from sovereign.feeds.alpaca.symbols import need_equities
    from sovereign.feeds.calendar import calendar_for

    if not task.symbols:
        raise ConfigurationError("no symbol was named; give --symbol for each, or set session.symbols")
    need_equities(task.symbols)
    keys, config, clock = alpaca_keys(), settings.alpaca, MachineClock()
    if is_live_key(keys.key) != (task.mode == "live"):
        raise ConfigurationError(
            f"--mode was {task.mode}, and ALPACA_API_KEY is of a {'live' if is_live_key(keys.key) else 'paper'} account; "
            f"use the key of the account that is meant"
        )
    grace_s = settings.live.in_flight_grace_s
    if config.entry_fresh_s >= grace_s:
        raise ConfigurationError(
            f"alpaca.entry_fresh_s was {config.entry_fresh_s:g} and live.in_flight_grace_s {grace_s:g}; the first must be "
            f"below the second, or an entry could leave after our books closed it; lower the first or raise the second"
        )
    history = AlpacaHistory(keys, config, settings.data.download, time.sleep)
    hooks: dict[str, Any] = {} if tapes is None else {"on_quote": tapes.on_quote, "on_gap": tapes.interrupt}
    feed = AlpacaFeed(keys, config, task.symbols, clock, calendar_for("XNYS"), history, **hooks)
    link = AlpacaLink(keys, config, clock, is_paper=task.mode != "live", symbols=task.symbols, last_price=feed.last_price)
    return feed, link
