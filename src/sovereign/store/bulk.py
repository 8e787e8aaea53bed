"""Decisions by the ten thousand: candidates that a strategy's own gates refused, written by column.

Each row keeps every number it was judged by, as float64 in a fixed order; the names are kept once per set of checks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sovereign.core.decision import Check
from sovereign.core.errors import UsageError

BULK_COLUMNS = (
    "run_key",
    "decision_id",
    "ts",
    "symbol",
    "name",
    "side",
    "strength",
    "confidence",
    "verdict",
    "failed_check",
    "failed_value",
    "failed_limit",
    "failed_unit",
    "reason",
    "check_set",
    "numbers",
)
_SIDE = {1: "BUY", -1: "SELL", 0: "NONE"}


@dataclass(frozen=True, slots=True, eq=False)
class CheckColumn:
    """One gate looking at every candidate: `value[i]` held against `limit[i]` (or one limit for all), both in `unit`."""

    name: str
    value: NDArray[Any]
    limit: NDArray[Any] | float
    unit: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DecisionColumns:
    """Refused candidates of one symbol, one row each; all arrays have shape (n,).

    Parameters
    ----------
    ids : the decisions' permanent ids, unique within the run.
    ts : UTC ns of the decision.
    name, names : code of what was seen, and the name of each code.
    side : +1 long, -1 short, 0 context only.
    checks : the gates in the order they are applied.
    failed : index into `checks` of the gate that refused the row; the gates before it passed, those after were not asked.
    inputs : further numbers by name that the decision looked at.
    """

    symbol: str
    ids: Sequence[str]
    ts: NDArray[Any]
    name: NDArray[Any]
    names: Sequence[str]
    side: NDArray[Any]
    strength: NDArray[Any]
    confidence: NDArray[Any]
    checks: Sequence[CheckColumn]
    failed: NDArray[Any]
    inputs: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = len(self.ids)
        columns = {"ts": self.ts, "name": self.name, "side": self.side, "strength": self.strength, "failed": self.failed}
        for column, values in {**columns, "confidence": self.confidence, **self.inputs}.items():
            if len(values) != rows:
                raise UsageError(f"column '{column}' had {len(values)} rows and ids {rows}; columns must have one length")
        if rows and not 0 <= int(np.min(self.failed)) <= int(np.max(self.failed)) < len(self.checks):
            raise UsageError(
                f"failed was between {np.min(self.failed)} and {np.max(self.failed)}; allowed is 0 to {len(self.checks) - 1}, "
                f"an index into the {len(self.checks)} checks; leave candidates that passed out"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def describe(self) -> str:
        """Return what the numbers of a row mean, as JSON text for `check_sets`."""
        return json.dumps(
            {
                "inputs": list(self.inputs),
                "checks": [{"name": check.name, "unit": check.unit, "reason": check.reason} for check in self.checks],
            }
        )

    def rows(self, run_key: int, check_set: int) -> Iterable[tuple[Any, ...]]:
        """Return driver rows in the order of `BULK_COLUMNS`."""
        count, checks, inputs = len(self), len(self.checks), len(self.inputs)
        numbers = np.empty((count, inputs + 2 * checks), "<f8")
        for position, column in enumerate(self.inputs.values()):
            numbers[:, position] = column
        for position, check in enumerate(self.checks):
            numbers[:, inputs + 2 * position] = check.value
            numbers[:, inputs + 2 * position + 1] = check.limit
        failed = np.asarray(self.failed, np.int64)
        at = np.arange(count)
        width = numbers.shape[1] * 8
        data = numbers.tobytes()
        names = list(self.names)
        failed_list = failed.tolist()
        return zip(
            repeat(run_key, count),
            self.ids,
            np.asarray(self.ts, np.int64).tolist(),
            repeat(self.symbol, count),
            [names[code] for code in self.name.tolist()],
            [_SIDE[side] for side in self.side.tolist()],
            np.asarray(self.strength, np.float64).tolist(),
            np.asarray(self.confidence, np.float64).tolist(),
            repeat("REFUSED", count),
            [self.checks[index].name for index in failed_list],
            numbers[at, inputs + 2 * failed].tolist(),
            numbers[at, inputs + 2 * failed + 1].tolist(),
            [self.checks[index].unit for index in failed_list],
            [self.checks[index].reason for index in failed_list],
            repeat(check_set, count),
            [data[start : start + width] for start in range(0, count * width, width)] if width else repeat(b"", count),
            strict=True,
        )


def unpack(detail: str, numbers: bytes, failed_check: str | None) -> tuple[dict[str, float], tuple[Check, ...]]:
    """Return the inputs and the checks made of a row written by column; gates after the failing one were not asked."""
    meaning = json.loads(detail)
    values = np.frombuffer(numbers, "<f8").tolist()
    inputs = dict(zip(meaning["inputs"], values, strict=False))
    pairs = values[len(inputs) :]
    checks = []
    for position, check in enumerate(meaning["checks"]):
        is_failed = check["name"] == failed_check
        checks.append(
            Check(
                name=check["name"],
                value=pairs[2 * position],
                limit=pairs[2 * position + 1],
                unit=check["unit"],
                passed=not is_failed,
                note=check["reason"] if is_failed else "",
            )
        )
        if is_failed:
            break
    return inputs, tuple(checks)
