"""Start-up: a new session begins its recording; one that was cut off is replayed from it and stands where it stood.

Nothing leaves during the replay. The requests it makes are compared with the write-ahead journal: those found there may have
left and are in flight; those that are not there never left, and are closed by a recorded correction instead of being sent
late. What was decided differently from what is stored (other code, other settings) is announced, and entries stay blocked
until a person resumes; the journal and the broker decide then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from sovereign.core.command import Command, CommandKind
from sovereign.core.event import Event, NoticeCode, Severity
from sovereign.core.order import Order, OrderEvent, OrderRole, OrderStatus
from sovereign.core.port import Sink
from sovereign.engine.conductor import Conductor
from sovereign.engine.inputs import CommandReceived, CorrectionMade, Input, NoticeRaised, read_inputs
from sovereign.execution.broker import OrderJournal
from sovereign.execution.reconcile import Correction, CorrectionKind
from sovereign.execution.report import ExecutionReport
from sovereign.store.recording import Recording, read_header, read_recording

RECOVERY = "recovery"
_NEVER_LEFT = "never left: the session was cut off before it was sent"
_UNDO = {"NEW": OrderEvent.CANCEL, "CANCEL": OrderEvent.REFUSE_CANCEL, "REPLACE": OrderEvent.REFUSE_UPDATE}
_WAITS = {
    "NEW": (OrderStatus.SUBMITTED, OrderStatus.PENDING_CANCEL, OrderStatus.PENDING_UPDATE),
    "CANCEL": (OrderStatus.PENDING_CANCEL,),
    "REPLACE": (OrderStatus.PENDING_UPDATE,),
}
_EXITS = (OrderRole.FLATTEN, OrderRole.EXIT)


class KeptRequest(Protocol):
    """A request as the journal keeps it."""

    @property
    def request(self) -> str:
        """`NEW`, `CANCEL` or `REPLACE`."""
        ...

    @property
    def client_order_id(self) -> str:
        """Of which order."""
        ...


@runtime_checkable
class KeepsMany(Protocol):
    """A journal that makes several requests durable in one go."""

    def record_all(self, requests: Sequence[tuple[Order, str, int]]) -> None:
        """Keep requests, each with its order, its name and its time, all or none."""
        ...


class ReplayJournal:
    """The journal of a session that may be a replayed one: until `open`, requests are compared with those kept, then recorded.

    Between `hold` and `commit` requests wait: those that one input has led to are made durable together, by one wait for the
    disk, and all or none of them.

    Parameters
    ----------
    journal : where requests are made durable; None keeps none (a broker in this process).
    kept : the session's requests so far, oldest first.
    """

    def __init__(self, journal: OrderJournal | None, kept: Sequence[KeptRequest] = ()) -> None:
        self._journal = journal
        self._before: Callable[[], None] | None = None
        self._kept: dict[tuple[str, str], int] = {}
        for request in kept:
            key = (request.client_order_id, request.request)
            self._kept[key] = self._kept.get(key, 0) + 1
        self._is_open = False
        self._held: list[tuple[Order, str, int]] | None = None
        self.never_left: list[tuple[Order, str]] = []

    @property
    def unmatched(self) -> list[tuple[str, str]]:
        """Requests that were kept and that the replay has not made: (client order id, request)."""
        return [key for key, count in self._kept.items() for _ in range(count)]

    def open(self, before: Callable[[], None] | None = None) -> None:
        """The replay is over: from now on requests are recorded, each after `before` has returned (the recording's `sync`)."""
        self._before = before
        self._is_open = True

    def hold(self) -> None:
        """Let requests wait for `commit`; those that wait already are forgotten: they never left."""
        self._held = []

    def commit(self) -> None:
        """Make what waits durable; when this returns, it may leave.

        Raises
        ------
        RiskHaltError : it could not be kept, so nothing of it may leave.
        """
        held, self._held = self._held, None
        if held:
            self._keep(held)

    def _keep(self, requests: Sequence[tuple[Order, str, int]]) -> None:
        if self._before is not None:
            self._before()
        if isinstance(self._journal, KeepsMany):
            self._journal.record_all(requests)
        elif self._journal is not None:
            for order, request, ts in requests:
                self._journal.record(order, request, ts)

    def record(self, order: Order, request: str, ts: int) -> None:
        """Keep a request, or find the one that was kept."""
        if self._is_open:
            if self._held is None:
                self._keep(((order, request, ts),))
            else:
                self._held.append((copy(order), request, ts))  # as it is now: what follows changes it
            return
        key = (order.client_order_id, request)
        left = self._kept.get(key, 0)
        if left > 1:
            self._kept[key] = left - 1
        elif left == 1:
            del self._kept[key]
        else:
            self.never_left.append((order, request))


class AfterReplay:
    """A sink that hears nothing of a replay: for alerts and whatever must not be told twice."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._is_open = False

    def open(self) -> None:
        """The replay is over."""
        self._is_open = True

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if self._is_open:
            self._sink(event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What start-up found: the recording to go on with, and the inputs to apply before anything else."""

    recording: Recording
    is_new: bool
    replayed: int
    after: tuple[Input, ...]


def start(
    path: Path,
    header: Mapping[str, Any],
    conductor: Conductor,
    journal: ReplayJournal,
    *,
    now_ns: int,
    is_remote: bool,
    is_synced: bool = False,
    finish: Callable[[], str | None] | None = None,
    sinks: Sequence[AfterReplay] = (),
) -> Recovered:
    """Open a session's recording and bring the conductor to where it ends.

    Parameters
    ----------
    header : what the session is run with now; compared with what the recording was begun with.
    is_remote : orders leave this process; if not, the replayed broker has them, and nothing is undone.
    finish : called when the replay is over; says how its audit stream differed from the stored one, None if it did not.

    Raises
    ------
    CorruptFileError : the file is no recording, or holds an input that this version does not know.
    """
    recording = Recording(path, header, now_ns, is_synced=is_synced)
    try:
        replayed = 0
        if not recording.is_new:
            for item in read_inputs(read_recording(path)):
                conductor.apply(item)
                replayed += 1
        differs = [] if recording.is_new else _differences(header, read_header(path))
        if finish is not None and (difference := finish()) is not None:
            differs.append(difference)
    except BaseException:
        recording.close()
        raise
    lost = journal.unmatched
    if lost:
        words = ", ".join(f"{request} of {order}" for order, request in lost)
        differs.append(f"the journal holds requests that the replay did not make: {words}")
    journal.open(recording.sync)
    for sink in sinks:
        sink.open()
    if not is_remote:
        for order, request in journal.never_left:
            journal.record(order, request, conductor.engine.now_ns)
    after = _after(conductor, journal, recording, replayed, differs, is_remote=is_remote)
    return Recovered(recording=recording, is_new=replayed == 0, replayed=replayed, after=after)


def _differences(header: Mapping[str, Any], kept: Mapping[str, Any]) -> list[str]:
    names = sorted(name for name in header.keys() | kept.keys() if header.get(name) != kept.get(name))
    return [f"the recording was made with another {name}: {kept.get(name)}, now {header.get(name)}" for name in names]


def _after(
    conductor: Conductor,
    journal: ReplayJournal,
    recording: Recording,
    replayed: int,
    differs: Sequence[str],
    *,
    is_remote: bool,
) -> tuple[Input, ...]:
    """Return what the restart adds to the recording."""
    ts = max(conductor.engine.now_ns, conductor.until_ns)
    if not replayed and differs:
        # Halts, losses and order numbers of the lives before are unknown here: a person has to look first.
        return _warned(ts, 0, "the session was begun before, and its recording is not here: " + "; ".join(differs))
    if not replayed or conductor.is_closed:
        return ()
    # An earlier restart may have put some right already: what matters is what still waits for an answer.
    waiting = [(order, request) for order, request in journal.never_left if order.status in _WAITS[request]]
    never = len(waiting) if is_remote else 0
    text = f"{replayed} recorded inputs were replayed; {never} requests had never left"
    values: dict[str, str | int | float] = {"inputs": replayed, "never_left": never, "cut_bytes": recording.cut_bytes}
    items: list[Input] = [
        NoticeRaised(ts=ts, code=NoticeCode.RECOVERED, severity=Severity.WARNING, subject="session", text=text, values=values)
    ]
    if differs:
        items += _warned(ts, replayed, "; ".join(differs))
    if is_remote:
        items += _undo(ts, replayed, waiting)
    return tuple(items)


def _warned(ts: int, replayed: int, reason: str) -> tuple[Input, ...]:
    return (
        NoticeRaised(ts=ts, code=NoticeCode.REPLAY_DIFFERS, severity=Severity.ALARM, subject="session", text=reason),
        _command(ts, f"replay-{replayed}", CommandKind.REDUCE, reason, {"cause": "replay"}),
    )


def _undo(ts: int, replayed: int, never_left: Sequence[tuple[Order, str]]) -> list[Input]:
    items: list[Input] = []
    closed = {order.client_order_id for order, request in never_left if request == "NEW"}
    for order, request in never_left:
        name = order.client_order_id
        if request != "NEW" and name in closed:
            continue
        report = ExecutionReport(cause=_UNDO[request], client_order_id=name, ts=ts, reason=_NEVER_LEFT)
        if request == "REPLACE":
            report = replace(report, quantity=order.quantity)
        items.append(
            CorrectionMade(
                ts=ts, correction=Correction(kind=CorrectionKind.REPORT, subject=name, reason=_NEVER_LEFT, report=report)
            )
        )
        if request == "CANCEL":
            items.append(_command(ts, f"cancel-{replayed}-{name}", CommandKind.CANCEL, _NEVER_LEFT, {"order": name}))
    if any(order.role in _EXITS for order, request in never_left if request == "NEW"):
        # What was to be closed must be closed: leaving is decided anew, under new ids.
        items.append(_command(ts, f"flatten-{replayed}", CommandKind.FLATTEN, _NEVER_LEFT, {}))
    return items


def _command(ts: int, name: str, kind: CommandKind, reason: str, arguments: Mapping[str, str]) -> CommandReceived:
    command = Command(command_id=f"{RECOVERY}-{name}", kind=kind, by=RECOVERY, reason=reason, arguments=arguments)
    return CommandReceived(ts=ts, command=command)
