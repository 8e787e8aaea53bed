"""A short form of the fault campaign (`make chaos`): some seeded schedules, those that once broke a promise among them."""

import json
import logging

import pytest

from sovereign.app.rehearsal.campaign import fault_campaign
from sovereign.app.rehearsal.faults import schedule_of
from sovereign.app.rehearsal.rehearse import CALM, as_markdown, as_text, rehearse
from sovereign.app.rehearsal.settings import DRILL, add_drill, drill_settings
from sovereign.execution.venue.fault import FaultKind

BROKE = (22, 32, 45, 53, 75, 231, 301, 500, 508, 515, 516, 21_433)
"""Seeds whose sessions ended before their time, stayed unwell, or ended with other books before that was mended."""


@pytest.mark.timeout(300)
def test_sessions_when_venue_and_wire_misbehave_then_end_with_the_venues_books(tmp_path):
    seeds = (*BROKE, *range(1_000, 1_009))
    report = fault_campaign(tmp_path, seeds, 4, lambda _: None, with_order_flow=False)
    figures = json.loads(report.line())
    assert report.violations == []
    assert figures["schedules"] == len(seeds)
    assert figures["fills"] > 50
    assert len(figures["faults"]) == len(FaultKind)


def test_schedule_when_made_twice_from_a_seed_then_is_the_same_and_another_seed_is_not():
    assert schedule_of(5) == schedule_of(5)
    assert schedule_of(5) != schedule_of(6)


@pytest.mark.timeout(300)
def test_rehearsal_when_faults_meet_a_strategy_then_says_of_each_what_came_of_it(tmp_path, monkeypatch):
    # Half as fast as usual: on a machine that does other work as well, market time runs away from a line that is alive.
    monkeypatch.setattr("sovereign.app.rehearsal.rehearse._SPEED", 60.0)
    add_drill()
    given = drill_settings(tmp_path, execution={"latency_ms": 250.0})
    kinds = (CALM, FaultKind.LOSE, FaultKind.REJECT)
    level = logging.getLogger("sovereign").level
    found = rehearse(given, DRILL, tmp_path, minutes=10, kinds=kinds)
    assert logging.getLogger("sovereign").level == level  # of all that ran side by side
    assert found.is_whole, found.verdict
    assert [act.kind for act in found.acts] == list(kinds)
    calm, lose, reject = found.acts
    assert (calm.armed, lose.armed, reject.armed) == (0, 6, 6)
    assert calm.orders > 0
    assert reject.rejected > 0
    assert "whole" in as_text(found)
    page = as_markdown(found)
    assert "messages never come" in page
    assert "None." in page
