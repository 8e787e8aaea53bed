"""Watch that every position that is meant to have a stop has one working, and say so, or act, when it has not for too long.

The engine calls `check` after every batch of reports and when `next_ns` comes; times are handed in, so a replay says the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sovereign.core.event import Notice
from sovereign.core.order import Order
from sovereign.core.session import NEVER

if TYPE_CHECKING:
    from sovereign.execution.executor import Executor


class UnprotectedAction(StrEnum):
    """What to do about a position without a stop, besides the alarm."""

    ALARM = "alarm"
    PROTECT = "protect"
    FLATTEN = "flatten"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionVerdict:
    """What a check found: `notices` to emit, stops to `submit` and to `cancel`, and symbols to `flatten`, in this order."""

    notices: tuple[Notice, ...] = ()
    submit: tuple[Order, ...] = ()
    cancel: tuple[Order, ...] = ()
    flatten: tuple[str, ...] = ()


class ProtectionWatch:
    """Counts how long a position's working stops have been smaller than the position.

    Parameters
    ----------
    alarm_ns : how long that may last (market time).
    action : what to do then.
    """

    def __init__(self, executor: Executor, alarm_ns: int, action: UnprotectedAction) -> None:
        self._executor = executor
        self._alarm_ns = alarm_ns
        self._action = action
        self._since: dict[str, int] = {}

    @property
    def next_ns(self) -> int:
        """When `check` must be called next though nothing was reported; `NEVER` if nothing is open to doubt."""
        return NEVER

    def check(self, now: int) -> ProtectionVerdict:  # noqa: ARG002 - filled in below
        """Look at every position now."""
        return ProtectionVerdict()
