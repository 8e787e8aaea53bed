"""Whatever reaches the decision thread: the inputs of a session, and how a recording keeps each of them.

An input carries the market time `ts` at which it became known (UTC ns). A live session, its recovery after a kill and its twin
apply the same inputs and therefore say the same; nothing else may reach the engine (docs/decisions/0002).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from sovereign.core.columns import Trades
from sovereign.core.command import Command
from sovereign.core.errors import CorruptFileError
from sovereign.core.event import NoticeCode, Severity
from sovereign.core.instrument import Instrument
from sovereign.core.news import NewsReading
from sovereign.core.session import Session
from sovereign.core.tape import TapeSnapshot
from sovereign.engine.codec import from_plain, to_plain
from sovereign.execution.reconcile import Correction
from sovereign.execution.report import ExecutionReport
from sovereign.store.recording import Frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """Something that became known at `ts` (UTC ns)."""

    ts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPosition:
    """A position carried over; `cost_ticks` is quantity (signed) times average entry price in ticks."""

    symbol: str
    tape: str
    quantity: int
    cost_ticks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a session begins with: money, positions, and what the risk door remembers (`RiskDoor.state`; empty: nothing).

    `cursor` is the broker's last execution that money and positions know of: whatever follows it belongs to this session;
    `number` is that of its last report before, where it numbers them. `moved` is the money that came (positive) or went between
    the sessions without a trade; balance and marks hold it already.
    """

    balance: Decimal
    high_water_mark: Decimal
    positions: tuple[OpenPosition, ...] = ()
    door: Mapping[str, Any] = field(default_factory=dict)
    cursor: int = 0
    number: int = 0
    moved: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpened(Input):
    """A trade date begins."""

    session: Session
    instruments: tuple[Instrument, ...]
    opening: Opening


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slice(Input):
    """Ticks of one tape; `until_ns` promises that nothing earlier of this tape will follow."""

    symbol: str
    trades: Trades
    until_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePromised(Input):
    """No tape brings anything earlier than `ts` any more; if one does, it is taken at `ts`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportReceived(Input):
    """The broker has said something; `tape` and `row` name the tick that made it happen, where the venue says so (from 1).

    `number` is the venue's own of this message, where it numbers them: a restart asks for what came after the last.
    """

    report: ExecutionReport
    tape: str = ""
    row: int = 0
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionChanged(Input):
    """The line to the `feed` or the `broker` (`subject`) was lost or is back."""

    subject: str
    is_connected: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChanged(Input):
    """A part can be relied upon again, or no longer: `data:SYMBOL`, `backlog`, `reconciliation`, `replay`...

    Readers of the audit stream are told with `code` and `severity`; without a code they are not.
    """

    subject: str
    is_well: bool
    reason: str = ""
    code: NoticeCode | None = None
    severity: Severity = Severity.WARNING


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandReceived(Input):
    """A person, a schedule or the guard asks for something."""

    command: Command


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionMade(Input):
    """Our books follow the broker's."""

    correction: Correction


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginsChanged(Input):
    """The broker charges other margins per unit, by traded symbol."""

    margins: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeRaised(Input):
    """Something about the operation that belongs into the audit stream."""

    code: NoticeCode
    severity: Severity
    subject: str
    text: str
    values: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceReceived(Input):
    """What scouts have seen of tape and news; `ts` lies behind everything walked, so no earlier row can have known it."""

    snapshots: tuple[TapeSnapshot, ...] = ()
    readings: tuple[NewsReading, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionClosed(Input):
    """The trade date is over; `cursor` is the broker's last execution that was compared with our books."""

    cursor: int = 0


INPUTS: Mapping[str, type[Input]] = {
    kind.__name__: kind
    for kind in (
        SessionOpened,
        Slice,
        TimePromised,
        ReportReceived,
        ConnectionChanged,
        HealthChanged,
        CommandReceived,
        CorrectionMade,
        MarginsChanged,
        NoticeRaised,
        EvidenceReceived,
        SessionClosed,
    )
}
"""Every kind of input by the name under which it is recorded."""

_COLUMNS = ("ts", "price", "size", "side", "bid", "ask")


def to_frame(item: Input) -> Frame:
    """Return an input as a recording keeps it: ticks as raw columns, everything else as JSON."""
    kind = type(item).__name__
    if isinstance(item, Slice):
        columns = {name: column for name in _COLUMNS if (column := getattr(item.trades, name)) is not None}
        header = {"symbol": item.symbol, "until_ns": item.until_ns} | ({"is_path": True} if item.trades.is_path else {})
        return Frame(kind, item.ts, header, columns)
    plain = to_plain(item)
    plain.pop("ts", None)
    return Frame(kind, item.ts, plain, {})


def from_frame(frame: Frame) -> Input:
    """Return the input that a frame keeps.

    Raises
    ------
    CorruptFileError : it keeps none that this version knows.
    """
    kind = INPUTS.get(frame.kind)
    if kind is None:
        raise CorruptFileError(f"a recorded input was of kind '{frame.kind}'; known are {', '.join(INPUTS)}")
    if kind is not Slice:
        item: Input = from_plain(kind, {"ts": frame.ts, **frame.header})
        return item
    try:
        columns: dict[str, Any] = {name: frame.arrays[name] for name in _COLUMNS if name in frame.arrays}
        trades = Trades(**columns, is_path=bool(frame.header.get("is_path", False)))
        return Slice(ts=frame.ts, symbol=frame.header["symbol"], trades=trades, until_ns=frame.header["until_ns"])
    except (KeyError, TypeError) as cause:
        raise CorruptFileError(f"a recorded slice could not be read: {cause!r}") from cause


def read_inputs(frames: Iterable[Frame]) -> Iterator[Input]:
    """Yield the inputs of a recording in order."""
    return map(from_frame, frames)


def is_same(one: Input, other: Input) -> bool:
    """Say whether two inputs are equal, ticks included."""
    if isinstance(one, EvidenceReceived) and isinstance(other, EvidenceReceived):
        # What is not known is NaN, which equals nothing.
        a, b = to_frame(one), to_frame(other)
        return a.ts == b.ts and json.dumps(a.header, sort_keys=True) == json.dumps(b.header, sort_keys=True)
    if not isinstance(one, Slice) or not isinstance(other, Slice):
        return one == other
    a, b = to_frame(one), to_frame(other)
    return (a.ts, a.header, a.arrays.keys()) == (b.ts, b.header, b.arrays.keys()) and all(
        a.arrays[name].tobytes() == b.arrays[name].tobytes() for name in a.arrays
    )
