"""A short form of the kill campaign (`make chaos`): a trading process killed six times, in its own process, and its books."""

import json

from sovereign.app.rehearsal.campaign import kill_campaign


def test_session_when_killed_again_and_again_then_no_order_and_no_fill_is_doubled_or_lost(tmp_path):
    said = []
    report = kill_campaign(tmp_path, 6, 5, 1, said.append, with_order_flow=False, sessions=1)
    figures = json.loads(report.line())
    assert report.violations == []
    assert figures["kills"] == 6
    assert figures["starts"] >= 7
    assert figures["fills"] > 3
    assert sum(figures["points"].values()) == 6
    assert said
