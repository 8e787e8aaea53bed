"""What a trading process is asked to do, and what it says of each session that it has traded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sovereign.app.brokers import VENUE
from sovereign.core.errors import ConfigurationError
from sovereign.store.session_state import placed

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings

PAPER, LIVE = "paper", "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a trading process is to do.

    Parameters
    ----------
    mode : `paper` or `live`. account : its name at the venue. url, token : of the simulated venue.
    broker : one of `brokers.BROKERS`. symbols : what to trade at a broker; the simulated venue says what trades there.
    is_once : trade the present or next session, then end. interval_s : seconds between two lines that say how it stands; None
        says nothing.
    round_minutes : with `is_once`, end after the next multiple of so many minutes was decided on; None: when the session ends.
    """

    strategy: str
    mode: str
    account: str
    url: str = ""
    token: str = ""
    broker: str = VENUE
    symbols: tuple[str, ...] = ()
    is_once: bool = False
    interval_s: float | None = None
    round_minutes: int | None = None

    @property
    def place(self) -> str:
        """The account by its name and where it is, as what sessions leave to each other is kept by."""
        return placed(self.account, self.broker, self.mode)

    def session_id(self, trade_date: date) -> str:
        """Return the name of the session of a trade date."""
        where = "" if self.broker == VENUE else f"{self.broker}-{self.mode}-"
        return f"{self.account}-{where}{self.strategy}-{trade_date:%Y%m%d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traded:
    """A session that is over: `exit_code` as the engine said it; `is_late` when it had been cut off, and was only settled.

    `rounds` were decided on, and `decisions` are theirs, where one round was asked for.
    """

    session_id: str
    exit_code: int
    reason: str
    is_closed: bool
    recording: Path
    is_late: bool = False
    rounds: int = 0
    decisions: tuple[dict[str, Any], ...] = ()


def check_consents(settings: Settings, flag: bool, environment: Mapping[str, str]) -> None:
    """Refuse live trading unless all three consents are given at once.

    Raises
    ------
    ConfigurationError : names every consent that is missing, and how to give it.
    """
    from sovereign.risk.opt_in import live_opt_ins

    missing = live_opt_ins(settings.execution.trading_enabled, flag, environment)
    if missing:
        words = "; ".join(f"{consent.name}: {consent.how}" for consent in missing)
        raise ConfigurationError(f"live trading needs three consents at once, and missing was {words}")
