"""The memory of closed trades: what it asks, how it weighs, and that it vetoes but never turns a direction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign.core.episode import Episode
from sovereign.core.session import NS_PER_DAY
from sovereign.strategies.council.agent import AGENTS
from sovereign.strategies.council.configuration import MemoryConfig
from sovereign.strategies.council.memory import Memory, Recall

NOW = 1_000 * NS_PER_DAY


def episode(number, *, days=1.0, outcome=1.0, side=1, regime="CALM", features=(0.0, 0.0), votes=(), is_closed=True):
    closed = NOW - round(days * NS_PER_DAY)
    return Episode(
        episode_id=f"e{number}",
        strategy="council",
        symbol="SPY",
        opened_ns=closed - 1,
        side=side,
        regime=regime,
        features=features,
        views=tuple(votes),
        confidence=0.6,
        size_frac=0.1,
        closed_ns=closed if is_closed else None,
        outcome=outcome if is_closed else None,
    )


def now(**values):
    return replace(episode("now", is_closed=False, **values), opened_ns=NOW)


def memory_of(episodes, **config):
    memory = Memory(MemoryConfig(**config), AGENTS)
    for one in episodes:
        memory.add(one)
    return memory


@pytest.mark.parametrize(
    "bad",
    [
        {"features": (0.0,) * 7},
        {"features": (np.inf, 0.0)},
        {"votes": (("hedge", 2, 0.5),)},
        {"votes": (("hedge", 1, np.nan),)},
        {"outcome": 5.0},
        {"outcome": np.nan},
        {"side": 0},
    ],
    ids=str,
)
def test_add_when_an_episode_cannot_be_used_then_is_counted_and_the_others_are_recalled(bad):
    usual = [episode(n) for n in range(20)]
    memory = Memory(MemoryConfig(), AGENTS, 2)
    for one in [*usual[:10], replace(episode("bad", **bad)), *usual[10:]]:
        memory.add(one)
    memory.add(episode("bad", **bad))  # told of again the next session: it is one all the same
    assert (len(memory), memory.ignored) == (20, 1)
    assert memory.recall(now()) == memory_of(usual).recall(now())


def test_recall_when_all_are_of_another_release_then_nothing_is_said():
    memory = Memory(MemoryConfig(), AGENTS, 2)
    for n in range(30):
        memory.add(episode(n, features=(0.0,) * 3))
    assert (memory.recall(now()), memory.ignored) == (Recall(), 30)


def test_recall_when_a_feature_is_beyond_measure_then_it_says_nothing_and_nothing_breaks():
    past = [episode(n, features=(1e200 * (n % 2), 0.0)) for n in range(30)]
    assert memory_of(past).recall(now()).cases == 30


@pytest.mark.parametrize("strength", [0.3, 0.1])
@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_adjustment_when_all_were_alike_then_within_the_strength(strength, outcome):
    past = [episode(n, days=0.001, outcome=outcome) for n in range(50)]
    found = memory_of(past, strength=strength, prior=1e-9).recall(now())
    assert found.adjustment == pytest.approx(strength if outcome else -strength)
    assert abs(found.adjustment) <= strength


def test_recall_when_nothing_is_remembered_then_changes_nothing():
    assert memory_of([]).recall(now()) == Recall()


def test_recall_when_worked_by_hand_then_beta_mean_with_recency_alone():
    """20 wins and 5 losses a half-life old weigh 12.5: p = (2 + 10) / (4 + 12.5)."""
    past = [episode(n, days=30.0, outcome=float(n < 20)) for n in range(25)]
    found = memory_of(past).recall(now())
    assert found.cases == 25
    assert found.weight == pytest.approx(12.5)
    assert found.probability == pytest.approx(12 / 16.5)
    assert found.adjustment == pytest.approx(0.3 * 2 * (12 / 16.5 - 0.5))
    assert not found.is_veto


def test_recall_when_half_were_won_then_a_half():
    past = [episode(n, outcome=float(n % 2)) for n in range(30)]
    assert memory_of(past).recall(now()).probability == pytest.approx(0.5)


def test_recall_when_most_were_lost_then_vetoes():
    past = [episode(n, outcome=float(n < 4)) for n in range(30)]
    assert memory_of(past).recall(now()).is_veto


def test_recall_when_cases_weigh_too_little_then_silent_but_told():
    past = [episode(n, days=300.0, outcome=0.0) for n in range(30)]
    found = memory_of(past).recall(now())
    assert (found.cases, found.adjustment, found.is_veto) == (30, 0.0, False)
    assert found.weight < 0.1


def test_recall_when_episodes_close_later_then_they_are_not_known():
    past = [episode(n, days=-0.5, outcome=0.0) for n in range(30)]
    assert memory_of(past).recall(now()).cases == 0


def test_recall_when_episodes_are_open_then_they_are_not_taken_in():
    assert len(memory_of([episode(1, is_closed=False)])) == 0


def test_recall_when_the_other_side_was_traded_then_not_asked():
    past = [episode(n, side=-1, outcome=0.0) for n in range(30)]
    assert memory_of(past).recall(now()).cases == 0


def test_recall_when_regimes_and_votes_differ_then_less_alike():
    votes = (("sentiment", 1, 0.7), ("wyckoff", 1, 0.8), ("hedge", None, 0.0))
    alike = [episode(n, regime="VOLATILE", votes=votes, outcome=0.0) for n in range(20)]
    other = [episode(100 + n, regime="CALM", votes=(("sentiment", -1, 0.7),), outcome=1.0) for n in range(20)]
    found = memory_of([*alike, *other]).recall(now(regime="VOLATILE", votes=votes))
    assert found.cases == 20
    assert found.is_veto


def test_recall_when_an_abstention_meets_a_zero_vote_then_they_are_not_the_same():
    past = [episode(n, regime="", votes=(("hedge", None, 0.0),)) for n in range(20)]
    assert memory_of(past).recall(now(regime="", votes=(("hedge", 0, 0.5),))).cases == 0
    assert memory_of(past).recall(now(regime="", votes=(("hedge", None, 0.5),))).cases == 20


def test_recall_when_features_are_unknown_then_they_count_as_usual():
    past = [episode(n, features=(float(n), np.nan)) for n in range(30)]
    assert memory_of(past).recall(now(features=(10.0, np.nan))).cases > 0


def test_memory_when_full_then_forgets_the_oldest():
    memory = memory_of([episode(n) for n in range(40)], max_episodes=25)
    assert [one.episode_id for one in memory.episodes] == [f"e{n}" for n in range(15, 40)]


def test_memory_when_an_episode_comes_again_then_is_replaced():
    memory = memory_of([episode(1, outcome=0.0), episode(1, outcome=1.0)])
    assert [one.outcome for one in memory.episodes] == [1.0]


@given(st.lists(st.tuples(st.floats(0, 400), st.sampled_from([0.0, 0.5, 1.0])), max_size=60))
def test_recall_when_anything_happened_then_stays_within_its_caps(past):
    memory = memory_of([episode(n, days=days + 0.001, outcome=outcome) for n, (days, outcome) in enumerate(past)])
    found = memory.recall(now())
    assert 0.0 < found.probability < 1.0
    assert abs(found.adjustment) <= 0.3
    assert found.is_veto == (found.weight >= 10.0 and found.probability < 0.35)


def test_configuration_when_it_could_never_act_then_is_refused():
    with pytest.raises(ValueError, match="could never act"):
        MemoryConfig(neighbors=10)
