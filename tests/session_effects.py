"""Effects of the settings of trading processes."""

from __future__ import annotations

import tempfile
import time
from datetime import date
from pathlib import Path

from key_effects import effect
from sovereign.app.configuration import Settings


def _settings(place: str, **session: object) -> Settings:
    return Settings.model_validate(
        {
            "session": session,
            "store": {"url": f"sqlite:///{place}/s.sqlite"},
            "venue": {"state": f"{place}/venue"},
        }
    )


@effect("session.account")
def _() -> tuple[object, object]:
    from sovereign.app.cli.run import task_of
    from sovereign.app.venue import make_tokens

    with tempfile.TemporaryDirectory() as folder:
        make_tokens(_settings(folder), ["paper", "other"])
        one, other = (
            task_of(_settings(folder, account=name), "order_flow", "paper", None, None, False, 0.0)
            for name in ("paper", "other")
        )
    return (one.account, one.token), (other.account, other.token)


@effect("session.broker")
def _() -> tuple[object, object]:
    from sovereign.app.cli.run import task_of
    from sovereign.app.venue import make_tokens

    with tempfile.TemporaryDirectory() as folder:
        make_tokens(_settings(folder), ["paper"])
        one, other = (
            task_of(_settings(folder, broker=name), "order_flow", "paper", None, None, False, 0.0)
            for name in ("venue", "alpaca")
        )
    return (one.broker, one.url), (other.broker, other.url)


@effect("session.symbols")
def _() -> tuple[object, object]:
    from sovereign.app.cli.run import task_of

    one, other = (
        task_of(_settings("x", broker="alpaca", symbols=symbols), "order_flow", "paper", None, None, False, 0.0).symbols
        for symbols in (("SPY",), ("SPY", "QQQ"))
    )
    return one, other


@effect("session.folder")
def _() -> tuple[object, object]:
    from sovereign.app.past_sessions import recording_path

    one, other = (recording_path(_settings("x", folder=folder), "a") for folder in ("here", "there"))
    return one, other


@effect("session.warm_up_sessions")
def _() -> tuple[object, object]:
    from sovereign.app.past_sessions import warm_up_recordings
    from sovereign.app.task import Task
    from sovereign.store.live import LiveSession
    from sovereign.store.store import Store

    task = Task(strategy="order_flow", mode="paper", account="paper", url="", token="")
    with tempfile.TemporaryDirectory() as folder, Store(_settings(folder).store) as store:
        for day in (3, 4, 5):
            path = Path(folder) / f"{day}.rec"
            path.touch()
            store.live.begin_session(
                LiveSession(
                    id=task.session_id(date(2025, 3, day)),
                    account="paper",
                    strategy="order_flow",
                    mode="paper",
                    trade_date=date(2025, 3, day),
                    recording_path=str(path),
                    started_ns=day,
                    code_hash="",
                    config_hash="",
                )
            )
            store.live.end_session(task.session_id(date(2025, 3, day)), ended_ns=day)
        one, other = (
            [p.name for p in warm_up_recordings(_settings(folder, warm_up_sessions=n), store, task, date(2025, 3, 6))]
            for n in (0, 2)
        )
    return one, other


@effect("session.runs_scouts")
def _() -> tuple[object, object]:
    from sovereign.app.scout_desk import start_scouts
    from sovereign.app.task import Task
    from sovereign.store.store import Store

    def has_scouts(folder: str, is_on: bool) -> bool:
        task = Task(strategy="tug_of_war", mode="paper", account="paper", url="", token="")
        with Store(_settings(folder).store) as store:
            desk = start_scouts(_settings(folder, runs_scouts=is_on), task, store)
            if desk is not None:
                desk.close()
            return desk is not None

    with tempfile.TemporaryDirectory() as folder:
        return has_scouts(folder, True), has_scouts(folder, False)


@effect("session.evidence_every_s")
def _() -> tuple[object, object]:
    from sovereign.app.company import Company
    from sovereign.app.task import Task
    from sovereign.core.instrument import find_instrument
    from sovereign.core.tape import TapeSnapshot
    from sovereign.feeds.calendar import calendar_for
    from sovereign.store.store import Store
    from sovereign.strategies.tug_of_war import TugOfWarConfig, TugOfWarStrategy

    session = calendar_for("XNYS").session(date(2025, 3, 4))
    assert session is not None

    def found(folder: str, every_s: float) -> int:
        task = Task(strategy="tug_of_war", mode="paper", account="paper", url="", token="")
        with Store(_settings(folder).store) as store:
            company = Company(
                _settings(folder, evidence_every_s=every_s), store, task, TugOfWarStrategy(TugOfWarConfig()), None, print, print
            )
            company.begin(session, [find_instrument("NVDA")], lambda: session.regular_close_ns)
            time.sleep(0.5)  # the first look finds nothing
            numbers = dict.fromkeys(("ofi", "ofi_z", "queue_imbalance", "queue_imbalance_z", "mid"), 1.0)
            store.scouts.add_snapshots(
                [
                    TapeSnapshot(
                        symbol="NVDA", ts=session.regular_open_ns, bid_size=1, ask_size=1, is_absorption=False, **numbers
                    )
                ]
            )
            deadline = time.monotonic() + (10.0 if every_s < 1 else 0.5)
            seen = 0
            while not seen and time.monotonic() < deadline:
                seen = len(company.evidence().snapshots)
                time.sleep(0.01)
            company.close()
            return seen

    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        return found(one, 0.02), found(other, 60)
