"""Two rules that make one direction of views: agreement, and disagreement of institutions and crowd."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.strategies.combiner import AgentRole, AgentView, CombinerConfig, ConflictConfig, new_combiner

INSTITUTION, CROWD = AgentRole.INSTITUTION, AgentRole.CROWD
CONSENSUS = new_combiner(CombinerConfig(rule="consensus"))
CONFLICT = new_combiner(CombinerConfig(rule="conflict"))


def views(*votes, confidence=0.8):
    return [AgentView(f"a{n}", INSTITUTION, vote, 0.0 if vote is None else confidence) for n, vote in enumerate(votes)]


@pytest.mark.parametrize(
    ("votes", "direction"),
    [
        ((1, 1, 0), 1),
        ((-1, -1, 0), -1),
        ((1, 0, 0), 0),  # two are needed
        ((1, 1, -1, -1), 0),  # a tie
        ((1, 1, -1), 1),  # opposition of one is allowed
        ((1, 1, 0, 0, 0), 1),  # of five two are enough: 5 // 2
        ((1, 1, 0, 0, 0, 0), 0),  # of six three are needed
        ((1, 1, 1, 0, 0, 0), 1),
        ((1, 1, None, None, None, None), 1),  # who abstains is not counted: two of two
        ((1, None, None), 0),
        ((), 0),
        ((0, 0, 0), 0),  # zeros never win
    ],
)
def test_consensus_when_votes_are_counted_then_enough_and_more_than_the_other_side(votes, direction):
    assert CONSENSUS.combine(views(*votes)).direction == direction


def test_consensus_when_an_abstention_becomes_a_zero_then_the_outcome_may_differ():
    abstaining, zero = views(1, 1, 0, 0, 0, None), views(1, 1, 0, 0, 0, 0)
    assert (CONSENSUS.combine(abstaining).direction, CONSENSUS.combine(zero).direction) == (1, 0)


def test_consensus_when_agents_agree_then_confidence_is_the_mean_of_those_alone():
    found = CONSENSUS.combine(
        [AgentView("a", CROWD, 1, 0.9), AgentView("b", INSTITUTION, 1, 0.5), AgentView("c", CROWD, 0, 0.1)]
    )
    assert found.confidence == pytest.approx(0.7)
    assert found.agreeing == ("a", "b")
    assert [(check.name, check.value, check.limit) for check in found.checks] == [("votes", 2.0, 2.0), ("opposition", 2.0, 1.0)]


VIEW = st.builds(
    AgentView,
    st.sampled_from("abcde"),
    st.sampled_from(list(AgentRole)),
    st.sampled_from([1, 0, -1, None]),
    st.floats(0, 1),
)


def mirrored(given_views):
    return [AgentView(v.agent, v.role, None if v.vote is None else -v.vote, v.confidence) for v in given_views]


@pytest.mark.parametrize("rule", [CONSENSUS, CONFLICT], ids=["consensus", "conflict"])
@given(st.lists(VIEW, max_size=8))
def test_rule_when_all_votes_are_turned_then_only_the_direction_turns(rule, given_views):
    one, other = rule.combine(given_views), rule.combine(mirrored(given_views))
    assert one.direction == -other.direction
    assert (one.confidence, one.size_factor, one.verdict) == (other.confidence, other.size_factor, other.verdict)


@given(st.lists(VIEW, max_size=8))
def test_rules_when_all_agree_then_consensus_may_trade_and_conflict_never_does(given_views):
    agreed = [AgentView(v.agent, v.role, 1, v.confidence) for v in given_views]
    roles = {v.role for v in agreed}
    assert CONSENSUS.combine(agreed).direction == int(len(agreed) >= 2)
    if CROWD in roles:
        assert CONFLICT.combine(agreed).direction == 0


def two_camps(smart, smart_confidence, crowd, crowd_confidence=0.6):
    """The two agents of a tug of war."""
    return [AgentView("smart", INSTITUTION, smart, smart_confidence), AgentView("crowd", CROWD, crowd, crowd_confidence)]


@pytest.mark.parametrize(
    ("smart", "confidence", "crowd", "verdict", "direction", "factor"),
    [
        (1, 0.75, -1, "strong conflict", 1, 1.0),
        (-1, 0.90, 1, "strong conflict", -1, 1.0),
        (1, 0.74, -1, "no signal", 0, 0.0),
        (1, 0.95, 1, "crowded skip", 0, 0.0),
        (1, 0.75, 1, "crowded skip", 0, 0.0),
        (1, 0.74, 1, "no signal", 0, 0.0),  # unsure institutions say nothing, whoever else is there
        (-1, 0.74, -1, "no signal", 0, 0.0),
        (1, 0.80, 0, "weak conflict", 1, 0.6),
        (1, 0.80, None, "weak conflict", 1, 0.6),
        (1, 0.79, 0, "no signal", 0, 0.0),
        (0, 0.95, -1, "no signal", 0, 0.0),
        (None, 0.0, -1, "no signal", 0, 0.0),
    ],
)
def test_conflict_when_two_camps_meet_then_the_order_of_the_definition(smart, confidence, crowd, verdict, direction, factor):
    found = CONFLICT.combine(two_camps(smart, confidence, crowd))
    assert (found.verdict, found.direction, found.size_factor) == (verdict, direction, factor)


def test_rules_when_given_the_other_ones_agents_then_both_answer():
    """Either rule with either set of agents: two camps of one, and five voices."""
    camps = two_camps(1, 0.9, -1)
    assert (CONSENSUS.combine(camps).direction, CONFLICT.combine(camps).direction) == (0, 1)
    five = [
        AgentView("hedge", INSTITUTION, None),
        AgentView("liquidity", INSTITUTION, 1, 0.8),
        AgentView("sentiment", CROWD, -1, 0.7),
        AgentView("wyckoff", INSTITUTION, 1, 0.85),
        AgentView("markov", INSTITUTION, 1, 0.7),
    ]
    agreed, opposed = CONSENSUS.combine(five), CONFLICT.combine(five)
    assert (agreed.direction, opposed.direction) == (1, 1)
    assert agreed.agreeing == opposed.agreeing == ("liquidity", "wyckoff", "markov")


def test_conflict_when_camps_are_torn_then_no_direction():
    torn = [AgentView("a", INSTITUTION, 1, 0.9), AgentView("b", INSTITUTION, -1, 0.9), AgentView("c", CROWD, -1, 0.9)]
    assert CONFLICT.combine(torn).verdict == "no signal"
    assert new_combiner(CombinerConfig(rule="conflict", conflict=ConflictConfig(min_opposed=0.5))).combine(torn).direction == 0
