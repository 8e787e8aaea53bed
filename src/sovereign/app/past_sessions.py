"""What sessions of an account and strategy have left: their recordings, one that was cut off, the last report heard."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sovereign.app.opening import recorded_opening
from sovereign.core.errors import CorruptFileError

if TYPE_CHECKING:
    from datetime import date

    from sovereign.app.configuration import Settings
    from sovereign.app.task import Task
    from sovereign.core.instrument import Instrument
    from sovereign.core.session import Session
    from sovereign.store.live import LiveSession as Kept
    from sovereign.store.store import Store

ENDED = "ended"
"""Status of a session that was closed."""

_logger = logging.getLogger("sovereign.session")


def recording_path(settings: Settings, session_id: str) -> Path:
    """Return where a session's input is recorded."""
    return settings.session.folder / f"{session_id}.rec"


def warm_up_recordings(settings: Settings, store: Store, task: Task, before: date) -> list[Path]:
    """Return the recordings of the sessions before a trade date that warm the signals up, oldest first."""
    ended = [
        kept
        for kept in sessions_of(store, task)
        if kept.status == ENDED and kept.trade_date < before and Path(kept.recording_path).is_file()
    ]
    ended.sort(key=lambda kept: kept.trade_date)
    return [Path(kept.recording_path) for kept in ended[len(ended) - min(settings.session.warm_up_sessions, len(ended)) :]]


def sessions_of(store: Store, task: Task) -> list[Kept]:
    """Return the sessions of an account and strategy where the task trades, newest first."""
    found = store.live.sessions(account=task.account, strategy=task.strategy)
    return [kept for kept in found if kept.id == task.session_id(kept.trade_date)]


def cut_off(store: Store, task: Task, before: date | None) -> tuple[Session, Sequence[Instrument]] | None:
    """Return the oldest session that was cut off and whose date is over: of a process that died and came back too late.

    Parameters
    ----------
    before : trade date of the present session; None when there is none any more.
    """
    begun = [
        kept
        for kept in sessions_of(store, task)
        if kept.status != ENDED and (before is None or kept.trade_date < before) and Path(kept.recording_path).is_file()
    ]
    for kept in sorted(begun, key=lambda kept: kept.trade_date):
        try:
            first = recorded_opening(Path(kept.recording_path))
        except CorruptFileError as damage:
            _logger.warning("session %s was cut off and cannot be settled (%s)", kept.id, damage)
            continue
        if first is not None:  # one that ended before it was opened has left nothing to settle
            return first.session, first.instruments
    return None


def last_report(store: Store, task: Task) -> int | None:
    """Return the number of the last report that the session which goes on has recorded; None when none goes on."""
    from sovereign.engine.inputs import ReportReceived, SessionOpened
    from sovereign.store.recording import read_recording

    newest = next(iter(sessions_of(store, task)), None)
    if newest is None or newest.status == ENDED or not Path(newest.recording_path).is_file():
        return None
    last: int | None = None
    try:
        for frame in read_recording(Path(newest.recording_path)):
            if frame.kind == SessionOpened.__name__:
                last = int(frame.header["opening"].get("number", 0))
            elif frame.kind == ReportReceived.__name__ and last is not None:
                last = max(last, int(frame.header.get("number", 0)))
    except CorruptFileError as damage:
        _logger.warning("session %s cannot be read (%s)", newest.id, damage)
    return last
