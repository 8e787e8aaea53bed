"""Decisions of a run, some told one by one and some kept by the session: in their order, made once, and only when read."""

from __future__ import annotations

import pickle

from sovereign.core.decision import Decision, KeptRefusals, Proposal, Refused, Verdict
from sovereign.core.order import Side
from sovereign.research.result import Decisions


def decision(number, symbol="NVDA", day="20250102"):
    proposal = Proposal(
        name="no signal", symbol=symbol, side=Side.BUY, strength=0.1, confidence=0.2, inputs={}, checks=(), intent=None
    )
    return Decision(
        decision_id=f"tug_of_war-{day}-{symbol}-{number:05d}",
        ts=number,
        strategy="tug_of_war",
        proposal=proposal,
        checks=(),
        verdict=Verdict.REFUSED,
        outcome=Refused("crowded", 0.0, 1.0, "agreement", "the crowd is there already"),
    )


def kept(made, *numbers, day):
    def make():
        made.append(numbers)
        return [decision(number, "JPM", day) for number in numbers]

    return KeptRefusals(len(numbers), make)


def numbers_of(decisions):
    return [(found.decision_id[11:19], int(found.decision_id[-5:])) for found in decisions]


def test_decisions_when_kept_ones_are_read_then_stand_between_those_that_were_told():
    made: list[tuple[int, ...]] = []
    told = (decision(2), decision(5), decision(1, day="20250103"), decision(7, day="20250106"))
    parts = ((0, 2, kept(made, 1, 3, 4, 6, day="20250102")), (3, 3, kept(made, 1, day="20250105")))
    decisions = Decisions(told, parts)
    assert len(decisions) == 9
    assert made == []  # nobody has read them
    assert numbers_of(decisions) == [
        *(("20250102", n) for n in range(1, 7)),
        ("20250103", 1),
        ("20250105", 1),
        ("20250106", 7),
    ]
    assert decisions[1] is told[0]
    assert numbers_of(decisions[2:4]) == [("20250102", 3), ("20250102", 4)]
    assert made == [(1, 3, 4, 6), (1,)]


def test_decisions_when_sent_to_another_process_then_arrive_as_records():
    decisions = Decisions((decision(2),), ((0, 1, kept([], 1, day="20250102")),))
    arrived = pickle.loads(pickle.dumps(decisions))
    assert numbers_of(arrived) == numbers_of(decisions)
