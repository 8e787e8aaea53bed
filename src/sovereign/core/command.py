"""Commands: what a person, a schedule or the guard asks a running session to do. Each is durable, answered and audited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class CommandKind(StrEnum):
    """What may be asked of a session."""

    HALT = "HALT"  # cancel everything, close everything, nothing new until resumed
    REDUCE = "REDUCE"  # nothing new; what is open may be closed
    RESUME = "RESUME"  # clear the halts, by name
    FLATTEN = "FLATTEN"  # cancel everything and close everything, go on afterwards
    CANCEL = "CANCEL"  # cancel one working order
    TRADE = "TRADE"  # an order of a person, through the same door
    RECONCILE = "RECONCILE"  # compare with the broker now
    STOP = "STOP"  # end the session in good order; positions stay as they are


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One request: `by` names who asks, `reason` why; `arguments` are strings as they were given (symbol, side, qty...)."""

    command_id: str
    kind: CommandKind
    by: str
    reason: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
