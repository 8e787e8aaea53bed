"""A demonstration as other processes see it: recorded, alive, commanded, and deciding what it decides unwatched."""

import threading
import time
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from dashboard_stage import wait_for
from sovereign.app.configuration import load_settings
from sovereign.app.console.screen import Lines
from sovereign.app.console.watch import Pace
from sovereign.app.dashboard.view import View
from sovereign.app.demonstration.plan import demo_plan
from sovereign.app.demonstration.session import ACCOUNT, play
from sovereign.app.ops.desk import StoreDesk, session_process
from sovereign.app.ops.redaction import Redactor
from sovereign.core.command import Command, CommandKind
from sovereign.core.event import encode
from sovereign.core.session import NS_PER_HOUR
from sovereign.engine.inputs import SessionClosed, SessionOpened, Slice, read_inputs
from sovereign.research.backtest import run_backtest
from sovereign.store.recording import read_recording
from sovereign.store.store import Store

LIVELY = (
    "synthetic.ticks_per_session=60000",
    "strategies.order_flow.router.min_confidence=0",
    "strategies.order_flow.router.min_strength=0",
)
STRATEGY = "order_flow"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def settings():
    return load_settings(None, LIVELY, strategy=STRATEGY).settings


def plan_of(settings, sessions=1):
    return demo_plan(settings, STRATEGY, "ES", 1, date(2025, 1, 2), sessions, None, is_tested=False)


def played(settings, store, watcher=None, sessions=1):
    return play(plan_of(settings, sessions), settings, store, Pace(speed=0.0), watcher or Lines(lambda _: None), Redactor())


def test_demonstration_when_it_is_shown_then_it_decides_what_it_decides_unwatched(settings):
    plan = plan_of(settings)
    unwatched: list[str] = []
    run_backtest(plan.recipe, plan.feed, sinks=(lambda e: unwatched.append(encode(e).decode().strip()),), warm_up=plan.warm_up)
    with Store(settings.store) as store:
        finished = played(settings, store)
        assert [row.text for row in store.live.audit_events(finished.result.run_id)] == unwatched
        assert store.live.verify_audit(finished.result.run_id).is_whole
        assert len(store.trades(finished.result.run_id)) == len(finished.result.lanes["realistic"].trades) > 0


def test_demonstration_when_it_is_over_then_store_and_recording_tell_of_a_session(settings):
    with Store(settings.store) as store:
        name = played(settings, store).result.run_id
        session, run = store.live.session(name), store.run(name)
        assert (session.mode, session.account, session.status) == ("demo", ACCOUNT, "ended")
        assert session.reason == "the market has closed"
        assert (run.record.kind, run.record.account, run.record.is_simulated) == ("demo", ACCOUNT, True)
        assert run.status == "finished"
        inputs = list(read_inputs(read_recording(Path(session.recording_path))))
        assert isinstance(inputs[0], SessionOpened)
        assert isinstance(inputs[-1], SessionClosed)
        assert sum(len(item.trades) for item in inputs if isinstance(item, Slice)) == 60_000
        assert {beat.process for beat in store.live.heartbeats()} == {session_process(name)}


@contextmanager
def viewed(settings, store):
    view = View(store, settings)
    try:
        yield view
    finally:
        view.markets.close()


def test_dashboard_when_it_shows_a_demonstration_then_the_bars_are_those_it_decided_on_and_none_is_later(settings):
    with Store(settings.store) as store:
        finished = played(settings, store)
        run = store.run(finished.result.run_id)
    with Store(settings.store) as store, viewed(settings, store) as view:
        seen = view.overview(run)
        assert (seen["account"], seen["kind"], seen["is_live"], seen["is_simulated"]) == (ACCOUNT, "demo", False, True)
        shown = view.bars(run, None, None, day=None, before=None, count=500)
        assert shown["source"] == "recording of the session"
        assert shown["total"] == finished.result.tables.bars
        noon = view.market(run).session.regular_open_ns + 2 * NS_PER_HOUR
        then = view.bars(run, None, noon, day=None, before=None, count=500)
        assert 0 < then["total"] < shown["total"]
        assert all(bar["close_ms"] <= noon / 1e6 for bar in then["bars"])
        assert then["bars"] == shown["bars"][: then["total"]]


def test_demonstration_when_it_lasts_two_sessions_then_the_second_is_shown_with_the_signals_going_on(settings):
    with Store(settings.store) as store:
        finished = played(settings, store, sessions=2)
        run = store.run(finished.result.run_id)
    with Store(settings.store) as store, viewed(settings, store) as view:
        market = view.market(run)
        assert market.session.trade_date == date(2025, 1, 3)
        tape = market.tapes["ES"]
        last = list(finished.outcome.tables.sessions)[-1]
        assert len(tape.rows()) > 0
        assert len(tape.ticks[0]) == 60_000
        assert last.session.trade_date == date(2025, 1, 3)


class Person(Lines):
    """Somebody who asks for something at chosen numbers of closed trades, and waits until it is taken."""

    def __init__(self, store, wishes):
        super().__init__(lambda _: None)
        self._store, self._wishes, self.ids = store, dict(wishes), []
        self._run = ""

    def begin(self, head, is_compiled, speed, span):
        super().begin(head, is_compiled, speed, span)
        self._run = head.run_id

    def on_block(self, passage):
        super().on_block(passage)
        for wish in [one for one, is_due in self._wishes.items() if is_due(passage)]:
            del self._wishes[wish]
            kind = CommandKind(wish.split()[0])
            command = Command(command_id=f"c-{len(self.ids)}", kind=kind, by="anna", reason="a test")
            self.ids.append(command.command_id)
            self._store.live.commands.put(command, account=ACCOUNT, strategy=STRATEGY, ts=time.time_ns())
            wait_for(f"{wish} to be taken", lambda c=command: self._store.live.commands.get(c.command_id).taken_by == self._run)


def after_hours(hours):
    return lambda passage: passage.block.until_ns >= passage.session.regular_open_ns + hours * NS_PER_HOUR


def test_demonstration_when_a_person_halts_and_resumes_then_it_obeys_answers_and_the_report_says_so(settings):
    with Store(settings.store) as store:
        person = Person(store, {"HALT": after_hours(1), "RESUME": after_hours(2)})
        finished = played(settings, store, person)
        name = finished.result.run_id
        answers = [store.live.commands.get(one) for one in person.ids]
        assert [(one.command.kind, one.is_done) for one in answers] == [(CommandKind.HALT, True), (CommandKind.RESUME, True)]
        states = [(change.state, change.by) for change in finished.result.tables.state_changes if change.by == "anna"]
        assert [str(state) for state, _ in states] == ["HALTED", "ACTIVE"]
        begin = plan_of(settings).calendar.session(date(2025, 1, 2)).regular_open_ns
        halted = range(begin + NS_PER_HOUR + 300 * 10**9, begin + 2 * NS_PER_HOUR)
        assert not [trade for trade in store.trades(name) if trade.entry_ns in halted]
        assert sum("by anna" in line for line in finished.result.assumptions) == 2


def test_demonstration_when_a_person_stops_it_then_it_ends_there_with_a_report(settings):
    with Store(settings.store) as store:
        finished = played(settings, store, Person(store, {"STOP": after_hours(1)}))
        session = store.live.session(finished.result.run_id)
        assert (session.status, session.reason) == ("ended", "stopped by a person")
        assert finished.result.tables.ticks < 60_000
        assert finished.paths.html.is_file()


def test_demonstration_when_something_was_asked_before_it_began_then_that_is_refused(settings):
    with Store(settings.store) as store:
        old = Command(command_id="old", kind=CommandKind.HALT, by="anna", reason="yesterday")
        store.live.commands.put(old, account=ACCOUNT, strategy=STRATEGY, ts=time.time_ns())
        finished = played(settings, store)
        stored = store.live.commands.get("old")
        assert stored.is_done is False
        assert "begins anew" in stored.answer
        assert not [change for change in finished.result.tables.state_changes if change.by == "anna"]


class Impatient(Lines):
    """Somebody who presses Ctrl-C at the first trade."""

    def on_block(self, passage):
        super().on_block(passage)
        if self.state.closed:
            raise KeyboardInterrupt


def test_demonstration_when_interrupted_then_its_session_is_over_and_nothing_goes_on(settings):
    with Store(settings.store) as store:
        with pytest.raises(KeyboardInterrupt, match="what was run is kept as order_flow-"):
            played(settings, store, Impatient(lambda _: None))
        session = store.live.sessions()[0]
        assert (session.status, session.reason) == ("stopped", "interrupted")
        assert store.runs()[0].status == "failed"
        assert StoreDesk(store.live).sessions() == []
    assert not [one for one in threading.enumerate() if one.name in ("beats", "commands", "store-writer")]
