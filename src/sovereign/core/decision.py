"""Decisions: every candidate leaves one record, taken or not, with every check that looked at it.

A refusal is a value with the numbers, never a bool and never an exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.core.order import OrderIntent, Side


class Verdict(StrEnum):
    """What became of a candidate."""

    APPROVED = "APPROVED"
    RESIZED = "RESIZED"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Check:
    """One rule looking at one candidate: `value` held against `limit`, both in `unit`.

    `value` or `limit` is NaN when it was not known, which fails the check.
    """

    name: str
    value: float
    limit: float
    unit: str
    passed: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a candidate was not taken: the check that failed, its limit, the value and the unit."""

    check: str
    limit: float
    value: float
    unit: str
    reason: str


@dataclass(frozen=True, slots=True)
class Approved:
    """A candidate that may be traded: quantity after sizing and the instrument to trade (chosen by the account tier)."""

    quantity: int
    was_resized: bool
    symbol: str


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
