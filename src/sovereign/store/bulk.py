"""Decisions by the ten thousand: candidates that a strategy's own gates refused, written by column.

Each row keeps every number it was judged by, as float64 in a fixed order; the names are kept once per set of checks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from sovereign.core.decision import Check
from sovereign.core.errors import UsageError
from sovereign.store import schema
from sovereign.store.database import Database

_COLUMNS = ("key", "ts", "name_code", "side", "failed_code", "strength", "confidence")


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
    prefix : of the decision ids, unique within the run for this session and symbol; must not end in a digit.
    index : where each lies among the session's candidates, increasing; row `i` is the decision `f"{prefix}{index[i]}"`.
    ts : UTC ns of the decision.
    name, names : code of what was seen, and the name of each code.
    side : +1 long, -1 short, 0 context only.
    checks : the gates in the order they are applied.
    failed : index into `checks` of the gate that refused the row; the gates before it passed, those after were not asked.
    inputs : further numbers by name that the decision looked at.
    """

    symbol: str
    prefix: str
    index: NDArray[Any]
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
        rows = len(self.ts)
        columns = {"index": self.index, "name": self.name, "side": self.side, "strength": self.strength, "failed": self.failed}
        for column, values in {**columns, "confidence": self.confidence, **self.inputs}.items():
            if len(values) != rows:
                raise UsageError(f"column '{column}' had {len(values)} rows and ts {rows}; columns must have one length")
        if rows and not (
            int(self.index[0]) >= 0 and int(self.index[-1]) < schema.BLOCK_ROWS and np.all(np.diff(self.index) > 0)
        ):
            raise UsageError(
                f"index ran from {self.index[0]} to {self.index[-1]}; it must increase from row to row and stay within "
                f"0 to {schema.BLOCK_ROWS - 1}; hand candidates over by session"
            )
        if self.prefix[-1:].isdigit():
            raise UsageError(f"prefix was '{self.prefix}', which ends in a digit; end it with a letter or a dash")
        if rows and not 0 <= int(np.min(self.failed)) <= int(np.max(self.failed)) < len(self.checks):
            raise UsageError(
                f"failed was between {np.min(self.failed)} and {np.max(self.failed)}; allowed is 0 to {len(self.checks) - 1}, "
                f"an index into the {len(self.checks)} checks; leave candidates that passed out"
            )

    def __len__(self) -> int:
        return len(self.ts)

    def describe(self) -> str:
        """Return what the numbers of a row mean, as JSON text."""
        return json.dumps(
            {
                "inputs": list(self.inputs),
                "checks": [{"name": check.name, "unit": check.unit, "reason": check.reason} for check in self.checks],
            }
        )

    def numbers(self) -> bytes:
        """Return all inputs, then value and limit of every check, as float64 of shape (n, inputs + 2 * checks)."""
        count, inputs = len(self), len(self.inputs)
        numbers = np.empty((count, inputs + 2 * len(self.checks)), "<f8")
        for position, column in enumerate(self.inputs.values()):
            numbers[:, position] = column
        for position, check in enumerate(self.checks):
            numbers[:, inputs + 2 * position] = check.value
            numbers[:, inputs + 2 * position + 1] = check.limit
        return numbers.tobytes()


def known_words(connection: Connection, run_key: int) -> dict[str, int]:
    """Return the codes of a run's words, for `write_columns` within the same transaction."""
    table = schema.run_words
    return {row.word: row.code for row in connection.execute(select(table).where(table.c.run_key == run_key))}


def _codes(
    database: Database, connection: Connection, run_key: int, words: Sequence[str], known: dict[str, int]
) -> NDArray[np.int64]:
    """Return the run's code of each word, giving new words the next codes."""
    table = schema.run_words
    fresh = [word for word in dict.fromkeys(words) if word not in known]
    rows = [(run_key, len(known) + position, word) for position, word in enumerate(fresh)]
    database.insert(connection, table, ("run_key", "code", "word"), rows)
    known.update({word: code for _, code, word in rows})
    return np.array([known[word] for word in words], np.int64)


def write_columns(
    database: Database, connection: Connection, run_key: int, columns: DecisionColumns, words: dict[str, int] | None = None
) -> int:
    """Write refused candidates by column, about a microsecond a row; returns how many.

    `words` are the run's `known_words`, which are added to; without them they are read.
    """
    count = len(columns)
    if not count:
        return 0
    block = {
        "run_key": run_key,
        "symbol": columns.symbol,
        "prefix": columns.prefix,
        "count": count,
        "detail": columns.describe(),
        "numbers": columns.numbers(),
    }
    key = database.insert_one(connection, schema.candidate_blocks, block)
    known = known_words(connection, run_key) if words is None else words
    names = _codes(database, connection, run_key, columns.names, known)
    checks = _codes(database, connection, run_key, [check.name for check in columns.checks], known)
    start = key * schema.BLOCK_ROWS
    rows: Iterable[tuple[Any, ...]] = zip(
        (np.asarray(columns.index, np.int64) + start).tolist(),
        np.asarray(columns.ts, np.int64).tolist(),
        names[columns.name].tolist(),
        columns.side.tolist(),
        checks[columns.failed].tolist(),
        np.asarray(columns.strength, np.float64).tolist(),
        np.asarray(columns.confidence, np.float64).tolist(),
        strict=True,
    )
    database.insert(connection, schema.candidates, _COLUMNS, list(rows))
    return count


def unpack(detail: str, numbers: bytes, position: int, failed_check: str) -> tuple[dict[str, float], tuple[Check, ...]]:
    """Return the inputs and the checks made of one row of a block; gates after the failing one were not asked."""
    meaning = json.loads(detail)
    width = len(meaning["inputs"]) + 2 * len(meaning["checks"])
    values = np.frombuffer(numbers, "<f8").reshape(-1, width)[position].tolist()
    inputs = dict(zip(meaning["inputs"], values, strict=False))
    pairs = values[len(inputs) :]
    checks = []
    for at, check in enumerate(meaning["checks"]):
        is_failed = check["name"] == failed_check
        checks.append(
            Check(
                name=check["name"],
                value=pairs[2 * at],
                limit=pairs[2 * at + 1],
                unit=check["unit"],
                passed=not is_failed,
                note=check["reason"] if is_failed else "",
            )
        )
        if is_failed:
            break
    return inputs, tuple(checks)
