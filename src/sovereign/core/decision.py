"""Decisions: every candidate leaves one record, taken or not, with every check that looked at it.

A refusal is a value with the numbers, never a bool and never an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sovereign.core.order import OrderIntent, Side
from sovereign.core.record import maker, quick


class Verdict(StrEnum):
    """What became of a candidate."""

    APPROVED = "APPROVED"
    RESIZED = "RESIZED"
    REFUSED = "REFUSED"


Words = str | tuple[Any, ...]
"""A text, or a template and what goes into it; `say` puts it together."""


def say(words: Words) -> str:
    """Return words as text: in a template's numbers a Decimal reads as money, None as `unknown`."""
    if isinstance(words, str):
        return words
    template, *parts = words
    return str(template).format(*(money(part) if part is None or isinstance(part, Decimal) else part for part in parts))


def money(value: Decimal | None) -> str:
    """Return money as text, or `unknown`."""
    return f"{value:,.2f}" if value is not None else "unknown"


class _CheckFields(NamedTuple):
    name: str
    value: float
    limit: float
    unit: str
    passed: bool
    words: Words


class Check(_CheckFields):
    """One rule looking at one candidate: `value` held against `limit`, both in `unit`.

    `value` or `limit` is NaN when it was not known, which fails the check. The note may be given as a template with its
    numbers, which must not change any more; the sentence is then put together when somebody reads it, which is seldom: a
    decision has some thirty checks. (A tuple, since making one is several times as fast as making a frozen dataclass.)
    """

    __slots__ = ()

    def __new__(cls, name: str, value: float, limit: float, unit: str, passed: bool, note: Words = "") -> Check:
        """Make a check; see the class."""
        return _new_check(cls, (name, value, limit, unit, passed, note))

    @property
    def note(self) -> str:
        """What the check found, as a sentence with the numbers."""
        return say(self.words)

    def _asdict(self) -> dict[str, Any]:
        return {**dict(zip(self._fields[:5], self[:5], strict=True)), "note": self.note}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Check) and self[:5] == other[:5] and self.note == other.note

    __ne__ = object.__ne__  # the opposite of the above; a tuple's own compares the words

    def __hash__(self) -> int:
        return hash(self[:5])

    def __repr__(self) -> str:
        return (
            f"Check(name={self.name!r}, value={self.value!r}, limit={self.limit!r}, unit={self.unit!r}, "
            f"passed={self.passed!r}, note={self.note!r})"
        )


make_check = maker(Check)


_new_check: Callable[[type[Check], tuple[Any, ...]], Check] = tuple.__new__


@quick
@dataclass(frozen=True, slots=True)
class Refused:
    """Why a candidate was not taken: the check that failed, its limit, the value and the unit."""

    check: str
    limit: float
    value: float
    unit: str
    reason: str


@quick
@dataclass(frozen=True, slots=True)
class Approved:
    """A candidate that may be traded: quantity after sizing and the instrument to trade (chosen by the account tier).

    `tier` names the tier it was sized in, for the record; empty outside the tiers.
    """

    quantity: int
    was_resized: bool
    symbol: str
    tier: str = field(default="", compare=False)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A strategy's candidate: what it saw, the gates it applied itself, and the order it wants if it wants one.

    `intent` is None when one of the strategy's own `checks` failed; the candidate is recorded all the same.
    """

    name: str
    symbol: str
    side: Side
    strength: float
    confidence: float
    inputs: Mapping[str, float | int | str]
    checks: tuple[Check, ...]
    intent: OrderIntent | None


make_proposal = maker(Proposal)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The permanent record of one candidate."""

    decision_id: str
    ts: int
    strategy: str
    proposal: Proposal
    checks: tuple[Check, ...]
    verdict: Verdict
    outcome: Approved | Refused


make_decision = maker(Decision)


class KeptRefusals(Sequence[Decision]):
    """Candidates that were refused in a session, in order; their records are made when somebody reads them.

    Parameters
    ----------
    count : how many they are.
    make : makes the records from what was kept of each moment; asked once.
    """

    __slots__ = ("_count", "_made", "_make")

    def __init__(self, count: int, make: Callable[[], Sequence[Decision]]) -> None:
        self._count = count
        self._make: Callable[[], Sequence[Decision]] | None = make
        self._made: Sequence[Decision] = ()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: Any) -> Any:
        return self._all()[place]

    def __iter__(self) -> Iterator[Decision]:
        return iter(self._all())

    def _all(self) -> Sequence[Decision]:
        if self._make is not None:
            self._made, self._make = self._make(), None  # what was kept goes when the records are there
        return self._made


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RefusedCheck:
    """One gate over all refused candidates: `value[i]` against `limit`."""

    name: str
    value: NDArray[np.float64]
    limit: float
    unit: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RefusedColumns:
    """Candidates that a strategy's own gates refused, by column; arrays have shape (n,).

    Parameters
    ----------
    index : where each lies among the session's candidates; stable, so ids can be made from it.
    row : the bar it was seen on. ts : UTC ns of the decision.
    name, names : code of the pattern, and the name of each code. side : +1 long, -1 short, 0 context.
    checks : the gates in order. failed : index into `checks` of the gate that refused; those before it passed.
    inputs : what else the decision looked at, by name.
    """

    index: NDArray[np.int64]
    row: NDArray[np.int64]
    ts: NDArray[np.int64]
    name: NDArray[np.int64]
    names: tuple[str, ...]
    side: NDArray[np.int8]
    strength: NDArray[np.float64]
    confidence: NDArray[np.float64]
    checks: tuple[RefusedCheck, ...]
    failed: NDArray[np.int64]
    inputs: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.index)
