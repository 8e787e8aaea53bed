"""The days before a rehearsal: a strategy that measures today against them trades in its first hour, without them not."""

from collections import Counter
from dataclasses import replace
from datetime import date

import pytest

from sovereign.app.cli.doctor import check
from sovereign.app.configuration import load_settings
from sovereign.app.past_sessions import warm_up_recordings
from sovereign.app.plan import recipe_of
from sovereign.app.rehearsal.faults import ACCOUNT, tape_of
from sovereign.app.rehearsal.rehearse import Act, Rehearsal
from sovereign.app.rehearsal.settings import in_folder
from sovereign.app.rehearsal.warm_up import keep_days, record_days
from sovereign.app.task import Task
from sovereign.core.decision import Approved
from sovereign.core.errors import SovereignError
from sovereign.core.event import DecisionMade
from sovereign.core.port import Block
from sovereign.engine.recipe import Run
from sovereign.execution.venue.configuration import TapeSpec
from sovereign.research.backtest import main_lane, new_engine
from sovereign.research.live import warmed_stream
from sovereign.store.store import Store

DAY = date(2025, 11, 17)
HOUR = TapeSpec(symbol="ES", start=DAY, seed=7, offset_s=1_800, seconds=3_600)
"""What `doctor --chaos` plays unless told otherwise."""


class Hour:
    """The tape as a feed."""

    def __init__(self):
        self.tape = tape_of(HOUR)

    def sessions(self):
        return iter(self.tape.sessions)

    def instruments(self, session):
        return self.tape.instruments(session)

    def blocks(self, session):
        for symbol, trades in self.tape.columns(session).items():
            yield Block(symbol, trades, session.close_ns)


def entries(warm):
    """Return how many entries the built-in order flow is allowed in the hour, under its own settings."""
    settings = load_settings(None, [], strategy="order_flow").settings
    recipe = recipe_of(settings, "order_flow")
    events = []
    engine = new_engine(recipe, main_lane(recipe.execution), (events.append,), is_simulated_data=True)
    list(Run(Hour(), lambda instrument: warmed_stream(engine.strategy, warm, instrument), (engine,)).sessions())
    decisions = [event.decision for event in events if isinstance(event, DecisionMade)]
    return sum(isinstance(one.outcome, Approved) and not one.proposal.intent.reduce_only for one in decisions)


def test_order_flow_when_the_days_before_are_known_then_it_trades_in_the_default_hour(tmp_path):
    warm = record_days("ES", 7, DAY, 5, tmp_path)
    assert [path.stem for path in warm] == ["20251110", "20251111", "20251112", "20251113", "20251114"]
    assert entries(warm) >= 2
    assert entries(()) == 0


def test_days_when_entered_into_a_store_then_the_next_session_is_warmed_up_from_them(tmp_path):
    warm = record_days("ES", 7, DAY, 2, tmp_path / "before")
    words = [f"{part}.{name}={value}" for part, values in in_folder(tmp_path).items() for name, value in values.items()]
    settings = load_settings(None, words, strategy="order_flow").settings
    task = Task(strategy="order_flow", mode="paper", account=ACCOUNT)
    keep_days(settings, task, warm)
    with Store(settings.store) as store:
        assert warm_up_recordings(settings, store, task, DAY) == list(warm)


def act(**changes):
    whole = Act(
        kind="none",
        does="",
        armed=0,
        orders=0,
        fills=0,
        trades=0,
        net=0.0,
        rejected=0,
        lost_connections=0,
        asked_for=0,
        corrections=0,
        unprotected_s=0.0,
        restarts=0,
        refusals=Counter(),
        violations=(),
    )
    return replace(whole, **changes)


@pytest.mark.parametrize(
    ("acts", "words"),
    [
        ((act(),), "says nothing: inconclusive"),
        ((act(orders=3), act(orders=3, violations=("books differ",))), "did not come out whole"),
        ((act(orders=3), act()), None),
    ],
)
def test_rehearsal_when_nothing_was_tried_or_a_promise_was_broken_then_it_fails(acts, words):
    found = Rehearsal(strategy="mine", symbol="ES", minutes=60, seed=7, acts=acts)
    if words is None:
        check(found)
        return
    with pytest.raises(SovereignError, match=words):
        check(found)
