"""The days before a rehearsal: recordings of the synthetic market, as a session that only looked on would have left them.

A strategy that measures today against the days before proposes little, or nothing that the door takes, on a market without any.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from sovereign.core.instrument import find_instrument
from sovereign.execution.venue.configuration import TapeSpec

if TYPE_CHECKING:
    from sovereign.app.configuration import Settings
    from sovereign.app.task import Task


def record_days(symbol: str, seed: int, before: date, days: int, folder: Path) -> tuple[Path, ...]:
    """Record the day sessions before a date, whole and oldest first; return the files."""
    from sovereign.app.configuration import Settings
    from sovereign.app.venue import tape_opener
    from sovereign.engine.conductor import opened
    from sovereign.engine.inputs import Opening, SessionClosed, Slice, to_frame
    from sovereign.feeds.calendar import calendar_for
    from sovereign.store.recording import Recording

    if not days:
        return ()
    calendar = calendar_for(find_instrument(symbol).calendar)
    earlier = calendar.sessions(before - timedelta(days=2 * days + 14), before - timedelta(days=1))[-days:]
    spec = TapeSpec(symbol=symbol, start=earlier[0].trade_date, end=earlier[-1].trade_date, seed=seed)
    tape = tape_opener(Settings())(spec)
    nothing = Opening(balance=Decimal(0), high_water_mark=Decimal(0))
    files = []
    for session in tape.sessions:
        path = folder / f"{session.trade_date:%Y%m%d}.rec"
        with Recording(path, {"trade_date": session.trade_date.isoformat()}, session.open_ns) as recording:
            recording.append(to_frame(opened(session, tape.instruments(session), nothing)))
            for name, trades in tape.columns(session).items():
                block = Slice(ts=session.close_ns, symbol=name, trades=trades, until_ns=session.close_ns)
                recording.append(to_frame(block))
            recording.append(to_frame(SessionClosed(ts=session.close_ns)))
        files.append(path)
    return tuple(files)


def keep_days(settings: Settings, task: Task, files: Sequence[Path]) -> None:
    """Enter recordings into a rehearsal's store as sessions that have ended, so that the next one is warmed up from them."""
    from sovereign.app.opening import recorded_opening
    from sovereign.store.live import LiveSession
    from sovereign.store.store import Store

    with Store(settings.store) as store:
        for path in files:
            first = recorded_opening(path)
            if first is None:
                continue
            name, session = task.session_id(first.session.trade_date), first.session
            store.live.begin_session(
                LiveSession(
                    id=name,
                    account=task.account,
                    strategy=task.strategy,
                    mode=task.mode,
                    trade_date=session.trade_date,
                    recording_path=str(path),
                    started_ns=session.open_ns,
                    code_hash="",
                    config_hash="",
                )
            )
            store.live.end_session(name, ended_ns=session.close_ns, reason="looked on")
