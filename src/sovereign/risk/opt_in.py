"""The three consents that orders to a live account need, all at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

ENVIRONMENT = "ENABLE_LIVE_TRADING"
CONSENT = "1"


class OptIn(NamedTuple):
    """A consent that is missing: its name, and how to give it."""

    name: str
    how: str

    def __str__(self) -> str:
        return f"{self.name}: {self.how}"


def live_opt_ins(config_enabled: bool, flag: bool, environment: Mapping[str, str]) -> tuple[OptIn, ...]:
    """Return the consents to live trading that are missing; empty when all three are given.

    Parameters
    ----------
    config_enabled : `execution.trading_enabled` of the configuration.
    flag : whether `--live` was given on the command line.
    environment : the process environment; `ENABLE_LIVE_TRADING` must be exactly `1`.
    """
    missing = []
    if config_enabled is not True:
        missing.append(OptIn("execution.trading_enabled", "set trading_enabled = true under [execution] in the configuration"))
    if flag is not True:
        missing.append(OptIn("--live", "give the flag --live on the command line"))
    given = environment.get(ENVIRONMENT)
    if given != CONSENT:
        was = "is not set" if given is None else "is set to something else"
        missing.append(OptIn(ENVIRONMENT, f"set {ENVIRONMENT}={CONSENT} in the environment; it {was}"))
    return tuple(missing)
