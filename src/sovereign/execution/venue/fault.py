"""What can go wrong between a client and a venue, as a schedule: seeded, repeatable, and armed one fault at a time.

Faults of the wire (drop, reset, mute, delay, duplicate, reorder, lose, amnesia, restart) change what arrives; faults of the
venue (partial fill, reject, cancel after fill, clock skew, rate limit) change what is answered. None changes the books in a
way that the venue would not own up to when asked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from random import Random

from pydantic import Field, TypeAdapter, ValidationError

from sovereign.core.configuration import Configuration
from sovereign.core.errors import NotFoundError, UsageError


class FaultKind(StrEnum):
    """What goes wrong."""

    DROP = "drop"
    RESET = "reset"
    MUTE = "mute"
    DELAY = "delay"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    LOSE = "lose"
    PARTIAL_FILL = "partial_fill"
    REJECT = "reject"
    CANCEL_AFTER_FILL = "cancel_after_fill"
    AMNESIA = "amnesia"
    RESTART = "restart"
    CLOCK_SKEW = "clock_skew"
    RATE_LIMIT = "rate_limit"


class Channel(StrEnum):
    """Which messages a fault of the wire meets."""

    ALL = "all"
    REQUESTS = "requests"
    REPLIES = "replies"
    PRIVATE = "private"
    MARKET = "market"


class Fault(Configuration):
    """One fault. It is armed when the market has come `at_ms` far into its tape, and spent after `count` uses or `wall_ms`.

    | kind | what happens | `count` | `wall_ms` |
    |---|---|---|---|
    | drop, reset | the connection ends, with FIN or RST | | |
    | mute | sockets stay open, nothing is sent or heard | | how long |
    | delay | each message waits; later ones wait behind it | messages | how long each |
    | duplicate | a message comes twice | messages | |
    | reorder | a message comes after the next one | messages | |
    | lose | a message never comes | messages | |
    | partial_fill | an order fills in pieces, each at an event of its own | orders | |
    | reject | a new order is rejected | orders | |
    | cancel_after_fill | the order fills just before its cancel is looked at | cancels | |
    | amnesia | the venue forgets who is logged in; sockets stay open | | |
    | restart | the venue starts anew: connections and logins gone, books read from its files | | how long it is down |
    | clock_skew | the clock that the venue tells is off by `skew_ms` | | how long |
    | rate_limit | at most `count` order requests a second | requests a second | how long |
    """

    kind: FaultKind = Field(description="what goes wrong")
    at_ms: float = Field(default=0.0, ge=0, description="market milliseconds of the tape after which it is armed")
    count: int = Field(default=1, ge=1, description="messages, orders or requests it meets")
    wall_ms: float = Field(default=200.0, ge=0, description="how long it lasts or takes, milliseconds")
    channel: Channel = Field(default=Channel.ALL, description="which messages a fault of the wire meets")
    pieces: int = Field(default=2, ge=2, le=20, description="pieces of a partial fill")
    skew_ms: float = Field(default=0.0, description="what the venue's clock is off by, milliseconds")


_WIRE = (Channel.REQUESTS, Channel.REPLIES, Channel.PRIVATE, Channel.MARKET)
_ON_MESSAGES = (FaultKind.DELAY, FaultKind.DUPLICATE, FaultKind.REORDER, FaultKind.LOSE)


def seeded_faults(
    seed: int, span_ms: float, count: int = 8, wall_ms: float = 150.0, kinds: Sequence[FaultKind] = tuple(FaultKind)
) -> tuple[Fault, ...]:
    """Return `count` faults at random moments of a tape of `span_ms`; the same seed gives the same ones.

    Parameters
    ----------
    wall_ms : longest duration of a fault that lasts.
    kinds : which there may be.
    """
    rng = Random(seed)  # noqa: S311 - a schedule to repeat, not a secret
    faults = []
    for at_ms in sorted(rng.uniform(0, span_ms) for _ in range(count)):
        kind = rng.choice(tuple(kinds))
        channel = rng.choice(_WIRE) if kind in _ON_MESSAGES else Channel.ALL
        faults.append(
            Fault(
                kind=kind,
                at_ms=round(at_ms, 3),
                count=rng.randint(1, 4),
                wall_ms=round(rng.uniform(1.0, max(1.0, wall_ms)), 1),
                channel=channel,
                pieces=rng.randint(2, 4),
                skew_ms=round(rng.uniform(-3000.0, 3000.0), 1) if kind is FaultKind.CLOCK_SKEW else 0.0,
            )
        )
    return tuple(faults)


def faults_from(text: str, span_ms: float) -> tuple[Fault, ...]:
    """Read `--faults`: a seed, or a JSON file with a list of faults.

    Raises
    ------
    NotFoundError : it is neither a number nor a file.
    UsageError : the file does not hold a list of faults.
    """
    if text.isdecimal():
        return seeded_faults(int(text), span_ms)
    file = Path(text)
    if not file.is_file():
        raise NotFoundError(f"faults was '{text}'; give a seed (a whole number) or a JSON file with a list of faults")
    try:
        return TypeAdapter(tuple[Fault, ...]).validate_python(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as cause:
        raise UsageError(f"'{text}' did not hold a list of faults ({cause}); see docs/concepts/venue.md") from cause
