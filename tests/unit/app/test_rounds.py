"""One round of decisions: when it is due, when it is over, and when there is none."""

from __future__ import annotations

from datetime import date

import pytest

from sovereign.app.cli.run import watchlist, with_rounds
from sovereign.app.configuration import Settings
from sovereign.app.plan import strategy_section
from sovereign.app.rounds import OneRound, round_minutes
from sovereign.core.decision import Decision, Refused, Verdict
from sovereign.core.errors import UsageError
from sovereign.core.event import DecisionMade
from sovereign.core.session import NS_PER_MINUTE
from sovereign.feeds.calendar import calendar_for
from sovereign.strategies.tug_of_war import TugOfWarStrategy
from tug_cases import config_of, moment_of, row

SESSION = calendar_for("XNYS").session(date(2025, 11, 17))
OPEN = SESSION.regular_open_ns


def at(minutes: float) -> int:
    return OPEN + round(minutes * NS_PER_MINUTE)


def round_of(minutes: int = 15) -> tuple[OneRound, list[str]]:
    said: list[str] = []
    return OneRound(SESSION, minutes, said.append, 10.0), said


def test_round_when_the_market_is_open_then_is_the_next_multiple_and_ends_behind_it():
    one, said = round_of()
    one.look(at(31), at(31), is_waiting=False)
    assert one.due_ns == at(45)
    one.look(at(45), at(45), is_waiting=False)
    assert said == []  # not worked through yet
    one.look(at(45.1), at(45.1), is_waiting=False)
    assert said == ["the round of 10:15 was decided"]
    assert one.is_made
    one.look(at(61), at(61), is_waiting=False)
    assert len(said) == 1


def test_round_when_an_order_is_not_answered_then_is_waited_for_but_not_for_ever():
    one, said = round_of()
    one.look(at(31), at(31), is_waiting=False)
    one.look(at(45.1), at(45.1), is_waiting=True)
    assert said == []
    one.look(at(45.2), at(45.2), is_waiting=True)  # more than ten seconds
    assert one.is_made


@pytest.mark.parametrize("minutes", [-300, -16, 391, 600])
def test_round_when_the_day_session_is_far_or_over_then_none_is_due_and_it_says_so(minutes):
    one, said = round_of()
    one.look(at(minutes), at(minutes), is_waiting=False)
    assert "no round is due within 15 min" in said[0]
    assert "09:30 to 16:00" in said[0]
    assert not one.is_made


def test_round_when_the_last_one_is_at_the_close_then_is_still_decided():
    one, _ = round_of()
    one.look(at(376), at(376), is_waiting=False)
    assert one.due_ns == at(390)


def test_decisions_when_they_are_of_before_the_round_then_are_not_its_own():
    one, _ = round_of()
    (proposal,) = TugOfWarStrategy(config_of()).decide(moment_of(row(rank=0.99, crowd=1)))
    refused = Refused("crowded", 0.0, 1.0, "agreement", "the crowd is there already")

    def decision(name: str, ts: int) -> DecisionMade:
        made = Decision(
            decision_id=name, ts=ts, strategy="t", proposal=proposal, checks=(), verdict=Verdict.REFUSED, outcome=refused
        )
        return DecisionMade(ts=ts, decision=made)

    one(decision("early", at(30)))
    one.look(at(31), at(31), is_waiting=False)
    one(decision("before", at(40)))
    one(decision("mine", at(45)))
    assert one.decisions == [
        {
            "decision_id": "mine",
            "symbol": "NVDA",
            "name": "crowded skip",
            "verdict": "REFUSED",
            "reason": "the crowd is there already",
        }
    ]


def test_interval_when_given_then_is_the_distance_of_rounds_where_a_strategy_has_rounds():
    settings = Settings()
    assert round_minutes(strategy_section(with_rounds(settings, "tug_of_war", 30.0), "tug_of_war")) == 30
    assert round_minutes(strategy_section(with_rounds(settings, "tug_of_war", None), "tug_of_war")) == 15
    assert with_rounds(settings, "order_flow", 0.5) == settings
    assert round_minutes(strategy_section(settings, "order_flow")) is None


@pytest.mark.parametrize("interval", [7.0, 0.5, 400.0])
def test_interval_when_no_bar_ends_there_then_refused(interval):
    with pytest.raises(UsageError, match="multiple"):
        with_rounds(Settings(), "tug_of_war", interval)


def test_watchlist_when_nothing_is_named_then_is_the_universe_for_a_strategy_with_benchmarks():
    settings = Settings()
    assert watchlist(settings, "tug_of_war", None)[:2] == ("NVDA", "CRWD")
    assert watchlist(settings, "tug_of_war", ["JPM"]) == ("JPM",)
    assert watchlist(settings, "order_flow", None) == ()
