"""What the vendors of history have in common: the settings of a download, and patience with a server that has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pydantic import Field

from sovereign.core.configuration import Configuration
from sovereign.core.errors import OperationTimeoutError

T = TypeVar("T")


class DownloadConfiguration(Configuration):
    """How history is fetched from vendors."""

    max_cost_usd: float = Field(
        default=10.0, ge=0, description="USD; a download whose estimated cost is above it is refused (--max-cost overrides)"
    )
    attempts: int = Field(default=4, ge=1, description="how often a request is made before giving up (429, 5xx, broken bodies)")
    backoff_s: float = Field(
        default=1.0, ge=0, description="seconds before the second attempt; each further one waits twice as long"
    )
    futures_dataset: str = Field(default="GLBX.MDP3", description="Databento dataset of futures: CME Globex")
    equity_dataset: str = Field(default="EQUS.MINI", description="Databento dataset of US equities: consolidated, low cost")
    databento_gateway: str = Field(
        default="https://hist.databento.com", description="address of Databento's historical service"
    )
    massive_base: str = Field(default="https://api.massive.com", description="address of Massive's (Polygon's) REST service")


class BusyError(Exception):
    """A vendor asked to come back later, or an answer broke off; `wait_s` is what it asked for, if it did."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def patiently(call: Callable[[], T], what: str, rules: DownloadConfiguration, sleep: Callable[[float], None]) -> T:
    """Call until it does not raise `BusyError`, waiting twice as long each time.

    Raises
    ------
    OperationTimeoutError : every attempt was in vain.
    """
    wait = rules.backoff_s
    last = BusyError("no attempt was made")
    for attempt in range(rules.attempts):
        try:
            return call()
        except BusyError as busy:
            last = busy
            if attempt + 1 < rules.attempts:
                sleep(wait if busy.wait_s is None else max(wait, busy.wait_s))
                wait *= 2
    raise OperationTimeoutError(f"{what} failed {rules.attempts} times, last with: {last}; nothing was kept; try again later")


def without_key(text: str, key: str) -> str:
    """Return text with the key masked, whatever a server chose to repeat."""
    return text.replace(key, "***") if key else text
